//! The integration tests: real nodes, real sockets, real disks.

mod bad_input;
mod end_to_end;
mod hostile;
mod house;
mod reload;
mod world;
