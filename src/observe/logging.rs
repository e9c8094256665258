//! The node's log, on standard error.

use std::{fmt, io};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

/// The environment variable that overrules the configured level, for a closer look at one part: it takes `tracing`'s filter
/// directives, such as `warn,casegate::link=trace,quinn=debug`.
pub const FILTER_VARIABLE: &str = "CASEGATE_LOG";

/// The least urgent events that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// What failed and needs someone.
    Error,
    /// What is amiss and may mend itself.
    Warn,
    /// What an operator wants to know: starts, stops, sessions, refusals.
    #[default]
    Info,
    /// What explains a decision.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Every level, the most urgent first.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The level as the configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Our own events at this level, and other crates' from a warning on: their `info` is our `debug`.
    fn filter(self) -> EnvFilter {
        EnvFilter::new(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "warn,casegate=info",
            Self::Debug => "info,casegate=debug",
            Self::Trace => "info,casegate=trace",
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people; in colours on a terminal. For systemd's journal with its levels, and without the time, which it knows.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The format as the configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The variable [`FILTER_VARIABLE`] cannot be read as a filter.
    #[error(
        "{FILTER_VARIABLE}=\"{value}\" is not a filter ({reason}); write such as \"info,quinn=debug\""
    )]
    Filter {
        /// What it holds.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Changes the log while the process runs.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    overruled: bool,
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl")
            .field("overruled", &self.overruled)
            .finish_non_exhaustive()
    }
}

impl LogControl {
    /// Logs from `level` on. `false` when [`FILTER_VARIABLE`] overrules the level, and so nothing changes.
    pub fn set_level(&self, level: LogLevel) -> bool {
        // It fails only once the subscriber is gone, and then nobody logs.
        !self.overruled && self.filter.reload(level.filter()).is_ok()
    }
}

/// Sets up the process's log on standard error, from `level` on unless [`FILTER_VARIABLE`] says otherwise.
///
/// # Errors
///
/// A filter that cannot be read, or a second call in one process.
pub fn init(level: LogLevel, format: LogFormat) -> Result<LogControl, LogError> {
    let given = std::env::var(FILTER_VARIABLE).ok();
    let goes_to = Reader::of_stderr();
    let (layer, control) = layer(level, format, given.as_deref(), goes_to, io::stderr)?;
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(|_| LogError::Twice)?;
    Ok(control)
}

/// Who reads standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Terminal,
    /// systemd's journal.
    Journal,
    Other,
}

impl Reader {
    fn of_stderr() -> Self {
        use io::IsTerminal as _;
        if io::stderr().is_terminal() {
            return Self::Terminal;
        }
        // systemd names the stream that it made, which need not be ours any more (systemd.exec(5)).
        let made = std::env::var("JOURNAL_STREAM").ok();
        let ours = rustix::fs::fstat(io::stderr()).ok();
        let ours = ours.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        match made.is_some() && made == ours {
            true => Self::Journal,
            false => Self::Other,
        }
    }
}

/// A line for systemd's journal, which takes the level from its front (sd-daemon(3)).
#[derive(Debug, Default)]
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        let line = Format::default().without_time();
        line.format_event(context, writer, event)
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer<W>(
    level: LogLevel,
    format: LogFormat,
    given: Option<&str>,
    reader: Reader,
    writer: W,
) -> Result<(BoxedLayer, LogControl), LogError>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let given = given.filter(|value| !value.trim().is_empty());
    let filter = match given {
        None => level.filter(),
        Some(value) => EnvFilter::try_new(value).map_err(|error| LogError::Filter {
            value: value.chars().take(200).collect(),
            reason: error.to_string(),
        })?,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: BoxedLayer = match format {
        LogFormat::Text if reader == Reader::Journal => {
            Box::new(lines.with_ansi(false).event_format(JournalLine))
        }
        LogFormat::Text => Box::new(lines.with_ansi(reader == Reader::Terminal)),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_current_span(true)),
    };
    let control = LogControl {
        filter: handle,
        overruled: given.is_some(),
    };
    Ok((Box::new(lines.with_filter(filter)), control))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> String {
            let bytes = std::mem::take(&mut *self.0.lock().expect("no writer panicked"));
            String::from_utf8(bytes).expect("the log is UTF-8")
        }
    }

    fn log_to(
        lines: &Lines,
        format: LogFormat,
        given: Option<&str>,
        reader: Reader,
    ) -> (tracing::subscriber::DefaultGuard, LogControl) {
        let writer = lines.clone();
        let writer = move || writer.clone();
        let (layer, control) =
            layer(LogLevel::Info, format, given, reader, writer).expect("a layer");
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (guard, control)
    }

    #[test]
    fn the_level_changes_while_the_log_runs() {
        let lines = Lines::default();
        let (_guard, control) = log_to(&lines, LogFormat::Json, None, Reader::Other);
        tracing::debug!("unseen");
        tracing::info!(target: "quinn", "unseen of others");
        tracing::info!(unit = "hebi.police", "seen");
        let before = lines.take();
        assert!(control.set_level(LogLevel::Debug));
        tracing::debug!("seen now");
        let after = lines.take();
        assert_eq!(before.lines().count(), 1, "{before}");
        let line: serde_json::Value = serde_json::from_str(&before).expect("a JSON object");
        assert_eq!(line["message"], "seen");
        assert_eq!(line["unit"], "hebi.police");
        assert!(after.contains("seen now"), "{after}");
    }

    #[test]
    fn the_journal_gets_levels_and_no_time_of_our_own() {
        let lines = Lines::default();
        let (_guard, _) = log_to(&lines, LogFormat::Text, None, Reader::Journal);
        tracing::info!(unit = "hebi.police", "seen");
        tracing::warn!("look at it");
        tracing::error!("broken");
        let text = lines.take();
        let starts = text.lines().map(|line| line.get(..9).unwrap_or(line));
        let starts: Vec<_> = starts.collect();
        assert_eq!(starts, ["<6> INFO ", "<4> WARN ", "<3>ERROR "], "{text}");
        assert!(text.contains("seen unit=\"hebi.police\""), "{text}");
    }

    #[test]
    fn the_variable_overrules_the_level_and_must_be_a_filter() {
        let lines = Lines::default();
        let (_guard, control) = log_to(&lines, LogFormat::Text, Some("error"), Reader::Other);
        assert!(!control.set_level(LogLevel::Trace));
        tracing::info!("unseen");
        assert_eq!(lines.take(), "");
        let refused = layer(
            LogLevel::Info,
            LogFormat::Text,
            Some("a=b=c"),
            Reader::Other,
            io::stderr,
        );
        let error = refused.err().expect("not a filter").to_string();
        assert!(
            error.starts_with("CASEGATE_LOG=\"a=b=c\" is not a filter"),
            "{error}"
        );
    }
}
