//! Every bound, with its unit in its name (G7).

/// The bounds that an operator may set, `[limits]` in the configuration. `config/hub.toml` says what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each name says what it bounds and in which unit; the configuration files explain them"
)]
pub struct Limits {
    /// Largest parcel body, KiB.
    pub message_kib: u32,
    /// Largest HTTP request, KiB.
    pub request_kib: u32,
    /// Most messages of one submitted batch.
    pub batch_messages: u32,
    /// Most receivers that one message names.
    pub receivers: u32,
    /// Longest time that a message may be kept, days.
    pub expires_days: u32,
    /// Bodies queued towards the upstream, MiB.
    pub outbox_mib: u32,
    /// Messages queued towards the upstream; and messages of the node's own whose end no receipt has told yet.
    pub outbox_messages: u32,
    /// Bodies waiting for the local application, MiB.
    pub inbox_mib: u32,
    /// Messages waiting for the local application.
    pub inbox_messages: u32,
    /// Bodies in one unit's mailbox, MiB.
    pub mailbox_mib: u32,
    /// Messages in one unit's mailbox.
    pub mailbox_messages: u32,
    /// Messages of 90 days that are remembered, so that none is taken twice: as many that came, and as many that were submitted.
    pub remembered_messages: u32,
    /// The whole journal on disk, MiB.
    pub journal_mib: u32,
    /// How long a message is known to search and history after its acceptance, days.
    pub retention_days: u32,
    /// Messages that are known to search and history.
    pub index_messages: u32,
    /// What only urgent lanes, receipts and acks may use, percent of each storage bound.
    pub reserve_percent: u32,
    /// One journal segment, MiB.
    pub segment_mib: u32,
    /// Live connections at a hub.
    pub connections: u32,
    /// Live connections of one unit.
    pub connections_per_unit: u32,
    /// Units that a hub knows.
    pub units: u32,
    /// How long an inbox lease lasts, seconds.
    pub inbox_lease_s: u32,
    /// Most messages that one inbox call hands out.
    pub inbox_max: u32,
    /// HTTP requests under way at once.
    pub api_requests: u32,
    /// Largest single attachment, MiB.
    pub attachment_mib: u32,
    /// All attachments on disk, those that are under way here included, MiB.
    pub attachments_mib: u32,
    /// How long an attachment stays that no message names yet, hours.
    pub attachment_unclaimed_hours: u32,
    /// How long an attachment stays after the last message that names it has gone, hours; less when its room is needed.
    pub attachment_keep_hours: u32,
    /// What is remembered of messages that were sent and received, so that later ones are smaller, MiB of memory; 0: nothing.
    pub history_mib: u32,
    /// How long an origin waits past a message's expiry for a receipt before it calls the message expired, seconds.
    pub custody_grace_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_kib: 1024,
            request_kib: 16 * 1024,
            batch_messages: 1000,
            receivers: 64,
            expires_days: 90,
            outbox_mib: 4096,
            outbox_messages: 2_000_000,
            inbox_mib: 1024,
            inbox_messages: 500_000,
            mailbox_mib: 1024,
            mailbox_messages: 500_000,
            remembered_messages: 20_000_000,
            journal_mib: 16 * 1024,
            retention_days: 365,
            index_messages: 2_000_000,
            reserve_percent: 10,
            segment_mib: 16,
            connections: 4096,
            connections_per_unit: 4,
            units: 10_000,
            inbox_lease_s: 60,
            inbox_max: 1000,
            api_requests: 512,
            attachment_mib: 2048,
            attachments_mib: 20 * 1024,
            attachment_unclaimed_hours: 24,
            attachment_keep_hours: 24,
            history_mib: 32,
            custody_grace_s: 24 * 3600,
        }
    }
}
