//! What every part of one running node shares.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use jiff::tz::TimeZone;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{
    attachments, audit,
    board::LinkBoard,
    clock::Clock,
    command::Command,
    dictionaries::{Package, Shelf},
    keeper::Keeper,
    live::Live,
    local::LocalTroubles,
    rules::Rules,
    samples::Samples,
    status::{Status, StatusBoard},
    store::JournalReader,
    usage::Usage,
    workers::Workers,
};
use crate::{
    api::Access,
    blob::Blobs,
    delivery::{
        Answer, Delivery, Input, SessionId, Ticket,
        generations::{Bounds, Generations},
    },
    index::Index,
    link::Identify,
    model::Limits,
    observe::{Audit, Metrics},
};

/// Bytes of parcels that wait for the owner, of all sessions together, in KiB. A session that finds no room stops reading.
const ARRIVALS_KIB_MAX: u32 = 32 * 1024;

/// The node gives no answer; its [`Status`] says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(pub(super) Status);

/// One node's common ground.
pub(super) struct Shared {
    /// To the owner.
    pub(super) commands: mpsc::Sender<Command>,
    /// The time.
    pub(super) clock: Clock,
    /// What the node is up to.
    pub(super) status: StatusBoard,
    /// For what takes time.
    pub(super) workers: Workers,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
    /// What operators did.
    pub(super) audit: Arc<Audit>,
    /// What was wrong with that when the node started.
    pub(super) audit_damage: Option<String>,
    /// What goes wrong with folders, posts and traces.
    pub(super) local: LocalTroubles,
    /// Calls that were refused.
    pub(super) refused: audit::Refused,
    /// Links and sessions, for people.
    pub(super) board: LinkBoard,
    /// On what terms links are used.
    pub(super) usage: Usage,
    /// The node over time, for charts.
    pub(super) samples: Samples,
    /// Search and history, for people.
    pub(super) index: Index,
    /// Dictionaries of neighbours.
    pub(super) shelf: Shelf,
    /// This node's own, for neighbours.
    pub(super) package: Package,
    /// What later batches are compressed against.
    generations: Mutex<Generations>,
    /// Attachments.
    pub(super) blobs: Blobs,
    /// What comes of them and what leaves.
    pub(super) keeper: Arc<Keeper>,
    /// Whether no submissions are taken because of maintenance.
    pub(super) draining: AtomicBool,
    /// Numbers for people.
    pub(super) figures: Figures,
    /// What submissions are judged by.
    pub(super) rules: Rules,
    /// A session has come up: a reason to dial the other links at once.
    pub(super) alive: Notify,
    /// Bounds the parcels on their way to the owner, KiB.
    arrivals: Arc<Semaphore>,
    /// Reads parcels back, once the journal is recovered.
    reader: OnceLock<JournalReader>,
    /// Who the API lets in.
    pub(super) access: Access,
    live: RwLock<Arc<Live>>,
    reloads: watch::Sender<()>,
    tickets: AtomicU64,
    sessions: AtomicU64,
}

/// What the owner tells of the journal, for people.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Bytes on disk.
    pub(super) journal_bytes: AtomicU64,
    /// Whether the disk is full.
    pub(super) disk_full: AtomicBool,
    /// What was damaged at the start.
    pub(super) damaged: OnceLock<Damaged>,
}

/// What of the journal was found damaged.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    /// How many stretches.
    pub(super) places: u64,
    /// The first of them, in words.
    pub(super) told: Vec<String>,
}

impl Damaged {
    /// Places that are told in words.
    pub(super) const TOLD_MAX: usize = 100;
}

/// What [`Shared::new`] is made of.
pub(super) struct Parts {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) clock: Clock,
    pub(super) status: StatusBoard,
    pub(super) workers: Workers,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Arc<Audit>,
    pub(super) audit_damage: Option<String>,
    pub(super) index: Index,
    pub(super) blobs: Blobs,
    pub(super) live: Live,
    pub(super) access: Access,
}

