//! One session, from the end of its handshake to its last event: frames and batches between the link and the owner.
//!
//! Certificates are this room's own affair: a batch with a signer that is not known waits here, packed as it came, until the
//! neighbour has sent the certificate. Such a batch keeps its share of what the session may hold, so that a neighbour that sends
//! more and more of them is slowed down by the link.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{oneshot::error::RecvError, watch},
    time::{Instant, sleep_until},
};

use super::{
    board::{SessionRecord, Up},
    command::{Command, End, Port, PortEnd, ToSession},
    judge::{Bench, Opened},
    live::Live,
    outgoing::{self, PackError, Packed},
    shared::{Shared, Unavailable},
    workers::{Urgency, WorkerFailed},
};
use crate::{
    delivery::{Arrival, Close, Input, LinkInfo, SessionId, hop::Frame},
    link::{self, CloseCode, Ended, LinkKind, Outgoing, Received, Running, SessionHandle},
    model::{Fingerprint, Lane, Millis, Reason, UnitId},
    wire::{self, BatchError, BatchLimits, Compression, FrameDecoder},
};

/// Bytes of one control message; a larger frame goes in several.
const CONTROL_BYTES: usize = 64 * 1024;
/// Frames and batches that wait for the link before more is taken from the owner.
const PENDING_MAX: usize = 32;
/// How long a batch may wait for its signers' certificates.
const CERTIFICATES_WITHIN: Duration = Duration::from_secs(60);
/// How long the end of a session may take.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Certificates that were judged not to count, of one session.
const UNTRUSTED_MAX: usize = 1024;
/// Least bytes of a batch, unpacked, that are taken, whatever the settings say of messages.
const BATCH_BYTES_MIN: usize = 4 * 1024 * 1024;
/// What a parcel has beside its body, at most, bytes.
const PARCEL_BYTES: usize = 64 * 1024;

/// How a session is carried.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    /// The link's name, where this node has dialled it.
    pub(super) name: Option<String>,
    /// The link's kind.
    pub(super) kind: LinkKind,
    /// What batches are compressed against.
    pub(super) compression: Compression,
}

/// What became of a session.
#[derive(Debug)]
pub(super) struct Carried {
    /// How it ended.
    pub(super) ended: Ended,
    /// Whether the neighbour said hello.
    pub(super) met: bool,
}

/// Carries a session to its end. `leave` ends it when its link is given up.
pub(super) async fn carry(
    shared: &Arc<Shared>,
    session: link::Session,
    carrier: Carrier,
    leave: &mut watch::Receiver<bool>,
) -> Carried {
    let id = shared.new_session();
    let peer = session.peer().clone();
    let live = shared.live();
    let limits = batch_limits(&live);
    let address = session.remote_address();
    let Running {
        commands,
        mut events,
        handle,
    } = session
        .with_batch_bytes_max(limits.packed_bytes_max())
        .start();
    let up = Up {
        neighbour: peer.unit.clone(),
        link: carrier.name.clone(),
        kind: carrier.kind,
        address,
        handle: handle.clone(),
        since: shared.clock.wall(),
    };
    let record = shared.board.up(id, up);
    let (port, of_session) = Port::pair();
    let up = Command::Up {
        session: id,
        neighbour: peer.unit.clone(),
        link: LinkInfo {
            name: carrier.name.clone().unwrap_or_default(),
            kind: carrier.kind.as_str().to_owned(),
        },
        port,
    };
    let mut pump = Pump {
        shared: shared.clone(),
        id,
        neighbour: peer.unit,
        carrier,
        limits,
        record,
        handle,
        frames: FrameDecoder::new(),
        pending: VecDeque::new(),
        under_way: FuturesUnordered::new(),
        held: Vec::new(),
        wanted: BTreeSet::new(),
        untrusted: Arc::default(),
        sent: 0,
        met: false,
        ending: None,
    };
    let told = shared.command(up).await.is_ok();
    if !told {
        pump.end(&End::Stopping);
    }
    let expires = expiry(shared, peer.not_after);
    let ended = pump
        .run(commands, &mut events, of_session, leave, expires)
        .await;
    if told {
        // The owner may have stopped meanwhile; then nobody needs to know.
        let _ = shared.command(Command::Down { session: id }).await;
    }
    shared.board.down(id, shared.clock.wall());
    tracing::info!(unit = %pump.neighbour, link = pump.record.link(), session = id, %ended, "a session ended");
    Carried {
        ended,
        met: pump.met,
    }
}

