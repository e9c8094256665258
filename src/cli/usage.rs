//! A command line that cannot be read, told in one line; and the helps.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::error::ErrorKind;

use super::{
    exit::one_line,
    texts::{faults, fill, help, language, t},
};

/// Usage: what was written is no command of ours.
const USAGE: u8 = 2;
/// Columns of a help where there is no terminal that has some.
const COLUMNS: usize = 100;

/// Says what is wrong with the command line and what to write, or prints the help or the version that was asked for.
pub fn tell(error: &clap::Error, mut program: clap::Command) -> ExitCode {
    program.build();
    let words: Vec<_> = env::args_os().skip(1).collect();
    let (command, name) = named(&program, words.iter().map(|word| word.as_os_str()));
    let (is_help, is_asked_for) = match error.kind() {
        ErrorKind::DisplayHelp => (true, true),
        ErrorKind::DisplayVersion => (false, true),
        // Nothing was said at all: the help is the answer.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => (true, false),
        _ => {
            let message = error.render().to_string();
            let message = faults::usage(error).unwrap_or_else(|| in_one_line(&message));
            let told = fill(t().usage_see, &[&message, &name]);
            eprintln!("{}", one_line(&told));
            return ExitCode::from(USAGE);
        }
    };
    // The exit code tells it too, whoever reads.
    let _ = match is_help && language().is_chinese() {
        false => error.print(),
        true => {
            let help = help::in_chinese(command, columns());
            match is_asked_for {
                true => io::stdout().write_all(help.as_bytes()),
                false => io::stderr().write_all(help.as_bytes()),
            }
        }
    };
    match is_asked_for {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(USAGE),
    }
}

/// The columns of the terminal, as clap finds them.
fn columns() -> usize {
    let seen = match io::stdout().is_terminal() {
        true => ratatui::crossterm::terminal::size().ok(),
        false => None,
    };
    let seen = seen.map(|(columns, _)| usize::from(columns));
    let told = || env::var("COLUMNS").ok()?.parse().ok();
    let columns = seen.or_else(told).unwrap_or_default();
    if columns == 0 { COLUMNS } else { columns }
}

/// The paragraphs of clap's message one after another.
fn in_one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let paragraphs = message.split("\n\n").map(str::trim);
    let told = paragraphs.filter(|text| {
        let is_more = text.starts_with("Usage: ") || text.starts_with("For more information");
        !text.is_empty() && !is_more
    });
    let told = told.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    told.collect::<Vec<_>>().join("; ")
}

/// The command that these words name, as far as they name one, and how it is written.
fn named<'a>(
    mut command: &'a clap::Command,
    words: impl Iterator<Item = &'a OsStr>,
) -> (&'a clap::Command, String) {
    let mut name = command.get_name().to_owned();
    // `help` names the command after it.
    for word in words.filter(|word| *word != "help") {
        let Some(inner) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            continue;
        };
        command = inner;
        name = format!("{name} {}", inner.get_name());
    }
    (command, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_what_fits_and_where_more_is_said_stand_in_one_line() {
        let message = "error: invalid value 'hot' for '--priority <LANE>'\n  [possible values: flash, urgent]\n\n  tip: a \
                       similar value exists: 'x'\n\nUsage: casegate send --to <UNIT>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            in_one_line(message),
            "invalid value 'hot' for '--priority <LANE>' [possible values: flash, urgent]; tip: a similar value exists: 'x'"
        );
    }

    #[test]
    fn the_command_is_named_as_far_as_it_was_written() {
        let inner = clap::Command::new("drop");
        let queue = clap::Command::new("queue").subcommand(inner);
        let all = clap::Command::new("casegate").subcommand(queue);
        let named = |line: &'static str| named(&all, line.split_whitespace().map(OsStr::new)).1;
        assert_eq!(named("queue --json drop x"), "casegate queue drop");
        assert_eq!(named("drop queue"), "casegate queue");
        assert_eq!(named("help queue drop"), "casegate queue drop");
        assert_eq!(named("--colour"), "casegate");
    }
}
