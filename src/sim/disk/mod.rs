//! A disk in memory that forgets, tears, flips, fills up and fails, and does it again for the same seed.

mod dice;
mod inode;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use dice::SplitMix64;

use self::inode::Inode;
use crate::journal::{Disk, File};

/// What a [`SimDisk`] can be told to fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`File::read_at`].
    Read,
    /// [`File::write_at`].
    Write,
    /// [`File::sync_data`] and [`Disk::sync`].
    Sync,
    /// [`File::allocate`] and [`Disk::create`].
    Allocate,
}

/// `EIO`: the device gave up.
const DEVICE_ERROR: i32 = 5;

/// A folder in memory with the promises of [`Disk`] and not one more.
///
/// Clones are the same disk. [`crash`](SimDisk::crash) is the power cut: it makes every open file useless, then keeps, loses or tears
/// what was not synced. Failures are injected by count ([`fail`](SimDisk::fail)), a full disk by capacity. After a failed sync a later
/// one succeeds and leaves out what the failed one should have written, as on Linux, so that whoever tries again loses data here too. The same calls and the
/// same seeds give the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    prefix: Arc<str>,
}

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    inner: Arc<Mutex<Inner>>,
    inode: usize,
    life: u64,
}

#[derive(Debug, Default)]
struct Inner {
    inodes: Vec<Inode>,
    /// Inodes that lost their name and may still be open, or come back with a crash.
    unnamed: Vec<usize>,
    /// Inodes to be used again.
    vacant: Vec<usize>,
    /// The folder as it looks now.
    names: BTreeMap<String, usize>,
    /// The folder as it is on stable storage.
    durable_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    capacity: Option<u64>,
    used: u64,
    failures: Vec<Failure>,
    /// Counts crashes; a file that was opened in an earlier life is gone.
    life: u64,
    operations: u64,
    /// Operations that failed as they were told to, or found no room.
    troubles: u64,
    /// At this count of operations the power goes.
    power_until: Option<u64>,
}

#[derive(Debug)]
struct Failure {
    operation: Operation,
    after: u64,
    times: u64,
}

/// A change of the folder that was not synced.
#[derive(Clone, Debug)]
enum Change {
    Create(String, usize),
    Remove(String, usize),
    Rename(String, String, usize),
}

impl Inner {
    /// Counts an operation; an error when the power is gone.
    fn tick(&mut self) -> io::Result<()> {
        if self.power_is_gone() {
            return Err(io::Error::other("the power is gone"));
        }
        self.operations += 1;
        Ok(())
    }

    fn power_is_gone(&self) -> bool {
        self.power_until
            .is_some_and(|until| self.operations >= until)
    }

    fn step(&mut self, operation: Operation) -> io::Result<()> {
        self.tick()?;
        if self.failures.is_empty() {
            return Ok(());
        }
        let Some(i) = self.failures.iter().position(|f| f.operation == operation) else {
            return Ok(());
        };
        let failure = &mut self.failures[i];
        if failure.after > 0 {
            failure.after -= 1;
            return Ok(());
        }
        failure.times = failure.times.saturating_sub(1);
        if failure.times == 0 {
            self.failures.remove(i);
        }
        self.troubles += 1;
        Err(io::Error::from_raw_os_error(DEVICE_ERROR))
    }

    /// Accounts for a file that grows to `len`.
    fn grow(&mut self, inode: usize, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.inodes[inode].len);
        if more > 0 && self.inodes[inode].named {
            if self.capacity.is_some_and(|max| self.used + more > max) {
                self.troubles += 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.used += more;
        }
        Ok(())
    }

    fn new_inode(&mut self) -> usize {
        if let Some(inode) = self.vacant.pop() {
            self.inodes[inode] = Inode::default();
            return inode;
        }
        self.inodes.push(Inode::default());
        self.inodes.len() - 1
    }

    fn unname(&mut self, inode: usize) {
        self.used -= self.inodes[inode].len;
        self.inodes[inode].named = false;
        self.unnamed.push(inode);
    }

    fn count_used(&self) -> u64 {
        self.names.values().map(|i| self.inodes[*i].len).sum()
    }

