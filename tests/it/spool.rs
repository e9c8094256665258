//! Files in folders: what is dropped is sent, what comes is written, and nothing is lost or sent twice, whatever happens in between.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use casegate::config::{Settings, Spool, SpoolFolder};
use serde_json::{Value, json};

use crate::{
    processes::{self, Connected, text, until},
    world::{Running, World, eventually},
};

/// A unit's settings with folders: `in`, with `to-b` in it, and `out`.
fn with_folders(settings: &mut Settings) -> (PathBuf, PathBuf) {
    let folder = settings.data_dir.with_file_name("spool");
    let (incoming, out) = (folder.join("in"), folder.join("out"));
    settings.spool = Some(Spool {
        incoming: Some(incoming.clone()),
        out: Some(out.clone()),
        folders: vec![SpoolFolder {
            name: "to-b".into(),
            to: vec!["hebi.b".parse().expect("a unit")],
            kind: "case.material".parse().expect("a kind"),
            case: None,
            priority: None,
            title: None,
            is_data: false,
        }],
        keep_days: Spool::KEEP_DAYS,
        out_messages: Spool::OUT_MESSAGES,
        open_to_group: false,
    });
    (incoming, out)
}

/// Two units with folders, at a hub.
struct Pair {
    _hub: Running,
    a: Running,
    b: Running,
    /// Where `a` drops.
    a_in: PathBuf,
    /// Where `b` finds what has come.
    b_out: PathBuf,
    _world: World,
}

impl Pair {
    async fn new(more: impl FnOnce(&mut Settings, &mut Settings)) -> Self {
        let world = World::new();
        let hub = Running::start(world.hub("hebi.hub")).await;
        let address = hub.dial_in().await;
        let mut a = world.edge("hebi.a", "hebi.hub", address);
        let mut b = world.edge("hebi.b", "hebi.hub", address);
        let (a_in, _) = with_folders(&mut a);
        let (_, b_out) = with_folders(&mut b);
        more(&mut a, &mut b);
        let (a, b) = (Running::start(a).await, Running::start(b).await);
        // A hub knows a unit once it has connected.
        eventually("both are connected", async || {
            hub.get("/v1/status").await.1["sessions"] == 2
        })
        .await;
        eventually("its folders are there", async || {
            a_in.join("to-b/sent").is_dir()
        })
        .await;
        Self {
            _hub: hub,
            a,
            b,
            a_in,
            b_out,
            _world: world,
        }
    }

    fn drop_file(&self, name: &str, content: impl AsRef<[u8]>) {
        drop_into(&self.a_in, name, content.as_ref());
    }

    async fn until_there(&self, path: &str) {
        let path = self.a_in.join(path);
        eventually(&format!("{}", path.display()), async || path.exists()).await;
    }

    /// Waits until the result of a file says so; gives it.
    async fn until_state(&self, file: &str, state: &str) -> Value {
        let path = self.a_in.join(format!("{file}.result.json"));
        eventually(&format!("{file} is {state}"), async || {
            read_json(&path).is_some_and(|result| result["state"] == state)
        })
        .await;
        read_json(&path).expect("a result")
    }
}

/// Drops a file as a careful program does: whole, under its name.
fn drop_into(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    let unfinished = path.with_file_name(".unfinished");
    fs::write(&unfinished, content).expect("written");
    fs::rename(unfinished, path).expect("named");
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn event(data: Value) -> String {
    json!({"specversion": "1.0", "type": "case.step", "to": "hebi.b", "caseid": "A", "data": data})
        .to_string()
}

/// The events in a folder, in order of their files' names.
fn events_in(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .map(|entry| entry.expect("an entry").path())
                .collect()
        })
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|end| end == "json"));
    files.sort();
    files.iter().filter_map(|path| read_json(path)).collect()
}

