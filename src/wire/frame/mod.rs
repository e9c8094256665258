//! Control frames: to bytes and back.
//!
//! ```text
//! frame   length LEB128 | body of that length
//! body    kind u8 | fields (codec)
//! ```

#[cfg(test)]
mod tests;

use super::varint;
use crate::{
    codec,
    delivery::hop::{
        Ack, Frame, GENERATION_RANGES_MAX, GoneAnswer, Have, Hello, MARKS_MAX, OfferAnswer,
        WANT_SENDERS_MAX, Want,
    },
    model::Ranges,
};

/// Largest body of a control frame, in bytes. The largest that can be is an [`Ack`] with two full [`Ranges`] and full lists.
pub const FRAME_BYTES_MAX: usize = RANGES_BYTES_MAX * 2 + LIST_MAX * 2 * UNIT_BYTES_MAX + 64;

/// Most digests of one [`Frame::Offer`] and of each list of its answer.
pub const OFFER_MAX: usize = 1024;

/// Most fingerprints of one [`Frame::WantCertificates`], and most units of each list of an [`Ack`].
pub const LIST_MAX: usize = 256;

/// Largest certificate, DER, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Longest kind and name of a link in [`Hello`], in bytes.
pub const LINK_TEXT_BYTES_MAX: usize = 128;

/// Most ranges of each set of numbers.
const RANGES_MAX: usize = 16 * 1024;

/// A set of [`RANGES_MAX`] ranges with nothing but 9-byte numbers, and its count.
const RANGES_BYTES_MAX: usize = RANGES_MAX * 18 + 9;

const UNIT_BYTES_MAX: usize = crate::model::UnitId::BYTES_MAX + 9;

/// Largest frame of a kind that is not known, which is passed over.
const UNKNOWN_BYTES_MAX: usize = 64 * 1024;

/// What the decoder claims before it allocates; more than [`FRAME_BYTES_MAX`], for a number of one byte claims eight.
const CLAIM_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// A neighbour's control stream does not read as frames. The session ends; the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is not a number, or larger than frames of this kind get.
    #[error("a control frame of kind {kind} claims {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong {
        /// The frame's kind, its first byte; 255 when it is not known yet.
        kind: u8,
        /// The length that it claims.
        bytes: u64,
        /// The most that is allowed.
        bytes_max: usize,
    },
    /// The frame's length is not a number.
    #[error("a control frame's length does not read as a number")]
    Length,
    /// The frame has nothing in it, not even a kind.
    #[error("a control frame is empty")]
    Empty,
    /// The body does not decode.
    #[error("a control frame of kind {kind} {error}")]
    Body {
        /// The frame's kind.
        kind: u8,
        /// What is wrong.
        error: codec::CodecError,
    },
    /// A list or a text in it is too long.
    #[error("{what} has {count} entries or bytes, at most {count_max} are allowed")]
    TooMany {
        /// The list or the text.
        what: &'static str,
        /// Its length.
        count: usize,
        /// The most that is allowed.
        count_max: usize,
    },
}

/// Encodes a frame so that [`FrameDecoder`] takes it.
///
/// A frame that says more than one may is written as several that say the same together: the lists and ranges of all but
/// [`Hello`] are cut into pieces, each in a frame of its own. Of a `Hello` that has more ranges than fit the last are left out:
/// the neighbour sends those parcels again.
pub fn encode_frame(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in cut(frame) {
        let body = codec::encode(frame.as_ref());
        debug_assert!(body.len() <= FRAME_BYTES_MAX);
        varint::put(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
    }
    out
}

/// Puts frames together from the bytes of a control stream.
///
/// [`FrameDecoder::push`] bytes as they come, then call [`FrameDecoder::next`] until it says `None`. It keeps at most one
/// incomplete frame, which its length and kind have shown to be allowed, beside what one push brought.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// What has been read of `buffer`.
    read: usize,
    /// A frame of a kind that is not known was passed over.
    passed_over: bool,
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the stream's next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come. Frames of kinds that are not known are passed over: a neighbour may be
    /// newer.
    ///
    /// # Errors
    /// The stream does not read as frames. Everything after is lost too: end the session.
    #[allow(
        clippy::should_implement_trait,
        reason = "it fails, and goes on after None"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.next_of_any_kind()? {
                return Ok(Some(frame));
            }
            if !std::mem::take(&mut self.passed_over) {
                return Ok(None);
            }
        }
    }

    /// The next frame if it is whole and of a known kind.
    fn next_of_any_kind(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some(length) = take_length(&mut rest)? else {
            return Ok(None);
        };
        let kind = rest.first().copied();
        let bytes_max = match kind {
            Some(kind) if length > 0 => body_bytes_max(kind).unwrap_or(UNKNOWN_BYTES_MAX),
            _ => FRAME_BYTES_MAX,
        };
        if length > bytes_max as u64 {
            let kind = kind.unwrap_or(u8::MAX);
            return Err(FrameError::TooLong {
                kind,
                bytes: length,
                bytes_max,
            });
        }
        if length == 0 {
            return Err(FrameError::Empty);
        }
        let Some(body) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let end = self.buffer.len() - rest.len() + body.len();
        if kind.is_some_and(|kind| body_bytes_max(kind).is_none()) {
            (self.read, self.passed_over) = (end, true);
            return Ok(None);
        }
        let frame = codec::decode::<Frame, CLAIM_BYTES_MAX>(body).map_err(|error| {
            let kind = kind.unwrap_or(u8::MAX);
            FrameError::Body { kind, error }
        })?;
        check_lists(&frame)?;
        self.read = end;
        Ok(Some(frame))
    }
}

