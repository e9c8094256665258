//! Batches there and back, and what hostile bytes come to.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use proptest::prelude::*;

use super::{squeeze::Method, *};
use crate::{
    codec,
    delivery::hop::{Entry, Targets},
    model::{Fingerprint, Pattern},
    parcel::{Header, Parcel, Signer},
    sample::{Generator, Options},
};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Signer::from_pkcs8(key.as_ref(), Fingerprint::of(b"certificate")).expect("a signer")
});

const ACCEPTED: u64 = 1_760_000_000_000;

const EFFORTS: [Effort; 4] = [
    Effort::Level(3),
    Effort::Level(9),
    Effort::Level(19),
    Effort::Densest,
];

const COMPRESSIONS: [Compression; 3] =
    [Compression::Isolated, Compression::Shared, Compression::Off];

fn every_against() -> [Against; 6] {
    let own = super::training::tests::town_dictionary();
    let history = Arc::new(history_of(&mailbox(9, 30), own));
    [
        Against::History(1, history.clone()),
        Against::History(1 << 40, history),
        Against::Nothing,
        Against::BuiltIn,
        Against::Own(2, own.clone()),
        Against::Own(400, own.clone()),
    ]
}

fn history_of(entries: &[(Entry, Parcel)], base: &Dictionary) -> History {
    let texts: Vec<Vec<u8>> = entries
        .iter()
        .filter_map(|(_, parcel)| history_text(parcel))
        .collect();
    let id = crate::model::Digest::of(&texts.concat());
    History::new(id, base, texts.iter().map(Vec::as_slice))
}

fn entry(seq: u64) -> Entry {
    Entry {
        seq,
        after: Vec::new(),
        targets: Targets::Signed,
        attested: 0,
    }
}

/// Messages as an edge has them in its outbox: one sender.
fn backlog(seed: u64, from: &str, count: usize) -> Vec<(Entry, Parcel)> {
    let options = Options {
        start: ACCEPTED,
        from: Some(from.parse().expect("a unit")),
        to: None,
    };
    Generator::with(seed, options)
        .take(count)
        .zip(1..)
        .map(|(sample, seq)| (entry(seq), sample.parcel(&SIGNER, ACCEPTED + seq * 37)))
        .collect()
}

/// Messages of many senders, as a hub has them in a mailbox.
fn mailbox(seed: u64, count: usize) -> Vec<(Entry, Parcel)> {
    Generator::new(seed)
        .take(count)
        .zip(1..)
        .map(|(sample, seq)| (entry(seq), sample.parcel(&SIGNER, ACCEPTED + seq * 37)))
        .collect()
}

