//! The node's own dictionary, as `casegate dict train` wrote it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    language::Language,
    wire::{DictionaryError, Trained, TrainedError},
};

/// A file is not a dictionary that can be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; make one with `casegate dict train`", path.display())]
pub struct DictionaryFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Content(#[from] TrainedError),
}

impl DictionaryFileError {
    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// What is wrong, without the path.
    pub(crate) fn problem(&self, language: Language) -> String {
        match (&self.fault, language) {
            (fault, Language::English) => fault.to_string(),
            (Fault::Io(error), Language::Chinese) => format!("无法读取：{error}"),
            (Fault::Content(error), Language::Chinese) => match error {
                TrainedError::Start => "开头不是 casegate 训练的字典".to_owned(),
                TrainedError::Dictionary(DictionaryError::TooLarge(bytes)) => {
                    format!("字典有 {bytes} 字节，过大")
                }
                TrainedError::Dictionary(DictionaryError::Format) => {
                    "不是 zstd 格式的字典".to_owned()
                }
            },
        }
    }
}

/// Reads a trained dictionary from a file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_dictionary(path: &Path) -> Result<Trained, DictionaryFileError> {
    read(path).map_err(|fault| DictionaryFileError {
        path: path.to_owned(),
        fault,
    })
}

fn read(path: &Path) -> Result<Trained, Fault> {
    let mut bytes = Vec::new();
    let most = Trained::FILE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(Trained::parse(&bytes)?)
}
