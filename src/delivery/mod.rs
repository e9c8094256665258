//! The gateway as a state machine.

pub mod hop;
