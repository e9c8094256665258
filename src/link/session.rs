//! One connection over one link, from the handshake to its end.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use quinn::crypto::rustls::HandshakeData;
use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};

use super::{
    CloseCode, Ended, Identify, LinkKind, PathNews, PathStats, Peer, Received,
    admission::Admitted,
    congestion::Valve,
    control,
    gate::Gate,
    identity,
    profile::{BATCH_BYTES_MAX, CHANNEL_SLOTS, CONTROL_STREAM_TIMEOUT},
    pulse::Pulse,
    receive, send,
    tail::Tails,
    tls::ALPN_1_1,
};
use crate::model::Lane;

/// What the owner wants done.
#[derive(Debug)]
pub enum Command {
    /// Send a control message of at most [`super::profile::CONTROL_BYTES_MAX`] bytes.
    Control(Bytes),
    /// Send a batch, against a grant of [`Event::Room`]. One that was not granted waits in the channel, and everything behind it.
    /// In a box: every session has room for many commands.
    Batch(Box<Outgoing>),
    /// End the session: control messages that were sent before are given a second to arrive, batches are not. No command after it counts.
    Close {
        /// What the peer is told.
        code: CloseCode,
        /// In words, for the peer's log.
        reason: String,
    },
}

/// A batch to send.
#[derive(Debug)]
pub struct Outgoing {
    /// The owner's name for it, given back in [`Event::Carried`].
    pub id: u64,
    /// Whether it uses a grant of the express class (flash, urgent) or of the bulk class.
    pub express: bool,
    /// Its priority among the batches under way.
    pub lane: Lane,
    /// Its bytes; the peer refuses more than its own bound.
    pub bytes: Bytes,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A control message came.
    Control(Bytes),
    /// A whole batch came. In a box: every session has room for many events.
    Batch(Box<Received>),
    /// So many more batches may be sent, added to what was granted before.
    Room {
        /// Of the express class.
        express: u16,
        /// Of the bulk class.
        bulk: u16,
    },
    /// What comes from the peer comes from another address than before.
    Moved,
    /// The path has changed noticeably, or is known for the first time.
    Path(Box<PathNews>),
    /// The peer's transport has all of a batch. It may not have been read, and is not on stable storage.
    Carried {
        /// The batch's name.
        id: u64,
    },
    /// The session has ended; nothing follows. What was not carried may or may not have arrived.
    Closed(Box<Ended>),
}

/// An authenticated connection that has not been started. Dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    live: Arc<Live>,
    dialled: bool,
    peer: Peer,
    kind: LinkKind,
    batch_bytes_max: usize,
    /// At a hub, its place among the connections.
    _admitted: Option<Admitted>,
}

/// A started session.
#[derive(Debug)]
pub struct Running {
    /// Takes what is to be done; holds [`CHANNEL_SLOTS`] commands. Dropping it ends the session.
    pub commands: mpsc::Sender<Command>,
    /// Gives what happened; holds [`CHANNEL_SLOTS`] events. Whoever waits for room among the commands must go on taking events.
    /// Dropping it ends the session.
    pub events: mpsc::Receiver<Event>,
    /// For everyone else.
    pub handle: SessionHandle,
}

/// A view of a session that may outlive it.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    live: Arc<Live>,
}

