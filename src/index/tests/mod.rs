//! The index on a real sled, behind a node that is made up.

pub(super) mod disk;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    base::Position,
    entry::STEPS_MAX,
    feed::{EVENTS_MAX, Feed},
    keys::{Key, Stem},
    news::News,
    *,
};
use crate::{
    delivery::{Event, Step},
    model::{Fingerprint, Lane, Outcome, Pattern, Reason, ReceiptItem, State},
    parcel::{BodyForm, Header},
};

const NOW: Millis = 1_800_000_000_000;
const DAY: Millis = 24 * 3600 * 1000;

/// A node that has the parcels that it is told of.
#[derive(Clone, Default)]
struct Node {
    parcels: Arc<Mutex<BTreeMap<Location, Header>>>,
    live: Arc<Mutex<Vec<ParcelView>>>,
    messages_max: Option<u32>,
    lost: Arc<Mutex<Vec<MessageId>>>,
}

impl Source for Node {
    fn header(&self, at: Location) -> Option<Header> {
        let parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        parcels.get(&at).cloned()
    }

    fn parcel(&self, at: Location) -> Option<(Digest, u32)> {
        Some((digest(&self.header(at)?.id), 100))
    }

    fn receipt(&self, _: Location) -> Option<(UnitId, Vec<ReceiptItem>)> {
        None
    }

    fn live(&self, after: Option<u32>) -> Option<(Vec<ParcelView>, Option<u32>)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(0, |n| n as usize + 1);
        let page = live.get(from..from + 1).unwrap_or_default().to_vec();
        let next = (from + 1 < live.len()).then_some(from as u32);
        Some((page, next))
    }

    fn lost(&self, messages: &[Entry]) {
        let lost = messages.iter().map(|entry| entry.message);
        let mut told = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend(lost);
    }

    fn now(&self) -> Millis {
        NOW
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            retention_days: 365,
            messages_max: self.messages_max.unwrap_or(1_000_000),
        }
    }
}

fn digest(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}

fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

fn header(id: &str, accepted: Millis) -> Header {
    Header {
        sender: unit("hebi.tobacco"),
        id: id.into(),
        to: vec!["hebi.police".parse().expect("a pattern")],
        kind: "notice".parse().expect("a kind"),
        case: Some("A-1".into()),
        lane: Lane::Normal,
        accepted,
        expires: accepted + DAY,
        signer: Fingerprint([7; 16]),
        attachments: Vec::new(),
        form: BodyForm::None,
        attributes: Vec::new(),
    }
}

fn message(id: &str) -> MessageId {
    MessageId::of(&unit("hebi.tobacco"), id)
}

impl Node {
    /// The node accepts a message in its `n`th record.
    fn accept(&self, n: u32, accepted: Millis) -> Event {
        let location = Location {
            segment: 1,
            offset: n,
            len: 100,
        };
        let header = header(&n.to_string(), accepted);
        let message = header.message_id();
        let mut parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        parcels.insert(location, header);
        let what = Step::Accepted {
            location,
            parcel: digest(&n.to_string()),
            bytes: 100,
            lane: Lane::Normal,
        };
        Event::Message {
            message,
            at: accepted,
            what,
        }
    }

    fn start(&self, folder: &tempfile::TempDir, recovered: Recovered) -> World {
        let (index, feed) = Index::new();
        self.start_with(folder, index, feed, recovered)
    }

    fn start_with(
        &self,
        folder: &tempfile::TempDir,
        index: Index,
        feed: Feed,
        recovered: Recovered,
    ) -> World {
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            unit: unit("hebi.tobacco"),
        };
        let thread = index.start(settings, recovered, self.clone());
        World {
            thread: thread.expect("a thread"),
            index,
            feed,
        }
    }
}

struct World {
    index: Index,
    feed: Feed,
    thread: IndexThread,
}

impl World {
    fn tell(&mut self, lsn: Lsn, event: &Event) {
        self.feed.take(lsn, event);
        self.feed.release(lsn);
    }

    async fn all(&self) -> Found {
        let search = Search {
            max: 1_000_000,
            ..Search::default()
        };
        self.index.search(search).await.expect("it answers")
    }

