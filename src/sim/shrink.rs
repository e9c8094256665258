//! The smallest world in which a promise is still broken, and how to see it again.

use std::fmt;

use super::{Failure, Faults, Options, run};

/// Other seeds that are tried with smaller options: fewer faults make another world of the same seed.
const SEEDS_TRIED: u64 = 10;

/// A kind of fault: its name, and where it stands in [`Faults`].
type Kind = (&'static str, fn(&mut Faults) -> &mut bool);

macro_rules! kinds {
    ($($field:ident),* $(,)?) => {
        /// Every kind of fault by its name. It does not compile when [`Faults`] has one more.
        const KINDS: &[Kind] = &[$((stringify!($field), |faults| &mut faults.$field)),*];

        #[allow(dead_code, reason = "it is here to be compiled")]
        fn every_fault_has_a_name(Faults { $($field: _),* }: Faults) {}
    };
}

kinds! {
    crashes, cuts, kills, slow_syncs, lost_hubs, restores, rot, unread, clocks, blocks, rogue, operators, small_limits, county,
    silence, terms, attachments, history, pauses, damage, full_disks,
    bad_disks, backups, one_way, drift,
}

/// Looks for ever smaller worlds that fail in the same way, until none is found: without a kind of fault, with half the messages, with
/// one edge less.
pub fn shrink(failure: Failure) -> Failure {
    let mut smallest = failure;
    while let Some(smaller) = smaller(&smallest) {
        smallest = smaller;
    }
    smallest
}

fn smaller(failure: &Failure) -> Option<Failure> {
    let options = failure.options;
    let mut candidates: Vec<Options> = KINDS
        .iter()
        .filter_map(|(_, field)| {
            let mut fewer = options;
            let is_on = field(&mut fewer.faults);
            std::mem::take(is_on).then_some(fewer)
        })
        .collect();
    if options.edges > 1 {
        let edges = options.edges - 1;
        candidates.push(Options { edges, ..options });
    }
    if options.messages > 1 {
        let messages = options.messages / 2;
        candidates.push(Options {
            messages,
            ..options
        });
    }
    candidates.into_iter().find_map(|candidate| {
        let seeds = std::iter::once(failure.seed).chain(0..SEEDS_TRIED);
        seeds.into_iter().find_map(|seed| {
            let failed = run(seed, candidate).err()?;
            (failed.promise == failure.promise).then_some(*failed)
        })
    })
}

/// As `CASEGATE_SIM_OPTIONS` takes it.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults = self.faults;
        let on: Vec<&str> = KINDS
            .iter()
            .filter_map(|(name, field)| field(&mut faults).then_some(*name))
            .collect();
        let (messages, edges, on) = (self.messages, self.edges, on.join(","));
        write!(f, "messages={messages} edges={edges} faults={on}")?;
        match self.bug {
            Some(bug) => write!(f, " bug={bug:?}"),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for Options {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = Options {
            faults: Faults::NONE,
            ..Options::default()
        };
        for part in text.split_whitespace() {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || value.parse().map_err(|_| format!("{part}: no number"));
            match key {
                "messages" => options.messages = number()?,
                "edges" => options.edges = number()?,
                "faults" => {
                    for name in value.split(',').filter(|name| !name.is_empty()) {
                        let kind = KINDS.iter().find(|(known, _)| *known == name);
                        let (_, field) = kind.ok_or(format!("{name}: no such fault"))?;
                        *field(&mut options.faults) = true;
                    }
                }
                "bug" => {
                    let bugs = crate::delivery::Bug::ALL.into_iter();
                    let bug = bugs.into_iter().find(|bug| format!("{bug:?}") == value);
                    options.bug = Some(bug.ok_or(format!("{value}: no such bug"))?);
                }
                _ => return Err(format!("{part}: not an option")),
            }
        }
        Ok(options)
    }
}
