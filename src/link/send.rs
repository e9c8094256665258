//! Batches and commands that go out.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    CloseCode, Command, Ended, Event, Outgoing,
    gate::Gate,
    profile::{CHANNEL_SLOTS, CONTROL_BYTES_MAX, LINGER_MAX, PEER_STREAMS_MAX},
    room::{Class, Room},
    session::{Live, owner_gone},
};
use crate::model::Lane;

/// Priority of the control stream: above every lane.
pub(super) const CONTROL_PRIORITY: i32 = 4;

/// A lane's stream priority: flash 3, urgent 2, normal 1, bulk 0.
fn priority(lane: Lane) -> i32 {
    3 - lane.index() as i32
}

/// Carries out commands until the session ends. Control messages go on to `control`; dropping that ends the control stream.
pub(super) async fn commands(
    live: &Live,
    gate: &Gate,
    mut commands: mpsc::Receiver<Command>,
    control: mpsc::Sender<Bytes>,
    events: &mpsc::Sender<Event>,
) -> Ended {
    let mut room = Room::new();
    let mut under_way = FuturesUnordered::new();
    // What the owner has not yet taken: never more than batches under way and one grant for each.
    let mut told: VecDeque<Event> = VecDeque::new();
    let mut control = Some(control);
    let mut message: Option<Bytes> = None;
    let mut close_by: Option<Instant> = None;
    loop {
        if let Some(grant) = room.grant(gate.bulk_window()) {
            told.push_back(Event::Room {
                express: grant.express,
                bulk: grant.bulk,
            });
        }
        let takes_commands = message.is_none()
            && control.is_some()
            && told.len() < CHANNEL_SLOTS
            && room.under_way() < PEER_STREAMS_MAX;
        tokio::select! {
            biased;
            place = events.reserve(), if !told.is_empty() => match place {
                Ok(place) => {
                    if let Some(event) = told.pop_front() {
                        place.send(event);
                    }
                }
                Err(_) => return owner_gone(),
            },
            Some(carried) = under_way.next() => match carried {
                Ok(Carried { id, class, bytes }) => {
                    room.carried(class, bytes);
                    told.push_back(Event::Carried { id });
                }
                Err(ended) => return ended,
            },
            place = reserve(control.clone()), if message.is_some() => match (place, message.take()) {
                (Some(place), Some(message)) => {
                    place.send(message);
                }
                // The writer of the control stream has ended, and its end ends the session.
                _ => std::future::pending().await,
            },
            command = commands.recv(), if takes_commands => match command {
                Some(Command::Control(bytes)) if bytes.len() > CONTROL_BYTES_MAX => {
                    let words = format!("a control message of {} bytes to send", bytes.len());
                    return Ended::here(CloseCode::ControlTooLarge, words);
                }
                Some(Command::Control(bytes)) => message = Some(bytes),
                Some(Command::Batch(batch)) => {
                    room.sent(batch.class(), batch.bytes.len() as u64);
                    under_way.push(carry(live, gate, batch));
                }
                Some(Command::Close { code, reason }) => {
                    live.ends_as(Ended::here(code, reason));
                    control = None;
                    close_by = Some(Instant::now() + LINGER_MAX);
                }
                None => return owner_gone(),
            },
            () = sleep_until(close_by.unwrap_or_else(Instant::now)), if close_by.is_some() => {
                return live.ended_here();
            }
        }
    }
}

async fn reserve(control: Option<mpsc::Sender<Bytes>>) -> Option<mpsc::OwnedPermit<Bytes>> {
    control?.reserve_owned().await.ok()
}

impl Outgoing {
    fn class(&self) -> Class {
        if self.express {
            Class::Express
        } else {
            Class::Bulk
        }
    }
}

struct Carried {
    id: u64,
    class: Class,
    bytes: u64,
}

/// Sends one batch on a stream of its own and waits until the peer's transport has all of it.
async fn carry(live: &Live, gate: &Gate, batch: Outgoing) -> Result<Carried, Ended> {
    let class = batch.class();
    let carried = Carried {
        id: batch.id,
        class,
        bytes: batch.bytes.len() as u64,
    };
    let _under_way = live.pulse.expects(&live.connection);
    let mut stream = Unfinished(live.connection.open_uni().await?);
    let stopped = || Ended::here(CloseCode::BatchAbandoned, "the peer stopped a batch");
    let rank = priority(batch.lane);
    let _ = stream.0.set_priority(rank);
    gate.write(&mut stream.0, class, rank, batch.bytes)
        .await
        .map_err(|error| match error {
            quinn::WriteError::ConnectionLost(error) => error.into(),
            _ => stopped(),
        })?;
    let _ = stream.0.finish();
    match stream.0.stopped().await {
        Ok(None) => Ok(carried),
        Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
        Ok(Some(_)) | Err(quinn::StoppedError::ZeroRttRejected) => Err(stopped()),
    }
}

/// Quinn finishes a stream that is dropped, and half a batch would look like a whole one: this resets it.
struct Unfinished(quinn::SendStream);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // An error says that the peer has it all, and that is as good.
        let _ = self.0.reset(CloseCode::BatchAbandoned.on_the_wire());
    }
}
