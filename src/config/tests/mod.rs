//! Whole configurations, good and bad.

mod any;
mod mistakes;
mod sections;

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    language::Language,
    model::{KindRule, Lane, Limits, Role, Sha256},
    observe::{LogFormat, LogLevel},
};

const HUB: &str = include_str!("../../../config/hub.toml");
const EDGE: &str = include_str!("../../../config/edge.toml");
const DUAL: &str = include_str!("../../../config/edge-dual-link.toml");
const COUNTY: &str = include_str!("../../../config/county-hub.toml");

const SMALL: &str = r#"unit = "hebi.tobacco"
data-dir = "data"
[identity]
dir = "/etc/casegate/identity"
[upstream]
hub = "hebi.hub"
[[upstream.link]]
name = "lan"
kind = "lan"
address = "10.1.0.1:4433"
[[policy.allow]]
from = "**"
to = "**"
kinds = ["**"]
"#;

fn parse(text: &str) -> Checked {
    Settings::parse(text, Path::new("conf/node.toml"))
}

fn good(text: &str) -> Settings {
    parse(text).expect("a good configuration").0
}

/// The errors as they are shown, without the file's name.
fn errors(text: &str) -> Vec<String> {
    let errors = parse(text).expect_err("a bad configuration");
    let shown = errors.iter().map(ToString::to_string);
    shown
        .map(|line| {
            line.strip_prefix("conf/node.toml:")
                .expect("the file")
                .to_owned()
        })
        .collect()
}

/// The one error of a text.
fn error(text: &str) -> String {
    let mut errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

/// A shipped file with every optional setting set.
fn with_every_setting(text: &str) -> String {
    let set = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    set.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_files_are_good_and_give_no_cause_for_a_warning() {
    for text in [HUB, EDGE] {
        for text in [text.to_owned(), with_every_setting(text)] {
            let (_, warnings) = parse(&text).expect("a good configuration");
            assert_eq!(warnings, []);
            toml::from_str::<toml::Table>(&text).expect("plain TOML for every other tool");
        }
    }
    assert!(good(HUB).listen.is_some() && good(EDGE).upstream.is_some());
}

#[test]
fn the_shipped_examples_are_good_and_are_what_they_are_called() {
    for text in [DUAL, COUNTY] {
        let (_, warnings) = parse(text).expect("a good configuration");
        assert_eq!(warnings, []);
    }
    let links = good(DUAL).upstream.expect("an upstream").links;
    let interfaces: BTreeSet<_> = links
        .iter()
        .map(|link| format!("{:?}", link.local))
        .collect();
    assert_eq!((links.len(), interfaces.len()), (2, 2), "{links:?}");
    let county = good(COUNTY);
    assert!(county.listen.is_some() && county.upstream.is_some());
}

#[test]
fn every_key_is_explained_in_a_shipped_file() {
    let mut known = BTreeSet::new();
    for text in [HUB, EDGE] {
        known.extend(examine_text(&with_every_setting(text), Path::new("")).2);
    }
    assert!(known.len() > 50, "{known:?}");
    for path in known {
        let key = path.rsplit('.').next().expect("a key");
        let is_explained = [HUB, EDGE].iter().any(|text| {
            text.contains(&format!("{key} ="))
                || text.contains(&format!("[{path}]"))
                || text.contains(&format!("[{path}."))
        });
        assert!(is_explained, "{path}");
    }
}

#[test]
fn every_commented_setting_of_the_shipped_files_is_the_default() {
    for text in [HUB, EDGE] {
        let all = good(&with_every_setting(text));
        let plain = good(text);
        assert_eq!(all.limits, Limits::default());
        assert_eq!((all.log, all.api.listen), (plain.log, plain.api.listen));
        assert_eq!(all.units, plain.units);
        let kind = all.kinds.get(&"inspection.report".parse().expect("a kind"));
        assert_eq!(
            kind.map(|rule| {
                let KindRule {
                    lane,
                    expires_days,
                    read_receipt,
                    compressed,
                } = rule;
                (lane, expires_days, read_receipt, compressed)
            }),
            Some((Lane::Normal, 30, true, true))
        );
    }
    let link = |text| good(text).upstream.expect("an upstream").links.remove(0);
    let (all, plain) = (link(&with_every_setting(EDGE)), link(EDGE));
    assert_eq!(all.compression, plain.compression);
    assert_eq!(all.local, Local::Interface("eth1".to_owned()));
    assert_eq!((all.budget_mib_per_day, all.cost_s), (Some(200), 0));
    assert_eq!(all.hours, ["08:00-18:00".parse().expect("hours")]);
    assert_eq!((plain.local, plain.budget_mib_per_day), (Local::Any, None));
    assert_eq!((plain.cost_s, plain.hours), (0, Vec::new()));
    let dual = good(DUAL).upstream.expect("an upstream").links;
    assert_eq!(
        dual.iter().map(|link| link.cost_s).collect::<Vec<_>>(),
        [0, 5]
    );
    let by_default = good(&SMALL.replace("kind = \"lan\"", "kind = \"3g\""));
    assert_eq!(by_default.upstream.expect("an upstream").links[0].cost_s, 2);
}

#[test]
fn settings_are_what_the_file_says() {
    let settings = good(
        &SMALL
            .replace("address = \"10.1.0.1:4433\"", "address = 'hub.hebi.gov.cn:443'\nbind = '192.0.2.7'\ncompression = 'off'")
            .replace("[identity]", "[listen]\naddress = '[::]:0'\n[[listen.unit]]\nname = 'hebi.a'\n[log]\nlevel = 'debug'\nformat = 'json'\n[limits]\nexpires-days = 10\n[identity]"),
    );
    assert_eq!(settings.data_dir, PathBuf::from("conf/data"));
    assert_eq!(
        settings.identity.file("ca.pem"),
        PathBuf::from("/etc/casegate/identity/ca.pem")
    );
    assert_eq!(
        settings.api.listen,
        "127.0.0.1:8440".parse().expect("an address")
    );
    let link = &settings.upstream.expect("an upstream").links[0];
    assert_eq!(
        (link.address.host().as_str(), link.address.port()),
        ("hub.hebi.gov.cn", 443)
    );
    assert_eq!(link.local, Local::Address([192, 0, 2, 7].into()));
    assert_eq!(
        (link.kind, link.compression),
        (LinkKind::Lan, Compression::Off)
    );
    assert_eq!(
        (settings.log.level, settings.log.format),
        (LogLevel::Debug, LogFormat::Json)
    );
    assert!(
        settings
            .kinds
            .iter()
            .all(|(_, rule)| rule.expires_days == 10)
    );
    assert_eq!(settings.listen.map(|l| l.address.port()), Some(0));
}
