//! The one task that owns the machine and the journal's front. Whatever happens to the node happens here, one thing after another.
//!
//! A turn: take what has come, give it to the machine, carry out what the machine wants, and have what was appended written if no
//! write is under way. While the disk syncs, the next turns append what will go together in the next write (group commit). Before a write
//! begins, those who are about to send a command get their turn: on a busy node a write that goes with what is there at that moment
//! costs every message a large share of a sync, of two threads that wake each other, and of a turn. It does not wait for all of them:
//! who ask over and over would all wait for the same sync, and nobody would work meanwhile. With half of them it begins.
//! The owner never waits for a session or for a caller: it waits for commands, for the journal and for time.

use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    backup,
    command::{Command, End, Port, ToSession},
    events::Events,
    keeper::News,
    receipts::ReceiptMaker,
    shared::Shared,
    status::Status,
    store::{self, JobDone, Landed, Store},
    workers::Urgency,
};
use crate::{
    delivery::{Answer, BlobNews, Delivery, Input, Output, Room, SessionId, Ticket},
    model::{Lsn, Now},
};

/// Commands taken in one turn.
const COMMANDS_PER_TURN: usize = 256;
/// How long a write that could begin may wait for what others are about to send. It waits only as long as something comes.
const GATHER_WITHIN: Duration = Duration::from_millis(2);
/// Those who wait for an answer, at least, before half of them are enough for a write: a few gain nothing from writes of their own.
const CROWD_MIN: usize = 32;
/// The part of a crowd that is forgotten with each write, unless it shows itself: a hundred writes take a tenth of a second.
const CROWD_FORGOTTEN: usize = 64;
/// How long after something happened the journal's house is kept: compaction, checkpoint, another try on a full disk.
const HOUSE_KEPT_AFTER: Duration = Duration::from_secs(1);
/// How far the journal's room may have changed before the machine is told, bytes, unless the disk is full. Reserves and bounds are far
/// larger.
const ROOM_GRAIN_BYTES: u64 = 256 * 1024;

/// The owner.
pub(super) struct Owner {
    machine: Delivery,
    store: Store,
    shared: Arc<Shared>,
    events: Events,
    receipts: ReceiptMaker,
    commands: mpsc::Receiver<Command>,
    /// Who waits for which answer.
    awaited: HashMap<Ticket, oneshot::Sender<Answer>>,
    /// How many have asked since the last write began.
    asked: usize,
    /// How many waited for an answer at a time, lately.
    crowd: usize,
    ports: HashMap<SessionId, Port>,
    /// What the machine's own outputs led to, to be given to it next.
    own_inputs: VecDeque<Input>,
    room_told: Option<Room>,
    house: Option<Instant>,
    failed: bool,
    stopping: Option<Stopping>,
    /// Somebody waits for a backup of the journal.
    backup: Option<oneshot::Sender<io::Result<()>>>,
    /// The folder was restored: the mark that says so goes when this record is durable.
    restored: Option<Lsn>,
}

struct Stopping {
    told: oneshot::Sender<()>,
    checkpoint_asked: bool,
}

impl Owner {
    /// An owner of a machine that has recovered and started.
    pub(super) fn new(
        machine: Delivery,
        store: Store,
        shared: Arc<Shared>,
        events: Events,
        receipts: ReceiptMaker,
        commands: mpsc::Receiver<Command>,
        restored: Option<Lsn>,
    ) -> Self {
        Self {
            machine,
            store,
            shared,
            events,
            receipts,
            commands,
            awaited: HashMap::new(),
            asked: 0,
            crowd: 0,
            ports: HashMap::new(),
            own_inputs: VecDeque::new(),
            room_told: None,
            house: Some(Instant::now() + HOUSE_KEPT_AFTER),
            failed: false,
            stopping: None,
            backup: None,
            restored,
        }
    }

