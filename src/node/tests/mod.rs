//! A whole node, with its real API, on a disk that fills up or fails.

pub(super) mod disk;
mod storage;
