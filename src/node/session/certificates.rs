//! Certificates of signers that are not known: asked for, judged, and found for the neighbour. Batches wait for them as they came.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Done, Fault, Held, Pump};
use crate::{
    delivery::hop::{Frame, Hello},
    link::Received,
    model::{Fingerprint, Reason},
    node::workers::Urgency,
    pki::UnitCertificate,
};

/// How long a batch may wait for its signers' certificates.
const CERTIFICATES_WITHIN: Duration = Duration::from_secs(60);
/// Certificates that a neighbour may ask for at once.
const ASKED_MAX: usize = 4096;
/// Certificates that were judged not to count, of one session.
const UNTRUSTED_MAX: usize = 1024;

impl Pump {
    pub(super) fn hold(&mut self, batch: Received, missing: BTreeSet<Fingerprint>) {
        let ask: Vec<_> = missing.difference(&self.wanted).copied().collect();
        if !ask.is_empty() {
            self.send(&Frame::WantCertificates(ask.clone()));
            self.wanted.extend(ask);
        }
        self.held.push(Held {
            batch,
            missing,
            until: Instant::now() + CERTIFICATES_WITHIN,
        });
    }

    /// What this node signs with, for a neighbour that it has never met: without being asked, so that the first batch need not wait for it.
    pub(super) fn introduction(&self, hello: &Hello) -> Option<Frame> {
        let own = || self.shared.live().identity.signing_certificate().to_vec();
        (hello.peer_epoch == 0).then(|| Frame::Certificate(own()))
    }

    pub(super) fn certificate(&mut self, der: Vec<u8>) {
        let fingerprint = Fingerprint::of(&der);
        let live = self.shared.live();
        if !self.wanted.contains(&fingerprint) {
            // One that nobody asked for is of no use, but for the neighbour's own.
            let is_theirs =
                || UnitCertificate::read(&der).is_ok_and(|read| read.unit == self.neighbour);
            if self.is_introduced || live.signers.get(&fingerprint).is_some() || !is_theirs() {
                return;
            }
            self.is_introduced = true;
            self.wanted.insert(fingerprint);
        }
        let neighbour = self.neighbour.clone();
        self.work(Urgency::Express, move || {
            let outcome = live.signers.add(&der).map(drop).map_err(|error| {
                tracing::warn!(unit = %neighbour, %fingerprint, %error, "a signer's certificate was not taken");
                error.reason()
            });
            Done::Certificate(fingerprint, outcome)
        });
    }

    /// Judges what has waited for a certificate, once all that it waits for is there.
    pub(super) fn judged(
        &mut self,
        fingerprint: Fingerprint,
        outcome: Result<(), Option<Reason>>,
    ) -> Result<(), Fault> {
        self.wanted.remove(&fingerprint);
        match outcome {
            Ok(()) => {}
            Err(None) => return Err(Fault::Trust),
            Err(Some(reason)) => {
                let untrusted = Arc::make_mut(&mut self.untrusted);
                if untrusted.len() >= UNTRUSTED_MAX {
                    untrusted.pop_first();
                }
                untrusted.insert(fingerprint, reason);
            }
        }
        let wanted = &self.wanted;
        let ready = |held: &mut Held| held.missing.is_disjoint(wanted);
        let ready: Vec<Held> = self.held.extract_if(.., ready).collect();
        for held in ready {
            self.judge(held.batch)?;
        }
        Ok(())
    }

    /// Has those looked for that the neighbour asks for: one lookup at a time, each certificate once in it.
    pub(super) fn find_certificates(&mut self) -> Result<(), Fault> {
        if self.asked.len() > ASKED_MAX {
            return Err(Fault::Overrun);
        }
        if self.is_finding || self.asked.is_empty() {
            return Ok(());
        }
        self.is_finding = true;
        let wanted = std::mem::take(&mut self.asked);
        let live = self.shared.live();
        let neighbour = self.neighbour.clone();
        self.work(Urgency::Express, move || {
            let find = |fingerprint| {
                let found = live.signers.get(&fingerprint);
                if found.is_none() {
                    tracing::warn!(unit = %neighbour, %fingerprint, "the neighbour asks for a certificate that is not here");
                }
                found.map(|signer| Frame::Certificate(signer.der().to_vec()))
            };
            Done::Found(wanted.into_iter().filter_map(find).collect())
        });
        Ok(())
    }
}