    /// Takes turns until the node has stopped. `found` is what the keeper of attachments has at the start.
    pub(super) async fn run(mut self, found: Vec<News>) {
        let mut taken = Vec::with_capacity(COMMANDS_PER_TURN);
        let mut armed = None;
        let mut timer = pin!(sleep_until(Instant::now()));
        // What the machine wanted at its start.
        self.carry_out_all(self.shared.clock.now());
        for (digest, news) in found {
            self.tell(Input::Blob { digest, news });
        }
        loop {
            self.gather(&mut taken).await;
            self.finish_turn();
            if self.has_stopped() {
                return;
            }
            let due = self.next_due();
            if due != armed {
                armed = due;
                timer.as_mut().reset(due.unwrap_or_else(Instant::now));
            }
            tokio::select! {
                biased;
                done = self.store.done() => self.landed(done),
                count = self.commands.recv_many(&mut taken, COMMANDS_PER_TURN), if !self.store.is_behind() => {
                    if count == 0 {
                        // Nobody can ask for anything any more.
                        return;
                    }
                    for command in taken.drain(..) {
                        self.take(command);
                    }
                }
                () = timer.as_mut(), if armed.is_some() => armed = None,
            }
        }
    }

    /// Lets those run who can, as long as each time something comes of it, before what waits is written: until half of a crowd have asked.
    async fn gather(&mut self, taken: &mut Vec<Command>) {
        if !self.store.may_write() || self.failed {
            return;
        }
        let until = Instant::now() + GATHER_WITHIN;
        loop {
            yield_now().await;
            while taken.len() < COMMANDS_PER_TURN
                && let Ok(command) = self.commands.try_recv()
            {
                taken.push(command);
            }
            if taken.is_empty() {
                return;
            }
            for command in taken.drain(..) {
                self.take(command);
            }
            let enough = self.asked >= self.crowd.max(CROWD_MIN) / 2;
            if enough || self.store.is_behind() || Instant::now() >= until {
                return;
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Ask {
                ticket,
                input,
                reply,
            } => {
                // Without an answer the sender is dropped, and the node's status says why.
                if !self.failed {
                    self.asked += 1;
                    self.awaited.insert(ticket, reply);
                    self.tell(input);
                }
            }
            Command::Tell(input) => {
                if let Input::Forget { ticket } = &input {
                    self.awaited.remove(ticket);
                }
                self.tell(input);
            }
            Command::Arrived {
                session,
                arrivals,
                room,
            } => {
                self.tell(Input::Arrivals { session, arrivals });
                drop(room);
            }
            Command::Up {
                session,
                neighbour,
                link,
                mut port,
            } => {
                if let Some(end) = self.no_sessions() {
                    port.end(end);
                }
                self.ports.insert(session, port);
                self.tell(Input::SessionUp {
                    session,
                    neighbour,
                    link,
                });
            }
            Command::Down { session } => {
                self.ports.remove(&session);
                self.tell(Input::SessionDown { session });
            }
            Command::Attached { digest, reply } => {
                let size = self.shared.blobs.size(&digest);
                if let Some(size) = size {
                    let news = BlobNews::Whole { size };
                    self.tell(Input::Blob { digest, news });
                }
                // Whoever asked may be gone: it is there all the same.
                let _ = reply.send(size.is_some());
            }
            Command::Sweep { digests, reply } => {
                let mut all = Vec::new();
                for digest in digests {
                    if self.machine.needs_blob(&digest) {
                        continue;
                    }
                    if let Some(forgotten) = self.shared.blobs.forget(&digest) {
                        all.push(forgotten);
                    }
                    let news = BlobNews::Lost;
                    self.tell(Input::Blob { digest, news });
                }
                // Whoever asked may be gone: then a restart finds the files.
                let _ = reply.send(all);
            }
            // Of two backups at a time the later one counts.
            Command::Backup(reply) => self.backup = Some(reply).filter(|_| !self.failed),
            Command::Look(look) => look(&self.machine),
            Command::Stop(told) => {
                self.stopping = Some(Stopping {
                    told,
                    checkpoint_asked: false,
                });
            }
        }
    }

    /// Why no session may be up now.
    fn no_sessions(&self) -> Option<End> {
        if self.failed {
            Some(End::StorageFailed)
        } else {
            self.stopping.as_ref().map(|_| End::Stopping)
        }
    }

    /// Gives the machine an input, and whatever follows from it. A node whose storage failed decides nothing any more.
    fn tell(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            if self.failed {
                return;
            }
            // What little is left on a full disk is for acks and receipts in the end: nothing is decided by an old figure.
            if self.room_told.is_some_and(|room| room.disk_full) && !matches!(input, Input::Room(_))
            {
                self.tell_room();
            }
            let now = self.shared.clock.now();
            self.store.expect(self.payload_bytes(&input));
            self.machine.handle(now, input, self.store.log());
            self.store.end_group();
            self.carry_out_all(now);
            next = self.own_inputs.pop_front();
        }
    }

