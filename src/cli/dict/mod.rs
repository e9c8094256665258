//! `casegate dict`: dictionaries that a unit trains on its own messages.

mod gain;
mod messages;
mod train;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    exit::{BAD_DATA, Failure},
    send::to_json,
    table::bytes,
};
use crate::{config::read_dictionary, wire::Trained};

/// Dictionaries: train one on a unit's own messages, and look at one
#[derive(Debug, Args)]
pub struct DictCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Train(train::TrainOptions),
    /// Show what a dictionary is
    Show {
        /// The file that `casegate dict train` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
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
            Action::Show { file, json } => {
                let trained = read_dictionary(&file)
                    .map_err(|error| Failure::new(BAD_DATA, error.to_string()))?;
                let about = About::new(&trained);
                let mut out = io::stdout().lock();
                let written = match json {
                    true => writeln!(out, "{}", to_json(&about)?),
                    false => write!(out, "{}", about.text()),
                };
                written.map_err(|error| Failure::output(&error))
            }
        }
    }
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
        let whose = self.unit.as_deref().unwrap_or("several units");
        let Self {
            id,
            samples,
            trained,
            ..
        } = self;
        let size = bytes(self.bytes as u64);
        format!(
            "id        {id}\nsize      {size}\nsamples   {samples} messages of {whose}\ntrained   {trained}\n"
        )
    }
}
