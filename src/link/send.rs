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
    pulse::Expected,
    room::{Class, Room},
    session::{Live, owner_gone},
    share::Share,
};
use crate::model::Lane;

/// Priority of the control stream: above every lane.
pub(super) const CONTROL_PRIORITY: i32 = i32::MAX;

/// Batches of a lane that have priorities of their own, before they begin anew.
const PRIORITIES: u64 = 1 << 28;

/// The stream priority of a session's `number`th batch: by lane, flash first, and in a lane the first first. A whole batch is of use, two
/// halves are not. Quinn can also be told to finish every stream that it has begun (`send_fairness`), but then it does so whatever waits:
/// an urgent message behind all of a large batch that was written.
fn priority(lane: Lane, number: u64) -> i32 {
    let later_lanes = Lane::ALL.len() as u64 - lane.index() as u64;
    (later_lanes * PRIORITIES - number % PRIORITIES) as i32
}

/// Carries out commands until the session ends. Control messages go on to `control`; dropping that ends the control stream.
pub(super) async fn commands(
    live: &Live,
    gate: &Gate,
    mut commands: mpsc::Receiver<Command>,
    control: mpsc::Sender<Box<Bytes>>,
    events: &mpsc::Sender<Event>,
) -> Ended {
    let mut room = Room::new();
    let mut share = Share::default();
    // Urgent batches that wait for the share of others: no more than may be under way.
    let mut waiting: VecDeque<Outgoing> = VecDeque::new();
    let mut number = 0;
    // In boxes: each of these has room for one that is never there.
    let mut writing = FuturesUnordered::new();
    let mut confirming = FuturesUnordered::new();
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
        let (express, bulk) = room.classes_under_way();
        let yields_until = share.look(Instant::now(), express, bulk);
        if yields_until.is_none() {
            for batch in waiting.drain(..) {
                writing.push(Box::pin(write(live, gate, batch, &mut number)));
            }
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
            Some(carried) = confirming.next() => match carried {
                Ok(Carried { id, class }) => {
                    room.carried(class);
                    if class == Class::Bulk {
                        share.carried();
                    }
                    told.push_back(Event::Carried { id });
                }
                Err(ended) => return ended,
            },
            Some(written) = writing.next() => match written {
                Ok(written) => {
                    let Written { class, bytes, .. } = written;
                    room.written(class, bytes);
                    confirming.push(Box::pin(written.confirm()));
                }
                Err(ended) => return ended,
            },
            place = reserve(control.clone()), if message.is_some() => match (place, message.take()) {
                (Some(place), Some(message)) => {
                    place.send(Box::new(message));
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
                    match yields_until {
                        Some(_) if batch.lane == Lane::Urgent => waiting.push_back(*batch),
                        _ => writing.push(Box::pin(write(live, gate, *batch, &mut number))),
                    }
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
            () = sleep_until(yields_until.unwrap_or_else(Instant::now)), if yields_until.is_some() => {}
        }
    }
}

async fn reserve(
    control: Option<mpsc::Sender<Box<Bytes>>>,
) -> Option<mpsc::OwnedPermit<Box<Bytes>>> {
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

/// A batch that quinn has all of.
struct Written<'a> {
    id: u64,
    class: Class,
    bytes: u64,
    stream: Unfinished,
    _under_way: Expected<'a>,
}

/// A batch that the peer's transport has all of.
struct Carried {
    id: u64,
    class: Class,
}

fn stopped() -> Ended {
    Ended::here(CloseCode::BatchAbandoned, "the peer stopped a batch")
}

/// Writes a session's next batch, and counts it.
fn write<'a>(
    live: &'a Live,
    gate: &'a Gate,
    batch: Outgoing,
    number: &mut u64,
) -> impl Future<Output = Result<Written<'a>, Ended>> + use<'a> {
    let rank = priority(batch.lane, *number);
    *number += 1;
    write_as(live, gate, batch, rank)
}

/// Writes one batch on a stream of its own.
async fn write_as<'a>(
    live: &'a Live,
    gate: &'a Gate,
    batch: Outgoing,
    rank: i32,
) -> Result<Written<'a>, Ended> {
    let (id, class, bytes) = (batch.id, batch.class(), batch.bytes.len() as u64);
    let _under_way = live.pulse.expects(&live.connection);
    let mut stream = Unfinished(live.connection.open_uni().await?);
    let _ = stream.0.set_priority(rank);
    gate.write(&mut stream.0, class, rank, batch.bytes)
        .await
        .map_err(|error| match error {
            quinn::WriteError::ConnectionLost(error) => error.into(),
            _ => stopped(),
        })?;
    let _ = stream.0.finish();
    Ok(Written {
        id,
        class,
        bytes,
        stream,
        _under_way,
    })
}

impl Written<'_> {
    /// Waits until the peer's transport has all of it.
    async fn confirm(self) -> Result<Carried, Ended> {
        let Self { id, class, .. } = self;
        match self.stream.0.stopped().await {
            Ok(None) => Ok(Carried { id, class }),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
            Ok(Some(_)) | Err(quinn::StoppedError::ZeroRttRejected) => Err(stopped()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_go_before_the_order_of_batches_and_the_control_stream_before_all() {
        let order = [
            CONTROL_PRIORITY,
            priority(Lane::Flash, 1_000),
            priority(Lane::Flash, 1_001),
            priority(Lane::Urgent, 3),
            priority(Lane::Normal, 0),
            priority(Lane::Normal, PRIORITIES - 1),
            priority(Lane::Bulk, PRIORITIES),
            priority(Lane::Bulk, PRIORITIES + 1),
            priority(Lane::Bulk, u64::MAX),
        ];
        assert!(order.is_sorted_by(|first, then| first > then), "{order:?}");
        assert!(priority(Lane::Bulk, u64::MAX) > 0);
    }
}
