//! A hub and units on this machine, the links between them emulated, and messages through them: what the demo and the lab run.
//!
//! Nothing is simulated but the links: certificates are issued, configuration files written and read, nodes started, messages
//! submitted, received and acked over HTTP as an application would. Every message that comes is compared with what was sent.

mod cast;
mod error;
mod folder;
mod http;
mod ledger;
mod line;
mod plan;
mod progress;
mod report;
mod scan;
mod traffic;
mod world;

use std::{path::Path, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) use self::{
    cast::{Cast, Flow},
    error::TrialError,
    line::Line,
    report::Report,
    traffic::Pace,
};
use self::{folder::TrialFolder, ledger::Ledger, progress::Progress, world::World};
use super::texts::{fill, t};
use crate::{
    node,
    observe::{self, LogFormat, LogLevel},
};

/// Most messages of a trial: all of them are kept in memory to compare.
pub(super) const MESSAGES_MAX: u64 = 100_000;
/// How long what is left of an interrupted start may take to end.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What is to be tried.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) cast: Cast,
    pub(super) line: Line,
    /// The links' losses and delays come from this.
    pub(super) seed: u64,
    /// (message, receiver) pairs.
    pub(super) messages: u32,
    pub(super) flow: Flow,
    pub(super) pace: Pace,
    /// Bytes of the scan that goes when all messages have come; none without one.
    pub(super) scan_bytes: Option<usize>,
}

impl Trial {
    /// Runs it in `folder`, or in a new one for temporary files; it is removed at the end unless it is kept.
    ///
    /// # Errors
    /// The folder cannot be had, the nodes do not start or do not get through to each other, or a signal came.
    pub(super) fn run(&self, folder: Option<&Path>, keep: bool) -> Result<Report, TrialError> {
        // Several nodes in one log are for those who ask for it.
        if std::env::var_os(observe::FILTER_VARIABLE).is_some() {
            observe::init(LogLevel::Warn, LogFormat::Text)
                .map_err(|error| TrialError::internal(fill(t().no_log, &[&error])))?;
        }
        let runtime = node::runtime()
            .map_err(|error| TrialError::internal(fill(t().no_threads, &[&error])))?;
        let folder = TrialFolder::make(folder, keep)?;
        let outcome = runtime.block_on(self.watched(&folder, keep));
        // Before the folder goes.
        runtime.shutdown_timeout(END_WITHIN);
        outcome
    }

    /// The trial until its end, or until a signal.
    async fn watched(&self, folder: &TrialFolder, keep: bool) -> Result<Report, TrialError> {
        let mut signals = Signals::listen()?;
        let progress = Progress::new(self.messages);
        let world = tokio::select! {
            world = World::start(folder.path(), self, &progress) => world?,
            () = signals.any() => return Err(TrialError::interrupted()),
        };
        let ledger = Ledger::new(self.cast.plan(self.messages, self.flow));
        let exchanged = tokio::select! {
            exchanged = traffic::exchange(&world, &self.pace, &ledger, &progress) => exchanged,
            () = signals.any() => Err(TrialError::interrupted()),
        };
        let wire = world.wire();
        let scanned = match (exchanged, self.scan_bytes) {
            (Err(error), _) => Err(error),
            (Ok(()), None) => Ok(None),
            (Ok(()), Some(bytes)) => tokio::select! {
                scanned = scan::carry(&world, bytes, &progress) => scanned.map(Some),
                () = signals.any() => Err(TrialError::interrupted()),
            },
        };
        world.stop(keep).await?;
        progress.finish();
        let scan = scanned?;
        let kept = keep.then(|| folder.path().to_owned());
        Ok(Report::new(self, &ledger, wire, scan, kept))
    }
}

/// What ends a trial early.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, TrialError> {
        let listen = |kind| {
            signal(kind).map_err(|error| TrialError::internal(fill(t().no_signals_why, &[&error])))
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
