//! What is found of an audit log that somebody has changed.

use super::*;
use crate::pki::lab::Lab;

const AT: Millis = 1_795_000_000_123;
const UNIT: &str = "hebi.xunxian.tobacco";

fn entry(subject: &str) -> Entry<'_> {
    Entry {
        actor: "operator",
        action: "drop",
        subject,
        reason: "发错了 \"sent in error\"",
    }
}

fn seal(lab: &Lab) -> Seal {
    let identity = lab.identity(UNIT);
    Seal {
        signer: identity.signer().clone(),
        certificate: identity.signing_certificate().to_vec(),
    }
}

/// A log in a folder of its own, begun as a node does it.
struct World {
    lab: Lab,
    seal: Seal,
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let lab = Lab::new();
        Self {
            seal: seal(&lab),
            lab,
            path: dir.path().join(Audit::FILE),
            _dir: dir,
        }
    }

    /// As at a node's start.
    fn open(&self) -> (Audit, Option<String>) {
        let audit = Audit::open(&self.path).expect("opens");
        let lost = audit.sign_with(AT, self.seal.clone()).expect("signs");
        (audit, lost)
    }

    /// One start, with these entries between certificate, checkpoint and the checkpoint at the stop.
    fn with(subjects: &[&str]) -> Self {
        let world = Self::new();
        let (audit, lost) = world.open();
        assert_eq!(lost, None);
        for subject in subjects {
            audit.record(AT, entry(subject)).expect("records");
        }
        audit.checkpoint(AT).expect("signs");
        world
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("reads")
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).expect("writes");
    }

    fn verify(&self) -> Result<Verified, AuditError> {
        against(&self.path, &self.lab)
    }

    /// The line that is found to be wrong, and what is said of it.
    fn broken(&self) -> (u64, String) {
        match self.verify() {
            Err(AuditError::Broken { line, problem, .. }) => (line, problem),
            other => panic!("{other:?}"),
        }
    }
}

fn against(path: &Path, lab: &Lab) -> Result<Verified, AuditError> {
    let roots = Some(&lab.roots());
    Audit::verify(path, Against { roots, last: None })
}

/// Writes a chain anew, as somebody without a key can.
fn chained(lines: &[String]) -> String {
    let mut prev = blake3::Hash::from_bytes([0; 32]);
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let mut line: Line = serde_json::from_str(line).expect("a line");
        line.prev = prev.to_hex().to_string();
        line.line = at as u64 + 1;
        let line = serde_json::to_string(&line).expect("JSON");
        prev = blake3::hash(line.as_bytes());
        text += &line;
        text.push('\n');
    }
    text
}

#[test]
fn entries_are_chained_signed_and_kept_from_others() {
    let world = World::with(&["one", "two", "three"]);
    let text = world.text();
    assert!(
        text.starts_with(
            r#"{"line":1,"time":"2026-11-18T11:06:40.123Z","actor":"casegate","action":"certificate","subject":""#
        ),
        "{text}"
    );
    let verified = world.verify().expect("verifies");
    assert_eq!((verified.entries, verified.torn.len()), (6, 0));
    assert_eq!(verified.signed, 6);
    let (unit, fingerprint) = verified.signer.expect("a signer");
    assert_eq!(unit.as_str(), UNIT);
    assert_eq!(fingerprint, world.seal.signer.certificate());
    let last = text.lines().last().expect("a line");
    assert_eq!(
        verified.last,
        blake3::hash(last.as_bytes()).to_hex().as_str()
    );
    let mode = fs::metadata(&world.path)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // It goes on after a restart, and with another CA it does not count.
    let (audit, lost) = world.open();
    assert_eq!(lost, None);
    audit.record(AT, entry("four")).expect("records");
    assert_eq!(world.verify().expect("verifies").signed, 8);
    // After the node's certificate was renewed, too.
    audit
        .sign_with(AT, seal(&world.lab))
        .expect("signs with another key");
    assert_eq!(world.verify().expect("verifies").signed, 11);
    against(&world.path, &Lab::new()).expect_err("another CA");
}

#[test]
fn a_checkpoint_comes_after_so_many_entries_by_itself() {
    let world = World::new();
    let (audit, _) = world.open();
    for number in 0..2 * Audit::UNSIGNED_MAX + 3 {
        let subject = number.to_string();
        audit.record(AT, entry(&subject)).expect("records");
    }
    let verified = world.verify().expect("verifies");
    assert_eq!(verified.signed, 2 + 2 * (Audit::UNSIGNED_MAX + 1));
    assert_eq!(verified.entries - verified.signed, 3);
}

