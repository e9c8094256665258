//! What commands print, kept as texts in `snapshots/`: every help, the tables, and the errors, in English and in Chinese. What differs from
//! run to run is replaced.
//!
//! After a change that was meant, `INSTA_UPDATE=always cargo test --release --test it printed` writes them anew.

use std::collections::VecDeque;

use insta::{Settings, assert_snapshot};
use unicode_width::UnicodeWidthStr as _;

use crate::processes::{Connected, Done, Node, Town, casegate, free_port, in_chinese, run, until};

/// What differs from run to run, and what stands for it.
const VARIES: [(&str, &str); 20] = [
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
    (r"(?m)\b(正常|恢复观察)  .*$", "[up, and figures]"),
    (r"(?m)^[^\s]*/hebi\.", "[folder]/hebi."),
    // Columns are as wide as what stands in them.
    (r"(?m)([^ \n]) {2,}", "$1  "),
    // A receipt may be waiting still.
    (r"(?m)  \d+  \[size\]$", "  [waiting]  [size]"),
    (r"(?m)^queued  .*$", "queued  [volume]"),
    (r"(?m)^inbox  .*$", "inbox  [volume]"),
    (r"(?m)^data  .*$", "data  [folder]"),
    (r"(?m)^awaiting  .*$", "awaiting  [receipts]"),
    (r"(?m)^排队报文  .*$", "排队报文  [volume]"),
    (r"(?m)^收件箱  .*$", "收件箱  [volume]"),
    (r"(?m)^数据目录  .*$", "数据目录  [folder]"),
    (r"(?m)^等待回执  .*$", "等待回执  [receipts]"),
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

/// A command in Chinese, at a node.
fn chinese(node: &Node, line: &str) -> Done {
    run(in_chinese(&mut node.ask(line)))
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut commands = VecDeque::from([String::new()]);
    let mut seen = 0;
    let mut all_in_chinese = String::new();
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
        let help = run(in_chinese(casegate(&line).env("COLUMNS", "100"))).good();
        assert!(help.lines().all(|line| line.width() <= 100), "{help}");
        all_in_chinese += &format!("$ casegate {}\n{help}\n", line.trim());
    }
    assert!(seen > 30, "{seen}");
    assert_snapshot!("helps-in-chinese", all_in_chinese);
    // Manual pages and completions are in English.
    let line = "completions bash";
    let [chinese, english] = [
        run(in_chinese(&mut casegate(line))),
        run(&mut casegate(line)),
    ];
    assert_eq!(chinese.good(), english.good());
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
        let mut all = String::new();
        for (node, line) in [
            (&net.hub, "queue list"),
            (&net.a, "track A-1"),
            (&net.a, "status"),
            (&net.hub, "status"),
            (&net.hub, "audit show --action hold"),
            (&net.hub, &format!("queue release {waiting}")),
            (&net.hub, "queue hold --all"),
            (&net.hub, "pause hebi.b --lane bulk"),
            (&net.hub, "status"),
            (&net.hub, "resume hebi.b"),
        ] {
            all += &format!("$ casegate {line}\n{}\n", chinese(node, line).good());
        }
        assert_snapshot!("tables-in-chinese", all);
    });
    let shown = chinese(&net.a, &format!("queue show {}", first.trim())).good();
    for words in [
        "标题      移送\n",
        "急缓      普通\n",
        "状态      已读\n",
        "  受理  ",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let drained = chinese(&net.hub, "drain").good();
    assert!(drained.starts_with("正在排空：还有排队报文 "), "{drained}");
    assert_eq!(chinese(&net.hub, "resume").good(), "节点受理报文\n");
    // What programs read is the same.
    for line in ["queue list --json", "queue list --csv", "track A-1 --json"] {
        assert_eq!(chinese(&net.hub, line).good(), net.hub.run(line).good());
    }
}

#[test]
fn a_nodes_words_follow_the_language_and_its_json_does_not() {
    let mut net = Connected::new();
    net.hub.run("pause hebi.b --lane bulk").good();
    let warning =
        "警告      发往 hebi.b 的报文已由操作员暂停：批量；用 casegate resume hebi.b 恢复发送\n";
    let told = chinese(&net.hub, "status").good();
    assert!(told.contains(warning), "{told}");
    let phrase =
        "what is for hebi.b is paused by an operator: bulk; `casegate resume hebi.b` lets it go";
    let told = net.hub.run("status").good();
    assert!(told.contains(phrase), "{told}");
    let read = chinese(&net.hub, "status --json").json();
    assert_eq!(read[0]["warnings"], serde_json::json!([phrase]));
    net.hub.stop();
    until("a unit has lost its hub", || {
        let told = chinese(&net.a, "status").good();
        let whys = ["对端关闭：", "没有建立会话：", "未及时应答"];
        whys.iter().any(|why| told.contains(why))
    });
}

#[test]
fn findings_are_told_in_the_language_and_read_in_english() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, FLAWED).expect("writes");
    let check = |line: &str| {
        let mut command = casegate(line);
        command.current_dir(&folder).arg("node.toml");
        command
    };
    let mut all = String::new();
    for line in ["check --config", "run --config"] {
        let english = run(&mut check(line));
        let chinese = run(in_chinese(&mut check(line)));
        let places = |done: &Done| -> Vec<String> {
            let lines = done.err.lines().map(|line| {
                let (_, place) = line.split_once("node.toml:").expect("a place");
                place.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ")
            });
            lines.collect()
        };
        assert_eq!((english.code, chinese.code), (78, 78));
        assert!(places(&english).len() > 5, "{}", english.err);
        assert_eq!(places(&english), places(&chinese));
        assert!(english.err.is_ascii(), "{}", english.err);
        let is_chinese = |line: &str| line.chars().any(|c| c > '\u{2e80}');
        assert!(chinese.err.lines().all(is_chinese), "{}", chinese.err);
        all += &format!(
            "$ casegate {line} node.toml\n{}{}\n",
            english.err, chinese.err
        );
    }
    assert_snapshot!("findings", all);
    let english = run(&mut check("check --json --config"));
    let chinese = run(in_chinese(&mut check("check --json --config")));
    assert_eq!((english.code, chinese.code), (78, 78));
    assert!(english.out.lines().count() > 5 && english.out.is_ascii());
    assert_eq!(chinese.out, english.out);
}

/// A configuration with mistakes of several sorts.
const FLAWED: &str = r#"unit = "Hebi.A"
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
[[unit]]
name = "hebi.b"
[deliver]
url = "https://127.0.0.1/"
[limits]
segment-mib = 1
[log]
level = "information
"#;

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
    let (mut told, mut told_in_chinese) = (String::new(), String::new());
    let lines = lines.map(str::to_owned).into_iter();
    for line in lines.chain([format!("status --api http://127.0.0.1:{nobody}")]) {
        let english = net.a.run(&line);
        let chinese = chinese(&net.a, &line);
        assert_eq!(chinese.code, english.code, "{line}");
        for (done, told) in [(english, &mut told), (chinese, &mut told_in_chinese)] {
            assert_eq!(done.err.lines().count(), 1, "{line}: {}", done.err);
            assert_eq!(done.out, "", "{line}");
            *told += &format!("$ casegate {line}\n{}: {}", done.code, done.err);
        }
    }
    with_what_varies_replaced(|| {
        assert_snapshot!("errors", told);
        assert_snapshot!("errors-in-chinese", told_in_chinese);
    });
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
