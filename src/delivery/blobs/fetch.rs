//! What is needed and not here: asked for, and taken as it comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Alarm, Here, take_out};
use crate::delivery::{
    Delivery, Output, SessionId,
    hop::{Absent, Frame, Have, WANT_SENDERS_MAX, Want},
};
use crate::model::{BlobDigest, Millis, Pattern, Ranges, UnitId};

/// Attachments that are asked of one neighbour at once.
pub(super) const ASKED_MAX: usize = 8;
/// How long chunks that came wait for company before they are acked. Nobody's work waits for it: a sender may have far more under way.
const ACK_DELAY_MS: Millis = 100;
/// So many chunks are acked at once.
const ACK_AT_ONCE: u64 = 16;
/// A neighbour that gives nothing for so long, while another may, is asked no longer.
const STALLS_MS: Millis = 60_000;
/// When one that a neighbour did not have is asked for again, should the neighbour have forgotten to call.
const SEEK_AGAIN_MS: Millis = 3_600_000;
/// When one that could not be kept for want of room is asked for again.
const ROOM_AGAIN_MS: Millis = 30_000;

/// Where the fetching of an attachment stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Fetch {
    /// No neighbour is known that may have it; those that said that they have nothing of it for now.
    #[default]
    Idle,
    /// It waits until a neighbour may be asked.
    Queued { from: UnitId },
    /// A neighbour is asked, and gives.
    Asked {
        from: UnitId,
        news: Ranges,
        ack_due: Option<Millis>,
        /// Whether something came since it was looked at last.
        moves: bool,
        /// Who named it, as far as the neighbour was told.
        senders: Vec<UnitId>,
        /// Those of them that it was told of each time: what it answers holds for these, whichever time it answers.
        meant: Vec<UnitId>,
    },
    /// There was no room for it.
    Parked,
}

/// What is fetched from one neighbour.
#[derive(Debug, Default)]
pub(super) struct Source {
    waiting: VecDeque<BlobDigest>,
    asked: VecDeque<BlobDigest>,
    /// What it has nothing of for now: it calls when it has.
    absent: BTreeSet<BlobDigest>,
    /// What it had nothing of once and has not been asked for since: it may call, or have called, and is told when nothing more is wanted.
    remembered: BTreeSet<BlobDigest>,
    /// What will never come from it, for it is too large, and the senders for whom it was asked. Whoever says so may lie, or be told lies:
    /// what others named by the same digest is not touched.
    refused: BTreeMap<BlobDigest, BTreeSet<UnitId>>,
}

impl Source {
    /// It may have something of an attachment after all.
    pub(super) fn may_have(&mut self, digest: &BlobDigest) {
        self.absent.remove(digest);
    }

    /// Whether what a sender named will never come from it.
    fn refuses(&self, digest: &BlobDigest, sender: &UnitId) -> bool {
        let senders = self.refused.get(digest);
        senders.is_some_and(|senders| senders.contains(sender))
    }
}

impl Delivery {
    /// Whether an attachment that a sender named is too large for a node on its way here, or for this one.
    pub(super) fn is_refused(&self, digest: &BlobDigest, sender: &UnitId) -> bool {
        let way = self.next_hop(&Pattern::from(sender));
        let source = way.and_then(|way| self.blobs.sources.get(&way));
        source.is_some_and(|source| source.refuses(digest, sender))
    }

    /// The neighbours on the way to those who named an attachment, each with the first of them.
    fn sources_of(&self, digest: &BlobDigest) -> Vec<(UnitId, Vec<UnitId>)> {
        let mut found: Vec<(UnitId, Vec<UnitId>)> = Vec::new();
        let Some(need) = self.blobs.needs.get(digest) else {
            return found;
        };
        let mut senders: BTreeSet<(&UnitId, Option<&UnitId>)> = need
            .parcels
            .iter()
            .map(|slot| (self.parcels.sender(*slot), None))
            .collect();
        for neighbour in &need.wanted {
            if let Some(served) = self.blobs.served.get(neighbour) {
                let named = served.senders_of(digest).iter();
                senders.extend(named.map(|sender| (sender, Some(neighbour))));
            }
        }
        for (sender, wanter) in senders {
            if *sender == self.settings.unit {
                continue;
            }
            let next = self.next_hop(&Pattern::from(sender));
            // Whoever asks for it does not have it.
            let Some(next) = next.filter(|next| wanter != Some(next)) else {
                continue;
            };
            let source = self.blobs.sources.get(&next);
            if source.is_some_and(|source| source.refuses(digest, sender)) {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == next) {
                Some((_, named)) if named.len() >= WANT_SENDERS_MAX || named.contains(sender) => {}
                Some((_, named)) => named.push(sender.clone()),
                None => found.push((next, vec![sender.clone()])),
            }
        }
        found
    }