#[test]
fn the_first_line_that_was_changed_removed_or_moved_is_named() {
    let world = World::with(&["one", "two", "three"]);
    let text = world.text();
    let lines: Vec<&str> = text.lines().collect();
    let without = |gone: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != gone);
        kept.map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let cases = [
        (text.replace("\"two\"", "\"2\""), 4, "was changed"),
        // The last before a checkpoint, which vouches for it.
        (text.replace("\"three\"", "\"3\""), 5, "was changed"),
        (text.replacen("\"actor\"", "\"who\"", 1), 1, "not an entry"),
        (without(3), 4, "is not here"),
        (without(0), 1, "is not here"),
        (swapped.join("\n") + "\n", 4, "is not here"),
        (format!("{text}{}\n", lines[2]), 7, "out of its place"),
        // Cut, with the head beside it, and in the middle of a line.
        (without(5), 6, "is cut off"),
        (lines[..2].join("\n") + "\n", 3, "is cut off"),
        (text[..text.len() - 30].to_owned(), 3, "are not those"),
    ];
    for (text, at, what) in cases {
        world.write(&text);
        let (line, problem) = world.broken();
        assert!(
            problem.contains(what) && line == at,
            "{at} {what}: {line} {problem}"
        );
    }
}

#[test]
fn whoever_lacks_the_key_cannot_write_the_chain_anew() {
    let world = World::with(&["one", "two", "three"]);
    let text = world.text().replace("\"two\"", "\"2\"");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    fs::remove_file(world.path.with_file_name(Audit::HEAD)).expect("removed");
    world.write(&chained(&lines));
    let (line, problem) = world.broken();
    assert_eq!(line, 3, "{problem}");
    assert!(problem.contains("written anew"), "{problem}");

    // With checkpoints left out, it is not signed where it should be.
    let mut plain: Vec<String> = lines
        .iter()
        .filter(|line| !line.contains("\"checkpoint\""))
        .cloned()
        .collect();
    let last = plain.last().cloned().expect("a line");
    plain.extend(vec![last; Audit::UNSIGNED_MAX as usize]);
    world.write(&chained(&plain));
    assert!(world.broken().1.contains("should be signed"));

    // And a head that is not the node's does not help who has cut it.
    let world = World::with(&["one", "two", "three"]);
    let text = world.text();
    let cut: Vec<&str> = text.lines().take(4).collect();
    world.write(&(cut.join("\n") + "\n"));
    let head = Head {
        lines: 4,
        last: blake3::hash(cut[3].as_bytes()).to_hex().to_string(),
        signature: "00".repeat(64),
    };
    let path = world.path.with_file_name(Audit::HEAD);
    fs::write(path, serde_json::to_vec(&head).expect("JSON")).expect("writes");
    assert!(world.broken().1.contains("not the node's"));
}

