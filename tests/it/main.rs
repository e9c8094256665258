//! The integration tests: real nodes, real sockets, real disks.

mod end_to_end;
mod world;