/// The names in a folder, but for hidden ones and folders.
fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.is_file());
    let name = |path: PathBuf| path.file_name().map(|name| name.display().to_string());
    files.filter_map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_is_sent_and_what_comes_is_written_with_its_attachments() {
    let pair = Pair::new(|_, _| ()).await;
    let scan: Vec<u8> = (0..300_000u32).map(|n| n.wrapping_mul(n) as u8).collect();
    let sidecar = json!({
        "to": ["hebi.b"], "kind": "case.transfer", "case": "浚烟立〔2026〕12号", "priority": "urgent",
        "title": "涉嫌非法经营案件移送", "attributes": {"office": "7"},
    });
    pair.drop_file("event.json", event(json!({"n": 1.50})));
    pair.drop_file("案卷 1.pdf.casegate.json", sidecar.to_string());
    pair.drop_file("案卷 1.pdf", &scan);
    let as_data = json!({"to": "hebi.b", "kind": "case.step", "as": "data"});
    pair.drop_file("note.txt.casegate.json", as_data.to_string());
    pair.drop_file("note.txt", "closed\n");
    pair.drop_file("to-b/photo.jpg", b"\xff\xd8photo");

    for file in [
        "sent/event.json",
        "sent/案卷 1.pdf",
        "sent/note.txt",
        "to-b/sent/photo.jpg",
    ] {
        let result = pair.until_state(file, "read").await;
        assert_eq!(result["receivers"][0]["receiver"], "hebi.b", "{result}");
        assert!(file.ends_with(result["file"].as_str().expect("a name")));
        let message = result["messageid"].as_str().expect("a messageid");
        pair.a.until_state(message, "read").await;
        let about = fs::metadata(pair.a_in.join(format!("{file}.result.json"))).expect("there");
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(names_in(&pair.a_in), BTreeSet::new());
    assert_eq!(
        fs::read(pair.a_in.join("sent/案卷 1.pdf")).expect("kept"),
        scan
    );

    let events = events_in(&pair.b_out);
    assert_eq!(events.len(), 4);
    let of = |title: &str| {
        let mut found = events.iter().filter(|event| event["subject"] == title);
        let event = found.next().expect("it came");
        (event, text(&event["messageid"]))
    };
    let (transfer, message) = of("涉嫌非法经营案件移送");
    assert_eq!(transfer["type"], "case.transfer");
    assert_eq!(transfer["caseid"], "浚烟立〔2026〕12号");
    assert_eq!(transfer["priority"], "urgent");
    assert_eq!(transfer["office"], "7");
    let attached = pair.b_out.join(format!("{message}.1.案卷_1.pdf"));
    assert_eq!(fs::read(&attached).expect("the attachment"), scan);
    let mode = fs::metadata(attached).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (_, message) = of("photo.jpg");
    let attached = fs::read(pair.b_out.join(format!("{message}.1.photo.jpg")));
    assert_eq!(attached.expect("the attachment"), b"\xff\xd8photo");
    let (note, message) = of("note.txt");
    assert_eq!(note["data"], "closed\n");
    let file = pair.b_out.join(format!("{message}.txt"));
    assert_eq!(fs::read_to_string(file).expect("the data"), "closed\n");
    let plain = events.iter().find(|event| event["data"]["n"] == 1.5);
    let plain = plain.expect("the event");
    assert_eq!(plain["source"], "/unit/hebi.a");
    assert!(text(&plain["id"]).starts_with("spool-"), "{plain}");
    // Taken means taken: nobody is handed it again.
    assert_eq!(pair.b.get("/v1/inbox?wait=0s").await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_put_aside_with_what_to_do() {
    let pair = Pair::new(|_, _| ()).await;
    let secret = pair.a_in.with_file_name("secret");
    fs::write(&secret, "not for others").expect("written");
    std::os::unix::fs::symlink(&secret, pair.a_in.join("to-b/link.pdf")).expect("a link");
    pair.drop_file("half.json", "{\"specversion\": ");
    pair.drop_file("kind.json", event(json!(1)).replace("case.step", "no.such"));
    pair.drop_file("a.pdf.casegate.json", "{\"to\": \"hebi.b\"}");
    pair.drop_file("a.pdf", "1");
    pair.drop_file("b.pdf.casegate.json", "{\"two\": \"hebi.b\"}");
    pair.drop_file("b.pdf", "1");
    pair.drop_file("lone.pdf", "1");
    for (file, why) in [
        ("failed/half.json", "it is no CloudEvent in JSON"),
        ("failed/kind.json", "add it as [[kind]]"),
        ("failed/a.pdf", "has no \"kind\"; write \"kind\""),
        ("failed/b.pdf", "unknown field `two`"),
        ("failed/lone.pdf", "put lone.pdf.casegate.json"),
        ("to-b/failed/link.pdf", "is no plain file"),
    ] {
        pair.until_there(file).await;
        let told = fs::read_to_string(pair.a_in.join(format!("{file}.error.txt")));
        let told = told.expect("a reason");
        assert!(told.contains(why), "{file}: {told}");
    }
    pair.until_there("failed/b.pdf.casegate.json").await;
    // Corrected and dropped again it goes.
    pair.drop_file(
        "a.pdf.casegate.json",
        "{\"to\": \"hebi.b\", \"kind\": \"case.step\"}",
    );
    pair.drop_file("a.pdf", "1");
    pair.until_state("sent/a.pdf", "read").await;
    assert_eq!(events_in(&pair.b_out).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_yet_waits() {
    let pair = Pair::new(|_, _| ()).await;
    let whole = event(json!("whole"));
    fs::write(pair.a_in.join("late.json.part"), &whole[..20]).expect("written");
    fs::write(pair.a_in.join(".late.json"), &whole[..20]).expect("written");
    pair.drop_file("other.json", event(json!("other")));
    pair.until_state("sent/other.json", "read").await;
    let waiting = names_in(&pair.a_in);
    assert!(waiting.contains("late.json.part") && waiting.contains(".late.json"));
    fs::write(pair.a_in.join("late.json.part"), &whole).expect("written");
    fs::rename(
        pair.a_in.join("late.json.part"),
        pair.a_in.join("late.json"),
    )
    .expect("named");
    pair.until_state("sent/late.json", "read").await;
    assert_eq!(events_in(&pair.b_out).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_is_the_same_message_and_another_content_is_another() {
    let pair = Pair::new(|_, _| ()).await;
    pair.drop_file("to-b/report.pdf", "1");
    let first = pair.until_state("to-b/sent/report.pdf", "read").await;
    pair.drop_file("to-b/report.pdf", "1");
    let again = pair.until_state("to-b/sent/2.report.pdf", "read").await;
    assert_eq!(again["messageid"], first["messageid"]);
    pair.drop_file("to-b/report.pdf", "2");
    let other = pair.until_state("to-b/sent/3.report.pdf", "read").await;
    assert_ne!(other["messageid"], first["messageid"]);
    assert_eq!(events_in(&pair.b_out).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_nobody_empties_takes_no_more_and_says_so() {
    let pair = Pair::new(|_, b| {
        b.spool.as_mut().expect("folders").out_messages = 2;
    })
    .await;
    for n in 1..=3 {
        let event = pair.a.event(&n.to_string(), "hebi.b", "notice", json!(n));
        pair.a.submit(event).await;
    }
    let warned = async || {
        let (_, status) = pair.b.get("/v1/status").await;
        let warnings = status["warnings"].to_string();
        warnings.contains("out-messages")
    };
    eventually("a warning", warned).await;
    assert_eq!(events_in(&pair.b_out).len(), 2);
    let first = text(&events_in(&pair.b_out)[0]["messageid"]);
    fs::remove_file(pair.b_out.join(format!("{first}.json"))).expect("removed");
    eventually("the third comes", async || {
        events_in(&pair.b_out)
            .iter()
            .any(|event| event["data"] == 3)
    })
    .await;
}

#[test]
fn files_survive_kill_nine_at_any_moment_and_go_once() {
    const ROUNDS: usize = 5;
    const EACH: usize = 8;
    let mut net = Connected::new();
    let folder = |name: &str| net.town.path().join(name).join("spool");
    let (a_in, b_out) = (folder("hebi.a").join("in"), folder("hebi.b").join("out"));
    let rule = "[[spool.folder]]\nname = \"to-b\"\nto = [\"hebi.b\"]\nkind = \"case.material\"\ncase = \"A\"\n[[policy.allow]]";
    net.a.configure(
        "[[policy.allow]]",
        &format!("[spool]\nin = \"spool/in\"\n{rule}"),
    );
    net.b.configure(
        "[[policy.allow]]",
        "[spool]\nout = \"spool/out\"\n[[policy.allow]]",
    );
    for node in [&mut net.a, &mut net.b] {
        node.stop();
        node.start();
    }
    let to_b = a_in.join("to-b");
    until("its folders are there", || to_b.join("sent").is_dir());
    let results = || {
        let names = names_in(&to_b.join("sent")).into_iter();
        names.filter(|name| name.ends_with(".result.json")).count()
    };
    for round in 0..ROUNDS {
        for n in 0..EACH {
            let content = vec![b'0' + n as u8; 100_000 + round];
            drop_into(&to_b, &format!("{round}-{n}.bin"), &content);
        }
        // At another point of the way each time, on either side.
        until("some went", || results() > round * EACH + round);
        net.a.kill();
        net.b.kill();
        net.a.start();
        net.b.start();
        until("the others went", || results() >= (round + 1) * EACH);
    }
    until("all came", || events_in(&b_out).len() >= ROUNDS * EACH);
    let taken = fs::read_dir(to_b.join(".taken")).expect("a folder").count();
    until("nothing is left on its way", || {
        fs::read_dir(to_b.join(".taken")).expect("a folder").count() == 0
    });
    assert!(taken <= 1);
    assert_eq!(names_in(&to_b), BTreeSet::new());
    assert_eq!(names_in(&to_b.join("failed")), BTreeSet::new());
    let expected: BTreeSet<_> = (0..ROUNDS)
        .flat_map(|round| (0..EACH).map(move |n| format!("{round}-{n}.bin")))
        .collect();
    let sent: BTreeSet<_> = names_in(&to_b.join("sent"))
        .into_iter()
        .filter(|name| !name.ends_with(".json"))
        .collect();
    assert_eq!(sent, expected, "each file is there once");
    let events = events_in(&b_out);
    let came: BTreeSet<_> = events.iter().map(|event| text(&event["subject"])).collect();
    assert_eq!((came, events.len()), (expected, ROUNDS * EACH));
    for event in &events {
        let (message, name) = (text(&event["messageid"]), text(&event["subject"]));
        let attached = fs::read(b_out.join(format!("{message}.1.{name}"))).expect("it is there");
        assert!(attached.len() >= 100_000);
    }
    let (_, all) = net
        .a
        .client()
        .get("/v1/messages?max=1000")
        .expect("an answer");
    assert_eq!(
        all["messages"].as_array().map(Vec::len),
        Some(ROUNDS * EACH)
    );
}

#[test]
fn check_tells_of_folders_that_are_not_as_they_should_be() {
    let town = processes::Town::new();
    let a = town.unit("hebi.a");
    let check = || {
        let mut command = processes::casegate("check --config");
        processes::run(command.arg(a.config()))
    };
    a.configure(
        "[[policy.allow]]",
        "[spool]\nin = \"in\"\nout = \"out\"\n[deliver]\nurl = \"http://127.0.0.1:9/\"\nsecret-file = \"none\"\n[[policy.allow]]",
    );
    let done = check();
    assert_eq!(done.code, 0, "{}", done.err);
    for part in [
        "spool.in: ",
        "is not there; it is made when the node starts",
        "both take from the inbox",
        "deliver.secret-file: ",
    ] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    a.configure("http://127.0.0.1:9/", "https://example.org/");
    let done = check();
    assert_eq!(done.code, 78, "{}", done.err);
    assert!(
        done.err.contains("deliver.url: https is not spoken"),
        "{}",
        done.err
    );
}

/// A message in the inbox of `b`, whose folder is full, with an attachment; and the file of that.
struct Behind {
    pair: Pair,
    message: String,
    body: Vec<u8>,
    file: PathBuf,
}

impl Behind {
    async fn new() -> Self {
        let mut data = PathBuf::new();
        let pair = Pair::new(|_, b| {
            b.spool.as_mut().expect("folders").out_messages = 1;
            b.limits.inbox_lease_s = 1;
            data = b.data_dir.clone();
        })
        .await;
        let first = pair.a.event("1", "hebi.b", "notice", json!(1));
        pair.a.submit(first).await;
        eventually("the folder is full", async || {
            events_in(&pair.b_out).len() == 1
        })
        .await;
        let body: Vec<u8> = (0..200_000u32).map(|n| n.wrapping_mul(n) as u8).collect();
        let digest = pair.a.bring(body.clone()).await;
        let mut second = pair.a.event("2", "hebi.b", "notice", json!(2));
        second["attachments"] = digest.clone().into();
        let message = pair.a.submit(second).await;
        let mut third = pair.a.event("3", "hebi.b", "notice", json!(3));
        third["caseid"] = "another".into();
        pair.a.submit(third).await;
        let hex = digest.strip_prefix("blake3:").expect("a digest");
        let file = data.join("blobs").join(hex);
        eventually("both are there", async || {
            let (_, status) = pair.b.get("/v1/status").await;
            status["inbox"]["messages"] == 2 && file.exists()
        })
        .await;
        Self {
            pair,
            message,
            body,
            file,
        }
    }

    /// Takes what is in the folder away, so that there is room for one; gives it.
    fn make_room(&self) -> Vec<Value> {
        let events = events_in(&self.pair.b_out);
        for event in &events {
            let file = format!("{}.json", text(&event["messageid"]));
            fs::remove_file(self.pair.b_out.join(file)).expect("removed");
        }
        events
    }

    async fn until_comes(&self, n: u64) {
        eventually(&format!("{n} comes"), async || {
            events_in(&self.pair.b_out)
                .iter()
                .any(|event| event["data"] == n)
        })
        .await;
    }

    fn check_attachment(&self) {
        let is_it = |path: &PathBuf| fs::read(path).is_ok_and(|read| read == self.body);
        let names = names_in(&self.pair.b_out);
        let mut files = names.iter().map(|name| self.pair.b_out.join(name));
        assert!(files.any(|path| is_it(&path)), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_written_holds_up_no_other() {
    let behind = Behind::new().await;
    let aside = behind.file.with_extension("aside");
    fs::rename(&behind.file, &aside).expect("renamed");
    fs::create_dir(&behind.file).expect("something that is no file");
    behind.make_room();
    behind.until_comes(3).await;
    // It is tried again, and an operator reads why it does not come.
    behind.make_room();
    eventually("a warning", async || {
        let (_, status) = behind.pair.b.get("/v1/status").await;
        status["warnings"].to_string().contains(&behind.message)
    })
    .await;
    fs::remove_dir(&behind.file).expect("removed");
    fs::rename(&aside, &behind.file).expect("renamed");
    behind.until_comes(2).await;
    behind.check_attachment();
    eventually("no warning", async || {
        let (_, status) = behind.pair.b.get("/v1/status").await;
        !status["warnings"].to_string().contains(&behind.message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_attachment_is_gone_from_the_disk_is_written_with_it_once_it_came_again() {
    let behind = Behind::new().await;
    fs::remove_file(&behind.file).expect("removed");
    // Whichever comes first: the other needs room.
    let came = std::cell::RefCell::new(BTreeSet::new());
    eventually("both come", async || {
        let events = behind.make_room();
        let all = events.iter().filter_map(|event| event["data"].as_u64());
        came.borrow_mut().extend(all);
        came.borrow().is_superset(&BTreeSet::from([2, 3]))
    })
    .await;
    behind.check_attachment();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_is_gone_from_the_disk_when_it_is_read_comes_again() {
    let behind = Behind::new().await;
    fs::remove_file(&behind.file).expect("removed");
    let digest = format!(
        "blake3:{}",
        behind.file.file_name().expect("a name").display()
    );
    let url = behind.pair.b.url(&format!("/v1/attachments/{digest}"));
    let read = async || {
        let url = url.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut answer = crate::world::agent().get(&url).call().expect("an answer");
            let body = answer.body_mut().read_to_vec().expect("a body");
            (answer.status().as_u16(), body)
        });
        read.await.expect("no panic")
    };
    let (status, told) = read().await;
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(status == 404 && told.contains("damaged"), "{status} {told}");
    eventually("it comes again", async || {
        read().await == (200, behind.body.clone())
    })
    .await;
}