    /// Those who named an attachment and are on the way of the neighbour that is asked may be others: it is told of them.
    pub(super) fn tell_senders(&mut self, digest: BlobDigest) {
        let Some(Fetch::Asked { from, senders, .. }) = self.blobs.fetches.get(&digest) else {
            return;
        };
        let sources = self.sources_of(&digest);
        let named = sources.iter().find(|(neighbour, _)| neighbour == from);
        if named.is_some_and(|(_, named)| named.iter().any(|unit| !senders.contains(unit))) {
            let from = from.clone();
            self.say_want(&from, digest);
        }
    }

    /// Whether a session with a neighbour is open.
    pub(super) fn is_open(&self, neighbour: &UnitId) -> bool {
        self.session_for_frames(neighbour).is_some()
    }

    pub(super) fn session_for_frames(&self, neighbour: &UnitId) -> Option<SessionId> {
        self.open_session(self.hops.get(neighbour)?)
    }

    pub(super) fn say(&mut self, neighbour: &UnitId, frame: Frame) {
        if let Some(session) = self.session_for_frames(neighbour) {
            self.outputs.push_back(Output::Send { session, frame });
        }
    }

    /// Chooses whom to ask for an attachment that nobody is asked for.
    pub(super) fn seek(&mut self, digest: BlobDigest) {
        if self.blobs.fetches.get(&digest) != Some(&Fetch::Idle) {
            return;
        }
        let mut sources = self.sources_of(&digest);
        sources.retain(|(neighbour, _)| self.may_have(neighbour, &digest));
        // One that is there goes before one that is not.
        sources.sort_by_key(|(neighbour, _)| !self.is_open(neighbour));
        let Some((from, _)) = sources.into_iter().next() else {
            return;
        };
        let source = self.blobs.sources.entry(from.clone()).or_default();
        source.waiting.push_back(digest);
        let queued = Fetch::Queued { from: from.clone() };
        self.blobs.fetches.insert(digest, queued);
        self.ask_more(&from);
    }

    /// Asks a neighbour for what waits for it.
    fn ask_more(&mut self, neighbour: &UnitId) {
        while self.is_open(neighbour) {
            let Some(source) = self.blobs.sources.get_mut(neighbour) else {
                return;
            };
            if source.asked.len() >= ASKED_MAX {
                return;
            }
            let Some(digest) = source.waiting.pop_front() else {
                return;
            };
            let is_due =
                |fetch: &Fetch| matches!(fetch, Fetch::Queued { from } if from == neighbour);
            let Some(fetch) = self.blobs.fetches.get_mut(&digest).filter(|f| is_due(f)) else {
                continue;
            };
            *fetch = Fetch::Asked {
                from: neighbour.clone(),
                news: Ranges::new(),
                ack_due: None,
                moves: false,
                senders: Vec::new(),
                meant: Vec::new(),
            };
            source.asked.push_back(digest);
            source.remembered.remove(&digest);
            let at = self.now.mono + STALLS_MS;
            self.blobs.wake(at, Alarm::Seek(digest));
            let from = neighbour.clone();
            self.outputs.push_back(Output::BlobFetch { digest, from });
            self.say_want(neighbour, digest);
            self.answer_wanters(digest);
        }
    }

    /// Says what is wanted of an attachment, with all that is here of it.
    fn say_want(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        let sources = self.sources_of(&digest);
        let mut named = sources.into_iter().find(|(from, _)| from == neighbour);
        if let (None, Some(Fetch::Asked { senders, .. })) =
            (&named, self.blobs.fetches.get(&digest))
            && self
                .blobs
                .needs
                .get(&digest)
                .is_some_and(|need| need.lingers)
        {
            named = Some((neighbour.clone(), senders.clone()));
        }
        let Some((_, named)) = named else {
            // Its ways are others now.
            self.unask(digest, Fetch::Idle);
            self.blobs.touched.insert(digest);
            return;
        };
        if let Some(Fetch::Asked {
            news,
            ack_due,
            senders,
            meant,
            ..
        }) = self.blobs.fetches.get_mut(&digest)
        {
            news.clear();
            *ack_due = None;
            match senders.is_empty() {
                true => meant.clone_from(&named),
                false => meant.retain(|sender| named.contains(sender)),
            }
            senders.clone_from(&named);
        }
        let (described, have) = match self.blobs.here.get(&digest) {
            Some(Here::Part { have, .. }) => (true, have.clone()),
            _ => (false, Ranges::new()),
        };
        let want = Want {
            digest,
            senders: named,
            described,
            have,
        };
        self.say(neighbour, Frame::Want(want));
    }

