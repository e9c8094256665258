//! What people and machines can see of a running node: its log, its metrics, and the audit log of what operators did.

mod audit;
mod exposition;
mod labels;
mod links;
mod logging;
mod metrics;

pub use audit::{
    Against, Audit, AuditAsk, AuditEntry, AuditError, AuditPage, Entry, Seal, Verified,
};
pub use links::LinkFigures;
pub use logging::{FILTER_VARIABLE, LogControl, LogError, LogFormat, LogLevel, init};
pub use metrics::{LinkMetrics, Metrics, NeighbourMetrics};
