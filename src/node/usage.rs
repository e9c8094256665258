//! On what terms this node's links are used: what they have carried today against their budgets, the time of the day, and what they cost.
//!
//! What a link has carried is counted at its sockets, so that nothing that is paid for is left out. The day's sum is kept in a file of its own, which
//! is written every few seconds while it changes: a node that is killed forgets at most that.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{awake::Patience, shared::Shared};
use crate::{
    config,
    delivery::{LinkTerms, Takes},
    language::{Language, Notices},
    link::WireCount,
    model::Millis,
};

/// The file in the data folder.
const FILE: &str = Usage::FILE;
/// Largest file that is read, bytes; what this node writes is far smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Names of links that a day's sum is kept of: those that were taken out of the configuration too, for they may come back.
const NAMES_MAX: usize = 64;
/// How often the sums and the clock are looked at: what a link may carry beyond its budget is what it carries in this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The file is written after so many looks that saw something.
const LOOKS_PER_SAVE: u32 = 5;

/// What all links are used for.
#[derive(Debug)]
pub(super) struct Usage {
    file: PathBuf,
    zone: TimeZone,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    today: Today,
    links: BTreeMap<String, Used>,
    /// Looks that saw something since the file was written.
    unsaved: u32,
}

/// A day's sums, and what was learned of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Today {
    date: Date,
    /// By link, what it carried both ways, bytes.
    bytes: BTreeMap<String, u64>,
    /// By link, how much silence it bears.
    #[serde(default)]
    patience: BTreeMap<String, Patience>,
}

#[derive(Debug)]
struct Used {
    link: config::Link,
    wire: Arc<WireCount>,
    /// What of the wire's count is in the day's sum.
    counted: u64,
    terms: watch::Sender<LinkTerms>,
    patience: Arc<Mutex<Patience>>,
}

/// What a link's task and its sessions have of it.
#[derive(Clone, Debug)]
pub(super) struct LinkUse {
    /// What its sockets carry.
    pub(super) wire: Arc<WireCount>,
    /// On what terms it is used now.
    pub(super) terms: watch::Receiver<LinkTerms>,
    /// How much silence it bears.
    pub(super) patience: Arc<Mutex<Patience>>,
}

/// A link's use, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UseView {
    /// Bytes that its sockets have sent and received since the node started.
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    /// What it may carry a day, bytes.
    pub(super) budget_bytes: Option<u64>,
    /// What it has carried today, bytes.
    pub(super) today_bytes: u64,
    /// What it costs, seconds.
    pub(super) cost_s: u32,
    /// Why only flash and urgent messages go over it.
    pub(super) express_only: Option<Restricted>,
}

/// Why only flash and urgent messages go over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restricted {
    /// Its budget for today is spent.
    Spent,
    /// It is outside its hours.
    Closed,
}

impl Restricted {
    /// It in words.
    pub(super) fn told(self, language: Language) -> &'static str {
        let notices = Notices::of(language);
        match self {
            Self::Spent => notices.budget_spent,
            Self::Closed => notices.outside_hours,
        }
    }
}

impl Usage {
    /// The file's name, in the data folder.
    pub(super) const FILE: &str = "links.json";