    fn crash(&mut self, seed: u64, tear: bool) {
        let mut dice = SplitMix64(seed);
        self.life += 1;
        self.failures.clear();
        self.power_until = None;
        let mut names = std::mem::take(&mut self.durable_names);
        let fate = if tear { 1 } else { dice.below(4) };
        let changes = std::mem::take(&mut self.changes);
        let stop = dice.below(changes.len() as u64 + 1);
        for (i, change) in changes.into_iter().enumerate() {
            let keep = match fate {
                0 => false,
                1 => true,
                2 => (i as u64) < stop,
                _ => dice.chance(50),
            };
            if !keep {
                continue;
            }
            match change {
                Change::Create(name, inode) => drop(names.insert(name, inode)),
                Change::Remove(name, inode) => {
                    if names.get(&name) == Some(&inode) {
                        names.remove(&name);
                    }
                }
                Change::Rename(from, to, inode) => {
                    if names.get(&from) == Some(&inode) {
                        names.remove(&from);
                    }
                    names.insert(to, inode);
                }
            }
        }
        let named: std::collections::BTreeSet<usize> = names.values().copied().collect();
        self.vacant.clear();
        self.unnamed.clear();
        for (i, inode) in self.inodes.iter_mut().enumerate() {
            if named.contains(&i) {
                inode.crash(&mut dice, tear);
                inode.named = true;
                inode.handles = 0;
            } else {
                *inode = Inode::default();
                self.vacant.push(i);
            }
        }
        self.durable_names = names.clone();
        self.names = names;
        self.used = self.count_used();
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk without a bound.
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
            prefix: "".into(),
        }
    }

    /// Cuts the power. Each file and each change of the folder since its last sync is kept, lost, or torn, as `seed` has it. Files
    /// that are open fail from now on, and injected failures are forgotten.
    pub fn crash(&self, seed: u64) {
        lock(&self.inner).crash(seed, false);
    }

    /// As [`crash`](SimDisk::crash), but nothing is left to chance: the changes of the folder are kept, and of each write that was not
    /// synced every other sector.
    pub fn tear(&self, seed: u64) {
        lock(&self.inner).crash(seed, true);
    }

    /// Lets the next `times` operations of a kind fail with an i/o error, after `after` more that do not.
    pub fn fail(&self, operation: Operation, after: u64, times: u64) {
        lock(&self.inner).failures.push(Failure {
            operation,
            after,
            times,
        });
    }

    /// Lets every operation fail, without an effect, after `operations` more: the power goes in the middle of something. Follow it with
    /// [`crash`](SimDisk::crash).
    pub fn cut_power_after(&self, operations: u64) {
        let mut inner = lock(&self.inner);
        inner.power_until = Some(inner.operations + operations);
    }

    /// Forgets the failures that were to come.
    pub fn heal(&self) {
        lock(&self.inner).failures.clear();
    }

    /// Forgets the failures that were to come of one kind.
    pub fn heal_of(&self, operation: Operation) {
        let failures = &mut lock(&self.inner).failures;
        failures.retain(|failure| failure.operation != operation);
    }

    /// Bounds all files together, in bytes.
    pub fn set_capacity(&self, bytes_max: Option<u64>) {
        lock(&self.inner).capacity = bytes_max;
    }

    /// The lengths of all files together, in bytes.
    pub fn used(&self) -> u64 {
        lock(&self.inner).used
    }

    /// How many operations failed as they were told to, or found no room.
    pub fn troubles(&self) -> u64 {
        lock(&self.inner).troubles
    }

    /// Does something while nothing fails.
    pub fn untroubled<T>(&self, what: impl FnOnce() -> T) -> T {
        let failures = std::mem::take(&mut lock(&self.inner).failures);
        let done = what();
        lock(&self.inner).failures = failures;
        done
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        lock(&self.inner).operations
    }

    /// Flips one bit of a file; false when it has no such byte.
    pub fn flip(&self, name: &str, bit: u64) -> bool {
        let mut inner = lock(&self.inner);
        let Some(&inode) = inner.names.get(&self.full(name)) else {
            return false;
        };
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let Some(byte) = inner.inodes[inode].bytes.get_mut(byte) else {
            return false;
        };
        *byte ^= 1 << (bit % 8);
        true
    }

    /// Every file's name and bytes, folders in it included.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = lock(&self.inner);
        let mut files = BTreeMap::new();
        for (name, inode) in &inner.names {
            let inode = &inner.inodes[*inode];
            let mut bytes = inode.bytes.clone();
            bytes.resize(inode.len as usize, 0);
            files.insert(name.clone(), bytes);
        }
        files
    }

    /// A copy that goes its own way, with nothing open.
    pub fn fork(&self) -> Self {
        let copy = Self::new();
        {
            let files = self.files();
            let mut inner = lock(&copy.inner);
            for (name, bytes) in files {
                let inode = inner.new_inode();
                inner.inodes[inode].len = bytes.len() as u64;
                inner.inodes[inode].bytes = bytes;
                inner.inodes[inode].named = true;
                inner.names.insert(name.clone(), inode);
                inner.durable_names.insert(name, inode);
            }
            inner.used = inner.count_used();
        }
        copy
    }

    fn full(&self, name: &str) -> String {
        let mut full = String::with_capacity(self.prefix.len() + name.len());
        full.push_str(&self.prefix);
        full.push_str(name);
        full
    }

    fn file(&self, inner: &mut Inner, inode: usize) -> SimFile {
        inner.inodes[inode].handles += 1;
        SimFile {
            inner: Arc::clone(&self.inner),
            inode,
            life: inner.life,
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut inner = lock(&self.inner);
        inner.step(Operation::Allocate)?;
        let name = self.full(name);
        if inner.names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = inner.new_inode();
        inner.names.insert(name.clone(), inode);
        inner.inodes[inode].named = true;
        inner.changes.push(Change::Create(name, inode));
        Ok(self.file(&mut inner, inode))
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let mut inner = lock(&self.inner);
        inner.tick()?;
        match inner.names.get(&self.full(name)).copied() {
            Some(inode) => Ok(self.file(&mut inner, inode)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let inner = lock(&self.inner);
        Ok(inner
            .names
            .range(self.prefix.to_string()..)
            .map_while(|(name, _)| name.strip_prefix(&*self.prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.tick()?;
        let name = self.full(name);
        let inode = inner.names.remove(&name).ok_or(io::ErrorKind::NotFound)?;
        inner.unname(inode);
        inner.changes.push(Change::Remove(name, inode));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.tick()?;
        let (from, to) = (self.full(from), self.full(to));
        let inode = inner.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = inner.names.insert(to.clone(), inode) {
            inner.unname(replaced);
        }
        inner.changes.push(Change::Rename(from, to, inode));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        inner.step(Operation::Sync)?;
        inner.changes.clear();
        inner.durable_names = inner.names.clone();
        for inode in std::mem::take(&mut inner.unnamed) {
            if inner.inodes[inode].handles == 0 {
                inner.vacant.push(inode);
                inner.inodes[inode] = Inode::default();
            } else {
                inner.unnamed.push(inode);
            }
        }
        Ok(())
    }

    fn folder(&self, name: &str) -> io::Result<Self> {
        Ok(Self {
            inner: Arc::clone(&self.inner),
            prefix: format!("{}{name}/", self.prefix).into(),
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        if inner.life == self.life {
            inner.inodes[self.inode].handles -= 1;
        }
    }
}

impl SimFile {
    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = lock(&self.inner);
        if inner.life == self.life {
            Ok(inner)
        } else {
            Err(io::Error::other("the file was open when the power went"))
        }
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl File for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.step(Operation::Write)?;
        inner.grow(self.inode, offset + bytes.len() as u64)?;
        inner.inodes[self.inode].write(bytes, place(offset)?, true);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.inner()?;
        inner.step(Operation::Read)?;
        let inode = &inner.inodes[self.inode];
        let n = inode.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..n];
        let stored = inode.bytes.get(place(offset)?..).unwrap_or_default();
        let stored = &stored[..stored.len().min(n)];
        buffer[..stored.len()].copy_from_slice(stored);
        buffer[stored.len()..].fill(0);
        Ok(n)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner()?;
        let failed = inner.step(Operation::Sync);
        let power_is_gone = inner.power_is_gone();
        let inode = &mut inner.inodes[self.inode];
        match failed {
            Ok(()) => inode.sync(),
            Err(_) if power_is_gone => {}
            Err(_) => inode.fail_sync(),
        }
        failed
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.step(Operation::Allocate)?;
        if len > inner.inodes[self.inode].len {
            inner.grow(self.inode, len)?;
            inner.inodes[self.inode].set_len(len, true);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.tick()?;
        inner.grow(self.inode, len)?;
        if inner.inodes[self.inode].named {
            inner.used -= inner.inodes[self.inode].len.saturating_sub(len);
        }
        inner.inodes[self.inode].set_len(len, true);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut inner = self.inner()?;
        inner.tick()?;
        Ok(inner.inodes[self.inode].len)
    }
}
