//! The integration tests: real nodes, real sockets, real disks.

mod attachments;
mod bad_input;
mod cli;
mod crashes;
mod demo;
mod dictionaries;
mod end_to_end;
mod generations;
mod hostile;
mod house;
mod index;
mod links;
mod processes;
mod reload;
mod sighup;
mod slow_syncs;
mod transfer;
mod world;