    /// What is known in a data folder of the day that `wall` belongs to.
    pub(super) fn load(data_dir: &Path, wall: Millis, zone: TimeZone) -> Self {
        let file = data_dir.join(FILE);
        let (date, _) = local(wall, &zone);
        let today = match read(&file) {
            Ok(Some(today)) if today.date >= date => today,
            Ok(before) => Today {
                date,
                bytes: BTreeMap::new(),
                patience: before.map(|before| before.patience).unwrap_or_default(),
            },
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what the links carried today is not known; it is counted from now on");
                Today {
                    date,
                    bytes: BTreeMap::new(),
                    patience: BTreeMap::new(),
                }
            }
        };
        Self {
            file,
            zone,
            state: Mutex::new(State {
                today,
                links: BTreeMap::new(),
                unsaved: 0,
            }),
        }
    }

    /// Takes a link into use, or one of the same name on new terms.
    pub(super) fn link(&self, link: &config::Link, wall: Millis) -> LinkUse {
        let (_, minute) = local(wall, &self.zone);
        let mut state = self.lock();
        let so_far = state.today.bytes.get(&link.name).copied();
        let patience = state.today.patience.get(&link.name).copied();
        let used = state
            .links
            .entry(link.name.clone())
            .or_insert_with(|| Used {
                link: link.clone(),
                wire: Arc::default(),
                counted: 0,
                terms: watch::Sender::new(terms(link, None)),
                patience: Arc::new(Mutex::new(patience.unwrap_or_default())),
            });
        used.link = link.clone();
        let so_far = so_far.unwrap_or_default();
        used.put_in_force(express_only(link, so_far, minute));
        LinkUse {
            wire: used.wire.clone(),
            terms: used.terms.subscribe(),
            patience: used.patience.clone(),
        }
    }

    /// Keeps these links and no others, on the terms that they have now.
    pub(super) fn follow(&self, links: &[config::Link]) {
        let mut state = self.lock();
        state
            .links
            .retain(|name, _| links.iter().any(|link| link.name == *name));
        for link in links {
            if let Some(used) = state.links.get_mut(&link.name) {
                used.link = link.clone();
            }
        }
    }

    /// Counts, and puts in force what follows from it. Gives what is to be written, when it is time.
    fn look(&self, wall: Millis, save_now: bool) -> Option<String> {
        let (date, minute) = local(wall, &self.zone);
        let mut state = self.lock();
        let State {
            today,
            links,
            unsaved,
        } = &mut *state;
        if date > today.date {
            today.date = date;
            today.bytes.clear();
            *unsaved += 1;
        }
        let mut has_counted = false;
        for (name, used) in links {
            let total = used.wire.sent_bytes() + used.wire.received_bytes();
            let more = total.saturating_sub(used.counted);
            used.counted = total;
            if more > 0 && (today.bytes.contains_key(name) || today.bytes.len() < NAMES_MAX) {
                *today.bytes.entry(name.clone()).or_default() += more;
                has_counted = true;
            }
            let patience = *used.patience.lock().unwrap_or_else(PoisonError::into_inner);
            let known = today.patience.get(name).copied().unwrap_or_default();
            if patience != known
                && (today.patience.contains_key(name) || today.patience.len() < NAMES_MAX)
            {
                today.patience.insert(name.clone(), patience);
                has_counted = true;
            }
            let so_far = today.bytes.get(name).copied().unwrap_or_default();
            used.put_in_force(express_only(&used.link, so_far, minute));
        }
        *unsaved += u32::from(has_counted);
        let is_due = *unsaved >= LOOKS_PER_SAVE || (save_now && *unsaved > 0);
        is_due.then(|| {
            *unsaved = 0;
            // A map with texts for keys, and a date, can be written.
            serde_json::to_string(today).unwrap_or_default()
        })
    }

    /// How a link is used, if this node dials it.
    pub(super) fn view(&self, name: &str) -> Option<UseView> {
        let state = self.lock();
        let used = state.links.get(name)?;
        let today_bytes = state.today.bytes.get(name).copied().unwrap_or_default();
        let budget_bytes = budget_bytes(&used.link);
        let is_spent = budget_bytes.is_some_and(|budget| today_bytes >= budget);
        let is_express = used.terms.borrow().takes == Takes::Express;
        Some(UseView {
            sent_bytes: used.wire.sent_bytes(),
            received_bytes: used.wire.received_bytes(),
            budget_bytes,
            today_bytes,
            cost_s: used.link.cost_s,
            express_only: is_express.then_some(match is_spent {
                true => Restricted::Spent,
                false => Restricted::Closed,
            }),
        })
    }

    /// The links of which only a part is used, and why.
    pub(super) fn express_only(&self) -> Vec<(String, Restricted)> {
        let names: Vec<String> = self.lock().links.keys().cloned().collect();
        let views = names
            .into_iter()
            .filter_map(|name| Some((self.view(&name)?.express_only?, name)));
        views.map(|(why, name)| (name, why)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn put_in_force(&self, express_only: Option<Restricted>) {
        let terms = terms(&self.link, express_only);
        let before = *self.terms.borrow();
        if before == terms {
            return;
        }
        let link = &self.link.name;
        match (before.takes, express_only) {
            (Takes::All, Some(why)) => {
                let why = why.told(Language::English);
                tracing::warn!(link, why, "only flash and urgent messages go over a link");
            }
            (Takes::Express, None) => tracing::info!(link, "everything goes over a link again"),
            _ => {}
        }
        self.terms.send_replace(terms);
    }
}

/// Looks after the links' use until `leave` becomes true.
pub(super) async fn keep(shared: Arc<Shared>, mut leave: watch::Receiver<bool>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stops = tokio::select! {
            _ = leave.wait_for(|leave| *leave) => true,
            _ = ticks.tick() => false,
        };
        // What the links carried long ago is of no more use to compress against.
        shared.generations().tidy(shared.clock.mono());
        if let Some(content) = shared.usage.look(shared.clock.wall(), stops) {
            let file = shared.usage.file.clone();
            let written = tokio::task::spawn_blocking(move || write(&file, &content)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(file = %shared.usage.file.display(), %error, "what the links carried today cannot be kept");
            }
        }
        if stops {
            return;
        }
    }
}

