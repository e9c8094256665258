//! What goes over a link: control frames and batches, to bytes and back. `docs/PROTOCOL.md` has every field in tables.
//!
//! ```text
//! control stream  frame*
//! frame           length LEB128 | kind u8 | fields (codec)
//!
//! batch stream    head u8 (1 << 4 | dictionary, 2 << 4 | generation) | group*        one unidirectional stream, one batch
//! group           (parcels << 2 | method) LEB128 | plain length LEB128 | packed length LEB128, unless stored
//!                 packed bytes | incompressible bytes
//! plain bytes     a column of values for each field, then a text for each parcel: what is left of its header, and its body
//! incompressible  for each parcel: signature 64 | identifier's random part 10 or 16
//!
//! chunks          head u8 (12 << 4 | described) | digest | ... | chunks    one unidirectional stream, a run of an attachment
//! handover        head u8 (13 << 4 | dictionary) | number | a dictionary  one unidirectional stream, one dictionary
//! stick           a queue as a file, over no link at all: `stick.rs`
//! ```
//!
//! Measured on 2,000 messages of the field in batches of 64 KiB (bytes on the wire for each byte submitted, signatures included):
//! zstd's level 19 alone 0.308, with headers taken apart 0.298, with the dictionary too 0.239, PPMd in place of zstd 0.201.
//!
//! [`Compression::Isolated`] makes a group for each sender, so that nobody's text shares a compressed frame with somebody else's.
//! The reader allocates what a group announces, once that is within [`BatchLimits`], and never more.

mod batch;
mod chunks;
mod columns;
mod dictionary;
mod frame;
mod handover;
mod history;
mod identifier;
mod squeeze;
mod stick;
#[cfg(test)]
mod tests;
mod trained;
mod training;
mod varint;

pub use batch::{
    BATCH_PARCELS_MAX, BatchError, BatchLimits, Compression, Named, Settings, compressible, named,
    pack, unpack,
};
pub use chunks::{
    Chunks, ChunksError, DESCRIBED_BYTES_MAX, Description, RUN_BYTES_MAX, RUN_CHUNKS_MAX,
    chunks_head, is_chunks, read_chunks,
};
pub use dictionary::{Against, DICTIONARY_BYTES_MAX, Dictionary, DictionaryError, Text};
pub use frame::{
    CERTIFICATE_BYTES_MAX, FRAME_BYTES_MAX, FrameDecoder, FrameError, LINK_TEXT_BYTES_MAX,
    LIST_MAX, OFFER_MAX, encode_frame,
};
pub use handover::{HandoverError, hand_over, handover_number, is_handover, take_over};
pub use history::{HISTORY_BATCH_BYTES_MAX, History, history_text};
pub use squeeze::{Compressor, Effort};
pub use stick::{
    Carried, Manifest, STICK_MAGIC, STICK_MESSAGES_MAX, STICK_PARCELS_BYTES_MAX, STICK_SEAL_BYTES,
    StickError, StickHead, certificate_bytes, manifest_bytes,
};
pub use trained::{Trained, TrainedError};
pub use training::{
    SAMPLES_MIN, TrainError, built_in_dictionary, likely_entry, receipt, sample, train, unsigned,
};
