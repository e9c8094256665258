//! `[limits]`: every bound and the range that an operator may set it within.

use std::ops::RangeInclusive;

use super::{
    document::{Document, Section},
    texts::{Pick, told},
};
use crate::{
    language::{Both, fill},
    model::Limits,
};

/// One bound of [`Limits`].
struct Bound {
    key: &'static str,
    range: RangeInclusive<u32>,
    field: fn(&mut Limits) -> &mut u32,
}

/// Lists the bounds, and does not compile when [`Limits`] has one more.
macro_rules! bounds {
    ($($field:ident $key:literal $range:expr),* $(,)?) => {
        const BOUNDS: &[Bound] = &[$(
            Bound { key: $key, range: $range, field: |limits| &mut limits.$field },
        )*];

        #[allow(dead_code, reason = "it is here to be compiled")]
        fn every_field_has_a_bound(Limits { $($field: _),* }: Limits) {}
    };
}

bounds! {
    message_kib "message-kib" 1..=16_384,
    request_kib "request-kib" 16..=65_536,
    batch_messages "batch-messages" 1..=10_000,
    receivers "receivers" 1..=256,
    // The memory against duplicates reaches back 90 days (G4).
    expires_days "expires-days" 1..=90,
    outbox_mib "outbox-mib" 1..=1_048_576,
    outbox_messages "outbox-messages" 1..=10_000_000,
    inbox_mib "inbox-mib" 1..=1_048_576,
    inbox_messages "inbox-messages" 1..=10_000_000,
    mailbox_mib "mailbox-mib" 1..=1_048_576,
    mailbox_messages "mailbox-messages" 1..=10_000_000,
    remembered_messages "remembered-messages" 1_000..=1_000_000_000,
    journal_mib "journal-mib" 16..=16_777_216,
    retention_days "retention-days" 1..=3_650,
    index_messages "index-messages" 100..=100_000_000,
    reserve_percent "reserve-percent" 1..=50,
    segment_mib "segment-mib" 1..=1_024,
    connections "connections" 1..=65_536,
    connections_per_unit "connections-per-unit" 1..=64,
    units "units" 1..=100_000,
    inbox_lease_s "inbox-lease-s" 1..=3_600,
    inbox_max "inbox-max" 1..=10_000,
    api_requests "api-requests" 1..=16_384,
    attachment_mib "attachment-mib" 1..=2_048,
    attachments_mib "attachments-mib" 1..=16_777_216,
    attachment_unclaimed_hours "attachment-unclaimed-hours" 1..=8_760,
    attachment_keep_hours "attachment-keep-hours" 0..=8_760,
    history_mib "history-mib" 0..=1_024,
    custody_grace_s "custody-grace-s" 0..=7_776_000,
}

/// Reads `[limits]`; what is not there keeps its default.
pub(super) fn read(document: &Document<'_>, section: &Section<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    for bound in BOUNDS {
        let value = section
            .field(bound.key)
            .and_then(|field| field.number(bound.range.clone()));
        if let Some(value) = value {
            *(bound.field)(&mut limits) = value;
        }
    }
    section.finish();
    check_fit(document, section, &limits);
    limits
}

/// Bounds that contradict each other.
fn check_fit(document: &Document<'_>, section: &Section<'_, '_>, limits: &Limits) {
    // Told at the key that was set, for the other one may be a default that stands nowhere.
    let refuse = |keys: [&'static str; 2], problem: Pick, [this, that]: [u32; 2], fix: Both| {
        if let Some(field) = keys.into_iter().find_map(|key| section.field(key)) {
            let problem = told(|t| fill(problem(t), &[&this, &that]));
            document.error(field.at(), field.path(), problem, fix);
        }
    };
    let or_more = |key: &str, least: u64| told(|t| fill(t.write_or_more, &[&key, &least]));
    let or_smaller = |key: &str, least: u32, other: &str| {
        told(|t| fill(t.write_or_more_or_smaller, &[&key, &least, &other]))
    };
    // A body given as base64 is a third longer, and its attributes take 4 KiB and more.
    let request_kib = limits.message_kib + limits.message_kib.div_ceil(3) + 12;
    if limits.request_kib < request_kib {
        refuse(
            ["message-kib", "request-kib"],
            |t| t.message_over_request,
            [limits.message_kib, limits.request_kib],
            or_smaller("request-kib", request_kib, "message-kib"),
        );
    }
    // A record is never split over segments; a parcel's header takes up to 32 KiB.
    let segment_mib = (limits.message_kib + 64).div_ceil(1024);
    if limits.segment_mib < segment_mib {
        refuse(
            ["message-kib", "segment-mib"],
            |t| t.message_over_segment,
            [limits.message_kib, limits.segment_mib],
            or_smaller("segment-mib", segment_mib, "message-kib"),
        );
    }
    // One segment is written, one is being rewritten, and the two give way to one another.
    let journal_mib = limits.segment_mib.saturating_mul(4);
    if limits.journal_mib < journal_mib {
        refuse(
            ["journal-mib", "segment-mib"],
            |t| t.journal_too_small,
            [limits.journal_mib, limits.segment_mib],
            or_smaller("journal-mib", journal_mib, "segment-mib"),
        );
    }
    if limits.attachments_mib < limits.attachment_mib {
        refuse(
            ["attachments-mib", "attachment-mib"],
            |t| t.attachment_over_all,
            [limits.attachment_mib, limits.attachments_mib],
            or_more("attachments-mib", limits.attachment_mib.into()),
        );
    }
    if limits.connections < limits.connections_per_unit {
        refuse(
            ["connections", "connections-per-unit"],
            |t| t.unit_over_connections,
            [limits.connections_per_unit, limits.connections],
            or_more("connections", limits.connections_per_unit.into()),
        );
    }
    let queues = u64::from(limits.outbox_mib) + u64::from(limits.inbox_mib);
    if u64::from(limits.journal_mib) < queues
        && let Some(field) = ["journal-mib", "outbox-mib", "inbox-mib"]
            .into_iter()
            .find_map(|key| section.field(key))
    {
        field.advise(
            told(|t| fill(t.journal_fills_first, &[&limits.journal_mib, &queues])),
            or_more("journal-mib", queues),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_within_its_range() {
        let mut limits = Limits::default();
        for bound in BOUNDS {
            let value = *(bound.field)(&mut limits);
            assert!(bound.range.contains(&value), "{} = {value}", bound.key);
        }
    }

    #[test]
    fn every_key_is_its_fields_name() {
        let shown = format!("{:?}", Limits::default());
        for bound in BOUNDS {
            assert!(shown.contains(&format!(" {}:", bound.key.replace('-', "_"))));
        }
    }
}