impl Shared {
    /// The common ground of a node that starts.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            commands,
            clock,
            status,
            workers,
            metrics,
            audit,
            audit_damage,
            index,
            blobs,
            live,
            access,
        } = parts;
        let keeper = Arc::new(Keeper::new(blobs.clone(), metrics.clone()));
        Arc::new(Self {
            commands,
            status,
            workers,
            reader: OnceLock::new(),
            board: LinkBoard::new(metrics.clone()),
            usage: Usage::load(&live.settings.data_dir, clock.wall(), TimeZone::system()),
            clock,
            metrics,
            audit,
            audit_damage,
            local: LocalTroubles::default(),
            refused: audit::Refused::default(),
            samples: Samples::default(),
            index,
            shelf: Shelf::new(&live.settings.data_dir),
            package: Package::default(),
            generations: Mutex::new(Generations::new(Bounds {
                all_bytes: history_bytes(&live.settings.limits),
                ..Bounds::default()
            })),
            keeper,
            blobs,
            access,
            draining: AtomicBool::new(false),
            figures: Figures::default(),
            rules: Rules::new(&live.settings, live.identity.signer().certificate()),
            alive: Notify::new(),
            arrivals: Arc::new(Semaphore::new(ARRIVALS_KIB_MAX as usize)),
            live: RwLock::new(Arc::new(live)),
            reloads: watch::Sender::new(()),
            tickets: AtomicU64::new(1),
            sessions: AtomicU64::new(1),
        })
    }

    /// The journal is recovered, and this of it was damaged.
    pub(super) fn recovered(&self, reader: JournalReader, damaged: Damaged) {
        for _ in 0..damaged.places {
            self.metrics.journal_quarantined();
        }
        if self.figures.damaged.set(damaged).is_err() || self.reader.set(reader).is_err() {
            unreachable!("a journal is recovered once");
        }
    }

    /// Reads parcels back.
    ///
    /// # Errors
    /// The journal is not recovered yet.
    pub(super) fn reader(&self) -> Result<JournalReader, Unavailable> {
        self.reader.get().cloned().ok_or_else(|| self.unavailable())
    }

    /// What the node runs by now.
    pub(super) fn live(&self) -> Arc<Live> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on the node runs by this.
    pub(super) fn set_live(&self, live: Live) {
        let signer = live.identity.signer().certificate();
        self.rules.follow(Rules::new(&live.settings, signer));
        self.blobs
            .set_bounds(attachments::bounds(&live.settings.limits));
        self.generations()
            .set_all_bytes(history_bytes(&live.settings.limits));
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.reloads.send_replace(());
    }

    /// What hops remember; held for moments only.
    pub(super) fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// For those who judged something by what the node runs by, and have to do so again whenever that changes.
    pub(super) fn watch_reloads(&self) -> watch::Receiver<()> {
        self.reloads.subscribe()
    }

    /// A name for a new session.
    pub(super) fn new_session(&self) -> SessionId {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// A new ticket.
    pub(super) fn new_ticket(&self) -> Ticket {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Who may come in, as the settings are whenever it is asked.
    pub(super) fn identify(self: &Arc<Self>) -> Identify {
        let shared = self.clone();
        Arc::new(move |chain| shared.live().identify(chain, shared.clock.wall()))
    }

    /// Gives the machine an input and waits for its answer.
    pub(super) async fn ask(&self, ticket: Ticket, input: Input) -> Result<Answer, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Ask {
            ticket,
            input,
            reply,
        })
        .await?;
        answer.await.map_err(|_| self.unavailable())
    }

    /// Looks at the machine.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Delivery) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (seen, answer) = oneshot::channel();
        let look = Box::new(move |machine: &Delivery| {
            // Whoever asked may be gone.
            let _ = seen.send(look(machine));
        });
        self.command(Command::Look(look)).await?;
        answer.await.map_err(|_| self.unavailable())
    }

    /// Gives the owner something to do, waiting for room.
    pub(super) async fn command(&self, command: Command) -> Result<(), Unavailable> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| self.unavailable())
    }

    /// Gives the owner parcels that came, once there is room for them. The session's `turn` is over once the owner has taken them.
    pub(super) async fn arrived(
        &self,
        session: SessionId,
        arrivals: Vec<crate::delivery::Arrival>,
        turn: OwnedSemaphorePermit,
    ) -> Result<(), Unavailable> {
        let bytes: usize = arrivals.iter().map(|a| a.parcel.bytes().len()).sum();
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = self
            .arrivals
            .clone()
            .acquire_many_owned(kib.min(ARRIVALS_KIB_MAX))
            .await
            .map_err(|_| self.unavailable())?;
        self.command(Command::Arrived {
            session,
            arrivals,
            room: [room, turn],
        })
        .await
    }

    /// Why there is no answer.
    pub(super) fn unavailable(&self) -> Unavailable {
        let status = self.status.now();
        // The owner is gone although nobody stopped it: it has ended all the same.
        Unavailable(match status {
            Status::Ready => Status::Stopping,
            other => other,
        })
    }
}

fn history_bytes(limits: &Limits) -> usize {
    limits.history_mib as usize * 1024 * 1024
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({})", self.status.now())
    }
}
