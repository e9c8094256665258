//! The integration tests: real nodes, real sockets, real disks.

mod bad_input;
mod crashes;
mod end_to_end;
mod hostile;
mod house;
mod processes;
mod reload;
mod slow_syncs;
mod world;
