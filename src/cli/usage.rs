//! A command line that cannot be read, told in one line.

use std::process::ExitCode;

use clap::error::ErrorKind;

use super::exit::one_line;

/// Usage: what was written is no command of ours.
const USAGE: u8 = 2;

/// Says what is wrong with the command line and what to write, or prints the help or the version that was asked for.
pub fn tell(error: &clap::Error) -> ExitCode {
    let is_asked_for = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // Nothing was said at all: the help is the answer.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => false,
        _ => {
            eprintln!("{}", in_one_line(&error.render().to_string()));
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
fn in_one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let mut parts = Vec::new();
    let mut command = String::from("casegate");
    for paragraph in message.split("\n\n") {
        if let Some(usage) = paragraph.trim().strip_prefix("Usage: ") {
            let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
            let names = usage.split_whitespace().take_while(is_name);
            command = names.collect::<Vec<_>>().join(" ");
        } else if !paragraph.trim().is_empty() && !paragraph.starts_with("For more information") {
            let words: Vec<_> = paragraph.split_whitespace().collect();
            parts.push(words.join(" "));
        }
    }
    one_line(&format!("{}; see `{command} --help`", parts.join("; ")))
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
            "invalid value 'hot' for '--priority <LANE>' [possible values: flash, urgent]; tip: a similar value exists: 'x'; \
             see `casegate send --help`"
        );
        assert_eq!(
            in_one_line(
                "error: the following required arguments were not provided:\n  --to <UNIT>\n"
            ),
            "the following required arguments were not provided: --to <UNIT>; see `casegate --help`"
        );
    }
}