struct Pump {
    shared: Arc<Shared>,
    id: SessionId,
    neighbour: UnitId,
    carrier: Carrier,
    limits: BatchLimits,
    record: Arc<SessionRecord>,
    handle: SessionHandle,
    frames: FrameDecoder,
    /// What the link is to take next.
    pending: VecDeque<link::Command>,
    /// What workers do for the session.
    under_way: FuturesUnordered<BoxFuture<'static, Result<Done, WorkerFailed>>>,
    held: Vec<Held>,
    /// Certificates that the neighbour was asked for.
    wanted: BTreeSet<Fingerprint>,
    /// Certificates that came and do not count.
    untrusted: Arc<BTreeMap<Fingerprint, Reason>>,
    sent: u64,
    met: bool,
    /// By when the end must be there.
    ending: Option<Instant>,
}

/// A batch that waits for certificates.
struct Held {
    batch: Received,
    missing: BTreeSet<Fingerprint>,
    until: Instant,
}

/// What a worker has done.
enum Done {
    Judged(Judged),
    Packed(Lane, Result<Packed, PackError>),
    /// A certificate was judged: whether it counts, or why not, or nothing when it cannot be kept.
    Certificate(Fingerprint, Result<(), Option<Reason>>),
    /// Certificates that the neighbour asked for.
    Found(Vec<Frame>),
}

/// What came of a batch.
enum Judged {
    Arrivals(Vec<Arrival>),
    /// Some signers are not known.
    Unknown(Received, BTreeSet<Fingerprint>),
    Broken(BatchError),
}

