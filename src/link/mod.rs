//! To come.

pub mod tls;
