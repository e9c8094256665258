//! The node's metrics, rendered for Prometheus.
//!
//! Names follow the conventions: `casegate_` first, base units (bytes, seconds), `_total` for what only grows. Every label is
//! bounded: lanes, reasons, routes and statuses by their types, neighbours by `limits.units`, links by [`Metrics::LINKS_MAX`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use super::{
    exposition::{self, Register},
    labels::{
        BuildLabel, CertificateLabel, LaneLabel, LinkLabel, Names, NeighbourLabel, OTHER,
        QueueLabel, ReasonLabel, RequestLabel, RouteLabel, Word,
    },
    links::{LinkFigures, LinkGauges},
    local::LocalMetrics,
    traces::TraceMetrics,
};
use crate::{
    index::Health,
    model::{Lane, Lsn, Millis, Reason, UnitId},
};

type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// Everything that a node counts. Cheap to update from any task or thread.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    neighbours: Names,
    links: Names,

    accepted: Family<LaneLabel, Counter>,
    received: Family<LaneLabel, Counter>,
    delivered: Family<LaneLabel, Counter>,
    expired: Family<LaneLabel, Counter>,
    dropped: Family<LaneLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,

    queue_messages: Family<QueueLabel, Gauge>,
    queue_bytes: Family<QueueLabel, Gauge>,
    queue_oldest_age: Family<NeighbourLabel, Gauge>,
    queue_expiring: Family<NeighbourLabel, Gauge>,
    sessions: Family<NeighbourLabel, Gauge>,

    wire_sent: Family<LinkLabel, Counter>,
    wire_received: Family<LinkLabel, Counter>,
    payload_sent: Family<LinkLabel, Counter>,
    payload_received: Family<LinkLabel, Counter>,
    batches_sent: Family<LinkLabel, Counter>,
    batches_received: Family<LinkLabel, Counter>,
    acks_sent: Family<LinkLabel, Counter>,
    acks_received: Family<LinkLabel, Counter>,
    link_gauges: LinkGauges,

    journal_synced_lsn: Gauge,
    journal_bytes: Gauge,
    journal_segments: Gauge,
    journal_sync: Histogram,
    journal_checkpoints: Counter,
    journal_quarantined: Counter,
    disk_full: Gauge,
    storage_failed: Gauge,

    certificate_expiry: Family<CertificateLabel, Gauge>,

    index_position: Gauge,
    index_waiting: Gauge,
    index_messages: Gauge,
    index_up: Gauge,
    index_rebuilds: Gauge,
    messages_lost: Gauge,

    inbox_messages: Gauge,
    inbox_bytes: Gauge,
    inbox_oldest_age: Gauge,
    history_bytes: Gauge,

    attachments: Gauge,
    attachments_bytes: Gauge,
    attachments_sent: Counter,
    attachments_received: Counter,

    local: LocalMetrics,
    traces: TraceMetrics,

    api_requests: Family<RequestLabel, Counter>,
    api_duration: HistogramFamily<RouteLabel>,
}

/// The metrics of one neighbour. Those beyond the bound share one set, under the name `_other`.
#[derive(Clone, Debug)]
pub struct NeighbourMetrics {
    queue_messages: [Gauge; Lane::ALL.len()],
    queue_bytes: [Gauge; Lane::ALL.len()],
    oldest_age: Gauge,
    expiring: Gauge,
    sessions: Gauge,
    is_shared: bool,
}

/// The metrics of all links of one name: of one link at an edge; at a hub, of every unit's link that bears the name.
#[derive(Clone, Debug)]
pub struct LinkMetrics {
    wire_sent: Counter,
    wire_received: Counter,
    payload_sent: Counter,
    payload_received: Counter,
    batches_sent: Counter,
    batches_received: Counter,
    acks_sent: Counter,
    acks_received: Counter,
}

impl Metrics {
    /// Most names of links; those beyond share the name `_other`. A neighbour names its own links, so the number needs a bound.
    pub const LINKS_MAX: usize = 32;

