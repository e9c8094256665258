//! Mistakes that a test or the simulator can plant, to see that they would be found. Outside of these there are none.

/// A mistake that a test makes the journal commit, on the thread of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A write is reported before it is synced (G1).
    ReplyBeforeSync,
    /// A sync that failed is tried again, which succeeds and saves nothing.
    SyncTriedAgain,
    /// The folder is not synced when a segment is made.
    FolderNotSynced,
    /// A checkpoint is not synced before what it makes superfluous is removed.
    CheckpointNotSynced,
    /// A checkpoint does not wait for the records that it covers: a segment goes before the copies of its payloads are safe.
    CheckpointTooEarly,
    /// What was written after a checkpoint is not looked at.
    CheckpointTrusted,
    /// Sums over records and payloads are not compared.
    SumNotChecked,
    /// A torn group is taken for a whole one.
    TornGroupKept,
    /// What a killed process had written and not synced is handed out, and is not written again.
    NotWrittenAgain,
    /// A write that found no room is dropped.
    FullWriteDropped,
}

#[cfg(test)]
impl Flaw {
    /// What the journal's own tests find; the simulator finds the rest.
    pub(super) const ALL: [Self; 9] = [
        Self::ReplyBeforeSync,
        Self::SyncTriedAgain,
        Self::FolderNotSynced,
        Self::CheckpointNotSynced,
        Self::CheckpointTooEarly,
        Self::CheckpointTrusted,
        Self::SumNotChecked,
        Self::TornGroupKept,
        Self::NotWrittenAgain,
    ];
}

#[cfg(any(test, feature = "sim"))]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

/// Whether the mistake is to be made.
#[cfg(any(test, feature = "sim"))]
pub(super) fn planted(flaw: Flaw) -> bool {
    PLANTED.get() == Some(flaw)
}

/// Whether the mistake is to be made.
#[cfg(not(any(test, feature = "sim")))]
pub(super) const fn planted(_: Flaw) -> bool {
    false
}

/// Plants a mistake on this thread, or takes the last one back.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn plant(flaw: Option<Flaw>) {
    PLANTED.set(flaw);
}
