//! A command line that cannot be read, told in one line.

use std::{env, ffi::OsStr, process::ExitCode};

use clap::error::ErrorKind;

use super::exit::one_line;

/// Usage: what was written is no command of ours.
const USAGE: u8 = 2;

/// Says what is wrong with the command line and what to write, or prints the help or the version that was asked for.
pub fn tell(error: &clap::Error, commands: &clap::Command) -> ExitCode {
    let is_asked_for = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // Nothing was said at all: the help is the answer.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => false,
        _ => {
            let words: Vec<_> = env::args_os().skip(1).collect();
            let command = named(commands, words.iter().map(|word| word.as_os_str()));
            eprintln!("{}", in_one_line(&error.render().to_string(), &command));
            return ExitCode::from(USAGE);
        }
    };
    // The exit code tells it too, whoever reads.
    let _ = error.print();
    match is_asked_for {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(USAGE),
    }
}

/// The paragraphs of clap's message one after another, and the command whose help says more.
fn in_one_line(message: &str, command: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let paragraphs = message.split("\n\n").map(str::trim);
    let told = paragraphs.filter(|text| {
        let is_more = text.starts_with("Usage: ") || text.starts_with("For more information");
        !text.is_empty() && !is_more
    });
    let told = told.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let told = told.collect::<Vec<_>>().join("; ");
    one_line(&format!("{told}; see `{command} --help`"))
}

/// The command that these words name, as far as they name one.
fn named<'a>(mut command: &clap::Command, words: impl Iterator<Item = &'a OsStr>) -> String {
    let mut name = command.get_name().to_owned();
    for word in words {
        let Some(inner) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            continue;
        };
        command = inner;
        name = format!("{name} {}", inner.get_name());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_what_fits_and_where_more_is_said_stand_in_one_line() {
        let message = "error: invalid value 'hot' for '--priority <LANE>'\n  [possible values: flash, urgent]\n\n  tip: a \
                       similar value exists: 'x'\n\nUsage: casegate send --to <UNIT>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            in_one_line(message, "casegate send"),
            "invalid value 'hot' for '--priority <LANE>' [possible values: flash, urgent]; tip: a similar value exists: 'x'; \
             see `casegate send --help`"
        );
    }

    #[test]
    fn the_command_is_named_as_far_as_it_was_written() {
        let inner = clap::Command::new("drop");
        let queue = clap::Command::new("queue").subcommand(inner);
        let all = clap::Command::new("casegate").subcommand(queue);
        let named = |line: &str| named(&all, line.split_whitespace().map(OsStr::new));
        assert_eq!(named("queue --json drop x"), "casegate queue drop");
        assert_eq!(named("drop queue"), "casegate queue");
        assert_eq!(named("--colour"), "casegate");
    }
}
