//! What is told of mistakes.

use super::*;

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
