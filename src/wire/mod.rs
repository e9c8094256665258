//! What goes over a link: control frames and batches, to bytes and back.

mod batch;
mod columns;
mod dictionary;
mod frame;
mod identifier;
mod squeeze;
mod varint;

pub use batch::{
    BATCH_PARCELS_MAX, BatchError, BatchLimits, Compression, Settings, compressible, pack, unpack,
};
pub use dictionary::{DICTIONARY, TrainError, built_in_dictionary, train};
pub use frame::{
    CERTIFICATE_BYTES_MAX, FRAME_BYTES_MAX, FrameDecoder, FrameError, LINK_TEXT_BYTES_MAX,
    LIST_MAX, OFFER_MAX, encode_frame,
};
pub use squeeze::{Compressor, Effort};
