//! `casegate demo`: a hub, two units and the links between them on this machine, and a few hundred messages and a scan through them.
//!
//! Nothing is simulated but the links: certificates are issued, configuration files written and read, nodes started, messages
//! submitted, received and acked over HTTP as an application would. Every message that comes is compared with what was sent.

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

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    error::DemoError, folder::DemoFolder, ledger::Ledger, line::Line, progress::Progress,
    report::Report, world::World,
};
use crate::{
    node,
    observe::{self, LogFormat, LogLevel},
};

/// Messages unless `--messages` says otherwise.
const MESSAGES_DEFAULT: u32 = 300;
/// Most that can be asked for: all of them are kept in memory to compare.
const MESSAGES_MAX: u64 = 100_000;
/// How long what is left of an interrupted start may take to end.
const END_WITHIN: Duration = Duration::from_secs(3);

/// Watch a hub and two units exchange messages over an emulated link
#[derive(Debug, Args)]
#[command(
    long_about = "Watch a hub and two units exchange messages over an emulated link. Everything happens on this machine, in a \
                  folder that is removed at the end. The exit code is 0 only when every message arrived once, unchanged and in \
                  the order of its case, and the scan that is attached to the last one as it was."
)]
pub struct DemoOptions {
    /// The link between each unit and the hub
    #[arg(long, value_enum, default_value_t = Line::Outage)]
    link: Line,
    /// How many (message, receiver) pairs to send
    #[arg(long, value_name = "N", default_value_t = MESSAGES_DEFAULT, value_parser = RangedU64ValueParser::<u32>::new().range(1..=MESSAGES_MAX))]
    messages: u32,
    /// The folder for keys, configurations and data; it must be empty or missing. Default: a new one for temporary files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Leave the folder, with configurations that `casegate run` takes
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. Returns the exit code.
pub fn run(options: &DemoOptions) -> u8 {
    match demo(options) {
        Ok(report) => {
            if options.json {
                println!("{}", report.json());
            } else {
                print!("{report}");
            }
            for fault in &report.faults {
                eprintln!("{fault}");
            }
            report.exit_code()
        }
        Err(error) => {
            eprintln!("{error}");
            error.code
        }
    }
}

fn demo(options: &DemoOptions) -> Result<Report, DemoError> {
    // Three nodes in one log are for those who ask for it.
    if std::env::var_os(observe::FILTER_VARIABLE).is_some() {
        observe::init(LogLevel::Warn, LogFormat::Text)
            .map_err(|error| DemoError::internal(format!("the log cannot be set up: {error}")))?;
    }
    let runtime = node::runtime()
        .map_err(|error| DemoError::internal(format!("the threads cannot be set up: {error}")))?;
    let folder = DemoFolder::make(options.data.as_deref(), options.keep)?;
    let outcome = runtime.block_on(watched(options, &folder));
    // Before the folder goes.
    runtime.shutdown_timeout(END_WITHIN);
    outcome
}

/// The demo until its end, or until a signal.
async fn watched(options: &DemoOptions, folder: &DemoFolder) -> Result<Report, DemoError> {
    let mut signals = Signals::listen()?;
    let progress = Progress::new(options.messages);
    let world = tokio::select! {
        world = World::start(folder.path(), options.link, &progress) => world?,
        () = signals.any() => return Err(DemoError::interrupted()),
    };
    let ledger = Ledger::new(plan::plan(options.messages, &world.units(), &world.hub()));
    let exchanged = tokio::select! {
        exchanged = traffic::exchange(&world, &ledger, &progress) => exchanged,
        () = signals.any() => Err(DemoError::interrupted()),
    };
    let wire = world.wire();
    let scanned = match exchanged {
        Ok(()) => tokio::select! {
            scanned = scan::carry(&world, &progress) => scanned,
            () = signals.any() => Err(DemoError::interrupted()),
        },
        Err(error) => Err(error),
    };
    world.stop(options.keep).await?;
    progress.finish();
    let scan = scanned?;
    let kept = options.keep.then(|| folder.path().to_owned());
    Ok(Report::new(options.link, &ledger, wire, scan, kept))
}

/// What ends the demo early.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, DemoError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                DemoError::internal(format!("signals cannot be received: {error}"))
            })
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