    async fn knows(&self, id: u32) -> bool {
        let found = self.index.message(message(&id.to_string())).await;
        found.expect("it answers").is_some()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A journal without a checkpoint, whose records end here.
fn until(last: Lsn) -> Recovered {
    Recovered {
        last,
        ..Recovered::default()
    }
}

#[tokio::test]
async fn nothing_is_known_before_its_record_is_durable() {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    world.tell(1, &node.accept(1, NOW));
    world.feed.take(2, &node.accept(2, NOW));
    world.feed.release(1);
    assert!(world.knows(1).await);
    assert!(!world.knows(2).await);
    world.feed.release(2);
    assert!(world.knows(2).await);
    world.thread.stop();
}

#[tokio::test]
async fn messages_of_one_millisecond_are_in_the_order_in_which_they_were_stored() {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    for n in 1..=300u32 {
        world.tell(n.into(), &node.accept(n, NOW));
    }
    assert!(world.knows(300).await);
    let mut search = Search {
        max: 7,
        case: Some("A-1".into()),
        forward: true,
        ..Search::default()
    };
    let mut ids = Vec::new();
    loop {
        let found = world
            .index
            .search(search.clone())
            .await
            .expect("it answers");
        ids.extend(found.messages.into_iter().map(|entry| entry.id));
        let Some(next) = found.next else { break };
        search.cursor = Cursor::parse(&next.to_string());
    }
    let in_order: Vec<_> = (1..=300).map(|n| n.to_string()).collect();
    assert_eq!(ids, in_order);
    let newest = world.all().await.messages.into_iter().map(|entry| entry.id);
    assert_eq!(newest.rev().collect::<Vec<_>>(), in_order);
    world.thread.stop();
}

#[tokio::test]
async fn a_lane_is_sought_like_anything_else() {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    for n in 1..=5u32 {
        world.tell(n.into(), &node.accept(n, NOW));
    }
    assert!(world.knows(5).await);
    for (lane, found) in [(Lane::Normal, 5), (Lane::Flash, 0)] {
        let search = Search {
            max: 10,
            lane: Some(lane),
            ..Search::default()
        };
        let page = world.index.search(search).await.expect("it answers");
        assert_eq!(page.messages.len(), found, "{lane}");
    }
    world.thread.stop();
}

#[tokio::test]
async fn what_is_replayed_after_a_crash_is_taken_once() {
    let (node, folder) = (Node::default(), folder());
    let events: Vec<_> = (1..=4).map(|n| node.accept(n, NOW)).collect();
    let mut world = node.start(&folder, until(0));
    for (lsn, event) in (1..).zip(&events[..2]) {
        world.tell(lsn, event);
    }
    world.index.flush_through(2, Duration::from_secs(20));
    world.thread.stop();

    let (index, mut feed) = Index::new();
    for (lsn, event) in (1..).zip(&events) {
        feed.take(lsn, event);
    }
    feed.release(4);
    let recovered = Recovered {
        checkpoint: 0,
        last: 4,
        replayed: 4,
        survivors: None,
    };
    let world = node.start_with(&folder, index, feed, recovered);
    let found = world.all().await;
    assert_eq!(found.messages.len(), 4);
    assert_eq!(found.gaps, []);
    assert!(found.messages.iter().all(|entry| entry.timeline.len() == 1));
    assert_eq!(world.index.health().messages, 4);
    world.thread.stop();
}

#[tokio::test]
async fn an_index_that_is_ahead_of_the_journal_tells_what_was_lost_and_one_of_another_version_is_set_aside()
 {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    for n in 1..=5 {
        world.tell(n.into(), &node.accept(n, NOW));
    }
    assert!(world.knows(5).await);
    world.thread.stop();

    // The journal has lost its end, and with it what the node no longer has.
    let mut world = node.start(&folder, until(3));
    let all = world.all().await;
    assert_eq!(all.messages.len(), 5);
    assert!(!all.gaps.is_empty());
    let lost = world.index.health().lost;
    assert_eq!(
        lost.messages,
        (1..=5).map(|n| message(&n.to_string())).collect::<Vec<_>>()
    );
    assert_eq!(*node.lost.lock().expect("no panic"), lost.messages);
    for entry in &all.messages {
        assert_eq!(
            (entry.state(), entry.receivers[0].reason),
            (State::Refused, Reason::Damaged)
        );
    }
    world.tell(4, &node.accept(9, NOW));
    assert!(world.knows(9).await);
    world.thread.stop();

    let base = Base::open(&folder.path().join("index")).expect("a base");
    let later = crate::codec::encode(&99u32);
    let db = base.db();
    db.insert(keys::VERSION, later).expect("written");
    drop(base);
    let world = node.start(&folder, until(4));
    assert!(!world.knows(9).await);
    assert!(folder.path().join("index-damaged-1").exists());
    world.thread.stop();
}

#[tokio::test]
async fn what_a_checkpoint_made_superfluous_is_filled_from_the_node_and_told() {
    let (node, folder) = (Node::default(), folder());
    for n in 1..=3 {
        node.accept(n, NOW);
        let location = Location {
            segment: 1,
            offset: n,
            len: 100,
        };
        let receivers = vec![crate::delivery::ReceiverView {
            target: "hebi.police".parse().expect("a pattern"),
            state: State::Relayed,
            reason: Reason::None,
        }];
        let view = ParcelView {
            message: message(&n.to_string()),
            sender: unit("hebi.tobacco"),
            location,
            received: NOW,
            expires: NOW + DAY,
            lane: Lane::Normal,
            origin: true,
            receivers,
            hops: Vec::new(),
            inbox: None,
        };
        let mut live = node.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.push(view);
    }
    let recovered = Recovered {
        checkpoint: 50,
        last: 50,
        replayed: 0,
        survivors: None,
    };
    let world = node.start(&folder, recovered);
    let shared = world.index.shared.clone();
    let filled = tokio::task::spawn_blocking(move || {
        while shared.health().messages < 3 {
            std::thread::yield_now();
        }
    });
    let filled = tokio::time::timeout(Duration::from_secs(20), filled).await;
    filled.expect("it is filled").expect("no panic");
    let found = world.all().await;
    assert_eq!(found.messages.len(), 3);
    assert!(
        found
            .messages
            .iter()
            .all(|entry| entry.state() == State::Relayed)
    );
    assert_eq!(found.gaps.len(), 1);
    world.thread.stop();

    // It is told from then on, and not once more.
    let world = node.start(&folder, until(50));
    assert_eq!(world.all().await.gaps.len(), 1);
    world.thread.stop();
}

#[tokio::test]
async fn more_events_than_may_wait_are_a_gap_that_is_told_and_the_rest_goes_on() {
    let (node, folder) = (Node::default(), folder());
    let (index, mut feed) = Index::new();
    feed.take(1, &node.accept(1, NOW));
    let released = Event::Message {
        message: message("1"),
        at: NOW,
        what: Step::Released,
    };
    for _ in 0..EVENTS_MAX {
        feed.take(2, &released);
    }
    feed.release(2);
    assert_eq!(index.waiting(), EVENTS_MAX);
    let mut world = node.start_with(&folder, index, feed, until(0));
    assert!(world.knows(1).await);
    world.feed.release(3);
    world.tell(4, &node.accept(4, NOW));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !world.knows(4).await {
        assert!(std::time::Instant::now() < deadline, "it never caught up");
    }
    assert_eq!(world.all().await.gaps.len(), 1);
    world.thread.stop();
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_forgotten_under_all_its_names() {
    let (mut node, folder) = (Node::default(), folder());
    node.messages_max = Some(100);
    let mut world = node.start(&folder, until(0));
    let old = node.accept(1, NOW - 366 * DAY);
    world.tell(1, &old);
    for n in 2..=400u32 {
        world.tell(n.into(), &node.accept(n, NOW + Millis::from(n)));
    }
    assert!(world.knows(400).await);
    world.thread.stop();

    let world = node.start(&folder, until(400));
    let of_case = Search {
        max: 1000,
        case: Some("A-1".into()),
        forward: true,
        ..Search::default()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    // What it tells of itself comes a moment later.
    while world.all().await.messages.len() > 100 || world.index.health().messages != 100 {
        assert!(std::time::Instant::now() < deadline, "it forgets nothing");
    }
    let left = world.index.search(of_case).await.expect("it answers");
    let first = left.messages.first().expect("the newest stay");
    assert_eq!(left.messages.len(), 100);
    assert_eq!(first.id, "301");
    assert!(!world.knows(1).await);
    assert!(!world.knows(300).await);
    let health = world.index.health();
    assert_eq!(health.messages, 100);
    world.thread.stop();
    assert!(!folder.path().join("index-damaged-1").exists());
}

#[tokio::test]
async fn a_question_about_a_damaged_entry_is_answered_once_the_index_is_rebuilt() {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    world.tell(1, &node.accept(1, NOW));
    assert!(world.knows(1).await);
    let base = world.index.shared.base().expect("it is open");
    let known = base.message(&message("1")).expect("it reads");
    let (key, _) = known.expect("it is there");
    let no_entry = vec![(key, Some(b"no entry".to_vec()))];
    let position = base.position().expect("it reads");
    base.write(&position, no_entry, Vec::new())
        .expect("written");
    drop(base);
    let asked = world.index.message(message("1")).await;
    assert_eq!(asked, Err(Unavailable::Opening));
    world.tell(2, &node.accept(2, NOW));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while world.index.health().rebuilt == 0 || !world.index.health().open {
        assert!(std::time::Instant::now() < deadline, "it is not rebuilt");
        std::thread::yield_now();
    }
    world.tell(3, &node.accept(3, NOW));
    assert!(world.knows(3).await);
    assert_eq!(world.all().await.gaps.len(), 1);
    world.thread.stop();
    assert!(fs::exists(folder.path().join("index-damaged-1")).expect("a folder"));
}

#[test]
fn a_timeline_is_bounded_and_leaves_out_attempts_before_anything_else() {
    let me = unit("hebi.tobacco");
    let hub = unit("hebi.hub");
    let mut entry = Entry::new(header("1", NOW), digest("1"), 100);
    for n in 0..1000 {
        let step = Step::Sent {
            neighbour: hub.clone(),
            link: "3g".into(),
        };
        entry.step(&me, NOW + n, &step, &News::default());
    }
    assert_eq!(entry.timeline.len(), STEPS_MAX);
    let item = ReceiptItem {
        parcel: digest("1"),
        receiver: Pattern::from(&hub),
        outcome: Outcome::Read,
        reason: Reason::None,
        at: NOW + 2000,
        note: String::new(),
    };
    entry.receipt(&item, &hub, &News::default());
    assert_eq!(entry.timeline.len(), STEPS_MAX);
    assert_eq!(entry.left_out as usize, 1000 - STEPS_MAX + 1);
    let last = entry.timeline.last().expect("a step");
    assert!(matches!(last.what, What::Receipt { .. }));
    assert_eq!(entry.state(), State::Read);
}

#[test]
fn what_is_delivered_stays_so_whatever_comes_late() {
    let me = unit("hebi.hub");
    let hub = unit("hebi.police");
    let target: Pattern = "hebi.police".parse().expect("a pattern");
    let mut entry = Entry::new(header("1", NOW), digest("1"), 100);
    let queued = Step::Queued {
        neighbour: hub.clone(),
        receivers: vec![target.clone()],
    };
    let acked = Step::Acked {
        neighbour: hub.clone(),
    };
    let item = |outcome| ReceiptItem {
        parcel: digest("1"),
        receiver: target.clone(),
        outcome,
        reason: Reason::None,
        at: NOW,
        note: String::new(),
    };
    entry.step(&me, NOW, &queued, &News::default());
    entry.receipt(&item(Outcome::Delivered), &hub, &News::default());
    for late in [&queued, &acked, &Step::Held] {
        entry.step(&me, NOW + 1, late, &News::default());
        assert_eq!(entry.state(), State::Delivered, "{late:?}");
    }
    entry.receipt(&item(Outcome::Expired), &hub, &News::default());
    assert_eq!(entry.state(), State::Delivered);
    entry.receipt(&item(Outcome::Read), &hub, &News::default());
    assert_eq!(entry.state(), State::Read);
}

#[tokio::test]
async fn damage_anywhere_is_noticed_or_does_no_harm() {
    let (node, whole) = (Node::default(), folder());
    let mut world = node.start(&whole, until(0));
    for n in 1..=300u32 {
        world.tell(n.into(), &node.accept(n, NOW + Millis::from(n)));
    }
    assert!(world.knows(300).await);
    world.thread.stop();
    let db = fs::read(whole.path().join("index/db")).expect("it is there");
    for seed in 0..24usize {
        let folder = folder();
        let index = folder.path().join("index");
        fs::create_dir(&index).expect("a folder");
        for file in fs::read_dir(whole.path().join("index")).expect("files") {
            let file = file.expect("a file").path();
            if file.is_file() {
                let name = file.file_name().expect("a name");
                fs::copy(&file, index.join(name)).expect("copied");
            }
        }
        let mut bytes = db.clone();
        match seed % 4 {
            0 => bytes.truncate(seed * 9973 % db.len()),
            1 => bytes[seed * 7919 % db.len()] ^= 0x55,
            2 => bytes
                .iter_mut()
                .skip(seed)
                .step_by(97)
                .for_each(|b| *b ^= 0x55),
            _ if seed == 3 => {}
            _ => bytes
                .iter_mut()
                .skip(seed * 31)
                .step_by(4096 + seed)
                .for_each(|b| *b = 0),
        }
        let is_whole = bytes == db;
        fs::write(index.join("db"), bytes).expect("written");
        let recovered = Recovered {
            checkpoint: 300,
            last: 300,
            replayed: 0,
            survivors: None,
        };
        let mut world = node.start(&folder, recovered);
        let found = world.all().await;
        let is_complete = found.messages.len() == 300;
        assert!(is_complete || !found.gaps.is_empty(), "seed {seed}");
        assert!(is_complete || !is_whole, "seed {seed}");
        world.tell(301, &node.accept(301, NOW + 301));
        assert!(world.knows(301).await, "seed {seed}");
        world.thread.stop();
    }
}

#[test]
fn names_are_found_before_and_after_they_are_put_into_pages() {
    let folder = folder();
    let place = folder.path().join("index");
    let base = Base::open(&place).expect("a base");
    let stem = |n: u64| Stem::case(&(n % 1000).to_string());
    let key = |n: u64| Key::since(n);
    let write = |base: &Base, numbers: std::ops::Range<u64>, is_there: bool| {
        let names = numbers.map(|n| (stem(n).of(&key(n)), is_there));
        base.write(&Position::default(), Vec::new(), names.collect())
            .expect("written");
    };
    let check = |base: &Base, there: std::ops::Range<u64>| {
        for n in [0, 1, 500, 999] {
            let of_case: Vec<_> = there.clone().filter(|m| m % 1000 == n).map(key).collect();
            let keys = |forward, max| {
                base.keys(stem(n), Key::FIRST, Key::LAST, forward, max)
                    .expect("it reads")
            };
            assert_eq!(keys(true, usize::MAX), of_case);
            assert_eq!(keys(true, 7), of_case[..of_case.len().min(7)]);
            let newest: Vec<_> = of_case.into_iter().rev().take(7).collect();
            assert_eq!(keys(false, 7), newest);
        }
    };
    let most = names::NAMES_MAX as u64;
    write(&base, 0..most / 2, true);
    check(&base, 0..most / 2);
    write(&base, most / 2..most, true);
    check(&base, 0..most);
    write(&base, most..most + 10_000, true);
    write(&base, 0..20_000, false);
    check(&base, 20_000..most + 10_000);
    base.flush().expect("flushed");
    drop(base);

    let base = Base::open(&place).expect("a base");
    check(&base, 20_000..most + 10_000);
    write(&base, 20_000..most + 10_000, false);
    check(&base, 0..0);
    drop(base);
    let base = Base::open(&place).expect("a base");
    check(&base, 0..0);
}
