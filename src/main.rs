//! The program: parse, dispatch, map an error to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    casegate::cli::main()
}
