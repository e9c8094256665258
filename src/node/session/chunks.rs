//! Attachments: chunks that come are written by workers, and chunks that leave are read by them.

use bytes::Bytes;

use super::{Done, Fault, Pump, Stage};
use crate::{
    delivery::Input,
    link::Received,
    model::{BlobDigest, Lane},
    node::{keeper::News, workers::Urgency},
};

impl Pump {
    /// Chunks came. They hold their share of the session's memory until they are written.
    pub(super) fn take_chunks(&mut self, chunks: Received) -> Result<(), Fault> {
        if matches!(self.stage, Stage::ExpectHello { .. }) {
            return Err(Fault::Hello);
        }
        let keeper = self.shared.keeper.clone();
        let (session, neighbour) = (self.id, self.neighbour.clone());
        self.work(Urgency::Bulk, move || {
            Done::Chunks(keeper.came(session, &neighbour, chunks.bytes()))
        });
        Ok(())
    }

    pub(super) async fn chunks_came(&mut self, news: Vec<News>) -> Result<(), Fault> {
        for (digest, news) in news {
            self.tell(Input::Blob { digest, news }).await?;
        }
        Ok(())
    }

    /// The machine gives the session a run.
    pub(super) fn read_chunks(
        &mut self,
        digest: BlobDigest,
        describe: bool,
        first: u64,
        count: u64,
    ) -> Result<(), Fault> {
        let keeper = self.shared.keeper.clone();
        let neighbour = self.neighbour.clone();
        self.work(Urgency::Bulk, move || {
            Done::Run(keeper.pack(&neighbour, digest, describe, first, count))
        });
        Ok(())
    }

    /// It is read: behind every message, for nobody's work waits for it as for those.
    pub(super) async fn run_read(&mut self, read: Result<Bytes, News>) -> Result<(), Fault> {
        match read {
            Ok(bytes) => {
                self.record
                    .batch_sent(Lane::Bulk, bytes.len() as u64, bytes.len() as u64);
                self.carry(Lane::Bulk, bytes);
                Ok(())
            }
            Err((digest, news)) => {
                self.tell(Input::Blob { digest, news }).await?;
                // Nothing goes, so that the link will not grant it again.
                self.granted(0, 1).await
            }
        }
    }
}