    /// What may be stored because of an input.
    fn payload_bytes(&self, input: &Input) -> u64 {
        match input {
            Input::Submit { messages, .. } => messages
                .iter()
                .map(|message| message.parcel.bytes().len() as u64)
                .sum(),
            Input::Arrivals { arrivals, .. } | Input::Import { arrivals, .. } => arrivals
                .iter()
                .map(|arrival| arrival.parcel.bytes().len() as u64)
                .sum(),
            Input::Compact { segment } => self.store.live_bytes(*segment),
            _ => 0,
        }
    }

    fn carry_out_all(&mut self, now: Now) {
        while let Some(output) = self.machine.poll_output() {
            self.carry_out(now, output);
        }
    }

    fn carry_out(&mut self, now: Now, output: Output) {
        match output {
            Output::Reply { ticket, answer } => {
                if let Some(reply) = self.awaited.remove(&ticket)
                    && let Err(Answer::Inbox(_)) = reply.send(answer)
                {
                    // Whoever asked went away just now; what was handed over is free again.
                    self.own_inputs.push_back(Input::Forget { ticket });
                }
            }
            Output::Send { session, frame } => {
                self.port(session, ToSession::Frame(Box::new(frame)))
            }
            Output::Batch {
                session,
                lane,
                parcels,
            } => self.port(session, ToSession::Batch { lane, parcels }),
            Output::Close { session, why } => {
                if let Some(port) = self.ports.get_mut(&session) {
                    port.end(why.into());
                }
            }
            Output::MakeReceipt {
                number,
                to,
                items,
                expires,
            } => {
                let live = self.shared.live();
                let signer = live.identity.signer();
                let signed = self
                    .receipts
                    .sign(signer, now.wall, number, &to, &items, expires);
                self.own_inputs.push_back(signed);
            }
            Output::Freed(location) => self.store.freed(location),
            Output::BlobFetch { digest, from } => self.shared.keeper.take_from(digest, from),
            Output::BlobClose(digest) => self.shared.keeper.close(&digest),
            Output::BlobRun {
                session,
                digest,
                describe,
                first,
                count,
            } => {
                let run = ToSession::Run {
                    digest: Box::new(digest),
                    describe,
                    first,
                    count,
                };
                self.port(session, run);
            }
            Output::BlobFreed(digest) => {
                let shared = self.shared.clone();
                tokio::spawn(async move {
                    let keeper = shared.keeper.clone();
                    let freed = move || keeper.freed(digest);
                    // A worker that failed leaves it as old as it was.
                    let _ = shared.workers.run(Urgency::Bulk, freed).await;
                });
            }
            Output::Event(event) => {
                let lsn = self.store.appended();
                let machine = &self.machine;
                self.events.take(lsn, now.wall, &event, |message| {
                    machine.find(message).map(|parcel| parcel.lane)
                });
            }
        }
    }

    fn port(&mut self, session: SessionId, output: ToSession) {
        if let Some(port) = self.ports.get_mut(&session) {
            port.send(output);
        }
    }

    fn landed(&mut self, done: JobDone) {
        match self.store.landed(done) {
            Landed::Synced(lsn, took) => {
                let forgotten = self.crowd.div_ceil(CROWD_FORGOTTEN);
                self.crowd = self.awaited.len().max(self.crowd - forgotten);
                self.shared.metrics.journal_synced(lsn, took);
                self.tell(Input::Synced(lsn));
            }
            Landed::Checkpoint => self.shared.metrics.journal_checkpoint(),
            Landed::Nothing => {}
            Landed::Failed(why) => self.fail(&why),
        }
    }

