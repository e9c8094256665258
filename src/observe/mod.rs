//! What people and machines can see of a running node: its log, its metrics, and the audit log of what operators did.

mod audit;
mod exposition;
mod labels;
mod lately;
mod links;
mod local;
mod logging;
mod metrics;
mod traces;
mod trouble;

pub use audit::{
    Against, Audit, AuditAsk, AuditEntry, AuditError, AuditPage, Entry, Seal, Verified,
};
pub use lately::{Lately, Passed, Speed, bits_per_second};
pub use links::LinkFigures;
pub use local::LocalMetrics;
pub use logging::{FILTER_VARIABLE, LogControl, LogError, LogFormat, LogLevel, init};
pub use metrics::{LinkMetrics, Metrics, NeighbourMetrics};
pub use traces::TraceMetrics;
pub use trouble::Trouble;
