//! A node that runs: reload and stop.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    audit,
    command::Command,
    doors,
    handle::NodeHandle,
    links,
    live::{Live, LiveError},
    local::{self, LocalTasks},
    shared::Shared,
    start,
    status::Status,
    traces::TracesTask,
    usage,
};
use crate::{
    api::{TlsError, TokenError},
    config::{self, Changes, NotReloadable, Settings},
    deliver::SecretError,
    delivery::Input,
    link::{CloseCode, Listener},
    observe::{Entry, Seal},
};

/// How long the sessions of a node that stops have to end.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(3);
/// How long peers have to learn that the hub stops.
const PEERS_TOLD_WITHIN: Duration = Duration::from_millis(500);

/// A node that runs. Dropped without [`RunningNode::stop`], it runs on as long as its runtime does.
#[derive(Debug)]
pub struct RunningNode {
    handle: NodeHandle,
    api: ApiTask,
    owner: JoinHandle<()>,
    links: Mutex<LinkTasks>,
    local: Mutex<LocalTasks>,
    traces: Mutex<TracesTask>,
}

/// The task that serves the API.
#[derive(Debug)]
pub(super) struct ApiTask {
    pub(super) doors: doors::Open,
    pub(super) task: JoinHandle<()>,
    pub(super) stop: oneshot::Sender<()>,
}

/// New settings cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Some of what has changed needs a restart; nothing was changed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    NeedsRestart(Vec<NotReloadable>),
    /// The identity cannot be used; the node goes on with the one that it has.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A token cannot be read; the node goes on with those that it has.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The door to the network cannot show what it should; it goes on with what it has.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The secret of posts cannot be read; the node goes on with the one that it has.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The node is stopping, or its storage has failed.
    #[error("{0}")]
    NotRunning(Status),
}

impl RunningNode {
    pub(super) fn new(
        handle: NodeHandle,
        api: ApiTask,
        owner: JoinHandle<()>,
        links: LinkTasks,
        local: LocalTasks,
        traces: TracesTask,
    ) -> Self {
        Self {
            handle,
            api,
            owner,
            links: Mutex::new(links),
            local: Mutex::new(local),
            traces: Mutex::new(traces),
        }
    }

    /// For those who want something of the node.
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Where the API listens; with port 0 in the settings, the port that was found.
    pub fn api_address(&self) -> SocketAddr {
        self.api.doors.loopback
    }

    /// Where the API's door to the network listens, if there is one.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.api.doors.network()
    }

    /// Where units dial in, at a hub.
    pub async fn listen_address(&self) -> Option<SocketAddr> {
        let links = self.links.lock().await;
        let listener = &links.accepting.as_ref()?.listener;
        listener.local_address().ok()
    }

    /// Puts new settings into force, and reads identity and certificates anew. Whoever is newly blocked,
    /// or has a certificate of a CA that is not trusted any more, is cut off at once. Gives
    /// what has changed, for what is not the node's: the log's level.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn reload(&self, settings: Settings) -> Result<Changes, ReloadError> {
        let shared = &self.handle.shared;
        // One reload at a time.
        let mut links = self.links.lock().await;
        let old = shared.live();
        let changes = Settings::reloadable_changes(&old.settings, &settings)
            .map_err(ReloadError::NeedsRestart)?;
        let access = start::access(&settings)?;
        let secret = local::secret(&settings)?;
        let api_tls = doors::tls(&settings, &shared.access)?;
        let live = Live::load(settings, shared.clock.wall())?;
        let machine = Input::Settings(Box::new(live.for_machine()));
        let server_tls = live.server_tls.clone();
        let is_renewed =
            live.identity.signer().certificate() != old.identity.signer().certificate();
        let renewed = is_renewed.then(|| audit::seal(&live));
        shared.set_live(live);
        shared.access.replace(&access);
        self.api.doors.show(api_tls.as_ref());
        shared
            .command(Command::Tell(machine))
            .await
            .map_err(|unavailable| ReloadError::NotRunning(unavailable.0))?;
        if let (Some(accepting), Some(tls)) = (&links.accepting, server_tls) {
            accepting.listener.set_tls(tls);
        }
        links.follow(shared);
        self.local.lock().await.follow(&self.handle, secret).await;
        self.traces.lock().await.follow(shared).await;
        self.record_reload(renewed).await;
        tracing::info!("the settings were reloaded");
        Ok(changes)
    }

    /// `renewed`: with what the log is signed from now on, when it is not what it was.
    async fn record_reload(&self, renewed: Option<Seal>) {
        let shared = &self.handle.shared;
        let (audit, at) = (shared.audit.clone(), shared.clock.wall());
        let recorded = tokio::task::spawn_blocking(move || {
            if let Some(seal) = renewed {
                audit.sign_with(at, seal)?;
            }
            let entry = Entry {
                actor: "operator",
                action: "reload",
                subject: "settings",
                reason: "",
            };
            audit.record(at, entry)
        });
        if let Ok(Err(error)) = recorded.await {
            tracing::error!(%error, "the reload is not in the audit log");
        }
    }

    /// Stops in peace: takes nothing new, lets calls under way end, makes everything that was promised durable, tells the
    /// neighbours, and gives the data folder free.
    pub async fn stop(self) {
        let Self {
            handle,
            api,
            owner,
            links,
            local,
            traces,
        } = self;
        let shared = &handle.shared;
        shared.status.tell(Status::Stopping);
        tracing::info!("the node stops");
        if timeout(SESSIONS_END_WITHIN, local.into_inner().stop())
            .await
            .is_err()
        {
            // What it is in the middle of is gone on with at the next start.
            tracing::warn!("a file is still being sent or written");
        }
        // Its end is awaited below; it may have ended already.
        let _ = api.stop.send(());
        ended("the API", api.task.await);
        let (told, stopped) = oneshot::channel();
        if shared.command(Command::Stop(told)).await.is_ok() {
            // An owner that is gone has nothing left to write.
            let _ = stopped.await;
        }
        ended("the owner", owner.await);
        // What the owner told last is told on.
        traces.into_inner().stop().await;
        links.into_inner().stop().await;
        tracing::info!("the node has stopped");
    }
}

