//! Any text as a configuration: no panic, and every error says where it is.
#![no_main]

use std::path::Path;

use casegate::config::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = Settings::parse(text, Path::new("/etc/casegate/edge.toml")) {
        assert!(!errors.is_empty());
        let lines = text.lines().count().max(1) + 1;
        for error in errors {
            assert!((1..=lines).contains(&error.0.line), "{error}");
            assert!(
                !error.0.problem.is_empty() && !error.0.fix.is_empty(),
                "{error}"
            );
        }
    }
});
