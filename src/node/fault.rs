//! Why sessions end on this side.

use super::{
    command::End, dictionaries::TalkError, keeper::ChunksFault, outgoing::PackError,
    shared::Unavailable, workers::WorkerFailed,
};
use crate::{
    blob,
    delivery::{Close, generations::AgreementError},
    link::CloseCode,
    wire::{BatchError, FrameError, HandoverError},
};

/// Why the session is to end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Owner(#[from] Unavailable),
    #[error(transparent)]
    Worker(#[from] WorkerFailed),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("{0}")]
    Dictionary(#[from] TalkError),
    #[error("{0}")]
    Generation(#[from] AgreementError),
    #[error("{0}")]
    Handover(HandoverError),
    #[error("{0}")]
    Chunks(#[from] ChunksFault),
    #[error("a parcel cannot be sent: {0}")]
    Pack(#[from] PackError),
    #[error("an attachment cannot be sent: {0}")]
    Attachment(#[from] blob::ReadError),
    #[error("a signer's certificate cannot be kept here")]
    Trust,
    #[error("the certificates of signers did not come in time")]
    Certificates,
    #[error("the peer asks for more than it reads")]
    Overrun,
    #[error("no hello came first, or in time")]
    Hello,
    #[error("the peer's certificate has expired")]
    Expired,
    #[error("{0}")]
    Unwelcome(String),
    #[error("the link was taken out of the configuration")]
    LinkGone,
}

impl Fault {
    /// What the neighbour is told.
    pub(super) fn code(&self) -> CloseCode {
        match self {
            Fault::Owner(_) | Fault::LinkGone => CloseCode::Done,
            Fault::Worker(_)
            | Fault::Pack(_)
            | Fault::Attachment(_)
            | Fault::Trust
            | Fault::Overrun => CloseCode::Busy,
            Fault::Frame(_)
            | Fault::Batch(_)
            | Fault::Dictionary(_)
            | Fault::Generation(_)
            | Fault::Handover(_)
            | Fault::Chunks(_)
            | Fault::Certificates
            | Fault::Hello => CloseCode::Protocol,
            Fault::Expired | Fault::Unwelcome(_) => CloseCode::Blocked,
        }
    }
}

/// What the neighbour is told when the owner ends the session.
pub(super) fn end_code(end: &End) -> CloseCode {
    match end {
        End::Machine(close) => match close {
            Close::Protocol(_) | Close::Version(_) => CloseCode::Protocol,
            Close::Unit(_) => CloseCode::Identity,
            Close::Blocked | Close::NotANeighbour => CloseCode::Blocked,
            Close::NewEpoch => CloseCode::Done,
            Close::Replaced => CloseCode::Replaced,
        },
        End::Stuck | End::StorageFailed => CloseCode::Busy,
        End::Stopping => CloseCode::Done,
    }
}
