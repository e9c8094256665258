//! The command line.

pub mod check;
pub mod demo;
pub mod pki;
pub mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// A secure message gateway for constrained links.
#[derive(Debug, Parser)]
#[command(name = "casegate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell every mistake of a configuration file at once.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object a finding.
        #[arg(long)]
        json: bool,
    },
    Demo(demo::DemoOptions),
    /// Make a CA, and issue or request certificates.
    Pki(pki::PkiCommand),
}

/// Parses the command line, runs the command and says how it went.
pub fn main() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, json } => {
            let report = check::check(&config, json);
            for line in report.stdout {
                println!("{line}");
            }
            for line in report.stderr {
                eprintln!("{line}");
            }
            report.exit_code
        }
        Command::Demo(options) => demo::run(&options),
        Command::Pki(command) => match command.run() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("{error}");
                error.exit_code()
            }
        },
    };
    ExitCode::from(code)
}
