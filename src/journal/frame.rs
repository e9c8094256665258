//! One record's bytes in a segment.
//!
//! ```text
//! 0   u16  mark                 24  u32  CRC32 of the record
//! 2   u8   flags                28  u32  CRC32 of the payload
//! 3   u8   zero                 32  [8]  check of all the above
//! 4   u32  record length        40       record, payload, zeros up to a multiple of 8
//! 8   u32  payload length            [8] end mark: the check again
//! 12  u32  records of the same write before it
//! 16  u64  number (lsn)
//! ```
//!
//! Little-endian. The check is 8 bytes of BLAKE3 keyed with the segment's salt, over the header and the frame's own place. A
//! message's body is chosen by strangers and lies in a segment as it is; whoever looks for frames behind a damaged place must not
//! find one in a body. Without the salt, which never leaves the disk, nobody can write one, and a true frame copied to another place
//! is not one either.
//!
//! The end mark is never zero. So, cut at sector boundaries, the first piece of a frame has its mark, the last has its end mark, and
//! a piece that reads as zeros was not written ([`has_unwritten_sector`]), unless 512 bytes of content are zeros.

use std::ops::Range;

use super::{
    disk::SECTOR,
    flaw::{Flaw, planted},
};
use crate::model::{Location, Lsn};

/// Bytes of a frame before the record.
pub(super) const HEADER: usize = 40;
const END: usize = 8;
/// Frames start at multiples of this, and their lengths are.
pub(super) const ALIGN: usize = 8;
/// The shortest frame.
pub(super) const LEN_MIN: usize = HEADER + END;
const MARK: u16 = 0xca5e;
const CHECKED: usize = HEADER - CHECK;
const CHECK: usize = 8;

/// The last record of its group.
pub(super) const GROUP_END: u8 = 1;
/// The payload is the location of another frame, which has the true payload.
pub(super) const FORWARD: u8 = 2;

/// A segment's salt: the key of its frames' checks.
#[derive(Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct Salt(pub(super) [u8; 32]);

impl Salt {
    /// The salt of segment `number` in a run of the journal that was given `seed`.
    pub(super) fn of(seed: &[u8; 32], number: u32) -> Self {
        Self(*blake3::keyed_hash(seed, &number.to_le_bytes()).as_bytes())
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Where a frame starts: it is checked together with the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) flags: u8,
    pub(super) record_len: u32,
    pub(super) payload_len: u32,
    /// How many records of the same write, in the same segment, stand before it.
    pub(super) behind: u32,
    pub(super) lsn: Lsn,
    pub(super) record_crc: u32,
    pub(super) payload_crc: u32,
}

/// The length of the frame of a record and a payload, `None` when it cannot be told in 32 bits.
pub(super) fn len(record: usize, payload: usize) -> Option<u32> {
    let content = record
        .checked_add(payload)?
        .checked_next_multiple_of(ALIGN)?;
    u32::try_from(content.checked_add(LEN_MIN)?).ok()
}

impl Head {
    /// The whole frame's length in bytes.
    pub(super) fn frame_len(&self) -> Option<u32> {
        len(self.record_len as usize, self.payload_len as usize)
    }

    /// The first number of the write that the record came with: everything before it was durable when that write began.
    pub(super) fn write_first(&self) -> Lsn {
        self.lsn.saturating_sub(self.behind.into())
    }

    fn record(&self) -> Range<usize> {
        HEADER..HEADER + self.record_len as usize
    }

    /// Where the payload stands in the frame.
    pub(super) fn payload(&self) -> Range<usize> {
        let start = self.record().end;
        start..start + self.payload_len as usize
    }

    /// Writes header and end mark into `frame`, which has record and payload in their places.
    pub(super) fn seal(&self, frame: &mut [u8], salt: &Salt, place: Place) {
        let mut bytes = [0; HEADER];
        bytes[0..2].copy_from_slice(&MARK.to_le_bytes());
        bytes[2] = self.flags;
        bytes[4..8].copy_from_slice(&self.record_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.behind.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lsn.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.record_crc.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.payload_crc.to_le_bytes());
        let check = check(&bytes, salt, place);
        bytes[CHECKED..].copy_from_slice(&check);
        frame[..HEADER].copy_from_slice(&bytes);
        let end = frame.len() - END;
        frame[end..].copy_from_slice(&check);
    }

