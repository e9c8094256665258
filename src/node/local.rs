//! What the node does for applications that do not call it: files in folders, and messages that are posted.
//!
//! Both are clients of the same gateway as the API. A reload lets go of those whose settings have changed, waits until they have left,
//! and begins them anew.

use std::sync::Arc;

use super::{handle::NodeHandle, running::Task};
use crate::{
    config::{Deliver, Settings, Spool},
    deliver::{self, Secret, SecretError},
    language::Both,
    observe::Trouble,
    spool,
};

/// What goes wrong with them, and with traces.
#[derive(Debug, Default)]
pub(super) struct LocalTroubles {
    pub(super) sending: Arc<Trouble>,
    pub(super) receiving: Arc<Trouble>,
    pub(super) delivering: Arc<Trouble>,
    pub(super) tracing: Arc<Trouble>,
}

impl LocalTroubles {
    /// All there are.
    pub(super) fn now(&self) -> impl Iterator<Item = Both> {
        let all = [
            &self.sending,
            &self.receiving,
            &self.delivering,
            &self.tracing,
        ];
        all.map(|trouble| trouble.now()).into_iter().flatten()
    }
}

/// The tasks that do it.
#[derive(Debug, Default)]
pub(super) struct LocalTasks {
    spool: Option<(Spool, Task)>,
    deliver: Option<(Deliver, Task)>,
}

/// The secret that settings ask for; read, or made, before anything is put into force.
pub(super) fn secret(settings: &Settings) -> Result<Option<Secret>, SecretError> {
    let deliver = settings.deliver.as_ref();
    deliver
        .map(|deliver| deliver::secret(deliver, &settings.data_dir))
        .transpose()
}

impl LocalTasks {
    /// Does what the settings say now, and nothing else.
    pub(super) async fn follow(&mut self, handle: &NodeHandle, secret: Option<Secret>) {
        let shared = &handle.shared;
        let live = shared.live();
        let wanted = &live.settings.spool;
        if let Some((_, task)) = self
            .spool
            .take_if(|(spool, _)| Some(&*spool) != wanted.as_ref())
        {
            task.end("the spool").await;
        }
        if let (None, Some(settings)) = (&self.spool, wanted) {
            let terms = spool::Terms {
                settings: settings.clone(),
                sending: shared.local.sending.clone(),
                receiving: shared.local.receiving.clone(),
                metrics: shared.metrics.clone(),
            };
            let gateway = Arc::new(handle.clone());
            let task = Task::start(|left| spool::run(gateway, terms, left));
            self.spool = Some((settings.clone(), task));
        }
        // The secret may be another one in the same file.
        if let Some((_, task)) = self.deliver.take() {
            task.end("the delivery").await;
        }
        if let (Some(settings), Some(secret)) = (&live.settings.deliver, secret) {
            let terms = deliver::Terms {
                settings: settings.clone(),
                secret,
                trouble: shared.local.delivering.clone(),
            };
            let (gateway, metrics) = (Arc::new(handle.clone()), shared.metrics.clone());
            let task = Task::start(|left| deliver::run(gateway, terms, metrics, left));
            self.deliver = Some((settings.clone(), task));
        }
    }

    /// Ends all of it.
    pub(super) async fn stop(self) {
        let spool = self.spool.map(|(_, task)| task);
        let deliver = self.deliver.map(|(_, task)| task);
        // Both at once: one may be in the middle of a large file.
        let spool = async {
            if let Some(task) = spool {
                task.end("the spool").await;
            }
        };
        let deliver = async {
            if let Some(task) = deliver {
                task.end("the delivery").await;
            }
        };
        tokio::join!(spool, deliver);
    }
}
