//! Sessions over real sockets, through the emulator.

mod carrying;
mod ending;
mod world;