#[test]
fn a_log_that_was_cut_or_lost_its_head_is_told_of_at_the_next_start() {
    let world = World::with(&["one", "two", "three"]);
    let text = world.text();
    let cut: Vec<&str> = text.lines().take(4).collect();
    world.write(&(cut.join("\n") + "\n"));
    let (_, lost) = world.open();
    assert!(lost.expect("told").contains("is cut off"));
    assert!(
        world
            .text()
            .contains(r#""action":"damage","subject":"audit.log""#)
    );
    assert_eq!(world.open().1, None);
    world.verify().expect("goes on");

    // Whoever has kept a digest finds it without a head, too.
    let last = blake3::hash(text.lines().last().expect("a line").as_bytes()).to_hex();
    let last = Some(last.as_str());
    let against = Against { roots: None, last };
    let copy = world.path.with_file_name("copy.jsonl");
    fs::write(&copy, &text).expect("writes");
    Audit::verify(&copy, against).expect("the line is there");
    fs::write(&copy, cut.join("\n") + "\n").expect("writes");
    Audit::verify(&copy, against).expect_err("the line is gone");

    fs::remove_file(world.path.with_file_name(Audit::HEAD)).expect("removed");
    assert!(world.open().1.expect("told").contains("is gone"));
    let changed = world.text().replace("\"one\"", "\"1\"");
    world.write(&changed);
    assert!(world.open().1.expect("told").contains("line 3 was changed"));
}

#[test]
fn a_log_without_numbers_goes_on_with_numbers_and_signatures() {
    let world = World::new();
    let mut old = String::new();
    let mut prev = blake3::Hash::from_bytes([0; 32]);
    for subject in ["one", "two"] {
        let line = Line::new(0, AT, entry(subject), &prev).expect("a line");
        let line = serde_json::to_string(&line).expect("JSON");
        assert!(!line.contains("\"line\""));
        prev = blake3::hash(line.as_bytes());
        old += &format!("{line}\n");
    }
    world.write(&old);
    assert_eq!(world.open().1, None);
    let verified = world.verify().expect("verifies");
    assert_eq!((verified.entries, verified.signed), (4, 4));
    world.write(&world.text().replace("\"one\"", "\"1\""));
    assert_eq!(world.broken().0, 1);
}

#[test]
fn a_line_that_a_crash_cut_short_stays_and_the_chain_goes_on() {
    let world = World::new();
    let (audit, _) = world.open();
    audit.record(AT, entry("one")).expect("records");
    let text = fs::read(&world.path).expect("reads");
    let third = text.len() - 40;
    let mut left = text[..third].to_vec();
    left.extend([0; 16]);
    fs::write(&world.path, &left).expect("writes");
    let (audit, lost) = world.open();
    assert_eq!(lost, None);
    audit.record(AT, entry("two")).expect("records");
    let verified = world.verify().expect("verifies");
    assert_eq!((verified.entries, verified.torn), (5, vec![3]));
    let now = fs::read(&world.path).expect("reads");
    assert!(now.starts_with(&text[..third]));
}

#[test]
fn an_overlong_part_is_refused_and_nothing_is_written() {
    let world = World::with(&["one"]);
    let before = world.text();
    let audit = Audit::open(&world.path).expect("opens");
    let long = "x".repeat(Audit::PART_BYTES_MAX + 1);
    let refused = audit.record(AT, entry(&long));
    assert!(matches!(
        refused,
        Err(AuditError::TooLong {
            part: "subject",
            bytes: 1025
        })
    ));
    assert_eq!(world.text(), before);
}

#[test]
fn an_export_verifies_by_itself_and_a_search_finds_the_newest_first() {
    let world = World::with(&["one", "two"]);
    let audit = Audit::open(&world.path).expect("opens");
    audit.sign_with(AT, seal(&world.lab)).expect("signs");
    for number in 0..3000 {
        let subject = format!("{number}-{}", "很长的主题".repeat(20));
        let other = Entry {
            actor: "li.wei",
            ..entry(&subject)
        };
        audit.record(AT + 1000, other).expect("records");
    }
    let (mut file, bytes) = audit.export(AT + 1000).expect("exports");
    let copy = world.path.with_file_name("copy.jsonl");
    let mut text = Vec::new();
    file.read_to_end(&mut text).expect("reads");
    assert_eq!(text.len() as u64, bytes);
    fs::write(&copy, &text).expect("writes");
    let verified = against(&copy, &world.lab).expect("verifies");
    assert_eq!(verified.signed, verified.entries);

    let all = |ask: &AuditAsk| {
        let mut ask = ask.clone();
        let mut found = Vec::new();
        loop {
            let page = audit.search(&ask).expect("finds");
            assert!(page.entries.len() <= ask.max);
            found.extend(page.entries);
            match page.next {
                Some(next) => ask.before = Some(next),
                None => return found,
            }
        }
    };
    let mut ask = AuditAsk {
        actor: Some("li.wei".into()),
        max: 700,
        ..AuditAsk::default()
    };
    let found = all(&ask);
    assert_eq!(found.len(), 3000);
    assert!(found[0].subject.starts_with("2999-") && found[2999].subject.starts_with("0-"));
    assert!(found.is_sorted_by(|a, b| a.line > b.line));
    ask.actor = None;
    ask.action = Some("drop".into());
    assert_eq!(all(&ask).len(), 3002);
    ask.since = Some(AT + 1000);
    assert_eq!(all(&ask).len(), 3000);
    ask.since = Some(AT);
    assert_eq!(all(&ask).len(), 3002);
}

#[test]
fn whatever_rots_the_log_is_opened_and_gone_on_with_and_says_so() {
    let world = World::with(&["a", "b"]);
    fs::write(world.path.with_file_name(Audit::HEAD), b"{\xff").expect("writes");
    let (audit, lost) = world.open();
    assert!(lost.is_some_and(|lost| lost.contains("does not read")));
    drop(audit);
    let (_, lost) = world.open();
    assert_eq!(lost, None, "there is a new head");

    let long = "x".repeat(Audit::LINE_BYTES_MAX as usize + 10);
    world.write(&format!("{}{long}\n", world.text()));
    let (audit, lost) = world.open();
    assert!(lost.is_some_and(|lost| lost.contains("too long")));
    audit.record(AT, entry("c")).expect("records");
}
