//! Reading payloads back.

use std::{fmt, io, sync::Arc};

use bytes::Bytes;

use super::{
    disk::{Disk, File as _},
    frame::{Bad, FORWARD, Frame, LEN_MIN, Place},
    shared::Shared,
};
use crate::model::Location;

/// Reads payloads, on any thread, while the journal goes on. Cheap to clone.
pub struct Reader<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Disk> fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

/// A payload cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment is not there: it was removed because nothing in it was alive, or it was lost.
    #[error("journal segment {segment} is not there")]
    Gone {
        /// The segment's number.
        segment: u32,
    },
    /// What is at that place is not what was written there, or nothing was written there yet.
    #[error("the record in journal segment {} at byte {} is damaged", location.segment, location.offset)]
    Damaged {
        /// Where it should be.
        location: Location,
    },
    /// The storage failed.
    #[error("journal segment {segment} cannot be read: {error}")]
    Io {
        /// The segment's number.
        segment: u32,
        /// What the system said.
        error: io::Error,
    },
}

impl ReadError {
    /// Whether it will be so the next time too: the record is damaged or lost, or the device cannot read it. Anything else, such as too
    /// many open files, may pass.
    pub fn is_lasting(&self) -> bool {
        /// `EIO`: the device gave up.
        const DEVICE_ERROR: i32 = 5;
        match self {
            ReadError::Gone { .. } | ReadError::Damaged { .. } => true,
            ReadError::Io { error, .. } => error.raw_os_error() == Some(DEVICE_ERROR),
        }
    }
}

/// What a reader has read beyond what it was asked for: whoever reads records in the order in which they were appended asks the system
/// once for many.
#[derive(Debug, Default)]
pub struct Ahead {
    segment: u32,
    offset: u32,
    bytes: Bytes,
    /// Where the record ended that was asked for last.
    end: u64,
}

/// Bytes that are read ahead.
const AHEAD_BYTES: u32 = 32 * 1024;

impl Ahead {
    fn get(&self, at: Location) -> Option<Bytes> {
        let begin = at.offset.checked_sub(self.offset)? as usize;
        let range = begin..begin.checked_add(at.len as usize)?;
        let is_there = at.segment == self.segment && range.end <= self.bytes.len();
        is_there.then(|| self.bytes.slice(range))
    }
}

impl<D: Disk> Reader<D> {
    /// As [`Reader::read`]; a record that comes soon after the one before is looked for in what was read
    /// with that one.
    pub fn read_on(&self, location: Location, ahead: &mut Ahead) -> Result<Bytes, ReadError> {
        let place = Place {
            segment: location.segment,
            offset: location.offset,
        };
        let follows = location.segment == ahead.segment
            && u64::from(location.offset).wrapping_sub(ahead.end) < u64::from(AHEAD_BYTES);
        ahead.end = u64::from(location.offset) + u64::from(location.len);
        let found = ahead.get(location).map(|bytes| self.check(location, bytes));
        if let Some(Ok(payload)) = found {
            return Ok(payload);
        }
        (ahead.segment, ahead.bytes) = (location.segment, Bytes::new());
        if !follows || location.len > AHEAD_BYTES || self.shared.in_flight(place).is_some() {
            return self.read(location);
        }
        // What was written since.
        ahead.offset = location.offset;
        ahead.bytes = self.read_file(Location {
            len: AHEAD_BYTES,
            ..location
        })?;
        match ahead.get(location) {
            Some(bytes) => self.check(location, bytes),
            None => Err(ReadError::Damaged { location }),
        }
    }

    /// The payload of the record at `location`, as it was appended: header, record and payload are checked, and wrong bytes never come
    /// back. One `pread`. Good from the moment that the write with the record was taken; an earlier call says
    /// [`ReadError::Damaged`].
    pub fn read(&self, location: Location) -> Result<Bytes, ReadError> {
        let place = Place {
            segment: location.segment,
            offset: location.offset,
        };
        let bytes = match self.shared.in_flight(place) {
            Some(bytes) => bytes,
            None => self.read_file(location)?,
        };
        self.check(location, bytes)
    }

    /// The payload of the frame that these bytes are.
    fn check(&self, location: Location, bytes: Bytes) -> Result<Bytes, ReadError> {
        let place = Place {
            segment: location.segment,
            offset: location.offset,
        };
        let damaged = ReadError::Damaged { location };
        let Some(salt) = self.shared.salt(location.segment) else {
            return Err(damaged);
        };
        match Frame::parse(&bytes, &salt, place) {
            Ok(frame)
                if frame.location == location
                    && frame.head.flags & FORWARD == 0
                    && (1..=self.shared.appended()).contains(&frame.head.lsn) =>
            {
                Ok(bytes.slice(frame.head.payload()))
            }
            Ok(_) | Err(Bad::Header | Bad::Short(_) | Bad::Content(_)) => Err(damaged),
        }
    }

    fn read_file(&self, location: Location) -> Result<Bytes, ReadError> {
        let segment = location.segment;
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Gone { segment },
            _ => ReadError::Io { segment, error },
        };
        let file = self.shared.open(segment).map_err(io)?;
        let len = location.len as usize;
        let end = u64::from(location.offset) + u64::from(location.len);
        // A wrong location must not cost memory.
        if len < LEN_MIN || (len > 64 * 1024 && end > file.len().map_err(io)?) {
            return Err(ReadError::Damaged { location });
        }
        let mut bytes = vec![0; len];
        let read = file
            .read_at(&mut bytes, location.offset.into())
            .map_err(io)?;
        bytes.truncate(read);
        Ok(bytes.into())
    }
}
