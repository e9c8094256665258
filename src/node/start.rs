//! How a node starts: lock, identity, API, journal, links, in this order, so that whatever is wrong is told before anything is
//! changed, and so that the API can say that the node is recovering.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    attachments, audit, backup,
    clock::Clock,
    command::COMMANDS_MAX,
    doors,
    events::Events,
    handle::NodeHandle,
    history::IndexSource,
    links,
    live::{Live, LiveError},
    local::{self, LocalTasks},
    outgoing,
    owner::Owner,
    random,
    receipts::ReceiptMaker,
    running::{ApiTask, LinkTasks, RunningNode},
    samples,
    shared::{Damaged, Parts, Shared},
    status::{Status, StatusBoard},
    store::{NodeDisk, Store},
    traces::TracesTask,
    workers::Workers,
};
use crate::{
    api::{self, Access, Actor, OPERATOR_TOKEN_FILE, TlsError, TokenError},
    config, console,
    deliver::SecretError,
    delivery::{self, Delivery, Output, ReplayError},
    index::{self, Feed, Index},
    journal::{self, Journal, LockError, OpenError, Recovery, Replay, lock_folder},
    model::{Location, Lsn, MessageId, Now},
    observe::{Audit, AuditError, Metrics},
    traces,
};

/// The folder of the journal in the data folder.
pub(super) const JOURNAL_FOLDER: &str = "journal";

/// A node.
#[derive(Debug)]
pub struct Node;

