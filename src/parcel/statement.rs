//! Signed statements that are no parcels. What each is about is part of what is signed, so that none can be taken for another, or for a
//! parcel.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{ParcelError, Signer, VerifyingKey};

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A checkpoint of a node's audit log.
    Audit,
    /// What a queue has that was exported to a file.
    Stick,
}

impl Statement {
    const fn context(self) -> &'static [u8] {
        match self {
            Self::Audit => b"casegate audit 1\0",
            Self::Stick => b"casegate stick 1\0",
        }
    }

    fn to_be_signed(self, said: &[u8]) -> Vec<u8> {
        let mut signed = self.context().to_vec();
        signed.extend_from_slice(blake3::hash(said).as_bytes());
        signed
    }
}

impl Signer {
    /// Signs a statement: 64 bytes.
    pub fn state(&self, about: Statement, said: &[u8]) -> [u8; 64] {
        let signature = self.sign(&about.to_be_signed(said));
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&signature);
        bytes
    }
}

impl VerifyingKey {
    /// Checks a statement's signature.
    ///
    /// # Errors
    /// [`ParcelError::Signature`] when it does not verify under this key.
    pub fn check(
        &self,
        about: Statement,
        said: &[u8],
        signature: &[u8],
    ) -> Result<(), ParcelError> {
        UnparsedPublicKey::new(&ED25519, self.bytes())
            .verify(&about.to_be_signed(said), signature)
            .map_err(|_| ParcelError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};

    use super::*;
    use crate::model::Fingerprint;

    #[test]
    fn a_statement_verifies_for_what_it_is_about_and_nothing_else() {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let signer = Signer::from_pkcs8(pkcs8.as_ref(), Fingerprint([1; 16])).expect("a signer");
        let key = signer.verifying_key();
        let signature = signer.state(Statement::Audit, b"all is well");
        key.check(Statement::Audit, b"all is well", &signature)
            .expect("verifies");
        let plain = signer.sign(b"all is well");
        let of_a_digest = signer.sign(blake3::hash(b"all is well").as_bytes());
        for (said, signature) in [
            (b"all is lost".as_slice(), signature.as_slice()),
            (b"all is well", &plain),
            (b"all is well", &of_a_digest),
        ] {
            let refused = key.check(Statement::Audit, said, signature);
            assert_eq!(refused, Err(ParcelError::Signature));
        }
        let other = key.check(Statement::Stick, b"all is well", &signature);
        assert_eq!(other, Err(ParcelError::Signature));
        let refused = key.check(Statement::Audit, b"all is well", &signature[..63]);
        assert_eq!(refused, Err(ParcelError::Signature));
    }
}
