//! Sessions over real sockets, through the emulator.

mod blocked;
mod carrying;
mod ending;
pub(crate) mod net;
mod returned;
mod world;
