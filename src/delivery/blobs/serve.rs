//! What neighbours want: runs of chunks, leased to their sessions.

use super::{
    Alarm, Here,
    fetch::Fetch,
    served::{Described, Lease, Serving},
    take_out,
};
use crate::delivery::{
    Close, Delivery, Output, SessionId,
    hop::{Absent, Frame, Have, Want},
};
use crate::model::{BlobDigest, CHUNK_BYTES, Millis, Ranges, UnitId};

/// Attachments that a neighbour may want at once: twice what it asks for, since what ends one may come behind what begins another.
const WANTED_AT_ONCE_MAX: usize = 2 * super::fetch::ASKED_MAX;
/// Wants of one neighbour that are remembered, with those for which there is nothing now.
const WANTS_MAX: usize = 1024;
/// Ranges of chunks that are remembered of what a neighbour has of one attachment: more than what is under way can leave.
const HAVE_RANGES_MAX: usize = 512;
/// How long a want is remembered that is not said again.
const WANT_LIVES_MS: Millis = 24 * 3_600_000;
/// How long it is remembered when a session has come or gone: whoever wants it still says so again.
const WANT_IN_DOUBT_MS: Millis = 300_000;
/// Chunks that a neighbour may have been sent and not have acked: 16 MiB.
const UNACKED_CHUNKS_MAX: u64 = 256;
/// Chunks of one run. As small as it gets: what is more urgent waits for no more than this, and a receiver reads as many at once as there
/// may be streams, where longer ones would take turns.
const RUN_CHUNKS: u64 = 1;
/// How long a run may take over one session while there is another, or once its neighbour has asked again: then it goes again.
const LEASE_MS: Millis = 30_000;
/// Every so many bulk grants a run goes before the parcels that wait, so that it is never starved.
const SHARE_TURNS: u32 = 4;
/// Beyond every chunk of every attachment.
const CHUNKS_MAX: u64 = 1 << 32;

impl Delivery {
    // ---- what the neighbour says

    pub(in crate::delivery) fn on_want(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        want: Want,
    ) {
        let digest = want.digest;
        let count = self.blobs.here.get(&digest).map_or(CHUNKS_MAX, Here::count);
        if want.have.last().is_some_and(|last| last >= count) {
            self.close(session, Close::Protocol("it has chunks past the end"));
            return;
        }
        // What it has beyond those comes again.
        let have = want.have.pieces(HAVE_RANGES_MAX).next().unwrap_or_default();
        let until = self.now.mono + WANT_LIVES_MS;
        let served = self.blobs.served.entry(neighbour.clone()).or_default();
        let is_active = served.active.contains(&digest);
        if !is_active && served.active.len() >= WANTED_AT_ONCE_MAX {
            self.close(session, Close::Protocol("it wants too much at once"));
            return;
        }
        if !served.wants.contains_key(&digest) && served.wants.len() >= WANTS_MAX {
            let absent = Absent {
                digest,
                too_large: false,
            };
            self.say(neighbour, Frame::Absent(absent));
            return;
        }
        let serving = served.wants.entry(digest).or_insert_with(|| Serving {
            senders: Vec::new(),
            described: Described::No,
            theirs: Ranges::new(),
            given: Ranges::new(),
            leases: Vec::new(),
            is_called: false,
            until,
        });
        serving.senders = want.senders;
        serving.is_called = false;
        serving.until = until;
        if want.described {
            serving.described = Described::Yes;
        } else if serving.described == Described::Yes {
            serving.described = Described::No;
        }
        serving.given = have.clone();
        serving.theirs = have;
        for lease in &mut serving.leases {
            serving.given.insert_range(lease.first, lease.last);
            lease.is_doubted = true;
        }
        if let Described::UnderWay(session) = serving.described
            && !serving.leases.iter().any(|lease| lease.session == session)
        {
            serving.described = Described::No;
        }
        if !is_active {
            served.active.push_back(digest);
        }
        self.blobs
            .wake(until, Alarm::Stale(neighbour.clone(), digest));
        let need = self.blobs.needs.entry(digest).or_default();
        need.wanted.insert(neighbour.clone());
        self.reconsider(digest);
        self.has_more(neighbour, digest);
    }

    pub(in crate::delivery) fn on_unwant(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        self.end_want(neighbour, digest);
    }