/// A buffer larger than this is given back when it is empty.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The length at the front; none while its bytes are not all there.
fn take_length(bytes: &mut &[u8]) -> Result<Option<u64>, FrameError> {
    // Four bytes of LEB128 hold more than `FRAME_BYTES_MAX`.
    let ends = bytes.iter().take(4).position(|byte| byte & 0x80 == 0);
    match ends {
        Some(_) => varint::take(bytes).map(Some).ok_or(FrameError::Length),
        None if bytes.len() < 4 => Ok(None),
        None => Err(FrameError::Length),
    }
}

/// The most that a frame of this kind may have; none when the kind is not known.
fn body_bytes_max(kind: u8) -> Option<usize> {
    Some(match kind {
        0 => {
            RANGES_BYTES_MAX + UNIT_BYTES_MAX + 2 * (LINK_TEXT_BYTES_MAX + 9) + MARKS_MAX * 18 + 64
        }
        1 => FRAME_BYTES_MAX,
        2 => RANGES_BYTES_MAX + 1,
        3 => 2 * RANGES_BYTES_MAX + 1,
        4 => OFFER_MAX * 16 + 4,
        5 => 2 * (OFFER_MAX * 16 + 3) + 1,
        6 => LIST_MAX * 16 + 4,
        7 => CERTIFICATE_BYTES_MAX + 4,
        8 => 1 + 16 + 1 + 9 + 16,
        9 => 1 + 9 + 2,
        10 => 1 + 9,
        11 => 1 + 5 + 1,
        12 => 1 + 32 + 1 + WANT_SENDERS_MAX * UNIT_BYTES_MAX + 1 + RANGES_BYTES_MAX,
        14 => 1 + 32 + RANGES_BYTES_MAX,
        13 | 16 => 1 + 32,
        15 => 1 + 32 + 1,
        17 => 1 + 4 * 9 + UNIT_BYTES_MAX + GENERATION_RANGES_MAX * 18 + 9 + 16,
        18 => 1 + 9 + 1,
        19 => 1,
        _ => return None,
    })
}

fn check_lists(frame: &Frame) -> Result<(), FrameError> {
    let within = |what, count, count_max| {
        if count <= count_max {
            Ok(())
        } else {
            Err(FrameError::TooMany {
                what,
                count,
                count_max,
            })
        }
    };
    for set in sets(frame) {
        within("a set of numbers", set.ranges(), RANGES_MAX)?;
    }
    match frame {
        Frame::Hello(hello) => {
            within("hello.marks", hello.marks.len(), MARKS_MAX)?;
            within(
                "hello.link_kind",
                hello.link_kind.len(),
                LINK_TEXT_BYTES_MAX,
            )?;
            within(
                "hello.link_name",
                hello.link_name.len(),
                LINK_TEXT_BYTES_MAX,
            )
        }
        Frame::Ack(ack) => {
            within("ack.closed", ack.closed.len(), LIST_MAX)?;
            within("ack.open", ack.open.len(), LIST_MAX)
        }
        Frame::Gone(_) | Frame::GoneAnswer(_) => Ok(()),
        Frame::Dictionaries(_)
        | Frame::DictionaryAnswer(..)
        | Frame::Numbered(_)
        | Frame::Terms(_)
        | Frame::Unwant(_)
        | Frame::Have(_)
        | Frame::Absent(_)
        | Frame::Present(_)
        | Frame::GenerationAnswer(..)
        | Frame::Moved => Ok(()),
        Frame::Generation(generation) => within(
            "generation.without",
            generation.without.ranges(),
            GENERATION_RANGES_MAX,
        ),
        Frame::Want(want) => within("want.senders", want.senders.len(), WANT_SENDERS_MAX),
        Frame::Offer(digests) => within("offer", digests.len(), OFFER_MAX),
        Frame::OfferAnswer(answer) => {
            within("offer-answer.lacked", answer.lacked.len(), OFFER_MAX)?;
            within("offer-answer.had", answer.had.len(), OFFER_MAX)
        }
        Frame::WantCertificates(signers) => within("want-certificates", signers.len(), LIST_MAX),
        Frame::Certificate(der) => within("certificate", der.len(), CERTIFICATE_BYTES_MAX),
    }
}

