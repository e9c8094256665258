//! Whole nodes: on a disk that fills up or fails, and on a paused clock over a simulated network.

pub(super) mod disk;
pub(super) mod paused;
mod storage;
mod storms;
