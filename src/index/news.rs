//! What happens to messages, told to those who listen while it happens.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast::{self, error::RecvError};

use super::entry::{Entry, Line};
use crate::model::{Kind, Lane, MessageId, State, UnitId};

/// Happenings that a listener may be behind.
const BEHIND_MAX: usize = 1024;

/// One step of one message, and what it is about.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The message.
    pub message: MessageId,
    /// Its sender.
    pub from: UnitId,
    /// Its kind.
    pub kind: Kind,
    /// Its case.
    pub case: Option<String>,
    /// Its lane.
    pub lane: Lane,
    /// The state of the receiver that is furthest behind, with this step.
    pub state: State,
    /// The parcel's size, bytes.
    pub bytes: u32,
    /// The step.
    pub line: Line,
}

/// Where happenings are told. Nothing is made of one while nobody listens.
#[derive(Debug, Default)]
pub(super) struct News {
    listeners: OnceLock<broadcast::Sender<Arc<Happening>>>,
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    happenings: broadcast::Receiver<Arc<Happening>>,
}

impl News {
    pub(super) fn listen(&self) -> Listener {
        let listeners = self
            .listeners
            .get_or_init(|| broadcast::Sender::new(BEHIND_MAX));
        Listener {
            happenings: listeners.subscribe(),
        }
    }

    pub(super) fn tell(&self, entry: &Entry, line: &Line) {
        let listeners = self.listeners.get().filter(|l| l.receiver_count() > 0);
        let Some(listeners) = listeners else {
            return;
        };
        let happening = Happening {
            message: entry.message,
            from: entry.from.clone(),
            kind: entry.kind.clone(),
            case: entry.case.clone(),
            lane: entry.lane,
            state: entry.state(),
            bytes: entry.bytes,
            line: line.clone(),
        };
        // The last listener may just have left.
        let _ = listeners.send(Arc::new(happening));
    }
}

impl Listener {
    /// The next happening, or how many this listener was too slow for; none when nothing will happen any more.
    pub async fn next(&mut self) -> Option<Result<Arc<Happening>, u64>> {
        match self.happenings.recv().await {
            Ok(happening) => Some(Ok(happening)),
            Err(RecvError::Lagged(lost)) => Some(Err(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}
