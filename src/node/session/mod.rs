//! One session, from the end of its handshake to its last event: frames and batches between the link and the owner.
//!
//! Certificates are this room's own affair: a batch with a signer that is not known waits here, packed as it came, until the
//! neighbour has sent the certificate. Such a batch keeps its share of what the session may hold, so that a neighbour that sends
//! more and more of them is slowed down by the link.

mod batches;
mod certificates;
mod chunks;
mod dictionaries;
mod done;
mod generations;
mod path;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{Semaphore, oneshot::error::RecvError, watch},
    time::{Instant, sleep_until},
};

use self::{batches::JUDGED_AT_ONCE, done::Done, path::PathReport};
use super::{
    awake::KeepAwake,
    board::{SessionRecord, Up},
    command::{Command, End, Port, PortEnd, ToSession},
    dictionaries::Talk,
    fault::{Fault, end_code},
    incoming::batch_limits,
    shared::Shared,
    workers::{Desk, WorkerFailed},
};
use crate::{
    delivery::{
        Close, Input, LinkInfo, LinkTerms, SessionId,
        generations::{Agreement, Epochs},
        hop::Frame,
    },
    link::{self, CloseCode, Ended, LinkKind, Received, Running, SessionHandle},
    model::{Fingerprint, Millis, Reason, UnitId},
    wire::{self, BatchLimits, Compression, FrameDecoder},
};

/// Bytes of one control message; a larger frame goes in several.
const CONTROL_BYTES: usize = 64 * 1024;
/// Frames and batches that wait for the link before more is taken from the owner.
const PENDING_MAX: usize = 32;
/// Bytes of frames that may wait for the link, and what workers may have to do for the session: of a neighbour that asks and does not
/// read, the session is ended.
const CONTROL_WAITS_MAX: usize = 8 * 1024 * 1024;
const JOBS_MAX: usize = 4096;
/// How long the end of a session may take.
const END_WITHIN: Duration = Duration::from_secs(2);

