//! What the other tasks tell the owner, and what the owner tells a session.

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::{
    blob::Forgotten,
    delivery::{
        Answer, Arrival, Close, Delivery, Departure, Input, LinkInfo, SessionId, Ticket, hop::Frame,
    },
    model::{BlobDigest, Lane, UnitId},
};

/// Commands that wait for the owner. Who sends waits for room; the owner never waits for anybody.
pub(super) const COMMANDS_MAX: usize = 1024;

/// Frames and batches that wait for one session. The machine's grants bound the batches, and acks are combined, so that only a
/// session that is stuck lets this fill up.
pub(super) const SESSION_OUTPUTS_MAX: usize = 512;

/// One thing for the owner to do.
pub(super) enum Command {
    /// Give the machine an input that has an answer.
    Ask {
        /// The ticket that the input carries.
        ticket: Ticket,
        /// The input.
        input: Input,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Give the machine an input that has none.
    Tell(Input),
    /// Parcels came over a session.
    Arrived {
        /// The session.
        session: SessionId,
        /// The parcels, judged.
        arrivals: Vec<Arrival>,
        /// Their share of what may wait for the owner.
        room: [OwnedSemaphorePermit; 2],
    },
    /// A session has been set up.
    Up {
        /// Its name.
        session: SessionId,
        /// The unit at the other end.
        neighbour: UnitId,
        /// The link that it runs over.
        link: LinkInfo,
        /// The way back to it.
        port: Port,
    },
    /// A session has ended. Told once for every `Up`.
    Down {
        /// Its name.
        session: SessionId,
    },
    /// An application has brought an attachment. Answered whether it is still here: it may have been forgotten in that very moment.
    Attached {
        /// The attachment.
        digest: BlobDigest,
        /// Where the answer goes.
        reply: oneshot::Sender<bool>,
    },
    /// Forget those of these attachments that nothing needs. Answered with them, for their files to be removed.
    Sweep {
        /// Those that could go.
        digests: Vec<BlobDigest>,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Forgotten>>,
    },
    /// Take the journal for a backup as soon as nothing is being written. Answered when it is taken.
    Backup(oneshot::Sender<std::io::Result<()>>),
    /// Let somebody look at the machine. What looks must be quick: everybody else waits.
    Look(Box<dyn FnOnce(&Delivery) + Send>),
    /// Finish what is under way, end every session and stop; told when nothing is left to write.
    Stop(oneshot::Sender<()>),
}

/// The owner's way to a session's task.
#[derive(Debug)]
pub(super) struct Port {
    outputs: mpsc::Sender<ToSession>,
    end: Option<oneshot::Sender<End>>,
}

/// The session's side of a [`Port`].
#[derive(Debug)]
pub(super) struct PortEnd {
    /// What to send.
    pub(super) outputs: mpsc::Receiver<ToSession>,
    /// Comes once, when the session is to end.
    pub(super) end: oneshot::Receiver<End>,
}

/// What a session is to send.
#[derive(Debug)]
pub(super) enum ToSession {
    /// A frame, after every frame that was given before. In a box: every session has room for many of these.
    Frame(Box<Frame>),
    /// Parcels to read, pack and send.
    Batch {
        /// The most urgent lane in it.
        lane: Lane,
        /// The parcels, in order.
        parcels: Vec<Departure>,
    },
    /// Chunks of an attachment to read and send.
    Run {
        /// The attachment. In a box, as a frame.
        digest: Box<BlobDigest>,
        /// Whether its description goes before them.
        describe: bool,
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// Why the owner ends a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    /// The machine says so.
    #[error(transparent)]
    Machine(#[from] Close),
    /// The session takes nothing any more.
    #[error("the session is stuck")]
    Stuck,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
    /// The node cannot store anything any more.
    #[error("the node's storage failed")]
    StorageFailed,
}

impl Port {
    /// Both sides.
    pub(super) fn pair() -> (Self, PortEnd) {
        let (outputs, of_owner) = mpsc::channel(SESSION_OUTPUTS_MAX);
        let (end, ended) = oneshot::channel();
        let port = Self {
            outputs,
            end: Some(end),
        };
        let of_session = PortEnd {
            outputs: of_owner,
            end: ended,
        };
        (port, of_session)
    }

    /// Gives the session something to send, without waiting. One that has no room for it is stuck and is ended.
    pub(super) fn send(&mut self, output: ToSession) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outputs.try_send(output) {
            self.end(End::Stuck);
        }
    }

    /// Ends the session. Only the first reason counts.
    pub(super) fn end(&mut self, why: End) {
        if let Some(end) = self.end.take() {
            // The task may have ended by itself: it tells.
            let _ = end.send(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_takes_nothing_is_ended() {
        let (mut port, mut of_session) = Port::pair();
        for _ in 0..SESSION_OUTPUTS_MAX {
            port.send(ToSession::Frame(Box::new(Frame::Certificate(Vec::new()))));
        }
        assert!(of_session.end.try_recv().is_err(), "it still has room");
        port.send(ToSession::Frame(Box::new(Frame::Certificate(Vec::new()))));
        port.end(End::Stopping);
        assert_eq!(of_session.end.await, Ok(End::Stuck));
    }
}
