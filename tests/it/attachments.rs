//! Attachments, with the program itself in processes of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write as _},
    net::TcpStream,
    path::Path,
};

use serde_json::json;

use crate::processes::{Connected, Node, Town, run, until};

/// A body of `size` bytes that is never in memory as a whole.
struct Body {
    bytes: blake3::OutputReader,
    left: u64,
}

fn body(size: u64) -> Body {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    Body {
        bytes: hasher.finalize_xof(),
        left: size,
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (buffer.len() as u64).min(self.left) as usize;
        self.bytes.fill(&mut buffer[..len]);
        self.left -= len as u64;
        Ok(len)
    }
}

fn digest(mut body: impl Read) -> String {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut body, &mut hasher).expect("reads");
    format!("blake3:{}", hasher.finalize().to_hex())
}

/// What lies in a node's folder of attachments: names and lengths.
fn files(node: &Node) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(node.data().join("blobs")).expect("a folder");
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a text");
        (name, entry.metadata().expect("there").len())
    };
    entries.map(entry).collect()
}

/// A unit alone; its hub is not there.
fn alone(town: &Town) -> Node {
    let mut node = town.unit("hebi.a");
    node.start();
    node
}

#[test]
fn an_attachment_comes_back_as_it_was_brought_also_after_a_restart() {
    let town = Town::new();
    let mut node = alone(&town);
    let size = 1_000_003;
    let name = digest(body(size));
    let brought = node
        .client()
        .put("/v1/attachments?name=a", body(size), size);
    let (status, answer) = brought.expect("an answer");
    assert_eq!(
        (status, answer),
        (201, json!({"digest": name, "size": size, "name": "a"}))
    );
    node.kill();
    node.start();
    let path = format!("/v1/attachments/{name}");
    let whole = node.client().bytes(&path, None);
    assert_eq!(whole.status(), 200);
    assert_eq!(digest(whole.into_body()), name);
    let mut expected = Vec::new();
    body(size).read_to_end(&mut expected).expect("reads");
    for (range, first, end) in [
        ("bytes=65000-70000", 65_000, 70_001),
        ("bytes=-100", size - 100, size),
        ("bytes=999000-", 999_000, size),
    ] {
        let mut part = Vec::new();
        let answer = node.client().bytes(&path, Some(range));
        assert_eq!(answer.status(), 206, "{range}");
        answer.into_body().read_to_end(&mut part).expect("reads");
        assert_eq!(part, expected[first as usize..end as usize], "{range}");
    }
    let past = node.client().bytes(&path, Some("bytes=1000003-"));
    assert_eq!(past.status(), 416);
    let never = node.client().get(&path.replace("blake3:", "blake3:0"));
    let (status, answer) = never.expect("an answer");
    assert_eq!(status, 404, "{answer}");
    assert_eq!(answer["type"], "urn:casegate:problem:unknown-attachment");
}

#[test]
fn one_that_passes_a_bound_is_refused_by_the_bounds_name_and_leaves_nothing() {
    let town = Town::new();
    let mut node = town.unit("hebi.a");
    let limits = "[limits]\nattachment-mib = 1\nattachments-mib = 2\n";
    node.configure("[upstream]", &format!("{limits}[upstream]"));
    node.start();
    const MIB: u64 = 1 << 20;
    let put = |size| node.client().put("/v1/attachments", body(size), size);
    let (status, answer) = put(MIB + 1).expect("an answer");
    assert_eq!((status, &answer["bound"]), (413, &json!("attachment-mib")));
    assert_eq!(files(&node), BTreeMap::new());
    assert_eq!(put(MIB).expect("an answer").0, 201);
    let (status, answer) = put(MIB - 1).expect("an answer");
    assert_eq!((status, &answer["bound"]), (507, &json!("attachments-mib")));
    assert_eq!(answer["type"], "urn:casegate:problem:bound-reached");
    assert_eq!(files(&node).len(), 2);
    // The bound that is read anew is the one that holds.
    node.configure("attachments-mib = 2", "attachments-mib = 3");
    node.reload();
    until("the new bound holds", || {
        put(MIB - 1).is_some_and(|(status, _)| status == 201)
    });
}

