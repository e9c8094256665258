//! One neighbour.

mod frame;

pub use frame::{
    Ack, Entry, Epoch, Frame, GoneAnswer, Hello, OfferAnswer, PROTOCOL_VERSION, Seq, Targets,
};