/// The day and the minute of the day, by the machine's own time zone.
fn local(wall: Millis, zone: &TimeZone) -> (Date, u16) {
    let at = i64::try_from(wall)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX);
    let at = zone.to_datetime(at);
    let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute()));
    (at.date(), minute.unwrap_or_default())
}

fn budget_bytes(link: &config::Link) -> Option<u64> {
    link.budget_mib_per_day.map(|mib| u64::from(mib) << 20)
}

/// Why only flash and urgent messages go over a link that has carried so much today.
fn express_only(link: &config::Link, today_bytes: u64, minute: u16) -> Option<Restricted> {
    if budget_bytes(link).is_some_and(|budget| today_bytes >= budget) {
        return Some(Restricted::Spent);
    }
    let is_open = link.hours.is_empty() || link.hours.iter().any(|hours| hours.covers(minute));
    (!is_open).then_some(Restricted::Closed)
}

fn terms(link: &config::Link, express_only: Option<Restricted>) -> LinkTerms {
    LinkTerms {
        cost_ms: link.cost_s * 1000,
        takes: match express_only {
            Some(_) => Takes::Express,
            None => Takes::All,
        },
    }
}

fn read(file: &Path) -> io::Result<Option<Today>> {
    let opened = match std::fs::File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let bytes = io::Read::take(opened, FILE_BYTES_MAX);
    let today: Today = serde_json::from_reader(bytes)?;
    if today.bytes.len().max(today.patience.len()) > NAMES_MAX {
        return Err(io::Error::other("it has more links than there can be"));
    }
    Ok(Some(today))
}