    /// A session with a neighbour has opened, or another than the last one is gone: what was said may not have been heard.
    pub(in crate::delivery) fn blobs_say_again(&mut self, neighbour: &UnitId) {
        self.doubt_wants(neighbour);
        let Some(source) = self.blobs.sources.get_mut(neighbour) else {
            self.seek_idle();
            return;
        };
        source.absent.clear();
        let asked: Vec<BlobDigest> = source.asked.iter().copied().collect();
        for digest in asked {
            self.say_want(neighbour, digest);
        }
        self.seek_idle();
        self.ask_more(neighbour);
    }

    /// Seeks what nobody is asked for.
    pub(in crate::delivery) fn seek_idle(&mut self) {
        let fetches = self.blobs.fetches.iter();
        let idle = fetches.filter(|(_, fetch)| **fetch == Fetch::Idle);
        let idle: Vec<BlobDigest> = idle.map(|(digest, _)| *digest).collect();
        for digest in idle {
            self.seek(digest);
        }
    }

    /// The last session with a neighbour is gone: what it was asked for is asked for in the next one.
    pub(super) fn unask_all(&mut self, neighbour: &UnitId) {
        let Some(source) = self.blobs.sources.get_mut(neighbour) else {
            return;
        };
        let asked = std::mem::take(&mut source.asked);
        for digest in asked.iter().rev() {
            source.waiting.push_front(*digest);
        }
        for digest in asked {
            let from = neighbour.clone();
            self.blobs.fetches.insert(digest, Fetch::Queued { from });
            self.answer_wanters(digest);
        }
    }

    /// Nobody is asked for an attachment any more.
    fn unask(&mut self, digest: BlobDigest, instead: Fetch) -> Option<UnitId> {
        let before = self.blobs.fetches.insert(digest, instead);
        let from = match before {
            Some(Fetch::Asked { from, .. } | Fetch::Queued { from }) => from,
            _ => return None,
        };
        let source = self.blobs.sources.get_mut(&from)?;
        take_out(&mut source.waiting, &digest);
        if !take_out(&mut source.asked, &digest) {
            return None;
        }
        self.outputs.push_back(Output::BlobClose(digest));
        Some(from)
    }

    /// An attachment is whole, or is not needed any more.
    pub(super) fn end_fetch(&mut self, digest: BlobDigest) {
        if !self.blobs.fetches.contains_key(&digest) {
            return;
        }
        let from = self.unask(digest, Fetch::Idle);
        self.blobs.fetches.remove(&digest);
        self.blobs.calm(&Alarm::Seek(digest));
        let mut told: Vec<UnitId> = from.iter().cloned().collect();
        for (neighbour, source) in &mut self.blobs.sources {
            source.refused.remove(&digest);
            source.absent.remove(&digest);
            if source.remembered.remove(&digest) {
                told.push(neighbour.clone());
            }
        }
        for neighbour in told {
            self.say_enough(&neighbour, digest);
        }
        if let Some(from) = from {
            self.ask_more(&from);
        }
    }

    /// Tells a neighbour that nothing more of an attachment needs to come: all of it is here, or it is not needed any more.
    fn say_enough(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        self.say(neighbour, Frame::Unwant(digest));
    }

    // ---- what the neighbour says

    pub(in crate::delivery) fn on_absent(&mut self, neighbour: &UnitId, absent: Absent) {
        let digest = absent.digest;
        match self.blobs.fetches.get(&digest) {
            Some(Fetch::Asked { from, .. }) if from == neighbour => {}
            Some(_) => return,
            // A want that came late, over another session, is still on record there.
            None => return self.say_enough(neighbour, digest),
        }
        if absent.too_large {
            self.refuse(digest);
        }
        self.unask(digest, Fetch::Idle);
        if !absent.too_large
            && let Some(source) = self.blobs.sources.get_mut(neighbour)
        {
            source.remembered.insert(digest);
            source.absent.insert(digest);
        }
        let again = self.now.mono + SEEK_AGAIN_MS;
        self.blobs.wake(again, Alarm::Seek(digest));
        self.seek(digest);
        self.answer_wanters(digest);
        self.ask_more(neighbour);
    }

