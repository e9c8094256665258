//! Acked history between nodes, as production's shell keeps it. A batch carries a digest of what it was compressed against: whoever reads it
//! must have just that, or say that it has not.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    delivery::{
        Arrival, Frame,
        generations::{Bounds, Epochs, Named, Text, Way},
        hop::{Entry, Seq},
    },
    model::{Digest, Ranges, Reason, UnitId},
    parcel::Parcel,
};

use super::{
    hops::Direction,
    net::SessionIndex,
    world::{Broken, Kept, World, broken},
};

/// The dictionary that every node has, and its number.
const BASE: (u64, Digest) = (1, Digest([1; 16]));

/// What a batch was compressed against: the generation's number, and a digest of all its bytes.
pub(super) type Against = (u64, Digest);

/// One parcel of a batch.
type Packed = (Entry, Parcel, Result<(), Reason>);

/// Little enough that it is met: something is forgotten all the time.
pub(super) fn bounds() -> Bounds {
    Bounds {
        all_bytes: 24 * 1024,
        sent_bytes: 3 * 1024,
        came_bytes: 5 * 1024,
        generation_bytes: 2 * 1024,
        step_bytes: 1..=512,
        batch_bytes: 2 * 1024,
        idle_ms: 120_000,
    }
}

impl World {
    /// What a batch that leaves is compressed against. It is remembered, and what there is now is offered.
    pub(super) fn compress(
        &mut self,
        at: (SessionIndex, usize),
        packed: &[Packed],
    ) -> Result<Option<Against>, Broken> {
        let Some((node, neighbour, epochs)) = self.remembers(at) else {
            return Ok(None);
        };
        let now = self.now(node).mono;
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(None);
        };
        let agreement = &mut self.net.sessions[at.0].ends[at.1].agreement;
        let bytes = packed.iter().map(|(_, parcel, _)| parcel.bytes().len());
        if !run.generations.takes(bytes.sum()) {
            let seqs = packed.iter().map(|(entry, ..)| entry.seq);
            run.generations.forget(&neighbour, seqs);
            return Ok(None);
        }
        let entries = packed.iter().map(|(entry, parcel, _)| (entry, parcel));
        let texts = texts(entries);
        let senders: BTreeSet<UnitId> = texts.iter().map(|text| text.sender.clone()).collect();
        let only = senders.first().filter(|_| senders.len() == 1);
        let against = only.and_then(|sender| {
            let generation = agreement.agreed().get(sender)?;
            let texts = run.generations.ours(now, &neighbour, generation, BASE.1)?;
            Some((generation.number, digest(&texts)))
        });
        run.generations
            .remember(now, (&neighbour, epochs), Way::Sent, texts);
        let offers: Vec<Frame> = senders
            .iter()
            .filter_map(|sender| agreement.offer(&run.generations, &neighbour, sender, BASE))
            .collect();
        for offer in offers {
            self.check_offer(at, &neighbour, &offer)?;
            self.say(at, offer);
        }
        self.stats.generations += u64::from(against.is_some());
        Ok(against)
    }

    /// Whether a batch that comes can be read; when it cannot, the other end is told, and sends it again.
    pub(super) fn reads(
        &mut self,
        at: (SessionIndex, usize),
        against: Against,
    ) -> Result<bool, Broken> {
        let Some((node, neighbour, _)) = self.remembers(at) else {
            return Ok(true);
        };
        let now = self.now(node).mono;
        let (number, sent) = against;
        let agreement = &mut self.net.sessions[at.0].ends[at.1].agreement;
        let named = agreement.named(number).map_err(|error| {
            broken(
                "G3",
                format!("n{node}: a batch names what cannot be: {error}"),
            )
        })?;
        let lack = match named {
            Named::Lost(lack) => lack,
            Named::Here(generation) => {
                let Some(run) = self.nodes[node].run.as_mut() else {
                    return Ok(true);
                };
                let texts = run.generations.theirs(now, &neighbour, &generation, BASE.1);
                match texts {
                    Some(texts) if digest(&texts) == sent => return Ok(true),
                    Some(_) => {
                        let what = format!(
                            "n{node} reads a batch against other bytes than {neighbour} compressed it against: {generation:?}"
                        );
                        return Err(broken("G3", what));
                    }
                    None => agreement.lost(number),
                }
            }
        };
        self.line(|| format!("n{node} lacks generation {number} of {neighbour}"));
        if let Some(lack) = lack {
            self.say(at, lack);
        }
        Ok(false)
    }

    /// What has come is remembered.
    pub(super) fn keeps(&mut self, at: (SessionIndex, usize), arrivals: &[Arrival]) {
        let Some((node, neighbour, epochs)) = self.remembers(at) else {
            return;
        };
        let now = self.now(node).mono;
        if let Some(run) = self.nodes[node].run.as_mut() {
            let bytes = arrivals.iter().map(|a| a.parcel.bytes().len());
            if run.generations.takes(bytes.sum()) {
                let entries = arrivals.iter().map(|a| (&a.entry, &a.parcel));
                run.generations
                    .remember(now, (&neighbour, epochs), Way::Came, texts(entries));
            }
        }
    }

    /// A frame leaves: a hello says how the hop is numbered.
    pub(super) fn hello_leaves(&mut self, at: (SessionIndex, usize), frame: &Frame) {
        if matches!(frame, Frame::Hello(_))
            && let Some((node, neighbour, epochs)) = self.remembers(at)
            && let Some(run) = self.nodes[node].run.as_mut()
        {
            run.generations.numbered(&neighbour, epochs);
        }
    }

    /// A frame comes. Whether it is for the shell alone; otherwise the machine is given it.
    pub(super) fn history_comes(
        &mut self,
        at: (SessionIndex, usize),
        frame: &Frame,
        direction: Option<Direction>,
    ) -> Result<bool, Broken> {
        let is_ours = matches!(frame, Frame::Generation(_) | Frame::GenerationAnswer(..));
        let Some((node, neighbour, epochs)) = self.remembers(at) else {
            return Ok(is_ours);
        };
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(is_ours);
        };
        let agreement = &mut self.net.sessions[at.0].ends[at.1].agreement;
        let wrong = |error| broken("G3", format!("n{node} hears what cannot be said: {error}"));
        match frame {
            Frame::Generation(generation) => {
                let answer = agreement
                    .heard(
                        &run.generations,
                        &neighbour,
                        generation.clone(),
                        Some(BASE.1),
                    )
                    .map_err(wrong)?;
                self.say(at, answer);
            }
            Frame::GenerationAnswer(number, answer) => {
                let told = agreement
                    .answered(&mut run.generations, &neighbour, *number, *answer)
                    .map_err(wrong)?;
                if told.send_again {
                    self.unread(at.0, at.1)?;
                }
            }
            Frame::Ack(ack) => {
                run.generations.acked((&neighbour, epochs), &ack.received);
                self.hears_acks(at, direction, &ack.received);
            }
            Frame::Hello(hello) => {
                let epochs = (hello.epoch, hello.peer_epoch);
                run.generations.greeted(&neighbour, epochs, &hello.received);
                self.hears_acks(at, direction, &hello.received);
            }
            _ => {}
        }
        Ok(is_ours)
    }

    /// A node forgets what it remembers, as when there is no room.
    pub(super) fn forget_history(&mut self, at: (SessionIndex, usize)) {
        if let Some((node, ..)) = self.remembers(at)
            && let Some(run) = self.nodes[node].run.as_mut()
        {
            run.generations.clear();
        }
    }

    fn hears_acks(&mut self, at: (SessionIndex, usize), by: Option<Direction>, seqs: &Ranges) {
        let node = self.net.sessions[at.0].ends[at.1].node;
        if let Some(by) = by
            && let Some(run) = self.nodes[node].run.as_mut()
        {
            let of = (by.from, by.to_epoch, by.from_epoch);
            run.acks.entry(of).or_default().union(seqs);
        }
    }

    /// What is offered must have been acked by the other end.
    fn check_offer(
        &mut self,
        at: (SessionIndex, usize),
        neighbour: &UnitId,
        offer: &Frame,
    ) -> Kept {
        let Frame::Generation(generation) = offer else {
            return Ok(());
        };
        let node = self.net.sessions[at.0].ends[at.1].node;
        let direction = self.direction(at.0, at.1);
        let (Some(direction), Some(run)) = (direction, self.nodes[node].run.as_ref()) else {
            return Ok(());
        };
        let of = (direction.to, direction.from_epoch, direction.to_epoch);
        let acks = run.acks.get(&of);
        let offered = run.generations.seqs(neighbour, generation);
        let early: Vec<Seq> = offered
            .into_iter()
            .filter(|seq| !acks.is_some_and(|acks| acks.contains(*seq)))
            .collect();
        match early.is_empty() {
            true => Ok(()),
            false => Err(broken(
                "G2",
                format!("n{node} offers {neighbour} what it has not acked: {early:?}"),
            )),
        }
    }

    fn say(&mut self, at: (SessionIndex, usize), frame: Frame) {
        let node = self.net.sessions[at.0].ends[at.1].node;
        self.line(|| format!("n{node} session {} > {frame:?}", at.0));
        self.stats.frames += 1;
        let direction = self.direction(at.0, at.1);
        self.net
            .send(at, (frame, direction), &mut self.rng, &mut self.agenda);
    }

    /// The node at an end, its neighbour, and the epochs that its hello has named, where both remember.
    fn remembers(&self, at: (SessionIndex, usize)) -> Option<(usize, UnitId, Epochs)> {
        let ends = &self.net.sessions[at.0].ends;
        let (node, other) = (ends[at.1].node, ends[1 - at.1].node);
        let both = node.max(other) < self.nodes.len();
        let epochs = ends[at.1].hello?;
        (both && self.plan.has_history).then(|| (node, self.unit(other), epochs))
    }
}

fn texts<'a>(entries: impl Iterator<Item = (&'a Entry, &'a Parcel)>) -> Vec<Text> {
    entries
        .filter_map(|(entry, parcel)| {
            Some(Text {
                seq: entry.seq,
                sender: parcel.header().ok()?.sender,
                parcel: parcel.digest(),
                bytes: Bytes::copy_from_slice(parcel.bytes()),
                is_left_out: false,
            })
        })
        .collect()
}

fn digest(texts: &[Bytes]) -> Digest {
    Digest::of(&texts.concat())
}
