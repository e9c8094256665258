//! Bugs that a test can plant, to see that the simulator finds them.

use super::Delivery;

/// A mistake that a test makes the machine commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A submission is answered before its record is synced (G1).
    AcceptBeforeSync,
    /// A neighbour's parcels are acked before they are synced (G2).
    AckBeforeSync,
    /// What a neighbour sent before a restart is forgotten by number (G4 then rests on digests alone) and acked anew.
    ForgottenWatermark,
    /// A restored folder goes on with its old epoch, and numbers are used twice (G3).
    SequenceReuse,
    /// A folder that is marked as restored goes on with its old epoch (G3).
    IgnoredMark,
    /// What was leased to a session that died is never sent again (G3).
    DroppedLease,
    /// Predecessors are not named, so that a case's messages overtake each other (G5).
    ReorderInCase,
    /// Delivered messages are forgotten at once (G4).
    PurgeTooEarly,
    /// What is acked stays counted as under way, until no credit is left (G3).
    CreditLeak,
    /// A receipt that was signed is not sent (G3).
    LostReceipt,
    /// A neighbour's parcels are taken whoever they say has sent them (G6).
    ForeignSenderTaken,
    /// What came is let through whatever the policy says (G6).
    IgnoredPolicy,
    /// A receipt is believed whoever signed it (G6).
    BelievedLie,
    /// A neighbour that lost its memory is offered nothing (G3).
    ForgottenCustody,
    /// Parcels are kept when nothing is awaited any more (G7).
    LeakedParcel,
    /// Full queues and a full inbox take more (G7).
    IgnoredBound,
    /// Parcels are sent that the neighbour has no credit for (G7).
    IgnoredCredit,
    /// What a neighbour could not read is not sent again (G3).
    NotSentAgain,
    /// A parcel that cannot be read is leased for ever (G8).
    UnreadableKept,
    /// A leased message is handed out again before its lease is over, and acks are not waited for (G4).
    DoubleHandOver,
    /// What was leased to a session that has fallen silent waits for it, whatever other links there are (G3).
    SilentLeaseKept,
    /// Everything goes over a link whose budget is spent (G7).
    IgnoredTerms,
    /// A message is handed over before its attachments are here (G3).
    OpenInbox,
    /// Chunks that were under way over a session that died are not sent again (G3).
    ForgottenRuns,
    /// An origin keeps a message's attachments no longer than until the next node has the message (G3).
    ForgottenAttachment,
    /// A generation is offered before all of it is acked (G2).
    OfferedUnacked,
    /// A generation is said to be here whatever is here (G3).
    UncomparedGeneration,
    /// A batch whose generation is lost is dropped without a word (G3).
    UnsaidLoss,
    /// Neighbours that were told that there is no room do not hear that there is some again (G3).
    RoomUntold,
    /// The journal tries a sync again that failed, and what that leaves out is promised (G1).
    SyncTriedAgain,
    /// The journal drops a write that finds no room (G1).
    FullWriteDropped,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Bug; 31] = [
        Bug::AcceptBeforeSync,
        Bug::AckBeforeSync,
        Bug::ForgottenWatermark,
        Bug::SequenceReuse,
        Bug::IgnoredMark,
        Bug::DroppedLease,
        Bug::ReorderInCase,
        Bug::PurgeTooEarly,
        Bug::CreditLeak,
        Bug::LostReceipt,
        Bug::ForeignSenderTaken,
        Bug::IgnoredPolicy,
        Bug::BelievedLie,
        Bug::ForgottenCustody,
        Bug::LeakedParcel,
        Bug::IgnoredBound,
        Bug::IgnoredCredit,
        Bug::NotSentAgain,
        Bug::UnreadableKept,
        Bug::DoubleHandOver,
        Bug::SilentLeaseKept,
        Bug::IgnoredTerms,
        Bug::OpenInbox,
        Bug::ForgottenRuns,
        Bug::ForgottenAttachment,
        Bug::OfferedUnacked,
        Bug::UncomparedGeneration,
        Bug::UnsaidLoss,
        Bug::RoomUntold,
        Bug::SyncTriedAgain,
        Bug::FullWriteDropped,
    ];
}

impl Delivery {
    /// Plants a bug; before [`Delivery::start`].
    pub fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn plant_at_start(&mut self) {
        if self.has(Bug::ForgottenWatermark) {
            for hop in self.hops.values_mut() {
                hop.inbound.forget_last();
            }
        }
    }
}