    /// Reads the header at the start of `bytes`; `None` when it is not one that was written at `place`.
    pub(super) fn parse(bytes: &[u8], salt: &Salt, place: Place) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        if bytes[0..2] != MARK.to_le_bytes() {
            return None;
        }
        // Not compared in constant time: nobody gets to try.
        if check(bytes, salt, place) != bytes[CHECKED..] {
            return None;
        }
        let u32_at = |at: usize| {
            let mut field = [0; 4];
            field.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(field)
        };
        let head = Self {
            flags: bytes[2],
            record_len: u32_at(4),
            payload_len: u32_at(8),
            behind: u32_at(12),
            lsn: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
            record_crc: u32_at(24),
            payload_crc: u32_at(28),
        };
        head.frame_len().map(|_| head)
    }
}

/// Never all zeros, so that it shows that its sector was written.
fn check(header: &[u8; HEADER], salt: &Salt, place: Place) -> [u8; CHECK] {
    let mut input = [0; CHECKED + 8];
    input[..CHECKED].copy_from_slice(&header[..CHECKED]);
    input[CHECKED..CHECKED + 4].copy_from_slice(&place.segment.to_le_bytes());
    input[CHECKED + 4..].copy_from_slice(&place.offset.to_le_bytes());
    let hash = blake3::keyed_hash(&salt.0, &input);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.as_bytes()[..CHECK]);
    check[0] |= 1;
    check
}

/// A whole, undamaged frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) head: Head,
    pub(super) location: Location,
    pub(super) record: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The header is not one, or belongs to another place.
    Header,
    /// The header is true, and the bytes end before the frame does.
    Short(Head),
    /// The header is true, and record or payload are not what was written.
    Content(Head),
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, checked in full.
    pub(super) fn parse(bytes: &'a [u8], salt: &Salt, place: Place) -> Result<Self, Bad> {
        let head = Head::parse(bytes, salt, place).ok_or(Bad::Header)?;
        let len = head.frame_len().ok_or(Bad::Header)?;
        let short = Bad::Short(head);
        bytes.get(..len as usize).ok_or(short)?;
        let record = bytes.get(head.record()).ok_or(short)?;
        let payload = bytes.get(head.payload()).ok_or(short)?;
        let whole = crc32fast::hash(record) == head.record_crc
            && crc32fast::hash(payload) == head.payload_crc;
        if !whole && !planted(Flaw::SumNotChecked) {
            return Err(Bad::Content(head));
        }
        Ok(Self {
            head,
            location: Location {
                segment: place.segment,
                offset: place.offset,
                len,
            },
            record,
            payload,
        })
    }

    /// The payload, if it is in this frame.
    pub(super) fn own_payload(&self) -> &'a [u8] {
        match self.head.flags & FORWARD {
            0 => self.payload,
            _ => &[],
        }
    }

    /// Where the payload is: in this frame, or in the one that it points to.
    pub(super) fn payload_location(&self) -> Location {
        if self.head.flags & FORWARD == 0 {
            return self.location;
        }
        forward_target(self.payload).unwrap_or(self.location)
    }
}

/// The payload of a frame that points to another.
pub(super) fn forward(to: Location) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0..4].copy_from_slice(&to.segment.to_le_bytes());
    bytes[4..8].copy_from_slice(&to.offset.to_le_bytes());
    bytes[8..12].copy_from_slice(&to.len.to_le_bytes());
    bytes
}

fn forward_target(payload: &[u8]) -> Option<Location> {
    let (fields, rest) = payload.as_chunks::<4>();
    match (fields, rest) {
        ([segment, offset, len], []) => Some(Location {
            segment: u32::from_le_bytes(*segment),
            offset: u32::from_le_bytes(*offset),
            len: u32::from_le_bytes(*len),
        }),
        _ => None,
    }
}