    pub(in crate::delivery) fn on_have(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        have: Have,
    ) {
        let digest = have.digest;
        let Some(here) = self.blobs.here.get(&digest) else {
            return;
        };
        let served = self.blobs.served.get_mut(neighbour);
        let Some(serving) = served.and_then(|served| served.wants.get_mut(&digest)) else {
            return;
        };
        if have.chunks.last().is_some_and(|last| last >= here.count()) {
            self.close(session, Close::Protocol("it has chunks past the end"));
            return;
        }
        serving.until = self.now.mono + WANT_LIVES_MS;
        serving.described = Described::Yes;
        serving.theirs.union(&have.chunks);
        serving.given.union(&have.chunks);
        if serving.theirs.ranges() > HAVE_RANGES_MAX {
            self.close(session, Close::Protocol("its chunks have too many gaps"));
            return;
        }
        let theirs = &serving.theirs;
        serving
            .leases
            .retain(|lease| theirs.gap(lease.first) <= lease.last);
        self.has_more(neighbour, digest);
    }

    /// A neighbour wants an attachment no longer, or has it.
    pub(super) fn end_want(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        let Some(served) = self.blobs.served.get_mut(neighbour) else {
            return;
        };
        if served.wants.remove(&digest).is_none() {
            return;
        }
        take_out(&mut served.active, &digest);
        self.blobs.calm(&Alarm::Stale(neighbour.clone(), digest));
        if let Some(need) = self.blobs.needs.get_mut(&digest) {
            need.wanted.remove(neighbour);
        }
        self.blobs.touched.insert(digest);
    }

    // ---- what is here

    /// What is here of an attachment, or whether more of it comes, has changed: whoever wants it is served, or told.
    pub(super) fn answer_wanters(&mut self, digest: BlobDigest) {
        let wanted = self
            .blobs
            .needs
            .get(&digest)
            .map(|need| need.wanted.clone());
        for neighbour in wanted.unwrap_or_default() {
            self.has_more(&neighbour, digest);
            self.pump(&neighbour);
        }
    }

    /// Whoever wants an attachment of senders for whom it is too large is told, once that holds for all of them.
    pub(super) fn refuse_wanters(&mut self, digest: BlobDigest) {
        let wanted = self
            .blobs
            .needs
            .get(&digest)
            .map(|need| need.wanted.clone());
        for neighbour in wanted.unwrap_or_default() {
            let served = self.blobs.served.get(&neighbour);
            let senders = served.map_or(&[][..], |served| served.senders_of(&digest));
            let mut refused = senders.iter().map(|s| self.is_refused(&digest, s));
            if !senders.is_empty() && refused.all(|is_refused| is_refused) {
                let absent = Absent {
                    digest,
                    too_large: true,
                };
                self.say(&neighbour, Frame::Absent(absent));
                self.end_want(&neighbour, digest);
            }
        }
    }

    /// Tells a neighbour when there is nothing for it for now, and when there is again.
    fn has_more(&mut self, neighbour: &UnitId, digest: BlobDigest) {
        let here = self.blobs.here.get(&digest);
        // What another gives is passed on as it comes.
        let comes = matches!(self.blobs.fetches.get(&digest), Some(Fetch::Asked { from, .. }) if from != neighbour);
        let Some(served) = self.blobs.served.get_mut(neighbour) else {
            return;
        };
        let Some(serving) = served.wants.get_mut(&digest) else {
            return;
        };
        if here.is_some_and(|here| serving.is_complete(here)) {
            self.end_want(neighbour, digest);
            return;
        }
        let has = here.is_some_and(|here| {
            !serving.leases.is_empty()
                || matches!(serving.described, Described::UnderWay(_))
                || serving.next(here, 1).is_some()
        });
        let is_active = served.active.contains(&digest);
        if is_active && !has && !comes {
            take_out(&mut served.active, &digest);
            let absent = Absent {
                digest,
                too_large: false,
            };
            self.say(neighbour, Frame::Absent(absent));
        } else if !is_active && !serving.is_called && (has || comes) && self.is_open(neighbour) {
            if let Some(serving) = self
                .blobs
                .served
                .get_mut(neighbour)
                .and_then(|served| served.wants.get_mut(&digest))
            {
                serving.is_called = true;
            }
            self.say(neighbour, Frame::Present(digest));
        }
    }

    /// What was sent of an attachment was of something that is not here any more.
    pub(super) fn forget_given(&mut self, digest: BlobDigest) {
        for served in self.blobs.served.values_mut() {
            if let Some(serving) = served.wants.get_mut(&digest) {
                serving.leases.clear();
                serving.given = serving.theirs.clone();
            }
        }
    }

