//! Reading a segment from its bytes: frames, holes, and what to make of a hole.

use super::frame::{
    ALIGN, Bad, Frame, GROUP_END, HEADER, Head, LEN_MIN, Place, Salt, has_unwritten_sector, is_zero,
};
use crate::model::Lsn;

/// A stretch of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// A whole, undamaged frame.
    Frame(Frame<'a>),
    /// Bytes that are no frame.
    Hole(Hole),
}

/// Bytes where a frame should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) offset: usize,
    pub(super) len: usize,
    /// The frame's header, if that is whole.
    pub(super) head: Option<Head>,
    /// A sector of it reads as if nothing had been written there.
    pub(super) unwritten: bool,
}

impl Piece<'_> {
    fn head(&self) -> Option<Head> {
        match self {
            Self::Frame(frame) => Some(frame.head),
            Self::Hole(hole) => hole.head,
        }
    }

    pub(super) fn end(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.location.offset as usize + frame.location.len as usize,
            Self::Hole(hole) => hole.offset + hole.len,
        }
    }
}

/// Everything in `bytes`, a whole segment file, from `start` on; zeros at the end are left out.
pub(super) fn scan<'a>(bytes: &'a [u8], salt: &Salt, segment: u32, start: usize) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut at = start.next_multiple_of(ALIGN);
    while let Some(rest) = bytes.get(at..) {
        let Ok(offset) = u32::try_from(at) else { break };
        if rest.len() < LEN_MIN && is_zero(rest) {
            break;
        }
        let piece = match Frame::parse(rest, salt, Place { segment, offset }) {
            Ok(frame) => Piece::Frame(frame),
            Err(Bad::Content(head) | Bad::Short(head)) => {
                let len = head.frame_len().map_or(rest.len(), |len| len as usize);
                Piece::Hole(Hole {
                    offset: at,
                    len: len.min(rest.len()),
                    head: Some(head),
                    unwritten: has_unwritten_sector(bytes, at..at + len),
                })
            }
            Err(Bad::Header) => {
                let next = next_header(bytes, salt, segment, at + ALIGN);
                let end = match next {
                    Some(next) => next,
                    None => match end_of_content(bytes, at) {
                        Some(end) => end,
                        None => break,
                    },
                };
                Piece::Hole(Hole {
                    offset: at,
                    len: end - at,
                    head: None,
                    unwritten: has_unwritten_sector(bytes, at..at + HEADER),
                })
            }
        };
        at = piece.end();
        pieces.push(piece);
    }
    pieces
}

fn next_header(bytes: &[u8], salt: &Salt, segment: u32, start: usize) -> Option<usize> {
    (start..bytes.len()).step_by(ALIGN).find(|at| {
        let (Some(rest), Ok(offset)) = (bytes.get(*at..), u32::try_from(*at)) else {
            return false;
        };
        Head::parse(rest, salt, Place { segment, offset }).is_some()
    })
}

/// Where the zeros at the end of `bytes` begin, aligned as frames are; `None` when all from `start` on is zeros.
pub(super) fn end_of_content(bytes: &[u8], start: usize) -> Option<usize> {
    let content = bytes.get(start..)?;
    let (mut end, mut last) = (0, None);
    for chunk in content.chunks(4096) {
        if !is_zero(chunk) {
            last = chunk
                .iter()
                .rposition(|byte| *byte != 0)
                .map(|i| start + end + i + 1);
        }
        end += chunk.len();
    }
    last.map(|end| end.next_multiple_of(ALIGN).min(bytes.len()))
}

/// Where the last write of a journal ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// How many pieces stay.
    pub(super) pieces: usize,
    /// Where the bytes that go begin.
    pub(super) offset: usize,
}