#[test]
fn a_kill_in_the_middle_of_an_upload_leaves_nothing() {
    let town = Town::new();
    let mut node = alone(&town);
    let mut upload = TcpStream::connect(node.address()).expect("connects");
    write!(
        upload,
        "PUT /v1/attachments HTTP/1.1\r\nhost: {}\r\ncontent-type: application/pdf\r\ncontent-length: 5000000\r\n\r\n",
        node.address()
    )
    .expect("written");
    io::copy(&mut body(3_000_000), &mut upload).expect("written");
    until("the node has written to its disk", || {
        files(&node).values().any(|len| *len >= 2_500_000)
    });
    node.kill();
    assert!(!files(&node).is_empty());
    node.start();
    assert_eq!(files(&node), BTreeMap::new());
    // A connection that breaks leaves nothing either.
    let mut upload = TcpStream::connect(node.address()).expect("connects");
    write!(
        upload,
        "PUT /v1/attachments HTTP/1.1\r\nhost: {}\r\ncontent-type: application/pdf\r\ncontent-length: 5000000\r\n\r\n",
        node.address()
    )
    .expect("written");
    io::copy(&mut body(3_000_000), &mut upload).expect("written");
    until("the node has written to its disk", || {
        files(&node).values().any(|len| *len >= 2_500_000)
    });
    drop(upload);
    until("nothing is left", || files(&node).is_empty());
}

#[test]
fn a_node_takes_little_memory_for_an_attachment_of_any_size() {
    let town = Town::new();
    let node = alone(&town);
    let size = 300 << 20;
    let brought = node.client().put("/v1/attachments", body(size), size);
    let (status, answer) = brought.expect("an answer");
    assert_eq!(status, 201, "{answer}");
    let name = answer["digest"].as_str().expect("a digest");
    let path = format!("/v1/attachments/{name}");
    let whole = node.client().bytes(&path, None);
    assert_eq!(digest(whole.into_body()), name);
    let peak_mib = node.peak_kib() / 1024;
    assert!(peak_mib < 64, "{peak_mib} MiB");
}

