//! Two edges and a hub between them.

use std::{
    cell::Cell,
    fmt, fs,
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, OnceLock, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    faults::{draw_line, storm},
    people::{self, Ledger, Letter},
};
use crate::{
    config::{self, Compression, Local, Settings},
    delivery::Bug,
    link::{
        Flaw,
        tests::net::{Fates, Line, Net},
    },
    model::UnitId,
    node::{Node, RunningNode, handle::NodeHandle, tests::paused::Paused},
    pki::{self, Issue},
    sim::disk::SplitMix64,
};

/// How long things break.
const STORM_S: (u64, u64) = (30, 90);
/// Messages of each edge, at most.
const MESSAGES: u64 = 40;
/// Once every line is sound and every node up, an urgent message of each edge must have come to the other within this: on each of two links the longest
/// wait between two dials, or what a session takes to find its path again. In 500 worlds it took 7.9 s at most.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// And everything else within this.
const ALL_WITHIN: Duration = Duration::from_secs(240);
/// How long it is looked at what a world at rest sends, and how much it may: each session one packet and its ack every 1.5 s.
const REST: Duration = Duration::from_secs(60);
const REST_DATAGRAMS_MAX: u64 = 3 * 2 * 60;

const HUB: &str = "hebi.hub";
const EDGES: [&str; 2] = ["hebi.a", "hebi.b"];
const LISTENS: &str = "10.0.0.1:4433";
const SOUND: Line = Line::sound(20, 1_000);

/// A mistake that is planted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Planted {
    Link(Flaw),
    Machine(Bug),
}

/// What happened in worlds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lived {
    pub(super) fates: Fates,
    messages: u64,
    again: u64,
    starts: u64,
    simulated: Duration,
    /// The longest that an urgent message took once all was sound.
    back: Duration,
}

impl Lived {
    pub(super) fn add(&mut self, other: &Self) {
        self.fates.sent += other.fates.sent;
        self.fates.lost += other.fates.lost;
        self.fates.doubled += other.fates.doubled;
        self.fates.flipped += other.fates.flipped;
        self.fates.late += other.fates.late;
        self.messages += other.messages;
        self.again += other.again;
        self.starts += other.starts;
        self.simulated += other.simulated;
        self.back = self.back.max(other.back);
    }
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fates {
            sent,
            lost,
            doubled,
            flipped,
            late,
            ..
        } = self.fates;
        write!(
            f,
            "{} messages, {} handed over once more before their ack, {} starts, {sent} datagrams, of them {lost} lost, {doubled} doubled, {flipped} \
             with bits flipped, {late} late; {:.0} simulated minutes; after the storm an urgent message took {:.1?} at most",
            self.messages,
            self.again,
            self.starts,
            self.simulated.as_secs_f64() / 60.0,
            self.back,
        )
    }
}

/// A node's place in the world.
pub(super) struct Seat {
    pub(super) settings: Settings,
    pub(super) ips: Vec<IpAddr>,
    pub(super) node: tokio::sync::Mutex<Option<RunningNode>>,
    /// How often it has gone, and the node for its application while it is there.
    handle: Mutex<(u64, Option<NodeHandle>)>,
}

impl Seat {
    fn new(settings: Settings, ips: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            ips,
            node: tokio::sync::Mutex::new(None),
            handle: Mutex::default(),
        })
    }

    /// The node, if it is there, and its life.
    pub(super) fn handle(&self) -> (u64, Option<NodeHandle>) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.clone()
    }

    /// From this moment on the node answers its application nothing.
    pub(super) fn leaves(&self) {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.0 += 1;
        handle.1 = None;
    }

    pub(super) async fn start(&self) -> RunningNode {
        let started = Node::start(self.settings.clone()).await;
        let node = match started {
            Ok(node) => node,
            Err(error) => panic!("{} does not start: {error}", self.settings.unit),
        };
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.1 = Some(node.handle().clone());
        STARTS.set(STARTS.get() + 1);
        node
    }

    /// What the disk has at this moment, but for the index, which is derived and written by a thread that time does not wait for.
    pub(super) fn image(&self) -> PathBuf {
        let name = format!("image-of-{}", self.settings.unit);
        let image = self.settings.data_dir.with_file_name(name);
        copy(&self.settings.data_dir, &image);
        image
    }

    /// The disk has that again.
    pub(super) fn put_back(&self, image: &Path) {
        fs::remove_dir_all(&self.settings.data_dir).expect("a data folder");
        fs::rename(image, &self.settings.data_dir).expect("an image of it");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() != "index" {
                copy(&entry.path(), &to);
            }
        } else if let Err(error) = fs::copy(entry.path(), to) {
            // A checkpoint's thread may have removed it just now.
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
    }
}

/// What there is.
pub(super) struct Scene {
    pub(super) net: Net,
    /// The hub first.
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) hub_ip: IpAddr,
}

