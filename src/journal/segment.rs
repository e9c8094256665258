//! Segment files: their names, and what stands at their start.
//!
//! The first 1,024 bytes hold the same header twice, in two sectors, since without the salt in it no frame of the segment can be
//! told from a stranger's bytes. The header repeats the salt of the segment before, for the same reason. Frames follow.
//!
//! ```text
//! 0   [8]   "cgatelog"          16  [32]  salt
//! 8   u32   version, 1          48  [32]  salt of the segment before, zeros when there is none
//! 12  u32   segment's number    80  u32   CRC32 of all the above
//! ```

use super::{disk::SECTOR, frame::Salt};

/// Where the first frame stands.
pub(super) const START: u32 = 2 * SECTOR as u32;
const MAGIC: [u8; 8] = *b"cgatelog";
const VERSION: u32 = 1;
const CHECKED: usize = 80;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u32,
    pub(super) salt: Salt,
    pub(super) salt_before: Salt,
}

/// The name of a segment's file.
pub(super) fn name(number: u32) -> String {
    format!("seg-{number:010}.log")
}

/// The number of the segment whose file has this name.
pub(super) fn number(file_name: &str) -> Option<u32> {
    let number = file_name
        .strip_prefix("seg-")?
        .strip_suffix(".log")?
        .parse()
        .ok()?;
    (number > 0 && name(number) == file_name).then_some(number)
}

impl Header {
    /// The first [`START`] bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(SECTOR);
        copy.extend(MAGIC);
        copy.extend(VERSION.to_le_bytes());
        copy.extend(self.number.to_le_bytes());
        copy.extend(self.salt.0);
        copy.extend(self.salt_before.0);
        debug_assert_eq!(copy.len(), CHECKED);
        let crc = crc32fast::hash(&copy);
        copy.extend(crc.to_le_bytes());
        copy.resize(SECTOR, 0);
        copy.repeat(2)
    }

    /// The header in a file's first bytes, from whichever copy is whole; `None` when neither is that of segment `number`.
    pub(super) fn parse(bytes: &[u8], number: u32) -> Option<Self> {
        bytes
            .chunks(SECTOR)
            .take(2)
            .find_map(|copy| Self::parse_copy(copy, number))
    }

    fn parse_copy(copy: &[u8], number: u32) -> Option<Self> {
        let (checked, rest) = copy.split_at_checked(CHECKED)?;
        let crc: [u8; 4] = *rest.first_chunk()?;
        let (magic, fields) = checked.split_first_chunk::<8>()?;
        let (version, fields) = fields.split_first_chunk::<4>()?;
        let (found, fields) = fields.split_first_chunk::<4>()?;
        let (salt, fields) = fields.split_first_chunk::<32>()?;
        let (salt_before, _) = fields.split_first_chunk::<32>()?;
        let right = *magic == MAGIC
            && u32::from_le_bytes(*version) == VERSION
            && u32::from_le_bytes(*found) == number
            && crc32fast::hash(checked) == u32::from_le_bytes(crc);
        right.then_some(Self {
            number,
            salt: Salt(*salt),
            salt_before: Salt(*salt_before),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_of_the_header_is_enough() {
        let header = Header {
            number: 12,
            salt: Salt([1; 32]),
            salt_before: Salt([2; 32]),
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), START as usize);
        assert_eq!(Header::parse(&bytes, 12), Some(header));
        assert_eq!(Header::parse(&bytes, 13), None);
        for lost in [0, SECTOR] {
            let mut bytes = bytes.clone();
            bytes[lost + 20] ^= 1;
            assert_eq!(Header::parse(&bytes, 12), Some(header));
        }
        for len in 0..SECTOR {
            let whole = len >= CHECKED + 4;
            assert_eq!(Header::parse(&bytes[..len], 12).is_some(), whole);
        }
    }

    #[test]
    fn a_name_belongs_to_one_number() {
        assert_eq!(name(1), "seg-0000000001.log");
        assert_eq!(number("seg-0000000001.log"), Some(1));
        assert_eq!(number(&name(u32::MAX)), Some(u32::MAX));
        for other in [
            "seg-1.log",
            "seg-0000000000.log",
            "seg-+000000001.log",
            "seg-.log",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
