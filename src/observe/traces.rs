//! What is told of messages to whoever follows them over all nodes, counted.

use prometheus_client::metrics::counter::Counter;

use super::exposition::Register;

/// Spans of traces.
#[derive(Debug)]
pub struct TraceMetrics {
    /// Spans that the collector has taken.
    pub exported: Counter,
    /// Spans that it will not get: it did not answer, or did not want them.
    pub dropped: Counter,
}

impl TraceMetrics {
    pub(super) fn new(all: &mut Register) -> Self {
        Self {
            exported: all.add("spans_exported", "Spans that the collector took"),
            dropped: all.add(
                "spans_dropped",
                "Spans that the collector will not get: it was away, too slow, or refused them",
            ),
        }
    }
}
