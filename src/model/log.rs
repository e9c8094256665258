//! The durable log as the pure core sees it: records go in, and each has its place.

/// A record's number: without gaps, across the whole life of a journal.
pub type Lsn = u64;

/// Where a record with a payload stands in the journal.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    bincode::Encode,
    bincode::Decode,
)]
pub struct Location {
    /// The segment file's number.
    pub segment: u32,
    /// Where the record's frame starts in the file, in bytes.
    pub offset: u32,
    /// The length of the whole frame, in bytes.
    pub len: u32,
}

/// What a record carries beside itself: a parcel's bytes.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// These bytes.
    New(&'a [u8]),
    /// The payload of an earlier record, when a segment is given up.
    Copy(Location),
}

/// Takes records, in order. A record is durable once the driver says that its number is synced.
pub trait Log {
    /// Appends a record and tells its number and place.
    fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location);
}
