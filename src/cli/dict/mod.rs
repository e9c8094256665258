//! `casegate dict`: dictionaries that a unit trains on its own messages.

mod gain;
mod messages;
mod train;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::{
    client::{ApiOptions, Client},
    exit::{BAD_DATA, Failure},
    send::to_json,
    table::{Table, bytes, fact},
    texts::{faults, fill, t},
};
use crate::{config::read_dictionary, wire::Trained};

/// Dictionaries: train one on a unit's own messages, and look at one
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate dict train --out unit.dict sent-in-november.jsonl\n  \
        casegate dict show unit.dict\n  \
        casegate dict show")]
pub struct DictCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Train(train::TrainOptions),
    /// Show what a dictionary is, or which ones the node's links use
    Show {
        #[command(flatten)]
        api: ApiOptions,
        /// The file that `casegate dict train` wrote; without it the node is asked what it compresses its own messages against
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl DictCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::Train(options) => options.run(),
            Action::Show {
                file: Some(file),
                json,
                ..
            } => show_file(&file, json),
            Action::Show {
                api,
                file: None,
                json,
            } => show_links(&api, json),
        }
    }
}

fn show_file(file: &Path, json: bool) -> Result<(), Failure> {
    let trained = read_dictionary(file)
        .map_err(|error| Failure::new(BAD_DATA, faults::dictionary(file, &error)))?;
    let about = About::new(&trained);
    let mut out = io::stdout().lock();
    let written = match json {
        true => writeln!(out, "{}", to_json(&about)?),
        false => write!(out, "{}", about.text()),
    };
    written.map_err(|error| Failure::output(&error))
}

/// A link as the node tells of it.
#[derive(Debug, Deserialize, Serialize)]
struct LinkUse {
    neighbour: String,
    link: String,
    /// None while there is no session.
    dictionary: Option<String>,
}

fn show_links(api: &ApiOptions, json: bool) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Links {
        links: Vec<LinkUse>,
    }
    let Links { links } = Client::new(api)?.read("/v1/links")?;
    let mut out = io::stdout().lock();
    let written = match json {
        true => {
            let lines: Result<Vec<_>, _> = links.iter().map(to_json).collect();
            lines?.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        false => {
            let mut table = Table::new([t().head_link, t().head_neighbour, t().head_dictionary]);
            for link in links {
                let dictionary = link.dictionary.unwrap_or_default();
                table.row([link.link, link.neighbour, dictionary]);
            }
            table.write(&mut out)
        }
    };
    written.map_err(|error| Failure::output(&error))
}

/// What a dictionary is.
#[derive(Debug, Serialize)]
struct About {
    /// How nodes name it: the first 16 bytes of BLAKE3 over it.
    id: String,
    /// Its size.
    bytes: usize,
    /// When it was trained.
    trained: String,
    /// How many messages it was trained on.
    samples: u64,
    /// Whose messages; none when several units sent them.
    unit: Option<String>,
}

impl About {
    fn new(trained: &Trained) -> Self {
        Self {
            id: trained.dictionary.id().to_string(),
            bytes: trained.dictionary.bytes().len(),
            trained: format!("{:.0}", trained.at),
            samples: trained.samples,
            unit: trained.unit.as_ref().map(ToString::to_string),
        }
    }

    fn text(&self) -> String {
        let whose = self.unit.as_deref().unwrap_or(t().several_units);
        let lines = [
            fact(t().dictionary_id, &self.id),
            fact(t().size, &bytes(self.bytes as u64)),
            fact(t().samples, &fill(t().samples_of, &[&self.samples, &whose])),
            fact(t().trained, &self.trained),
        ];
        lines.map(|line| line + "\n").concat()
    }
}
