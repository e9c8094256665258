//! What the application knows its gateway by: calls are signed as Standard Webhooks has it (<https://www.standardwebhooks.com>).
//!
//! `webhook-signature: v1,BASE64` is an HMAC-SHA256 over `webhook-id`, `webhook-timestamp` (seconds) and the body, joined by dots.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64;

/// What such a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes one has.
const BYTES: RangeInclusive<usize> = 24..=64;
/// How many bytes the node makes.
const BYTES_MADE: usize = 32;
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024;

/// A secret that the node and the application share.
#[derive(Clone)]
pub struct Secret(hmac::Key);

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{}: the secret of [deliver] {problem}", path.display())]
pub struct SecretError {
    /// The file.
    pub path: PathBuf,
    problem: String,
}

impl Secret {
    fn new(text: &str) -> Option<Self> {
        let bytes = text.trim().strip_prefix(PREFIX)?;
        let bytes = BASE64.decode(bytes.as_bytes()).ok()?;
        BYTES
            .contains(&bytes.len())
            .then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Reads the secret that a file holds.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |problem: String| SecretError {
            path: path.to_owned(),
            problem,
        };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
        Self::new(&text).ok_or_else(|| {
            failed(format!(
                "is none; write \"{PREFIX}\" and {} to {} random bytes in base64",
                BYTES.start(),
                BYTES.end()
            ))
        })
    }

    /// Reads the secret that a file holds; makes the file, readable by its owner alone, when there is none.
    ///
    /// # Errors
    /// It can be neither read nor made, or holds no secret.
    pub fn read_or_create(path: &Path) -> Result<Self, SecretError> {
        match create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(SecretError {
                    path: path.to_owned(),
                    problem: format!("cannot be made: {error}"),
                });
            }
        }
        Self::read(path)
    }

    /// The signature of a call.
    pub(super) fn signature(&self, id: &str, at: i64, body: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&self.0);
        signing.update(format!("{id}.{at}.").as_bytes());
        signing.update(body);
        format!("v1,{}", BASE64.encode(signing.sign().as_ref()))
    }
}

/// Makes the file, whole or not at all.
fn create(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut random = [0u8; BYTES_MADE];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the random source failed"))?;
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(format!("{PREFIX}{}\n", BASE64.encode(&random)).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deliver.secret");
        let sign = |secret: &Secret| secret.signature("a", 1, b"b");
        let made = Secret::read_or_create(&path).expect("a secret");
        let again = Secret::read_or_create(&path).expect("the same");
        assert_eq!(sign(&made), sign(&again));
        let mode = std::fs::metadata(&path).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            std::fs::write(&path, bad).expect("written");
            let error = Secret::read_or_create(&path).expect_err("none").to_string();
            assert!(error.contains("write \"whsec_\""), "{error}");
        }
    }
}
