//! Bytes that rot on the disk: any file of any node's folder is damaged while the node is stopped, and it starts again on what is left.
//!
//! Whatever is damaged, a message is handed over as it was submitted, or a node says that it was affected; an attachment is served as it
//! was brought, or not at all. `CASEGATE_TEST_DAMAGES` says how many files to damage, `CASEGATE_TEST_SEED` which.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use crate::processes::{Client, Node, Town, text, until};

const DAMAGES: usize = 40;
/// After so many damages everything must have come to rest.
const REST_EVERY: usize = 10;
/// Messages that are submitted between two damages; the last of them has an attachment.
const MESSAGES: usize = 6;

fn number(variable: &str, otherwise: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    asked.map_or(otherwise, |number| number.parse().expect("a number"))
}

/// A source of numbers that one seed makes the same everywhere (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What a file is, as far as its damage is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Segment,
    Checkpoint,
    Index,
    Attachment,
    List,
    Transfer,
    Signer,
    Small,
    Identity,
    Config,
}

/// Every file of a node and what it is.
fn files(node: &Node) -> BTreeMap<Kind, Vec<PathBuf>> {
    let mut found: BTreeMap<Kind, Vec<PathBuf>> = BTreeMap::new();
    let data = node.data();
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(&data).expect("in it").to_string_lossy();
            if path.is_dir() {
                if !name.contains("quarantine") && !name.contains("damaged") {
                    folders.push(path);
                }
                continue;
            }
            let kind = match name.split('/').next().unwrap_or_default() {
                "journal" if name.contains("checkpoint") => Kind::Checkpoint,
                "journal" if name.ends_with("lock") => continue,
                "journal" => Kind::Segment,
                "index" => Kind::Index,
                "blobs" if name.ends_with(".list") => Kind::List,
                "blobs" if name.contains('.') => Kind::Transfer,
                "blobs" => Kind::Attachment,
                "signers" => Kind::Signer,
                _ => Kind::Small,
            };
            found.entry(kind).or_default().push(path);
        }
    }
    let identity = node.config().with_file_name("identity");
    for name in ["ca.pem", "tls.pem", "tls.key", "signing.pem", "signing.key"] {
        found
            .entry(Kind::Identity)
            .or_default()
            .push(identity.join(name));
    }
    found.insert(Kind::Config, vec![node.config()]);
    found
}

/// Damages a file in one of several ways, and says how.
fn damage(path: &Path, dice: &mut Dice) -> String {
    let mut bytes = fs::read(path).expect("a file");
    // Room that is set aside has nothing to lose.
    let content = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let at = dice.below(content);
    let len = 1 + dice.below(200.min(content.max(1)));
    let end = (at + len).min(content);
    let how = match dice.below(7) {
        0 | 1 if content > 0 => {
            let bit = dice.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} is flipped")
        }
        2 if content > 0 => {
            bytes[at..end].fill(0);
            format!("bytes {at} to {end} are zero")
        }
        3 if content > 0 => {
            for byte in &mut bytes[at..end] {
                *byte = dice.next() as u8;
            }
            format!("bytes {at} to {end} are others")
        }
        4 => {
            bytes.truncate(at);
            format!("it is cut off at byte {at}")
        }
        5 => {
            let more = 1 + dice.below(300);
            bytes.extend((0..more).map(|_| dice.next() as u8));
            format!("{more} bytes are appended")
        }
        _ => {
            bytes.clear();
            "it is empty".to_owned()
        }
    };
    fs::write(path, bytes).expect("writes");
    how
}

impl Drop for Book {
    fn drop(&mut self) {
        for (name, damages) in &self.when {
            if std::thread::panicking()
                && !self.came.contains_key(name)
                && !self.told.contains(name)
            {
                eprintln!(
                    "--- {name}, submitted before damage {damages}, neither came nor is told"
                );
            }
        }
    }
}

/// What was submitted, and what became of it.
#[derive(Default)]
struct Book {
    sent: HashMap<String, Value>,
    /// After which damage each was submitted.
    when: HashMap<String, usize>,
    came: HashMap<String, u32>,
    /// Messages that some node has said to be affected.
    told: BTreeSet<String>,
    /// How far each node's log has been read.
    heard: HashMap<PathBuf, usize>,
    /// Attachments: the digest and the seed of its bytes.
    attachments: HashMap<String, u64>,
    repeated: usize,
    lost: usize,
    attachments_read: usize,
    attachments_lost: usize,
}

/// The bytes of an attachment: one chunk and more.
fn body(seed: u64) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = vec![0; 70_000 + (seed % 5) as usize * 40_000];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

