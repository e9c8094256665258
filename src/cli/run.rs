//! `casegate run`: one node, until it is told to stop.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::{config::Settings, node::Node, observe};

/// Bad configuration.
const BAD_CONFIGURATION: u8 = 78;
/// The node could not start, or its surroundings failed it.
const INTERNAL: u8 = 70;

/// Runs a node as `file` says until SIGTERM or SIGINT; reads the configuration anew on SIGHUP. Returns the exit code.
pub fn run(file: &Path) -> u8 {
    let settings = match Settings::load_to_run(file) {
        Ok((settings, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            settings
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            return BAD_CONFIGURATION;
        }
    };
    let logging = observe::init(settings.log.level, settings.log.format);
    if let Err(error) = logging {
        eprintln!("the log cannot be set up: {error}");
        return INTERNAL;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(file, settings)),
        Err(error) => {
            eprintln!("the threads cannot be set up: {error}");
            INTERNAL
        }
    }
}

async fn serve(file: &Path, settings: Settings) -> u8 {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        eprintln!("signals cannot be received");
        return INTERNAL;
    };
    let node = match Node::start(settings).await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("{error}");
            return INTERNAL;
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match Settings::load_to_run(file) {
                Ok((settings, _)) => {
                    if let Err(error) = node.reload(settings).await {
                        tracing::error!(%error, "the configuration was not taken");
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
    0
}
