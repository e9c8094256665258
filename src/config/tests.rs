//! Whole configurations, good and bad.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::{
    language::Language,
    model::{KindRule, Lane, Limits, Role, Sha256},
    observe::{LogFormat, LogLevel},
};

const HUB: &str = include_str!("../../config/hub.toml");
const EDGE: &str = include_str!("../../config/edge.toml");
const DUAL: &str = include_str!("../../config/edge-dual-link.toml");
const COUNTY: &str = include_str!("../../config/county-hub.toml");

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

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    assert_eq!(
        errors(MISTAKEN),
        [
            "1: unit: \"Hebi.Tobacco\" is not a unit's name; write \"hebi.tobacco\"",
            "1: data-dir: is missing; write data-dir = \"/var/lib/casegate\"",
            "2: data_dir: no such key; did you mean \"data-dir\"?",
            "4: identity.dir: is a number, not text; write it in quotes: \"7\"",
            "6: api.listen: \"0.0.0.0:8440\" is not a loopback address, and this door has no TLS; write \"127.0.0.1:8440\"; [api.tls] opens another door, to the network",
            "11: upstream.link[0].kind: \"wifi\" is not a choice; write one of \"exclusive\", \"3g\", \"lan\"",
            "12: upstream.link[0].address: \"10.1.0.1\" has no port; write \"10.1.0.1:4433\"",
            "14: upstream.link[1].name: \"a\" is the name of another link, on line 10; write another name; every link needs its own",
            "15: upstream.link[1].kind: \"3G\" is not a choice; write \"3g\"",
            "18: upstream.link[1].bind: interface and bind are both set; keep interface where the link has one of its own, else bind",
            "19: upstream.link[1].budget-mib-per-day: 0 is out of range; write a whole number from 1 to 1048576",
            "20: upstream.link[1].compression: is true or false, not text; write text in quotes",
            "21: upstream.link[1].cost: 3601 is out of range; write a whole number from 0 to 3600",
            "22: upstream.link[1].hours[0]: \"8-18\" is not a time of the day; write \"HH:MM-HH:MM\", such as \"08:00-18:00\"; one over midnight is \"22:00-06:00\"",
            "23: policy.allow[0].to: is missing; write to = \"hebi.procuratorate\"",
            "24: policy.allow[0].from: \"hebi.*x\" is not a pattern; write a unit's name, or one with * for a segment or ** for any number, such as \"hebi.**\"",
            "25: policy.allow[0].kinds: the list is empty; write [\"case.*\", \"notice\"]",
            "27: kind[0].name: \"receipt\" is the gateway's own kind; write another name, or remove the entry",
            "29: limits.message-kib: is text; write a whole number from 1 to 16384",
            "30: limits.segmnet-mib: no such key; did you mean \"segment-mib\"?",
            "32: level: this cannot be read: invalid basic string, expected `\"`; write text in quotes: level = \"information\"",
        ]
    );
}

#[test]
fn every_mistake_is_told_in_chinese_at_the_same_place() {
    let errors = parse(MISTAKEN).expect_err("a bad configuration");
    for ConfigError(finding) in &errors {
        let place = format!("conf/node.toml:{}: {}: ", finding.line, finding.key);
        let [english, chinese] = Language::ALL.map(|language| finding.told(language));
        assert_eq!(english, finding.to_string());
        let told = [&english, &chinese].map(|told| told.strip_prefix(&place).expect("the place"));
        assert_ne!(told[0], told[1]);
        for text in [&finding.problem, &finding.fix] {
            // What stands between the languages' words is the same in both.
            let chinese = text.of(Language::Chinese);
            assert!(chinese.chars().any(|c| c > '\u{2e80}'), "{chinese}");
            assert!(text.to_string().is_ascii(), "{text}");
        }
    }
    assert_eq!(
        errors[6].0.told(Language::Chinese),
        "conf/node.toml:12: upstream.link[0].address: \"10.1.0.1\" 缺少端口；请写 \"10.1.0.1:4433\""
    );
}

