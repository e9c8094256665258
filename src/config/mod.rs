//! The configuration of a node: typed settings, read from a TOML file so that every mistake is found at once, with its line,
//! its key and what to write instead.
//!
//! The way of a file: `files` reads it, `document` parses it and keeps every value's place (`syntax` explains what is not
//! TOML), `read`, `api`, `link`, `local`, `traces` and `limits` take it apart section by section, and [`Settings`] comes out, or every error
//! does. `texts` has what is said of it, in each language.
//! A key is known because something asks for it, so there is no second list of keys to keep in step.

mod address;
mod api;
mod dictionary;
mod document;
mod field;
mod files;
mod finding;
mod here;
mod hours;
#[cfg(test)]
mod lab;
mod limits;
mod link;
mod local;
mod read;
mod reload;
mod settings;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod texts;
mod traces;

use std::{collections::BTreeSet, path::Path};

pub use address::{Address, AddressError, HUB_PORT};
pub use dictionary::{DictionaryFileError, read_dictionary};
pub use finding::{ConfigError, Finding, Severity, Warning};
pub use hours::{Hours, HoursError};
pub use local::{Deliver, Spool, SpoolFolder};
pub use reload::{Changes, NotReloadable};
pub use settings::{
    Api, ApiCertificate, ApiTls, ApiToken, Compression, Identity, Link, LinkKind, Listen, Local,
    Log, Settings, Unit, Upstream,
};
pub use traces::{Share, Traces};

use document::Document;
use files::Lines;

/// Settings with what is to be said about them, or every error.
pub type Checked = Result<(Settings, Vec<Warning>), Vec<ConfigError>>;

/// Everything that can be said about a configuration.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The settings; `None` exactly when there are errors.
    pub settings: Option<Settings>,
    /// The errors, in order of line.
    pub errors: Vec<ConfigError>,
    /// The warnings, in order of line.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Reads settings from the text of a file. Looks at nothing but `text`; `file` is what findings call it, and relative paths are
    /// joined to its folder.
    ///
    /// # Errors
    ///
    /// Every error of the text, in order of line.
    pub fn parse(text: &str, file: &Path) -> Checked {
        examine_text(text, file).0.into_result()
    }

    /// Reads settings from a file, and looks whether the files that they name are there: that they are not is a warning, as `check`
    /// wants it.
    ///
    /// # Errors
    ///
    /// Every error of the file, in order of line.
    pub fn load(file: &Path) -> Checked {
        Self::examine(file).into_result()
    }

    /// Like [`Settings::load`], for a node that is about to start: what is not there is an error.
    ///
    /// # Errors
    ///
    /// Every error of the file, in order of line, or else everything that is not there.
    pub fn load_to_run(file: &Path) -> Checked {
        let (settings, warnings) = Self::load(file)?;
        let (absent, advice): (Vec<_>, Vec<_>) = warnings
            .into_iter()
            .partition(|warning| warning.severity == Severity::Absent);
        if absent.is_empty() {
            Ok((settings, advice))
        } else {
            Err(absent
                .into_iter()
                .map(|warning| ConfigError(warning.finding))
                .collect())
        }
    }

    /// Like [`Settings::load`], and keeps the warnings when there are errors too.
    pub fn examine(file: &Path) -> Examination {
        let text = match files::read(file) {
            Ok(text) => text,
            Err(error) => {
                return Examination {
                    settings: None,
                    errors: vec![error],
                    warnings: Vec::new(),
                };
            }
        };
        let (mut examination, lines, _) = examine_text(&text, file);
        if let (Some(settings), Some(lines)) = (&examination.settings, lines) {
            let found = files::look(settings, file, &lines);
            examination.warnings.extend(found);
            let found = local::look(settings, file, &lines);
            examination.warnings.extend(found);
            examination.warnings.sort_by_key(|w| w.finding.line);
            examination.errors = files::judge(settings, file, &lines);
        }
        if !examination.errors.is_empty() {
            examination.settings = None;
        }
        examination
    }
}

impl Examination {
    fn into_result(self) -> Checked {
        match self.settings {
            Some(settings) => Ok((settings, self.warnings)),
            None => Err(self.errors),
        }
    }
}

/// Reads `text`; tells also where files are named, and which keys were asked for.
fn examine_text(text: &str, file: &Path) -> (Examination, Option<Lines>, BTreeSet<String>) {
    let text = document::unit_headers(text);
    let (document, table) = Document::parse(&text, file);
    let read = read::settings(&document, &document.root(&table), file);
    let lines = read.as_ref().map(|(_, offsets)| Lines {
        data_dir: document.line(offsets.data_dir),
        identity_dir: document.line(offsets.identity_dir),
        token_file: document.line(offsets.token_file),
        tokens: offsets.tokens.iter().map(|at| document.line(*at)).collect(),
        tls_certificate: document.line(offsets.tls_certificate),
        tls_key: document.line(offsets.tls_key),
        dictionary: document.line(offsets.dictionary),
        spool_in: document.line(offsets.spool_in),
        spool_out: document.line(offsets.spool_out),
        deliver_secret: document.line(offsets.deliver_secret),
    });
    let (errors, warnings, known) = document.into_findings();
    let settings = read
        .map(|(settings, _)| settings)
        .filter(|_| errors.is_empty());
    debug_assert!(
        settings.is_some() || !errors.is_empty(),
        "what could not be read was told"
    );
    let examination = Examination {
        settings,
        errors,
        warnings,
    };
    (examination, lines, known)
}
