//! The last message of a trial: a scan is attached to it.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::future::try_join;
use serde_json::json;
use tokio::time::sleep;

use super::{
    error::TrialError,
    progress::Progress,
    traffic,
    world::{LOOK_EVERY, Member, World},
};
use crate::{
    cli::texts::{fill, t},
    model::BlobDigest,
};

/// Its CloudEvents id.
const ID: &str = "scan";
/// The links are cut when one part in so many of it has gone.
const CUT_AFTER_PART: u64 = 3;
/// How long the wire may carry nothing of it, beside an outage, before it is given up.
const QUIET_WITHIN: Duration = Duration::from_secs(40);
/// Less than this is no more than acks and probes.
const MOVED_BYTES: u64 = 20_000;

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) bytes: u64,
    /// From the call that names it to the call that is handed the message.
    pub(super) time: Duration,
    pub(super) wire_bytes_up: u64,
    /// Whether the links were cut in the middle.
    pub(super) was_cut: bool,
    /// Whether, after that, what had gone before was not sent again.
    pub(super) resumed: bool,
    pub(super) digest_equal: bool,
    /// What went wrong.
    pub(super) fault: Option<String>,
}

/// Attaches a scan to a message of the first unit to the next node, and waits until that is handed out and the scan is there as it was.
///
/// # Errors
/// A node does not answer, or refuses it.
pub(super) async fn carry(
    world: &World,
    bytes: usize,
    progress: &Progress,
) -> Result<Scan, TrialError> {
    let mut members = world.members();
    let (Some(from), Some(to)) = (members.next(), members.next()) else {
        return Err(TrialError::internal(t().trial_nobody));
    };
    // Bytes that nobody can compress, as those of a scanner's file.
    let mut body = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut body);
    let (size, digest) = (body.len() as u64, BlobDigest::of(&body));
    progress.phase(&fill(t().trial_scan, &[&size]));
    let (status, text) = from
        .client
        .put("/v1/attachments?name=scan.tif", body)
        .await?;
    if status != 201 {
        let told = fill(t().trial_refused_scan, &[&from.unit, &text]);
        return Err(TrialError::internal(told));
    }
    let event = json!({
        "specversion": "1.0", "id": ID, "source": format!("/unit/{}", from.unit), "type": "case.material",
        "to": to.unit, "attachments": digest, "attachmentnames": "scan.tif", "subject": "扫描件",
    });
    let before = world.wire().up;
    let carried = || world.wire().up.carried_bytes - before.carried_bytes;
    let offered = || world.wire().up.offered_bytes - before.offered_bytes;
    let began = Instant::now();
    traffic::submit(from, "application/cloudevents+json", &event.to_string()).await?;
    let over = AtomicBool::new(false);
    let watch = async {
        let was_cut = watch(world, progress, size, &carried, &over).await;
        over.store(true, Relaxed);
        Ok(was_cut)
    };
    let (cut_at, handed) = try_join(watch, receive(to, &over)).await?;
    let mut scan = Scan {
        bytes: size,
        time: began.elapsed(),
        wire_bytes_up: offered(),
        was_cut: cut_at.is_some(),
        ..Scan::default()
    };
    // Of what came through, heads of packets and acks are less than an eighth; a scan that is begun anew takes what had come before the
    // cut once more.
    let again = carried().saturating_sub(size + size / 8);
    scan.resumed = cut_at.is_some_and(|at| again < at / 2);
    if !handed {
        scan.fault = Some(fill(t().trial_scan_lost, &[&scan.wire_bytes_up]));
        return Ok(scan);
    }
    let arrived = to
        .client
        .digest(&format!("/v1/attachments/{digest}"))
        .await?;
    scan.digest_equal = arrived == (size, digest);
    if !scan.digest_equal {
        scan.fault = Some(t().trial_scan_changed.to_owned());
    }
    Ok(scan)
}

/// Cuts the links in the middle when the line is one that is cut; ends when the message was handed out, or when nothing moves any more.
/// Gives how much had been carried when they were cut.
async fn watch(
    world: &World,
    progress: &Progress,
    size: u64,
    carried: &impl Fn() -> u64,
    over: &AtomicBool,
) -> Option<u64> {
    let mut cut_ahead = world.line().cut;
    let mut mend_at: Option<Instant> = None;
    let mut cut_at = None;
    let mut moved = (0, Instant::now());
    while !over.load(Relaxed) {
        let (now, bytes) = (Instant::now(), carried());
        if bytes >= size / CUT_AFTER_PART
            && let Some(cut) = cut_ahead.take()
        {
            world.cut(true);
            (mend_at, cut_at) = (Some(now + cut), Some(bytes));
            progress.phase(&fill(t().trial_cut_both, &[&cut.as_secs()]));
        }
        if mend_at.is_some_and(|at| at <= now) {
            world.cut(false);
            mend_at = None;
            progress.phase(t().trial_mended);
        }
        progress.scanned(bytes.min(size), size);
        if bytes >= moved.0 + MOVED_BYTES || mend_at.is_some() {
            moved = (bytes, now);
        }
        if now.duration_since(moved.1) > QUIET_WITHIN {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    if mend_at.is_some() {
        world.cut(false);
    }
    cut_at
}

/// Waits until the message is handed out, and acks it; false when it is not before all is over.
async fn receive(member: &Member, over: &AtomicBool) -> Result<bool, TrialError> {
    while !over.load(Relaxed) {
        let events = traffic::pull(&member.client, 1).await?;
        if events.is_empty() {
            continue;
        }
        traffic::ack(&member.client, &events).await?;
        let is_it = |id: &serde_json::value::RawValue| id.get() == format!("\"{ID}\"");
        if events
            .iter()
            .any(|event| event.get("id").is_some_and(|id| is_it(id)))
        {
            over.store(true, Relaxed);
            return Ok(true);
        }
    }
    Ok(false)
}