/// How a session is carried.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    /// The link's name, where this node has dialled it.
    pub(super) name: Option<String>,
    /// The link's kind.
    pub(super) kind: LinkKind,
    /// What batches are compressed against.
    pub(super) compression: Compression,
    /// By what it is kept awake, where this node has dialled it and pays for its bytes.
    pub(super) keep_awake: Option<KeepAwake>,
    /// On what terms the link is to be used, where this node has dialled it.
    pub(super) terms: Option<watch::Receiver<LinkTerms>>,
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
    let knows_generations = session.minor() >= 1;
    let Running {
        commands,
        mut events,
        handle,
    } = session
        .with_batch_bytes_max(limits.packed_bytes_max().max(wire::RUN_BYTES_MAX))
        .start();
    let up = Up {
        neighbour: peer.unit.clone(),
        link: carrier.name.clone(),
        kind: carrier.kind,
        address,
        handle: handle.clone(),
        since: shared.clock.wall(),
        certificate_expires: peer.not_after,
    };
    let record = shared.board.up(id, up);
    let (port, of_session) = Port::pair();
    // A peer that was restarted right after the handshake knows nothing of the session, and tells nothing: its first words must come as
    // soon as an answer to a dial would have to.
    let hello_by = Instant::now() + carrier.kind.handshake_timeout();
    let mut pump = Pump {
        shared: shared.clone(),
        id,
        neighbour: peer.unit,
        carrier,
        limits,
        record,
        handle,
        not_after: peer.not_after,
        look_again: look_again(shared, peer.not_after),
        frames: FrameDecoder::new(),
        pending: VecDeque::new(),
        control_waits: 0,
        desk: shared.workers.desk(),
        judging: [(); 2].map(|()| Arc::new(Semaphore::new(JUDGED_AT_ONCE))),
        under_way: FuturesUnordered::new(),
        held: Vec::new(),
        wanted: BTreeSet::new(),
        asked: BTreeSet::new(),
        is_finding: false,
        is_introduced: false,
        untrusted: Arc::default(),
        talk: Talk::new(live.settings.unit.clone()),
        knows_generations,
        agreement: Agreement::default(),
        said: None,
        path: PathReport::default(),
        packing: 0,
        acks: Vec::new(),
        awake: None,
        is_awaking: false,
        sent: 0,
        stage: Stage::Announced,
        hello_by: Some(hello_by),
        ending: None,
    };
    match pump.carrier.name.clone() {
        Some(name) => {
            let silence = pump.carrier.keep_awake.as_ref().map(KeepAwake::silence);
            pump.awake = silence.map(|silence| Instant::now() + silence);
            Box::pin(pump.announce(port, name)).await;
        }
        None => pump.stage = Stage::expect_hello(port),
    }
    let ended = pump.run(commands, &mut events, of_session, leave).await;
    if matches!(pump.stage, Stage::Announced) {
        // The owner may have stopped meanwhile; then nobody needs to know.
        let _ = shared.command(Command::Down { session: id }).await;
    }
    if matches!(ended, Ended::Idle) {
        pump.moved();
    }
    shared.board.down(id, shared.clock.wall());
    tracing::info!(unit = %pump.neighbour, link = pump.record.link(), session = id, %ended, "a session ended");
    Carried {
        ended,
        met: pump.hello_by.is_none(),
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
    /// The last moment of the peer's certificate, milliseconds since the Unix epoch.
    not_after: Millis,
    /// When to see whether that has come.
    look_again: Instant,
    frames: FrameDecoder,
    /// What the link is to take next.
    pending: VecDeque<link::Command>,
    /// Bytes of frames among it.
    control_waits: usize,
    /// Where it has its work done.
    desk: Desk,
    /// One permit for every batch that is judged or waits for the owner, by the urgency with which it is judged.
    judging: [Arc<Semaphore>; 2],
    /// What workers do for the session.
    under_way: FuturesUnordered<BoxFuture<'static, Result<Done, WorkerFailed>>>,
    held: Vec<Held>,
    /// Certificates that the neighbour was asked for.
    wanted: BTreeSet<Fingerprint>,
    /// Those that it asks for; a worker looks for some already.
    asked: BTreeSet<Fingerprint>,
    is_finding: bool,
    /// Whether the neighbour's own certificate came unasked.
    is_introduced: bool,
    /// Certificates that came and do not count.
    untrusted: Arc<BTreeMap<Fingerprint, Reason>>,
    /// What batches are compressed against.
    talk: Talk,
    /// Whether the neighbour knows of generations.
    knows_generations: bool,
    agreement: Agreement,
    /// The epochs that this node's last hello has named.
    said: Option<Epochs>,
    path: PathReport,
    /// Small batches that are being packed, and the acks that go with the next of them.
    packing: usize,
    acks: Vec<u8>,
    /// When to see whether something must go over it, so that the peer can reach this side.
    awake: Option<Instant>,
    /// Something has gone over it after a whole silence, and whether it came from the same address is not known yet.
    is_awaking: bool,
    sent: u64,
    stage: Stage,
    /// By when the neighbour must have said hello, until it has.
    hello_by: Option<Instant>,
    /// By when the end must be there.
    ending: Option<Instant>,
}

/// Whether the owner knows of the session.
enum Stage {
    /// It does not: the neighbour has dialled and has not said yet over which link. Nothing is lost by waiting, since a stream
    /// that the other side opens is there only once something has come over it.
    ExpectHello {
        port: Port,
        /// Batches that the link has granted meanwhile: express and bulk.
        granted: (u16, u16),
    },
    /// It does, or it has stopped.
    Announced,
}

impl Stage {
    fn expect_hello(port: Port) -> Self {
        Stage::ExpectHello {
            port,
            granted: (0, 0),
        }
    }
}

/// A batch that waits for certificates.
struct Held {
    batch: Received,
    missing: BTreeSet<Fingerprint>,
    until: Instant,
}