    /// What [`Metrics::render`] writes, for the `Content-Type` of `/metrics`.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Metrics that tell at most `neighbours_max` neighbours apart.
    pub fn new(neighbours_max: usize) -> Self {
        let mut all = Register(Registry::with_prefix("casegate"));
        let version = Word(env!("CARGO_PKG_VERSION"));
        all.0.register(
            "build",
            "The program's version",
            Info::new(BuildLabel { version }),
        );
        Self {
            neighbours: Names::new(neighbours_max),
            links: Names::new(Self::LINKS_MAX),

            accepted: all.add("messages_accepted", "Messages accepted from applications"),
            received: all.add(
                "messages_received",
                "Parcels stored from neighbours, each once",
            ),
            delivered: all.add("messages_delivered", "Messages put into the inbox"),
            expired: all.add("messages_expired", "Messages whose time ran out here"),
            dropped: all.add("messages_dropped", "Messages that an operator dropped here"),
            refused: all.add("messages_refused", "Messages not let through, by reason"),

            queue_messages: all.add("queue_messages", "Messages queued towards a neighbour"),
            queue_bytes: all.add_in(Unit::Bytes, "queue", "Bodies queued towards a neighbour"),
            queue_oldest_age: all.add_in(
                Unit::Seconds,
                "queue_oldest_age",
                "How long the oldest message queued towards a neighbour has waited; 0 when none is",
            ),
            queue_expiring: all.add(
                "queue_expiring_messages",
                "Messages queued towards a neighbour that expire within a day",
            ),
            sessions: all.add("sessions", "Live sessions with a neighbour"),

            wire_sent: all.add_in(Unit::Bytes, "wire_sent", "UDP payload sent over a link"),
            wire_received: all.add_in(
                Unit::Bytes,
                "wire_received",
                "UDP payload received over a link",
            ),
            payload_sent: all.add_in(
                Unit::Bytes,
                "payload_sent",
                "Parcels sent over a link, before compression",
            ),
            payload_received: all.add_in(
                Unit::Bytes,
                "payload_received",
                "Parcels received over a link, after decompression",
            ),
            batches_sent: all.add("batches_sent", "Batches sent over a link"),
            batches_received: all.add("batches_received", "Batches received over a link"),
            acks_sent: all.add("acks_sent", "Ack frames sent over a link"),
            acks_received: all.add("acks_received", "Ack frames received over a link"),
            link_gauges: LinkGauges::new(&mut all.0),

            journal_synced_lsn: all.add("journal_synced_lsn", "The last record on stable storage"),
            journal_bytes: all.add_in(Unit::Bytes, "journal", "The journal on disk"),
            journal_segments: all.add("journal_segments", "Segment files of the journal"),
            journal_sync: all.add_with(
                Unit::Seconds,
                "journal_sync",
                "How long a write and its fdatasync took",
                sync_histogram(),
            ),
            journal_checkpoints: all.add("journal_checkpoints", "Checkpoints written"),
            journal_quarantined: all.add(
                "journal_quarantined",
                "Damaged stretches of the journal that were set aside",
            ),
            disk_full: all.add(
                "disk_full",
                "Whether the journal finds no room on its disk; only urgent messages are taken",
            ),
            storage_failed: all.add(
                "storage_failed",
                "Whether a write or sync failed; nothing is taken until a restart",
            ),

            certificate_expiry: all.add_in(
                Unit::Seconds,
                "certificate_expiry_timestamp",
                "When this node's certificate expires, seconds since the Unix epoch",
            ),

            index_position: all.add(
                "index_position_lsn",
                "The last record that the index knows of",
            ),
            index_waiting: all.add(
                "index_waiting_events",
                "Events that the index has not taken in yet",
            ),
            index_messages: all.add("index_messages", "Messages that can be found"),
            index_up: all.add("index_up", "Whether search and history answer"),
            messages_lost: all.add(
                "messages_lost",
                "Messages that were in records of the journal which this start did not find",
            ),
            index_rebuilds: all.add(
                "index_rebuilds",
                "How many times the index was set aside since the start",
            ),

            inbox_messages: all.add(
                "inbox_messages",
                "Messages waiting for the local application",
            ),
            inbox_bytes: all.add_in(
                Unit::Bytes,
                "inbox",
                "Bodies waiting for the local application",
            ),
            inbox_oldest_age: all.add_in(
                Unit::Seconds,
                "inbox_oldest_age",
                "How long the oldest message has waited for the local application; 0 when none does",
            ),

            history_bytes: all.add_in(
                Unit::Bytes,
                "history",
                "What is remembered of messages that were sent or came, for later ones to be compressed against",
            ),

            attachments: all.add("attachments", "Attachments that are here whole"),
            attachments_bytes: all.add_in(
                Unit::Bytes,
                "attachments",
                "What attachments take on disk, those that are coming included",
            ),
            attachments_sent: all.add_in(
                Unit::Bytes,
                "attachments_sent",
                "Chunks of attachments sent to neighbours",
            ),
            attachments_received: all.add_in(
                Unit::Bytes,
                "attachments_received",
                "Chunks of attachments received from neighbours, verified, each once",
            ),

            local: LocalMetrics::new(&mut all),
            traces: TraceMetrics::new(&mut all),

            api_requests: all.add("api_requests", "HTTP requests answered"),
            api_duration: all.add_with(
                Unit::Seconds,
                "api_request_duration",
                "How long an HTTP request took, long polls included",
                HistogramFamily::new_with_constructor(request_histogram),
            ),
            registry: all.0,
        }
    }

