//! The parcel: a message's immutable signed bytes, and the only place that touches signature bytes.
//!
//! ```text
//! version u8 = 1 | signature 64 | header length u32 LE | header (codec) | body
//! ```
//!
//! The signature (Ed25519, RFC 8032) covers `"casegate parcel 1\0" | BLAKE3(header) | BLAKE3(body)`. The body's digest is computed
//! on both sides and never sent. Parcels are stored, forwarded and verified as they are, never encoded again.

mod header;
mod seal;
mod statement;

pub use header::{Attribute, BodyForm, Header, Value};
pub use seal::{Parcel, ParcelError, Signer, VerifyingKey};
pub use statement::Statement;
