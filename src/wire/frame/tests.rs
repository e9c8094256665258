//! Frames to bytes and back, and what is no frame.

use proptest::prelude::*;

use super::*;
use crate::{
    delivery::hop::{
        Absent, Dictionaries, DictionaryAnswer, DictionaryRefusal, Generation, GenerationAnswer,
        OfferedDictionary, PROTOCOL_VERSION,
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
        RANGES_MAX as u64,
        u64::MAX / RANGES_MAX as u64 - 1,
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
        &encode_frame(&hello(scattered(RANGES_MAX as u64 + 9, 2))),
        9999,
    );
    assert_eq!(frames, [hello(scattered(RANGES_MAX as u64, 2))]);
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

    let received = scattered(RANGES_MAX as u64 * 2 + 5, 3);
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

#[test]
fn a_set_of_more_ranges_than_a_frame_may_have_is_refused() {
    for (count, is_good) in [(RANGES_MAX, true), (RANGES_MAX + 1, false)] {
        let body = codec::encode(&Frame::Gone(scattered(count as u64, 2)));
        let mut bytes = Vec::new();
        varint::put(&mut bytes, body.len() as u64);
        bytes.extend(body);
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        match decoder.next() {
            Ok(Some(Frame::Gone(_))) => assert!(is_good),
            Err(FrameError::TooMany { .. }) => assert!(!is_good),
            other => panic!("{other:?}"),
        }
    }
}
