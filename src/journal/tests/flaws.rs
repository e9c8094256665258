//! Whether the tests would notice: each [`Flaw`] is planted and must be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    super::flaw::{Flaw, plant},
    crash::lives,
    damage::flipped_bits,
};

/// How many seeds a flaw may pass; the tests themselves use as many.
const SEEDS: u64 = 2500;

#[test]
fn every_planted_flaw_is_caught() {
    for flaw in Flaw::ALL {
        plant(Some(flaw));
        let caught = (0..SEEDS).find(|n| {
            let run = || match flaw {
                Flaw::SumNotChecked => drop(flipped_bits(*n % 400)),
                _ => drop(lives(*n)),
            };
            catch_unwind(AssertUnwindSafe(run)).is_err()
        });
        plant(None);
        println!("{flaw:?}: seed {caught:?}");
        assert!(caught.is_some(), "nobody notices {flaw:?}");
    }
}
