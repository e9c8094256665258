//! `casegate pki`: the CA, a unit's certificates, and the request for them.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};

use super::texts::{fill, t};
use crate::{
    model::{Millis, UnitId},
    pki::{self, CA_NAME_CHARS_MAX, DAYS_DEFAULT, DAYS_MAX, Host, PkiError},
};

/// Certificates: make a CA, request and issue a unit's certificates
#[derive(Debug, Args)]
#[command(
    after_help = "Examples, the first and the last at the CA, the other one at the unit:\n  \
        casegate pki init --dir ca --name 'Hebi CA'\n  \
        casegate pki request --unit hebi.xunxian.tobacco --out identity\n  \
        casegate pki issue --dir ca --unit hebi.xunxian.tobacco --csr request.csr --out issued"
)]
pub struct PkiCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a certificate authority; one that exists is never overwritten
    Init {
        /// The CA's folder, created as needed: ca.pem, ca.key and a record of what is issued
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The CA's name in its certificate
        #[arg(long, value_name = "TEXT", default_value = "casegate CA", value_parser = ca_name)]
        name: String,
    },
    /// Issue a unit's TLS and signing certificates
    #[command(
        long_about = "Issue a unit's TLS and signing certificates. With --csr the keys stay where `casegate pki request` made \
                      them. Without it the keys are made here too, which is for labs."
    )]
    Issue {
        /// The CA's folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The unit's name, such as hebi.xunxian.tobacco
        #[arg(long, value_name = "UNIT")]
        unit: UnitId,
        /// The folder for ca.pem, tls.pem, signing.pem (and the keys), created as needed; files there are replaced
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// A DNS name or IP address for the TLS certificate; only other tools look at it
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<Host>,
        /// The request.csr that `casegate pki request` made at the unit
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
        /// How long the certificates are valid
        #[arg(long, value_name = "N", default_value_t = DAYS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
        days: u32,
    },
    /// Make a unit's keys and the request for its certificates, where they are used
    Request {
        /// The unit's name, such as hebi.xunxian.tobacco
        #[arg(long, value_name = "UNIT")]
        unit: UnitId,
        /// The folder for tls.key, signing.key and request.csr, created as needed; a key there is never overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

fn ca_name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=CA_NAME_CHARS_MAX if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(fill(t().ca_name_wrong, &[&CA_NAME_CHARS_MAX])),
    }
}

impl PkiCommand {
    /// Does it, and says on stderr what was written.
    ///
    /// # Errors
    /// [`PkiError::exit_code`] is what the process should end with.
    pub fn run(self) -> Result<(), PkiError> {
        let now = now();
        match self.action {
            Action::Init { dir, name } => {
                pki::init(&dir, &name, now)?;
                eprintln!("{}", fill(t().ca_made, &[&dir.display()]));
            }
            Action::Issue {
                dir,
                unit,
                out,
                hosts,
                csr,
                days,
            } => {
                let asked = pki::Issue {
                    dir: &dir,
                    unit: &unit,
                    out: &out,
                    hosts: &hosts,
                    csr: csr.as_deref(),
                    days,
                };
                let files = pki::issue(&asked, now)?;
                if csr.is_none() {
                    eprintln!("{}", t().keys_made_here);
                }
                eprintln!("{}", fill(t().issued, &[&unit, &listed(&files)]));
            }
            Action::Request { unit, out } => {
                let files = pki::request(&unit, &out)?;
                eprintln!("{}", fill(t().requested, &[&unit, &listed(&files)]));
            }
        }
        Ok(())
    }
}

fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        command: PkiCommand,
    }

    fn parse(line: &str) -> Result<PkiCommand, clap::Error> {
        let words = std::iter::once("pki").chain(line.split_whitespace());
        Program::try_parse_from(words).map(|program| program.command)
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        for line in [
            "",
            "init",
            "issue --dir a --unit Hebi --out b",
            "issue --dir a --unit hebi.hub --out b --host a_b*",
            "issue --dir a --unit hebi.hub --out b --days 0",
            "issue --dir a --out b",
            "request --out b",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert!(ca_name("").is_err() && ca_name(&"字".repeat(65)).is_err());
        assert!(ca_name(&"字".repeat(64)).is_ok());
    }

    #[test]
    fn init_request_and_issue_make_an_identity_and_a_second_init_ends_with_73() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |line: &str| {
            let line = line.replace("@", &folder.path().display().to_string());
            parse(&line).expect("a command").run()
        };
        run("init --dir @/new/ca").expect("a CA");
        run("request --unit hebi.hub --out @/hub").expect("a request");
        run("issue --dir @/new/ca --unit hebi.hub --out @/hub --csr @/hub/request.csr --host 127.0.0.1")
            .expect("certificates");
        pki::Identity::load(
            &folder.path().join("hub"),
            &"hebi.hub".parse().expect("a unit"),
            now(),
        )
        .expect("an identity");
        run("issue --dir @/new/ca --unit hebi.xunxian.tobacco --out @/edge").expect("an identity");
        let error = run("init --dir @/new/ca").expect_err("a refusal");
        assert_eq!(error.exit_code(), 73);
        let error = run("issue --dir @/none --unit hebi.hub --out @/x").expect_err("a refusal");
        assert_eq!(error.exit_code(), 65);
    }
}
