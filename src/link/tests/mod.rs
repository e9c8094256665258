//! Sessions over real sockets, through the emulator.

mod blocked;
mod carrying;
mod ending;
mod returned;
mod world;
