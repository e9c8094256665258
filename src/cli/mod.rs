//! The command line.
//!
//! Every command ends with one of the codes of [`exit`]; what was asked for goes to standard output, everything else to standard
//! error. `run`, `check`, `pki`, `dict` and `audit verify` work on files; the others ask a node through its HTTP API ([`client`]).
//! People are spoken to in the language that the environment asks for ([`texts`]).

pub mod attach;
pub mod audit;
pub mod backup;
pub mod check;
pub mod client;
pub mod demo;
pub mod dict;
pub mod events;
pub mod exit;
pub mod lab;
pub mod lines;
pub mod pages;
pub mod pause;
pub mod pki;
pub mod progress;
pub mod queue;
pub mod receive;
pub mod run;
pub mod save;
pub mod send;
pub mod show;
pub mod span;
pub mod status;
pub mod stick;
pub mod stop;
pub mod table;
mod texts;
pub mod top;
pub mod track;
mod trial;
pub mod usage;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};

/// A secure message gateway for constrained links
#[derive(Debug, Parser)]
#[command(
    name = "casegate",
    version,
    after_help = "Examples:\n  \
                  casegate demo\n  \
                  casegate check --config /etc/casegate/edge.toml\n  \
                  casegate send --to hebi.police --kind case.transfer --case 2026-0017 transfer.json\n  \
                  casegate top\n\n\
                  Exit codes: 0 done, 2 usage, 65 bad data (HTTP 400, 404, 409, 413, 422), 69 node not reachable, 70 internal, \
                  73 cannot create, 75 try again later (429, 503, 507), 77 refused (401, 403), 78 bad configuration."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell every mistake of a configuration file at once
    #[command(after_help = "Examples:\n  \
        casegate check --config /etc/casegate/edge.toml\n  \
        casegate check --config hub.toml --json | jq -r .key\n\n\
        It ends with 78 when something is wrong; warnings alone, such as an identity that is not there yet, are no fault.")]
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object a finding
        #[arg(long)]
        json: bool,
    },
    Demo(demo::DemoOptions),
    Lab(lab::LabOptions),
    /// Make a CA, and issue or request certificates
    Pki(pki::PkiCommand),
    Send(Box<send::SendCommand>),
    Receive(receive::ReceiveCommand),
    Queue(queue::QueueCommand),
    Import(stick::ImportCommand),
    Pause(pause::PauseCommand),
    Resume(pause::ResumeCommand),
    Drain(pause::DrainCommand),
    Audit(audit::AuditCommand),
    Track(track::TrackCommand),
    Status(status::StatusCommand),
    Top(top::TopCommand),
    Dict(dict::DictCommand),
    Backup(backup::BackupCommand),
    Restore(backup::RestoreCommand),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  \
        casegate completions bash >~/.local/share/bash-completion/completions/casegate")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Parses the command line, runs the command and says how it went.
pub fn main() -> ExitCode {
    texts::choose();
    let told = |done: Result<(), exit::Failure>| done.map_or_else(|f| f.tell(), |()| exit::DONE);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::tell(&error, Arguments::command()),
    };
    let code = match arguments.command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, json } => {
            let report = check::check(&config, json);
            let mut out = io::stdout().lock();
            for line in report.stdout {
                // The exit code tells it too, whoever reads.
                let _ = writeln!(out, "{line}");
            }
            for line in report.stderr {
                eprintln!("{line}");
            }
            report.exit_code
        }
        Command::Demo(options) => demo::run(&options),
        Command::Lab(options) => lab::run(&options),
        Command::Pki(command) => match command.run() {
            Ok(()) => exit::DONE,
            Err(error) => {
                eprintln!("{}", texts::faults::pki(&error));
                error.exit_code()
            }
        },
        Command::Send(command) => told(command.run()),
        Command::Receive(command) => told(command.run()),
        Command::Queue(command) => told(command.run()),
        Command::Import(command) => told(command.run()),
        Command::Pause(command) => told(command.run()),
        Command::Resume(command) => told(command.run()),
        Command::Drain(command) => told(command.run()),
        Command::Audit(command) => told(command.run()),
        Command::Track(command) => told(command.run()),
        Command::Status(command) => told(command.run()),
        Command::Top(command) => told(command.run()),
        Command::Dict(command) => told(command.run()),
        Command::Backup(command) => told(command.run()),
        Command::Restore(command) => told(command.run()),
        Command::Completions { shell } => told(pages::completions(Arguments::command(), shell)),
        Command::Man { out } => told(pages::manual(Arguments::command(), &out)),
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Arguments::command().debug_assert();
    }
}
