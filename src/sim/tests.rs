//! Many worlds, and bugs planted in some.

use super::*;

#[test]
fn one() {
    let seed = std::env::var("CASEGATE_SIM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let options = Options { print: std::env::var("CASEGATE_SIM_PRINT").is_ok(), ..Options::default() };
    match check(seed, options) {
        Ok(stats) => println!("{stats:#?}"),
        Err(failure) => panic!("{failure}"),
    }
}
