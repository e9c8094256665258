//! The gateway as a state machine.

pub mod hop;
mod input;
mod output;

pub use input::{
    Arrival, Input, KnownUnit, LinkInfo, Order, Room, SessionId, Settings, Submission, Ticket,
};
pub use output::{
    Accepted, Answer, Close, Departure, Event, Handed, NotAccepted, OrderRefused, Output, Step,
};

use crate::model::{Location, Log, Lsn, Millis, Now};

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
pub struct Delivery {}

/// A journal's content does not fit the machine.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record or checkpoint does not decode.
    #[error("a record does not decode: {0}")]
    Codec(#[from] crate::codec::CodecError),
    /// A record's payload is not a parcel.
    #[error("a record's payload is not a parcel: {0}")]
    Parcel(#[from] crate::parcel::ParcelError),
}

#[allow(unused_variables, clippy::todo, clippy::unimplemented, missing_docs)]
impl Delivery {
    /// A node that has nothing yet.
    pub fn new(settings: Settings) -> Self {
        todo!()
    }

    /// A node as a checkpoint has it.
    pub fn restore(settings: Settings, checkpoint: &[u8]) -> Result<Self, ReplayError> {
        todo!()
    }

    /// Takes one record of the journal, in order. `payload` is what the record carries, and `at` its place.
    pub fn replay(
        &mut self,
        record: &[u8],
        payload: &[u8],
        lsn: Lsn,
        at: Location,
    ) -> Result<(), ReplayError> {
        todo!()
    }

    /// Starts work after recovery. `epoch` is a fresh random number: the node takes it as its new epoch when it has none, or when
    /// `damaged` says that something of the journal was lost or that the folder was restored.
    pub fn start(&mut self, now: Now, epoch: u64, damaged: bool, log: &mut impl Log) {
        todo!()
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Now, input: Input, log: &mut impl Log) {
        todo!()
    }

    /// The next action, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// When [`Input::Tick`] is due, monotonic milliseconds.
    pub fn next_timer(&self) -> Option<Millis> {
        todo!()
    }

    /// The whole durable state, for a checkpoint.
    pub fn checkpoint(&self) -> Vec<u8> {
        todo!()
    }

    /// The places of all payloads that are alive, for the journal's accounting after recovery.
    pub fn live(&self) -> impl Iterator<Item = Location> + '_ {
        std::iter::empty()
    }
}
