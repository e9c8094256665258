//! What packages bring along: shell completions and manual pages, both made from the commands themselves.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap_complete::Shell;

use super::{
    exit::{CANNOT_CREATE, Failure},
    texts::{fill, t},
};

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// The output cannot be written.
pub fn completions(mut command: clap::Command, shell: Shell) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let written = io::stdout().lock().write_all(&script);
    written.map_err(|error| Failure::output(&error))
}

/// Writes a manual page of `command` and of each of its subcommands into a folder, which is made when it is not there.
///
/// # Errors
/// They cannot be written.
pub fn manual(command: clap::Command, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| {
            let text = fill(t().manual_unwritten, &[&folder.display(), &error]);
            Failure::new(CANNOT_CREATE, text)
        })
}
