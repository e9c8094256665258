//! The integration tests: real nodes, real sockets, real disks.

mod crashes;
mod end_to_end;
mod index;
mod processes;
mod slow_syncs;
mod world;
