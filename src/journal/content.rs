//! What stands in a segment, read for recovery into memory that is used for one segment after another.

use std::io;

use super::{
    disk::{File, read_chunks},
    frame::is_zero,
    segment::START,
};
use crate::codec::LARGE_BYTES;

/// Holds one segment at a time.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Zeros from `used` on.
    bytes: Vec<u8>,
    used: usize,
}

impl Content {
    /// The file's header and everything from `start` on, each byte at its place in the file, and the file's length. Between the two
    /// there are zeros. Zeros at the end of the file are left out, but never those before `start`.
    pub(super) fn read(&mut self, file: &impl File, start: u32) -> io::Result<(&[u8], u64)> {
        let file_len = file.len()?;
        let len = file_len.min(u32::MAX.into());
        let size = usize::try_from(len).map_err(io::Error::other)?;
        if let Some(used) = self.bytes.get_mut(..self.used) {
            used.fill(0);
        }
        if self.bytes.len() < size {
            self.bytes = vec![0; size.max(LARGE_BYTES)];
        }
        self.used = 0;
        let mut take = |at: u64, chunk: &[u8]| {
            if !is_zero(chunk) {
                let end = at as usize + chunk.len();
                self.bytes[at as usize..end].copy_from_slice(chunk);
                self.used = end;
            }
            true
        };
        let start = u64::from(start).max(START.into());
        read_chunks(file, 0, len.min(START.into()), &mut take);
        read_chunks(file, start, len, take);
        let shown = self.used.max(start.min(len) as usize);
        Ok((&self.bytes[..shown], file_len))
    }
}

/// Whether a segment's file has anything behind its header.
pub(super) fn is_written(file: &impl File) -> io::Result<bool> {
    let mut written = false;
    read_chunks(file, START.into(), file.len()?, |_, chunk| {
        written = !is_zero(chunk);
        !written
    });
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::Disk as _, sim::disk::SimDisk};

    #[test]
    fn a_segment_is_read_without_the_zeros_at_its_end_and_nothing_is_left_of_the_one_before() {
        let disk = SimDisk::new();
        let long = disk.create("long").expect("made");
        long.allocate(1 << 20).expect("room");
        long.write_at(&[7; 200_000], 0).expect("written");
        let short = disk.create("short").expect("made");
        short.allocate(1 << 20).expect("room");
        short.write_at(&[1; 2000], 0).expect("written");
        short.write_at(&[2; 10], 100_000).expect("written");

        let mut content = Content::default();
        let (bytes, len) = content.read(&long, START).expect("read");
        assert_eq!((bytes[..200_000] == [7; 200_000], len), (true, 1 << 20));
        assert!(bytes.len() < 300_000 && is_zero(&bytes[200_000..]));

        let (bytes, _) = content.read(&short, START).expect("read");
        assert_eq!(bytes[..2000], [1; 2000]);
        assert!(is_zero(&bytes[2000..100_000]));
        assert_eq!(bytes[100_000..100_010], [2; 10]);

        let (bytes, _) = content.read(&short, 500_000).expect("read");
        assert_eq!(bytes.len(), 500_000, "there is nothing there or behind");
        assert_eq!(bytes[..1024], [1; 1024]);
        assert!(is_zero(&bytes[1024..]), "what comes before is not read");
        assert!(is_written(&short).expect("read"));
    }
}