    /// The metrics in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        exposition::render(&self.registry)
    }

    /// What passes over folders and posts.
    pub fn local(&self) -> &LocalMetrics {
        &self.local
    }

    /// What is told of messages to whoever follows them over all nodes.
    pub fn traces(&self) -> &TraceMetrics {
        &self.traces
    }

    /// A message was accepted from an application.
    pub fn accepted(&self, lane: Lane) {
        self.accepted.get_or_create(&lane.into()).inc();
    }

    /// A parcel came from a neighbour and was stored.
    pub fn received(&self, lane: Lane) {
        self.received.get_or_create(&lane.into()).inc();
    }

    /// A message was put into the inbox.
    pub fn delivered(&self, lane: Lane) {
        self.delivered.get_or_create(&lane.into()).inc();
    }

    /// A message's time ran out here.
    pub fn expired(&self, lane: Lane) {
        self.expired.get_or_create(&lane.into()).inc();
    }

    /// An operator dropped a message here.
    pub fn dropped(&self, lane: Lane) {
        self.dropped.get_or_create(&lane.into()).inc();
    }

    /// A message was not let through.
    pub fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&reason.into()).inc();
    }

    /// So much is remembered for later messages to be compressed against, bytes.
    pub fn set_history(&self, bytes: u64) {
        self.history_bytes.set(gauge_value(bytes));
    }

    /// The metrics of a neighbour; keep them with the session or the hop, looking them up takes locks.
    pub fn neighbour(&self, unit: &UnitId) -> NeighbourMetrics {
        let name = self.neighbours.label(unit.as_str());
        let of_lanes = |family: &Family<QueueLabel, Gauge>| {
            Lane::ALL.map(|lane| {
                family.get_or_create_owned(&QueueLabel {
                    neighbour: name.clone(),
                    lane: Word(lane.as_str()),
                })
            })
        };
        NeighbourMetrics {
            queue_messages: of_lanes(&self.queue_messages),
            queue_bytes: of_lanes(&self.queue_bytes),
            is_shared: name == OTHER,
            oldest_age: self.queue_oldest_age.get_or_create_owned(&NeighbourLabel {
                neighbour: name.clone(),
            }),
            expiring: self.queue_expiring.get_or_create_owned(&NeighbourLabel {
                neighbour: name.clone(),
            }),
            sessions: self
                .sessions
                .get_or_create_owned(&NeighbourLabel { neighbour: name }),
        }
    }

    /// Shows a neighbour no more, and makes room for another. Handles to its metrics go on working and are no longer shown.
    pub fn forget_neighbour(&self, unit: &UnitId) {
        if !self.neighbours.forget(unit.as_str()) {
            return;
        }
        let neighbour = unit.as_str().to_owned();
        for lane in Lane::ALL {
            let label = QueueLabel {
                neighbour: neighbour.clone(),
                lane: Word(lane.as_str()),
            };
            self.queue_messages.remove(&label);
            self.queue_bytes.remove(&label);
        }
        let label = NeighbourLabel { neighbour };
        self.queue_oldest_age.remove(&label);
        self.queue_expiring.remove(&label);
        self.sessions.remove(&label);
    }

    /// The metrics of the links called `name`; keep them with the session, looking them up takes locks.
    pub fn link(&self, name: &str) -> LinkMetrics {
        let label = LinkLabel {
            link: self.links.label(name),
        };
        LinkMetrics {
            wire_sent: self.wire_sent.get_or_create_owned(&label),
            wire_received: self.wire_received.get_or_create_owned(&label),
            payload_sent: self.payload_sent.get_or_create_owned(&label),
            payload_received: self.payload_received.get_or_create_owned(&label),
            batches_sent: self.batches_sent.get_or_create_owned(&label),
            batches_received: self.batches_received.get_or_create_owned(&label),
            acks_sent: self.acks_sent.get_or_create_owned(&label),
            acks_received: self.acks_received.get_or_create_owned(&label),
        }
    }

    /// What links are like now; others are not shown any more.
    pub fn set_links<'a>(&self, links: impl IntoIterator<Item = (&'a str, LinkFigures)>) {
        self.link_gauges.set(&self.links, links);
    }

    /// Everything up to `lsn` is on stable storage; the last write and its fdatasync took `took`.
    pub fn journal_synced(&self, lsn: Lsn, took: Duration) {
        self.journal_synced_lsn.set(gauge_value(lsn));
        self.journal_sync.observe(took.as_secs_f64());
    }

    /// The journal takes `bytes` on disk, in `segments` files.
    pub fn set_journal_size(&self, bytes: u64, segments: u64) {
        self.journal_bytes.set(gauge_value(bytes));
        self.journal_segments.set(gauge_value(segments));
    }

    /// Whether the disk is full, and whether the storage has failed.
    pub fn set_storage(&self, disk_full: bool, failed: bool) {
        self.disk_full.set(i64::from(disk_full));
        self.storage_failed.set(i64::from(failed));
    }

    /// When this node's certificates expire, milliseconds since the Unix epoch.
    pub fn set_certificates(&self, tls_not_after: Millis, signing_not_after: Millis) {
        for (certificate, not_after) in [("tls", tls_not_after), ("signing", signing_not_after)] {
            let certificate = Word(certificate);
            self.certificate_expiry
                .get_or_create(&CertificateLabel { certificate })
                .set(gauge_value(not_after / 1000));
        }
    }

    /// How the index is.
    pub fn set_index(&self, health: &Health) {
        self.index_position.set(gauge_value(health.position));
        self.index_waiting.set(gauge_value(health.waiting));
        self.index_messages.set(gauge_value(health.messages));
        self.index_up.set(i64::from(health.open));
        self.index_rebuilds.set(gauge_value(health.rebuilt));
        self.messages_lost.set(gauge_value(health.lost.len()));
    }

    /// A checkpoint was written.
    pub fn journal_checkpoint(&self) {
        self.journal_checkpoints.inc();
    }

    /// A damaged stretch of the journal was set aside.
    pub fn journal_quarantined(&self) {
        self.journal_quarantined.inc();
    }

    /// So much waits for the local application, the oldest for so long.
    pub fn set_inbox(&self, messages: u64, bytes: u64, oldest_age: Duration) {
        self.inbox_oldest_age.set(gauge_value(oldest_age.as_secs()));
        self.inbox_messages.set(gauge_value(messages));
        self.inbox_bytes.set(gauge_value(bytes));
    }

    /// `whole` attachments are here, and all take `bytes` on disk.
    pub fn set_attachments(&self, whole: u64, bytes: u64) {
        self.attachments.set(gauge_value(whole));
        self.attachments_bytes.set(gauge_value(bytes));
    }

    /// Chunks of an attachment left for a neighbour.
    pub fn attachment_sent(&self, bytes: u64) {
        self.attachments_sent.inc_by(bytes);
    }

    /// Chunks of an attachment came from a neighbour and were new.
    pub fn attachment_received(&self, bytes: u64) {
        self.attachments_received.inc_by(bytes);
    }

    /// An HTTP request was answered with `status` after `took`. `route` is the route's template (`/v1/messages/{messageid}`), never
    /// the path that was asked for; for one that no route takes, use a fixed word.
    pub fn api_request(&self, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.api_requests
            .get_or_create(&RequestLabel {
                route: route.clone(),
                status,
            })
            .inc();
        self.api_duration
            .get_or_create(&RouteLabel { route })
            .observe(took.as_secs_f64());
    }
}