impl Scene {
    /// An address that an edge dials from, and which edge that is.
    pub(super) fn edge_address(&self, draw: u64) -> (IpAddr, usize) {
        let addresses = self.addresses();
        addresses[(draw % addresses.len() as u64) as usize]
    }

    fn addresses(&self) -> Vec<(IpAddr, usize)> {
        let edges = self.seats.iter().enumerate().skip(1);
        edges
            .flat_map(|(n, seat)| seat.ips.iter().map(move |ip| (*ip, n)))
            .collect()
    }

    fn lines(&self, mut line: impl FnMut() -> Line) {
        for (ip, _) in self.addresses() {
            self.net.set_line(ip, self.hub_ip, line());
            self.net.set_line(self.hub_ip, ip, line());
        }
    }
}

thread_local! {
    static STARTS: Cell<u64> = const { Cell::new(0) };
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the panics of this thread, also of tasks whose end nobody looks at.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    PANICS.set(0);
}

/// Forgets what a world has left on this thread.
pub(super) fn clear() {
    Net::end();
    Flaw::plant(None);
}

/// Identities for all worlds: what takes long and differs in nothing.
fn identities() -> &'static tempfile::TempDir {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = in_memory();
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let now = now.as_millis() as u64;
        let ca = folder.path().join("ca");
        pki::init(&ca, "test", now).expect("a CA");
        for name in EDGES.into_iter().chain([HUB]) {
            let issue = Issue {
                dir: &ca,
                unit: &unit(name),
                out: &folder.path().join(name),
                hosts: &[],
                csr: None,
                days: 30,
            };
            pki::issue(&issue, now).expect("an identity");
        }
        folder
    })
}

/// A folder of its own, in memory where the system has that.
fn in_memory() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    folder.expect("a folder")
}

fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

fn settings(name: &str, folder: &Path) -> Settings {
    let limits = "[limits]\nmessage-kib = 512\nsegment-mib = 1\njournal-mib = 64\ninbox-mib = 64\n";
    let identity = identities().path().join(name);
    Settings::of_test(name, &folder.join(name), &identity, limits)
}

/// The seats of a world, each with the addresses that it has.
fn seats(folder: &Path, dice: &mut SplitMix64) -> Vec<Arc<Seat>> {
    let listens: std::net::SocketAddr = LISTENS.parse().expect("an address");
    let mut hub = settings(HUB, folder);
    hub.listen = Some(config::Listen { address: listens });
    for name in EDGES {
        // What is for a unit that has never connected is refused.
        hub.units.push(config::Unit {
            name: unit(name),
            title: None,
            blocked: false,
            serves: Vec::new(),
        });
    }
    let mut seats = vec![Seat::new(hub, vec![listens.ip()])];
    let kinds = [
        config::LinkKind::Exclusive,
        config::LinkKind::ThreeG,
        config::LinkKind::Lan,
    ];
    for (n, name) in EDGES.into_iter().enumerate() {
        let count = 1 + u8::from(dice.chance(30));
        let ips: Vec<IpAddr> = (0..count)
            .map(|link| IpAddr::from([10, 1 + n as u8, link, 1]))
            .collect();
        let links = ips.iter().enumerate().map(|(link, ip)| config::Link {
            name: format!("link-{link}"),
            kind: kinds[dice.below(kinds.len() as u64) as usize],
            address: LISTENS.parse().expect("an address"),
            local: Local::Address(*ip),
            budget_mib_per_day: None,
            compression: Compression::Isolated,
            cost_s: 2 * link as u32,
            hours: Vec::new(),
        });
        let mut edge = settings(name, folder);
        edge.upstream = Some(config::Upstream {
            hub: unit(HUB),
            links: links.collect(),
        });
        seats.push(Seat::new(edge, ips));
    }
    seats
}