    // ---- sessions

    /// A session has come or gone: that a want is no longer one may have been said and not been heard.
    pub(super) fn doubt_wants(&mut self, neighbour: &UnitId) {
        let until = self.now.mono + WANT_IN_DOUBT_MS;
        let served = self.blobs.served.get_mut(neighbour);
        let mut doubted = Vec::new();
        for (digest, serving) in served.into_iter().flat_map(|served| &mut served.wants) {
            serving.until = serving.until.min(until);
            doubted.push((serving.until, *digest));
        }
        for (until, digest) in doubted {
            self.blobs
                .wake(until, Alarm::Stale(neighbour.clone(), digest));
        }
    }

    /// A session is gone; what was leased to it goes again.
    pub(in crate::delivery) fn blobs_session_down(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
    ) {
        let is_open = self.is_open(neighbour);
        #[cfg(any(test, feature = "sim"))]
        if self.has(crate::delivery::Bug::ForgottenRuns) && is_open {
            return;
        }
        let mut wanted = Vec::new();
        if let Some(served) = self.blobs.served.get_mut(neighbour) {
            if !is_open {
                served.active.clear();
            }
            for (digest, serving) in &mut served.wants {
                serving.give_back(|lease| lease.session == session || !is_open);
                if !is_open || serving.described == Described::UnderWay(session) {
                    serving.described = Described::No;
                }
                serving.is_called &= is_open;
                wanted.push(*digest);
            }
        }
        if is_open {
            self.blobs_say_again(neighbour);
            for digest in wanted {
                self.has_more(neighbour, digest);
            }
        } else {
            self.unask_all(neighbour);
        }
    }

    /// Gives a session of a neighbour the next run, against one of its bulk grants; false when there is none, or none to give.
    pub(in crate::delivery) fn pump_run(&mut self, neighbour: &UnitId) -> bool {
        let until = self.now.mono + LEASE_MS;
        let Some(served) = self.blobs.served.get(neighbour) else {
            return false;
        };
        if served.unacked() + RUN_CHUNKS > UNACKED_CHUNKS_MAX {
            return false;
        }
        let here = &self.blobs.here;
        let found = served.active.iter().find_map(|digest| {
            let run = served
                .wants
                .get(digest)?
                .next(here.get(digest)?, RUN_CHUNKS)?;
            Some((*digest, run))
        });
        let Some((digest, run)) = found else {
            return false;
        };
        let Some(session) = self.session_for_run(neighbour) else {
            return false;
        };
        let served = self.blobs.served.get_mut(neighbour);
        let Some(serving) = served.and_then(|served| served.wants.get_mut(&digest)) else {
            return false;
        };
        if let Some(live) = self.sessions.get_mut(&session) {
            live.use_grant(false);
        }
        if run.describe {
            serving.described = Described::UnderWay(session);
        }
        if run.count > 0 {
            let last = run.first + run.count - 1;
            serving.given.insert_range(run.first, last);
            serving.leases.push(Lease {
                first: run.first,
                last,
                session,
                until,
                is_doubted: false,
            });
        }
        self.outputs.push_back(Output::BlobRun {
            session,
            digest,
            describe: run.describe,
            first: run.first,
            count: run.count,
        });
        true
    }

    /// The session that takes the next run: chosen as for a batch of bulk.
    fn session_for_run(&self, neighbour: &UnitId) -> Option<SessionId> {
        let size = RUN_CHUNKS * CHUNK_BYTES;
        let served = self.blobs.served.get(neighbour)?;
        let left = served.active.iter().map(|digest| {
            let count = self.blobs.here.get(digest).map_or(0, Here::count);
            let given = served
                .wants
                .get(digest)
                .map_or(0, |want| want.given.count());
            count.saturating_sub(given)
        });
        let waiting = left.sum::<u64>().saturating_mul(CHUNK_BYTES);
        self.choose_session(neighbour, false, size, waiting.max(size))
    }

    /// Bytes of runs that a session of a neighbour was given and that are not acked.
    pub(in crate::delivery) fn runs_under_way(
        &self,
        neighbour: &UnitId,
        session: SessionId,
    ) -> u64 {
        let Some(served) = self.blobs.served.get(neighbour) else {
            return 0;
        };
        let wants = served.active.iter().filter_map(|d| served.wants.get(d));
        let leases = wants.flat_map(|serving| &serving.leases);
        let leases = leases.filter(|lease| lease.session == session);
        leases
            .map(|lease| (lease.last - lease.first + 1) * CHUNK_BYTES)
            .sum()
    }

