//! `casegate audit`: what operators did, and whether the record of it is whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    client::{ApiOptions, Client, escaped},
    exit::{BAD_DATA, CANNOT_CREATE, Failure},
    lines::left,
    send::to_json,
    show::text,
    table::{Table, bytes, moment},
    texts::{self, fill, t},
};
use crate::{
    observe::{Against, Audit, AuditError, Verified},
    pki::Roots,
};

/// Largest file of CAs' certificates, in bytes.
const CA_BYTES_MAX: u64 = 1 << 20;

/// See what operators did, and check that the record of it is whole
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate audit show --action drop --since 2026-11-01\n  \
        casegate audit export --out audit-2026-11.jsonl\n  \
        casegate audit verify audit-2026-11.jsonl --ca /etc/casegate/identity/ca.pem\n\n\
        show and export ask a node and need an operator's token. verify needs the file only: it names the first line that was changed, \
        removed, moved or cut off, and ends with 65. Keep the digest that it prints in another place: with --last it finds later that the \
        end was cut off, whoever did it.")]
pub struct AuditCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List entries, the newest first
    #[command(after_help = "Examples:\n  \
        casegate audit show --actor li.wei --since 2026-11-01\n  \
        casegate audit show --action refused-call --json | jq .subject")]
    Show {
        /// Only entries of this time (RFC 3339, or a date) or later
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only what this one did
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Only this action: hold, drop, read-body, refused-call, reload, ...
        #[arg(long, value_name = "ACTION")]
        action: Option<String>,
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        max: u32,
    },
    /// Check a log or an export of one, without a node
    #[command(after_help = "Examples:\n  \
        casegate audit verify audit-2026-11.jsonl --ca /etc/casegate/identity/ca.pem\n  \
        casegate audit verify /var/lib/casegate/audit.log --last DIGEST")]
    Verify {
        /// The file: audit.log of a data folder, or what export has written
        file: PathBuf,
        /// The certificates of the CA that the signer's must be of: ca.pem of an identity
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// The digest that an earlier check printed as last: that line must still be there
        #[arg(long, value_name = "DIGEST")]
        last: Option<String>,
    },
    /// Save the whole log, signed up to its end
    #[command(after_help = "Example:\n  \
        casegate audit export --out audit-2026-11.jsonl")]
    Export {
        /// The file to make; it must not be there
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Value>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    entries: u64,
    signed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    ca_checked: bool,
    torn: &'a [u64],
    last: &'a str,
}

impl AuditCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::Verify { file, ca, last } => {
                verify(&file, ca.as_deref(), last.as_deref(), self.json)
            }
            Action::Show {
                since,
                actor,
                action,
                max,
            } => {
                let mut path = "/v1/audit?".to_owned();
                for (name, value) in [("since", since), ("actor", actor), ("action", action)] {
                    if let Some(value) = value {
                        path += &format!("{name}={}&", escaped(&value));
                    }
                }
                let mut client = Client::new(&self.api)?;
                client.as_operator()?;
                show(&client, &path, max, self.json)
            }
            Action::Export { out } => {
                let mut client = Client::new(&self.api)?;
                client.as_operator()?;
                let (_, total, answer) = client.stream("/v1/audit/export", 0)?;
                let saved = save(answer, total, &out)?;
                let mut stdout = io::stdout().lock();
                let told = match self.json {
                    true => writeln!(
                        stdout,
                        "{}",
                        serde_json::json!({"file": out, "bytes": saved})
                    ),
                    false => writeln!(stdout, "{}{}{}", out.display(), t().colon, bytes(saved)),
                };
                told.map_err(|error| Failure::lost(&error))
            }
        }
    }
}

