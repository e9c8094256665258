//! `casegate run`: one node, until it is told to stop.

use std::{env, io, os::unix::process::CommandExt as _, path::Path, process::Command};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit::{BAD_CONFIGURATION, CANNOT_CREATE, DONE, INTERNAL},
    texts::{faults, fill, language, t},
};
use crate::{
    api::OPERATOR_TOKEN_FILE,
    config::Settings,
    node::{self, LiveError, Node, StartError},
    observe::{self, AuditError, LogControl, LogError},
};

/// The setting of glibc's allocator, which it reads once, when a program begins.
const ALLOCATOR: &str = "GLIBC_TUNABLES";
/// What a burst of messages took goes back to the system, instead of to stores of each thread's own: some 20 MiB less after it. Less
/// still costs a tenth more processor time (docs/PERFORMANCE.md).
const ALLOCATOR_SETTINGS: &str = "glibc.malloc.arena_max=2:glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=4194304";

/// Runs a node as `file` says until SIGTERM or SIGINT; reads the configuration anew on SIGHUP. Returns the exit code.
pub fn run(file: &Path) -> u8 {
    settle_allocator();
    let settings = match Settings::load_to_run(file) {
        Ok((settings, warnings)) => {
            for warning in warnings {
                eprintln!("{}{}", t().warning, warning.finding.told(language()));
            }
            settings
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{}", error.0.told(language()));
            }
            return BAD_CONFIGURATION;
        }
    };
    let log = match observe::init(settings.log.level, settings.log.format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{}", fill(t().no_log, &[&error]));
            return match error {
                LogError::Filter { .. } => BAD_CONFIGURATION,
                LogError::Twice => INTERNAL,
            };
        }
    };
    raise_descriptors();
    match node::runtime() {
        Ok(runtime) => runtime.block_on(serve(file, settings, &log)),
        Err(error) => {
            eprintln!("{}", fill(t().no_threads, &[&error]));
            INTERNAL
        }
    }
}

/// Begins this program once more, as the same process, with the allocator's settings, unless it has some. Where that is not possible
/// it takes more memory, and goes on.
fn settle_allocator() {
    if env::var_os(ALLOCATOR).is_none()
        && let Ok(program) = env::current_exe()
    {
        let mut arguments = env::args_os();
        let mut again = Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        again.args(arguments).env(ALLOCATOR, ALLOCATOR_SETTINGS);
        let error = again.exec();
        eprintln!("{}", fill(t().allocator_kept, &[&error]));
    }
}

/// Takes as many file descriptors as the process may have. What most systems give at first, 1,024, is less than the API's
/// connections alone may be; and a journal that finds none for its next segment has no room.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        // As the service's unit has it, which lets nobody set limits.
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
}

async fn serve(file: &Path, settings: Settings, log: &LogControl) -> u8 {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        eprintln!("{}", t().no_signals);
        return INTERNAL;
    };
    let node = match Node::start(settings.clone()).await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("{}", faults::start(&error));
            return exit_code(&error, &settings);
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match Settings::load_to_run(file) {
                Ok((settings, warnings)) => {
                    for warning in warnings {
                        tracing::warn!(%warning, "the configuration has a weakness");
                    }
                    match node.reload(settings).await {
                        Ok(changes) => {
                            if let Some(level) = changes.log_level && !log.set_level(level) {
                                tracing::warn!(%level, "{} overrules the log's new level", observe::FILTER_VARIABLE);
                            }
                        }
                        Err(error) => tracing::error!(%error, "the configuration was not taken"),
                    }
                }
                Err(errors) => {
                    for error in errors {
                        tracing::error!(%error, "the configuration was not taken");
                    }
                }
            },
        }
    }
    node.stop().await;
    DONE
}

/// What the process ends with when its node cannot start: 78 when the configuration, or a file that it names, is at fault; 73 when
/// something cannot be made, a data folder and an address that others use among them; 70 otherwise.
fn exit_code(error: &StartError, settings: &Settings) -> u8 {
    match error {
        StartError::Lock(_)
        | StartError::Live(LiveError::Signers { .. })
        | StartError::Audit(AuditError::Io { .. }) => CANNOT_CREATE,
        StartError::Live(_) => BAD_CONFIGURATION,
        StartError::Token(error) if error.path == settings.data_dir.join(OPERATOR_TOKEN_FILE) => {
            CANNOT_CREATE
        }
        StartError::Token(_) | StartError::Tls(_) => BAD_CONFIGURATION,
        StartError::Secret(error) if error.path.starts_with(&settings.data_dir) => CANNOT_CREATE,
        StartError::Secret(_) => BAD_CONFIGURATION,
        StartError::Api { error, .. } | StartError::Listen { error, .. } => match error.kind() {
            // This machine has no such address.
            io::ErrorKind::AddrNotAvailable => BAD_CONFIGURATION,
            _ => CANNOT_CREATE,
        },
        _ => INTERNAL,
    }
}