impl Session {
    pub(super) fn new(
        live: Arc<Live>,
        dialled: bool,
        peer: Peer,
        kind: LinkKind,
        admitted: Option<Admitted>,
    ) -> Self {
        Self {
            live,
            dialled,
            peer,
            kind,
            batch_bytes_max: BATCH_BYTES_MAX,
            _admitted: admitted,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The protocol's minor version that both ends know: 0 or 1.
    pub fn minor(&self) -> u8 {
        let data = self.live.connection.handshake_data();
        let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
        let protocol = data.and_then(|data| data.protocol);
        u8::from(protocol.as_deref() == Some(ALPN_1_1))
    }

    /// The kind of link whose transport profile the session has: at a hub, what the peer hinted at.
    pub fn kind(&self) -> LinkKind {
        self.kind
    }

    /// The peer's address now; it changes when a translator on the way takes another port.
    pub fn remote_address(&self) -> SocketAddr {
        self.live.connection.remote_address()
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> quinn::Connection {
        self.live.connection.clone()
    }

    /// Bounds the batches that are taken from the peer, in bytes, instead of [`BATCH_BYTES_MAX`].
    pub fn with_batch_bytes_max(mut self, batch_bytes_max: usize) -> Self {
        self.batch_bytes_max = batch_bytes_max;
        self
    }

    /// Sets the session going, in a task of its own. Its last event is [`Event::Closed`].
    pub fn start(self) -> Running {
        let (commands, orders) = mpsc::channel(CHANNEL_SLOTS);
        let (reports, events) = mpsc::channel(CHANNEL_SLOTS);
        let handle = SessionHandle {
            live: self.live.clone(),
        };
        tokio::spawn(async move {
            let ended = match self.run(orders, &reports).await {
                // The owner's own words, where this side closed.
                Ended::Here { .. } if self.live.ends.get().is_some() => self.live.ended_here(),
                ended => ended,
            };
            self.live.tell(&ended);
            // Frees its place before the owner has taken the last event.
            drop(self);
            let _ = reports.send(Event::Closed(Box::new(ended))).await;
        });
        Running {
            commands,
            events,
            handle,
        }
    }

    async fn run(&self, orders: mpsc::Receiver<Command>, events: &mpsc::Sender<Event>) -> Ended {
        let connection = &self.live.connection;
        let opened = async {
            match self.dialled {
                true => connection.open_bi().await,
                false => connection.accept_bi().await,
            }
        };
        let (mut to_peer, mut from_peer) = match timeout(CONTROL_STREAM_TIMEOUT, opened).await {
            Ok(Ok(streams)) => streams,
            Ok(Err(error)) => return error.into(),
            Err(_) => return Ended::here(CloseCode::ControlBroken, "no control stream came"),
        };
        let _ = to_peer.set_priority(send::CONTROL_PRIORITY);
        let gate = Gate::new(connection.clone(), self.kind);
        // In boxes, as batches.
        let (messages, to_write) = mpsc::channel(CHANNEL_SLOTS);
        let probes = messages.downgrade();
        // In this order: a control message and a batch that are given together leave in one packet.
        tokio::select! {
            biased;
            ended = send::commands(&self.live, &gate, orders, messages, events) => ended,
            written = control::write(&self.live, &gate, &mut to_peer, to_write) => match written {
                Ok(()) => self.live.ended_here(),
                Err(ended) => ended,
            },
            ended = control::read(&mut from_peer, events) => ended,
            ended = receive::batches(connection, events, self.batch_bytes_max) => ended,
            error = connection.closed() => error.into(),
            () = self.live.pulse.watch(connection, &probes, events) => self.live.ended_here(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.live.pulse.lets_go();
        // Tells the peer at once, also when the session is dropped before it was started. Does nothing to one that has ended.
        self.live.tell(&Ended::here(CloseCode::Done, "dropped"));
    }
}

impl SessionHandle {
    /// The path now, and the totals.
    pub fn stats(&self) -> PathStats {
        PathStats::of(&self.live.connection, &self.live.valve, self.live.silent())
    }

    /// For how long nothing has been sent, acks included.
    pub fn quiet(&self) -> Duration {
        self.live.valve.quiet()
    }

    /// Ends the session at once, without waiting for anything under way.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.live.close(Ended::here(code, reason));
    }

    /// Judges the peer anew, for when what is trusted has changed since the session began. The session stays as it is.
    ///
    /// # Errors
    /// The peer may not come in any more: how the session should end.
    pub fn judge(&self, identify: &Identify) -> Result<Peer, Ended> {
        identity::judge(&self.live, identify)
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.live.connection.close_reason().is_some()
    }
}

/// A connection, when it was last heard, and how this side has decided to end it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: quinn::Connection,
    valve: Valve,
    pub(super) pulse: Pulse,
    ends: OnceLock<Ended>,
}

impl Live {
    /// A connection whose transport was made with this valve.
    pub(super) fn new(connection: quinn::Connection, valve: Valve, tails: Arc<Tails>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            pulse: Pulse::new(valve.clone(), tails),
            valve,
            ends: OnceLock::new(),
        })
    }

    /// For how long nothing has come, as far as was noticed.
    pub(super) fn silent(&self) -> Duration {
        self.pulse.silent(&self.connection)
    }

    /// Decides how this side ends the session; the first decision counts.
    pub(super) fn ends_as(&self, ended: Ended) {
        let _ = self.ends.set(ended);
    }

    pub(super) fn ended_here(&self) -> Ended {
        let closed = || Ended::here(CloseCode::Done, "closed");
        self.ends.get().cloned().unwrap_or_else(closed)
    }

    pub(super) fn close(&self, ended: Ended) {
        self.ends_as(ended);
        self.tell(&self.ended_here());
    }

    /// Tells the peer how the session ended, if this side ended it and it had not ended before.
    pub(super) fn tell(&self, ended: &Ended) {
        if self.connection.close_reason().is_some() {
            return;
        }
        if let Ended::Here { code, reason } = ended {
            self.valve
                .close(&self.connection, code.on_the_wire(), reason.as_bytes());
        }
    }
}

pub(super) fn owner_gone() -> Ended {
    Ended::here(CloseCode::Done, "the node let the session go")
}
