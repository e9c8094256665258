//! The seeded simulator: the same code over simulated storage, network and time.

pub mod disk;