    /// The storage failed. The node promises nothing any more and stays up to be looked at.
    fn fail(&mut self, why: &str) {
        tracing::error!(
            why,
            "the storage failed; the node takes and passes on nothing until it is restarted"
        );
        self.failed = true;
        self.shared.status.tell(Status::StorageFailed(why.into()));
        self.awaited.clear();
        self.backup = None;
        self.end_sessions(&End::StorageFailed);
    }

    fn end_sessions(&mut self, end: &End) {
        for port in self.ports.values_mut() {
            port.end(end.clone());
        }
    }

    /// What is to be done after anything that happened.
    fn finish_turn(&mut self) {
        if self.failed {
            return;
        }
        let due = self.machine.next_timer();
        if due.is_some_and(|due| due <= self.shared.clock.mono()) {
            self.tell(Input::Tick);
        }
        self.tell_room();
        let synced = self.store.synced();
        self.events.synced(synced, || self.shared.clock.wall());
        if self.store.is_still()
            && let Some(reply) = self.backup.take()
        {
            let taken = backup::take_journal(&self.shared.live().settings.data_dir);
            // Whoever asked may be gone: the next backup clears the folder.
            let _ = reply.send(taken);
        }
        if self.restored.take_if(|lsn| *lsn <= synced).is_some()
            && let Err(error) = backup::forget_mark(&self.shared.live().settings.data_dir)
        {
            tracing::warn!(%error, "the mark of a restored folder cannot be removed; the next start takes a new epoch once more");
        }
        if self.store.write() {
            self.asked = 0;
        }
        match self.house {
            Some(due) if due <= Instant::now() => self.keep_house(),
            Some(_) => {}
            None => self.house = Some(Instant::now() + HOUSE_KEPT_AFTER),
        }
        if self.stopping.is_some() && !self.failed {
            self.stop();
        }
    }

    fn tell_room(&mut self) {
        let room = store::for_machine(&self.store.room());
        let grain = if room.disk_full { 1 } else { ROOM_GRAIN_BYTES };
        let changed = self.room_told.is_none_or(|told| {
            told.disk_full != room.disk_full
                || told.bound != room.bound
                || told.free.abs_diff(room.free) >= grain
        });
        if changed {
            self.room_told = Some(room);
            let figures = &self.shared.figures;
            figures.disk_full.store(room.disk_full, Relaxed);
            self.tell(Input::Room(room));
        }
    }

    fn keep_house(&mut self) {
        self.house = None;
        if let Some(segment) = self.store.victim() {
            self.tell(Input::Compact { segment });
        }
        let machine = &self.machine;
        self.store.checkpoint(false, |out| machine.checkpoint(out));
        self.store.retry();
        let room = self.store.room();
        let metrics = &self.shared.metrics;
        metrics.set_journal_size(room.bytes_used, room.segments);
        let figures = &self.shared.figures;
        let disk_full = room.disk_full();
        figures.journal_bytes.store(room.bytes_used, Relaxed);
        if disk_full {
            self.house = Some(Instant::now() + HOUSE_KEPT_AFTER);
        }
    }

    /// Goes on with stopping: what was appended becomes durable and is acked, then the sessions end, then a checkpoint makes the next
    /// start quick.
    fn stop(&mut self) {
        if !self.store.is_settled() {
            return;
        }
        self.end_sessions(&End::Stopping);
        let machine = &self.machine;
        let store = &mut self.store;
        if let Some(stopping) = &mut self.stopping
            && !stopping.checkpoint_asked
        {
            stopping.checkpoint_asked = true;
            let room = store.room();
            if !room.full {
                store.checkpoint(!room.disk_full(), |out| machine.checkpoint(out));
            }
        }
    }

    /// Whether all is done. Tells whoever asked the node to stop.
    fn has_stopped(&mut self) -> bool {
        let Some(stopping) = self.stopping.take_if(|stopping| {
            self.failed || (stopping.checkpoint_asked && self.store.is_settled())
        }) else {
            return false;
        };
        // Whoever asked may have lost patience.
        let _ = stopping.told.send(());
        true
    }

    fn next_due(&self) -> Option<Instant> {
        if self.failed {
            return None;
        }
        let machine = self.machine.next_timer();
        let machine = machine.map(|due| self.shared.clock.instant(due));
        [machine, self.house].into_iter().flatten().min()
    }
}
