//! The integration tests: real nodes, real sockets, real disks.

mod attachments;
mod audit;
mod backup;
mod bad_attachments;
mod bad_input;
mod cli;
mod crashes;
mod demo;
mod dictionaries;
mod end_to_end;
mod events;
mod generations;
mod hostile;
mod house;
mod index;
mod links;
mod odd_links;
mod power;
mod processes;
mod reload;
mod roles;
mod sighup;
mod slow_syncs;
mod traffic;
mod transfer;
mod world;
