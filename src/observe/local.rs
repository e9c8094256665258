//! What passes between the node and applications that do not call it, counted.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::exposition::Register;

/// Files in folders, and messages that are posted.
#[derive(Debug)]
pub struct LocalMetrics {
    /// Files that were accepted from a folder, repeats among them.
    pub spool_sent: Counter,
    /// Files that cannot be sent.
    pub spool_failed: Counter,
    /// Messages that were written to a folder.
    pub spool_received: Counter,
    /// Messages that the local application has taken.
    pub deliver_taken: Counter,
    /// Attempts that came to nothing.
    pub deliver_failed: Counter,
    /// Messages that the local application did not take, and that wait for their next attempt.
    pub deliver_waiting: Gauge,
}

impl LocalMetrics {
    pub(super) fn new(all: &mut Register) -> Self {
        Self {
            spool_sent: all.add(
                "spool_sent",
                "Files accepted from a folder, repeats among them",
            ),
            spool_failed: all.add("spool_failed", "Files in a folder that cannot be sent"),
            spool_received: all.add("spool_received", "Messages written to a folder"),
            deliver_taken: all.add(
                "deliver_taken",
                "Posted messages that the local application took",
            ),
            deliver_failed: all.add(
                "deliver_failed",
                "Attempts to post a message that came to nothing",
            ),
            deliver_waiting: all.add(
                "deliver_waiting",
                "Messages that the local application did not take and that are posted again later",
            ),
        }
    }
}