const MISTAKEN: &str = r#"unit = "Hebi.Tobacco"
data_dir = "data"
[identity]
dir = 7
[api]
listen = "0.0.0.0:8440"
[upstream]
hub = "hebi.hub"
[[upstream.link]]
name = "a"
kind = "wifi"
address = "10.1.0.1"
[[upstream.link]]
name = "a"
kind = "3G"
address = "10.1.0.2:4433"
interface = "wwan0"
bind = "192.0.2.7"
budget-mib-per-day = 0
compression = true
cost = 3601
hours = ["8-18"]
[[policy.allow]]
from = "hebi.*x"
kinds = []
[[kind]]
name = "receipt"
[limits]
message-kib = "1024"
segmnet-mib = 16
[log]
level = "information
"#;

#[test]
fn a_node_that_would_talk_to_nobody_is_an_error() {
    let text = "unit = \"hebi.a\"\ndata-dir = \"d\"\n[identity]\ndir = \"i\"\n";
    assert!(error(text).starts_with("1: listen: neither [listen] nor [upstream] is there"));
    let empty = errors("");
    assert_eq!(empty.len(), 4, "{empty:#?}");
}

#[test]
fn what_only_fails_together_is_told() {
    for (from, to, told) in [
        (
            "hub = \"hebi.hub\"",
            "hub = \"hebi.tobacco\"",
            "6: upstream.hub: \"hebi.tobacco\" is this node's own unit",
        ),
        (
            "[identity]",
            "[listen]\naddress='0.0.0.0:1'\n[[listen.unit]]\nname='hebi.tobacco'\n[identity]",
            "6: listen.unit[0].name: \"hebi.tobacco\" is this node's own unit",
        ),
        (
            "[identity]",
            "[listen]\naddress='0.0.0.0:1'\n[[listen.unit]]\nname='a'\n[[listen.unit]]\nname='a'\n[identity]",
            "8: listen.unit[1].name: \"a\" is listed already, on line 6",
        ),
        (
            "[identity]",
            "[[kind]]\nname='a'\n[[kind]]\nname='a'\n[identity]",
            "6: kind[1].name: \"a\" is listed already, on line 4",
        ),
        (
            "[identity]",
            "[limits]\nmessage-kib = 16000\n[identity]",
            "4: limits.message-kib: a message of message-kib = 16000 does not fit into a request of request-kib = 16384; write request-kib = 21346 or more",
        ),
        (
            "[identity]",
            "[limits]\nsegment-mib = 1\n[identity]",
            "4: limits.segment-mib: a message of message-kib = 1024 does not fit into a segment of segment-mib = 1; write segment-mib = 2 or more",
        ),
        (
            "[identity]",
            "[limits]\nsegment-mib = 8\njournal-mib = 16\n[identity]",
            "5: limits.journal-mib: a journal of journal-mib = 16 has no room for four segments of segment-mib = 8; write journal-mib = 32",
        ),
        (
            "[identity]",
            "[limits]\nconnections-per-unit = 5\nconnections = 4\n[identity]",
            "5: limits.connections: ",
        ),
        (
            "[identity]",
            "[limits]\nexpires-days = 5\n[[kind]]\nname = 'x'\nexpires-days = 6\n[identity]",
            "7: kind[0].expires-days: 6 is out of range; write a whole number from 1 to 5",
        ),
        (
            "address = \"10.1.0.1:4433\"",
            "address = '10.1.0.1:4433'\nbind = '::1'",
            "11: upstream.link[0].bind: \"::1\" and the link's address are not both",
        ),
        (
            "address = \"10.1.0.1:4433\"",
            "address = '10.1.0.1:4433'\ninterface = '192.0.2.7'",
            "write bind = \"192.0.2.7\" instead",
        ),
        (
            "address = \"10.1.0.1:4433\"",
            "address = '10.1.0.1:4433'\nbind = '192.0.2.7:0'",
            "write \"192.0.2.7\", without a port",
        ),
        (
            "[identity]",
            "[api]\nlisten = 'localhost:9000'\n[identity]",
            "write \"127.0.0.1:9000\"",
        ),
        (
            "[identity]",
            "[api]\nlisten = '127.0.0.1'\n[identity]",
            "\"127.0.0.1\" has no port; write \"127.0.0.1:8440\"",
        ),
    ] {
        let shown = error(&SMALL.replace(from, to));
        assert!(shown.contains(told), "{shown}");
    }
}

