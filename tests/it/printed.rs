//! What commands print, kept as texts in `snapshots/`: every help, the tables, and the errors. What differs from run to run is replaced.
//!
//! After a change that was meant, `INSTA_UPDATE=always cargo test --release --test it printed` writes them anew.

use std::collections::VecDeque;

use insta::{Settings, assert_snapshot};

use crate::processes::{Connected, Town, casegate, free_port, run, until};

/// What differs from run to run, and what stands for it.
const VARIES: [(&str, &str); 15] = [
    // Ids that were drawn, and fingerprints.
    (r"\b[0-9a-f]{32}\b", "[id]"),
    (r"\b[a-z2-7]{26}\b", "[message]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"blake3:[0-9a-f]+", "[digest]"),
    (
        concat!(r"\b", env!("CARGO_PKG_VERSION"), r"\b"),
        "[version]",
    ),
    (r"\d+(\.\d+)? (B|KiB|MiB|GiB)\b", "[size]"),
    // A link has figures once it was measured, and is sound once it has proved itself.
    (r"(?m)\b(sound|proving)  .*$", "[up, and figures]"),
    (r"(?m)^[^\s]*/hebi\.", "[folder]/hebi."),
    // Columns are as wide as what stands in them.
    (r"(?m)([^ \n]) {2,}", "$1  "),
    // A receipt may be waiting still.
    (r"(?m)  \d+  \[size\]$", "  [waiting]  [size]"),
    (r"(?m)^queued  .*$", "queued  [volume]"),
    (r"(?m)^inbox  .*$", "inbox  [volume]"),
    (r"(?m)^data  .*$", "data  [folder]"),
    (r"(?m)^awaiting  .*$", "awaiting  [receipts]"),
];

fn with_what_varies_replaced(compare: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    for (varies, stands) in VARIES {
        settings.add_filter(varies, stands);
    }
    settings.bind(compare);
}

/// The names of the commands under one, as its help lists them.
fn commands_in(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // A line that goes on from the one before is indented further.
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut commands = VecDeque::from([String::new()]);
    let mut seen = 0;
    while let Some(command) = commands.pop_front() {
        let line = format!("{command} --help");
        let help = run(casegate(&line).env("COLUMNS", "100")).good();
        for name in commands_in(&help) {
            commands.push_back(format!("{command} {name}").trim().to_owned());
        }
        let name = format!("help {command}");
        let name = name.trim().replace(' ', "-");
        assert_snapshot!(name, help);
        seen += 1;
        // Every command says what it is in its first line, and short help fits a screen's width.
        assert!(
            help.lines().next().is_some_and(|line| line.len() > 10),
            "{command}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command}: {help}"
        );
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn tables_are_as_they_were() {
    let mut net = Connected::new();
    let first = net
        .a
        .run("send --to hebi.b --kind case.transfer --case A-1 --title 移送 --wait delivered")
        .good();
    let received = net.b.run("receive").good();
    let read = format!("queue show {} --json", first.trim());
    until("the sender knows that it was read", || {
        net.a.run(&read).json()[0]["state"] == "read"
    });
    net.b.stop();
    net.hub.until_sessions(1);
    net.a
        .run("send --to hebi.b --kind notice --case A-1 --priority urgent --wait relayed")
        .good();
    let waiting = net.hub.run("queue list --json").json();
    let waiting = waiting[0]["messageid"].as_str().expect("a name");
    net.hub.run(&format!("queue hold {waiting}")).good();
    with_what_varies_replaced(|| {
        assert_snapshot!("receive", received);
        assert_snapshot!("queue-list", net.hub.run("queue list").good());
        assert_snapshot!("queue-list-of-nothing", net.a.run("queue list").good());
        assert_snapshot!("track", net.a.run("track A-1").good());
        assert_snapshot!("status-of-a-unit", net.a.run("status").good());
        assert_snapshot!("status-of-a-hub", net.hub.run("status").good());
        let audit = net.hub.run("audit show --action hold").good();
        assert_snapshot!("audit-show", audit);
    });
}

#[test]
fn every_error_is_one_line_that_says_what_where_and_what_to_do() {
    let net = Connected::new();
    let nobody = free_port();
    let lines = [
        "send --kind notice",
        "send --to Hebi --kind notice",
        "send --to hebi.b --kind notice --priority hot",
        "send --to hebi.b --kind notice --wait read",
        "send --to hebi.b --kind notice --events x",
        "sned --to hebi.b",
        "receive --max 0",
        "receive --wait soon",
        "queue list --colour",
        "queue drop aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "queue show 1",
        "status --api https://127.0.0.1:1",
        "track",
        "send --to hebi.b --kind no.such.kind",
        "send --to hebi.b --kind notice no-such-file",
        "send --to hebi.b --kind notice --expires yesterday",
        "send --to hebi.nobody --kind notice --wait delivered",
        "send --to jiyuan.b --kind notice",
        "queue show aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "queue list --cursor strange",
        "track no-such-case",
        "receive --save /proc/no-such-folder",
        "status --token-file /no-such-file",
        "backup --out /proc/no-such-folder",
        "restore /no-such-backup --check",
        "audit verify /no-such-log",
        "dict show /no-such-dictionary",
        "import /no-such-file",
        "check --config /no-such-file",
        "run --config /no-such-file",
        "pki issue --dir /no-such-ca --unit hebi.c --out /tmp/never",
        "top",
    ];
    let mut told = String::new();
    let lines = lines.map(str::to_owned).into_iter();
    for line in lines.chain([format!("status --api http://127.0.0.1:{nobody}")]) {
        let done = net.a.run(&line);
        assert_eq!(done.err.lines().count(), 1, "{line}: {}", done.err);
        assert_eq!(done.out, "", "{line}");
        told += &format!("$ casegate {line}\n{}: {}", done.code, done.err);
    }
    with_what_varies_replaced(|| assert_snapshot!("errors", told));
}

#[test]
fn no_escape_sequence_is_printed_where_there_is_no_terminal() {
    let town = Town::new();
    let help = run(&mut casegate("send --help"));
    let wrong = run(&mut casegate("send --colour"));
    let checked = run(casegate("check --config").arg(town.hub().config()));
    for text in [&help.out, &wrong.err, &checked.out, &checked.err] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