impl Book {
    fn submit(&mut self, a: &Client, dice: &mut Dice, damages: usize) {
        let seed = dice.next();
        let bytes = body(seed);
        let mut digest = String::new();
        until("an attachment is brought", || {
            let put = a.put("/v1/attachments", &bytes[..], bytes.len() as u64);
            put.is_some_and(|(status, answer)| {
                digest = answer["digest"].as_str().unwrap_or_default().to_owned();
                status == 201
            })
        });
        self.attachments.insert(digest.clone(), seed);
        let events: Vec<Value> = (0..MESSAGES)
            .map(|n| {
                let mut event = json!({
                    "specversion": "1.0", "id": format!("m{}-{n}", dice.next()), "source": "/unit/hebi.a",
                    "type": "case.step", "to": "hebi.b", "data": {"n": n, "text": "案".repeat(dice.below(400))},
                });
                if n == MESSAGES - 1 {
                    event["attachments"] = json!(digest);
                }
                event
            })
            .collect();
        let names = a.submit(&events);
        self.when
            .extend(names.iter().map(|name| (name.clone(), damages)));
        self.sent.extend(names.into_iter().zip(events));
    }

    /// Takes what there is for B's application, and compares it.
    fn fetch(&mut self, b: &Client) {
        while let Some((200, Value::Array(events))) = b.get("/v1/inbox?max=50&wait=0s") {
            if events.is_empty() {
                return;
            }
            let mut names = Vec::new();
            for event in events {
                let name = text(&event["messageid"]);
                let sent = self.sent.get(&name).expect("somebody sent it");
                for part in ["id", "data", "type", "attachments"] {
                    assert_eq!(event.get(part), sent.get(part), "{part} of {name}");
                }
                if let Some(digest) = sent.get("attachments").map(text) {
                    self.read(b, &digest);
                }
                let times = self.came.entry(name.clone()).or_default();
                *times += 1;
                self.repeated += usize::from(*times > 1);
                names.push(name);
            }
            b.post(
                "/v1/inbox/ack",
                "application/json",
                &json!({ "messageids": names }),
            );
        }
    }

    /// An attachment reads as it was brought, or it is told that it cannot be had.
    fn read(&mut self, node: &Client, digest: &str) {
        let answer = node.bytes(&format!("/v1/attachments/{digest}"), None);
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let read = answer.into_body().read_to_end(&mut bytes);
        let expected = body(self.attachments[digest]);
        match (status, read) {
            (200, Ok(_)) => {
                assert!(
                    bytes == expected,
                    "{digest} is served and is not what was brought"
                );
                self.attachments_read += 1;
            }
            // Broken off where the damage is.
            (200, Err(_)) => {
                assert!(expected.starts_with(&bytes), "{digest} is served damaged");
                self.attachments_lost += 1;
            }
            (404, _) => self.attachments_lost += 1,
            other => panic!("{digest}: {other:?}"),
        }
    }

    /// What nodes say of damage: in the status until the next start, and in the log for good. The index, which knows it longer than the
    /// status, may be the next to rot.
    fn listen(&mut self, nodes: &[Node]) {
        for node in nodes {
            let before = self.told.len();
            if let Some((200, status)) = node.client().get("/v1/status") {
                let named = status["damage"]["messages"].as_array();
                self.told.extend(named.into_iter().flatten().map(text));
            }
            let log = node.log();
            let heard = self.heard.entry(node.data()).or_default();
            let whole = log.rfind('\n').map_or(0, |at| at + 1);
            for line in log[*heard..whole].lines() {
                if line.contains(" ERROR ") {
                    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
                    let named = words.filter(|word| self.sent.contains_key(*word));
                    self.told.extend(named.map(str::to_owned));
                }
            }
            *heard = whole;
            if self.told.len() > before {
                let more = self.told.len() - before;
                eprintln!(
                    "    {} says that {more} more are affected",
                    node.data().display()
                );
            }
        }
    }

    /// Whether all that was submitted has come, or is said to be affected.
    fn is_settled(&mut self, nodes: &[Node]) -> bool {
        self.fetch(&nodes[2].client());
        let missing: Vec<String> = self
            .sent
            .keys()
            .filter(|name| !self.came.contains_key(*name) && !self.told.contains(*name))
            .cloned()
            .collect();
        if missing.is_empty() {
            return true;
        }
        self.listen(nodes);
        let a = nodes[0].client();
        // An attachment that its only owner lost can be brought again.
        if let Some((200, status)) = a.get("/v1/status") {
            let lost = status["damage"]["attachments"].as_array();
            for digest in lost.into_iter().flatten().map(text) {
                let bytes = body(self.attachments[&digest]);
                a.put("/v1/attachments", &bytes[..], bytes.len() as u64);
                self.attachments_lost += 1;
            }
        }
        for name in missing {
            let Some((200, view)) = a.get(&format!("/v1/messages/{name}")) else {
                continue;
            };
            if view["state"] == "refused" && view["receivers"][0]["reason"] == "damaged" {
                self.told.insert(name);
                self.lost += 1;
            }
        }
        false
    }
}

