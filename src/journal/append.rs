//! A record gets its number, its place and its frame.

use bytes::Bytes;

use super::{
    disk::Disk,
    frame::{self, FORWARD, Frame, Head, Place, Salt},
    front::{Current, Journal, OpenFrame, PART_BYTES, Pending, Spare},
    segment,
    write::Start,
};
use crate::model::{Location, Log, Lsn, Payload};

/// Segments end here even inside a group, so that places fit in 32 bits. Groups are bounded far below by whoever makes them.
const SEGMENT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

impl<D: Disk> Log for Journal<D> {
    /// Never refuses: ask [`Journal::room`] before new work is admitted. A [`Payload::Copy`] that cannot be read stays where it is, and
    /// the old location comes back.
    ///
    /// # Panics
    ///
    /// When record and payload together pass 2 GiB.
    fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
        match payload {
            Payload::None => self.append_frame(record, &[], 0),
            Payload::New(bytes) => {
                let (lsn, location) = self.append_frame(record, bytes, 0);
                self.accounts.live(location);
                (lsn, location)
            }
            Payload::Copy(from) => match self.copy_of(from) {
                Some(bytes) => self.append(record, Payload::New(&bytes)),
                None => {
                    self.accounts.unreadable(from.segment);
                    let (lsn, _) = self.append_frame(record, &frame::forward(from), FORWARD);
                    (lsn, from)
                }
            },
        }
    }
}

impl<D: Disk> Journal<D> {
    fn append_frame(&mut self, record: &[u8], payload: &[u8], flags: u8) -> (Lsn, Location) {
        let len = frame::len(record.len(), payload.len())
            .filter(|len| u64::from(*len) < SEGMENT_BYTES_MAX)
            .unwrap_or_else(|| panic!("a record of {} and {} bytes", record.len(), payload.len()));
        let in_group = self.open.is_some();
        self.seal_frame(0);
        let place = self.place(len, in_group);
        self.last += 1;
        self.shared.set_appended(self.last);
        let location = Location {
            segment: place.segment,
            offset: place.offset,
            len,
        };
        self.checkpoint.since += u64::from(len);
        if self.failed() {
            return (self.last, location);
        }
        let part = self.part(place, len);
        let head = Head {
            flags,
            record_len: record.len() as u32,
            payload_len: payload.len() as u32,
            behind: (part.last - part.first) as u32,
            lsn: part.last,
            record_crc: crc32fast::hash(record),
            payload_crc: crc32fast::hash(payload),
        };
        let at = part.bytes.len();
        part.bytes.reserve(len as usize);
        part.bytes.resize(at + frame::HEADER, 0);
        part.bytes.extend_from_slice(record);
        part.bytes.extend_from_slice(payload);
        part.bytes.resize(at + len as usize, 0);
        self.open = Some(OpenFrame { head, at });
        (self.last, location)
    }

    /// Where a frame of `len` bytes goes; begins a new segment when it or its group may not fit.
    fn place(&mut self, len: u32, in_group: bool) -> Place {
        let segment_bytes = u64::from(self.settings.segment_bytes);
        let current = match self.current.take() {
            Some(current) => {
                let end = u64::from(current.end);
                let wanted = match self.lacks_next() {
                    // This one is used to its end.
                    true => len.into(),
                    false => self.expected.max(len.into()).max(segment_bytes / 8),
                };
                let goes_on = match current.allocated < segment_bytes {
                    true => self.spare != Spare::Ready,
                    false => end + wanted <= segment_bytes,
                };
                let fits = current.end == segment::START || goes_on;
                if end + u64::from(len) <= SEGMENT_BYTES_MAX && (in_group || fits) {
                    current
                } else {
                    self.roll(Some(current))
                }
            }
            None => self.roll(None),
        };
        let place = Place {
            segment: current.number,
            offset: current.end,
        };
        let end = current.end + len;
        let account = self.accounts.0.entry(place.segment).or_default();
        account.bytes = current.allocated.max(end.into());
        account.last = self.last + 1;
        self.current = Some(Current { end, ..current });
        place
    }

    fn roll(&mut self, ended: Option<Current>) -> Current {
        let header = self.next_header();
        let (number, salt) = self.next;
        // Until the write has told.
        let allocated = match self.lacks_next() {
            true => segment::START,
            false => self.settings.segment_bytes,
        };
        if let Some(ended) = &ended
            && let Some(account) = self.accounts.0.get_mut(&ended.number)
        {
            account.sealed = true;
            account.bytes = ended.end.into();
        }
        self.start = Some(Start {
            header,
            ended: ended.map(|ended| (ended.number, ended.end.into())),
        });
        self.shared.set_salt(number, salt);
        self.salt_before = salt;
        self.next = (number + 1, Salt::of(&self.seed, number + 1));
        self.spare = Spare::Wanted;
        Current {
            number,
            end: segment::START,
            allocated: allocated.into(),
        }
    }

    /// The pending part that the frame at `place` belongs to.
    fn part(&mut self, place: Place, len: u32) -> &mut Pending {
        let lsn = self.last;
        let before = self.pending.last();
        let before = before.filter(|part| part.place.segment == place.segment);
        if before.is_none_or(|part| part.bytes.len() + len as usize > PART_BYTES) {
            let (first, expected) = match before {
                Some(part) => (part.first, PART_BYTES),
                None => (lsn, self.part_bytes),
            };
            let mut bytes = std::mem::take(&mut self.spent);
            bytes.reserve(expected.max(len as usize));
            self.pending.push(Pending {
                place,
                bytes,
                first,
                last: lsn,
                start: self.start.take(),
            });
        }
        let last = self.pending.len() - 1;
        let part = &mut self.pending[last];
        part.last = lsn;
        part
    }

    /// Completes the last frame.
    pub(super) fn seal_frame(&mut self, flags: u8) {
        let (Some(open), Some(part)) = (&mut self.open, self.pending.last_mut()) else {
            return;
        };
        open.head.flags |= flags;
        let place = Place {
            offset: part.place.offset + open.at as u32,
            ..part.place
        };
        if let (Some(salt), Some(frame)) = (
            self.shared.salt(place.segment),
            part.bytes.get_mut(open.at..),
        ) {
            open.head.seal(frame, &salt, place);
        }
    }

    /// A payload, wherever it is by now.
    fn copy_of(&mut self, from: Location) -> Option<Bytes> {
        self.seal_frame(0);
        let place = Place {
            segment: from.segment,
            offset: from.offset,
        };
        for part in &self.pending {
            let skip = from.offset.checked_sub(part.place.offset);
            let Some(skip) = skip.filter(|_| part.place.segment == from.segment) else {
                continue;
            };
            let Some(bytes) = part.bytes.get(skip as usize..).filter(|b| !b.is_empty()) else {
                continue;
            };
            let frame = Frame::parse(bytes, &self.shared.salt(from.segment)?, place).ok()?;
            let whole = frame.location == from && frame.head.flags & FORWARD == 0;
            return whole.then(|| Bytes::copy_from_slice(frame.payload));
        }
        self.reader().read(from).ok()
    }
}
