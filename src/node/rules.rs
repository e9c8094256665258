//! What submissions are judged by, lent out without a lock.

use std::sync::OnceLock;

use crate::{
    cloudevents::Intake,
    config::Settings,
    model::{Fingerprint, Kinds, Limits, Millis, UnitId},
};

/// The rules of one time, and those that followed them. None is ever forgotten, so that a request may use the ones that it began
/// with for as long as it takes; a few KiB for each reload that changed them.
#[derive(Debug)]
pub(super) struct Rules {
    unit: UnitId,
    kinds: Kinds,
    limits: Limits,
    signer: Fingerprint,
    next: OnceLock<Box<Rules>>,
}

impl Rules {
    /// The rules that `settings` make, for parcels that `signer` is to sign.
    pub(super) fn new(settings: &Settings, signer: Fingerprint) -> Self {
        Self {
            unit: settings.unit.clone(),
            kinds: settings.kinds.clone(),
            limits: settings.limits,
            signer,
            next: OnceLock::new(),
        }
    }

    /// The intake of a request that comes at `accepted`, milliseconds since the Unix epoch.
    pub(super) fn intake(&self, accepted: Millis) -> Intake<'_> {
        let newest = self.newest();
        Intake {
            unit: &newest.unit,
            kinds: &newest.kinds,
            limits: &newest.limits,
            signer: newest.signer,
            accepted,
        }
    }

    /// From now on these count.
    pub(super) fn follow(&self, rules: Rules) {
        let mut rules = Box::new(rules);
        loop {
            let newest = self.newest();
            let same = newest.kinds == rules.kinds
                && newest.limits == rules.limits
                && newest.signer == rules.signer;
            if same {
                return;
            }
            match newest.next.set(rules) {
                Ok(()) => return,
                // Another reload was quicker.
                Err(back) => rules = back,
            }
        }
    }

    fn newest(&self) -> &Rules {
        let mut at = self;
        while let Some(next) = at.next.get() {
            at = next;
        }
        at
    }
}
