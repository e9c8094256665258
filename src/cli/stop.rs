//! Ending a command in peace.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit::{Failure, INTERNAL},
    texts::{fill, t},
};

/// Becomes true with the first SIGINT or SIGTERM; the second one ends the process as if nobody had asked for them.
///
/// # Errors
/// The system gives no signals.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let failed = |error: io::Error| Failure::new(INTERNAL, fill(t().no_signals_why, &[&error]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let _entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    drop(_entered);
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if told.swap(true, Ordering::Relaxed) {
                        std::process::exit(INTERNAL.into());
                    }
                }
            });
        })
        .map_err(failed)?;
    Ok(stop)
}