impl Pump {
    async fn run(
        &mut self,
        commands: tokio::sync::mpsc::Sender<link::Command>,
        events: &mut tokio::sync::mpsc::Receiver<link::Event>,
        mut port: PortEnd,
        leave: &mut watch::Receiver<bool>,
    ) -> Ended {
        let mut left = false;
        let mut reloads = self.shared.watch_reloads();
        // The session may have been let in by what was in force before the last reload.
        reloads.mark_changed();
        let mut terms = self.carrier.terms.clone();
        loop {
            let ending = self.ending.is_some();
            let deadline = self.deadline();
            let step = tokio::select! {
                biased;
                end = &mut port.end, if !ending => {
                    self.owner_ends(end, &mut port);
                    Ok(())
                }
                event = events.recv() => match event {
                    Some(link::Event::Closed(ended)) => return *ended,
                    // In a box, as what follows work that is done: a session that is idle need not have room for it.
                    Some(event) if !ending => Box::pin(self.event(event)).await,
                    Some(_) => Ok(()),
                    // The link promises a last event.
                    None => return Ended::Transport("the session's task is gone".to_owned()),
                },
                permit = commands.reserve(), if !self.pending.is_empty() => {
                    if let (Ok(permit), Some(command)) = (permit, self.pending.pop_front()) {
                        if let link::Command::Control(bytes) = &command {
                            self.control_waits -= bytes.len();
                        }
                        permit.send(command);
                    }
                    Ok(())
                }
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => match done {
                    Ok(done) => Box::pin(self.done(done)).await,
                    Err(error) => Err(error.into()),
                },
                Some(output) = port.outputs.recv(), if !ending && self.pending.len() < PENDING_MAX => {
                    self.output(output)
                }
                changed = leave.changed(), if !left => {
                    left = changed.is_err() || *leave.borrow();
                    if left { Err(Fault::LinkGone) } else { Ok(()) }
                }
                Ok(()) = reloads.changed(), if !ending => self.reloaded(),
                () = path::changed(&mut terms), if !ending => Box::pin(self.tell_terms()).await,
                () = sleep_until(deadline) => self.overdue(),
            };
            if let Err(fault) = step.and_then(|()| self.keeps_up()) {
                self.fault(&fault);
            }
        }
    }

    /// Whether what the neighbour asks for goes as it comes.
    fn keeps_up(&self) -> Result<(), Fault> {
        match self.control_waits > CONTROL_WAITS_MAX || self.under_way.len() > JOBS_MAX {
            true => Err(Fault::Overrun),
            false => Ok(()),
        }
    }

    /// When something is overdue.
    fn deadline(&self) -> Instant {
        let held = self.held.iter().map(|held| held.until);
        let first = held.chain(self.hello_by).chain(self.awake).min();
        let first = first.map_or(self.look_again, |first| first.min(self.look_again));
        self.ending.unwrap_or(first)
    }

    fn overdue(&mut self) -> Result<(), Fault> {
        if self.ending.is_some() {
            // The last event follows at once.
            self.handle.close(CloseCode::Done, "the end took too long");
            self.ending = Some(Instant::now() + END_WITHIN);
            return Ok(());
        }
        let now = Instant::now();
        if self.held.iter().any(|held| held.until <= now) {
            return Err(Fault::Certificates);
        }
        if self.hello_by.is_some_and(|by| by <= now) {
            return Err(Fault::Hello);
        }
        self.keep_awake(now);
        if self.shared.clock.wall() > self.not_after {
            return Err(Fault::Expired);
        }
        self.look_again = look_again(&self.shared, self.not_after);
        Ok(())
    }

    /// Whether the peer may still be here, by what is in force now: its CA, its expiry, whether it is blocked.
    fn is_welcome(&self) -> Result<(), Fault> {
        match self.handle.judge(&self.shared.identify()) {
            Ok(_) => Ok(()),
            Err(Ended::Here { reason, .. }) => Err(Fault::Unwelcome(reason)),
            Err(ended) => Err(Fault::Unwelcome(ended.to_string())),
        }
    }

