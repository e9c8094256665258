//! Plain types of the field that know nobody: names, lanes, kinds, receipts, bounds.

mod blob;
mod ids;
mod kind;
mod lane;
mod limits;
mod log;
mod name;
mod pattern;
mod policy;
mod ranges;
mod receipt;
mod role;
mod sha256;
mod time;
mod unit;

pub use blob::{BlobDigest, BlobDigestError, CHUNK_BYTES, chunk_count, chunk_len};
pub use ids::{Digest, Fingerprint, MessageId, MessageIdError};
pub use kind::{Kind, KindError, KindRule, Kinds, RECEIPT_KIND};
pub use lane::{Lane, LaneError};
pub use limits::Limits;
pub use log::{Location, Log, Lsn, Payload};
pub use pattern::{Pattern, PatternError};
pub use policy::{Allow, Policy};
pub use ranges::Ranges;
pub use receipt::{Outcome, Reason, ReceiptItem, State};
pub use role::{Role, RoleError};
pub use sha256::{Sha256, Sha256Error};
pub use time::{Millis, Now};
pub use unit::{UnitId, UnitIdError};
