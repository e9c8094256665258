//! Who may put how many bytes into quinn's send buffer.
//!
//! The buffer's bound, `send_window`, is one for the whole connection. Bulk that fills it would block an urgent batch and the
//! control stream for as long as the bulk takes to drain, whatever the priorities of the streams. So the window rests at what
//! bulk may have: one and a half times the congestion window, enough to keep the line full and little enough to decide late.
//! Only while an express batch or a control message is written is it raised by a reserve. One try is at a time, so that bulk
//! never slips into the reserve, and the higher rank tries first ([`super::turns`]).

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::Context,
};

use bytes::Bytes;

use super::{LinkKind, profile::EXPRESS_RESERVE_BYTES, room::Class, turns::Turns};

/// Quinn gives buffer space back by whole pieces as they were written, so pieces are small.
const PIECE_BYTES: usize = 16 * 1024;

pub(super) struct Gate {
    connection: quinn::Connection,
    kind: LinkKind,
    turns: Turns,
}

impl Gate {
    pub(super) fn new(connection: quinn::Connection, kind: LinkKind) -> Self {
        Self {
            connection,
            kind,
            turns: Turns::default(),
        }
    }

    /// Bytes of bulk that may be in quinn's hands now.
    pub(super) fn bulk_window(&self) -> u64 {
        let (least, most) = self.kind.bulk_window_bytes();
        let window = self.connection.stats().path.cwnd;
        window.saturating_add(window / 2).clamp(least, most)
    }

    /// Writes all of `bytes`, waiting for room as its class must. Of those that wait, the higher `rank` goes first.
    pub(super) async fn write(
        &self,
        stream: &mut quinn::SendStream,
        class: Class,
        rank: i32,
        mut bytes: Bytes,
    ) -> Result<(), quinn::WriteError> {
        let mut pieces = Vec::with_capacity(bytes.len().div_ceil(PIECE_BYTES));
        while !bytes.is_empty() {
            pieces.push(bytes.split_to(PIECE_BYTES.min(bytes.len())));
        }
        let mut left = pieces.as_mut_slice();
        while !left.is_empty() {
            let written = self.write_some(stream, class, rank, left).await?;
            left = left.get_mut(written.chunks..).unwrap_or_default();
        }
        Ok(())
    }

    async fn write_some(
        &self,
        stream: &mut quinn::SendStream,
        class: Class,
        rank: i32,
        pieces: &mut [Bytes],
    ) -> Result<quinn::Written, quinn::WriteError> {
        let mut write = pin!(stream.write_chunks(pieces));
        let turn = self.turns.turn(rank);
        let mut attempt = |context: &mut Context<'_>| {
            let window = self.bulk_window();
            let reserve = match class {
                Class::Express => EXPRESS_RESERVE_BYTES,
                Class::Bulk => 0,
            };
            self.connection.set_send_window(window + reserve);
            let written = write.as_mut().poll(context);
            self.connection.set_send_window(window);
            written
        };
        poll_fn(|context| turn.poll(context, &mut attempt)).await
    }
}
