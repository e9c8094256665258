//! Batches: packed and judged by workers, beside everything else that the session does.

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{Done, Fault, Pump};
use crate::{
    delivery::{Departure, Input},
    link::{self, Outgoing, Received},
    model::Lane,
    node::{
        incoming::{Court, Judging, Origin},
        outgoing::{self, Common, PackError, Packed},
        workers::{Urgency, WorkerFailed},
    },
};

/// A batch of so many parcels is packed at once, and acks wait for it: they leave in the same packet.
const SMALL_BATCH_PARCELS: usize = 8;
/// A batch of so many bytes is judged before larger ones that came earlier: it is soon done, and somebody may wait for it.
const SMALL_BATCH_BYTES: usize = 4096;
/// Batches of either size that are judged or wait for the owner at a time: those of a neighbour that sends as fast as it can wait here,
/// where they are in nobody's way.
pub(super) const JUDGED_AT_ONCE: usize = 2;

impl Pump {
    /// Has a batch packed for the neighbour.
    pub(super) fn pack(&mut self, lane: Lane, parcels: Vec<Departure>) -> Result<(), Fault> {
        let reader = self.shared.reader()?;
        let (kind, compression) = (self.carrier.kind, self.carrier.compression);
        let small = parcels.len() <= SMALL_BATCH_PARCELS;
        let urgency = match small || lane.has_reserve() {
            true => Urgency::Express,
            false => Urgency::Bulk,
        };
        let common = Common {
            choice: self.talk.choice(),
            history: self.history_of_sent(),
            agreed: self.agreed(),
            plain: self.shared.live().plain.clone(),
        };
        self.packing += usize::from(small);
        self.work(urgency, move || {
            let packed = outgoing::pack(&reader, parcels, kind, compression, &common);
            Done::Packed {
                lane,
                small,
                packed,
            }
        });
        Ok(())
    }

    /// A batch is packed: it goes, after the acks that waited for it.
    pub(super) async fn send_batch(
        &mut self,
        lane: Lane,
        small: bool,
        packed: Result<Packed, PackError>,
    ) -> Result<(), Fault> {
        self.packing -= usize::from(small);
        self.write(Vec::new());
        let Packed {
            bytes,
            payload_bytes,
            senders,
            unreadable,
        } = packed?;
        self.offer_generations(&senders);
        for outgoing::Unreadable { seq, at } in unreadable {
            let lease = Some((self.id, seq));
            self.tell(Input::Unreadable { at, lease }).await?;
        }
        let Some(bytes) = bytes else {
            // Nothing goes, so that the link will not grant the batch again.
            let express = u16::from(lane.has_reserve());
            return self.granted(express, 1 - express).await;
        };
        self.record
            .batch_sent(lane, bytes.len() as u64, payload_bytes);
        self.packed(bytes.len() as u64, payload_bytes).await?;
        self.carry(lane, bytes);
        Ok(())
    }

    /// Has the link send a batch, once it has room for one more.
    pub(super) fn carry(&mut self, lane: Lane, bytes: Bytes) {
        self.sent += 1;
        let batch = Outgoing {
            id: self.sent,
            express: lane.has_reserve(),
            lane,
            bytes,
        };
        self.pending
            .push_back(link::Command::Batch(Box::new(batch)));
    }

    /// Has a batch of the neighbour's judged.
    pub(super) fn judge(&mut self, batch: Received) -> Result<(), Fault> {
        let Some(needed) = self.needed(&batch)? else {
            // It comes again.
            return Ok(());
        };
        let origin = Origin {
            shared: self.shared.clone(),
            neighbour: self.neighbour.clone(),
            history: self.history(),
            needed,
        };
        let urgency = match batch.bytes().len() <= SMALL_BATCH_BYTES {
            true => Urgency::Express,
            false => Urgency::Bulk,
        };
        let live = self.shared.live();
        let court = Court {
            attests: live.attests(&self.neighbour),
            live,
            untrusted: self.untrusted.clone(),
            limits: self.limits,
            origin,
            now: self.shared.clock.wall(),
        };
        let mut judging = Judging::new(batch, court);
        let (desk, turns) = (self.desk.clone(), self.judging[urgency as usize].clone());
        let judged = async move {
            let turn = turns.acquire_owned().await.map_err(|_| WorkerFailed)?;
            let judged = desk.run_in_steps(urgency, move || judging.step()).await?;
            Ok(Done::Judged(judged, turn))
        };
        self.under_way.push(judged.boxed());
        Ok(())
    }
}
