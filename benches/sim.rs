//! What the simulator does on one core: `cargo bench --bench sim --features sim`, the worlds of some seeds one after another.
//!
//! - `everything`: as the tests let worlds live;
//! - `sound disks`: nothing is tried on damaged copies, and disks neither fill up nor fail;
//! - `nothing breaks`: messages, sessions and the journal only.

use std::time::{Duration, Instant};

use casegate::sim::{Faults, Options, run};

/// For how long worlds are made of each kind.
const EACH: Duration = Duration::from_secs(10);

fn main() {
    let sound = Faults {
        damage: false,
        full_disks: false,
        bad_disks: false,
        ..Faults::ALL
    };
    for (name, faults) in [
        ("everything", Faults::ALL),
        ("sound disks", sound),
        ("nothing breaks", Faults::NONE),
    ] {
        let options = Options {
            faults,
            ..Options::default()
        };
        let began = Instant::now();
        let (mut worlds, mut events, mut inputs, mut simulated_ms) = (0_u64, 0, 0, 0);
        while began.elapsed() < EACH {
            match run(worlds, options) {
                Ok(stats) => {
                    events += stats.events;
                    inputs += stats.inputs;
                    simulated_ms += stats.simulated_ms;
                }
                Err(failure) => {
                    eprintln!("{failure}");
                    std::process::exit(1);
                }
            }
            worlds += 1;
        }
        let took = began.elapsed().as_secs_f64();
        println!(
            "{name:<15} {:>9.0} events/s, {:>9.0} inputs/s, {:.1} worlds/s, {:.0} simulated seconds in one",
            events as f64 / took,
            inputs as f64 / took,
            worlds as f64 / took,
            simulated_ms as f64 / 1000.0 / took,
        );
    }
}