fn packed(entries: &[(Entry, Parcel)], compression: Compression, effort: Effort) -> Vec<u8> {
    let settings = Settings {
        compression,
        effort,
        against: Against::BuiltIn,
        ..Settings::default()
    };
    pack(entries, &settings, &mut Compressor::new()).to_vec()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<(Entry, Parcel)>, BatchError> {
    unpack(bytes, &BatchLimits::default(), Text::Nothing)
}

#[test]
fn a_mailbox_comes_back_in_order_whatever_the_settings() {
    let entries = mailbox(1, 40);
    for compression in COMPRESSIONS {
        for effort in EFFORTS {
            for against in every_against() {
                let settings = Settings {
                    compression,
                    effort,
                    against: against.clone(),
                    ..Settings::default()
                };
                let bytes = pack(&entries, &settings, &mut Compressor::new());
                assert!(bytes.len() <= BatchLimits::default().packed_bytes_max());
                let needed = match (compression, &against) {
                    (Compression::Off, _) => Named::Common,
                    (_, Against::Own(number, _)) => Named::Own(*number),
                    (_, Against::History(number, _)) => Named::Generation(*number),
                    _ => Named::Common,
                };
                assert_eq!(named(&bytes), Ok(needed));
                let back = unpack(&bytes, &BatchLimits::default(), against.text());
                assert_eq!(back, Ok(entries.clone()), "{settings:?}");
            }
        }
    }
}

#[test]
fn a_compressor_serves_one_setting_after_another() {
    let entries = backlog(2, "hebi.tobacco", 12);
    let mut compressor = Compressor::new();
    for effort in EFFORTS.into_iter().chain(EFFORTS) {
        let settings = Settings {
            effort,
            ..Settings::default()
        };
        let bytes = pack(&entries, &settings, &mut compressor);
        assert_eq!(bytes, packed(&entries, Compression::Isolated, effort));
        assert_eq!(unpacked(&bytes), Ok(entries.clone()));
        compressor.shed();
    }
}

#[test]
fn a_batch_takes_less_than_a_third_of_what_was_given() {
    let entries = backlog(3, "hebi.tobacco", 64);
    let given: usize = entries.iter().map(|(_, parcel)| parcel.bytes().len()).sum();
    let sizes = EFFORTS.map(|effort| packed(&entries, Compression::Isolated, effort).len());
    assert!(sizes[0] * 3 < given, "{sizes:?} of {given}");
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

#[test]
fn a_lone_message_costs_little_beside_its_signature() {
    let entries = backlog(4, "hebi.tobacco", 200);
    let mut sizes: Vec<usize> = entries
        .iter()
        .map(|entry| {
            packed(
                std::slice::from_ref(entry),
                Compression::Isolated,
                Effort::Level(9),
            )
            .len()
        })
        .collect();
    sizes.sort_unstable();
    assert!(sizes[100] < 320, "median {}", sizes[100]);
}

#[test]
fn a_units_own_dictionary_leaves_less_of_its_messages_and_only_who_has_it_reads_them() {
    let entries = super::training::tests::town_messages(2, 100);
    let own = super::training::tests::town_dictionary();
    let against = [Against::BuiltIn, Against::Own(2, own.clone())];
    let size = |against: &Against, effort, count| -> usize {
        let settings = Settings {
            against: against.clone(),
            effort,
            ..Settings::default()
        };
        let mut compressor = Compressor::new();
        let batches = entries.chunks(count);
        batches
            .map(|batch| pack(batch, &settings, &mut compressor).len())
            .sum()
    };
    for (effort, count) in [
        (Effort::Level(9), 1),
        (Effort::Level(19), 64),
        (Effort::Densest, 64),
    ] {
        let [built_in, own] = against.each_ref().map(|a| size(a, effort, count));
        assert!(own < built_in, "{effort:?}: {own}, built in {built_in}");
    }

    let settings = Settings {
        against: against[1].clone(),
        ..Settings::default()
    };
    let bytes = pack(&entries, &settings, &mut Compressor::new());
    assert_eq!(named(&bytes), Ok(Named::Own(2)));
    assert_eq!(unpacked(&bytes), Err(BatchError::Dictionary(2)));
    let other = Dictionary::built_in();
    let limits = BatchLimits::default();
    assert_ne!(
        unpack(&bytes, &limits, Text::Dictionary(other)).ok(),
        Some(entries.clone())
    );
    assert_eq!(unpack(&bytes, &limits, Text::Dictionary(own)), Ok(entries));
}

#[test]
fn what_the_same_sender_wrote_before_makes_a_lone_message_smaller_and_only_who_has_it_reads_it() {
    let all = backlog(5, "hebi.police", 160);
    let (before, after) = all.split_at(120);
    let history = Arc::new(history_of(before, Dictionary::built_in()));
    let size = |against: &Against| -> usize {
        let settings = Settings {
            against: against.clone(),
            ..Settings::default()
        };
        let mut compressor = Compressor::new();
        let batches = after.chunks(1).map(|batch| {
            let bytes = pack(batch, &settings, &mut compressor);
            let back = unpack(&bytes, &BatchLimits::default(), against.text());
            assert_eq!(back.as_deref(), Ok(batch));
            bytes.len()
        });
        batches.sum()
    };
    let with = Against::History(7, history.clone());
    let (without, with) = (size(&Against::BuiltIn), size(&with));
    assert!(with * 20 < without * 19, "{with} bytes, {without} without");

    let settings = Settings {
        against: Against::History(7, history),
        ..Settings::default()
    };
    let bytes = pack(&after[..1], &settings, &mut Compressor::new());
    assert_eq!(unpacked(&bytes), Err(BatchError::Generation(7)));
    let limits = BatchLimits::default();
    let other = history_of(&before[1..], Dictionary::built_in());
    assert_ne!(
        unpack(&bytes, &limits, Text::History(&other))
            .ok()
            .as_deref(),
        Some(&after[..1])
    );
    let own = Text::Dictionary(Dictionary::built_in());
    assert_eq!(unpack(&bytes, &limits, own), Err(BatchError::Generation(7)));
}

#[test]
fn a_receipt_repeats_what_earlier_ones_of_its_issuer_said() {
    let unit = "hebi.police".parse().expect("a unit");
    let receipts: Vec<_> = (1..6).map(|n| receipt(&unit, &unit, n, ACCEPTED)).collect();
    let (last, before) = receipts.split_last().expect("some");
    let texts: Vec<_> = before.iter().filter_map(history_text).collect();
    let history = Arc::new(History::new(
        crate::model::Digest([1; 16]),
        Dictionary::built_in(),
        texts.iter().map(Vec::as_slice),
    ));
    let alone_against = |against| {
        let settings = Settings {
            against,
            ..Settings::default()
        };
        let entries = [(entry(6), last.clone())];
        pack(&entries, &settings, &mut Compressor::new()).len()
    };
    let (alone, after) = (
        alone_against(Against::BuiltIn),
        alone_against(Against::History(1, history)),
    );
    // Its sender and its receiver; not its signature, its parcel's digest and its times.
    assert!(after + 15 < alone, "{after} bytes, {alone} alone");
}

#[test]
fn a_bomb_against_history_is_refused_by_what_it_claims() {
    let history = History::new(
        crate::model::Digest([1; 16]),
        Dictionary::built_in(),
        std::iter::once(&[7; 200_000][..]),
    );
    let limits = BatchLimits {
        parcels: 4,
        plain_bytes: 10_000,
    };
    let mut bomb = vec![2 << 4 | 1];
    varint::put(&mut bomb, 1 << 2 | Method::Zstd as u64);
    varint::put(&mut bomb, 1 << 30);
    varint::put(&mut bomb, 4);
    bomb.extend([0; 4]);
    assert!(matches!(
        unpack(&bomb, &limits, Text::History(&history)),
        Err(BatchError::TooLarge { .. })
    ));
    // It claims what is allowed, and would be more.
    let (_, packed) =
        Compressor::new().squeeze(vec![7; 150_000], Effort::Level(9), Text::History(&history));
    assert!(packed.len() < 100, "{}", packed.len());
    let mut bomb = vec![2 << 4 | 1];
    varint::put(&mut bomb, 1 << 2 | Method::Zstd as u64);
    varint::put(&mut bomb, 9_000);
    varint::put(&mut bomb, packed.len() as u64);
    bomb.extend(&packed);
    assert_eq!(
        unpack(&bomb, &limits, Text::History(&history)),
        Err(BatchError::Expand(9_000))
    );
    let dense = [2 << 4 | 1, 1 << 2 | Method::Ppmd as u8, 100, 50];
    let dense = [&dense[..], &[0; 200]].concat();
    assert_eq!(
        unpack(&dense, &limits, Text::History(&history)),
        Err(BatchError::Expand(100))
    );
}

#[test]
fn what_does_not_get_smaller_is_stored() {
    let noise: Vec<u8> = (0..4000u32)
        .flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes())
        .collect();
    let sample = &backlog(5, "hebi.tobacco", 1)[0].1;
    let parcel = SIGNER.seal(&sample.header().expect("a header"), &noise);
    let entries = [(entry(1), parcel)];
    for effort in EFFORTS {
        let bytes = packed(&entries, Compression::Isolated, effort);
        assert_eq!(
            Method::from_number(u64::from(bytes[1]) & 3),
            Some(Method::Stored)
        );
        assert!(bytes.len() < entries[0].1.bytes().len() + 16);
        assert_eq!(unpacked(&bytes), Ok(entries.to_vec()));
    }
}

#[test]
fn kinds_that_are_not_compressed_stand_as_they_are_beside_those_that_are() {
    let entries = backlog(5, "hebi.tobacco", 24);
    let kind_of = |entry: &(Entry, Parcel)| entry.1.header().expect("a header").kind;
    let plain = kind_of(&entries[0]);
    let of_it = |entry: &&(Entry, Parcel)| kind_of(entry) == plain;
    let bodies = entries
        .iter()
        .filter(of_it)
        .map(|(_, parcel)| parcel.body());
    let bodies: Vec<_> = bodies.collect();
    assert!((1..entries.len()).contains(&bodies.len()), "some are of it");
    for compression in [Compression::Isolated, Compression::Shared] {
        let settings = Settings {
            compression,
            plain: Arc::new([plain.clone()].into()),
            ..Settings::default()
        };
        let bytes = pack(&entries, &settings, &mut Compressor::new());
        assert_eq!(unpacked(&bytes), Ok(entries.clone()));
        let stands = |body: &[u8]| bytes.windows(body.len()).any(|part| part == body);
        assert!(bodies.iter().all(|body| stands(body)));
        let others = entries.iter().filter(|entry| !of_it(entry));
        assert!(
            !others
                .map(|(_, parcel)| parcel.body())
                .any(|body| stands(&body))
        );
    }
}

#[test]
fn a_header_that_does_not_read_travels_as_it_is() {
    let fine = backlog(6, "hebi.tobacco", 3);
    // The header's bytes are nonsense, or the same fields in another encoding: a receiver has to see, and refuse, just these.
    let nonsense = Parcel::join(&[7; 64], &[0xff; 40], b"{}");
    let mut longer = fine[0].1.header_bytes().to_vec();
    longer.splice(0..1, [251, longer[0], 0]);
    let other = Parcel::join(&[8; 64], &longer, b"{}");
    assert!(other.header().is_err());
    let mut entries = fine;
    entries.insert(1, (entry(90), nonsense));
    entries.insert(3, (entry(91), other));
    for compression in COMPRESSIONS {
        let bytes = packed(&entries, compression, Effort::Level(3));
        assert_eq!(unpacked(&bytes), Ok(entries.clone()));
    }
}

#[test]
fn what_one_sender_wrote_does_not_change_the_bytes_of_another() {
    let mine = backlog(7, "hebi.tobacco", 8);
    let with = |seed| {
        let mut entries = mine.clone();
        entries.extend(backlog(seed, "hebi.police", 8));
        entries
    };
    let alone = packed(&mine, Compression::Isolated, Effort::Level(9));
    for seed in [8, 9] {
        let both = packed(&with(seed), Compression::Isolated, Effort::Level(9));
        assert_eq!(
            both[..alone.len()],
            alone,
            "the first group is the batch that it would be alone"
        );
        let shared = packed(&with(seed), Compression::Shared, Effort::Level(9));
        assert_ne!(shared[..alone.len()], alone);
        assert!(shared.len() < both.len(), "sharing is what saves bytes");
    }
}

#[test]
fn a_bomb_is_refused_at_the_size_that_it_announces() {
    let zeros = vec![0u8; 64 * 1024 * 1024];
    let frame = zstd::bulk::compress(&zeros, 19).expect("a frame");
    let bomb = |announced: u64| {
        let mut bytes = vec![1 << 4, 1 << 2 | Method::Zstd as u8];
        varint::put(&mut bytes, announced);
        varint::put(&mut bytes, frame.len() as u64 - 4);
        bytes.extend_from_slice(&frame[4..]);
        bytes.extend_from_slice(&[0; 64]);
        bytes
    };
    assert!(frame.len() < 10_000);
    assert_eq!(unpacked(&bomb(1000)), Err(BatchError::Expand(1000)));
    let within = BatchLimits::default().plain_bytes as u64;
    assert_eq!(
        unpacked(&bomb(within)),
        Err(BatchError::Expand(within as usize))
    );
    for announced in [within + 1, zeros.len() as u64, u64::MAX] {
        assert!(matches!(
            unpacked(&bomb(announced)),
            Err(BatchError::TooLarge { .. })
        ));
    }
}

#[test]
fn several_groups_together_stay_within_the_limits() {
    let entries = mailbox(10, 20);
    let bytes = packed(&entries, Compression::Isolated, Effort::Level(3));
    let plain: usize = compressible(&entries).len();
    let tight = BatchLimits {
        parcels: 20,
        plain_bytes: plain / 2,
    };
    assert!(matches!(
        unpack(&bytes, &tight, Text::Nothing),
        Err(BatchError::TooLarge { .. })
    ));
    let few = BatchLimits {
        parcels: 19,
        ..BatchLimits::default()
    };
    assert_eq!(
        unpack(&bytes, &few, Text::Nothing),
        Err(BatchError::TooManyParcels(19))
    );
}

#[test]
fn what_is_not_known_is_named() {
    let good = packed(
        &backlog(11, "hebi.tobacco", 2),
        Compression::Isolated,
        Effort::Level(3),
    );
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        unpacked(&bytes)
    };
    assert_eq!(with(0, 3 << 4), Err(BatchError::Version(3)));
    assert_eq!(with(0, 2 << 4 | 1), Err(BatchError::Generation(1)));
    assert_eq!(with(0, 1 << 4 | 2), Err(BatchError::Dictionary(2)));
    assert_eq!(with(1, 2 << 2 | 3), Err(BatchError::Method(3)));
    assert_eq!(with(1, 1), Err(BatchError::Empty));
    assert_eq!(unpacked(&[]), Err(BatchError::Short));
    assert_eq!(unpacked(&[1 << 4]), Err(BatchError::Empty));
    let mut far = vec![1 << 4 | 15];
    varint::put(&mut far, 1 << 40);
    assert_eq!(unpacked(&far), Err(BatchError::Dictionary(1 << 40)));
}

