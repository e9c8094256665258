//! What the front, the writer and the readers of one journal share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::{collections::BTreeMap, io};

use bytes::Bytes;

use super::{
    disk::Disk,
    frame::{Place, Salt},
    segment,
};
use crate::model::Lsn;

/// Most segment files that readers keep open.
const OPEN_FILES_MAX: usize = 32;

pub(super) struct Shared<D: Disk> {
    pub(super) disk: D,
    /// Everything up to here is durable.
    synced: AtomicU64,
    /// Numbers up to here have been given out.
    appended: AtomicU64,
    failed: AtomicBool,
    salts: RwLock<BTreeMap<u32, Salt>>,
    in_flight: Mutex<Vec<(Place, Bytes)>>,
    pub(super) tail: Mutex<Tail<D>>,
    /// Most recently used last.
    open: Mutex<Vec<(u32, Arc<D::File>)>>,
}

/// The files that the writer has open.
pub(super) struct Tail<D: Disk> {
    pub(super) current: Option<Written<D>>,
    pub(super) spare: Option<Written<D>>,
}

pub(super) struct Written<D: Disk> {
    pub(super) number: u32,
    pub(super) file: D::File,
    pub(super) allocated: u64,
}

/// A thread that panicked while it held a lock left nothing half done that matters here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Disk> Shared<D> {
    pub(super) fn new(disk: D, last: Lsn, salts: BTreeMap<u32, Salt>) -> Self {
        Self {
            disk,
            synced: AtomicU64::new(last),
            appended: AtomicU64::new(last),
            failed: AtomicBool::new(false),
            salts: RwLock::new(salts),
            in_flight: Mutex::default(),
            tail: Mutex::new(Tail {
                current: None,
                spare: None,
            }),
            open: Mutex::default(),
        }
    }

    pub(super) fn synced(&self) -> Lsn {
        self.synced.load(Ordering::Acquire)
    }

    pub(super) fn set_synced(&self, lsn: Lsn) {
        let before = self.synced.swap(lsn, Ordering::Release);
        debug_assert!(before <= lsn, "{before} was synced before {lsn}");
    }

    pub(super) fn appended(&self) -> Lsn {
        self.appended.load(Ordering::Relaxed)
    }

    pub(super) fn set_appended(&self, lsn: Lsn) {
        self.appended.store(lsn, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn salt(&self, number: u32) -> Option<Salt> {
        let salts = self.salts.read().unwrap_or_else(PoisonError::into_inner);
        salts.get(&number).copied()
    }

    pub(super) fn set_salt(&self, number: u32, salt: Salt) {
        let mut salts = self.salts.write().unwrap_or_else(PoisonError::into_inner);
        salts.insert(number, salt);
    }

    /// Bytes that a write is about to bring to their place.
    pub(super) fn set_in_flight(&self, parts: Vec<(Place, Bytes)>) {
        *lock(&self.in_flight) = parts;
    }

    /// The bytes from `place` on, as far as they are under way.
    pub(super) fn in_flight(&self, place: Place) -> Option<Bytes> {
        lock(&self.in_flight).iter().find_map(|(start, bytes)| {
            let skip = place.offset.checked_sub(start.offset)? as usize;
            (start.segment == place.segment && skip < bytes.len()).then(|| bytes.slice(skip..))
        })
    }

    /// A segment's file, for reading.
    pub(super) fn open(&self, number: u32) -> io::Result<Arc<D::File>> {
        let mut open = lock(&self.open);
        if let Some(i) = open.iter().position(|(n, _)| *n == number) {
            if i + 1 < open.len() {
                let entry = open.remove(i);
                open.push(entry);
            }
            if let Some((_, file)) = open.last() {
                return Ok(Arc::clone(file));
            }
        }
        let file = Arc::new(self.disk.open(&segment::name(number))?);
        if open.len() >= OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((number, Arc::clone(&file)));
        Ok(file)
    }

    /// Removes a segment's file, and lets go of it so that its room is free at once.
    pub(super) fn remove(&self, number: u32) -> io::Result<()> {
        let removed = self.disk.remove(&segment::name(number));
        lock(&self.open).retain(|(n, _)| *n != number);
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => {
                if removed.is_ok() {
                    let mut salts = self.salts.write().unwrap_or_else(PoisonError::into_inner);
                    salts.remove(&number);
                }
                removed
            }
        }
    }
}
