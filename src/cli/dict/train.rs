//! `casegate dict train`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    About,
    gain::{Gain, Ratios},
    messages::{Message, Messages},
};
use crate::{
    cli::{
        exit::{BAD_DATA, CANNOT_CREATE, Failure, INTERNAL},
        lines::{left, right},
        send::to_json,
        table::fact,
        texts::{fill, t},
    },
    model::UnitId,
    pki::files::{Access, Unfinished},
    wire::{self, Against, DICTIONARY_BYTES_MAX, Dictionary, SAMPLES_MIN, Trained},
};

/// Every so many messages one is kept back, to measure on.
const HELD_OUT_EVERY: usize = 10;
/// Every so many messages there is a receipt, which a unit sends too.
const RECEIPT_EVERY: usize = 12;
/// Messages that are kept back at least for a figure to say something.
const HELD_OUT_MIN: usize = 20;

/// Train a dictionary on a unit's own messages
#[derive(Debug, Args)]
#[command(
    after_help = "Every tenth message is kept back, and what the dictionary saves is measured on those. At least 500 others are \
                  needed. Name the file in the node's configuration, [compression] dictionary = FILE, and send it a SIGHUP: its \
                  neighbours are given the dictionary once, behind every message. They can read pieces of the messages that it \
                  was trained on."
)]
pub(super) struct TrainOptions {
    /// Files of CloudEvents as applications submit them (.jsonl: one a line, .json: one), or folders of them
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Where the dictionary is written; a file that is there is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The unit whose messages are taken; others are left out
    #[arg(long, value_name = "UNIT")]
    unit: Option<UnitId>,
    /// The most that it may take
    #[arg(long, value_name = "N", default_value_t = SIZE_KIB_MAX, value_parser = clap::value_parser!(u16).range(4..=i64::from(SIZE_KIB_MAX)))]
    size_kib: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const SIZE_KIB_MAX: u16 = (DICTIONARY_BYTES_MAX / 1024) as u16;

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    about: About,
    file: String,
    held_out: Gain,
}

impl TrainOptions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let found = Messages::read(&self.inputs, self.unit.as_ref())?;
        if found.foreign > 0 {
            eprintln!("{}", fill(t().dictionary_foreign, &[&found.foreign]));
        }
        if found.is_cut {
            eprintln!("{}", t().dictionary_cut);
        }
        let senders = found.senders();
        let unit = match senders.len() {
            1 => senders.first().map(|unit| (*unit).clone()),
            _ => None,
        };
        if senders.len() > 1 {
            eprintln!("{}", fill(t().dictionary_senders, &[&senders.len()]));
        }
        let (held_out, learnt): (Vec<_>, Vec<_>) = found
            .messages
            .iter()
            .enumerate()
            .partition(|(index, _)| index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1);
        let held_out: Vec<&Message> = held_out.into_iter().map(|(_, message)| message).collect();
        let learnt: Vec<&Message> = learnt.into_iter().map(|(_, message)| message).collect();
        self.enough(&found, learnt.len(), held_out.len())?;

        let bytes = wire::train(&samples(&learnt), usize::from(self.size_kib) * 1024)
            .map_err(|error| Failure::new(BAD_DATA, error.to_string()))?;
        let dictionary = Dictionary::new(bytes)
            .map_err(|error| Failure::new(INTERNAL, fill(t().dictionary_is, &[&error])))?;
        let trained = Trained {
            unit,
            at: Timestamp::now(),
            samples: learnt.len() as u64,
            dictionary: Arc::new(dictionary),
        };
        let own = Against::Own(Against::OWN_FIRST, trained.dictionary.clone());
        let held_out = Gain::of(&own, &held_out);
        let file = self.out.display().to_string();
        Unfinished::write(&self.out, &trained.to_bytes(), Access::Private)
            .and_then(Unfinished::replace)
            .map_err(|error| {
                let text = fill(t().dictionary_unwritten, &[&file, &error]);
                Failure::new(CANNOT_CREATE, text)
            })?;
        let outcome = Outcome {
            about: About::new(&trained),
            file,
            held_out,
        };
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", to_json(&outcome)?),
            false => write!(out, "{}", outcome.text()),
        }
        .map_err(|error| Failure::lost(&error))
    }

    fn enough(&self, found: &Messages, learnt: usize, held_out: usize) -> Result<(), Failure> {
        if learnt >= SAMPLES_MIN && held_out >= HELD_OUT_MIN {
            return Ok(());
        }
        let whose = match &self.unit {
            Some(unit) => fill(t().dictionary_of, &[unit]),
            None => String::new(),
        };
        let wanted = (SAMPLES_MIN * HELD_OUT_EVERY).div_ceil(HELD_OUT_EVERY - 1);
        let found = found.messages.len();
        let text = fill(t().dictionary_few, &[&found, &whose, &wanted]);
        Err(Failure::new(BAD_DATA, text))
    }
}

/// What is compressed of each message alone, and of receipts that its sender's gateway makes meanwhile.
fn samples(messages: &[&Message]) -> Vec<Vec<u8>> {
    let mut samples = Vec::with_capacity(messages.len() + messages.len() / RECEIPT_EVERY);
    for (message, seq) in messages.iter().zip(1..) {
        samples.push(wire::sample(&message.parcel, seq));
        if let Some(other) = message.receivers.first()
            && (seq as usize).is_multiple_of(RECEIPT_EVERY)
        {
            let receipt = wire::receipt(&message.sender, other, seq, message.accepted);
            samples.push(wire::sample(&receipt, seq));
        }
    }
    samples
}

impl Outcome {
    fn text(&self) -> String {
        let Gain {
            messages,
            alone,
            batches,
            densest,
            ..
        } = &self.held_out;
        let line = |what: &str, ratios: &Ratios| {
            let Ratios { built_in, own } = ratios;
            let saved = 100.0 * (1.0 - own / built_in);
            format!(
                "{}{built_in:>8.3}{own:>8.3}{saved:>7.1} %\n",
                left(what, 22)
            )
        };
        let head = [
            left("", 22),
            right(t().gain_built_in, 8),
            right(t().gain_own, 8),
            right(t().gain_saved, 9),
        ];
        let mut text = self.about.text();
        text += &fact(t().file, &self.file);
        text += "\n\n";
        text += &fill(t().gain_of, &[messages]);
        text.push('\n');
        text += &head.concat();
        text.push('\n');
        text += &line(t().gain_alone, alone);
        text += &line("64 KiB, zstd 19", batches);
        text += &line("64 KiB, PPMd", densest);
        if alone.own >= alone.built_in && batches.own >= batches.built_in {
            text += t().gain_none;
            text.push('\n');
        }
        text
    }
}