/// The frame as it is when it says no more than it may, else several that say the same.
fn cut(frame: &Frame) -> Vec<std::borrow::Cow<'_, Frame>> {
    use std::borrow::Cow::{Borrowed, Owned};
    if check_lists(frame).is_ok() {
        return vec![Borrowed(frame)];
    }
    let pieces: Vec<Frame> = match frame {
        Frame::Hello(hello) => vec![Frame::Hello(shortened(hello))],
        Frame::Ack(ack) => cut_ack(ack),
        Frame::Gone(gone) => pieces_of(gone).into_iter().map(Frame::Gone).collect(),
        Frame::GoneAnswer(answer) => zipped(pieces_of(&answer.had), pieces_of(&answer.gone))
            .map(|(had, gone)| Frame::GoneAnswer(GoneAnswer { had, gone }))
            .collect(),
        Frame::Offer(digests) => chunks(digests, OFFER_MAX)
            .into_iter()
            .map(Frame::Offer)
            .collect(),
        Frame::OfferAnswer(answer) => zipped(
            chunks(&answer.lacked, OFFER_MAX),
            chunks(&answer.had, OFFER_MAX),
        )
        .map(|(lacked, had)| Frame::OfferAnswer(OfferAnswer { lacked, had }))
        .collect(),
        Frame::WantCertificates(signers) => chunks(signers, LIST_MAX)
            .into_iter()
            .map(Frame::WantCertificates)
            .collect(),
        // Of what is here of an attachment a want tells as much as fits: the rest comes again.
        Frame::Want(want) => vec![Frame::Want(Want {
            have: pieces_of(&want.have).into_iter().next().unwrap_or_default(),
            ..want.clone()
        })],
        Frame::Have(have) => pieces_of(&have.chunks)
            .into_iter()
            .map(|chunks| {
                let digest = have.digest;
                Frame::Have(Have { digest, chunks })
            })
            .collect(),
        // A certificate cannot be cut; the neighbour refuses one that is too long.
        Frame::Certificate(_)
        | Frame::Dictionaries(_)
        | Frame::DictionaryAnswer(..)
        | Frame::Numbered(_)
        | Frame::Terms(_)
        | Frame::Unwant(_)
        | Frame::Absent(_)
        | Frame::Present(_)
        | Frame::Moved
        // It is made with no more ranges than it may have.
        | Frame::Generation(_)
        | Frame::GenerationAnswer(..) => vec![frame.clone()],
    };
    pieces.into_iter().map(Owned).collect()
}

fn sets(frame: &Frame) -> impl Iterator<Item = &Ranges> {
    let (first, second) = match frame {
        Frame::Hello(hello) => (Some(&hello.received), None),
        Frame::Ack(ack) => (Some(&ack.received), Some(&ack.parked)),
        Frame::Gone(gone) => (Some(gone), None),
        Frame::Want(want) => (Some(&want.have), None),
        Frame::Have(have) => (Some(&have.chunks), None),
        Frame::GoneAnswer(answer) => (Some(&answer.had), Some(&answer.gone)),
        _ => (None, None),
    };
    first.into_iter().chain(second)
}

fn shortened(hello: &Hello) -> Hello {
    Hello {
        received: pieces_of(&hello.received)
            .into_iter()
            .next()
            .unwrap_or_default(),
        link_kind: clipped(&hello.link_kind),
        link_name: clipped(&hello.link_name),
        ..hello.clone()
    }
}

/// The text's start, at most [`LINK_TEXT_BYTES_MAX`] bytes, cut between characters.
fn clipped(text: &str) -> String {
    (0..=LINK_TEXT_BYTES_MAX)
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
        .to_owned()
}

fn cut_ack(ack: &Ack) -> Vec<Frame> {
    let sets = zipped(pieces_of(&ack.received), pieces_of(&ack.parked));
    let lists = zipped(chunks(&ack.closed, LIST_MAX), chunks(&ack.open, LIST_MAX));
    zipped(sets.collect(), lists.collect())
        .map(|((received, parked), (closed, open))| {
            Frame::Ack(Ack {
                received,
                parked,
                credit: ack.credit,
                closed,
                open,
            })
        })
        .collect()
}

fn pieces_of(set: &Ranges) -> Vec<Ranges> {
    set.pieces(RANGES_MAX).collect()
}

fn chunks<T: Clone>(list: &[T], most: usize) -> Vec<Vec<T>> {
    list.chunks(most).map(<[T]>::to_vec).collect()
}

/// Both lists side by side, the shorter one filled up with nothing.
fn zipped<A: Default, B: Default>(a: Vec<A>, b: Vec<B>) -> impl Iterator<Item = (A, B)> {
    let count = a.len().max(b.len());
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    (0..count).map(move |_| (a.next().unwrap_or_default(), b.next().unwrap_or_default()))
}
