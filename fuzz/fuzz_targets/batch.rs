//! Any bytes as a batch: no panic, nothing beyond the limits, and what was read can be written and read again.
#![no_main]

use casegate::wire::{BatchLimits, Compression, Compressor, Effort, Settings, pack, unpack};
use libfuzzer_sys::fuzz_target;

const LIMITS: BatchLimits = BatchLimits {
    parcels: 64,
    plain_bytes: 256 * 1024,
};

fuzz_target!(|data: &[u8]| {
    let Ok(entries) = unpack(data, &LIMITS) else {
        return;
    };
    assert!(!entries.is_empty() && entries.len() <= LIMITS.parcels);
    for compression in [Compression::Off, Compression::Isolated, Compression::Shared] {
        let settings = Settings {
            compression,
            effort: Effort::Level(1),
            dictionary: false,
        };
        let packed = pack(&entries, settings, &mut Compressor::new());
        // Written plainly, it may be longer than it was.
        let again = unpack(&packed, &BatchLimits::default()).expect("what was written reads");
        assert_eq!(again.len(), entries.len());
        for ((entry, parcel), (entry_again, parcel_again)) in entries.iter().zip(&again) {
            assert_eq!(entry, entry_again);
            assert_eq!(parcel.bytes(), parcel_again.bytes());
        }
    }
});
