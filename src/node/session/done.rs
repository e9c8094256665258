//! What workers do for the session, and what becomes of it.

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::{Fault, Pump, Stage};
use crate::{
    blob,
    delivery::hop::{DictionaryRefusal, Frame},
    model::{Fingerprint, Lane, Reason},
    node::{
        incoming::{Judged, Lost},
        keeper::{ChunksFault, News},
        outgoing::{PackError, Packed},
        workers::Urgency,
    },
};

/// What a worker has done.
pub(super) enum Done {
    /// A batch, and what it holds of the session's turns until the owner has taken it.
    Judged(Judged, OwnedSemaphorePermit),
    Packed {
        lane: Lane,
        small: bool,
        packed: Result<Packed, PackError>,
    },
    /// A certificate was judged: whether it counts, or why not, or nothing when it cannot be kept.
    Certificate(Fingerprint, Result<(), Option<Reason>>),
    /// Certificates that the neighbour asked for.
    Found(Vec<Frame>),
    /// Whether a dictionary of the neighbour's is here.
    Looked(u64, bool),
    /// What came of attachments is written, if it counts.
    Chunks(Result<Vec<News>, ChunksFault>),
    /// Chunks for the neighbour are read.
    Run(Result<Result<Bytes, News>, blob::ReadError>),
    /// A dictionary for the neighbour.
    Packaged(Bytes),
    /// A dictionary of the neighbour's was judged, and kept if it counts.
    Taken(u64, Result<(), DictionaryRefusal>),
}

impl Pump {
    /// Has a worker do something at the session's desk.
    pub(super) fn work(&self, urgency: Urgency, work: impl FnOnce() -> Done + Send + 'static) {
        let desk = self.desk.clone();
        self.under_way
            .push(async move { desk.run(urgency, work).await }.boxed());
    }

    /// A worker has done something.
    pub(super) async fn done(&mut self, done: Done) -> Result<(), Fault> {
        if self.ending.is_some() {
            return match done {
                // What is here of attachments is so for whoever else sends them.
                Done::Chunks(Ok(news)) => self.chunks_came(news).await,
                _ => Ok(()),
            };
        }
        match done {
            Done::Judged(Judged::Arrivals(_), _)
                if matches!(self.stage, Stage::ExpectHello { .. }) =>
            {
                Err(Fault::Hello)
            }
            Done::Judged(Judged::Arrivals(arrivals), turn) => {
                let payload: usize = arrivals.iter().map(|a| a.parcel.bytes().len()).sum();
                self.record.batch_received(payload as u64);
                Ok(self.shared.arrived(self.id, arrivals, turn).await?)
            }
            Done::Judged(Judged::Unknown(batch, missing), _) => {
                self.hold(batch, missing);
                Ok(())
            }
            Done::Judged(Judged::Lost(lost), _) => {
                match lost {
                    Lost::Dictionary(number) => self.dictionary_lost(number),
                    Lost::Generation(number) => self.generation_lost(number),
                }
                Ok(())
            }
            Done::Judged(Judged::Broken(error), _) => Err(error.into()),
            Done::Packed {
                lane,
                small,
                packed,
            } => self.send_batch(lane, small, packed).await,
            Done::Certificate(fingerprint, outcome) => self.judged(fingerprint, outcome),
            Done::Found(frames) => {
                for frame in frames {
                    self.send(&frame);
                }
                self.is_finding = false;
                self.find_certificates()
            }
            Done::Looked(number, is_here) => {
                let answer = self.talk.looked(number, is_here);
                self.answer(answer);
                Ok(())
            }
            Done::Chunks(came) => self.chunks_came(came?).await,
            Done::Run(read) => self.run_read(read?).await,
            Done::Packaged(bytes) => {
                self.hand_over(bytes);
                Ok(())
            }
            Done::Taken(number, outcome) => {
                let answer = self.talk.judged(number, outcome);
                self.answer(answer);
                Ok(())
            }
        }
    }
}