    pub(in crate::delivery) fn on_present(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        match self.blobs.fetches.get(&digest) {
            // It has not heard so.
            None => self.say_enough(neighbour, digest),
            // That there was nothing was not heard here: it waits to be asked.
            Some(Fetch::Asked { from, .. }) if from == neighbour => {
                self.say_want(neighbour, digest);
            }
            Some(_) => self.may_have_after_all(neighbour, digest),
        }
    }

    /// A neighbour that had nothing of an attachment may have something.
    fn may_have_after_all(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        if let Some(source) = self.blobs.sources.get_mut(neighbour) {
            source.absent.remove(&digest);
            self.seek(digest);
        }
    }

    // ---- what the keeper says

    pub(super) fn blob_described(&mut self, digest: BlobDigest, size: u64, have: Ranges) {
        if self.blobs.is_whole(&digest) {
            return;
        }
        let before = self.blobs.here.get(&digest);
        let has_lost = match before {
            Some(Here::Part { have: before, .. }) => !before.without(&have).is_empty(),
            _ => false,
        };
        self.blobs.here.insert(digest, Here::Part { size, have });
        self.blobs.touched.insert(digest);
        if has_lost && let Some(Fetch::Asked { from, .. }) = self.blobs.fetches.get(&digest) {
            // What was acked is not here after all.
            let from = from.clone();
            self.say_want(&from, digest);
        }
        // Its sender waits for this.
        let now = self.now.mono;
        if let Some(Fetch::Asked { ack_due, moves, .. }) = self.blobs.fetches.get_mut(&digest) {
            *ack_due = Some(now);
            *moves = true;
        }
        self.answer_wanters(digest);
    }

    pub(super) fn blob_stored(&mut self, digest: BlobDigest, chunks: &Ranges) {
        let Some(Here::Part { have, .. }) = self.blobs.here.get_mut(&digest) else {
            return;
        };
        have.union(chunks);
        let now = self.now.mono;
        if let Some(Fetch::Asked {
            news,
            ack_due,
            moves,
            ..
        }) = self.blobs.fetches.get_mut(&digest)
        {
            *moves = true;
            news.union(chunks);
            let delay = if news.count() >= ACK_AT_ONCE {
                0
            } else {
                ACK_DELAY_MS
            };
            let due = ack_due.map_or(now + delay, |due| due.min(now + delay));
            *ack_due = Some(due);
        }
        self.answer_wanters(digest);
    }

    pub(super) fn blob_whole(&mut self, digest: BlobDigest, size: u64) {
        self.blobs.here.insert(digest, Here::Whole { size });
        self.blobs.touched.insert(digest);
        self.answer_wanters(digest);
    }

    /// By the word of the neighbour that is asked, it is too large for this node.
    pub(super) fn blob_refused(&mut self, digest: BlobDigest) {
        self.refuse(digest);
        if let Some(from) = self.unask_if_fetched(digest) {
            self.say_enough(&from, digest);
            self.ask_more(&from);
        }
        self.answer_wanters(digest);
    }

    /// The neighbour that is asked for an attachment says that it is too large: that of those for whom it was asked ends, and whoever wants
    /// it of them is told.
    fn refuse(&mut self, digest: BlobDigest) {
        let Some(Fetch::Asked { from, meant, .. }) = self.blobs.fetches.get(&digest) else {
            return;
        };
        if let Some(source) = self.blobs.sources.get_mut(from) {
            let refused = source.refused.entry(digest).or_default();
            refused.extend(meant.iter().cloned());
        }
        self.blobs.touched.insert(digest);
    }

    /// There was no room for what came.
    pub(super) fn blob_parked(&mut self, digest: BlobDigest) {
        if !matches!(self.blobs.fetches.get(&digest), Some(Fetch::Asked { .. })) {
            return;
        }
        if let Some(from) = self.unask(digest, Fetch::Parked) {
            self.say_enough(&from, digest);
            self.ask_more(&from);
        }
        let again = self.now.mono + ROOM_AGAIN_MS;
        self.blobs.wake(again, Alarm::Seek(digest));
        self.answer_wanters(digest);
    }

