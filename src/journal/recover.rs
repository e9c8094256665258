//! Opening a journal: what is on the disk becomes state again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use super::{
    Settings,
    checkpoint::{self, Found, Preface, Unfit},
    content::{Content, is_written},
    disk::{Disk, File, read_whole},
    draft,
    flaw::{Flaw, planted},
    frame::{Frame, LEN_MIN, Salt, is_zero},
    front::{CheckpointState, Journal, Spare},
    quarantine::Quarantine,
    recovery::{Cause, Damage, OpenError, Recovery, Replay, Torn},
    room::{Account, Accounts},
    scan::{Cut, Hole, Piece, end_of_content, scan, torn},
    segment::{self, Header, START},
    shared::{Shared, Written, lock},
    write::make,
};
use crate::model::Lsn;

/// Segments with higher numbers are not ours: a journal that wrote 16 MiB a second would come here after 2,000 years.
const NUMBER_MAX: u32 = u32::MAX - 1024;

impl<D: Disk> Journal<D> {
    /// Opens the journal in `disk`, an empty folder or one that a journal has used, and hands all that it holds to `replay`.
    ///
    /// `seed` is 32 random bytes, new at each start: from it come the salts that keep strangers' bytes from being taken for records.
    /// When it returns, everything that it handed out is durable. Damaged data never makes it fail; see [`Recovery`].
    pub fn open(
        disk: D,
        settings: Settings,
        seed: [u8; 32],
        replay: &mut impl Replay,
    ) -> Result<(Self, Recovery), OpenError> {
        let settings = settings.bounded();
        let mut recoverer = Recoverer {
            disk: disk.clone(),
            replay,
            report: Recovery::default(),
            salts: BTreeMap::new(),
            accounts: Accounts::default(),
            next_lsn: 1,
            since: 0,
            unresolved: None,
            quarantine: Quarantine::new(disk.clone(), settings.quarantine_bytes_max),
            content: Content::default(),
            has_both: true,
        };
        let names = disk.list().map_err(OpenError::Folder)?;
        let numbers: BTreeSet<u32> = names
            .iter()
            .filter_map(|name| segment::number(name))
            .filter(|number| *number <= NUMBER_MAX)
            .collect();
        let checkpoint = recoverer.load_checkpoint(&names)?;
        let (start, mut next_number) = match &checkpoint {
            Some((preface, ..)) => {
                recoverer.take_over(preface, &numbers);
                let kept = preface.segments.iter().map(|kept| kept.number + 1);
                (
                    (preface.segment, preface.offset),
                    kept.max().unwrap_or(1).max(preface.segment),
                )
            }
            None => ((1, START), 1),
        };
        for number in numbers.range(..start.0) {
            recoverer.keep_older(*number);
        }
        let (last, empty) = recoverer.find_last(numbers.range(start.0..).rev().copied());
        if let Some(last) =
            last.filter(|_| checkpoint.is_none() || !planted(Flaw::CheckpointTrusted))
        {
            recoverer.replay_segments(&numbers, start, last)?;
            next_number = next_number.max(last + 1);
        }
        recoverer.finish();
        recoverer.remove_superseded(&names);
        let draft_bytes = draft::bytes(settings.segment_bytes);
        let draft = draft::set_aside(&disk, draft_bytes);
        let spare = recoverer.reuse_spare(&empty, next_number, settings.segment_bytes);
        disk.sync().map_err(OpenError::Folder)?;

        let Recoverer {
            report,
            salts,
            accounts,
            since,
            has_both,
            ..
        } = recoverer;
        let salt_before = salts.get(&(next_number - 1)).copied();
        let salt_before = salt_before.unwrap_or(Salt([0; 32]));
        let (header, spare) = match spare {
            Some((header, file)) => (header, Ok(file)),
            None => {
                let header = Header {
                    number: next_number,
                    salt: Salt::of(&seed, next_number),
                    salt_before,
                };
                (header, make(&disk, &header, settings.segment_bytes))
            }
        };
        let shared = Shared::new(disk, report.last, salts);
        let spare = spare.map(|file| lock(&shared.tail).spare = Some(file));
        let journal = Self {
            shared: Arc::new(shared),
            settings,
            seed,
            last: report.last,
            current: None,
            next: (next_number, header.salt),
            salt_before,
            accounts,
            pending: Vec::new(),
            start: None,
            open: None,
            part_bytes: 0,
            spent: bytes::BytesMut::new(),
            expected: 0,
            in_flight: false,
            bytes_in_flight: 0,
            stuck: None,
            spare: if spare.is_ok() {
                Spare::Ready
            } else {
                Spare::Missing
            },
            short: spare.is_err(),
            checkpoint: CheckpointState {
                draft_bytes: draft.map_or(0, |()| draft_bytes),
                bytes: checkpoint.as_ref().map_or(0, |(_, bytes, _)| *bytes),
                state_bytes: checkpoint.as_ref().map_or(0, |(_, _, bytes)| *bytes),
                since,
                forced: !report.is_clean() || report.from_copy || !has_both,
                ..CheckpointState::default()
            },
        };
        Ok((journal, report))
    }
}