#[test]
fn a_key_in_the_wrong_place_or_shape_is_told_where_it_belongs() {
    for (from, to, told) in [
        (
            "[upstream]\n",
            "[upstream]\ntoken-file = 'x'\n",
            "6: upstream.token-file: no such key; write it under api",
        ),
        (
            "[upstream]\n",
            "[upstream]\ndata-dir = 'x'\n",
            "6: upstream.data-dir: no such key; write it at the top of the file",
        ),
        (
            "[upstream]\n",
            "[upstream]\ncolour = 'x'\n",
            "6: upstream.colour: no such key; remove it, or write one of hub, link",
        ),
        (
            "[upstream]\n",
            "[upstream]\n\"a\\nb\" = 'x'\n",
            "6: upstream.\"a\\nb\": no such key",
        ),
        (
            "[[policy.allow]]",
            "[policy.allow]",
            "11: policy.allow: is a section; write [[policy.allow]] on a line of its own",
        ),
        (
            "[upstream]",
            "[[upstream]]",
            "5: upstream: there can be only one; write [upstream] instead of [[upstream]]",
        ),
        (
            "[identity]\ndir = \"/etc/casegate/identity\"",
            "identity = 'x'",
            "3: identity: is text, not a section; write [identity] on a line of its own",
        ),
        (
            "kinds = [\"**\"]",
            "kinds = \"**\"",
            "14: policy.allow[0].kinds: is text, not a list; write [\"case.*\", \"notice\"]",
        ),
        (
            "kinds = [\"**\"]",
            "kinds = [\n\"case.*\",\n5]",
            "16: policy.allow[0].kinds[1]: is a number, not text",
        ),
    ] {
        let shown = errors(&SMALL.replace(from, to));
        assert!(
            shown.iter().any(|line| line.contains(told)),
            "{told}\n{shown:#?}"
        );
    }
}

#[test]
fn text_that_is_not_toml_is_explained_and_spoils_nothing_else() {
    for (from, to, told) in [
        (
            "data-dir = \"data\"",
            "data-dir = /var/lib",
            "2: data-dir: this cannot be read: ",
        ),
        (
            "data-dir = \"data\"",
            "data-dir = /var/lib",
            "; write text in quotes: data-dir = \"/var/lib\"",
        ),
        (
            "data-dir = \"data\"",
            "data-dir = \"data",
            "; write text in quotes: data-dir = \"data\"",
        ),
        (
            "data-dir = \"data\"",
            "data-dir =",
            "; write a value after \"data-dir =\"",
        ),
        (
            "data-dir = \"data\"",
            "data-dir = 'a'\ndata-dir = 'b'",
            "3: data-dir: is there twice; keep one of them",
        ),
        (
            "[identity]",
            "[identity",
            "3: identity: this is not a section's header: unclosed table, expected `]`; write [identity]",
        ),
        (
            "[upstream]",
            "[identity]",
            "5: identity: the section is there twice; put all its keys under one [identity]",
        ),
        (
            "[upstream]",
            "upstream",
            "5: upstream: this cannot be read: key with no value, expected `=`; write key = value",
        ),
    ] {
        let shown = errors(&SMALL.replace(from, to));
        assert!(
            shown.iter().any(|line| line.contains(told)),
            "{told}\n{shown:#?}"
        );
    }
    // One cause, one error; and what is wrong elsewhere is told all the same.
    assert!(error(&SMALL.replace("[identity]", "[identity")).starts_with("3: "));
    assert!(error(&SMALL.replace("\"data\"", "/var/lib")).starts_with("2: "));
    let both = errors(
        &SMALL
            .replace("\"data\"", "/var/lib")
            .replace("kind = \"lan\"\n", ""),
    );
    assert_eq!(both.len(), 2, "{both:#?}");
    assert!(
        both[1].starts_with("7: upstream.link[0].kind: is missing"),
        "{both:#?}"
    );
}

