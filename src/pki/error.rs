//! Why `casegate pki` did not do what it was asked.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{csr::RequestFault, roots::RootsFault};
use crate::model::UnitId;

/// Why an operation of the CA, or a request to it, failed. [`PkiError::exit_code`] says what the process ends with.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file that is never overwritten is there already.
    #[error("{}: exists already and is not overwritten; {advice}", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The output folder holds another unit's identity.
    #[error("{}: holds the certificate of {found}; choose another folder for --out", .path.display())]
    ForeignFolder {
        /// The certificate there.
        path: PathBuf,
        /// Whose it is.
        found: UnitId,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no CA in the folder.
    #[error("{}: there is no CA here; make one with `casegate pki init --dir {}`", .0.display(), .0.display())]
    NoCa(PathBuf),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The CA's certificate cannot be used.
    #[error("{}: {fault}", .path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: RootsFault,
    },
    /// The CA's key does not read, or is not the certificate's.
    #[error("{}: is not the key of the certificate in ca.pem; put both back from one backup", .0.display())]
    CaKey(PathBuf),
    /// The CA's key can be read by others.
    #[error("{}: is open to others (mode {mode:04o}); run `chmod 600` on it", .path.display())]
    CaKeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The CA's time is over.
    #[error("the CA in {} expired at {at}; make a new one with `casegate pki init`", .dir.display())]
    CaExpired {
        /// The CA's folder.
        dir: PathBuf,
        /// When, as RFC 3339.
        at: String,
    },
    /// The request cannot be granted.
    #[error("{}: {fault}", .path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Why not.
        fault: RequestFault,
    },
    /// Something failed that should not: the random source, or the encoding of a certificate.
    #[error("internal error: {0}")]
    Internal(String),
}

impl PkiError {
    /// The exit code of the process (`sysexits.h`): 73 cannot create, 65 bad data, 70 internal.
    pub const fn exit_code(&self) -> u8 {
        match self {
            PkiError::Exists { .. } | PkiError::ForeignFolder { .. } | PkiError::Write { .. } => 73,
            PkiError::NoCa(_)
            | PkiError::Read { .. }
            | PkiError::CaCertificate { .. }
            | PkiError::CaKey(_)
            | PkiError::CaKeyExposed { .. }
            | PkiError::CaExpired { .. }
            | PkiError::Request { .. } => 65,
            PkiError::Internal(_) => 70,
        }
    }

    pub(super) fn internal(error: impl fmt::Display) -> Self {
        PkiError::Internal(error.to_string())
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| PkiError::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| PkiError::Read {
            path: path.to_owned(),
            source,
        }
    }
}