    fn reloaded(&mut self) -> Result<(), Fault> {
        self.is_welcome()?;
        self.offer_dictionary();
        Ok(())
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
            && !matches!(close, Close::NewEpoch | Close::Replaced)
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
            link::Event::Batch(batch) if wire::is_chunks(&batch) => self.take_chunks(*batch),
            link::Event::Batch(batch) if wire::is_handover(&batch) => self.take_over(*batch),
            link::Event::Batch(batch) => self.judge(*batch),
            link::Event::Room { express, bulk } => self.granted(express, bulk).await,
            link::Event::Path(news) => self.path_news(*news).await,
            link::Event::Moved => {
                self.tell_moved();
                Ok(())
            }
            link::Event::Carried { .. } | link::Event::Closed(_) => Ok(()),
        }
    }

    async fn granted(&mut self, express: u16, bulk: u16) -> Result<(), Fault> {
        if let Stage::ExpectHello { granted, .. } = &mut self.stage {
            granted.0 = granted.0.saturating_add(express);
            granted.1 = granted.1.saturating_add(bulk);
            return Ok(());
        }
        let session = self.id;
        self.tell(Input::Grant {
            session,
            express,
            bulk,
        })
        .await
    }

    /// Tells the owner of the session.
    async fn announce(&mut self, port: Port, link: String) {
        self.stage = Stage::Announced;
        let up = Command::Up {
            session: self.id,
            neighbour: self.neighbour.clone(),
            link: LinkInfo {
                name: link,
                kind: self.carrier.kind.as_str().to_owned(),
            },
            port,
        };
        // The port goes with a command that is not taken, and that ends the session.
        let _ = self.shared.command(up).await;
        let _ = self.tell_terms().await;
    }

    /// A neighbour that has dialled says hello, before anything else.
    async fn hello(&mut self, link: &str) -> Result<(), Fault> {
        self.hello_by = None;
        self.shared.board.name(&self.record, link);
        self.shared.alive.notify_waiters();
        let stage = std::mem::replace(&mut self.stage, Stage::Announced);
        if let Stage::ExpectHello { port, granted, .. } = stage {
            self.announce(port, self.record.link().to_owned()).await;
            self.tell_path().await?;
            self.granted(granted.0, granted.1).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), Fault> {
        if matches!(self.stage, Stage::ExpectHello { .. }) && !matches!(frame, Frame::Hello(_)) {
            return Err(Fault::Hello);
        }
        match frame {
            Frame::WantCertificates(wanted) => {
                self.asked.extend(wanted);
                return self.find_certificates();
            }
            Frame::Certificate(der) => {
                self.certificate(der);
                return Ok(());
            }
            Frame::Dictionaries(said) => return self.hear_of_dictionaries(&said),
            Frame::DictionaryAnswer(number, answer) => {
                return self.dictionary_answered(number, answer).await;
            }
            Frame::Generation(generation) => return self.hear_of_generation(generation),
            Frame::GenerationAnswer(number, answer) => {
                return self.generation_answered(number, answer).await;
            }
            Frame::Moved => {
                self.moved();
                return Ok(());
            }
            Frame::Hello(ref hello) => {
                self.heard_of_acks(&frame);
                self.hello(&hello.link_name).await?;
            }
            Frame::Ack(_) => {
                self.heard_of_acks(&frame);
                self.record.ack_received();
            }
            Frame::Gone(_)
            | Frame::GoneAnswer(_)
            | Frame::Offer(_)
            | Frame::OfferAnswer(_)
            | Frame::Numbered(_)
            | Frame::Terms(_)
            | Frame::Want(_)
            | Frame::Unwant(_)
            | Frame::Have(_)
            | Frame::Absent(_)
            | Frame::Present(_) => {}
        }
        let session = self.id;
        self.tell(Input::Frame { session, frame }).await
    }

    fn is_announced(&self) -> bool {
        matches!(self.stage, Stage::Announced)
    }

    async fn tell(&mut self, input: Input) -> Result<(), Fault> {
        Ok(self.shared.command(Command::Tell(input)).await?)
    }

    fn output(&mut self, output: ToSession) -> Result<(), Fault> {
        match output {
            ToSession::Frame(frame) => {
                if matches!(*frame, Frame::Ack(_)) {
                    self.record.ack_sent();
                }
                match *frame {
                    Frame::Hello(hello) => self.greet(hello),
                    frame @ Frame::Ack(_) if self.packing > 0 => {
                        self.acks.extend(wire::encode_frame(&frame));
                    }
                    frame => self.send(&frame),
                }
            }
            ToSession::Batch { lane, parcels } => self.pack(lane, parcels)?,
            ToSession::Run {
                digest,
                describe,
                first,
                count,
            } => self.read_chunks(*digest, describe, first, count)?,
        }
        Ok(())
    }

    fn send(&mut self, frame: &Frame) {
        self.write(wire::encode_frame(frame));
    }

    fn write(&mut self, frames: Vec<u8>) {
        // What was said before stays before.
        let mut bytes = std::mem::take(&mut self.acks);
        bytes.extend(frames);
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let message = bytes.split_to(CONTROL_BYTES.min(bytes.len()));
            self.control_waits += message.len();
            self.pending.push_back(link::Command::Control(message));
        }
    }
}

/// When to see whether a certificate that is valid until `not_after` (milliseconds since the Unix epoch) has expired.
fn look_again(shared: &Shared, not_after: Millis) -> Instant {
    /// The wall clock may be set while a session lives.
    const AT_LEAST_EVERY: Duration = Duration::from_secs(3600);
    let left = Duration::from_millis(not_after.saturating_sub(shared.clock.wall()) + 1);
    Instant::now() + left.min(AT_LEAST_EVERY)
}