impl NeighbourMetrics {
    /// So much is queued in a lane.
    ///
    /// Nothing changes for neighbours beyond the bound: the last of many to be set would be shown as if it were all of them.
    pub fn set_queue(&self, lane: Lane, messages: u64, bytes: u64) {
        if self.is_shared {
            return;
        }
        if let Some(gauge) = self.queue_messages.get(lane.index()) {
            gauge.set(gauge_value(messages));
        }
        if let Some(gauge) = self.queue_bytes.get(lane.index()) {
            gauge.set(gauge_value(bytes));
        }
    }

    /// The oldest message that is queued has waited for so long; zero where none is. The same holds of neighbours beyond the bound.
    pub fn set_oldest_age(&self, age: Duration) {
        if !self.is_shared {
            self.oldest_age.set(gauge_value(age.as_secs()));
        }
    }

    /// So many messages that are queued end within a day. The same holds of neighbours beyond the bound.
    pub fn set_expiring(&self, messages: u64) {
        if !self.is_shared {
            self.expiring.set(gauge_value(messages));
        }
    }

    /// A session came up.
    pub fn session_up(&self) {
        self.sessions.inc();
    }

    /// A session ended.
    pub fn session_down(&self) {
        self.sessions.dec();
    }
}

impl LinkMetrics {
    /// UDP payload was sent and received since the last call, in bytes.
    pub fn wire(&self, sent_bytes: u64, received_bytes: u64) {
        self.wire_sent.inc_by(sent_bytes);
        self.wire_received.inc_by(received_bytes);
    }

    /// A batch was sent whose parcels have `payload_bytes` before compression.
    pub fn batch_sent(&self, payload_bytes: u64) {
        self.batches_sent.inc();
        self.payload_sent.inc_by(payload_bytes);
    }

    /// A batch came whose parcels have `payload_bytes` after decompression.
    pub fn batch_received(&self, payload_bytes: u64) {
        self.batches_received.inc();
        self.payload_received.inc_by(payload_bytes);
    }

    /// An ack frame was sent.
    pub fn ack_sent(&self) {
        self.acks_sent.inc();
    }

    /// An ack frame came.
    pub fn ack_received(&self) {
        self.acks_received.inc();
    }
}

/// From an SSD's 50 us to a disk that hangs for seconds.
fn sync_histogram() -> Histogram {
    Histogram::new([
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    ])
}

/// From a look-up in memory to a long poll of 60 s.
fn request_histogram() -> Histogram {
    Histogram::new([
        0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 60.0,
    ])
}

/// A gauge holds an `i64`, and a greater one cannot be written.
fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
