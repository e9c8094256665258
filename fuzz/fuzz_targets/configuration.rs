//! Any text as a configuration: no panic, and every error says where it is.
#![no_main]

use std::path::Path;

use casegate::{config::Settings, language::Language};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = Settings::parse(text, Path::new("/etc/casegate/edge.toml")) {
        assert!(!errors.is_empty());
        let lines = text.lines().count().max(1) + 1;
        for error in errors {
            assert!((1..=lines).contains(&error.0.line), "{error}");
            for language in [Language::English, Language::Chinese] {
                let told = [&error.0.problem, &error.0.fix].map(|text| text.of(language));
                assert!(!told.contains(&""), "{error}");
            }
        }
    }
});
