//! The index's thread: opens the base, takes events in, flushes, forgets what is old, and begins anew when the base is damaged.

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    INDEX_FOLDER, Recovered, Settings, Source,
    anew::{self, Copy},
    base::{Base, BaseError, Failure, Position, guarded, set_aside},
    draft::Draft,
    entry::Entry,
    feed::Shared,
    keys::Key,
    lost::Lost,
    news::News,
};
use crate::{
    delivery::{Event, Step},
    model::{Digest, Location, Lsn, MessageId, Millis},
};

/// Events that are taken at a time.
const EVENTS_AT_ONCE: usize = 1024;
/// Entries that are changed before they are written, unless somebody asks or it has been long enough.
const CHANGED_MAX: usize = 1024;
/// How long a change waits for others, and how long an entry is kept for what comes next.
const WRITE_AFTER: Duration = Duration::from_secs(1);
/// How many times a base is begun anew until the node is restarted.
const REBUILDS_MAX: u64 = 3;
/// How often old messages are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Messages that are forgotten in one change.
const FORGET_AT_ONCE: usize = 4096;
/// How long after the system refused something, such as room on the disk, it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// With so many events waiting a base is not written anew: it takes a while, and they are bounded.
const COPIES_WITH_WAITING_MAX: usize = 50_000;
/// How often it is seen whether the base takes too much of the disk, and how soon again when there was no time for it. Whatever is
/// written anew has since taken as much in changes, so that looking often does not make it often.
const LOOK_EVERY: Duration = Duration::from_secs(300);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long after it failed it is tried again.
const COPY_AGAIN_AFTER: Duration = Duration::from_secs(3600);
const DAY_MS: Millis = 24 * 3600 * 1000;

pub(super) struct Follower {
    shared: Arc<Shared>,
    settings: Settings,
    folder: PathBuf,
    recovered: Recovered,
    source: Box<dyn Source>,
    /// Everything up to this record was taken in during this run; 0 when nothing was.
    applied: Lsn,
    /// Events that were replayed at the start and have not been looked at yet.
    replayed: usize,
    /// Events were taken out of the feed and are not in the base for sure.
    unsure: bool,
    /// What the feed calls new may be known: messages were taken over from the node, or a hop was numbered afresh and what had passed
    /// may come again.
    may_repeat: bool,
    rebuilt: u64,
    /// When to see whether the base takes too much of the disk. It outlasts a base: a copy that cannot take its place is not made again
    /// at once.
    look_at: Instant,
    /// What was lost with the journal is to be found out.
    loss: Option<Loss>,
}

/// Why a base is not followed any more.
enum Ended {
    Stopped,
    /// A copy is to take its place.
    Copied(Copy),
}

/// What is known of a loss.
enum Loss {
    /// The journal was damaged; this is what it still had.
    Damage(HashSet<MessageId>),
    /// The journal ends before the base does.
    End,
}

/// How a base is followed.
struct Following {
    base: Base,
    draft: Draft,
    /// Where the base is, with what is not written yet only because nothing else changed with it.
    position: Position,
    /// All events of the records up to this one are in the draft.
    taken: Lsn,
    /// Events of the draft could not be taken in, because their messages could not be read.
    unreadable: u64,
    /// When the draft is written, or let go.
    write_at: Option<Instant>,
    flushed: Lsn,
    /// Replayed events up to this record are in the base.
    known: Lsn,
    /// Where filling from the node's messages goes on.
    filling: Option<Option<u32>>,
    forget_at: Instant,
}