#[test]
fn unit_headers_beside_the_nodes_own_unit_are_read_as_what_they_mean() {
    let hub = "unit = 'hebi.hub'\ndata-dir = 'd'\n[identity]\ndir = 'i'\n[listen]\naddress = '0.0.0.0:4433'\n";
    let settings = good(&format!(
        "{hub}[[listen.unit]]\nname = 'hebi.a'\n[[unit]] # the second\nname = 'hebi.unit'\ntitle = '[[unit]]'\n  [[ unit ]]\nname = 'hebi.b'\nblocked = true\n"
    ));
    let names: Vec<_> = settings
        .units
        .iter()
        .map(|unit| unit.name.as_str())
        .collect();
    assert_eq!(names, ["hebi.a", "hebi.unit", "hebi.b"]);
    assert_eq!(settings.units[1].title.as_deref(), Some("[[unit]]"));
    assert!(settings.units[2].blocked);
    let single = error(&format!("{hub}[unit]\nname = 'hebi.a'\n"));
    assert_eq!(
        single,
        "7: unit: is the node's own unit already; write [[listen.unit]] for a unit that a hub knows"
    );
    let wrong = errors(&format!("{hub}[[unit]]\nnam = 'hebi.a'\n"));
    assert_eq!(
        wrong[0],
        "7: unit[0].name: is missing; write name = \"hebi.police\""
    );
    assert_eq!(
        wrong[1],
        "8: unit[0].nam: no such key; did you mean \"name\"?"
    );
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    for (from, to, told) in [
        (
            "kinds = [\"**\"]",
            "kinds = [\"case.transfr\"]",
            "warning: conf/node.toml:14: policy.allow[0].kinds: \"case.transfr\" matches no kind that this node knows; did you mean \"case.transfer\"?",
        ),
        (
            "[[policy.allow]]\nfrom = \"**\"\nto = \"**\"\nkinds = [\"**\"]\n",
            "",
            "policy: nothing is allowed",
        ),
        (
            "[identity]",
            "[[unit]]\nname = 'hebi.a'\n[identity]",
            "warning: conf/node.toml:3: unit: only a hub is told of units",
        ),
        (
            "[identity]",
            "[limits]\njournal-mib = 512\n[identity]",
            "limits.journal-mib: the journal (512 MiB) fills up before outbox and inbox (5120 MiB) do",
        ),
    ] {
        let (_, warnings) = parse(&SMALL.replace(from, to)).expect("good, with a warning");
        let shown: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].contains(told), "{shown:?}");
    }
}

/// What must hold of whatever is read: settings or errors, each on one line and within the text.
fn holds(text: &str) {
    let (examination, _, _) = examine_text(text, Path::new("f"));
    assert_eq!(
        examination.settings.is_none(),
        !examination.errors.is_empty()
    );
    let lines = text.matches('\n').count() + 1;
    for ConfigError(finding) in &examination.errors {
        assert!((1..=lines).contains(&finding.line), "{finding}");
        assert!(
            !finding.to_string().contains(char::is_control),
            "{finding:?}"
        );
    }
}

