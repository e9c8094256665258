//! The gateway as a state machine: routing, policy, order, duplicates, inbox, receipts, quota.
//!
//! Nothing in here performs anything. Inputs come in, records go to the log that the caller passes, and actions come out.
//! *Decide, record, apply*: the files `submit`, `arrive`, `session`, `end` and `operate` decide and make records; `apply` is the
//! only place that changes durable state, and recovery replays the same `apply`.

mod apply;
mod arrive;
mod blobs;
mod bounds;
#[cfg(any(test, feature = "sim"))]
mod bug;
mod by_hand;
mod checkpoint;
mod end;
mod expiries;
pub mod generations;
pub mod hop;
mod inbox;
mod input;
mod memory;
mod operate;
mod output;
mod parcels;
mod receipts;
mod record;
mod remember;
mod route;
mod session;
mod submit;
mod unreadable;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use blobs::{BlobOnItsWay, BlobView};
pub use bounds::QueueLoad;
#[cfg(any(test, feature = "sim"))]
pub use bug::Bug;
pub use by_hand::{ByHand, CopyByHand, Epochs, Fate, Imported, NotByHand};
pub use hop::{Depth, Entry, Frame, LinkTerms, Paused, Takes};
pub use input::{
    Arrival, BlobNews, Input, KnownUnit, LinkInfo, Order, Path, Room, SessionId, Settings,
    Submission, Ticket,
};
pub use output::{
    Accepted, Answer, Close, Departure, Event, Handed, NotAccepted, OrderRefused, Output, Step,
};
pub use session::Trust;
pub use view::{
    HopView, InboxView, NeighbourView, ParcelView, QueueRow, ReceiverView, SessionView, Totals,
};

use self::{
    expiries::Expiries,
    hop::{Epoch, Hop},
    inbox::Inbox,
    memory::Memory,
    parcels::{Parcels, Slot},
    receipts::{Fanout, Owed},
    session::Session,
};
use crate::{
    codec::CodecError,
    model::{Digest, Location, Log, Lsn, Millis, Now, UnitId},
    parcel::ParcelError,
};

/// The gateway: outboxes, inbox, sessions, routing, receipts. It does nothing itself.
///
/// The driver calls, in this order:
/// 1. [`Delivery::new`] or [`Delivery::restore`] with the newest checkpoint, then [`Delivery::replay`] with every later record;
/// 2. [`Delivery::start`] once, which may append records;
/// 3. [`Delivery::handle`] for everything that happens, then [`Delivery::poll_output`] until nothing is left, and
///    [`Delivery::handle`] with [`Input::Tick`] when [`Delivery::next_timer`] has come. Records that one call of `handle` appends
///    are one group: torn or whole.
/// 4. [`Delivery::checkpoint`] between two calls of `handle`.
#[derive(Debug)]
pub struct Delivery {
    settings: Settings,
    // Durable: what `apply` changes and a checkpoint has.
    epoch: Epoch,
    wall: Millis,
    met: BTreeSet<UnitId>,
    parcels: Parcels,
    waiting_for: bounds::WaitingFor,
    /// Messages that were submitted here and are not here any more; those that are, are remembered by their parcels.
    sent: Memory,
    /// The same of messages that came for this node.
    seen: Memory,
    /// In boxes: a map of many units keeps room for half as many again.
    hops: BTreeMap<UnitId, Box<Hop>>,
    inbox: Inbox,
    owed: Owed,
    fanouts: BTreeMap<Digest, Vec<Fanout>>,
    /// What operators have stopped, of neighbours that have any of it.
    paused: BTreeMap<UnitId, Paused>,
    // As short-lived as the node's run.
    now: Now,
    /// Whether records are being replayed: nothing is told but events.
    replaying: bool,
    lsn: Lsn,
    synced: Lsn,
    /// Outputs that leave when their record is synced (G1, G2).
    parked: VecDeque<(Lsn, Output)>,
    outputs: VecDeque<Output>,
    sessions: BTreeMap<SessionId, Session>,
    /// Attachments. Which parcel names which is durable; the rest lives as long as the node's run.
    blobs: blobs::Blobs,
    polls: VecDeque<Poll>,
    /// When sessions will have proven themselves, monotonic.
    proving: BTreeSet<(Millis, SessionId)>,
    /// Payloads that were written again and cannot be read there yet: the record that did it, and where they were.
    moving: BTreeMap<Slot, (Lsn, Location)>,
    expiries: Expiries,
    room: Option<Room>,
    /// Until when units that are not known may yet turn out to be: this hub lost its memory, and its neighbours have not all
    /// come back.
    amnesia_until: Option<Millis>,
    /// How often this run took a new epoch because a neighbour remembered more than this node, and when it did last, monotonic.
    set_back: (u32, Millis),
    receipts_asked: BTreeMap<u64, UnitId>,
    receipts_next: u64,
    #[cfg(any(test, feature = "sim"))]
    bug: Option<Bug>,
}