#[test]
fn what_cannot_be_attached_is_told_by_its_name() {
    let town = Town::new();
    let node = alone(&town);
    let missing = Path::new("/no/such/scan.pdf");
    for (file, part) in [
        (missing, "scan.pdf: cannot be read"),
        (town.path(), "no plain file"),
    ] {
        let line = "send --to hebi.b --kind notice --attach";
        let refused = run(node.ask(line).arg(file));
        refused.assert_refused(65);
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    assert_eq!(files(&node), BTreeMap::new());
}

#[test]
fn files_that_are_attached_are_saved_beside_their_message_and_told_on_the_way() {
    let net = Connected::new();
    let folder = net.town.path();
    let mut scan = Vec::new();
    body(700_001).read_to_end(&mut scan).expect("reads");
    fs::write(folder.join("扫描 1.pdf"), &scan).expect("writes");
    fs::write(folder.join("100%.txt"), "少许").expect("writes");
    let line = "send --to hebi.b --kind case.material --wait delivered --attach";
    let mut send = net.a.ask(line);
    send.arg(folder.join("扫描 1.pdf")).arg("--attach");
    let sent = run(send.arg(folder.join("100%.txt"))).good();
    let sent = sent.trim();

    let inbox = folder.join("inbox");
    let mut receive = net.b.ask("receive --wait 30s --json --save");
    let saved = run(receive.arg(&inbox)).json();
    assert_eq!(saved[0]["messageid"], *sent);
    let attachments = saved[0]["attachments"].as_array().expect("a list");
    assert_eq!(attachments.len(), 2);
    for (at, (name, plain, content)) in [
        ("扫描 1.pdf", "1.扫描_1.pdf", scan.as_slice()),
        ("100%.txt", "2.100_.txt", "少许".as_bytes()),
    ]
    .into_iter()
    .enumerate()
    {
        let attached = &attachments[at];
        assert_eq!(attached["name"], name);
        assert_eq!(attached["digest"], digest(content));
        let file = inbox.join(format!("{sent}.{plain}"));
        assert_eq!(attached["file"], file.to_str().expect("a text"));
        assert!(fs::read(&file).expect("a file") == content, "{name}");
    }
    let left = fs::read_dir(&inbox).expect("a folder").count();
    assert_eq!(left, 3, "nothing unfinished is left");
    assert_eq!(net.b.run("receive --json").good(), "", "it was acked");

    // What is here, and what has passed, is counted.
    let status = net.hub.run("status --json").json();
    assert_eq!(status[0]["attachments"]["whole"], 2);
    let shown = net.hub.run("status").good();
    assert!(shown.contains("attached  2 files"), "{shown}");
    let (_, metrics) = net.hub.client().get("/metrics").expect("an answer");
    let metrics = metrics.as_str().expect("a text");
    let bytes = 700_001 + "少许".len();
    for line in [
        "casegate_attachments 2".to_owned(),
        format!("casegate_attachments_received_bytes_total {bytes}"),
        format!("casegate_attachments_sent_bytes_total {bytes}"),
    ] {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn a_message_that_names_what_is_not_here_is_refused_and_names_it() {
    let town = Town::new();
    let node = alone(&town);
    let missing = digest(&b"never brought"[..]);
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b",
        "attachments": missing,
    });
    let posted = node
        .client()
        .post("/v1/messages", "application/cloudevents+json", &event);
    let (status, answer) = posted.expect("an answer");
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["type"], "urn:casegate:problem:unknown-attachment");
    assert_eq!(answer["attribute"], "attachments");
    let detail = answer["detail"].as_str().expect("a text");
    assert!(detail.contains(&missing), "{detail}");
    node.client()
        .put("/v1/attachments", &b"never brought"[..], 13)
        .expect("an answer");
    let posted = node
        .client()
        .post("/v1/messages", "application/cloudevents+json", &event);
    assert_eq!(posted.expect("an answer").0, 202);
}

#[test]
fn what_is_needed_stays_and_what_is_not_makes_room() {
    let town = Town::new();
    let (mut hub, mut node) = (town.hub(), town.unit("hebi.a"));
    let limits = "[limits]\nattachment-mib = 1\nattachments-mib = 3\n";
    node.configure("[upstream]", &format!("{limits}[upstream]"));
    hub.start();
    node.start();
    const SIZE: u64 = 900_000;
    let put = |size: u64| node.client().put("/v1/attachments", body(size), size);
    let here = |size: u64| {
        let path = format!("/v1/attachments/{}", digest(body(size)));
        node.client().bytes(&path, None).status() == 200
    };
    let name = |size: u64, to: &str| {
        json!({
            "specversion": "1.0", "id": size.to_string(), "source": "/unit/hebi.a", "type": "notice",
            "to": to, "attachments": digest(body(size)),
        })
    };
    for size in SIZE..SIZE + 3 {
        assert_eq!(put(size).expect("an answer").0, 201);
    }
    // One that no message names yet is as safe as one that is named.
    node.client().submit(&[name(SIZE + 1, "hebi.b")]);
    let (status, answer) = put(SIZE + 3).expect("an answer");
    assert_eq!((status, &answer["bound"]), (507, &json!("attachments-mib")));
    assert!((SIZE..SIZE + 3).all(here));
    // The hub's application takes a message; nobody needs what that named here any more.
    node.client().submit(&[name(SIZE, "hebi.hub")]);
    hub.run("receive --wait 30s --max 1 --json").good();
    until("there is room", || {
        put(SIZE + 3).is_some_and(|(status, _)| status == 201)
    });
    assert!(!here(SIZE), "it made room");
    assert!((SIZE + 1..SIZE + 4).all(here));
}