/// Finds what a crash left of a group or a write in the last segment with content; `None` when everything there counts.
///
/// A write begins only after the one before it is durable, and a frame says with which record its write began. So a hole was torn by
/// a crash only if nothing behind it belongs to a later write than what is missing, and if it looks like a torn one: a sector of it is
/// unwritten. Then the whole group goes, with all that follows: nobody was ever told that it is durable. Every other hole is damage
/// to what may have been promised, and all that is whole stays. In doubt it is damage, so that nothing is lost in silence.
pub(super) fn torn(pieces: &[Piece<'_>], start: usize, mut before: Lsn) -> Option<Cut> {
    // The latest beginning of a write at or behind each piece.
    let mut write_first = vec![0; pieces.len()];
    let mut latest = 0;
    for (piece, first) in pieces.iter().zip(&mut write_first).rev() {
        latest = piece.head().map_or(latest, |h| latest.max(h.write_first()));
        *first = latest;
    }
    let mut cut = Cut {
        pieces: 0,
        offset: start,
    };
    for (i, (piece, write_first)) in pieces.iter().zip(write_first).enumerate() {
        match piece {
            Piece::Frame(frame) if frame.head.flags & GROUP_END != 0 => {
                cut = Cut {
                    pieces: i + 1,
                    offset: piece.end(),
                };
            }
            Piece::Frame(_) => {}
            Piece::Hole(hole) if hole.unwritten && write_first <= before.saturating_add(1) => {
                return Some(cut);
            }
            // The end of a group may be in it.
            Piece::Hole(_) => {
                cut = Cut {
                    pieces: i + 1,
                    offset: piece.end(),
                };
            }
        }
        before = piece.head().map_or(before, |head| before.max(head.lsn));
    }
    (cut.pieces < pieces.len()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::segment;

    const SALT: Salt = Salt([3; 32]);
    const START: usize = segment::START as usize;

    /// A segment of frames: (number, first number of the write, whether the group ends).
    fn segment_of(frames: &[(Lsn, Lsn, bool)]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![0; START];
        let mut offsets = Vec::new();
        for (lsn, first, ends) in frames {
            let record = vec![*lsn as u8; 700];
            let head = Head {
                flags: if *ends { GROUP_END } else { 0 },
                record_len: 700,
                payload_len: 0,
                behind: (lsn - first) as u32,
                lsn: *lsn,
                record_crc: crc32fast::hash(&record),
                payload_crc: 0,
            };
            let at = bytes.len();
            offsets.push(at);
            bytes.resize(at + head.frame_len().expect("short") as usize, 0);
            bytes[at + HEADER..at + HEADER + 700].copy_from_slice(&record);
            let place = Place {
                segment: 1,
                offset: at as u32,
            };
            head.seal(&mut bytes[at..], &SALT, place);
        }
        bytes.resize(bytes.len() + 5000, 0);
        (bytes, offsets)
    }

    fn kept(bytes: &[u8]) -> Vec<Lsn> {
        let pieces = scan(bytes, &SALT, 1, START);
        let cut = torn(&pieces, START, 0).map_or(pieces.len(), |cut| cut.pieces);
        let numbers = pieces[..cut].iter().filter_map(|piece| match piece {
            Piece::Frame(frame) => Some(frame.head.lsn),
            Piece::Hole(_) => None,
        });
        numbers.collect()
    }

    const FRAMES: [(Lsn, Lsn, bool); 5] = [
        (1, 1, true),
        (2, 2, false),
        (3, 2, true),
        (4, 2, false),
        (5, 2, true),
    ];

    #[test]
    fn a_torn_sector_takes_its_group_and_all_behind_it() {
        let (whole, offsets) = segment_of(&FRAMES);
        assert_eq!(kept(&whole), [1, 2, 3, 4, 5]);
        for (frame, rest) in [
            (1, vec![1]),
            (2, vec![1]),
            (3, vec![1, 2, 3]),
            (4, vec![1, 2, 3]),
        ] {
            let mut bytes = whole.clone();
            let sector = offsets[frame].next_multiple_of(512);
            bytes[sector..sector + 512].fill(0);
            assert_eq!(kept(&bytes), rest, "frame {frame}");
        }
    }

    #[test]
    fn a_group_without_its_end_goes() {
        let (bytes, offsets) = segment_of(&FRAMES);
        let mut bytes = bytes;
        bytes[offsets[4]..].fill(0);
        assert_eq!(kept(&bytes), [1, 2, 3]);
    }

    #[test]
    fn a_flipped_bit_takes_its_record_alone() {
        let (whole, offsets) = segment_of(&FRAMES);
        for frame in 0..FRAMES.len() {
            for at in [0, 20, HEADER + 100] {
                let mut bytes = whole.clone();
                bytes[offsets[frame] + at] ^= 4;
                let all = (1..=5).filter(|lsn| *lsn != frame as u64 + 1);
                assert_eq!(
                    kept(&bytes),
                    all.collect::<Vec<_>>(),
                    "frame {frame} byte {at}"
                );
            }
        }
    }

    #[test]
    fn a_lost_sector_of_an_earlier_write_is_damage_and_no_tear() {
        let writes = [(1, 1, true), (2, 2, true), (3, 3, true), (4, 4, true)];
        let (mut bytes, offsets) = segment_of(&writes);
        let sector = offsets[2].next_multiple_of(512);
        assert!(sector + 512 < offsets[3]);
        bytes[sector..sector + 512].fill(0);
        assert_eq!(kept(&bytes), [1, 2, 4]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let mut dice = crate::sim::disk::SplitMix64(1);
        for _ in 0..200 {
            let len = dice.below(5000) as usize;
            let mut bytes: Vec<u8> = (0..len).map(|_| dice.next_u64() as u8).collect();
            if dice.chance(50) {
                let (frames, _) = segment_of(&FRAMES);
                bytes = frames;
                for _ in 0..dice.below(20) {
                    let at = dice.below(bytes.len() as u64) as usize;
                    bytes[at] = dice.next_u64() as u8;
                }
                bytes.truncate(dice.below(bytes.len() as u64) as usize);
            }
            let pieces = scan(&bytes, &SALT, 1, START);
            torn(&pieces, START, 0);
        }
    }
}
