//! Many worlds, and bugs planted in some.
//!
//! `CASEGATE_SIM_SEED=7` lets one world live and prints all that happens; `CASEGATE_SIM_SEEDS=100000` (or `5000..9000`) lets so many
//! live in [`every_promise_holds_in_many_worlds`].

use std::{
    env,
    ops::Range,
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use super::*;

/// Lets the worlds of `seeds` live, on two threads; returns their failures, and the events and inputs of all.
fn sweep(
    seeds: Range<u64>,
    options: Options,
    failures_max: usize,
) -> (Vec<Box<Failure>>, [u64; 2]) {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let sums = [AtomicU64::new(0), AtomicU64::new(0)];
    thread::scope(|scope| {
        for _ in 0..2 {
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
                        Err(failure) => failures.lock().expect("no panic").push(failure),
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
fn survey() {
    if let Ok(seed) = env::var("CASEGATE_SIM_SEED") {
        let options = Options {
            print: true,
            ..Options::default()
        };
        let outcome = run(seed.parse().expect("a seed"), options);
        println!("{outcome:#?}");
        return;
    }
    let range = seeds_asked_for(1000);
    let before = std::time::Instant::now();
    let (failures, [events, inputs]) = sweep(range.clone(), Options::default(), 100_000);
    let took = before.elapsed().as_secs_f64();
    println!(
        "{} seeds, {events} events, {inputs} inputs, {took:.1} s, {:.0} events/s",
        range.end - range.start,
        events as f64 / took
    );
    let mut kinds: std::collections::BTreeMap<String, Vec<u64>> = Default::default();
    for f in &failures {
        let what: String = f
            .what
            .split(' ')
            .map(|w| {
                if w.len() == 26 || w.chars().any(|c| c.is_ascii_digit()) {
                    "#"
                } else {
                    w
                }
            })
            .take(16)
            .collect::<Vec<_>>()
            .join(" ");
        kinds
            .entry(format!("{} {}", f.promise, what))
            .or_default()
            .push(f.seed);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, s)| std::cmp::Reverse(s.len()));
    for (kind, seeds) in kinds {
        println!(
            "{:>6} {kind}  {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(5)]
        );
    }
}
