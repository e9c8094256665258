//! The configuration file itself, and the files that it names.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    dictionary::read_dictionary,
    field::quoted,
    finding::{ConfigError, Finding, Severity, Warning, Warnings},
    settings::{Identity, Settings},
    texts::{Pick, Texts, told},
};
use crate::language::{Both, fill};

/// Largest configuration file, in bytes (G7).
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file's text.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let refusal = |line: usize, problem: Both, fix: Pick| {
        ConfigError(Finding {
            file: path.to_owned(),
            line,
            key: "file".to_owned(),
            problem,
            fix: told(fix),
        })
    };
    let unreadable = |error: std::io::Error| {
        refusal(1, told(|t| fill(t.unreadable, &[&error])), |t| {
            t.name_readable
        })
    };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refusal(
            1,
            told(|t| fill(t.too_large, &[&FILE_BYTES_MAX])),
            |t| t.name_smaller,
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(good);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        refusal(line, told(|t| t.no_utf8), |t| t.save_utf8)
    })
}

/// The lines of the settings that name files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) data_dir: usize,
    pub(super) identity_dir: usize,
    pub(super) token_file: usize,
    /// Of every `[[api.token]]`.
    pub(super) tokens: Vec<usize>,
    pub(super) tls_certificate: usize,
    pub(super) tls_key: usize,
    pub(super) dictionary: usize,
    pub(super) spool_in: usize,
    pub(super) spool_out: usize,
    pub(super) deliver_secret: usize,
}

/// What is wrong with the files that `settings` name.
pub(super) fn look(settings: &Settings, file: &Path, lines: &Lines) -> Vec<Warning> {
    let mut warnings = Warnings {
        file,
        found: Vec::new(),
    };
    if settings.data_dir.exists() && !settings.data_dir.is_dir() {
        warnings.warn(
            Severity::Absent,
            lines.data_dir,
            "data-dir",
            told(|t| fill(t.no_folder, &[&shown(&settings.data_dir)])),
            told(|t| t.write_data_dir),
        );
    }
    let dir = &settings.identity.dir;
    let absent: Vec<_> = Identity::FILES
        .into_iter()
        .filter(|name| !settings.identity.file(name).is_file())
        .collect();
    if !absent.is_empty() {
        warnings.warn(
            Severity::Absent,
            lines.identity_dir,
            "identity.dir",
            told(|t| fill(t.lacks_files, &[&shown(dir), &absent.join(t.comma)])),
            told(|t| fill(t.make_identity, &[&settings.unit, &dir.display()])),
        );
    }
    let secrets = Identity::FILES.into_iter().filter(|f| f.ends_with(".key"));
    for path in secrets.map(|name| settings.identity.file(name)) {
        if others_may_read(&path) {
            warnings.warn(
                Severity::Advice,
                lines.identity_dir,
                "identity.dir",
                told(|t| fill(t.others_read, &[&shown(&path)])),
                told(|t| fill(t.make_private, &[&path.display()])),
            );
        }
    }
    let api = &settings.api;
    let application = api.token_file.iter();
    let application = application.map(|path| (lines.token_file, "api.token-file".to_owned(), path));
    let named = lines.tokens.iter().zip(&api.tokens).enumerate();
    let named =
        named.map(|(at, (line, token))| (*line, format!("api.token[{at}].file"), &token.file));
    let tokens = application.chain(named);
    let make_token: Pick = |t| t.make_token;
    let mut secrets: Vec<_> = tokens
        .map(|(line, key, path)| (line, key, path, make_token))
        .collect();
    if let Some(tls) = &api.tls {
        let key = "api.tls.key".to_owned();
        secrets.push((lines.tls_key, key, &tls.key, |t| t.put_key));
        if !tls.certificate.is_file() {
            warnings.warn(
                Severity::Absent,
                lines.tls_certificate,
                "api.tls.certificate",
                told(|t| fill(t.not_there, &[&shown(&tls.certificate)])),
                told(|t| t.put_certificate),
            );
        }
    }
    for (line, key, path, how) in secrets {
        if !path.is_file() {
            warnings.warn(
                Severity::Absent,
                line,
                &key,
                told(|t| fill(t.not_there, &[&shown(path)])),
                told(how),
            );
        } else if others_may_read(path) {
            warnings.warn(
                Severity::Advice,
                line,
                &key,
                told(|t| fill(t.others_read, &[&shown(path)])),
                told(|t| fill(t.make_private, &[&path.display()])),
            );
        }
    }
    if let Some(path) = &settings.dictionary {
        match read_dictionary(path) {
            Ok(trained) if trained.unit.as_ref() != Some(&settings.unit) => {
                warnings.warn(
                    Severity::Advice,
                    lines.dictionary,
                    DICTIONARY,
                    told(|t| match &trained.unit {
                        Some(unit) => fill(t.trained_on_unit, &[&shown(path), unit]),
                        None => fill(t.trained_on_several, &[&shown(path)]),
                    }),
                    told(|t| fill(t.train_own, &[&settings.unit])),
                );
            }
            Err(error) if error.is_absent() => warnings.warn(
                Severity::Absent,
                lines.dictionary,
                DICTIONARY,
                told(|t| fill(t.not_there, &[&shown(path)])),
                told(|t| fill(t.make_dictionary, &[&settings.unit, &path.display()])),
            ),
            // An error is told by `judge`.
            Ok(_) | Err(_) => {}
        }
    }
    warnings.found
}

