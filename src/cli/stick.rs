//! `casegate queue export --out` and `casegate import`: a queue that is carried as a file.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{ApiOptions, Client},
    exit::{BAD_DATA, CANNOT_CREATE, Failure, LATER},
    send::to_json,
    table::bytes,
    texts::{fill, t},
};

/// Take the messages of a file that a neighbour has exported
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate import /media/stick/queue.casegate\n\n\
        The file is for this node and of a neighbour, or it is refused as a whole. Each message in it is judged as if it had come over a \
        link; what has come before is not taken twice, so a file may be imported again when it is not known whether it was. Needs an \
        operator's token.")]
pub struct ImportCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Print the node's answer as JSON
    #[arg(long)]
    json: bool,
    /// The file
    file: PathBuf,
}

#[derive(Deserialize)]
struct Imported {
    from: String,
    taken: u64,
    repeated: u64,
    no_room: u64,
    refused: Vec<Value>,
}

impl ImportCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let text = fill(t().import_unread, &[&self.file.display(), &error]);
            Failure::new(BAD_DATA, text)
        };
        let mut file = File::open(&self.file).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut client = Client::new(&self.api)?;
        client.as_operator()?;
        let answer = client.put("/v1/import", &mut file, size);
        let answer = answer.map_err(|error| {
            Failure::from(error).within(&format!("{}{}", self.file.display(), t().colon), "")
        })?;
        let imported: Imported = client.parse(&answer)?;
        let mut out = io::stdout().lock();
        let told = match self.json {
            true => writeln!(out, "{answer}"),
            false => {
                let Imported {
                    taken,
                    from,
                    repeated,
                    refused,
                    ..
                } = &imported;
                let values: [&dyn Display; 4] = [taken, from, repeated, &refused.len()];
                writeln!(out, "{}", fill(t().imported, &values))
            }
        };
        told.map_err(|error| Failure::lost(&error))?;
        for refused in &imported.refused {
            let message = refused["messageid"].as_str().unwrap_or(t().a_message);
            let why = refused["why"].as_str().unwrap_or_default();
            eprintln!("{}", fill(t().import_refused, &[&message, &why]));
        }
        if imported.no_room > 0 {
            let text = fill(t().import_full, &[&imported.no_room]);
            return Err(Failure::new(LATER, text));
        }
        Ok(())
    }
}

/// What the node says of a file that it gives.
#[derive(Deserialize)]
struct Exported {
    neighbour: String,
    messages: u64,
    #[serde(default)]
    left_out: u64,
    #[serde(default)]
    named: Vec<Value>,
    cursor: Option<String>,
}

/// Asks for files as long as there is more, and saves them: `out`, then `out.2` and so on. What was saved stays when a later one fails.
///
/// # Errors
/// See [`Failure`].
pub fn export(client: &Client, mut ask: Value, out: &Path, json: bool) -> Result<(), Failure> {
    let mut number = 1;
    loop {
        let path = match number {
            1 => out.to_owned(),
            more => {
                let mut name = out.as_os_str().to_owned();
                name.push(format!(".{more}"));
                name.into()
            }
        };
        let file = create(&path)?;
        let saved = client
            .save(
                "/v1/queue/export",
                to_json(&ask)?.as_bytes(),
                "casegate-exported",
            )
            .map_err(Failure::from)
            .and_then(|(told, total, answer)| {
                let told: Exported = client.parse(&told)?;
                let size = save(file, &path, answer, total)?;
                Ok((told, size))
            });
        let (told, size) = match saved {
            Ok(saved) => saved,
            Err(failure) => {
                // A part of it is no file. What it was to have is held at the node: exported again, or released.
                let _ = fs::remove_file(&path);
                if number > 1 && failure.is(BAD_DATA) {
                    // What fitted was all in the files before.
                    return Ok(());
                }
                return Err(failure);
            }
        };
        let mut stdout = io::stdout().lock();
        let line = match json {
            true => writeln!(
                stdout,
                "{}",
                json!({
                    "file": path, "bytes": size, "neighbour": told.neighbour, "messages": told.messages,
                    "left_out": told.left_out, "named": told.named,
                })
            ),
            false => {
                let (file, neighbour) = (path.display(), &told.neighbour);
                let size = bytes(size);
                let values: [&dyn Display; 5] =
                    [&file, &told.messages, neighbour, &size, neighbour];
                writeln!(stdout, "{}", fill(t().exported, &values))
            }
        };
        line.map_err(|error| Failure::lost(&error))?;
        for left_out in &told.named {
            let [message, why] =
                ["messageid", "why"].map(|name| left_out[name].as_str().unwrap_or_default());
            eprintln!("{}", fill(t().left_out, &[&message, &why]));
        }
        match told.cursor {
            Some(cursor) => ask["cursor"] = cursor.into(),
            None => return Ok(()),
        }
        number += 1;
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    options.map_err(|error| {
        let text = fill(t().export_unmade, &[&path.display(), &error]);
        Failure::new(CANNOT_CREATE, text)
    })
}

/// Saves all of it on the stick, also when that is pulled out the next moment.
fn save(
    mut file: File,
    path: &Path,
    mut answer: impl io::Read,
    total: Option<u64>,
) -> Result<u64, Failure> {
    let copied = io::copy(&mut answer, &mut file).and_then(|copied| {
        file.sync_all()?;
        match total {
            Some(total) if total != copied => Err(io::Error::other(t().came_in_part)),
            _ => Ok(copied),
        }
    });
    copied.map_err(|error| {
        let text = fill(t().export_unwritten, &[&path.display(), &error]);
        Failure::new(CANNOT_CREATE, text)
    })
}
