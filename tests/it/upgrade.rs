//! Data folders of earlier versions: what is in tests/golden reads as it did when it was made. tests/golden/README.md says how that was.

use std::{
    fs,
    path::{Path, PathBuf},
};

use casegate::{
    journal::{Folder, Journal, Replay, Settings},
    model::{Location, Log as _, Lsn, Payload},
    node::{self, Examined},
};
use serde_json::{Value, json};

use crate::processes::{Connected, text, until};

const NODES: [&str; 3] = ["hebi.a", "hebi.hub", "hebi.b"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A copy of a node's data folder as an earlier version left it.
fn copy(of: &Path, to: &Path) {
    fs::create_dir_all(to.join("journal")).expect("a folder");
    for entry in fs::read_dir(of.join("journal")).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(
            &path,
            to.join("journal").join(path.file_name().expect("a name")),
        )
        .expect("copied");
    }
}

fn examined(data: &Path, unit: &str) -> Value {
    let examined: Examined = node::examine(data, unit.parse().expect("a unit")).expect("it reads");
    serde_json::to_value(examined).expect("JSON")
}

#[test]
fn journals_of_earlier_versions_read_as_they_did() {
    let mut versions = 0;
    for entry in fs::read_dir(golden()).expect("a folder") {
        let version = entry.expect("an entry").path();
        if !version.is_dir() {
            continue;
        }
        versions += 1;
        let expected = fs::read_to_string(version.join("expected.json")).expect("a text");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        let folder = tempfile::tempdir().expect("a folder");
        for unit in NODES {
            let data = folder.path().join(unit);
            copy(&version.join(unit), &data);
            // The second time from what the first left.
            for time in ["first", "second"] {
                let found = examined(&data, unit);
                assert_eq!(
                    found,
                    expected[unit],
                    "{} of {unit}, {time}",
                    version.display()
                );
            }
        }
    }
    assert!(versions > 0);
}

struct Nobody;

impl Replay for Nobody {
    fn checkpoint(&mut self, _: Lsn, _: &mut dyn std::io::Read) -> bool {
        true
    }

    fn record(&mut self, _: Lsn, _: &[u8], _: &[u8], _: Location) {}
}

/// A newer program may write records that this one does not know. To pass one over would be to lose what it tells.
#[test]
fn a_journal_of_a_newer_version_is_refused_in_words_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = fs::read_dir(golden()).expect("a folder");
    let version = version.filter_map(Result::ok).map(|entry| entry.path());
    let version = version
        .filter(|path| path.is_dir())
        .min()
        .expect("a version");
    copy(&version.join("hebi.a"), folder.path());
    let before = examined(folder.path(), "hebi.a");
    let disk = Folder::at(folder.path().join("journal")).expect("a folder");
    let opened = Journal::open(disk, Settings::default(), [1; 32], &mut Nobody);
    let (mut journal, _) = opened.expect("it opens");
    // 250: a number that no record has.
    journal.append(&[250, 1, 2, 3], Payload::None);
    journal.end_group();
    journal.drain().expect("durable");
    drop(journal);
    let files = || {
        let entries = fs::read_dir(folder.path().join("journal")).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    let there = files();
    let unit = || "hebi.a".parse().expect("a unit");
    let refused = node::examine(folder.path(), unit()).expect_err("it does not read");
    let told = refused.to_string();
    assert!(told.contains("not what this program writes"), "{told}");
    assert_eq!(files(), there);
    assert!(before["parcels"].as_u64() > Some(0));
}

/// Makes the golden folders of the version that is built. See tests/golden/README.md.
#[test]
#[ignore = "makes what the other tests read"]
fn make_golden_folders() {
    let to = golden().join(concat!("v", env!("CARGO_PKG_VERSION")));
    assert!(
        !to.exists(),
        "{} is there; nothing is written over",
        to.display()
    );
    let mut town = Connected::new();
    let event = |id: &str, priority: &str, case: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/unit/hebi.a", "type": "case.step", "to": "hebi.b,hebi.hub",
            "priority": priority, "caseid": case, "subject": "关于涉嫌犯罪案件移送的函", "data": {"id": id, "text": "移送材料".repeat(20)},
        })
    };
    let a = town.a.client();
    let bytes = vec![7; 100_000];
    let brought = a
        .put("/v1/attachments", &bytes[..], 100_000)
        .expect("an answer");
    let mut with = event("1", "normal", "A-1");
    with["attachments"] = brought.1["digest"].clone();
    let first = [
        with,
        event("2", "urgent", "A-2"),
        event("3", "bulk", "A-7"),
        event("4", "flash", "A-9"),
    ];
    a.submit(&first);
    let mut came = Vec::new();
    let b = town.b.client();
    until("B has four messages", || {
        if let Some((200, Value::Array(events))) = b.get("/v1/inbox?max=10&wait=1s") {
            came.extend(events.iter().map(|event| text(&event["messageid"])));
        }
        came.len() == 4
    });
    let acked = b.post(
        "/v1/inbox/ack",
        "application/json",
        &json!({ "messageids": came[..2] }),
    );
    assert_eq!(acked.expect("an answer").0, 200);
    let queued = |node: &crate::processes::Node, count: u64| {
        let client = node.client();
        until("so many wait", || {
            let status = client.get("/v1/status").map(|(_, status)| status);
            status.is_some_and(|status| status["queued"]["messages"] == count)
        });
    };
    town.b.stop();
    let second: Vec<_> = (5..9)
        .map(|n| event(&n.to_string(), "normal", "A-3"))
        .collect();
    a.submit(&second);
    queued(&town.hub, 4);
    queued(&town.a, 0);
    town.hub.stop();
    let third: Vec<_> = (9..12)
        .map(|n| event(&n.to_string(), "normal", "A-4"))
        .collect();
    let names = a.submit(&third);
    town.a.run(&format!("queue hold {}", names[0])).good();
    town.a.stop();
    let mut expected = serde_json::Map::new();
    for (unit, node) in NODES.into_iter().zip([&town.a, &town.hub, &town.b]) {
        let journal = to.join(unit).join("journal");
        fs::create_dir_all(&journal).expect("a folder");
        for entry in fs::read_dir(node.data().join("journal")).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.is_file() {
                continue;
            }
            let mut bytes = fs::read(&path).expect("a file");
            // Room that is set aside is nothing to keep.
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            fs::write(journal.join(path.file_name().expect("a name")), bytes).expect("written");
        }
        let scratch = tempfile::tempdir().expect("a folder");
        copy(&to.join(unit), scratch.path());
        expected.insert(unit.to_owned(), examined(scratch.path(), unit));
    }
    let text = serde_json::to_string_pretty(&expected).expect("JSON");
    fs::write(to.join("expected.json"), text + "\n").expect("written");
}