/// Lets a world live: a storm, and the calm after it.
pub(super) async fn live(seed: u64, planted: Option<Planted>) -> Result<Lived, String> {
    count_panics();
    STARTS.set(0);
    let mut dice = SplitMix64(seed ^ 0x7175_6963);
    dice.next_u64();
    let (bug, flaw) = match planted {
        Some(Planted::Machine(bug)) => (Some(bug), None),
        Some(Planted::Link(flaw)) => (None, Some(flaw)),
        None => (None, None),
    };
    let _paused = Paused::begin(dice.next_u64(), bug);
    Flaw::plant(flaw);
    let began = Instant::now();
    let folder = in_memory();
    let net = Net::start(dice.next_u64());
    let seats = seats(folder.path(), &mut dice);
    let hub_ip = seats[0].ips[0];
    let scene = Arc::new(Scene { net, seats, hub_ip });
    scene.lines(|| SOUND);
    for seat in &scene.seats {
        *seat.node.lock().await = Some(seat.start().await);
    }
    let ledger = Arc::new(Ledger::default());
    let mut applications = JoinSet::new();
    let mut clerks = JoinSet::new();
    let lasts = Duration::from_secs(STORM_S.0 + dice.below(STORM_S.1 - STORM_S.0));
    for (n, seat) in scene.seats.iter().enumerate().skip(1) {
        let (taker, ledger_of_taker) = (seat.clone(), ledger.clone());
        applications.spawn(async move { people::take(&taker, &ledger_of_taker).await });
        let (clerk, ledger) = (seat.clone(), ledger.clone());
        let to = scene.seats[3 - n].settings.unit.clone();
        let mut own = SplitMix64(dice.next_u64());
        clerks.spawn(async move {
            let count = 1 + own.below(MESSAGES);
            for number in 1..=count {
                let pause = own.below(2 * lasts.as_millis() as u64 / count);
                sleep(Duration::from_millis(pause)).await;
                let letter = Letter::draw(number, to.clone(), &mut own);
                people::submit(&clerk, &ledger, &letter).await;
            }
        });
    }
    scene.lines(|| draw_line(&mut dice));
    let until = Instant::now() + lasts;
    storm(scene.clone(), SplitMix64(dice.next_u64()), until).await;

    scene.lines(|| SOUND);
    tracing::info!("the storm is over");
    let back = all_is_back(&scene, &ledger).await?;
    let deadline = Instant::now() + ALL_WITHIN;
    while let Some(done) = clerks.join_next().await {
        done.map_err(|error| error.to_string())?;
    }
    loop {
        let (messages, open, _) = ledger.counts();
        if let Some(wrong) = ledger.wrong() {
            return Err(wrong);
        }
        if open == 0 && are_queues_empty(&scene).await {
            break;
        }
        if Instant::now() >= deadline {
            let queues = queues(&scene).await;
            return Err(format!(
                "after {ALL_WITHIN:?} of calm {open} of {messages} messages were not there, and queues had {queues:?}"
            ));
        }
        sleep(Duration::from_millis(500)).await;
    }
    let before = scene.net.fates().sent;
    sleep(REST).await;
    let at_rest = scene.net.fates().sent - before;
    if at_rest > REST_DATAGRAMS_MAX * scene.addresses().len() as u64 {
        return Err(format!("{at_rest} datagrams in {REST:?} at rest"));
    }
    ledger.is_over.store(true, Relaxed);
    while let Some(done) = applications.join_next().await {
        done.map_err(|error| error.to_string())?;
    }
    for seat in &scene.seats {
        seat.leaves();
        if let Some(node) = seat.node.lock().await.take() {
            node.stop().await;
        }
    }
    if let Some(wrong) = ledger.wrong() {
        return Err(wrong);
    }
    if PANICS.get() > 0 {
        return Err(format!("{} panics", PANICS.get()));
    }
    let (messages, _, again) = ledger.counts();
    Ok(Lived {
        fates: scene.net.fates(),
        messages,
        again,
        starts: STARTS.get(),
        simulated: began.elapsed(),
        back,
    })
}

/// An urgent message from each edge to the other; gives how long the longer way took.
async fn all_is_back(scene: &Scene, ledger: &Ledger) -> Result<Duration, String> {
    let began = Instant::now();
    let mut ids = Vec::new();
    for (from, to) in [(1, 2), (2, 1)] {
        let letter = Letter {
            number: 1_000_000,
            to: scene.seats[to].settings.unit.clone(),
            case: None,
            lane: "flash",
            bytes: 100,
        };
        ids.push(people::submit(&scene.seats[from], ledger, &letter).await);
    }
    loop {
        let came: Option<Vec<_>> = ids.iter().map(|id| ledger.came(id)).collect();
        if let Some(came) = came {
            let last = came.into_iter().max().unwrap_or(began);
            return Ok(last.saturating_duration_since(began));
        }
        if let Some(wrong) = ledger.wrong() {
            return Err(wrong);
        }
        if began.elapsed() > BACK_WITHIN {
            let queues = queues(scene).await;
            return Err(format!(
                "an urgent message was not there {BACK_WITHIN:?} after the storm; queues have {queues:?}"
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// What each node has for each neighbour, messages.
async fn queues(scene: &Scene) -> Vec<(UnitId, UnitId, u64)> {
    let mut queues = Vec::new();
    for seat in &scene.seats {
        let (_, Some(handle)) = seat.handle() else {
            continue;
        };
        let seen = handle.shared.look(|machine| machine.neighbours()).await;
        for neighbour in seen.unwrap_or_default() {
            let queued = neighbour.lanes.iter().map(|lane| lane.messages).sum();
            queues.push((seat.settings.unit.clone(), neighbour.unit, queued));
        }
    }
    queues
}

async fn are_queues_empty(scene: &Scene) -> bool {
    queues(scene).await.iter().all(|(.., queued)| *queued == 0)
}
