//! `casegate check`: every mistake of a configuration at once.

use std::path::Path;

use serde::Serialize;

use super::texts::{Language, fill, language, t};
use crate::config::{Finding, Settings};

/// What `casegate check` has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// 0, or 78 (`EX_CONFIG`) when a node cannot start with the file.
    pub exit_code: u8,
    /// Lines for standard output.
    pub stdout: Vec<String>,
    /// Lines for standard error.
    pub stderr: Vec<String>,
}

/// A finding as `--json` prints it.
#[derive(Serialize)]
struct JsonFinding<'a> {
    severity: &'static str,
    file: &'a str,
    line: usize,
    key: &'a str,
    problem: &'a str,
    fix: &'a str,
}

/// Checks the configuration in `file`.
///
/// Without `json`, every error is a line `file:line: key: what is wrong; what to write` for standard error, every warning likewise
/// with `warning: ` before it, and a file without errors has a line for standard output. With `json`, every finding is an object
/// on a line of standard output, in English, and there is nothing else.
pub fn check(file: &Path, json: bool) -> CheckReport {
    let examination = Settings::examine(file);
    let exit_code = if examination.errors.is_empty() { 0 } else { 78 };
    let errors = examination.errors.iter();
    let warnings = examination.warnings.iter();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if json {
        stdout.extend(errors.map(|error| render("error", &error.0)));
        stdout.extend(warnings.map(|warning| render("warning", &warning.finding)));
    } else {
        let told = |finding: &Finding| finding.told(language());
        stderr.extend(errors.map(|error| told(&error.0)));
        stderr.extend(warnings.map(|warning| format!("{}{}", t().warning, told(&warning.finding))));
        stdout.extend(examination.settings.map(|settings| {
            let told = describe(&settings);
            format!("{}{}{told}", file.display(), t().colon)
        }));
    }
    CheckReport {
        exit_code,
        stdout,
        stderr,
    }
}

fn render(severity: &'static str, finding: &Finding) -> String {
    let shown = JsonFinding {
        severity,
        file: &finding.file.to_string_lossy(),
        line: finding.line,
        key: &finding.key,
        problem: finding.problem.of(Language::English),
        fix: finding.fix.of(Language::English),
    };
    serde_json::to_string(&shown).expect("texts and numbers always are JSON")
}

/// What the node would be, in a few words.
fn describe(settings: &Settings) -> String {
    let mut parts = vec![fill(t().check_unit, &[&settings.unit])];
    if let Some(listen) = settings.listen {
        let units = settings.units.len();
        parts.push(fill(t().check_hub, &[&listen.address, &units]));
    }
    if let Some(upstream) = &settings.upstream {
        let links: Vec<_> = upstream.links.iter().map(|l| l.name.as_str()).collect();
        let links = links.join(t().comma);
        parts.push(fill(t().check_dials, &[&upstream.hub, &links]));
    }
    parts.push(fill(t().check_policy, &[&settings.policy.allow.len()]));
    fill(t().check_ok, &[&parts.join(t().semicolon)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, json: bool) -> CheckReport {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("edge.toml");
        std::fs::write(&file, text).expect("writes");
        check(&file, json)
    }

    const EDGE: &str = r#"unit = "hebi.tobacco"
data-dir = "data"
[identity]
dir = "identity"
[upstream]
hub = "hebi.hub"
[[upstream.link]]
name = "lan"
kind = "lan"
address = "10.1.0.1:4433"
[[policy.allow]]
from = "hebi.**"
to = "hebi.**"
kinds = ["case.*"]
"#;

    #[test]
    fn an_identity_that_is_not_there_yet_is_a_warning() {
        let report = report(EDGE, false);
        assert_eq!(report.exit_code, 0);
        let [warning] = report.stderr.as_slice() else {
            panic!("{report:?}");
        };
        assert!(warning.starts_with("warning: "), "{warning}");
        assert!(warning.contains("edge.toml:4: identity.dir: "), "{warning}");
        assert!(
            warning.contains("casegate pki issue --unit hebi.tobacco"),
            "{warning}"
        );
        assert!(
            report.stdout[0]
                .ends_with("ok: unit hebi.tobacco; dials hebi.hub over lan; 1 policy rules"),
            "{report:?}"
        );
    }

    #[test]
    fn an_error_is_one_line_that_says_what_to_write_and_exit_code_78() {
        let report = report(&EDGE.replace("10.1.0.1:4433", "10.1.0.1"), false);
        assert_eq!((report.exit_code, report.stdout.len()), (78, 0));
        let [error] = report.stderr.as_slice() else {
            panic!("{report:?}");
        };
        assert!(
            error.ends_with(
                "edge.toml:10: upstream.link[0].address: \"10.1.0.1\" has no port; write \"10.1.0.1:4433\""
            ),
            "{error}"
        );
    }

    #[test]
    fn every_finding_is_one_object_with_json() {
        let report = report(
            &EDGE.replace("\"lan\"", "\"wifi\"").replace("unit", "Unit"),
            true,
        );
        assert_eq!((report.exit_code, report.stderr.len()), (78, 0));
        let findings: Vec<serde_json::Value> = report
            .stdout
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let keys: Vec<_> = findings
            .iter()
            .map(|f| (f["line"].as_u64(), f["key"].as_str()))
            .collect();
        assert_eq!(
            keys,
            [
                (Some(1), Some("unit")),
                (Some(1), Some("Unit")),
                (Some(9), Some("upstream.link[0].kind")),
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_too() {
        let report = check(Path::new("/nowhere/edge.toml"), false);
        assert_eq!(report.exit_code, 78);
        assert!(report.stderr[0].starts_with("/nowhere/edge.toml:1: file: cannot be read: "));
    }
}