/// An application that waits for messages.
#[derive(Debug)]
struct Poll {
    ticket: Ticket,
    max: u32,
    until: Millis,
}

/// A journal's content does not fit the machine.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record or checkpoint does not decode.
    #[error("a record does not decode: {0}")]
    Codec(#[from] CodecError),
    /// A record's payload is not a parcel.
    #[error("a record's payload is not a parcel: {0}")]
    Parcel(#[from] ParcelError),
}

impl Delivery {
    /// A node that has nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            parcels: Parcels::new(settings.unit.clone()),
            settings,
            epoch: 0,
            wall: 0,
            met: BTreeSet::new(),
            waiting_for: bounds::WaitingFor::default(),
            sent: Memory::default(),
            seen: Memory::default(),
            hops: BTreeMap::new(),
            inbox: Inbox::default(),
            owed: Owed::default(),
            fanouts: BTreeMap::new(),
            paused: BTreeMap::new(),
            now: Now::default(),
            replaying: true,
            lsn: 0,
            synced: 0,
            parked: VecDeque::new(),
            outputs: VecDeque::new(),
            sessions: BTreeMap::new(),
            blobs: blobs::Blobs::default(),
            polls: VecDeque::new(),
            proving: BTreeSet::new(),
            moving: BTreeMap::new(),
            expiries: Expiries::default(),
            room: None,
            amnesia_until: None,
            set_back: (0, 0),
            receipts_asked: BTreeMap::new(),
            receipts_next: 0,
            #[cfg(any(test, feature = "sim"))]
            bug: None,
        }
    }

    /// Starts work after recovery. `epoch` is a fresh random number: the node takes it as its new epoch when it has none, or when
    /// `damaged` says that something of the journal was lost or that the folder was restored.
    pub fn start(&mut self, now: Now, epoch: u64, damaged: bool, log: &mut impl Log) {
        self.replaying = false;
        self.set_now(now);
        // Everything that was recovered is on stable storage.
        self.synced = self.lsn;
        for hop in self.hops.values_mut() {
            hop.recovered();
        }
        #[cfg(any(test, feature = "sim"))]
        self.plant_at_start();
        #[cfg(any(test, feature = "sim"))]
        let damaged = damaged && !self.has(Bug::IgnoredMark);
        if self.epoch == 0 || damaged {
            self.take_epoch(epoch.max(1), log);
        }
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Now, input: Input, log: &mut impl Log) {
        debug_assert!(!self.replaying, "start comes before handle");
        self.set_now(now);
        let log: &mut dyn Log = log;
        match input {
            Input::Submit { ticket, messages } => self.submit(ticket, messages, log),
            Input::Synced(lsn) => self.on_synced(lsn, log),
            Input::SessionUp {
                session,
                neighbour,
                link,
            } => self.session_up(session, neighbour, link, log),
            Input::SessionDown { session } => self.session_down(session),
            Input::SendAgain { session } => self.send_again(session),
            Input::Frame { session, frame } => self.on_frame(session, frame, log),
            Input::Arrivals { session, arrivals } => self.on_arrivals(session, arrivals, log),
            Input::Grant {
                session,
                express,
                bulk,
            } => self.grant(session, express, bulk),
            Input::Path { session, path } => self.on_path(session, path),
            Input::Terms { session, terms } => self.on_terms(session, terms),
            Input::Inbox { ticket, max, until } => {
                self.polls.push_back(Poll { ticket, max, until });
                self.serve_polls();
            }
            Input::Forget { ticket } => {
                self.polls.retain(|poll| poll.ticket != ticket);
                self.inbox.forget(ticket);
                self.serve_polls();
            }
            Input::InboxAck { ticket, messages } => self.inbox_ack(ticket, messages, log),
            Input::InboxRelease { ticket, messages } => self.inbox_release(ticket, &messages),
            Input::Operate { ticket, orders } => self.operate(ticket, orders, log),
            Input::Export {
                ticket,
                neighbour,
                epochs,
                seqs,
            } => self.export(ticket, neighbour, epochs, &seqs, log),
            Input::Import {
                ticket,
                neighbour,
                epochs,
                arrivals,
            } => self.import(ticket, &neighbour, epochs, arrivals, log),
            Input::Pause {
                ticket,
                neighbour,
                lane,
                paused,
            } => self.pause(ticket, neighbour, lane, paused, log),
            Input::ReceiptSigned {
                number,
                parcel,
                header,
            } => self.receipt_signed(number, &parcel, &header, log),
            Input::Room(room) => {
                self.room = Some(room);
                self.tell_starved();
            }
            Input::Settings(settings) => self.change_settings(*settings),
            Input::Unreadable { at, lease } => self.unreadable(at, lease, log),
            Input::Compact { segment } => self.compact(segment, log),
            Input::Blob { digest, news } => self.on_blob(digest, news),
            Input::Tick => self.tick(log),
        }
        self.settle_blobs(log);
        self.flush_blob_acks();
        self.ask_for_receipts();
        self.flush_acks();
    }

    /// The next action, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, monotonic milliseconds.
    pub fn next_timer(&self) -> Option<Millis> {
        let acks = self
            .hops
            .values()
            .filter(|hop| self.open_session(hop).is_some())
            .filter_map(|hop| hop.inbound.ack_due);
        let polls = self.polls.iter().map(|poll| poll.until);
        let wall = [
            self.expiries.first().map(|second| (second + 1) * 1000),
            self.sent.next_expiry().map(|at| at + self.memory_margin()),
            self.seen.next_expiry().map(|at| at + self.memory_margin()),
            self.next_fanout_end(),
        ];
        let wall = wall.into_iter().flatten().map(|at| {
            // A wall clock may jump: look again within a minute.
            self.now.mono + at.saturating_sub(self.now.wall).clamp(1, 60_000)
        });
        acks.chain(polls)
            .chain(wall)
            .chain(self.proving.first().map(|(until, _)| *until))
            .chain(self.owed.next_due())
            .chain(self.inbox.next_lease_end())
            .chain(self.amnesia_until)
            .chain(self.next_blob_timer())
            .min()
    }

    /// The places of all payloads that are alive, for the journal's accounting after recovery.
    pub fn live(&self) -> impl Iterator<Item = Location> + '_ {
        self.parcels.iter().map(|(_, kept)| kept.location)
    }

    fn set_now(&mut self, now: Now) {
        self.now = Now {
            mono: now.mono.max(self.now.mono),
            wall: now.wall.max(self.wall),
        };
    }

    fn tick(&mut self, log: &mut dyn Log) {
        self.end_proving();
        self.inbox.expire_leases(self.now.mono);
        self.serve_polls();
        self.expire(log);
        self.purge(log);
        self.end_amnesia(log);
        self.tick_blobs();
    }

    fn change_settings(&mut self, settings: Settings) {
        debug_assert_eq!(settings.unit, self.settings.unit);
        self.settings = settings;
        let unwelcome: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, s)| self.is_blocked(&s.neighbour))
            .map(|(id, _)| *id)
            .collect();
        for session in unwelcome {
            self.close(session, Close::Blocked);
        }
        // Ways may be others now.
        self.seek_idle();
    }

    /// Sends an output once everything recorded so far is synced.
    fn after_sync(&mut self, output: Output) {
        if self.lsn <= self.synced {
            self.outputs.push_back(output);
        } else {
            self.parked.push_back((self.lsn, output));
        }
    }

    fn on_synced(&mut self, lsn: Lsn, log: &mut dyn Log) {
        self.synced = self.synced.max(lsn);
        while let Some((at, _)) = self.parked.front() {
            if *at > self.synced {
                break;
            }
            if let Some((_, output)) = self.parked.pop_front() {
                self.outputs.push_back(output);
            }
        }
        self.settle_moved();
        self.blobs_synced();
        self.hops_synced(log);
        self.serve_polls();
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn step(&mut self, slot: Slot, at: Millis, what: Step) {
        let message = self.parcels.get(slot).message;
        if !self.parcels.get(slot).is_receipt() {
            self.event(Event::Message { message, at, what });
        }
    }
}
