//! One file: what was written, and how to undo what was not synced.

use super::SplitMix64;
use crate::journal::SECTOR;

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What was written, without the zeros at the end.
    pub(super) bytes: Vec<u8>,
    pub(super) len: u64,
    /// What was done since the last sync, each with what it overwrote in `before`.
    undo: Vec<Undo>,
    before: Vec<u8>,
    /// A sync failed. This is what is durable since; a later sync adds only what was written after it.
    lost: Option<Box<(Vec<u8>, u64)>>,
    /// Whether the folder has it, and it counts as used.
    pub(super) named: bool,
    pub(super) handles: u32,
}

#[derive(Clone, Copy, Debug)]
enum Undo {
    /// `len` bytes at `offset` were written; the file was `file_len` long.
    Write {
        offset: usize,
        len: usize,
        file_len: u64,
    },
    /// The length was set; it was `file_len`, with `len` bytes beyond the new end.
    Cut { to: u64, len: usize, file_len: u64 },
}

impl Inode {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize, keep: bool) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if keep {
            self.before.extend_from_slice(&self.bytes[offset..end]);
            self.undo.push(Undo::Write {
                offset,
                len: bytes.len(),
                file_len: self.len,
            });
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.len = self.len.max(end as u64);
    }

    pub(super) fn set_len(&mut self, to: u64, keep: bool) {
        let kept = self.bytes.len().min(to as usize);
        if keep {
            self.before.extend_from_slice(&self.bytes[kept..]);
            self.undo.push(Undo::Cut {
                to,
                len: self.bytes.len() - kept,
                file_len: self.len,
            });
        }
        self.bytes.truncate(kept);
        self.len = to;
    }

    pub(super) fn sync(&mut self) {
        if let Some(lost) = &mut self.lost {
            let (bytes, durable_len) = &mut **lost;
            for step in &self.undo {
                match *step {
                    Undo::Write { offset, len, .. } => {
                        // Cut off again since: what remains is there.
                        let end = (offset + len).min(self.bytes.len());
                        if offset < end {
                            bytes.resize(bytes.len().max(end), 0);
                            bytes[offset..end].copy_from_slice(&self.bytes[offset..end]);
                        }
                    }
                    Undo::Cut { to, .. } => bytes.truncate(to as usize),
                }
            }
            *durable_len = self.len;
            bytes.truncate(self.len as usize);
        }
        self.undo.clear();
        self.before.clear();
    }

    /// A sync that fails: what was to become durable does not, and is taken for written.
    pub(super) fn fail_sync(&mut self) {
        if self.lost.is_some() {
            self.undo.clear();
            self.before.clear();
            return;
        }
        let (bytes, len) = (self.bytes.clone(), self.len);
        self.undo_all();
        let durable = (std::mem::replace(&mut self.bytes, bytes), self.len);
        self.lost = Some(Box::new(durable));
        self.len = len;
    }

    /// Back to what is durable. Returns what was undone, and what each write had written, last first.
    fn undo_all(&mut self) -> (Vec<Undo>, Vec<Vec<u8>>) {
        let undo = std::mem::take(&mut self.undo);
        let mut before = std::mem::take(&mut self.before);
        let mut done = Vec::with_capacity(undo.len());
        for step in undo.iter().rev() {
            match *step {
                Undo::Write {
                    offset,
                    len,
                    file_len,
                } => {
                    let old = before.split_off(before.len() - len);
                    done.push(self.bytes[offset..offset + len].to_vec());
                    self.bytes[offset..offset + len].copy_from_slice(&old);
                    self.len = file_len;
                    self.bytes.truncate(file_len as usize);
                }
                Undo::Cut { len, file_len, to } => {
                    let old = before.split_off(before.len() - len);
                    done.push(Vec::new());
                    self.bytes.truncate(to as usize);
                    if len > 0 {
                        self.bytes.resize(to as usize, 0);
                        self.bytes.extend(old);
                    }
                    self.len = file_len;
                }
            }
        }
        (undo, done)
    }

    /// Back to what is durable, then what `dice` keeps of the rest.
    /// `tear`: of each write every other sector is kept.
    pub(super) fn crash(&mut self, dice: &mut SplitMix64, tear: bool) {
        if let Some(lost) = self.lost.take() {
            self.undo.clear();
            self.before.clear();
            (self.bytes, self.len) = *lost;
            return;
        }
        let (undo, done) = self.undo_all();
        let fate = if tear { 4 } else { dice.below(4) };
        let stop = dice.below(undo.len() as u64 + 1);
        let luck = dice.next_u64();
        for (i, (step, written)) in undo.iter().zip(done.iter().rev()).enumerate() {
            match fate {
                0 => return,                     // wholly lost
                1 => {}                          // wholly kept
                2 if i as u64 >= stop => return, // cut in time
                _ => {}
            }
            match *step {
                Undo::Write { offset, len, .. } if fate >= 3 => {
                    let mut at = offset;
                    while at < offset + len {
                        let sector = at / SECTOR;
                        let end = ((sector + 1) * SECTOR).min(offset + len);
                        // How many of the steps this sector saw before the power went.
                        let seen = SplitMix64(luck ^ sector as u64).below(undo.len() as u64 + 1);
                        let kept = match tear {
                            true => (sector as u64 ^ luck) & 1 == 0,
                            false => (i as u64) < seen,
                        };
                        if kept {
                            self.write(&written[at - offset..end - offset], at, false);
                        }
                        at = end;
                    }
                }
                Undo::Write { offset, .. } => self.write(written, offset, false),
                Undo::Cut { to, .. } if fate != 3 || dice.chance(50) => self.set_len(to, false),
                Undo::Cut { .. } => {}
            }
        }
    }
}
