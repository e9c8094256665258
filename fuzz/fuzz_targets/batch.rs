//! Any bytes as a batch or as the handover of a dictionary: no panic, nothing beyond the limits, and what was read can be written and read again.
#![no_main]

use casegate::model::Digest;
use casegate::wire::{
    Against, BatchLimits, Compression, Compressor, DICTIONARY_BYTES_MAX, Dictionary, Effort,
    History, Named, Settings, Text, is_handover, named, pack, take_over, unpack,
};
use libfuzzer_sys::fuzz_target;

/// What swells to more is refused as well by a small bound as by a large one, in an eighth of the time.
const LIMITS: BatchLimits = BatchLimits {
    parcels: 64,
    plain_bytes: 32 * 1024,
};

fuzz_target!(|data: &[u8]| {
    if is_handover(data) {
        if let Ok(dictionary) = take_over(data) {
            assert!(dictionary.bytes().len() <= DICTIONARY_BYTES_MAX);
        }
        return;
    }
    let history = match named(data) {
        Ok(Named::Generation(_)) => Some(History::new(
            Digest([0; 16]),
            Dictionary::built_in(),
            std::iter::once(&b"what was written before"[..]),
        )),
        _ => None,
    };
    let given = history.as_ref().map_or(Text::Nothing, Text::History);
    let Ok(entries) = unpack(data, &LIMITS, given) else {
        return;
    };
    assert!(!entries.is_empty() && entries.len() <= LIMITS.parcels);
    // One way for each input, drawn from the input: all three would take three times as long.
    let ways = [Compression::Off, Compression::Isolated, Compression::Shared];
    let settings = Settings {
        compression: ways[data.iter().map(|byte| usize::from(*byte)).sum::<usize>() % ways.len()],
        effort: Effort::Level(1),
        against: Against::Nothing,
        ..Settings::default()
    };
    let packed = pack(&entries, &settings, &mut Compressor::new());
    // Written plainly, it may be longer than it was.
    let again =
        unpack(&packed, &BatchLimits::default(), Text::Nothing).expect("what was written reads");
    assert_eq!(again.len(), entries.len());
    for ((entry, parcel), (entry_again, parcel_again)) in entries.iter().zip(&again) {
        assert_eq!(entry, entry_again);
        assert_eq!(parcel.bytes(), parcel_again.bytes());
    }
});