    /// A session has fallen silent, and another one answers: runs that it was given go over that one, if `rest` may, and what was said over
    /// it of attachments is said again.
    pub(in crate::delivery) fn shift_runs(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        rest: bool,
    ) {
        let mut told = Vec::new();
        if let Some(served) = self.blobs.served.get_mut(neighbour) {
            for (digest, serving) in &mut served.wants {
                if rest {
                    serving.give_back(|lease| lease.session == session);
                    if serving.described == Described::UnderWay(session) {
                        serving.described = Described::No;
                    }
                }
                if !served.active.contains(digest) {
                    told.push((*digest, serving.is_called));
                }
            }
        }
        for (digest, is_called) in told {
            let absent = Absent {
                digest,
                too_large: false,
            };
            let frame = match is_called {
                true => Frame::Present(digest),
                false => Frame::Absent(absent),
            };
            self.say(neighbour, frame);
        }
        self.blobs_say_again(neighbour);
    }

    /// Whether it is a run's turn, though parcels wait.
    pub(in crate::delivery) fn is_runs_turn(&mut self, neighbour: &UnitId) -> bool {
        match self.blobs.served.get_mut(neighbour) {
            Some(served) if served.is_active() => {
                served.turns = served.turns.wrapping_add(1);
                served.turns.is_multiple_of(SHARE_TURNS)
            }
            _ => false,
        }
    }

    // ---- time

    pub(in crate::delivery) fn next_blob_timer(&self) -> Option<Millis> {
        if self.blobs.fetches.is_empty()
            && self.blobs.served.is_empty()
            && self.blobs.alarms.is_empty()
        {
            return None;
        }
        let alarm = self.blobs.alarms.first().map(|(at, _)| *at);
        let ack = self.next_blob_ack();
        alarm
            .into_iter()
            .chain(ack)
            .chain(self.next_lease_over())
            .min()
    }

    /// When a run has taken too long over a session that has another beside it, or is in doubt.
    fn next_lease_over(&self) -> Option<Millis> {
        let served = self.blobs.served.iter();
        let leases = served.flat_map(|(neighbour, served)| {
            let has_several = served.is_active() && self.has_several(neighbour);
            let wants = served.active.iter().filter_map(|d| served.wants.get(d));
            let leases = wants.flat_map(|serving| &serving.leases);
            leases.filter(move |lease| has_several || lease.is_doubted)
        });
        leases.map(|lease| lease.until).min()
    }

    fn has_several(&self, neighbour: &UnitId) -> bool {
        let hop = self.hops.get(neighbour);
        hop.is_some_and(|hop| self.open_sessions(hop).nth(1).is_some())
    }

    pub(in crate::delivery) fn tick_blobs(&mut self) {
        let now = self.now.mono;
        while let Some((at, _)) = self.blobs.alarms.first()
            && *at <= now
        {
            let Some((_, alarm)) = self.blobs.alarms.pop_first() else {
                break;
            };
            self.blobs.due.remove(&alarm);
            match alarm {
                Alarm::Seek(digest) => self.seek_again(digest),
                Alarm::Linger(digest) => self.end_linger(digest),
                Alarm::Stale(neighbour, digest) => {
                    let served = self.blobs.served.get(&neighbour);
                    let want = served.and_then(|served| served.wants.get(&digest));
                    match want.map(|want| want.until) {
                        Some(until) if until > now => {
                            self.blobs.wake(until, Alarm::Stale(neighbour, digest))
                        }
                        Some(_) => self.end_want(&neighbour, digest),
                        None => {}
                    }
                }
            }
        }
        let mut late = Vec::new();
        for (neighbour, served) in &self.blobs.served {
            if served.is_active() {
                late.push((neighbour.clone(), self.has_several(neighbour)));
            }
        }
        for (neighbour, has_several) in late {
            if let Some(served) = self.blobs.served.get_mut(&neighbour) {
                for serving in served.wants.values_mut() {
                    serving
                        .give_back(|lease| lease.until <= now && (has_several || lease.is_doubted));
                }
            }
            self.pump(&neighbour);
        }
    }
}