fn ended(what: &str, outcome: Result<(), tokio::task::JoinError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, what, "a part of the node broke down");
    }
}

/// The tasks that make and carry sessions.
#[derive(Debug)]
pub(super) struct LinkTasks {
    dialling: BTreeMap<String, Dialling>,
    accepting: Option<Accepting>,
    /// Counts what links carry, where there are any to dial.
    usage: Option<Task>,
}

#[derive(Debug)]
struct Dialling {
    link: config::Link,
    task: Task,
}

struct Accepting {
    listener: Arc<Listener>,
    task: Task,
}

/// A task that can be told to leave.
#[derive(Debug)]
pub(super) struct Task {
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Accepting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accepting")
    }
}

impl LinkTasks {
    /// Begins to accept, where there is a listener, and to dial every link of the settings.
    pub(super) fn start(shared: &Arc<Shared>, listener: Option<Arc<Listener>>) -> Self {
        let accepting = listener.map(|listener| {
            let task =
                Task::start(|left| links::keep_accepting(shared.clone(), listener.clone(), left));
            Accepting { listener, task }
        });
        let mut tasks = Self {
            dialling: BTreeMap::new(),
            accepting,
            usage: None,
        };
        tasks.follow(shared);
        tasks
    }

    /// Dials what the settings say now, and nothing else.
    fn follow(&mut self, shared: &Arc<Shared>) {
        let live = shared.live();
        let Some(upstream) = &live.settings.upstream else {
            return;
        };
        let wanted = &upstream.links;
        shared.usage.follow(wanted);
        self.dialling.retain(|_, dialling| {
            // One that is only to be used on other terms keeps its session.
            let stays = wanted.iter().find(|link| link.is_same_path(&dialling.link));
            match stays {
                Some(link) => dialling.link = link.clone(),
                None => {
                    dialling.task.leave.send_replace(true);
                }
            }
            stays.is_some()
        });
        for link in wanted {
            self.dialling.entry(link.name.clone()).or_insert_with(|| {
                let (shared, hub) = (shared.clone(), upstream.hub.clone());
                let task =
                    Task::start(|left| links::keep_dialling(shared, hub, link.clone(), left));
                let link = link.clone();
                Dialling { link, task }
            });
        }
        self.usage
            .get_or_insert_with(|| Task::start(|left| usage::keep(shared.clone(), left)));
    }

    /// Ends all of them; the owner has ended their sessions already.
    async fn stop(self) {
        let mut tasks: Vec<_> = self.dialling.into_values().map(|d| d.task).collect();
        let listener = self.accepting.map(|accepting| {
            tasks.push(accepting.task);
            accepting.listener
        });
        tasks.extend(self.usage);
        for task in &tasks {
            task.leave.send_replace(true);
        }
        let all = async {
            for task in tasks {
                ended("a link", task.task.await);
            }
        };
        if timeout(SESSIONS_END_WITHIN, all).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
        if let Some(listener) = listener {
            listener
                .close(CloseCode::Done, "the node stops", PEERS_TOLD_WITHIN)
                .await;
        }
    }
}

impl Task {
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(watch::Receiver<bool>) -> F,
    ) -> Self {
        let (leave, left) = watch::channel(false);
        let task = tokio::spawn(run(left));
        Self { leave, task }
    }

    /// Lets it leave, and waits until it has.
    pub(super) async fn end(self, what: &str) {
        self.leave.send_replace(true);
        ended(what, self.task.await);
    }
}