/// A node cannot start. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The identity or what goes with it cannot be used.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A token cannot be read or made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The door to the network cannot be opened.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The secret of posts cannot be read or made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The API cannot listen.
    #[error("{key}: {address} cannot be listened on: {error}; stop what uses it, or write another")]
    Api {
        /// Where the address stands in the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The hub cannot listen.
    #[error(
        "listen.address: {address} cannot be listened on: {error}; stop what uses it, or write another"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The attachments cannot be had.
    #[error("{}: the attachments cannot be read: {error}; look at the folder's owner and at the disk", path.display())]
    Attachments {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The journal was written by something else.
    #[error("the journal's content is not what this program writes: {0}")]
    Replay(#[from] ReplayError),
    /// The system gives no thread.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
}

impl Node {
    /// Starts a node and returns once it takes messages. It runs in tasks of the runtime that this is called in, and in a few
    /// threads of its own.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing of the node is left running.
    pub async fn start(settings: config::Settings) -> Result<RunningNode, StartError> {
        let clock = Clock::start();
        let started = clock.wall();
        let lock = lock_folder(&settings.data_dir)?;
        let live = Live::load(settings.clone(), started)?;
        let audit = Audit::open(&settings.data_dir.join(Audit::FILE))?;
        let audit_damage = audit::begin(&audit, &live, started)?;
        let audit = Arc::new(audit);
        let metrics = Arc::new(Metrics::new(settings.limits.units as usize));
        let access = access(&settings)?;
        let secret = local::secret(&settings)?;
        let api_settings = api::Settings {
            limits: settings.limits,
            hosts: doors::hosts(&settings),
            access: access.clone(),
            metrics: metrics.clone(),
        };
        let (doors, open) = doors::open(&settings, &access).await?;

        let opening = settings.clone();
        let opened = tokio::task::spawn_blocking(move || attachments::open(&opening)).await;
        let (blobs, found) = match opened {
            Ok(opened) => opened?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };

        let (index, mut feed) = Index::new();
        let workers =
            Workers::start(worker_threads(), outgoing::shed).map_err(StartError::Thread)?;
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let for_machine = live.for_machine();
        let shared = Shared::new(Parts {
            commands,
            clock,
            status: StatusBoard::new(),
            workers,
            metrics: metrics.clone(),
            audit: audit.clone(),
            audit_damage,
            index: index.clone(),
            blobs,
            live,
            access,
        });
        let handle = NodeHandle {
            shared: shared.clone(),
            started,
        };
        // Before anything runs that would have to be stopped again. Who dials meanwhile waits until the node is ready.
        let listening = links::listen(&shared);
        let listener = listening.map_err(|error| {
            let live = shared.live();
            let address = live
                .settings
                .listen
                .map_or(open.loopback, |listen| listen.address);
            StartError::Listen { address, error }
        })?;

        let (stop_api, api_stops) = oneshot::channel::<()>();
        let api = tokio::spawn(api::serve(
            doors,
            Arc::new(handle.clone()),
            api_settings,
            console::mount,
            async move {
                // A node that was dropped stops its API too.
                let _ = api_stops.await;
            },
        ));

        let now = shared.clock.now();
        let index_settings = index_settings(&settings);
        let for_store = index.clone();
        let recovered = tokio::task::spawn_blocking(move || {
            let recovered = recover(&settings, for_machine, now, &mut feed, for_store)?;
            Ok::<_, StartError>((recovered, feed))
        });
        let (recovered, feed) = match recovered.await {
            Ok(recovered) => recovered?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        let Recovered {
            #[cfg_attr(not(test), expect(unused_mut, reason = "a test plants bugs in it"))]
            mut machine,
            store,
            damage,
            restored,
            for_index,
        } = recovered;
        #[cfg(test)]
        super::tests::paused::plant_in(&mut machine);
        shared.recovered(store.reader(), damage);
        let (traces_feed, queue) = traces::channel(metrics.clone());
        let events =
            Events::start(metrics, audit.clone(), feed, traces_feed).map_err(StartError::Thread)?;
        let mut traces = TracesTask::new(queue);
        traces.follow(&shared).await;
        let receipts = ReceiptMaker::new(shared.live().settings.unit.clone(), random());
        let owner = Owner::new(
            machine,
            store,
            shared.clone(),
            events,
            receipts,
            waiting,
            restored,
        );
        let source = IndexSource::new(&shared);
        let index = index
            .start(index_settings, for_index, source)
            .map_err(StartError::Thread)?;
        let ending = shared.clone();
        let owner = tokio::spawn(async move {
            owner.run(found).await;
            let stopped = tokio::task::spawn_blocking(move || index.stop()).await;
            if let Err(error) = stopped {
                tracing::error!(%error, "the index did not stop in order");
            }
            let at = ending.clock.wall();
            let signed = tokio::task::spawn_blocking(move || audit.checkpoint(at)).await;
            if let Ok(Err(error)) = signed {
                tracing::error!(%error, "the end of the audit log is not signed");
            }
            // The folder is free for another process only when nothing is written to it any more.
            drop(lock);
        });

        let links = LinkTasks::start(&shared, listener);
        attachments::keep_house(&shared);
        shared.status.tell(Status::Ready);
        let mut local = LocalTasks::default();
        local.follow(&handle, secret).await;
        samples::keep(&handle);
        tracing::info!(
            unit = %shared.live().settings.unit,
            api = %open.loopback,
            millis = shared.clock.mono(),
            "the node is ready"
        );
        let api = ApiTask {
            doors: open,
            task: api,
            stop: stop_api,
        };
        Ok(RunningNode::new(handle, api, owner, links, local, traces))
    }
}

/// Threads of the worker pool.
fn worker_threads() -> usize {
    #[cfg(test)]
    if super::tests::paused::is_here() {
        return 0;
    }
    thread::available_parallelism().map_or(2, |cores| cores.get().min(4))
}

/// Reads the tokens that settings name.
pub(super) fn access(settings: &config::Settings) -> Result<Access, TokenError> {
    let api = &settings.api;
    let others: Vec<_> = api
        .tokens
        .iter()
        .map(|token| {
            let actor = Actor::new(token.name.as_str(), token.role);
            (actor, token.file.clone())
        })
        .collect();
    let operator = settings.data_dir.join(OPERATOR_TOKEN_FILE);
    let access = Access::load(
        &operator,
        api.token_file.as_deref(),
        &others,
        api.show_bodies,
    )?;
    for held in &api.certificates {
        access.hold(held.sha256, Actor::new(held.name.as_str(), held.role));
    }
    Ok(access)
}

fn index_settings(settings: &config::Settings) -> index::Settings {
    index::Settings {
        data_dir: settings.data_dir.clone(),
        unit: settings.unit.clone(),
    }
}

/// A node as the journal left it.
struct Recovered {
    machine: Delivery,
    store: Store,
    /// What was damaged.
    damage: Damaged,
    /// The folder was restored; when this record is durable, the node has its new epoch for good.
    restored: Option<Lsn>,
    for_index: index::Recovered,
}

/// Opens the journal of a data folder and brings a machine to where it left it.
pub(super) fn replay(
    data_dir: &Path,
    settings: delivery::Settings,
    feed: &mut Feed,
) -> Result<(Journal<NodeDisk>, Delivery, Recovery), StartError> {
    let folder = data_dir.join(JOURNAL_FOLDER);
    let disk = NodeDisk::at(&folder).map_err(|error| LockError::Io {
        path: folder,
        error,
    })?;
    let journal_settings = journal::Settings::from(&settings.limits);
    let mut replayed = Replayed {
        settings,
        machine: None,
        feed,
        error: None,
    };
    let (journal, recovery) = Journal::open(disk, journal_settings, seed(), &mut replayed)?;
    let Replayed {
        settings,
        machine,
        error,
        ..
    } = replayed;
    match error {
        Some(error) => Err(error.into()),
        None => {
            let machine = machine.unwrap_or_else(|| Delivery::new(settings));
            Ok((journal, machine, recovery))
        }
    }
}

/// Brings the machine to where the journal left it, and tells the index of what was replayed.
fn recover(
    settings: &config::Settings,
    for_machine: delivery::Settings,
    now: Now,
    feed: &mut Feed,
    index: Index,
) -> Result<Recovered, StartError> {
    let data_dir = settings.data_dir.clone();
    if let Err(error) = backup::clear(&data_dir) {
        tracing::warn!(%error, "what an earlier backup left cannot be removed");
    }
    let (mut journal, mut machine, recovery) = replay(&data_dir, for_machine, feed)?;
    let damaged = report(&recovery);
    feed.release(recovery.last);
    let for_index = index::Recovered {
        checkpoint: recovery.checkpoint.unwrap_or(0),
        last: recovery.last,
        replayed: index.waiting(),
        survivors: (damaged > 0).then(|| survivors(&machine)),
    };
    for location in machine.live() {
        journal.live(location);
    }
    let restored = backup::is_restored(&data_dir);
    machine.start(now, random().max(1), damaged > 0 || restored, &mut journal);
    journal.end_group();
    let restored = restored.then(|| journal.appended());
    let store = Store::start(journal, index).map_err(StartError::Thread)?;
    Ok(Recovered {
        restored,
        machine,
        store,
        damage: Damaged {
            places: damaged,
            told: told(&recovery),
        },
        for_index,
    })
}

/// The damaged places, in words.
fn told(recovery: &Recovery) -> Vec<String> {
    let damage = recovery.damage.iter().take(Damaged::TOLD_MAX);
    damage.map(ToString::to_string).collect()
}

/// The messages that a machine has.
fn survivors(machine: &Delivery) -> HashSet<MessageId> {
    const AT_ONCE: usize = 4096;
    let (mut survivors, mut after) = (HashSet::new(), None);
    loop {
        let (page, next) = machine.messages(after, AT_ONCE);
        survivors.extend(page.iter().map(|view| view.message));
        if next.is_none() {
            return survivors;
        }
        after = next;
    }
}

/// Tells what the journal found, and how many damaged places.
pub(super) fn report(recovery: &Recovery) -> u64 {
    if let Some(torn) = recovery.torn {
        tracing::warn!(
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            "the end of the last write, which was promised to nobody, was cut off"
        );
    }
    if recovery.from_copy {
        tracing::warn!(
            "the journal's checkpoint was damaged and its copy was read; nothing is lost, and another is written: look after the disk"
        );
    }
    for damage in &recovery.damage {
        tracing::error!(%damage, "the journal is damaged; the node goes on and takes a new epoch");
    }
    if recovery.damage_more > 0 {
        tracing::error!(
            places = recovery.damage_more,
            "the journal is damaged in more places"
        );
    }
    tracing::debug!(
        checkpoint = recovery.checkpoint,
        replayed = recovery.replayed,
        "the journal is recovered"
    );
    recovery.damage.len() as u64 + recovery.damage_more
}

/// Rebuilds the machine from what the journal hands out.
struct Replayed<'a> {
    settings: delivery::Settings,
    machine: Option<Delivery>,
    /// Takes what the records tell.
    feed: &'a mut Feed,
    /// The first record that the machine does not understand: the journal vouches for its bytes, so it was written by something else.
    error: Option<ReplayError>,
}

impl Replay for Replayed<'_> {
    fn checkpoint(&mut self, lsn: Lsn, state: &mut dyn io::Read) -> bool {
        match Delivery::restore(self.settings.clone(), state) {
            Ok(machine) => {
                self.machine = Some(machine);
                true
            }
            Err(error) => {
                tracing::error!(lsn, %error, "a checkpoint does not read");
                false
            }
        }
    }

    fn record(&mut self, lsn: Lsn, record: &[u8], payload: &[u8], location: Location) {
        if self.error.is_some() {
            return;
        }
        let settings = &self.settings;
        let machine = self
            .machine
            .get_or_insert_with(|| Delivery::new(settings.clone()));
        self.error = machine.replay(record, payload, lsn, location).err();
        while let Some(output) = machine.poll_output() {
            if let Output::Event(event) = output {
                self.feed.take(lsn, &event);
            }
        }
    }
}

/// Random bytes for the journal's salts.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&random().to_le_bytes());
    }
    seed
}