#[test]
fn entries_that_claim_one_place_twice_are_refused() {
    let entries = backlog(12, "hebi.tobacco", 1);
    let one = packed(&entries, Compression::Off, Effort::Level(3));
    let twice = [&one[..], &one[1..]].concat();
    assert_eq!(unpacked(&twice), Err(BatchError::Order));
}

#[test]
fn cut_short_anywhere_it_is_an_error() {
    for (entries, effort, step) in [
        (mailbox(13, 4), Effort::Level(3), 1),
        (backlog(13, "hebi.tobacco", 40), Effort::Densest, 499),
    ] {
        let bytes = packed(&entries, Compression::Isolated, effort);
        for length in (0..bytes.len()).step_by(step) {
            // At the end of a group there is a batch of fewer parcels; the stream's own end tells them apart.
            assert_ne!(
                unpacked(&bytes[..length]).ok(),
                Some(entries.clone()),
                "{length}"
            );
        }
    }
}

#[test]
fn the_densest_method_is_for_large_groups_only() {
    let method = |entries: &[(Entry, Parcel)]| {
        let bytes = packed(entries, Compression::Isolated, Effort::Densest);
        let head = varint::take(&mut &bytes[1..]).expect("a number");
        Method::from_number(head & 3)
    };
    let entries = backlog(14, "hebi.tobacco", 60);
    assert_eq!(method(&entries), Some(Method::Ppmd));
    assert_eq!(method(&entries[..1]), Some(Method::Zstd));
    // A small group that claims the method is not worked on at all.
    let small = [1 << 4 | 1, 1 << 2 | Method::Ppmd as u8, 100, 50];
    let bytes = [&small[..], &[0; 114]].concat();
    assert_eq!(unpacked(&bytes), Err(BatchError::Expand(100)));
}

