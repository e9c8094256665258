//! The task that tells a collector what happened to messages, while settings ask for one. A reload that changes them lets go of it,
//! waits until it has left, and begins it anew.

use std::sync::Arc;

use super::{running::Task, shared::Shared};
use crate::{
    config::Traces,
    traces::{self, Queue},
};

/// The task, and what it is fed from.
#[derive(Debug)]
pub(super) struct TracesTask {
    queue: Queue,
    running: Option<(Traces, Task)>,
}

impl TracesTask {
    /// Nothing is told yet.
    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue,
            running: None,
        }
    }

    /// Does what the settings say now, and nothing else.
    pub(super) async fn follow(&mut self, shared: &Arc<Shared>) {
        let live = shared.live();
        let wanted = live.settings.traces.as_ref();
        if let Some((_, task)) = self.running.take_if(|(is, _)| Some(&*is) != wanted) {
            self.queue.follow(None);
            task.end("the export of traces").await;
        }
        if let (None, Some(settings)) = (&self.running, wanted) {
            let terms = traces::Terms {
                settings: settings.clone(),
                unit: live.settings.unit.clone(),
                trouble: shared.local.tracing.clone(),
            };
            let (queue, metrics) = (self.queue.clone(), shared.metrics.clone());
            let task = Task::start(|left| traces::run(queue, terms, metrics, left));
            self.queue.follow(Some(settings.share));
            self.running = Some((settings.clone(), task));
        }
    }

    /// Tells what is left, if the collector takes it at once, and ends.
    pub(super) async fn stop(self) {
        self.queue.follow(None);
        if let Some((_, task)) = self.running {
            task.end("the export of traces").await;
        }
    }
}