/// Whether `range` of a segment, cut at sector boundaries, has a piece that is all zeros: a sector that was not written.
pub(super) fn has_unwritten_sector(segment: &[u8], range: Range<usize>) -> bool {
    let mut start = range.start;
    while start < range.end {
        let end = (start / SECTOR + 1) * SECTOR;
        match segment.get(start..end.min(range.end)) {
            Some(piece) if is_zero(piece) => return true,
            Some(_) => start = end,
            None => return true,
        }
    }
    false
}

/// Whether all bytes are zero; as fast as memory is read, in a debug build too.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: &[u8; 4096] = &[0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| ZEROS.starts_with(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt([7; 32]);
    const PLACE: Place = Place {
        segment: 3,
        offset: 1024,
    };

    fn frame(record: &[u8], payload: &[u8]) -> Vec<u8> {
        let head = Head {
            flags: GROUP_END,
            record_len: record.len() as u32,
            payload_len: payload.len() as u32,
            behind: 2,
            lsn: 0x1_0000_0005,
            record_crc: crc32fast::hash(record),
            payload_crc: crc32fast::hash(payload),
        };
        let mut bytes = vec![0; head.frame_len().expect("short") as usize];
        bytes[head.record()].copy_from_slice(record);
        bytes[head.payload()].copy_from_slice(payload);
        head.seal(&mut bytes, &SALT, PLACE);
        bytes
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let bytes = frame(b"record", b"a payload");
        let read = Frame::parse(&bytes, &SALT, PLACE).expect("whole");
        assert_eq!(
            (read.record, read.payload),
            (&b"record"[..], &b"a payload"[..])
        );
        assert_eq!(read.head.lsn, 0x1_0000_0005);
        assert_eq!(read.head.write_first(), 0x1_0000_0003);
        assert_eq!(read.location.len as usize, bytes.len());
        assert_eq!(bytes.len() % ALIGN, 0);
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_counts() {
        let whole = frame(b"record", b"payload");
        for bit in 0..(HEADER + 13) * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bytes, &SALT, PLACE).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_true_frame_is_none_at_another_place_or_under_another_salt() {
        let bytes = frame(b"record", b"payload");
        let elsewhere = [
            Place {
                segment: 4,
                ..PLACE
            },
            Place {
                offset: 1032,
                ..PLACE
            },
        ];
        for place in elsewhere {
            assert_eq!(Frame::parse(&bytes, &SALT, place).err(), Some(Bad::Header));
        }
        let other = Salt::of(&[1; 32], 3);
        assert_eq!(Frame::parse(&bytes, &other, PLACE).err(), Some(Bad::Header));
    }

    #[test]
    fn a_cut_frame_says_so() {
        let bytes = frame(b"record", b"payload");
        for len in 0..bytes.len() {
            let bad = Frame::parse(&bytes[..len], &SALT, PLACE).expect_err("cut");
            assert_eq!(matches!(bad, Bad::Short(_)), len >= HEADER, "{len}");
        }
    }

    #[test]
    fn only_a_lost_sector_looks_unwritten() {
        let mut segment = vec![0; 1024];
        segment.extend(frame(&[9; 700], &[8; 900]));
        let range = 1024..segment.len();
        assert!(!has_unwritten_sector(&segment, range.clone()));
        for sector in range.start / SECTOR..range.end.div_ceil(SECTOR) {
            let mut torn = segment.clone();
            let end = ((sector + 1) * SECTOR).min(torn.len());
            torn[sector * SECTOR..end].fill(0);
            assert!(
                has_unwritten_sector(&torn, range.clone()),
                "sector {sector}"
            );
        }
    }

    #[test]
    fn a_pointer_to_another_frame_reads_back() {
        let location = Location {
            segment: 1,
            offset: 2,
            len: 3,
        };
        assert_eq!(forward_target(&forward(location)), Some(location));
        assert_eq!(forward_target(b"short"), None);
    }
}