fn show(client: &Client, path: &str, max: u32, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut table = Table::new([
        t().head_time,
        t().head_actor,
        t().head_action,
        t().head_subject,
        t().head_reason,
    ]);
    let mut left = max;
    let mut cursor = None::<String>;
    loop {
        let mut asked = format!("{path}max={}", left.min(1000));
        if let Some(cursor) = &cursor {
            asked += &format!("&cursor={}", escaped(cursor));
        }
        let page: Page = client.read(&asked)?;
        for entry in page.entries.iter().take(left as usize) {
            left -= 1;
            if json {
                writeln!(out, "{entry}").map_err(|error| Failure::output(&error))?;
                continue;
            }
            let action = text(&entry["action"]);
            table.row([
                moment(&text(&entry["time"])),
                text(&entry["actor"]),
                action.clone(),
                text(&entry["subject"]),
                // Nobody reads a certificate or a signature here.
                match action.as_str() {
                    "certificate" | "checkpoint" => String::new(),
                    _ => text(&entry["reason"]),
                },
            ]);
        }
        cursor = page.next;
        if cursor.is_none() || left == 0 {
            break;
        }
    }
    let written = if json { Ok(()) } else { table.write(&mut out) };
    written
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

fn save(mut answer: impl io::Read, total: Option<u64>, out: &Path) -> Result<u64, Failure> {
    let failed = |error: io::Error| {
        let text = fill(t().unwritable_out, &[&out.display(), &error]);
        Failure::new(CANNOT_CREATE, text)
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .map_err(failed)?;
    let copied = io::copy(&mut answer, &mut file).and_then(|copied| {
        file.sync_all()?;
        match total {
            Some(total) if total != copied => Err(io::Error::other(t().came_in_part)),
            _ => Ok(copied),
        }
    });
    copied.map_err(|error| {
        // A part of it is no export.
        let _ = std::fs::remove_file(out);
        failed(error)
    })
}

fn verify(file: &Path, ca: Option<&Path>, last: Option<&str>, json: bool) -> Result<(), Failure> {
    let roots = ca.map(read_roots).transpose()?;
    let against = Against {
        roots: roots.as_ref(),
        last,
    };
    let verified = Audit::verify(file, against).map_err(|error| {
        let advice = match &error {
            AuditError::Io { .. } => t().audit_advice,
            _ => "",
        };
        let told = texts::faults::audit(&error);
        Failure::new(BAD_DATA, format!("{told}{advice}"))
    })?;
    if verified.signed == 0 {
        let text = fill(t().audit_unsigned, &[&file.display()]);
        return Err(Failure::new(BAD_DATA, text));
    }
    let mut out = io::stdout().lock();
    let told = match json {
        true => {
            let (unit, certificate) = verified
                .signer
                .as_ref()
                .map(|(unit, certificate)| (unit.to_string(), certificate.to_string()))
                .unzip();
            let report = Report {
                file,
                entries: verified.entries,
                signed: verified.signed,
                unit,
                certificate,
                ca_checked: roots.is_some(),
                torn: &verified.torn,
                last: &verified.last,
            };
            writeln!(out, "{}", to_json(&report)?)
        }
        false => tell(&mut out, file, &verified, roots.is_some()),
    };
    told.map_err(|error| Failure::output(&error))
}

fn tell(out: &mut impl Write, file: &Path, verified: &Verified, ca: bool) -> io::Result<()> {
    let Verified {
        entries,
        torn,
        last,
        signed,
        signer,
    } = verified;
    let mut fact = |name: &str, value: &str| writeln!(out, "{}{value}", left(name, 11));
    fact(&fill(t().audit_whole, &[&file.display(), entries]), "")?;
    if let Some((unit, certificate)) = signer {
        fact(t().signed_by, &fill(t().audit_signer, &[unit, signed]))?;
        let checked = match ca {
            true => t().audit_of_ca,
            false => t().audit_no_ca,
        };
        let certificate = fill(t().audit_certificate, &[certificate, &checked]);
        fact(t().certificate, &certificate)?;
    }
    for line in torn {
        fact(&fill(t().audit_torn, &[line]), "")?;
    }
    fact(t().last, last)
}

fn read_roots(path: &Path) -> Result<Roots, Failure> {
    let failed = |why: String| {
        let text = format!("{}{}{why}", path.display(), t().colon);
        Failure::new(BAD_DATA, text)
    };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CA_BYTES_MAX).read_to_end(&mut pem))
        .map_err(|error| failed(error.to_string()))?;
    Roots::from_pem(&pem).map_err(|fault| failed(fault.to_string()))
}