const DICTIONARY: &str = "compression.dictionary";

/// Files that `settings` name, are there and cannot be what they are named for.
pub(super) fn judge(settings: &Settings, file: &Path, lines: &Lines) -> Vec<ConfigError> {
    let Some(path) = &settings.dictionary else {
        return Vec::new();
    };
    match read_dictionary(path) {
        Err(error) if !error.is_absent() => vec![ConfigError(Finding {
            file: file.to_owned(),
            line: lines.dictionary,
            key: DICTIONARY.to_owned(),
            problem: Both::new(|language| {
                let problem = error.problem(language);
                fill(
                    Texts::of(language).bad_dictionary,
                    &[&shown(path), &problem],
                )
            }),
            fix: told(|t| t.remake_dictionary),
        })],
        _ => Vec::new(),
    }
}

/// Whether someone other than the owner and root may read a file. A group may be meant to.
pub(super) fn others_may_read(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0)
}

pub(super) fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn files_that_are_not_there_are_warnings_to_check_and_errors_to_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("edge.toml");
        let text = include_str!("../../config/edge.toml")
            .replace("/etc/casegate/identity", "identity")
            .replace("/var/lib/casegate", "data")
            .replace(
                "#token-file = \"/etc/casegate/api.token\"",
                "token-file = 'token'",
            );
        std::fs::write(&file, &text).expect("writes");
        let line_of = |key: &str| {
            let found = text.lines().position(|line| line.starts_with(key));
            found.expect("the key is set") + 1
        };
        let (_, warnings) = Settings::load(&file).expect("good");
        let keys: Vec<_> = warnings
            .iter()
            .map(|w| (w.finding.line, w.finding.key.as_str()))
            .collect();
        assert_eq!(
            keys,
            [
                (line_of("dir ="), "identity.dir"),
                (line_of("token-file ="), "api.token-file")
            ]
        );
        assert_eq!(
            Settings::load_to_run(&file).expect_err("not there").len(),
            2
        );

        std::fs::create_dir(dir.path().join("identity")).expect("makes");
        let secret = |path: PathBuf| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(&path, "x").expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
        };
        for name in Identity::FILES {
            secret(dir.path().join("identity").join(name));
        }
        secret(dir.path().join("token"));
        let (settings, warnings) = Settings::load_to_run(&file).expect("all there");
        assert_eq!(warnings, []);
        assert_eq!(settings.data_dir, dir.path().join("data"));

        std::fs::write(&file, b"unit = 'a'\ntitle = '\xff'\n").expect("writes");
        let errors = Settings::load(&file).expect_err("not UTF-8");
        assert!(
            errors[0]
                .to_string()
                .ends_with("edge.toml:2: file: is not UTF-8; save the file as UTF-8")
        );
    }

    #[test]
    fn a_token_that_others_may_read_is_warned_of_at_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("edge.toml");
        let text = include_str!("../../config/edge.toml")
            .replace("/var/lib/casegate", "data")
            .replace(
                "[upstream]",
                "[[api.token]]\nname = 'li'\nrole = 'viewer'\nfile = 'li'\n[upstream]",
            );
        std::fs::write(&file, &text).expect("writes");
        let token = dir.path().join("li");
        std::fs::write(&token, "t".repeat(32)).expect("writes");
        let line = text.lines().position(|line| line == "name = 'li'");
        let warned = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&token, mode).expect("changes");
            let (_, warnings) = Settings::load(&file).expect("good");
            let mut all = warnings.into_iter().map(|w| w.finding);
            all.find(|finding| finding.key == "api.token[0].file")
                .map(|finding| finding.line)
        };
        assert_eq!(warned(0o644), line.map(|line| line + 1));
        assert_eq!(warned(0o600), None);
    }
}
