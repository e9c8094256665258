//! What a node is up to, as far as others must know.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::language::{Language, Notices, fill};

/// Whether a node takes messages, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It reads its journal.
    #[default]
    Starting,
    /// It takes messages.
    Ready,
    /// It finishes what is under way and takes nothing new.
    Stopping,
    /// Its storage failed, so that it can promise nothing any more. It stays up to be looked at; only a restart helps.
    StorageFailed(Arc<str>),
}

impl Status {
    /// Whether messages are taken.
    pub fn is_ready(&self) -> bool {
        *self == Status::Ready
    }

    /// It in words.
    pub(crate) fn told(&self, language: Language) -> String {
        let notices = Notices::of(language);
        match self {
            Status::Starting => notices.words.cause_recovering.to_owned(),
            Status::Ready => notices.ready.to_owned(),
            Status::Stopping => notices.words.cause_stopping.to_owned(),
            Status::StorageFailed(why) => fill(notices.storage_failed, &[why]),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Language::English))
    }
}

/// Where the status is told.
#[derive(Clone, Debug)]
pub(super) struct StatusBoard(Arc<watch::Sender<Status>>);

impl StatusBoard {
    /// A node that starts.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// The status now.
    pub(super) fn now(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Tells a new status. A storage that failed stays so, and a node that stops does not become ready again.
    pub(super) fn tell(&self, status: Status) {
        self.0.send_if_modified(|now| {
            let final_ = matches!(now, Status::StorageFailed(_))
                || (*now == Status::Stopping && status == Status::Ready);
            if final_ || *now == status {
                return false;
            }
            *now = status;
            true
        });
    }

    /// For those who wait for a change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_that_failed_stays_so() {
        let board = StatusBoard::new();
        assert_eq!(board.now(), Status::Starting);
        board.tell(Status::Ready);
        assert!(board.now().is_ready());
        board.tell(Status::StorageFailed("no such device".into()));
        board.tell(Status::Stopping);
        assert_eq!(
            board.now().to_string(),
            "the storage failed: no such device"
        );
    }
}
