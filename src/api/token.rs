//! Bearer tokens (RFC 6750).

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use axum::http::{HeaderMap, header};

/// The file with the token of operators' actions in the data folder.
pub const OPERATOR_TOKEN_FILE: &str = "operator.token";

/// A token that a request must bear. Only its digest is kept, so that no log, dump or panic can show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(blake3::Hash);

impl Token {
    /// Shortest token, in bytes: 128 bits as hexadecimal digits.
    pub const BYTES_MIN: usize = 32;
    /// Longest token, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// A token from its text, without the white space around it.
    ///
    /// # Errors
    /// It is shorter or longer than a token may be, or has a character that a header cannot carry.
    pub fn new(text: &str) -> io::Result<Self> {
        let text = text.trim();
        let fits = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            let bounds = format!(
                "a token has {} to {} printable ASCII characters and no blanks",
                Self::BYTES_MIN,
                Self::BYTES_MAX
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, bounds));
        }
        Ok(Self(blake3::hash(text.as_bytes())))
    }

    /// Reads the token that a file holds.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        let bytes_max = Self::BYTES_MAX as u64 + 64;
        fs::File::open(path)?
            .take(bytes_max)
            .read_to_string(&mut text)?;
        Self::new(&text)
    }

    /// Reads the token that a file holds; makes the file, readable by its owner alone, when there is none or it holds none.
    ///
    /// # Errors
    /// The file can be neither read nor made.
    pub fn read_or_create(path: &Path) -> io::Result<Self> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let mut file = match made {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return match Self::read(path) {
                    // A power cut may have left it empty, and a disk may rot. A new one lets nobody in who was not let in before.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        tracing::error!(path = %path.display(), %error, "the file with the token is damaged; another token is made");
                        fs::remove_file(path)?;
                        Self::read_or_create(path)
                    }
                    read => read,
                };
            }
            Err(error) => return Err(error),
        };
        let mut random = [0u8; 32];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| io::Error::other("the random source failed"))?;
        let text = data_encoding::HEXLOWER.encode(&random);
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()?;
        Self::new(&text)
    }

    /// Whether `digest` is that of this token. Takes the same time whichever characters differ.
    pub(super) fn has_digest(&self, digest: &blake3::Hash) -> bool {
        // `Hash` compares in constant time.
        self.0 == *digest
    }
}

/// What a request offers as its token.
pub(super) fn borne(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, text) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| text.trim_ascii())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_file_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("operator.token");
        let made = Token::read_or_create(&path).expect("a token");
        assert_eq!(Token::read_or_create(&path).expect("the same"), made);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let text = fs::read_to_string(&path).expect("a text");
        let bears = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            borne(&headers).is_some_and(|text| made.has_digest(&blake3::hash(text)))
        };
        let value = format!("bearer {}", text.trim());
        assert!(bears(&value));
        assert!(!bears(&value[..40]) && !bears(text.trim()));
        assert_eq!(borne(&HeaderMap::new()), None);
    }

    #[test]
    fn a_damaged_token_file_is_made_anew_and_keeps_no_node_from_starting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("operator.token");
        let made = Token::read_or_create(&path).expect("a token");
        for damaged in [&b""[..], b"abc", &[0xff; 64], &[b'a'; 9000]] {
            fs::write(&path, damaged).expect("written");
            assert!(Token::read(&path).is_err());
            let again = Token::read_or_create(&path).expect("a token");
            assert_ne!(again, made);
            assert_eq!(Token::read(&path).expect("the same"), again);
        }
    }

    #[test]
    fn a_short_token_is_no_token() {
        assert!(Token::new("secret").is_err());
        assert!(Token::new(&"a b".repeat(20)).is_err());
        assert!(Token::new(&"a".repeat(513)).is_err());
        assert!(Token::new(&"a".repeat(32)).is_ok());
    }
}