/// A shipped file with one stretch replaced by something else.
fn damaged() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        Just(String::new()),
        "\\PC{0,12}",
        "[\\[\\]{}=\"'#.,\n\ra-z0-9-]{0,8}",
        Just("[[unit]]\n".to_owned()),
        Just("\"\"\"".to_owned()),
    ];
    let text = prop_oneof![
        Just(with_every_setting(HUB)),
        Just(with_every_setting(EDGE)),
        Just(SMALL.to_owned())
    ];
    (text, any::<prop::sample::Index>(), 0usize..40, scrap).prop_map(|(text, at, length, scrap)| {
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        let (before, after) = (&chars[..at], &chars[end..]);
        before
            .iter()
            .copied()
            .chain(scrap.chars())
            .chain(after.iter().copied())
            .collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_settings_or_errors(text in any::<String>()) {
        holds(&text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_settings_or_errors(text in damaged()) {
        holds(&text);
    }
}

#[test]
fn people_have_names_roles_and_tokens_of_their_own() {
    let with = |tokens: &str| {
        SMALL.replace(
            "[identity]",
            &format!("[api]\nshow-bodies = true\n{tokens}\n[identity]"),
        )
    };
    let settings = good(&with(
        "[[api.token]]\nname = '李伟'\nrole = 'viewer'\nfile = 'li.token'",
    ));
    assert!(settings.api.show_bodies);
    let [token] = settings.api.tokens.as_slice() else {
        panic!("one: {:?}", settings.api.tokens)
    };
    assert_eq!((token.name.as_str(), token.role), ("李伟", Role::Viewer));
    assert_eq!(token.file, PathBuf::from("conf/li.token"));

    let wrong = errors(&with(
        "[[api.token]]\nname = 'operator'\nrole = 'root'\nfile = 'a'\n\
         [[api.token]]\nname = 'li'\nrole = 'operator'\nfile = 'a'\n\
         [[api.token]]\nname = 'li'\nrole = 'operator'",
    ));
    for part in [
        "api.token[0].name: \"operator\" means something else in the audit log",
        "api.token[0].role: \"root\" is not a choice; write one of \"viewer\", \"operator\", \"administrator\"",
        "api.token[2].file: is missing",
        "api.token[2].name: \"li\" is listed already",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:#?}"
        );
    }
}

#[test]
fn the_door_to_the_network_and_whose_certificates_it_knows_are_what_the_file_says() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    let [door, held] = [
        "[api.tls]\nlisten = '10.1.0.8:8441'\ncertificate = 'api.pem'\nkey = 'api.key'\nhosts = ['gateway.hebi.example']\n",
        "[[api.certificate]]\nname = 'li.wei'\nrole = 'operator'\nsha256 = '",
    ];
    let sum = Sha256::of(b"a certificate");
    let settings = good(&with(&format!("{door}{held}{sum}'")));
    let tls = settings.api.tls.expect("a door");
    assert_eq!(tls.listen, ([10, 1, 0, 8], 8441).into());
    assert_eq!(tls.certificate, PathBuf::from("conf/api.pem"));
    assert_eq!(tls.hosts, ["gateway.hebi.example"]);
    let [li] = settings.api.certificates.as_slice() else {
        panic!("one: {:?}", settings.api.certificates)
    };
    assert_eq!(
        (li.name.as_str(), li.role, li.sha256),
        ("li.wei", Role::Operator, sum)
    );
    assert_eq!(good(SMALL).api.tls, None);

    let wrong = errors(&with(&format!(
        "[[api.token]]\nname = 'wang'\nrole = 'viewer'\nfile = 'a'\n\
         [api.tls]\nhosts = ['10.1.0.8', 'a.example:8441']\n\
         {held}abc'\n{held}{sum}'\n\
         [[api.certificate]]\nname = 'wang'\nrole = 'viewer'\nsha256 = '{sum}'",
    )));
    for part in [
        "api.tls.listen: is missing; write listen = \"0.0.0.0:8441\"",
        "api.tls.certificate: is missing",
        "api.tls.key: is missing",
        "api.tls.hosts[0]: \"10.1.0.8\" is not a host name",
        "api.tls.hosts[1]: \"a.example:8441\" is not a host name",
        "api.certificate[0].sha256: \"abc\" is not a SHA-256 fingerprint",
        "api.certificate[1].name: \"li.wei\" is listed already",
        "api.certificate[2].name: \"wang\" is listed already",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:#?}"
        );
    }
}

#[test]
fn traces_go_to_a_collector_of_this_machine_or_are_told_why_not() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    assert_eq!(good(SMALL).traces, None);
    for text in [EDGE, HUB] {
        let traces = good(&with_every_setting(text)).traces.expect("traces");
        assert_eq!(traces.url, "http://127.0.0.1:4318/v1/traces");
        assert_eq!(traces.share, Share::ALL);
    }
    let url = "[traces]\nurl = 'http://[::1]:4318/v1/traces'";
    for (share, numbers) in [
        ("0.25", Share::OF / 4),
        ("1", Share::OF),
        ("5e-1", Share::OF / 2),
    ] {
        let traces = good(&with(&format!("{url}\nshare = {share}"))).traces;
        assert_eq!(traces.expect("traces").share.numbers(), numbers);
    }
    for (more, expected) in [
        ("[traces]\nshare = 0.5", "traces.url: is missing"),
        (
            "[traces]\nurl = 'https://127.0.0.1:4318/v1/traces'",
            "traces.url: https is not spoken to the collector; write an http URL of this machine; where the collector runs elsewhere",
        ),
        (
            "[traces]\nurl = 'http://10.1.0.1:4318/v1/traces'",
            "traces.url: \"10.1.0.1\" is not this machine",
        ),
        (
            "[traces]\nurl = 'http://a:b@localhost/'",
            "traces.url: a name and password in the URL are not sent",
        ),
    ] {
        let told = error(&with(more));
        assert!(told.contains(expected), "{more}: {told}");
    }
    for share in ["0", "-0.5", "1.5", "nan", "'all'", "2"] {
        let told = error(&with(&format!("{url}\nshare = {share}")));
        let expected = "traces.share: is not a share; write a number above 0 and up to 1";
        assert!(told.contains(expected), "{share}: {told}");
    }
}

