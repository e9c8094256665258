//! Links and the sessions over them, as people want to see them. Nothing here decides anything.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    api::{LinkView, PerLane},
    delivery::{SessionId, SessionView, Takes},
    language::{Both, Language, noticed},
    link::{LinkKind, SessionHandle},
    model::{Lane, Millis, UnitId},
    observe::{LinkMetrics, Metrics, NeighbourMetrics},
};

/// Longest name of a link that is shown, in characters; a neighbour says how its link is called.
const LINK_NAME_CHARS_MAX: usize = 64;

/// All links and sessions.
#[derive(Debug)]
pub(super) struct LinkBoard {
    metrics: Arc<Metrics>,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// The links that this node dials.
    dialled: BTreeMap<(UnitId, String), Dialled>,
    sessions: BTreeMap<SessionId, Arc<SessionRecord>>,
    /// When a unit was last connected. Only units with a certificate get in here.
    seen: BTreeMap<UnitId, Seen>,
}

/// A unit that was connected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When last.
    pub(super) at: Millis,
    /// The last moment of the certificate that it showed.
    pub(super) certificate_expires: Millis,
}

#[derive(Debug)]
struct Dialled {
    kind: LinkKind,
    /// Tasks that dial it: more than one for as long as an old one ends after a change.
    tasks: u32,
    /// Since when there is no session, and why.
    down: Option<(Millis, Both)>,
}

/// A session that has been set up.
#[derive(Debug)]
pub(super) struct Up {
    /// Who is at the other end.
    pub(super) neighbour: UnitId,
    /// The link's name, if this node has dialled it.
    pub(super) link: Option<String>,
    /// The link's kind.
    pub(super) kind: LinkKind,
    /// The other end's address.
    pub(super) address: SocketAddr,
    /// For what the transport knows.
    pub(super) handle: SessionHandle,
    /// When, milliseconds since the Unix epoch.
    pub(super) since: Millis,
    /// The last moment of the peer's certificate.
    pub(super) certificate_expires: Millis,
}

/// One session.
#[derive(Debug)]
pub(super) struct SessionRecord {
    neighbour: UnitId,
    kind: LinkKind,
    since: Millis,
    certificate_expires: Millis,
    address: SocketAddr,
    handle: SessionHandle,
    link: OnceLock<Named>,
    lanes_sent: [AtomicU64; Lane::ALL.len()],
    payload_sent: AtomicU64,
    payload_received: AtomicU64,
    /// What this node's own messages are compressed against.
    dictionary: Mutex<String>,
    of_neighbour: NeighbourMetrics,
}

/// What a session has once its link's name is known.
#[derive(Debug)]
struct Named {
    name: String,
    metrics: LinkMetrics,
    /// What the metrics have been told of the wire: bytes sent and received.
    told: Mutex<(u64, u64)>,
}

