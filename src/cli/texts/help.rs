//! Helps in Chinese.
//!
//! In English clap writes them, from the comments on the commands. Here the same is written of the same commands, each text looked up in
//! [`HELPS`]: clap has headings in English only, and does not know where a Chinese line may end.

use std::iter::repeat;

use clap::{Arg, Command};
use unicode_width::UnicodeWidthStr as _;

use super::{helps::HELPS, language};
use crate::cli::lines::{left, wrapped};

/// Blanks before what stands in a list, and between its two columns.
const INDENT: usize = 2;
/// The second column has so much room at least, also on a narrow terminal.
const ROOM_MIN: usize = 20;

/// The Chinese of a text of a help, or the text itself.
fn told(text: &str) -> &str {
    let found = HELPS.iter().find(|(english, _)| *english == text);
    found.map_or(text, |(_, chinese)| chinese)
}

/// The same when the language is Chinese; else the text itself.
pub(in crate::cli) fn in_language(text: &str) -> &str {
    match language().is_chinese() {
        true => told(text),
        false => text,
    }
}

/// The help of a command that is built, in lines of `columns`.
pub(in crate::cli) fn in_chinese(command: &Command, columns: usize) -> String {
    let mut lines = Vec::new();
    if let Some(about) = about(command) {
        lines.extend(wrapped(told(&about), columns));
        lines.push(String::new());
    }
    lines.push(usage(command));
    let commands = command.get_subcommands();
    let commands = commands.filter(|command| !command.is_hide_set());
    let commands = commands.map(|command| {
        let about = command.get_about().map(ToString::to_string);
        let about = told(&about.unwrap_or_default()).to_owned();
        (command.get_name().to_owned(), vec![about])
    });
    let arguments = || {
        let shown = command.get_arguments();
        shown.filter(|argument| !argument.is_hide_set())
    };
    let positional = arguments().filter(|argument| argument.is_positional());
    // What is a command's own first, then what it shares with others.
    let options = || arguments().filter(|argument| !argument.is_positional());
    let own = options().filter(|option| !is_shared(option));
    let shared = options().filter(|option| is_shared(option));
    for (heading, entries) in [
        ("命令：", commands.collect::<Vec<_>>()),
        ("参数：", positional.map(entry).collect()),
        ("选项：", own.chain(shared).map(entry).collect()),
    ] {
        if !entries.is_empty() {
            lines.push(String::new());
            lines.push(heading.to_owned());
            lines.extend(list(&entries, columns));
        }
    }
    if let Some(after) = command.get_after_help() {
        lines.push(String::new());
        for line in after.to_string().lines() {
            match line.strip_prefix("  ") {
                Some(example) => {
                    let parts = wrapped(example, columns.saturating_sub(2 * INDENT));
                    let indents = [INDENT].into_iter().chain(repeat(2 * INDENT));
                    let parts = indents.zip(parts);
                    lines.extend(
                        parts.map(|(indent, part)| format!("{}{part}", " ".repeat(indent))),
                    );
                }
                None => lines.extend(wrapped(told(line), columns)),
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn about(command: &Command) -> Option<String> {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string)
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let usage = usage.replace("[OPTIONS]", "[选项]");
    let usage = usage.replace("<COMMAND>", "<命令>");
    format!("用法：{}", usage.replace("[COMMAND]", "[命令]"))
}

/// Whether every command of a group has it, or every command at all.
fn is_shared(option: &Arg) -> bool {
    use clap::ArgAction::{Help, HelpLong, HelpShort, Version};
    option.is_global_set() || matches!(option.get_action(), Help | HelpLong | HelpShort | Version)
}

/// How an argument is written, and what is said of it, a line each.
fn entry(argument: &Arg) -> (String, Vec<String>) {
    let name = match (argument.get_short(), argument.is_positional()) {
        (_, true) => argument.to_string(),
        (Some(short), _) => format!("-{short}, {argument}"),
        (None, _) => format!("    {argument}"),
    };
    let help = argument.get_help().map(ToString::to_string);
    let mut text = told(&help.unwrap_or_default()).to_owned();
    let mut more = Vec::new();
    let mut values = Vec::new();
    if argument.get_action().takes_values() {
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        if !defaults.concat().is_empty() {
            more.push(format!("默认 {}", defaults.join(" ")));
        }
        if !argument.is_hide_possible_values_set() {
            values = argument.get_possible_values();
        }
    }
    if let Some(variable) = argument.get_env() {
        more.push(format!("环境变量 {}", variable.to_string_lossy()));
    }
    for alias in argument.get_visible_aliases().unwrap_or_default() {
        more.push(format!("同 --{alias}"));
    }
    let names: Vec<_> = values.iter().map(|value| value.get_name()).collect();
    let explained = values.iter().any(|value| value.get_help().is_some());
    if !names.is_empty() && !explained {
        more.push(format!("可选 {}", names.join("、")));
    }
    if !more.is_empty() {
        text += &format!("（{}）", more.join("；"));
    }
    let mut lines = vec![text];
    if explained {
        let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
        for value in &values {
            let help = value.get_help().map(ToString::to_string);
            let name = left(value.get_name(), widest + INDENT);
            lines.push(name + told(&help.unwrap_or_default()));
        }
    }
    (name, lines)
}

/// Entries in two columns.
fn list(entries: &[(String, Vec<String>)], columns: usize) -> Vec<String> {
    let widest = entries.iter().map(|(name, _)| name.width()).max();
    let begins = INDENT + widest.unwrap_or(0) + INDENT;
    let room = columns.saturating_sub(begins).max(ROOM_MIN);
    let mut lines = Vec::new();
    for (name, said) in entries {
        let mut name = format!("{}{name}", " ".repeat(INDENT));
        for line in said.iter().flat_map(|text| wrapped(text, room)) {
            let line = format!("{}{line}", left(&name, begins));
            lines.push(line.trim_end().to_owned());
            name.clear();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory as _};

    use super::*;
    use crate::cli::Arguments;

    /// Every text of the helps of a command and those under it.
    fn texts(command: &Command, found: &mut BTreeSet<String>) {
        let mut add = |text: Option<String>| found.extend(text.filter(|text| !text.is_empty()));
        add(command.get_about().map(ToString::to_string));
        add(about(command));
        let after = command.get_after_help().map(ToString::to_string);
        for line in after.unwrap_or_default().lines() {
            add(Some(line.to_owned()).filter(|line| !line.starts_with(' ')));
        }
        for argument in command.get_arguments() {
            add(argument.get_help().map(ToString::to_string));
            for value in argument.get_possible_values() {
                add(value.get_help().map(ToString::to_string));
            }
        }
        // What clap makes of `help` repeats the others.
        for inner in command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set())
        {
            match inner.get_name() {
                "help" => found.extend(inner.get_about().map(ToString::to_string)),
                _ => texts(inner, found),
            }
        }
    }

    #[test]
    fn every_text_of_a_help_has_a_translation_and_every_translation_its_text() {
        let mut program = Arguments::command();
        program.build();
        let mut found = BTreeSet::new();
        texts(&program, &mut found);
        assert!(found.len() > 150, "{}", found.len());
        let told: BTreeSet<_> = HELPS
            .iter()
            .map(|(english, _)| (*english).to_owned())
            .collect();
        let missing: Vec<_> = found.difference(&told).collect();
        let gone: Vec<_> = told.difference(&found).collect();
        assert!(missing.is_empty(), "without a translation: {missing:#?}");
        assert!(
            gone.is_empty(),
            "translations of what no help says: {gone:#?}"
        );
        assert_eq!(told.len(), HELPS.len(), "a text stands twice");
        for (english, chinese) in HELPS {
            assert!(chinese.chars().any(|c| c > '\u{2e80}'), "{english}");
        }
    }

    #[test]
    fn no_line_of_a_help_is_wider_than_the_terminal() {
        let mut program = Arguments::command();
        program.build();
        let mut all = vec![&program];
        while let Some(command) = all.pop() {
            let commands = command.get_subcommands();
            all.extend(commands.filter(|inner| inner.get_name() != "help"));
            for columns in [80, 100, 160] {
                let help = in_chinese(command, columns);
                let mut lines = help.lines().filter(|line| !line.starts_with("用法"));
                let too_wide = lines.find(|line| line.width() > columns);
                assert_eq!(too_wide, None, "{help}");
            }
        }
    }
}