fn any_targets() -> impl Strategy<Value = Targets> {
    let names = prop::collection::vec("[a-z]{1,8}(\\.[a-z0-9]{1,6}){0,2}", 0..4);
    prop_oneof![
        Just(Targets::Signed),
        Just(Targets::You),
        names.prop_map(|names| {
            let names = names
                .iter()
                .map(|name| name.parse::<Pattern>().expect("a name"));
            Targets::Named(names.collect())
        }),
    ]
}

prop_compose! {
    fn any_entry()(
        seq: u64,
        after in prop::collection::vec(any::<u64>(), 0..3),
        targets in any_targets(),
        attested in prop_oneof![Just(0), any::<u64>()],
    ) -> Entry {
        Entry { seq, after, targets, attested }
    }
}

prop_compose! {
    fn any_parcel()(
        signature in prop::collection::vec(any::<u8>(), 64),
        sender in "[a-c]\\.[a-b]",
        id in prop_oneof!["[0-7][0-9A-HJKMNP-TV-Z]{25}", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", ".{0,20}"],
        accepted: u64,
        expires: u64,
        days in prop::option::of(0u64..90),
        signer in 0u8..3,
        case in prop::option::of("[0-9]{21}"),
        attachments in prop::collection::vec(any::<[u8; 32]>(), 0..2),
        body in prop::collection::vec(any::<u8>(), 0..300),
        nonsense in prop::bool::weighted(0.1),
    ) -> Parcel {
        let sample = Generator::new(accepted).next().expect("endless");
        let mut header: Header = sample.header(Fingerprint([signer; 16]), accepted);
        header.sender = sender.parse().expect("a unit");
        header.id = id;
        header.case = case;
        header.attachments = attachments;
        header.expires = days.map_or(expires, |days| accepted.wrapping_add(days * 86_400_000));
        let mut bytes = codec::encode(&header);
        if nonsense {
            bytes[0] ^= 0xff;
        }
        Parcel::join(signature.first_chunk().expect("64 bytes"), &bytes, &body)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_batch_comes_back(
        entries in prop::collection::vec((any_entry(), any_parcel()), 1..12),
        compression in prop::sample::select(COMPRESSIONS.to_vec()),
        level in 1u8..=19,
        with_dictionary: bool,
    ) {
        let against = if with_dictionary { Against::BuiltIn } else { Against::Nothing };
        let settings = Settings { compression, effort: Effort::Level(level), against, ..Settings::default() };
        let bytes = pack(&entries, &settings, &mut Compressor::new());
        prop_assert!(bytes.len() <= BatchLimits::default().packed_bytes_max());
        prop_assert_eq!(unpacked(&bytes), Ok(entries));
    }

    #[test]
    fn bytes_flipped_anywhere_never_panic(
        seed in 0u64..50,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        effort in prop::sample::select(vec![Effort::Level(1), Effort::Level(19)]),
        compression in prop::sample::select(COMPRESSIONS.to_vec()),
    ) {
        let mut bytes = packed(&mailbox(seed, 3), compression, effort);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        if let Ok(entries) = unpacked(&bytes) {
            prop_assert!(entries.len() <= BATCH_PARCELS_MAX);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), head in 0x10u8..0x22, method in 0u8..3) {
        let _ = unpacked(&bytes);
        let started = [&[head, 1 << 2 | method], bytes.as_slice()].concat();
        let _ = unpacked(&started);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn flipped_ppmd_never_panics(seed in 0u64..50, at: prop::sample::Index, byte in 1u8..) {
        let mut bytes = packed(&backlog(seed, "hebi.tobacco", 40), Compression::Isolated, Effort::Densest);
        let at = at.index(bytes.len());
        bytes[at] ^= byte;
        let _ = unpacked(&bytes);
    }
}
