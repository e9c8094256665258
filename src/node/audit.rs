//! The audit log of a running node: what it is signed with, and the calls that were refused.

use std::sync::{Arc, Mutex, PoisonError};

use super::{live::Live, shared::Shared, workers::Urgency};
use crate::{
    api::RefusedCall,
    model::Millis,
    observe::{Audit, Entry, Seal},
};

/// Refused calls that are put on record at once, and how long it takes until one more is, milliseconds. The log is synced for each; of the
/// others it is told how many there were.
const REFUSED_AT_ONCE: u64 = 30;
const REFUSED_EVERY: Millis = 10_000;

/// With what a node signs its audit log.
pub(super) fn seal(live: &Live) -> Seal {
    Seal {
        signer: live.identity.signer().clone(),
        certificate: live.identity.signing_certificate().to_vec(),
    }
}

/// Begins to sign; gives what was found to be wrong with the log, for people.
pub(super) fn begin(
    audit: &Audit,
    live: &Live,
    now: Millis,
) -> Result<Option<String>, crate::observe::AuditError> {
    let damage = audit.sign_with(now, seal(live))?;
    if let Some(damage) = &damage {
        tracing::error!(damage, "somebody or something has changed the audit log");
    }
    Ok(damage)
}

/// How many more refused calls may be put on record.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    /// When the record would be even, monotonic.
    even: Millis,
    left_out: u64,
}

impl Refused {
    /// Whether a call that was refused now is put on record, and if so how many before it were not.
    fn take(&self, now: Millis) -> Option<u64> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let even = bucket.even.max(now);
        if even - now > REFUSED_EVERY * (REFUSED_AT_ONCE - 1) {
            bucket.left_out += 1;
            return None;
        }
        bucket.even = even + REFUSED_EVERY;
        Some(std::mem::take(&mut bucket.left_out))
    }
}

/// Puts a refused call on record, unless there are too many.
pub(super) fn refused(shared: &Arc<Shared>, call: RefusedCall) {
    let Some(left_out) = shared.refused.take(shared.clock.mono()) else {
        return;
    };
    let (audit, at) = (shared.audit.clone(), shared.clock.wall());
    let shared = shared.clone();
    tokio::spawn(async move {
        let record = move || {
            let RefusedCall {
                actor,
                call,
                from,
                problem,
            } = call;
            let from = from.map_or_else(String::new, |from| format!(" from {from}"));
            let more = match left_out {
                0 => String::new(),
                more => format!("; {more} more before it"),
            };
            let reason = format!("{problem}{from}{more}");
            let entry = Entry {
                actor: &actor,
                action: "refused-call",
                subject: &call,
                reason: &reason,
            };
            if let Err(error) = audit.record(at, entry) {
                tracing::error!(%error, "a refused call is not in the audit log");
            }
        };
        // A worker that failed has said so.
        let _ = shared.workers.run(Urgency::Bulk, record).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refused_calls_is_counted_and_not_written_down() {
        let refused = Refused::default();
        let at_once = (0..1000).filter(|_| refused.take(5).is_some()).count();
        assert_eq!(at_once as u64, REFUSED_AT_ONCE);
        let left_out = 1000 - REFUSED_AT_ONCE;
        assert_eq!(refused.take(4 + REFUSED_EVERY), None);
        assert_eq!(refused.take(5 + REFUSED_EVERY), Some(left_out + 1));
        assert_eq!(refused.take(5 + REFUSED_EVERY), None);
    }
}