/// Starts a node whose identity or configuration is damaged: it may say what is wrong with which file, and must not do anything else.
fn start_or_refuse(node: &mut Node, path: &Path, before: &[u8], how: &str) -> bool {
    if node.try_start() {
        return false;
    }
    let log = node.log();
    let last = log.lines().last().unwrap_or_default();
    let name = path.file_name().expect("a name").to_string_lossy();
    // A configuration that is another unit's now is at odds with the identity's files.
    let is_named = last.contains(&*name) || last.contains("the certificate is that of");
    assert!(
        is_named && last.len() > name.len() + 20,
        "{}: {how}: {last}",
        path.display()
    );
    assert_no_panic(&log);
    fs::write(path, before).expect("writes");
    node.start();
    true
}

/// sled panics on some damage; the index catches that, sets its base aside and goes on with a new one.
fn assert_no_panic(log: &str) {
    let others = log.lines().find(|line| {
        line.contains("panicked at") && !(line.contains("thread 'index'") && line.contains("sled"))
    });
    assert_eq!(others, None, "{log}");
}

#[test]
fn whatever_rots_each_message_comes_as_it_was_or_is_told_to_be_affected() {
    let (damages, seed) = (
        number("CASEGATE_TEST_DAMAGES", DAMAGES as u64) as usize,
        number("CASEGATE_TEST_SEED", 7),
    );
    eprintln!("CASEGATE_TEST_SEED={seed} CASEGATE_TEST_DAMAGES={damages}");
    let mut dice = Dice(seed);
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for node in &mut nodes {
        node.start();
    }
    let mut book = Book::default();
    let mut tally: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let started = Instant::now();
    for n in 1..=damages {
        // Messages lie where somebody is away.
        let away = dice.below(4);
        if away == 1 || away == 2 {
            nodes[away].stop();
        }
        book.submit(&nodes[0].client(), &mut dice, n);
        if away == 2 {
            let hub = nodes[1].client();
            let sent = book.sent.len();
            until("the hub has some of it", || {
                let status = hub.get("/v1/status").map(|(_, status)| status);
                status.is_some_and(|s| sent == 0 || s["queued"]["messages"].as_u64() >= Some(1))
            });
        }
        let victim = dice.below(3);
        if nodes[victim].is_running() {
            nodes[victim].stop();
        }
        let files = files(&nodes[victim]);
        let kinds: Vec<Kind> = files.keys().copied().collect();
        let kind = *dice.pick(&kinds);
        let path = dice.pick(&files[&kind]).clone();
        let before = fs::read(&path).expect("a file");
        let how = damage(&path, &mut dice);
        eprintln!("{n}: {}: {how}", path.display());
        let counted = tally.entry(kind).or_default();
        counted.0 += 1;
        if matches!(kind, Kind::Identity | Kind::Config) {
            counted.1 += usize::from(start_or_refuse(&mut nodes[victim], &path, &before, &how));
            // A configuration may say something else now, and still be one.
            if fs::read(&path).expect("a file") != before {
                nodes[victim].stop();
                fs::write(&path, before).expect("writes");
                nodes[victim].start();
            }
        } else {
            nodes[victim].start();
        }
        for node in &mut nodes {
            if !node.is_running() {
                node.start();
            }
        }
        book.listen(&nodes);
        if n % REST_EVERY == 0 || n == damages {
            until("everything has come or is told to be affected", || {
                book.is_settled(&nodes)
            });
        } else if dice.below(3) > 0 {
            book.fetch(&nodes[2].client());
        }
    }
    for node in &mut nodes {
        node.stop();
        assert_no_panic(&node.log());
    }
    let missing = book.sent.len() - book.came.len();
    eprintln!(
        "{damages} damages in {:?}: {} messages, {missing} of them told to be lost and not come, {} repeated; {} attachments read, {} told to be lost",
        started.elapsed(),
        book.sent.len(),
        book.repeated,
        book.attachments_read,
        book.attachments_lost,
    );
    for (kind, (damaged, refused)) in tally {
        eprintln!("{kind:?}: {damaged} damaged, {refused} starts refused");
    }
}
