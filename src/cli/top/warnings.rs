//! What somebody should look at.

use jiff::Timestamp;

use super::{
    super::texts::{Texts, fill},
    figures::{age, seconds_since},
    model::Picture,
    theme::Tone,
};

/// What waits so long for a neighbour that is away is worth a look: an hour.
const WAITS_LONG_S: u64 = 3600;
/// A bound that is used so far, percent, is worth a look.
const NEARLY_FULL: u64 = 80;
/// Warnings that are told at most.
const TOLD_MAX: usize = 50;

/// All of it, what the node itself says first.
pub(super) fn warnings(t: &Texts, picture: &Picture, now: Timestamp) -> Vec<(Tone, String)> {
    let status = &picture.status;
    let not_ready = (!status.ready && status.warnings.is_empty())
        .then(|| (Tone::Bad, t.top_not_ready.to_owned()));
    let tone = if status.ready { Tone::Warn } else { Tone::Bad };
    let of_node = status.warnings.iter().map(|text| (tone, text.clone()));
    let links = picture.links.iter().map(|flowing| &flowing.link);
    let silent = links.filter(|link| !link.up || link.state == "silent");
    let silent = silent.map(|link| {
        let state = t.link_state(&link.state, "");
        let mut text = fill(t.top_link, &[&link.link, &link.neighbour, &state]);
        // How long it has been silent is not told, only how long it has been up.
        if let (false, Some(_)) = (link.up, link.since) {
            text += &fill(t.top_link_for, &[&age(t, link.since, now)]);
        }
        if let Some(error) = &link.error {
            text += &format!("{}{error}", t.colon);
        }
        (Tone::Bad, text)
    });
    let (journal, journal_max) = (status.journal_bytes, status.journal_bytes_max);
    let attached = &status.attachments;
    let nearly_full = [
        (t.top_the_journal, journal, journal_max),
        (t.top_the_attachments, attached.bytes, attached.bytes_max),
    ];
    let nearly_full = nearly_full.into_iter().filter_map(|(name, used, max)| {
        let percent = (u128::from(used) * 100).checked_div(max.into())?;
        let is_full = percent >= NEARLY_FULL.into();
        is_full.then(|| (Tone::Warn, fill(t.top_nearly_full, &[&name, &percent])))
    });
    let away = picture.queues.iter().map(|queue| &queue.unit);
    let away = away.filter(|unit| {
        let waits = unit.oldest.map(|oldest| seconds_since(oldest, now));
        !unit.connected && waits > Some(WAITS_LONG_S)
    });
    let away = away.map(|unit| {
        let messages = unit.mailbox.messages;
        let oldest = age(t, unit.oldest, now);
        let text = fill(t.top_away, &[&messages, &unit.unit, &oldest]);
        (Tone::Warn, text)
    });
    let all = not_ready.into_iter().chain(of_node).chain(silent);
    all.chain(nearly_full).chain(away).take(TOLD_MAX).collect()
}