/// Writes beside the file and renames, so that it is never half written. It is not synced: a power cut may cost the last half minute.
fn write(file: &Path, content: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(content.as_bytes())?;
    drop(new);
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * 3600 * 1000;
    /// 2026-11-24, midnight in UTC.
    const MIDNIGHT: Millis = 1_795_478_400_000;

    fn link(budget_mib: Option<u32>, hours: &[&str]) -> config::Link {
        let hours = hours.iter().map(|text| text.parse().expect("hours"));
        config::Link {
            name: "3g".into(),
            kind: config::LinkKind::ThreeG,
            address: "192.0.2.1:4433".parse().expect("an address"),
            local: config::Local::Any,
            budget_mib_per_day: budget_mib,
            compression: config::Compression::Off,
            cost_s: 3,
            hours: hours.collect(),
        }
    }

    #[test]
    fn a_time_is_told_by_the_machines_own_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(
            local(MIDNIGHT - 3600 * 1000, &zone),
            (Date::constant(2026, 11, 24), 7 * 60)
        );
        assert_eq!(
            local(MIDNIGHT + 17 * 3600 * 1000, &zone),
            (Date::constant(2026, 11, 25), 60)
        );
    }

    #[test]
    fn outside_its_hours_and_beyond_its_budget_a_link_takes_only_what_is_urgent() {
        let plain = link(None, &[]);
        assert_eq!(express_only(&plain, u64::MAX, 0), None);
        let bounded = link(Some(1), &[]);
        assert_eq!(express_only(&bounded, (1 << 20) - 1, 0), None);
        assert_eq!(express_only(&bounded, 1 << 20, 0), Some(Restricted::Spent));
        let timed = link(None, &["08:00-12:00", "13:00-18:00"]);
        let at = |hour: u16| express_only(&timed, 0, hour * 60);
        assert_eq!(
            [at(7), at(8), at(12), at(13)],
            [
                Some(Restricted::Closed),
                None,
                Some(Restricted::Closed),
                None
            ]
        );
    }

    #[test]
    fn a_days_sum_outlives_a_restart_and_ends_with_the_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = link(Some(1), &[]);
        let mib_on = |wall, usage: &Usage, mib: u64| {
            usage.link(&link, MIDNIGHT).wire.add_for_test(mib << 20);
            usage.look(wall, true)
        };
        let usage = Usage::load(folder.path(), MIDNIGHT, TimeZone::UTC);
        assert_eq!(usage.look(MIDNIGHT, true), None, "nothing to tell");
        let content = mib_on(MIDNIGHT, &usage, 1).expect("something to tell");
        write(&usage.file, &content).expect("it is written");
        let terms = usage.link(&link, MIDNIGHT).terms;
        assert_eq!(terms.borrow().takes, Takes::Express);
        assert_eq!(terms.borrow().cost_ms, 3_000);
        assert_eq!(usage.express_only(), [("3g".to_owned(), Restricted::Spent)]);

        let again = Usage::load(folder.path(), MIDNIGHT + DAY - 1, TimeZone::UTC);
        let terms = again.link(&link, MIDNIGHT).terms;
        again.look(MIDNIGHT + DAY - 1, false);
        assert_eq!(terms.borrow().takes, Takes::Express);
        assert_eq!(again.view("3g").map(|view| view.today_bytes), Some(1 << 20));
        again.look(MIDNIGHT + DAY, false);
        assert_eq!(terms.borrow().takes, Takes::All);
        assert_eq!(again.view("3g").map(|view| view.today_bytes), Some(0));

        let later = Usage::load(folder.path(), MIDNIGHT + DAY, TimeZone::UTC);
        later.link(&link, MIDNIGHT);
        assert_eq!(later.view("3g").map(|view| view.today_bytes), Some(0));
    }

    #[test]
    fn the_file_is_written_every_few_looks_and_one_that_is_damaged_stops_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), "{\"date\":").expect("a file");
        let usage = Usage::load(folder.path(), MIDNIGHT, TimeZone::UTC);
        let wire = usage.link(&link(None, &[]), MIDNIGHT).wire;
        let due = (0..12).filter(|_| {
            wire.add_for_test(1);
            usage.look(MIDNIGHT, false).is_some()
        });
        assert_eq!(due.count(), 2);
    }

    #[test]
    fn a_link_that_is_taken_out_and_put_in_again_has_carried_what_it_carried() {
        let folder = tempfile::tempdir().expect("a folder");
        let usage = Usage::load(folder.path(), MIDNIGHT, TimeZone::UTC);
        usage.link(&link(None, &[]), MIDNIGHT).wire.add_for_test(7);
        usage.look(MIDNIGHT, false);
        usage.follow(&[]);
        assert_eq!(usage.view("3g"), None);
        usage.link(&link(None, &[]), MIDNIGHT).wire.add_for_test(5);
        usage.look(MIDNIGHT, false);
        assert_eq!(usage.view("3g").map(|view| view.today_bytes), Some(12));
    }
}
