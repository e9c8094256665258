//! The demo and the lab: the real program, its output and its exit codes.

use std::process::{Command, Output};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Output {
    command("demo", arguments)
}

fn command(name: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .arg(name)
        .args(arguments)
        .env_remove("CASEGATE_LOG")
        .output()
        .expect("the program runs")
}

/// The object that `--json` printed, after a demo in which everything went well.
fn figures(output: &Output) -> Value {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert_eq!(out.lines().count(), 1, "{out}");
    let figures: Value = serde_json::from_str(&out).expect("JSON");
    for (name, of) in [
        ("delivered", &figures["sent"]),
        ("missing", &0.into()),
        ("duplicated", &0.into()),
    ] {
        assert_eq!(figures[name], *of, "{name}: {out}{err}");
    }
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!(number(&figures["payload_bytes"]) > 100.0 * number(&figures["sent"]));
    let latency = &figures["latency_ms"];
    assert!(number(&latency["p50"]) > 0.0);
    assert!(number(&latency["p50"]) <= number(&latency["p99"]));
    // As far as both are told: to a thousandth of a millisecond.
    assert!(number(&latency["p99"]) <= 1000.0 * number(&figures["seconds"]) + 0.001);
    figures
}

/// What they say of the scan, which came as it was.
fn scan(figures: &Value) -> &Value {
    let scan = &figures["attachment"];
    assert_eq!(scan["digest_equal"], true, "{figures}");
    let number = |name: &str| scan[name].as_f64().expect("a number");
    let ratio = number("wire_bytes_up") / number("bytes");
    assert!((1.0..1.6).contains(&ratio), "{figures}");
    scan
}

#[test]
fn a_scan_goes_on_where_it_was_when_its_link_was_cut() {
    let figures = figures(&demo(&["--json", "--messages", "10"]));
    let scan = scan(&figures);
    assert_eq!(scan["resumed"], true, "{figures}");
    assert_eq!(scan["bytes"], 2_000_000);
    // 1 Mbit/s, and five seconds without it.
    let seconds = scan["seconds"].as_f64().expect("a number");
    assert!(seconds > 20.0, "{figures}");
}

#[test]
fn a_demo_delivers_every_message_once_and_says_so_in_one_object() {
    let figures = figures(&demo(&["--json", "--messages", "60", "--link", "lan"]));
    let names: Vec<_> = figures.as_object().expect("an object").keys().collect();
    let expected = [
        "sent",
        "delivered",
        "missing",
        "duplicated",
        "payload_bytes",
        "wire_bytes_up",
        "wire_bytes_down",
        "seconds",
        "latency_ms",
        "attachment",
    ];
    assert_eq!(names, expected);
    assert_eq!(scan(&figures)["resumed"], false);
    assert_eq!(figures["sent"], 60);
}

#[test]
fn a_demo_over_a_poor_link_takes_the_time_that_the_link_takes_and_loses_nothing() {
    let figures = figures(&demo(&["--json", "--messages", "30", "--link", "3g-poor"]));
    assert_eq!(figures["sent"], 30);
    // Two links of 150 ms, less their jitter.
    let median = figures["latency_ms"]["p50"].as_f64().expect("a number");
    assert!(median >= 220.0, "{figures}");
    // The handshakes alone are more.
    for way in ["wire_bytes_up", "wire_bytes_down"] {
        let bytes = figures[way].as_u64().expect("bytes");
        assert!(bytes > 5_000, "{figures}");
    }
}

#[test]
fn a_lab_replays_a_recorded_link_and_says_what_each_end_submitted() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    // A packet every 20 ms, and nothing for a second of every two.
    let moments: String = (0..50).map(|n| format!("{}\n", 1_000 + n * 20)).collect();
    std::fs::write(&trace, moments + "2000\n").expect("written");
    let trace = trace.display().to_string();
    let of = [
        "--trace-up",
        &trace,
        "--trace-down",
        &trace,
        "--json",
        "--messages",
        "40",
    ];
    let figures = figures(&command("lab", &of));
    let number = |name: &str| figures[name].as_u64().expect("a number");
    let (up, down) = (number("payload_bytes_up"), number("payload_bytes_down"));
    assert!(up > 4_000 && down > 4_000, "{figures}");
    assert_eq!(up + down, number("payload_bytes"));
    assert_eq!(figures["seed"], 1);
    assert!(
        figures["link"]
            .as_str()
            .is_some_and(|link| link.contains("a recording of 306 kbit/s"))
    );
}

#[test]
fn a_lab_whose_trace_is_none_says_which_line_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    std::fs::write(&trace, "1\n2\nthree\n").expect("written");
    let trace = trace.display().to_string();
    let output = command("lab", &["--trace-up", &trace, "--trace-down", &trace]);
    assert_eq!(output.status.code(), Some(65));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("line 3: \"three\""), "{told}");
}

#[test]
fn a_demo_that_is_kept_leaves_configurations_that_pass_the_check() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("demo");
    let path = folder.display().to_string();
    let output = demo(&[
        "--messages",
        "4",
        "--link",
        "lan",
        "--keep",
        "--data",
        &path,
    ]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains(&path), "{out}");
    for name in ["hebi.hub", "hebi.tobacco", "hebi.police"] {
        let file = folder.join(format!("{name}.toml"));
        let (settings, _) = casegate::config::Settings::load_to_run(&file).expect("a good file");
        assert_ne!(settings.api.listen.port(), 0, "{name}");
        assert_eq!(settings.unit.as_str(), name);
    }
    let again = demo(&["--messages", "4", "--link", "lan", "--data", &path]);
    assert_eq!(again.status.code(), Some(73));
    assert!(folder.join("hebi.hub.toml").exists());
}

#[test]
fn an_interrupted_demo_removes_its_folder_and_says_so() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("demo");
    let mut child = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .args(["demo", "--json", "--link", "3g-outage", "--data"])
        .arg(&folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    // It has begun when it writes to its folder, and has seconds to go then.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !folder.join("hebi.police.toml").exists() {
        assert!(std::time::Instant::now() < deadline, "not in time");
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::yield_now();
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("interrupted");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert!(!folder.exists());
}

#[test]
fn a_demo_speaks_chinese_when_the_environment_asks_for_it_and_its_columns_line_up() {
    use unicode_width::UnicodeWidthStr as _;

    let output = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .args(["demo", "--messages", "4", "--link", "lan"])
        .env_remove("CASEGATE_LOG")
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", "zh_CN.UTF-8")
        .output()
        .expect("the program runs");
    let [out, err] = [output.stdout, output.stderr].map(String::from_utf8);
    let (out, err) = (out.expect("a text"), err.expect("a text"));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(err.contains("证书：建立 CA，为 hebi.hub"), "{err}");
    for name in ["发出", "送达", "丢失", "重复", "用时"] {
        let line = out.lines().find(|line| line.starts_with(name));
        assert_eq!(line.map(|line| line.width()), Some(30), "{name}: {out}");
    }
    for name in ["  特急", "  普通", "  全部"] {
        let line = out.lines().find(|line| line.starts_with(name));
        assert_eq!(line.map(|line| line.width()), Some(45), "{name}: {out}");
    }
}