impl Follower {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: Settings,
        mut recovered: Recovered,
        source: Box<dyn Source>,
    ) -> Self {
        Self {
            loss: recovered.survivors.take().map(Loss::Damage),
            shared,
            folder: settings.data_dir.join(INDEX_FOLDER),
            settings,
            replayed: recovered.replayed,
            recovered,
            source,
            applied: 0,
            unsure: false,
            may_repeat: false,
            rebuilt: 0,
            look_at: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let failure = match guarded(|| self.follow()) {
                Ok(Ended::Stopped) => {
                    self.shared.close(None);
                    return;
                }
                Ok(Ended::Copied(copy)) => {
                    let base = self.shared.take_base();
                    if !base.is_none_or(Base::let_go) {
                        // The next opening clears the copy away.
                        self.look_at = Instant::now() + COPY_AGAIN_AFTER;
                        continue;
                    }
                    if let Err(error) = copy.settle(&self.folder) {
                        self.look_at = Instant::now() + COPY_AGAIN_AFTER;
                        tracing::warn!(%error, "the index was written anew and cannot take its place; it stays as large as it is");
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            // What is left of it goes while nothing unwinds any more.
            let base = self.shared.take_base();
            let closed = guarded(|| {
                drop(base);
                Ok(())
            });
            if closed.is_err() {
                tracing::warn!("the index's base did not close in order");
            }
            if self.shared.is_stopping() {
                tracing::error!(why = failure.why, "the index failed while the node stopped");
                self.shared.close(None);
                return;
            }
            if let Err(why) = self.mend(failure) {
                tracing::error!(why, "the index has failed; messages pass as ever");
                self.shared.close(Some(why));
                return;
            }
        }
    }

    /// Makes ready for another try.
    fn mend(&mut self, failure: Failure) -> Result<(), String> {
        let Failure { why, is_damage } = failure;
        if !is_damage {
            tracing::error!(why, "the index cannot go on; it will try again");
            self.shared.fail(&why);
            self.shared.pause(RETRY_AFTER);
            return Ok(());
        }
        if self.rebuilt >= REBUILDS_MAX {
            return Err(why);
        }
        self.rebuilt += 1;
        match set_aside(&self.folder) {
            Ok(aside) => tracing::error!(
                why,
                aside = %aside.display(),
                "the index was of no use and is set aside; it is rebuilt from what the journal still has"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{why}; and it cannot be set aside: {error}")),
        }
        Ok(())
    }

    fn follow(&mut self) -> Result<Ended, BaseError> {
        let mut following = self.open()?;
        self.show(&following);
        loop {
            self.tell(&following);
            let within = match following.filling {
                Some(_) => Duration::ZERO,
                None => {
                    let due = following.forget_at.min(self.look_at);
                    let due = following.write_at.map_or(due, |write_at| write_at.min(due));
                    due.saturating_duration_since(Instant::now())
                }
            };
            let work = self.shared.work(EVENTS_AT_ONCE, within);
            let has_events = !work.events.is_empty();
            self.unsure |= has_events || work.lost;
            if let Some(why) = work.suspect {
                return Err(BaseError::Suspect(why));
            }
            if work.lost {
                self.lacks(
                    &mut following,
                    "more happened than it could take in".to_owned(),
                )?;
                self.show(&following);
                self.unsure = has_events;
            }
            self.take(&mut following, work.events, work.through)?;
            let flush = work.flush.min(following.taken) > following.flushed || work.stop;
            let is_asked = work.asked > following.position.lsn && following.taken >= work.asked;
            let is_due = following.write_at.is_some_and(|due| due <= Instant::now());
            let is_full = following.draft.changed() >= CHANGED_MAX;
            if flush || is_asked || is_due || is_full {
                self.write(&mut following, flush)?;
            }
            if flush {
                following.base.flush()?;
                following.flushed = following.position.lsn;
            }
            if work.stop {
                self.tell(&following);
                return Ok(Ended::Stopped);
            }
            if let Some(after) = following.filling {
                self.fill(&mut following, after)?;
            }
            let is_over = following.position.messages > self.messages_max();
            if is_over || following.forget_at <= Instant::now() {
                self.forget(&mut following)?;
            }
            if self.look_at <= Instant::now()
                && let Some(copy) = self.copy(&mut following)?
            {
                return Ok(Ended::Copied(copy));
            }
        }
    }

    /// Copies the base when it takes too much of the disk; the copy is to take its place.
    fn copy(&mut self, following: &mut Following) -> Result<Option<Copy>, BaseError> {
        if following.filling.is_some() || self.replayed > 0 || !self.has_time() {
            self.look_at = Instant::now() + LOOK_AGAIN_AFTER;
            return Ok(None);
        }
        self.look_at = Instant::now() + LOOK_EVERY;
        if !anew::is_due(&following.base, &following.position)? {
            return Ok(None);
        }
        self.write(following, true)?;
        following.base.flush()?;
        following.flushed = following.position.lsn;
        let bytes = following.base.db().size_on_disk()?;
        match Copy::of(&following.base, &following.position, || self.has_time()) {
            Ok(Some(copy)) => {
                tracing::info!(
                    bytes,
                    "the index took much more of the disk than what is in it; it was written anew"
                );
                Ok(Some(copy))
            }
            Ok(None) => {
                self.look_at = Instant::now() + LOOK_AGAIN_AFTER;
                Ok(None)
            }
            Err(error) if error.is_damage() => Err(error),
            Err(error) => {
                self.look_at = Instant::now() + COPY_AGAIN_AFTER;
                tracing::warn!(bytes, %error, "the index takes much more of the disk than what is in it and cannot be written anew now; it is tried again in an hour");
                Ok(None)
            }
        }
    }

    /// Whether nothing is urgent.
    fn has_time(&self) -> bool {
        !self.shared.is_stopping() && self.shared.waiting() < COPIES_WITH_WAITING_MAX
    }

    fn open(&mut self) -> Result<Following, BaseError> {
        anew::clear(&self.folder)?;
        let base = Base::open(&self.folder)?;
        let mut position = base.position()?;
        let journal = self.recovered.last.max(self.applied);
        if position.lsn > journal {
            let why = format!(
                "the journal ended at record {journal} when the node started, and this index knew of record {}",
                position.lsn
            );
            tracing::error!(why, "the journal has lost its end");
            position.note_gap(self.source.now(), why);
            position.lsn = journal;
            position.is_unfilled = true;
            self.may_repeat = true;
            self.loss.get_or_insert(Loss::End);
        }
        let known = position.lsn;
        let mut following = Following {
            draft: Draft::new(base.clone()),
            base,
            taken: position.lsn,
            unreadable: 0,
            write_at: None,
            filling: position.is_unfilled.then_some(None),
            position,
            flushed: 0,
            known,
            forget_at: Instant::now(),
        };
        // What is in the feed comes after this record.
        let begins = match self.applied {
            0 => self.recovered.checkpoint,
            applied => applied,
        };
        if known < begins || self.unsure {
            let why = match known {
                0 => "it was begun anew, with what the journal still had".to_owned(),
                _ => format!("it lacks what happened after record {known}, up to record {begins}"),
            };
            following.position.lsn = begins.max(known);
            following.taken = following.position.lsn;
            self.lacks(&mut following, why)?;
        }
        if self.replayed == 0 {
            self.find_lost(&mut following)?;
        }
        Ok(following)
    }

    /// The index lacks something: it says so from now on, and is filled from what the node still has.
    fn lacks(&mut self, following: &mut Following, why: String) -> Result<(), BaseError> {
        tracing::warn!(why, "the index may be incomplete");
        let position = &mut following.position;
        position.note_gap(self.source.now(), why);
        position.is_unfilled = true;
        following.filling = Some(None);
        self.write(following, true)
    }

    /// The base can be asked.
    fn show(&self, following: &Following) {
        let incomplete = !following.position.gaps.is_empty();
        self.shared
            .open(following.base.clone(), self.rebuilt, incomplete);
    }

    fn tell(&self, following: &Following) {
        let Position { lsn, messages, .. } = following.position;
        self.shared.tell(lsn, following.flushed, messages);
    }

    fn take(
        &mut self,
        following: &mut Following,
        events: Vec<(Lsn, Event)>,
        through: Lsn,
    ) -> Result<(), BaseError> {
        let known = following.known;
        let nobody = News::default();
        for (lsn, event) in events {
            let was_replayed = self.replayed > 0;
            if !was_replayed {
                self.find_lost(following)?;
            }
            self.replayed = self.replayed.saturating_sub(1);
            if was_replayed && lsn <= known {
                continue;
            }
            if matches!(event, Event::Epoch(_) | Event::Reset { .. }) {
                self.may_repeat |= following.position.messages > 0 || !following.draft.is_empty();
            }
            let may_be_known = was_replayed || self.may_repeat;
            let news = match was_replayed {
                true => &nobody,
                false => &self.shared.news,
            };
            if !self.take_one(&mut following.draft, event, may_be_known, news)? {
                following.unreadable += 1;
            }
        }
        following.taken = following.taken.max(through);
        if self.replayed == 0 {
            self.find_lost(following)?;
        }
        if following.draft.changed() == 0 && following.unreadable == 0 {
            // Nothing has changed with it: it is written when it has to be on disk.
            following.position.lsn = following.taken;
            self.applied = following.taken;
            self.unsure = false;
        } else if following.write_at.is_none() {
            following.write_at = Some(Instant::now() + WRITE_AFTER);
        }
        Ok(())
    }

    /// Writes what was taken. `in_any_case`: even if only the position has changed.
    fn write(&mut self, following: &mut Following, in_any_case: bool) -> Result<(), BaseError> {
        let Following {
            draft,
            position,
            unreadable,
            ..
        } = following;
        let has_changed = draft.changed() > 0 || *unreadable > 0;
        if !has_changed && !in_any_case {
            draft.rest();
            following.write_at = None;
            return Ok(());
        }
        position.lsn = following.taken;
        let unreadable = std::mem::take(unreadable);
        if unreadable > 0 {
            let why = format!("{unreadable} messages could not be read any more");
            position.note_gap(self.source.now(), why);
        }
        draft.write(position)?;
        self.unsure = false;
        self.applied = position.lsn;
        following.write_at = Some(Instant::now() + WRITE_AFTER);
        if unreadable > 0 {
            self.show(following);
        }
        Ok(())
    }

    /// False when the event is about a message that cannot be read any more. `may_be_known` says whether what it calls new may be known.
    fn take_one(
        &self,
        draft: &mut Draft,
        event: Event,
        may_be_known: bool,
        news: &News,
    ) -> Result<bool, BaseError> {
        let me = &self.settings.unit;
        match event {
            Event::Message { message, at, what } => {
                let entry = match &what {
                    Step::Accepted {
                        location,
                        parcel,
                        bytes,
                        ..
                    }
                    | Step::Received {
                        location,
                        parcel,
                        bytes,
                        ..
                    } => {
                        let told = || Some((*parcel, *bytes));
                        let entry = self.entry(draft, message, *location, told, !may_be_known)?;
                        if entry.is_none() {
                            return Ok(false);
                        }
                        entry
                    }
                    _ => draft.entry(message)?,
                };
                if let Some(entry) = entry {
                    entry.step(me, at, &what, news);
                }
            }
            Event::Receipt {
                parcel,
                item,
                issuer,
            } => {
                if let Some(entry) = draft.of_parcel(parcel)? {
                    entry.receipt(&item, &issuer, news);
                }
            }
            Event::ReceiptPasses { location } => {
                let Some((issuer, items)) = self.source.receipt(location) else {
                    return Ok(true);
                };
                for item in items {
                    if let Some(entry) = draft.of_parcel(item.parcel)? {
                        entry.receipt(&item, &issuer, news);
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// The entry of a message whose parcel is at `location`; none when it is new and cannot be read. `parcel` gives the parcel's digest
    /// and size. One that is new for sure is looked for only among those that were changed last.
    fn entry<'d>(
        &self,
        draft: &'d mut Draft,
        message: MessageId,
        location: Location,
        parcel: impl FnOnce() -> Option<(Digest, u32)>,
        is_new: bool,
    ) -> Result<Option<&'d mut Entry>, BaseError> {
        let is_known = match is_new {
            true => draft.has(&message),
            false => draft.entry(message)?.is_some(),
        };
        if !is_known {
            let found = self.source.header(location).zip(parcel());
            let Some((header, (digest, bytes))) = found else {
                return Ok(None);
            };
            return Ok(draft.insert(Entry::new(header, digest, bytes), location));
        }
        draft.entry(message)
    }

    /// Finds out what was lost with the journal, once all that was replayed is taken in and before anything that came since.
    fn find_lost(&mut self, following: &mut Following) -> Result<(), BaseError> {
        let Some(loss) = self.loss.take() else {
            return Ok(());
        };
        let survivors = match loss {
            Loss::Damage(survivors) => survivors,
            Loss::End => {
                let (mut survivors, mut after) = (HashSet::new(), None);
                loop {
                    let Some((page, next)) = self.source.live(after) else {
                        // The node ends: the next start finds the base ahead of the journal again.
                        return Err(BaseError::Stopped);
                    };
                    survivors.extend(page.iter().map(|view| view.message));
                    if next.is_none() {
                        break survivors;
                    }
                    after = next;
                }
            }
        };
        self.write(following, true)?;
        let me = self.settings.unit.clone();
        let mut lost = Vec::new();
        for found in following.base.entries(Key::FIRST, Key::LAST, true) {
            let (_, entry) = found?;
            if entry.is_awaited(&me) && !survivors.contains(&entry.message) {
                lost.push(entry);
            }
        }
        let now = self.source.now();
        for entry in &lost {
            if let Some(entry) = following.draft.entry(entry.message)? {
                entry.lose(&me, now);
            }
            if following.draft.changed() >= CHANGED_MAX {
                self.write(following, true)?;
            }
        }
        self.write(following, true)?;
        self.source.lost(&lost);
        self.shared.tell_lost(Lost::of(&lost));
        Ok(())
    }

    /// Takes a page of what the node still has.
    fn fill(&mut self, following: &mut Following, after: Option<u32>) -> Result<(), BaseError> {
        self.may_repeat = true;
        let Some((page, next)) = self.source.live(after) else {
            // The node ends: the next start goes on.
            following.filling = None;
            return Ok(());
        };
        for view in page {
            let draft = &mut following.draft;
            let parcel = || self.source.parcel(view.location);
            if let Some(entry) = self.entry(draft, view.message, view.location, parcel, false)? {
                entry.catch_up(&self.settings.unit, &view);
            }
        }
        following.filling = next.map(Some);
        following.position.is_unfilled = next.is_some();
        if following.filling.is_none() || following.draft.changed() >= CHANGED_MAX {
            self.write(following, true)?;
        }
        Ok(())
    }

    fn messages_max(&self) -> u64 {
        self.source.bounds().messages_max.into()
    }

    fn forget(&mut self, following: &mut Following) -> Result<(), BaseError> {
        let age = Millis::from(self.source.bounds().retention_days) * DAY_MS;
        let before = self.source.now().saturating_sub(age);
        let max = self.messages_max();
        let position = &mut following.position;
        let forgotten = following
            .base
            .forget(position, before, max, FORGET_AT_ONCE)?;
        following.draft.forget(&forgotten);
        let more = forgotten.len() >= FORGET_AT_ONCE;
        following.forget_at = Instant::now() + if more { Duration::ZERO } else { FORGET_EVERY };
        Ok(())
    }
}
