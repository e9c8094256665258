//! `casegate send --events`: a file of CloudEvents, one a line, in batches.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    path::Path,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    client::{CallError, Client},
    exit::{BAD_DATA, Failure},
    progress::{Goal, Wait},
    send::{Accepted, to_json, unreadable},
    texts::{fill, t},
};
use crate::cloudevents::Mode;

/// Most events of one batch. A node that takes fewer, or less, gets them in smaller ones.
const BATCH_EVENTS_MAX: usize = 500;
/// A batch ends with the event that brings it to this many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Longest line, in bytes: what `limits.request-kib` may be set to at most.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// A file of events to send.
#[derive(Debug)]
pub struct Events<'a> {
    /// The file; `-` is standard input.
    pub file: &'a Path,
    /// What to wait for.
    pub goal: Goal,
    /// How long, once all are accepted.
    pub within: Duration,
    /// Whether to print what the node answered.
    pub json: bool,
}

/// An event, and the line that it stands in, from 1.
#[derive(Debug)]
struct Line {
    number: usize,
    event: String,
}

#[derive(Deserialize)]
struct AcceptedBatch {
    accepted: Vec<Accepted>,
}

impl Events<'_> {
    /// Sends them in the file's order.
    ///
    /// # Errors
    /// The first line that is at fault, or what kept the node from taking a batch. What came before is accepted; the same file may
    /// be sent again, and no message goes twice.
    pub fn send(&self, client: &Client) -> Result<(), Failure> {
        let name = match self.file.as_os_str() == "-" {
            true => t().standard_input.to_owned(),
            false => self.file.display().to_string(),
        };
        let failed = |error| unreadable(&name, &error);
        let (input, bytes): (Box<dyn BufRead>, _) = if self.file.as_os_str() == "-" {
            (Box::new(io::stdin().lock()), None)
        } else {
            let file = File::open(self.file).map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            (Box::new(BufReader::new(file)), Some(bytes))
        };
        let mut run = Run {
            events: self,
            client,
            name,
            accepted: Vec::new(),
            count: 0,
            bar: bar(bytes),
        };
        let sent = run.read(input);
        run.bar.finish_and_clear();
        sent.map_err(|failure| match run.count {
            0 => failure,
            count => failure.within("", &fill(t().events_again, &[&count])),
        })?;
        run.wait()
    }
}

/// A file on its way.
struct Run<'a> {
    events: &'a Events<'a>,
    client: &'a Client,
    name: String,
    /// What is to be waited for.
    accepted: Vec<Accepted>,
    count: usize,
    bar: ProgressBar,
}

impl Run<'_> {
    fn read(&mut self, mut input: Box<dyn BufRead + '_>) -> Result<(), Failure> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for number in 1.. {
            let mut line = String::new();
            let read = (&mut input).take(LINE_BYTES_MAX).read_line(&mut line);
            let read = read.map_err(|error| {
                let text = fill(t().events_unread, &[&self.name, &number, &error]);
                Failure::new(BAD_DATA, text)
            })?;
            if read == 0 {
                break;
            }
            self.bar.inc(read as u64);
            let event = line.trim();
            if event.is_empty() {
                continue;
            }
            if let Err(error) = serde_json::from_str::<HashMap<String, IgnoredAny>>(event) {
                let text = fill(t().events_no_object, &[&self.name, &number, &error]);
                return Err(Failure::new(BAD_DATA, text));
            }
            bytes += event.len();
            batch.push(Line {
                number,
                event: event.to_owned(),
            });
            if batch.len() == BATCH_EVENTS_MAX || bytes >= BATCH_BYTES_MAX {
                self.post(&batch)?;
                (batch, bytes) = (Vec::new(), 0);
            }
        }
        self.post(&batch)
    }

    /// Sends a batch; one that is over a bound of the node goes in two halves.
    fn post(&mut self, batch: &[Line]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let events: Vec<_> = batch.iter().map(|line| line.event.as_str()).collect();
        let body = format!("[{}]", events.join(","));
        match self.client.post("/v1/messages", Mode::BATCH, body) {
            Ok(answer) => {
                let answer: AcceptedBatch = self.client.parse(&answer)?;
                self.count += answer.accepted.len();
                self.bar
                    .set_message(fill(t().events_accepted, &[&self.count]));
                if self.events.goal == Goal::Accepted {
                    self.print(&answer.accepted)
                } else {
                    self.accepted.extend(answer.accepted);
                    Ok(())
                }
            }
            // Without an index it is the batch that is too large, not an event.
            Err(CallError::Refused(refused))
                if refused.status == 413 && refused.index.is_none() && batch.len() > 1 =>
            {
                let (first, second) = batch.split_at(batch.len() / 2);
                self.post(first)?;
                self.post(second)
            }
            Err(CallError::Refused(refused)) => {
                let line = match (refused.index, batch) {
                    (Some(index), batch) => batch.get(index),
                    (None, [line]) => Some(line),
                    (None, _) => None,
                };
                let place = match line {
                    Some(line) => format!("{}:{}{}", self.name, line.number, t().colon),
                    None => format!("{}{}", self.name, t().colon),
                };
                Err(Failure::from(*refused).within(&place, ""))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn print(&self, accepted: &[Accepted]) -> Result<(), Failure> {
        if !self.events.json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for one in accepted {
            writeln!(out, "{}", to_json(one)?).map_err(|error| Failure::lost(&error))?;
        }
        Ok(())
    }

    fn wait(mut self) -> Result<(), Failure> {
        let mut accepted = std::mem::take(&mut self.accepted);
        if !accepted.is_empty() {
            let wait = Wait::new(self.events.goal, self.events.within);
            let bar = bar(None);
            let total = accepted.len();
            for (at, one) in accepted.iter_mut().enumerate() {
                bar.set_message(fill(t().events_there, &[&at, &total]));
                bar.tick();
                one.state = wait.until(self.client, &one.messageid)?;
            }
            bar.finish_and_clear();
            self.print(&accepted)?;
        }
        match self.events.json {
            true => Ok(()),
            false => writeln!(
                io::stdout(),
                "{}",
                fill(t().events_accepted, &[&self.count])
            )
            .map_err(|error| Failure::lost(&error)),
        }
    }
}

/// A bar on standard error, when that is a terminal; nothing otherwise.
fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent:>3}% {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        // It is one of the two above.
        Err(_) => bar,
    }
}
