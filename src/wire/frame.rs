//! Control frames: to bytes and back.
//!
//! ```text
//! frame   length LEB128 | body of that length
//! body    kind u8 | fields (codec)
//! ```

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

/// A set of [`Ranges::COUNT_MAX`] ranges with nothing but 9-byte numbers, and its count.
const RANGES_BYTES_MAX: usize = Ranges::COUNT_MAX as usize * 18 + 9;

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
    let whole = check_lists(frame).is_ok() && sets(frame).all(|set| set.ranges() <= RANGES_MAX);
    if whole {
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

const RANGES_MAX: usize = Ranges::COUNT_MAX as usize;

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
    let ranges: Vec<(u64, u64)> = set.iter().collect();
    chunks(&ranges, RANGES_MAX)
        .into_iter()
        .map(|ranges| {
            let mut piece = Ranges::new();
            for (start, end) in ranges {
                piece.insert_range(start, end);
            }
            piece
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        delivery::hop::{
            Absent, Dictionaries, DictionaryAnswer, DictionaryRefusal, Generation,
            GenerationAnswer, OfferedDictionary, PROTOCOL_VERSION,
        },
        model::{BlobDigest, Digest, Fingerprint},
    };

    fn hello(received: Ranges) -> Frame {
        Frame::Hello(Hello {
            version: PROTOCOL_VERSION,
            unit: "hebi.xunxian.tobacco".parse().expect("a unit"),
            epoch: u64::MAX,
            peer_epoch: 7,
            received,
            marks: vec![(u64::MAX - 1, u64::MAX)],
            base: 1,
            next: u64::MAX,
            wall: 1_760_000_000_000,
            link_kind: "3g".into(),
            link_name: "3g".into(),
        })
    }

    fn scattered(ranges: u64, stride: u64) -> Ranges {
        (0..ranges).map(|i| 1 + i * stride).collect()
    }

    fn read_all(bytes: &[u8], step: usize) -> Vec<Frame> {
        let mut decoder = FrameDecoder::new();
        let mut frames = Vec::new();
        for chunk in bytes.chunks(step) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next().expect("frames") {
                frames.push(frame);
            }
        }
        assert_eq!(decoder.read, decoder.buffer.len(), "nothing is left over");
        frames
    }

    #[test]
    fn frames_come_back_however_the_stream_is_cut() {
        let frames = [
            hello(scattered(3, 10)),
            Frame::Ack(Ack::default()),
            Frame::Gone(scattered(2, 5)),
            Frame::GoneAnswer(GoneAnswer::default()),
            Frame::Offer(vec![Digest([7; 16]); 3]),
            Frame::OfferAnswer(OfferAnswer::default()),
            Frame::WantCertificates(vec![Fingerprint([9; 16])]),
            Frame::Certificate(vec![0x30; 700]),
            Frame::Dictionaries(Dictionaries {
                built_in: Digest([1; 16]),
                own: None,
            }),
            Frame::Dictionaries(Dictionaries {
                built_in: Digest([1; 16]),
                own: Some(OfferedDictionary {
                    number: u64::MAX,
                    id: Digest([2; 16]),
                }),
            }),
            Frame::DictionaryAnswer(u64::MAX, DictionaryAnswer::Want),
            Frame::Numbered(u64::MAX),
            Frame::DictionaryAnswer(2, DictionaryAnswer::Refused(DictionaryRefusal::Storage)),
            Frame::Want(Want {
                digest: BlobDigest([3; 32]),
                senders: vec!["hebi.xunxian.tobacco".parse().expect("a unit")],
                described: true,
                have: scattered(5, 7),
            }),
            Frame::Unwant(BlobDigest([4; 32])),
            Frame::Have(Have {
                digest: BlobDigest([5; 32]),
                chunks: (0..9).collect(),
            }),
            Frame::Absent(Absent {
                digest: BlobDigest([6; 32]),
                too_large: true,
            }),
            Frame::Present(BlobDigest([7; 32])),
            Frame::Generation(Generation {
                number: u64::MAX,
                sender: "hebi.xunxian.tobacco".parse().expect("a unit"),
                base: u64::MAX,
                first: 1 << 60,
                last: u64::MAX,
                without: scattered(GENERATION_RANGES_MAX as u64, 1 << 50),
                id: Digest([8; 16]),
            }),
            Frame::GenerationAnswer(u64::MAX, GenerationAnswer::Lack),
            Frame::Moved,
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(encode_frame).collect();
        for step in [1, 2, 7, 1000, bytes.len()] {
            assert_eq!(read_all(&bytes, step), frames, "in steps of {step}");
        }
    }

    #[test]
    fn frames_of_kinds_that_are_not_known_are_passed_over_however_the_stream_is_cut() {
        let mut bytes = encode_frame(&Frame::Moved);
        for (kind, len) in [(20, 1), (99, 300), (250, UNKNOWN_BYTES_MAX)] {
            varint::put(&mut bytes, len as u64);
            bytes.push(kind);
            bytes.extend(std::iter::repeat_n(0xff, len - 1));
        }
        bytes.extend(encode_frame(&Frame::Numbered(7)));
        for step in [1, 2, 7, 1000, bytes.len()] {
            let known = [Frame::Moved, Frame::Numbered(7)];
            assert_eq!(read_all(&bytes, step), known, "in steps of {step}");
        }
        let mut decoder = FrameDecoder::new();
        let mut large = Vec::new();
        varint::put(&mut large, UNKNOWN_BYTES_MAX as u64 + 1);
        large.push(99);
        decoder.push(&large);
        assert!(matches!(
            decoder.next(),
            Err(FrameError::TooLong { kind: 99, .. })
        ));
    }

    #[test]
    fn a_hello_with_every_range_that_may_be_fits_with_the_largest_numbers() {
        let most = hello(scattered(
            Ranges::COUNT_MAX,
            u64::MAX / Ranges::COUNT_MAX - 1,
        ));
        let bytes = encode_frame(&most);
        assert!(bytes.len() > 160_000);
        assert_eq!(read_all(&bytes, 4096), [most]);
    }

    #[test]
    fn a_hello_from_a_link_with_a_long_name_tells_the_start_of_it() {
        let Frame::Hello(mut hello) = hello(Ranges::new()) else {
            panic!("a hello")
        };
        hello.link_name = "专".repeat(60);
        let frames = read_all(&encode_frame(&Frame::Hello(hello.clone())), 100);
        hello.link_name = "专".repeat(42);
        assert_eq!(frames, [Frame::Hello(hello)]);
    }

    #[test]
    fn a_hello_with_more_ranges_keeps_the_lowest() {
        let frames = read_all(
            &encode_frame(&hello(scattered(Ranges::COUNT_MAX + 9, 2))),
            9999,
        );
        assert_eq!(frames, [hello(scattered(Ranges::COUNT_MAX, 2))]);
    }

    #[test]
    fn what_does_not_fit_one_frame_is_said_in_several() {
        let digests: Vec<Digest> = (0..2500u16).map(|i| Digest::of(&i.to_le_bytes())).collect();
        let frames = read_all(&encode_frame(&Frame::Offer(digests.clone())), 777);
        assert_eq!(frames.len(), 3);
        let mut together = Vec::new();
        for frame in frames {
            let Frame::Offer(part) = frame else {
                panic!("an offer")
            };
            together.extend(part);
        }
        assert_eq!(together, digests);

        let received = scattered(Ranges::COUNT_MAX * 2 + 5, 3);
        let unit: crate::model::UnitId = "hebi.police".parse().expect("a unit");
        let ack = Ack {
            received: received.clone(),
            credit: [1, 2, 3, 4],
            closed: vec![unit; 600],
            ..Ack::default()
        };
        let mut together = Ranges::new();
        let mut closed = 0;
        for frame in read_all(&encode_frame(&Frame::Ack(ack)), 50_000) {
            let Frame::Ack(part) = frame else {
                panic!("an ack")
            };
            assert_eq!(part.credit, [1, 2, 3, 4]);
            together.union(&part.received);
            closed += part.closed.len();
        }
        assert_eq!(together, received);
        assert_eq!(closed, 600);
    }

    #[test]
    fn a_length_that_its_kind_does_not_have_is_refused_before_its_body_comes() {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, 40_000);
        bytes.push(4);
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        assert!(matches!(
            decoder.next(),
            Err(FrameError::TooLong {
                kind: 4,
                bytes: 40_000,
                ..
            })
        ));
        for (hostile, what) in [
            (&[0xff, 0xff, 0xff, 0xff][..], "a length without an end"),
            (&[0x00], "an empty frame"),
            (&[0xff, 0xff, 0xff, 0x7f], "a length beyond every frame"),
        ] {
            let mut decoder = FrameDecoder::new();
            decoder.push(hostile);
            assert!(decoder.next().is_err(), "{what}");
        }
    }

    #[test]
    fn lists_beyond_their_bound_are_refused() {
        let body = codec::encode(&Frame::WantCertificates(vec![
            Fingerprint([1; 16]);
            LIST_MAX
        ]));
        let mut bytes = Vec::new();
        varint::put(&mut bytes, body.len() as u64);
        bytes.extend(body);
        assert_eq!(read_all(&bytes, 100).len(), 1);
        let frame = Frame::Ack(Ack {
            open: vec!["a".parse().expect("a unit"); LIST_MAX + 1],
            ..Ack::default()
        });
        let body = codec::encode(&frame);
        let mut bytes = Vec::new();
        varint::put(&mut bytes, body.len() as u64);
        bytes.extend(body);
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        assert!(matches!(
            decoder.next(),
            Err(FrameError::TooMany {
                what: "ack.open",
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