#[test]
fn folders_and_posts_are_what_the_file_says() {
    let with = |more: &str| SMALL.replace("[identity]", &format!("{more}\n[identity]"));
    let settings = good(&with(
        "[spool]\nin = 'in'\nopen-to-group = true\n[[spool.folder]]\nname = 'to-police'\nto = ['hebi.police']\n\
         kind = 'case.material'\nas = 'data'\n[deliver]\nurl = 'http://[::1]:9000/case'\nretry-max-s = 60",
    ));
    let spool = settings.spool.expect("folders");
    assert_eq!(spool.incoming, Some(PathBuf::from("conf/in")));
    assert_eq!((spool.out, spool.keep_days), (None, Spool::KEEP_DAYS));
    assert!(spool.open_to_group && spool.folders[0].is_data);
    let deliver = settings.deliver.expect("posts");
    assert_eq!(deliver.url.path(), "/case");
    assert_eq!((deliver.timeout_s, deliver.retry_max_s), (30, 60));
    assert_eq!((good(SMALL).spool, good(SMALL).deliver), (None, None));
    let all = good(&with_every_setting(EDGE));
    let spool = all.spool.expect("folders");
    let numbers = (spool.keep_days, spool.out_messages, spool.open_to_group);
    assert_eq!(numbers, (Spool::KEEP_DAYS, Spool::OUT_MESSAGES, false));
    let deliver = all.deliver.expect("posts");
    assert_eq!(
        (deliver.timeout_s, deliver.in_flight, deliver.retry_max_s),
        (Deliver::TIMEOUT_S, Deliver::IN_FLIGHT, Deliver::RETRY_MAX_S)
    );

    for (more, expected) in [
        (
            "[spool]\nkeep-days = 3",
            "spool.in: neither in nor out is there",
        ),
        (
            "[spool]\nin = 'a'\nout = 'a/b'",
            "spool.out: one of in and out lies in the other",
        ),
        (
            "[spool]\nin = 'a'\n[[spool.folder]]\nname = 'sent'\nto = ['b']\nkind = 'notice'",
            "spool.folder[0].name: \"sent\" cannot be the name of such a folder",
        ),
        (
            "[spool]\nin = 'a'\n[[spool.folder]]\nname = 'x'\nto = ['b']\nkind = 'no.such'",
            "spool.folder[0].kind: \"no.such\" is not a kind that can be sent here",
        ),
        (
            "[spool]\nout = 'a'\n[[spool.folder]]\nname = 'x'\nto = ['b']\nkind = 'notice'",
            "spool.folder: there is no spool.in",
        ),
        ("[deliver]\nin-flight = 2", "deliver.url: is missing"),
        (
            "[deliver]\nurl = '127.0.0.1:9000'",
            "deliver.url: \"127.0.0.1:9000\" is not a URL",
        ),
        (
            "[deliver]\nurl = 'https://127.0.0.1/'",
            "deliver.url: https is not spoken",
        ),
        (
            "[deliver]\nurl = 'http://10.1.0.1/'",
            "deliver.url: \"10.1.0.1\" is not this machine",
        ),
        (
            "[deliver]\nurl = 'http://localhost/'\ntimeout-s = 60",
            "deliver.timeout-s: a call of 60 s outlasts the lease",
        ),
    ] {
        let told = error(&with(more));
        assert!(told.contains(expected), "{more}: {told}");
    }
}
