//! SHA-256 digests, where other tools print them.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 of a certificate's DER bytes, as `openssl x509 -noout -fingerprint -sha256` prints it: 32 pairs of hexadecimal digits
/// with colons between them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// A text is not such a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint is 64 hexadecimal digits")]
pub struct Sha256Error;

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(sum)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = Sha256Error;

    /// Digits of either case; colons between them or none.
    fn from_str(text: &str) -> Result<Self, Sha256Error> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        let bytes = bytes.map_err(|_| Sha256Error)?;
        Ok(Self(bytes.try_into().map_err(|_| Sha256Error)?))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it() {
        // FIPS 180-4's example "abc".
        let abc = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        let sum = Sha256::of(b"abc");
        assert_eq!(sum.to_string(), abc);
        assert_eq!(abc.parse(), Ok(sum));
        assert_eq!(abc.replace(':', "").to_lowercase().parse(), Ok(sum));
        for bad in [
            "",
            "BA:78",
            &abc[1..],
            &format!("{abc}:00"),
            &abc.replace('F', "G"),
        ] {
            assert_eq!(bad.parse::<Sha256>(), Err(Sha256Error), "{bad}");
        }
    }
}