/// Why the session is to end.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Owner(#[from] Unavailable),
    #[error(transparent)]
    Worker(#[from] WorkerFailed),
    #[error("{0}")]
    Frame(#[from] wire::FrameError),
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("a parcel cannot be sent: {0}")]
    Pack(#[from] PackError),
    #[error("a signer's certificate cannot be kept here")]
    Trust,
    #[error("the certificates of signers did not come in time")]
    Certificates,
    #[error("the peer's certificate has expired")]
    Expired,
    #[error("the link was taken out of the configuration")]
    LinkGone,
}

impl Fault {
    fn code(&self) -> CloseCode {
        match self {
            Fault::Owner(_) | Fault::LinkGone => CloseCode::Done,
            Fault::Worker(_) | Fault::Pack(_) | Fault::Trust => CloseCode::Busy,
            Fault::Frame(_) | Fault::Batch(_) | Fault::Certificates => CloseCode::Protocol,
            Fault::Expired => CloseCode::Blocked,
        }
    }
}

fn end_code(end: &End) -> CloseCode {
    match end {
        End::Machine(close) => match close {
            Close::Protocol(_) | Close::Version(_) => CloseCode::Protocol,
            Close::Unit(_) => CloseCode::Identity,
            Close::Blocked | Close::NotANeighbour => CloseCode::Blocked,
            Close::NewEpoch => CloseCode::Done,
            Close::Replaced => CloseCode::Replaced,
        },
        End::Stuck | End::StorageFailed => CloseCode::Busy,
        End::Stopping => CloseCode::Done,
    }
}

impl Pump {
    async fn run(
        &mut self,
        commands: tokio::sync::mpsc::Sender<link::Command>,
        events: &mut tokio::sync::mpsc::Receiver<link::Event>,
        mut port: PortEnd,
        leave: &mut watch::Receiver<bool>,
        expires: Instant,
    ) -> Ended {
        let mut left = false;
        loop {
            let ending = self.ending.is_some();
            let deadline = self.deadline(expires);
            let step = tokio::select! {
                biased;
                end = &mut port.end, if !ending => {
                    self.owner_ends(end, &mut port);
                    Ok(())
                }
                event = events.recv() => match event {
                    Some(link::Event::Closed(ended)) => return ended,
                    Some(event) if !ending => self.event(event).await,
                    Some(_) => Ok(()),
                    // The link promises a last event.
                    None => return Ended::Transport("the session's task is gone".to_owned()),
                },
                permit = commands.reserve(), if !self.pending.is_empty() => {
                    if let (Ok(permit), Some(command)) = (permit, self.pending.pop_front()) {
                        permit.send(command);
                    }
                    Ok(())
                }
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => match done {
                    Ok(done) => self.done(done).await,
                    Err(error) => Err(error.into()),
                },
                Some(output) = port.outputs.recv(), if !ending && self.pending.len() < PENDING_MAX => {
                    self.output(output)
                }
                changed = leave.changed(), if !left => {
                    left = changed.is_err() || *leave.borrow();
                    if left { Err(Fault::LinkGone) } else { Ok(()) }
                }
                () = sleep_until(deadline) => self.overdue(expires),
            };
            if let Err(fault) = step {
                self.fault(&fault);
            }
        }
    }

    /// When something is overdue.
    fn deadline(&self, expires: Instant) -> Instant {
        let held = self.held.iter().map(|held| held.until).min();
        self.ending
            .or(held)
            .map_or(expires, |deadline| deadline.min(expires))
    }

    fn overdue(&mut self, expires: Instant) -> Result<(), Fault> {
        if self.ending.is_some() {
            // The last event follows at once.
            self.handle.close(CloseCode::Done, "the end took too long");
            self.ending = Some(Instant::now() + END_WITHIN);
            return Ok(());
        }
        match Instant::now() >= expires {
            true => Err(Fault::Expired),
            false => Err(Fault::Certificates),
        }
    }

    fn fault(&mut self, fault: &Fault) {
        if self.ending.is_none() {
            if !matches!(fault, Fault::Owner(_) | Fault::LinkGone) {
                tracing::warn!(unit = %self.neighbour, link = self.record.link(), session = self.id, %fault, "a session is ended");
            }
            self.close(fault.code(), fault.to_string());
        }
    }

    fn owner_ends(&mut self, end: Result<End, RecvError>, port: &mut PortEnd) {
        // An owner that is gone has stopped.
        let end = end.unwrap_or(End::Stopping);
        if end != End::Stuck {
            // What it said before it ended the session, acks above all.
            while let Ok(output) = port.outputs.try_recv() {
                if let ToSession::Frame(frame) = output {
                    self.send(&frame);
                }
            }
        }
        self.end(&end);
    }

    fn end(&mut self, end: &End) {
        if let End::Machine(close) = end
            && *close != Close::NewEpoch
        {
            tracing::warn!(unit = %self.neighbour, link = self.record.link(), session = self.id, why = %close, "a session is ended");
        }
        self.close(end_code(end), end.to_string());
    }

    /// Ends the session once what is pending has gone; batches among it do not matter any more.
    fn close(&mut self, code: CloseCode, reason: String) {
        self.pending
            .retain(|command| matches!(command, link::Command::Control(_)));
        self.pending
            .push_back(link::Command::Close { code, reason });
        self.held.clear();
        self.ending = Some(Instant::now() + END_WITHIN);
    }

    async fn event(&mut self, event: link::Event) -> Result<(), Fault> {
        match event {
            link::Event::Control(bytes) => {
                self.frames.push(&bytes);
                while let Some(frame) = self.frames.next()? {
                    self.frame(frame).await?;
                }
                Ok(())
            }
            link::Event::Batch(batch) => {
                self.judge(batch);
                Ok(())
            }
            link::Event::Room { express, bulk } => {
                let session = self.id;
                self.tell(Input::Grant {
                    session,
                    express,
                    bulk,
                })
                .await
            }
            link::Event::Carried { .. } | link::Event::Closed(_) => Ok(()),
        }
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), Fault> {
        match frame {
            Frame::WantCertificates(wanted) => {
                self.find_certificates(wanted);
                return Ok(());
            }
            Frame::Certificate(der) => {
                self.certificate(der);
                return Ok(());
            }
            Frame::Hello(ref hello) => {
                self.met = true;
                self.shared.board.name(&self.record, &hello.link_name);
                self.shared.alive.notify_waiters();
            }
            Frame::Ack(_) => self.record.ack_received(),
            Frame::Gone(_) | Frame::GoneAnswer(_) | Frame::Offer(_) | Frame::OfferAnswer(_) => {}
        }
        let session = self.id;
        self.tell(Input::Frame { session, frame }).await
    }

    async fn tell(&mut self, input: Input) -> Result<(), Fault> {
        Ok(self.shared.command(Command::Tell(input)).await?)
    }

    fn output(&mut self, output: ToSession) -> Result<(), Fault> {
        match output {
            ToSession::Frame(frame) => {
                if matches!(frame, Frame::Ack(_)) {
                    self.record.ack_sent();
                }
                self.send(&frame);
            }
            ToSession::Batch { lane, parcels } => {
                let reader = self.shared.reader()?;
                let Carrier {
                    kind, compression, ..
                } = self.carrier;
                let urgency = match lane.has_reserve() {
                    true => Urgency::Express,
                    false => Urgency::Bulk,
                };
                self.work(urgency, move || {
                    Done::Packed(lane, outgoing::pack(&reader, parcels, kind, compression))
                });
            }
        }
        Ok(())
    }

    fn send(&mut self, frame: &Frame) {
        let mut bytes = Bytes::from(wire::encode_frame(frame));
        while !bytes.is_empty() {
            let message = bytes.split_to(CONTROL_BYTES.min(bytes.len()));
            self.pending.push_back(link::Command::Control(message));
        }
    }

    fn work(&self, urgency: Urgency, work: impl FnOnce() -> Done + Send + 'static) {
        let shared = self.shared.clone();
        self.under_way
            .push(async move { shared.workers.run(urgency, work).await }.boxed());
    }

    async fn done(&mut self, done: Done) -> Result<(), Fault> {
        if self.ending.is_some() {
            return Ok(());
        }
        match done {
            Done::Judged(Judged::Arrivals(arrivals)) => {
                let payload: usize = arrivals.iter().map(|a| a.parcel.bytes().len()).sum();
                self.record.batch_received(payload as u64);
                Ok(self.shared.arrived(self.id, arrivals).await?)
            }
            Done::Judged(Judged::Unknown(batch, missing)) => {
                self.hold(batch, missing);
                Ok(())
            }
            Done::Judged(Judged::Broken(error)) => Err(error.into()),
            Done::Packed(lane, packed) => {
                let Packed {
                    bytes,
                    payload_bytes,
                } = packed?;
                self.record
                    .batch_sent(lane, bytes.len() as u64, payload_bytes);
                self.sent += 1;
                self.pending.push_back(link::Command::Batch(Outgoing {
                    id: self.sent,
                    express: lane.has_reserve(),
                    lane,
                    bytes,
                }));
                Ok(())
            }
            Done::Certificate(fingerprint, outcome) => self.judged(fingerprint, outcome),
            Done::Found(frames) => {
                for frame in frames {
                    self.send(&frame);
                }
                Ok(())
            }
        }
    }

    fn judge(&self, batch: Received) {
        let live = self.shared.live();
        let untrusted = self.untrusted.clone();
        let limits = self.limits;
        let attests = live.attests(&self.neighbour);
        let now = self.shared.clock.wall();
        self.work(Urgency::Express, move || {
            Done::Judged(judge(batch, &live, &untrusted, &limits, attests, now))
        });
    }

    fn hold(&mut self, batch: Received, missing: BTreeSet<Fingerprint>) {
        let ask: Vec<_> = missing.difference(&self.wanted).copied().collect();
        if !ask.is_empty() {
            self.send(&Frame::WantCertificates(ask.clone()));
            self.wanted.extend(ask);
        }
        self.held.push(Held {
            batch,
            missing,
            until: Instant::now() + CERTIFICATES_WITHIN,
        });
    }

    fn certificate(&self, der: Vec<u8>) {
        let fingerprint = Fingerprint::of(&der);
        // One that nobody asked for is of no use.
        if !self.wanted.contains(&fingerprint) {
            return;
        }
        let live = self.shared.live();
        let neighbour = self.neighbour.clone();
        self.work(Urgency::Express, move || {
            let outcome = live.signers.add(&der).map(drop).map_err(|error| {
                tracing::warn!(unit = %neighbour, %fingerprint, %error, "a signer's certificate was not taken");
                error.reason()
            });
            Done::Certificate(fingerprint, outcome)
        });
    }

    /// Judges what has waited for a certificate, once all that it waits for is there.
    fn judged(
        &mut self,
        fingerprint: Fingerprint,
        outcome: Result<(), Option<Reason>>,
    ) -> Result<(), Fault> {
        self.wanted.remove(&fingerprint);
        match outcome {
            Ok(()) => {}
            Err(None) => return Err(Fault::Trust),
            Err(Some(reason)) => {
                let untrusted = Arc::make_mut(&mut self.untrusted);
                if untrusted.len() >= UNTRUSTED_MAX {
                    untrusted.pop_first();
                }
                untrusted.insert(fingerprint, reason);
            }
        }
        let wanted = &self.wanted;
        let ready = |held: &mut Held| held.missing.is_disjoint(wanted);
        let ready: Vec<Held> = self.held.extract_if(.., ready).collect();
        for held in ready {
            self.judge(held.batch);
        }
        Ok(())
    }

    fn find_certificates(&self, wanted: Vec<Fingerprint>) {
        let live = self.shared.live();
        let neighbour = self.neighbour.clone();
        self.work(Urgency::Express, move || {
            let find = |fingerprint| {
                let found = live.signers.get(&fingerprint);
                if found.is_none() {
                    tracing::warn!(unit = %neighbour, %fingerprint, "the neighbour asks for a certificate that is not here");
                }
                found.map(|signer| Frame::Certificate(signer.der().to_vec()))
            };
            Done::Found(wanted.into_iter().filter_map(find).collect())
        });
    }
}

fn batch_limits(live: &Live) -> BatchLimits {
    let body = live.settings.limits.message_kib as usize * 1024;
    BatchLimits {
        plain_bytes: BATCH_BYTES_MIN.max(body + PARCEL_BYTES),
        ..BatchLimits::default()
    }
}

fn judge(
    batch: Received,
    live: &Live,
    untrusted: &BTreeMap<Fingerprint, Reason>,
    limits: &BatchLimits,
    attests: bool,
    now: Millis,
) -> Judged {
    let parcels = match wire::unpack(&batch, limits) {
        Ok(parcels) => parcels,
        Err(error) => return Judged::Broken(error),
    };
    let bench = Bench {
        signers: &live.signers,
        untrusted,
        blocked: &live.blocked,
        attests,
        body_bytes_max: live.settings.limits.message_kib as usize * 1024,
        now,
    };
    let opened = Opened::new(parcels);
    let unknown = opened.unknown(&bench);
    if !unknown.is_empty() {
        return Judged::Unknown(batch, unknown);
    }
    drop(batch);
    Judged::Arrivals(opened.judge(&bench))
}

/// The moment at which a certificate that is valid until `not_after` (milliseconds since the Unix epoch) ends a session.
fn expiry(shared: &Shared, not_after: Millis) -> Instant {
    /// Longer than tokio's clock is sure to reach; by then the session has been looked at again.
    const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
    let left = Duration::from_millis(not_after.saturating_sub(shared.clock.wall()));
    Instant::now() + left.min(FAR)
}