    /// What was here is not any more.
    pub(super) fn blob_lost(&mut self, digest: BlobDigest) {
        self.blobs.here.remove(&digest);
        if let Some(from) = self.unask_if_fetched(digest) {
            // It begins anew, and its sender is to know that nothing is here.
            self.say(&from, Frame::Unwant(digest));
            self.ask_more(&from);
        }
        self.forget_given(digest);
        self.blobs.touched.insert(digest);
        self.answer_wanters(digest);
    }

    fn unask_if_fetched(&mut self, digest: BlobDigest) -> Option<UnitId> {
        match self.blobs.fetches.get(&digest) {
            Some(Fetch::Asked { .. }) => self.unask(digest, Fetch::Idle),
            _ => None,
        }
    }

    /// Something came that was not asked for, or is not any more: whoever sent it has not heard that.
    pub(super) fn blob_unasked(&mut self, session: SessionId, digest: BlobDigest) {
        let Some(neighbour) = self
            .sessions
            .get(&session)
            .map(|live| live.neighbour.clone())
        else {
            return;
        };
        match self.blobs.fetches.get(&digest) {
            Some(Fetch::Asked { from, .. }) if *from == neighbour => {}
            _ => {
                // What it has sent and not been told of is lost: it begins anew, if it is asked again.
                self.say_enough(&neighbour, digest);
                self.may_have_after_all(&neighbour, digest);
            }
        }
    }

    // ---- time

    /// Acks of chunks that are due.
    pub(in crate::delivery) fn flush_blob_acks(&mut self) {
        if self.blobs.fetches.is_empty() {
            return;
        }
        let now = self.now.mono;
        let mut due = Vec::new();
        for source in self.blobs.sources.values() {
            for digest in &source.asked {
                if let Some(Fetch::Asked {
                    from,
                    news,
                    ack_due: ack_due @ Some(_),
                    ..
                }) = self.blobs.fetches.get_mut(digest)
                    && ack_due.is_some_and(|due| due <= now)
                {
                    *ack_due = None;
                    let chunks = std::mem::take(news);
                    due.push((
                        from.clone(),
                        Have {
                            digest: *digest,
                            chunks,
                        },
                    ));
                }
            }
        }
        for (neighbour, have) in due {
            self.say(&neighbour, Frame::Have(have));
        }
    }

    pub(super) fn next_blob_ack(&self) -> Option<Millis> {
        let asked = self.blobs.sources.values().flat_map(|source| &source.asked);
        let due = asked.filter_map(|digest| match self.blobs.fetches.get(digest) {
            Some(Fetch::Asked { ack_due, .. }) => *ack_due,
            _ => None,
        });
        due.min()
    }

    /// An attachment that could not be had some time ago is sought again; a neighbour that gives nothing of it is asked no longer, when
    /// there is another.
    pub(super) fn seek_again(&mut self, digest: BlobDigest) {
        match self.blobs.fetches.get_mut(&digest) {
            Some(Fetch::Asked { from, moves, .. }) => {
                let has_moved = std::mem::take(moves);
                let from = from.clone();
                let at = self.now.mono + STALLS_MS;
                self.blobs.wake(at, Alarm::Seek(digest));
                let is_open = |n: &UnitId| *n != from && self.is_open(n);
                let mut others = self.sources_of(&digest).into_iter();
                if has_moved || !others.any(|(n, _)| is_open(&n) && self.may_have(&n, &digest)) {
                    return;
                }
                self.unask(digest, Fetch::Idle);
                self.say(&from, Frame::Unwant(digest));
                if let Some(source) = self.blobs.sources.get_mut(&from) {
                    source.absent.insert(digest);
                }
                self.seek(digest);
                self.answer_wanters(digest);
                self.ask_more(&from);
            }
            Some(fetch @ (Fetch::Parked | Fetch::Idle)) => {
                *fetch = Fetch::Idle;
                for source in self.blobs.sources.values_mut() {
                    source.absent.remove(&digest);
                }
                self.seek(digest);
            }
            Some(Fetch::Queued { .. }) | None => {}
        }
    }

    /// Whether a neighbour has not said that it has nothing of an attachment.
    fn may_have(&self, neighbour: &UnitId, digest: &BlobDigest) -> bool {
        let source = self.blobs.sources.get(neighbour);
        source.is_none_or(|source| !source.absent.contains(digest))
    }
}