impl LinkBoard {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            board: Mutex::default(),
        }
    }

    /// A link that this node is to dial.
    pub(super) fn link(&self, neighbour: &UnitId, name: &str, kind: LinkKind, now: Millis) {
        let down = Some((now, noticed(|n| n.no_session_yet)));
        let key = (neighbour.clone(), name.to_owned());
        let mut board = self.lock();
        let tasks = board.dialled.get(&key).map_or(0, |link| link.tasks) + 1;
        board.dialled.insert(key, Dialled { kind, tasks, down });
    }

    /// A link that is dialled no more.
    pub(super) fn forget_link(&self, neighbour: &UnitId, name: &str) {
        let key = (neighbour.clone(), name.to_owned());
        let mut board = self.lock();
        let Some(link) = board.dialled.get_mut(&key) else {
            return;
        };
        link.tasks -= 1;
        if link.tasks == 0 {
            board.dialled.remove(&key);
        }
    }

    /// There is no session over a link that this node dials. The time is that of the first failure in a row.
    pub(super) fn link_down(&self, neighbour: &UnitId, name: &str, why: Both, now: Millis) {
        let key = (neighbour.clone(), name.to_owned());
        if let Some(link) = self.lock().dialled.get_mut(&key) {
            let since = link.down.as_ref().map_or(now, |(since, _)| *since);
            link.down = Some((since, why));
        }
    }

    /// A session has been set up.
    pub(super) fn up(&self, session: SessionId, up: Up) -> Arc<SessionRecord> {
        let record = Arc::new(SessionRecord {
            of_neighbour: self.metrics.neighbour(&up.neighbour),
            neighbour: up.neighbour,
            kind: up.kind,
            since: up.since,
            certificate_expires: up.certificate_expires,
            address: up.address,
            handle: up.handle,
            link: OnceLock::new(),
            lanes_sent: Default::default(),
            payload_sent: AtomicU64::default(),
            payload_received: AtomicU64::default(),
            dictionary: Mutex::default(),
        });
        if let Some(name) = &up.link {
            self.name(&record, name);
        }
        record.of_neighbour.session_up();
        let mut board = self.lock();
        if let Some(name) = up.link
            && let Some(link) = board.dialled.get_mut(&(record.neighbour.clone(), name))
        {
            link.down = None;
        }
        board
            .seen
            .insert(record.neighbour.clone(), record.seen(record.since));
        board.sessions.insert(session, record.clone());
        record
    }

    /// The neighbour says how its link is called.
    pub(super) fn name(&self, record: &SessionRecord, name: &str) {
        let shown: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(LINK_NAME_CHARS_MAX)
            .collect();
        record.link.get_or_init(|| Named {
            metrics: self.metrics.link(&shown),
            name: shown,
            told: Mutex::default(),
        });
    }

    /// A session has ended.
    pub(super) fn down(&self, session: SessionId, now: Millis) {
        let ended = {
            let mut board = self.lock();
            let ended = board.sessions.remove(&session);
            if let Some(record) = &ended {
                board
                    .seen
                    .insert(record.neighbour.clone(), record.seen(now));
            }
            ended
        };
        if let Some(record) = ended {
            record.tell_wire();
            record.of_neighbour.session_down();
        }
    }

    /// Whether a neighbour was heard within this time over another session than this one.
    pub(super) fn is_heard_beside(
        &self,
        neighbour: &UnitId,
        session: SessionId,
        within: Duration,
    ) -> bool {
        let board = self.lock();
        board.sessions.iter().any(|(id, record)| {
            *id != session
                && record.neighbour == *neighbour
                && record.handle.stats().silent < within
        })
    }

    /// Brings what the metrics say of the wire up to date.
    pub(super) fn tell_wire(&self) {
        let sessions: Vec<_> = self.lock().sessions.values().cloned().collect();
        for session in sessions {
            session.tell_wire();
        }
    }

    /// When a unit was last connected, if ever since the node started, and with what.
    pub(super) fn seen(&self, unit: &UnitId) -> Option<Seen> {
        self.lock().seen.get(unit).copied()
    }

    /// Every link and every session, in order of neighbour and link, with what the machine knows of the sessions, and why there is none
    /// in a language.
    pub(super) fn views(
        &self,
        known: &BTreeMap<SessionId, SessionView>,
        language: Language,
    ) -> Vec<LinkView> {
        let board = self.lock();
        let mut views: Vec<_> = board
            .sessions
            .iter()
            .map(|(session, record)| record.view(known.get(session)))
            .collect();
        for ((neighbour, name), link) in &board.dialled {
            if let Some((since, why)) = &link.down {
                views.push(LinkView {
                    neighbour: neighbour.clone(),
                    link: name.clone(),
                    kind: link.kind.as_str().to_owned(),
                    up: false,
                    state: "down",
                    since: Some(*since),
                    address: None,
                    rtt_ms: None,
                    loss_percent: None,
                    rate_bps: None,
                    sent_bps: None,
                    received_bps: None,
                    payload_sent_bps: None,
                    bytes_sent: 0,
                    bytes_received: 0,
                    payload_sent: 0,
                    payload_received: 0,
                    ratio_sent: None,
                    ratio_received: None,
                    in_flight_bytes: 0,
                    takes: Takes::All.as_str(),
                    cost_s: 0.0,
                    usage: None,
                    lanes_sent: PerLane::default(),
                    dictionary: None,
                    error: Some(why.of(language).to_owned()),
                });
            }
        }
        views.sort_by(|a, b| (&a.neighbour, &a.link).cmp(&(&b.neighbour, &b.link)));
        views
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionRecord {
    fn seen(&self, at: Millis) -> Seen {
        Seen {
            at,
            certificate_expires: self.certificate_expires,
        }
    }

    /// A batch of so many bytes was given to the link; its parcels had `payload_bytes`.
    pub(super) fn batch_sent(&self, lane: Lane, bytes: u64, payload_bytes: u64) {
        if let Some(sent) = self.lanes_sent.get(lane.index()) {
            sent.fetch_add(bytes, Ordering::Relaxed);
        }
        self.payload_sent
            .fetch_add(payload_bytes, Ordering::Relaxed);
        if let Some(link) = self.link.get() {
            link.metrics.batch_sent(payload_bytes);
        }
    }

    /// A batch came whose parcels have `payload_bytes`.
    pub(super) fn batch_received(&self, payload_bytes: u64) {
        self.payload_received
            .fetch_add(payload_bytes, Ordering::Relaxed);
        if let Some(link) = self.link.get() {
            link.metrics.batch_received(payload_bytes);
        }
    }

    /// What this node's own messages are compressed against from now on.
    pub(super) fn compresses_against(&self, dictionary: String) {
        *self.dictionary() = dictionary;
    }

    fn dictionary(&self) -> MutexGuard<'_, String> {
        self.dictionary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An ack frame was sent.
    pub(super) fn ack_sent(&self) {
        if let Some(link) = self.link.get() {
            link.metrics.ack_sent();
        }
    }

    /// An ack frame came.
    pub(super) fn ack_received(&self) {
        if let Some(link) = self.link.get() {
            link.metrics.ack_received();
        }
    }

    /// The link's name, as far as it is known.
    pub(super) fn link(&self) -> &str {
        self.link.get().map_or("", |named| named.name.as_str())
    }

    fn tell_wire(&self) {
        let Some(link) = self.link.get() else { return };
        let stats = self.handle.stats();
        let mut told = link.told.lock().unwrap_or_else(PoisonError::into_inner);
        link.metrics.wire(
            stats.sent_bytes.saturating_sub(told.0),
            stats.received_bytes.saturating_sub(told.1),
        );
        *told = (stats.sent_bytes, stats.received_bytes);
    }

    fn view(&self, known: Option<&SessionView>) -> LinkView {
        let stats = self.handle.stats();
        let rtt = stats.rtt.as_secs_f64();
        let lost = stats.lost_packets as f64 / stats.sent_datagrams.max(1) as f64;
        let lanes = self.lanes_sent.each_ref();
        let payload_sent = self.payload_sent.load(Ordering::Relaxed);
        let payload_received = self.payload_received.load(Ordering::Relaxed);
        let state = known.filter(|session| session.open);
        let terms = known.map(|session| session.terms).unwrap_or_default();
        LinkView {
            neighbour: self.neighbour.clone(),
            link: self.link().to_owned(),
            kind: self.kind.as_str().to_owned(),
            up: true,
            state: state.map_or("opening", |session| session.trust.as_str()),
            since: Some(self.since),
            address: Some(self.address.to_string()),
            rtt_ms: Some((rtt * 1e5).round() / 100.0),
            loss_percent: Some((lost * 1e4).round().min(1e4) / 100.0),
            rate_bps: Some(stats.rate.saturating_mul(8)),
            sent_bps: None,
            received_bps: None,
            payload_sent_bps: None,
            bytes_sent: stats.sent_bytes,
            bytes_received: stats.received_bytes,
            payload_sent,
            payload_received,
            ratio_sent: ratio(stats.sent_bytes, payload_sent),
            ratio_received: ratio(stats.received_bytes, payload_received),
            in_flight_bytes: known.map_or(0, |session| session.under_way_bytes),
            takes: terms.takes.as_str(),
            cost_s: f64::from(terms.cost_ms) / 1000.0,
            usage: None,
            lanes_sent: lanes.map(|sent| sent.load(Ordering::Relaxed)).into(),
            dictionary: Some(self.dictionary().clone()).filter(|name| !name.is_empty()),
            error: None,
        }
    }
}

/// Bytes on the wire for each byte of parcels, to a thousandth.
fn ratio(wire: u64, payload: u64) -> Option<f64> {
    (payload > 0).then(|| (wire as f64 / payload as f64 * 1e3).round() / 1e3)
}
