//! Many worlds, and bugs planted in some.
//!
//! `CASEGATE_SIM_SEED=7` lets one world live and prints all that happens, with `CASEGATE_SIM_OPTIONS` if a failure names some; `CASEGATE_SIM_SEEDS=100000` (or `5000..9000`) lets so many
//! live in [`every_promise_holds_in_many_worlds`]. `CASEGATE_SIM_BUG=AckBeforeSync` plants that bug only.

use std::{
    env,
    ops::Range,
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Instant,
};

use super::*;

const THREADS: usize = 2;

/// Lets the worlds of `seeds` live, on [`THREADS`]; returns their failures, and the events and inputs of all.
fn sweep(seeds: Range<u64>, options: Options, failures_max: usize) -> (Vec<Failure>, [u64; 2]) {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let sums = [AtomicU64::new(0), AtomicU64::new(0)];
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end || failures.lock().expect("no panic").len() >= failures_max
                    {
                        break;
                    }
                    match run(seed, options) {
                        Ok(stats) => {
                            sums[0].fetch_add(stats.events, Relaxed);
                            sums[1].fetch_add(stats.inputs, Relaxed);
                        }
                        Err(failure) => failures.lock().expect("no panic").push(*failure),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort_by_key(|f| f.seed);
    (failures, sums.map(AtomicU64::into_inner))
}

fn seeds_asked_for(otherwise: u64) -> Range<u64> {
    let Ok(asked) = env::var("CASEGATE_SIM_SEEDS") else {
        return 0..otherwise;
    };
    let number = |text: &str| text.parse::<u64>().expect("a number of seeds");
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&asked),
    }
}

#[test]
fn every_promise_holds_in_many_worlds() {
    if let Ok(seed) = env::var("CASEGATE_SIM_SEED") {
        let options = env::var("CASEGATE_SIM_OPTIONS");
        let options: Options = options.map_or_else(
            |_| Options::default(),
            |text| text.parse().expect("options of the simulator"),
        );
        let options = Options {
            print: true,
            ..options
        };
        if let Err(failure) = run(seed.parse().expect("a seed"), options) {
            panic!("{failure}");
        }
        return;
    }
    let seeds = seeds_asked_for(10_000);
    let began = Instant::now();
    let (failures, [events, inputs]) = sweep(seeds.clone(), Options::default(), 20);
    let rate = events as f64 / began.elapsed().as_secs_f64() / THREADS as f64;
    println!(
        "seeds {seeds:?}: {events} events, {inputs} inputs, {rate:.0} events a second and thread"
    );
    if let Some(first) = failures.first() {
        let all: Vec<u64> = failures.iter().map(|f| f.seed).collect();
        for failure in &failures {
            println!("seed {}: {}", failure.seed, failure.what);
        }
        let told = check(first.seed, first.options).expect_err("a seed fails the same way again");
        println!("seeds {all:?} failed; the first:\n{told}\nlooking for a smaller world");
        let small = shrink(first.clone());
        let (seed, options, what) = (small.seed, small.options, &small.what);
        panic!(
            "{} seeds failed; the smallest world that fails so: CASEGATE_SIM_SEED={seed} \
             CASEGATE_SIM_OPTIONS='{options}' ({what})",
            all.len()
        );
    }
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    for seed in 0..20 {
        let [once, again] = [(); 2].map(|()| run(seed, Options::default()).map(|s| s.trace));
        assert_eq!(once.ok(), again.ok(), "seed {seed}");
    }
}

#[test]
fn no_chunk_goes_twice_to_a_node_where_nothing_breaks() {
    let faults = Faults {
        attachments: true,
        county: true,
        ..Faults::NONE
    };
    let options = Options {
        faults,
        ..Options::default()
    };
    let mut chunks = 0;
    for seed in 0..300 {
        let stats = run(seed, options).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(stats.chunks_again, 0, "seed {seed}");
        chunks += stats.chunks;
    }
    assert!(chunks > 1000, "{chunks} chunks only");
}

#[test]
fn history_is_used_where_nothing_breaks_and_where_everything_does() {
    let quiet = Faults {
        history: true,
        ..Faults::NONE
    };
    for faults in [quiet, Faults::ALL] {
        let options = Options {
            faults,
            ..Options::default()
        };
        let (mut batches, mut generations) = (0, 0);
        for seed in 0..40 {
            let stats = run(seed, options).unwrap_or_else(|failure| panic!("{failure}"));
            batches += stats.batches;
            generations += stats.generations;
        }
        assert!(generations > 100, "{generations} of {batches} batches");
    }
}

#[test]
fn nodes_are_restored_from_backups_of_operators() {
    let faults = Faults {
        backups: true,
        kills: true,
        crashes: true,
        cuts: true,
        county: true,
        attachments: true,
        ..Faults::NONE
    };
    let options = Options {
        faults,
        ..Options::default()
    };
    let mut restored = 0;
    for seed in 0..400 {
        let stats = run(seed, options).unwrap_or_else(|failure| panic!("{failure}"));
        restored += stats.restored;
    }
    assert!(restored > 50, "{restored} only");
}

#[test]
fn a_failing_world_is_made_smaller_and_can_be_named() {
    let options = Options {
        bug: Some(Bug::CreditLeak),
        ..Options::default()
    };
    let (failures, _) = sweep(0..100, options, 1);
    let found = failures.into_iter().next().expect("the leak is found");
    let promise = found.promise;
    let small = shrink(found);
    assert!(small.options.messages < options.messages);
    assert!(small.options.faults != options.faults);
    let named: Options = small.options.to_string().parse().expect("options");
    assert_eq!(named, small.options);
    let again = run(small.seed, named).expect_err("it fails again");
    assert_eq!(again.promise, promise);
}

#[test]
fn every_planted_bug_is_found_within_ten_thousand_worlds() {
    let asked = env::var("CASEGATE_SIM_BUG").ok();
    let missed: Vec<Bug> = Bug::ALL
        .into_iter()
        .filter(|bug| {
            asked
                .as_ref()
                .is_none_or(|name| *name == format!("{bug:?}"))
        })
        .filter(|bug| {
            let options = Options {
                bug: Some(*bug),
                ..Options::default()
            };
            let began = Instant::now();
            let (failures, _) = sweep(0..10_000, options, 1);
            let took = began.elapsed();
            match failures.first() {
                Some(f) => println!("{bug:?}: seed {}, {}, {took:.1?}", f.seed, f.promise),
                None => println!("{bug:?}: missed"),
            }
            failures.is_empty()
        })
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
