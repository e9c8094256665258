//! What can be wrong: with the room, with what a neighbour sent, with the disk.

use std::io;

use crate::model::{BlobDigest, Ranges};

/// An attachment is not kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is larger than any may be.
    #[error("an attachment has at most attachment-mib = {mib_max} MiB")]
    TooLarge {
        /// The bound.
        mib_max: u32,
    },
    /// All attachments together take what they may.
    #[error("the attachments here fill attachments-mib = {mib_max} MiB")]
    Full {
        /// The bound.
        mib_max: u32,
    },
    /// The file system has no room.
    #[error("the disk of the attachments is full")]
    DiskFull,
    /// The disk failed.
    #[error("the attachments' folder: {0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

/// An attachment's transfer cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The neighbour's list is not the one of this digest and size.
    #[error("the chunk list does not prove {0}")]
    WrongList(BlobDigest),
    /// Its transfer has begun with another size: one of the two neighbours is wrong, and its last chunk would show which. Whoever trusts
    /// this one more removes the attachment and begins it anew.
    #[error("its transfer has begun with a size of {0} bytes")]
    OtherSize(u64),
    /// There is no room for it, or the disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A chunk is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// No transfer of this attachment has begun, or it was removed.
    #[error("{0} is not being received")]
    Unknown(BlobDigest),
    /// The attachment ends before this chunk.
    #[error("chunk {number} of {chunks}")]
    PastTheEnd {
        /// The chunk.
        number: u64,
        /// How many there are.
        chunks: u64,
    },
    /// Every chunk has 64 KiB, but for the last one.
    #[error("chunk {number} has {given} bytes instead of {wanted}")]
    WrongLength {
        /// The chunk.
        number: u64,
        /// Its bytes as they came.
        given: usize,
        /// Its bytes as they must be.
        wanted: usize,
    },
    /// They are not the bytes that the list tells of.
    #[error("chunk {0} has other bytes")]
    WrongBytes(u64),
    /// The list on the disk is not that of the digest, so that nothing can be held against it.
    #[error("its list is damaged on the disk")]
    DamagedList,
    /// The disk failed, or is full.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was received cannot be made durable or whole.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// No transfer of this attachment has begun, or it was removed.
    #[error("{0} is not being received")]
    Unknown(BlobDigest),
    /// These chunks have not come, or were found to be damaged on the disk.
    #[error("{} chunks are missing", .0.count())]
    Missing(Ranges),
    /// The disk failed, or is full. What was not made durable before counts as not received: a sync that failed is not tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A chunk is not handed out.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The attachment is not here, or this chunk has not come yet.
    #[error("not here")]
    NotHere,
    /// The attachment ends before this chunk.
    #[error("past the end")]
    PastTheEnd,
    /// The bytes on the disk are not those that were written.
    #[error("chunk {0} is damaged on the disk")]
    Damaged(u64),
    /// The list on the disk is not that of the digest.
    #[error("its list is damaged on the disk")]
    DamagedList,
    /// The disk failed.
    #[error("the attachments' folder: {0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Whether it will be so the next time too: bytes are wrong or not there, or the device cannot read them. Anything else, such as too
    /// many open files, may pass.
    pub fn is_lasting(&self) -> bool {
        /// `EIO`: the device gave up.
        const DEVICE_ERROR: i32 = 5;
        match self {
            Self::NotHere | Self::PastTheEnd | Self::Damaged(_) | Self::DamagedList => true,
            Self::Io(error) => match error.raw_os_error() {
                Some(code) => code == DEVICE_ERROR || error.kind() == io::ErrorKind::NotFound,
                // Too few bytes.
                None => true,
            },
        }
    }
}