struct Recoverer<'a, D: Disk, R> {
    disk: D,
    replay: &'a mut R,
    report: Recovery,
    salts: BTreeMap<u32, Salt>,
    accounts: Accounts,
    next_lsn: Lsn,
    since: u64,
    /// The damage that the next missing numbers are due to.
    unresolved: Option<usize>,
    quarantine: Quarantine<D>,
    /// Where segments are read into.
    content: Content,
    /// Both files of the checkpoint are there, or there is none.
    has_both: bool,
}

impl<D: Disk, R: Replay> Recoverer<'_, D, R> {
    /// The newest checkpoint that is whole and that `replay` takes, with the size of its files and its state's.
    fn load_checkpoint(
        &mut self,
        names: &[String],
    ) -> Result<Option<(Preface, u64, u64)>, OpenError> {
        let mut found: Vec<Lsn> = Vec::new();
        for name in names {
            let unfinished = name.strip_suffix(checkpoint::UNFINISHED);
            if unfinished.is_some_and(|name| checkpoint::lsn(name).is_some()) {
                // Best effort: it is in nobody's way.
                let _ = self.disk.remove(name);
            }
            found.extend(checkpoint::lsn(name));
        }
        found.sort_unstable();
        found.dedup();
        for lsn in found.into_iter().rev() {
            let (name, copy) = (checkpoint::name(lsn), checkpoint::copy_name(lsn));
            for (file, is_copy) in [(&name, false), (&copy, true)] {
                if let Some((preface, bytes, state_bytes)) = self.checkpoint_in(file, lsn)? {
                    self.report.checkpoint = Some(lsn);
                    self.report.from_copy = is_copy;
                    self.has_both = names.contains(&name) && names.contains(&copy);
                    let files = 1 + u64::from(self.has_both);
                    return Ok(Some((preface, files * bytes, state_bytes)));
                }
            }
            let bytes = self
                .disk
                .open(&name)
                .and_then(|file| read_whole(&file, checkpoint::BYTES_MAX))
                .unwrap_or_default();
            let quarantine = self.quarantine.keep(&format!("{name}.bin"), &bytes);
            self.damage(Damage {
                cause: Cause::Checkpoint,
                segment: 0,
                offset: 0,
                bytes: bytes.len() as u64,
                lost: None,
                quarantine,
            });
        }
        Ok(None)
    }

    /// A crash between a checkpoint and the removal of those before it leaves these: they take room that nobody counts.
    fn remove_superseded(&self, names: &[String]) {
        let newest = self.report.checkpoint.filter(|_| !self.report.from_copy);
        let is_older = |name: &&String| checkpoint::lsn(name).is_some_and(|lsn| Some(lsn) < newest);
        let mut older = names.iter().filter(is_older).peekable();
        // That the newest one has its name is durable before.
        if older.peek().is_some() && self.disk.sync().is_ok() {
            for name in older {
                // Best effort: the next checkpoint tries again.
                let _ = self.disk.remove(name);
            }
        }
    }

    /// What the checkpoint in a file says, if it is whole and `replay` takes it, with the size of the file and its state's.
    fn checkpoint_in(
        &mut self,
        name: &str,
        lsn: Lsn,
    ) -> Result<Option<(Preface, u64, u64)>, OpenError> {
        let file = self.disk.open(name);
        match file.map_err(|_| Unfit::Damaged).and_then(Found::check) {
            Ok(found)
                if found.preface.lsn == lsn
                    && found
                        .state()
                        .is_ok_and(|mut state| self.replay.checkpoint(lsn, &mut state)) =>
            {
                let (bytes, state_bytes) = (found.bytes(), found.state_bytes());
                Ok(Some((found.preface, bytes, state_bytes)))
            }
            // Its records may be gone: without it, what they told would be lost.
            Err(Unfit::Version(version)) => Err(OpenError::Version {
                name: name.to_owned(),
                version,
            }),
            Ok(_) | Err(Unfit::Damaged) => Ok(None),
        }
    }

    fn take_over(&mut self, preface: &Preface, numbers: &BTreeSet<u32>) {
        self.next_lsn = preface.lsn.saturating_add(1);
        for kept in &preface.segments {
            self.salts.insert(kept.number, kept.salt);
            if !numbers.contains(&kept.number) {
                self.missing(kept.number);
            }
        }
    }

    fn missing(&mut self, segment: u32) {
        self.damage(Damage {
            cause: Cause::Missing,
            segment,
            offset: 0,
            bytes: 0,
            lost: None,
            quarantine: None,
        });
    }

    /// Takes note of a segment that lies before the checkpoint: its records are in the state, some payloads may be needed.
    fn keep_older(&mut self, number: u32) {
        let mut first = [0; START as usize];
        let opened = self.disk.open(&segment::name(number)).and_then(|file| {
            file.read_at(&mut first, 0)?;
            file.len()
        });
        if let Some(header) = Header::parse(&first, number) {
            self.salts.entry(number).or_insert(header.salt);
        }
        if opened.is_err() {
            self.unreadable(number);
        }
        self.account(number, opened.unwrap_or_default(), 0);
    }

    fn account(&mut self, number: u32, bytes: u64, last: Lsn) {
        let account = Account {
            bytes,
            last,
            sealed: true,
            ..Account::default()
        };
        self.accounts.0.insert(number, account);
    }

    fn unreadable(&mut self, segment: u32) {
        self.damage(Damage {
            cause: Cause::Unreadable,
            segment,
            offset: 0,
            bytes: 0,
            lost: None,
            quarantine: None,
        });
    }

    /// The last segment with anything in it, and the empty ones behind it. `numbers` from the last one backwards.
    fn find_last(&self, numbers: impl Iterator<Item = u32>) -> (Option<u32>, Vec<u32>) {
        let mut empty = Vec::new();
        for number in numbers {
            let file = self.disk.open(&segment::name(number));
            match file.and_then(|file| is_written(&file)) {
                Ok(false) => empty.push(number),
                Ok(true) | Err(_) => return (Some(number), empty),
            }
        }
        (None, empty)
    }

    fn replay_segments(
        &mut self,
        numbers: &BTreeSet<u32>,
        start: (u32, u32),
        last: u32,
    ) -> Result<(), OpenError> {
        let mut next = start.0;
        for &number in numbers.range(start.0..=last) {
            // What the checkpoint lists has been told.
            if number > next && !self.salts.contains_key(&next) {
                self.missing(next);
            }
            next = number + 1;
            let offset = if number == start.0 { start.1 } else { START };
            self.replay_segment(number, offset, number == last)?;
        }
        Ok(())
    }

    fn replay_segment(&mut self, number: u32, start: u32, is_last: bool) -> Result<(), OpenError> {
        let mut content = std::mem::take(&mut self.content);
        let opened = self.disk.open(&segment::name(number));
        let read = opened.and_then(|file| {
            let (bytes, file_len) = content.read(&file, start)?;
            Ok((file, bytes, file_len))
        });
        let replayed = match read {
            Ok((file, bytes, file_len)) => {
                self.replay_content(number, start, is_last, &file, bytes, file_len)
            }
            Err(_) => {
                self.unreadable(number);
                self.account(number, 0, 0);
                Ok(())
            }
        };
        self.content = content;
        replayed
    }

    fn replay_content(
        &mut self,
        number: u32,
        start: u32,
        is_last: bool,
        file: &D::File,
        bytes: &[u8],
        file_len: u64,
    ) -> Result<(), OpenError> {
        let in_order = |error| OpenError::Segment {
            segment: number,
            error,
        };
        let start = start as usize;
        let Some(salt) = self.salt_of(number, bytes) else {
            let head = bytes.get(..START as usize).unwrap_or(bytes);
            let cut = if is_last && is_zero(head) {
                // The segment was being made: its header was durable before its first record was.
                self.tear(number, 0, bytes);
                self.cut(file, 0, bytes).map_err(in_order)?;
                0
            } else {
                let end = end_of_content(bytes, 0).unwrap_or(0);
                self.hole(number, bytes, 0, end);
                end
            };
            self.account(number, cut as u64, self.next_lsn - 1);
            return Ok(());
        };
        self.salts.insert(number, salt);
        if bytes.len() < start {
            self.hole(number, bytes, bytes.len(), bytes.len());
        }
        let pieces = scan(bytes, &salt, number, start);
        let cut = match is_last && !planted(Flaw::TornGroupKept) {
            true => torn(&pieces, start, self.next_lsn - 1),
            false => None,
        };
        let kept = cut.map_or(pieces.len(), |cut| cut.pieces);
        for piece in pieces.iter().take(kept) {
            match piece {
                Piece::Frame(frame) => self.frame(number, bytes, frame),
                Piece::Hole(hole) => self.damaged(number, bytes, hole),
            }
        }
        let end = match cut {
            Some(Cut { offset, .. }) => {
                self.tear(number, offset, bytes);
                self.cut(file, offset, bytes).map_err(in_order)?;
                offset
            }
            None => pieces.last().map_or(start, Piece::end).min(bytes.len()),
        };
        if (end as u64) < file_len {
            // Best effort: it gives back room that was set aside.
            let _ = file.set_len(end as u64);
        }
        if is_last && !planted(Flaw::NotWrittenAgain) {
            // A process that was killed leaves bytes that the system has and the disk has not. After a sync that failed the system
            // takes them for written, so they are written once more.
            rewrite_last(file, bytes, pieces.get(..kept).unwrap_or_default()).map_err(in_order)?;
            file.sync_data().map_err(in_order)?;
        }
        self.account(number, end as u64, self.next_lsn - 1);
        Ok(())
    }

    /// The segment's salt: its own header has it twice, the checkpoint once, and the header of the segment behind it once.
    fn salt_of(&self, number: u32, bytes: &[u8]) -> Option<Salt> {
        if let Some(header) = Header::parse(bytes, number) {
            return Some(header.salt);
        }
        if let Some(salt) = self.salts.get(&number) {
            return Some(*salt);
        }
        let mut first = [0; START as usize];
        let next = self.disk.open(&segment::name(number + 1)).ok()?;
        next.read_at(&mut first, 0).ok()?;
        Header::parse(&first, number + 1).map(|header| header.salt_before)
    }

    fn frame(&mut self, number: u32, bytes: &[u8], frame: &Frame<'_>) {
        if frame.head.lsn < self.next_lsn {
            let start = frame.location.offset as usize;
            self.hole(number, bytes, start, start + frame.location.len as usize);
            return;
        }
        self.advance(number, frame.location.offset.into(), frame.head.lsn);
        self.since += u64::from(frame.location.len);
        self.report.replayed += 1;
        let (payload, location) = (frame.own_payload(), frame.payload_location());
        self.replay
            .record(frame.head.lsn, frame.record, payload, location);
    }

    /// Numbers up to the one before `lsn` should have come.
    fn advance(&mut self, segment: u32, offset: u64, lsn: Lsn) {
        let unresolved = self.unresolved.take();
        if lsn > self.next_lsn {
            let lost = Some((self.next_lsn, lsn - 1));
            match unresolved.and_then(|i| self.report.damage.get_mut(i)) {
                Some(damage) => damage.lost = lost,
                None => self.damage(Damage {
                    cause: Cause::Gap,
                    segment,
                    offset,
                    bytes: 0,
                    lost,
                    quarantine: None,
                }),
            }
            self.unresolved = None;
        }
        self.next_lsn = lsn.saturating_add(1);
    }

    fn damaged(&mut self, number: u32, bytes: &[u8], hole: &Hole) {
        let lost = hole
            .head
            .map(|head| head.lsn)
            .filter(|l| *l >= self.next_lsn);
        if let Some(lsn) = lost {
            self.advance(number, hole.offset as u64, lsn);
        }
        self.hole(number, bytes, hole.offset, hole.offset + hole.len);
        if let (Some(lsn), Some(damage)) = (lost, self.report.damage.last_mut()) {
            damage.lost = Some((lsn, lsn));
            self.unresolved = None;
        }
    }

    /// Reports the bytes from `start` to `end` and keeps them.
    fn hole(&mut self, segment: u32, bytes: &[u8], start: usize, end: usize) {
        let damaged = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
        let quarantine = self
            .quarantine
            .keep(&format!("{segment}-{start}.bin"), damaged);
        self.damage(Damage {
            cause: Cause::Bytes,
            segment,
            offset: start as u64,
            bytes: damaged.len() as u64,
            lost: None,
            quarantine,
        });
    }

    fn damage(&mut self, damage: Damage) {
        if self.report.damage.len() < Recovery::DAMAGE_MAX {
            let stands_for_records = !matches!(damage.cause, Cause::Checkpoint | Cause::Gap);
            self.unresolved = stands_for_records.then_some(self.report.damage.len());
            self.report.damage.push(damage);
        } else {
            self.report.damage_more += 1;
        }
    }

    fn tear(&mut self, segment: u32, offset: usize, bytes: &[u8]) {
        let end = end_of_content(bytes, offset).unwrap_or(offset);
        self.report.torn = Some(Torn {
            segment,
            offset: offset as u64,
            bytes: (end - offset) as u64,
        });
    }

    /// Cuts a file off. What goes is overwritten first, so that none of it comes back should the new length be lost.
    fn cut(&self, file: &D::File, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let end = end_of_content(bytes, offset).unwrap_or(offset);
        file.write_at(&vec![0; end - offset], offset as u64)?;
        file.sync_data()?;
        file.set_len(offset as u64)?;
        file.sync_data()
    }

    /// Numbers that were given out may have been lost with damage at the very end: they are not given out again.
    fn finish(&mut self) {
        let unresolved = self.unresolved.take();
        if let Some(damage) = unresolved.and_then(|i| self.report.damage.get_mut(i))
            && damage.cause == Cause::Bytes
            && damage.bytes > 0
        {
            let most = (damage.bytes / LEN_MIN as u64).max(1);
            let first = self.next_lsn;
            self.next_lsn = first.saturating_add(most);
            damage.lost = Some((first, self.next_lsn - 1));
        }
        self.report.last = self.next_lsn - 1;
    }

    /// Removes the empty segments at the end, but keeps the one that can be written to next.
    fn reuse_spare(
        &mut self,
        empty: &[u32],
        next_number: u32,
        segment_bytes: u32,
    ) -> Option<(Header, Written<D>)> {
        let mut spare = None;
        for &number in empty {
            if number == next_number {
                spare = self.open_spare(number, segment_bytes);
                if spare.is_some() {
                    continue;
                }
            }
            // Best effort: whoever makes a segment of that number removes it.
            let _ = self.disk.remove(&segment::name(number));
        }
        spare
    }

    fn open_spare(&self, number: u32, segment_bytes: u32) -> Option<(Header, Written<D>)> {
        let file = self.disk.open(&segment::name(number)).ok()?;
        let mut first = [0; START as usize];
        file.read_at(&mut first, 0).ok()?;
        let header = Header::parse(&first, number)?;
        let allocated = file.len().ok()?;
        if first[..] != header.encode() || allocated != u64::from(segment_bytes) {
            return None;
        }
        file.sync_data().ok()?;
        let written = Written {
            number,
            file,
            allocated,
        };
        Some((header, written))
    }
}

/// Writes the frames of the last write again, as they are.
fn rewrite_last(file: &impl File, bytes: &[u8], pieces: &[Piece<'_>]) -> io::Result<()> {
    let frames = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Frame(frame) => Some(frame),
            Piece::Hole(_) => None,
        })
    };
    let last_write = frames().map(|frame| frame.head.write_first()).max();
    let mut run = 0..0;
    for frame in frames().filter(|frame| Some(frame.head.write_first()) == last_write) {
        let start = frame.location.offset as usize;
        if run.end != start {
            file.write_at(bytes.get(run.clone()).unwrap_or_default(), run.start as u64)?;
            run.start = start;
        }
        run.end = start + frame.location.len as usize;
    }
    file.write_at(bytes.get(run.clone()).unwrap_or_default(), run.start as u64)
}
