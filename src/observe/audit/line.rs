//! A line of the audit log, and the signed head that checkpoints are about.

use std::io;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::{
    model::Millis,
    parcel::{Statement, VerifyingKey},
    pki::{Role, Roots, UnitCertificate},
};

/// Who writes what the log says of itself.
pub(super) const LOG: &str = "casegate";
/// The action of a line with the certificate that checkpoints after it are signed with.
pub(super) const CERTIFICATE: &str = "certificate";
/// The action of a checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// A line. The order of the fields is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Its number, from 1; 0 in lines that were written before there were numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) line: u64,
    pub(super) time: String,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) reason: String,
    /// The digest of the line before it, without its end.
    pub(super) prev: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Line {
    pub(super) fn new(
        number: u64,
        at: Millis,
        entry: Entry<'_>,
        prev: &blake3::Hash,
    ) -> io::Result<Self> {
        let millis = i64::try_from(at).map_err(io::Error::other)?;
        let time = jiff::Timestamp::from_millisecond(millis).map_err(io::Error::other)?;
        Ok(Self {
            line: number,
            time: format!("{time:.3}"),
            actor: entry.actor.to_owned(),
            action: entry.action.to_owned(),
            subject: entry.subject.to_owned(),
            reason: entry.reason.to_owned(),
            prev: prev.to_hex().to_string(),
        })
    }

    fn is_of_the_log(&self, action: &str) -> bool {
        self.actor == LOG && self.action == action
    }

    /// Whether it signs what stands before it.
    pub(super) fn is_checkpoint(&self) -> bool {
        self.is_of_the_log(CHECKPOINT)
    }

    /// The certificate that it brings, if it does.
    pub(super) fn certificate(&self) -> Option<Result<Witness, String>> {
        self.is_of_the_log(CERTIFICATE).then(|| {
            let der = BASE64
                .decode(self.reason.as_bytes())
                .map_err(|_| "is not base64".to_owned())?;
            Witness::read(&der)
        })
    }
}

/// Whoever vouches for a log: a node, by the certificate of its signing key.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) certificate: UnitCertificate,
    der: Vec<u8>,
    key: VerifyingKey,
}

impl Witness {
    fn read(der: &[u8]) -> Result<Self, String> {
        let certificate = UnitCertificate::read(der).map_err(|fault| fault.to_string())?;
        if certificate.role != Role::Signing {
            return Err("is not for signing".to_owned());
        }
        Ok(Self {
            key: VerifyingKey::new(&certificate.public_key),
            certificate,
            der: der.to_vec(),
        })
    }

    /// Checks that a CA issued its certificate.
    pub(super) fn check_ca(&self, roots: &Roots) -> Result<(), String> {
        let judged = roots.verify(&self.der, Role::Signing);
        judged.map(drop).map_err(|fault| fault.to_string())
    }

    /// Checks a signature over a log's first `lines` lines, the last of which has this digest.
    pub(super) fn check(&self, lines: u64, last: &str, signature: &str) -> bool {
        let said = said(lines, last);
        HEXLOWER
            .decode(signature.as_bytes())
            .is_ok_and(|signature| {
                let checked = self.key.check(Statement::Audit, &said, &signature);
                checked.is_ok()
            })
    }
}

/// What a checkpoint's signature is about: how many lines stand before it, and the last one's digest.
pub(super) fn said(lines: u64, last: &str) -> Vec<u8> {
    format!("{lines} {last}").into_bytes()
}

/// How far a log has come, beside it, so that a log that was cut is shorter than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// How many lines it has.
    pub(super) lines: u64,
    /// The last one's digest.
    pub(super) last: String,
    /// The node's signature over both.
    pub(super) signature: String,
}
