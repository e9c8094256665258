//! The promises, checked as answers and events come (G1, G4, G5, G6, G7), and when the world has come to rest (G3).

use crate::{
    delivery::{Accepted, Answer, Event as Told, Handed, NotAccepted, Order, OrderRefused, Step},
    model::{
        BlobDigest, MessageId, Millis, Now, Outcome, Pattern, Reason, ReceiptItem, State, UnitId,
    },
};

use super::{
    agenda::{Event, MILLISECOND, NodeIndex, SECOND, Us},
    ledger::{Message, MessageIndex},
    node::Asked,
    plan::NOBODY,
    world::{Broken, Kept, World, broken},
};

/// How long the world may need until everything is where it must be, once nothing breaks any more.
const SETTLES_WITHIN: Us = 600 * SECOND;

impl World {
    // ---- answers

    /// A node answers. Every question is answered at most once, and nothing else is.
    pub(super) fn answered(
        &mut self,
        node: NodeIndex,
        now: Now,
        ticket: u64,
        answer: Answer,
    ) -> Kept {
        let life = self.nodes[node].life;
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        let synced = run.journal.synced();
        let Some(waiting) = run.tickets.remove(&ticket) else {
            return Err(broken(
                "G7",
                format!("n{node} answers {ticket}, which nobody awaits"),
            ));
        };
        self.line(|| format!("n{node} answers {ticket}: {answer:?}"));
        self.trace.mark(ticket, synced);
        let is_durable = waiting.record.is_none_or(|record| record <= synced);
        match (waiting.asked, answer) {
            (Asked::Submit { messages, is_other }, Answer::Accepted(accepted)) => {
                if is_other {
                    return Err(broken(
                        "G4",
                        format!("other content is accepted: {accepted:?}"),
                    ));
                }
                if !is_durable && accepted.iter().any(|a| !a.repeated) {
                    return Err(broken("G1", format!("accepted before sync: {accepted:?}")));
                }
                self.accepted(node, life, synced, &messages, &accepted)
            }
            (Asked::Submit { messages, is_other }, Answer::NotAccepted { index, why }) => {
                self.not_accepted(node, now, &messages, is_other, index, &why)
            }
            (Asked::Inbox { max, until, again }, Answer::Inbox(handed)) => {
                if again {
                    let soon = 20 * MILLISECOND;
                    self.agenda.after(soon, Event::Poll { node });
                }
                let most = max.min(self.nodes[node].settings.limits.inbox_max) as usize;
                if handed.len() > most || (handed.is_empty() && now.mono < until) {
                    return Err(broken("G7", format!("{} messages for {max}", handed.len())));
                }
                if now.mono > until + 2 {
                    return Err(broken("G7", format!("n{node} answers a poll too late")));
                }
                self.stats.handed += handed.len() as u64;
                let mut messages = Vec::with_capacity(handed.len());
                for message in &handed {
                    if self.handed(node, now, ticket, message)? {
                        messages.push(message.message);
                    }
                }
                self.consume(node, ticket, messages);
                Ok(())
            }
            (Asked::Take { messages, first }, Answer::Acked { acked, unknown }) => {
                if !is_durable {
                    return Err(broken("G4", format!("{messages:?} are acked before sync")));
                }
                if acked + unknown.len() != messages.len() {
                    return Err(broken("G4", format!("{acked} of {messages:?} are acked")));
                }
                self.taken(node, &messages, &first, &unknown)
            }
            (Asked::GiveBack, Answer::Acked { .. }) => Ok(()),
            (Asked::Order(order), Answer::Ordered(outcome)) => {
                if !is_durable {
                    return Err(broken("G1", format!("{order:?} is confirmed before sync")));
                }
                let [outcome] = outcome[..] else {
                    return Err(broken("G7", format!("{order:?} has {outcome:?} outcomes")));
                };
                self.ordered(node, ticket, &order, outcome);
                Ok(())
            }
            (Asked::Pause { neighbour, paused }, Answer::Ordered(_)) => {
                if !is_durable {
                    return Err(broken("G1", "a pause is confirmed before sync"));
                }
                // Before that a folder may be set back, and the pause with it.
                if !paused && self.is_calm {
                    self.pauses.remove(&(node, neighbour));
                }
                Ok(())
            }
            (asked, answer) => Err(broken("G7", format!("{asked:?} is answered by {answer:?}"))),
        }
    }

    fn accepted(
        &mut self,
        node: NodeIndex,
        life: u32,
        synced: u64,
        messages: &[MessageIndex],
        accepted: &[Accepted],
    ) -> Kept {
        let now = self.agenda.now();
        if messages.len() != accepted.len() {
            return Err(broken("G1", "not every message of a batch is answered"));
        }
        for (index, answer) in messages.iter().zip(accepted) {
            let message = self.ledger.get(*index);
            let id = message.id;
            if answer.message != id {
                return Err(broken(
                    "G1",
                    format!("{id} is answered as {}", answer.message),
                ));
            }
            if message
                .record
                .is_some_and(|(l, lsn)| l == life && lsn > synced)
            {
                return Err(broken("G1", format!("{id} is accepted before sync")));
            }
            if self.is_refused_at_once(node, &message.header) {
                return Err(broken("G6", format!("{id} is accepted against the policy")));
            }
            if message.is_promised() && !answer.repeated {
                return Err(broken("G4", format!("{id} is accepted a second time")));
            }
            let is_first = message.tried.is_some_and(|(first, last)| first == last);
            if answer.repeated && is_first && messages.iter().filter(|m| *m == index).count() == 1 {
                return Err(broken("G4", format!("{id} is said to be a repetition")));
            }
            if !message.is_promised() {
                self.stats.accepted += 1;
            }
            let message = self.ledger.get_mut(*index);
            message.unanswered = 0;
            message.record = None;
            message.accepted_at.get_or_insert(now);
        }
        Ok(())
    }

    fn not_accepted(
        &mut self,
        node: NodeIndex,
        now: Now,
        messages: &[MessageIndex],
        is_other: bool,
        at: usize,
        why: &NotAccepted,
    ) -> Kept {
        let Some(message) = messages.get(at).map(|m| self.ledger.get(*m)) else {
            return Err(broken(
                "G1",
                format!("message {at} of fewer is not accepted"),
            ));
        };
        let is_hub = self.nodes[node].parent.is_none();
        let is_right = match why {
            NotAccepted::Conflict => is_other,
            NotAccepted::Policy { .. } => self.is_refused_at_once(node, &message.header),
            NotAccepted::UnknownUnit(unit) => is_hub && unit.as_str() == NOBODY,
            NotAccepted::Expired => message.expires <= self.latest_wall(),
            NotAccepted::Bound { .. } | NotAccepted::MailboxFull(_) => self.plan.is_small,
            NotAccepted::DiskFull => self.may_be_full(node),
            NotAccepted::Attachment(_) => false,
        };
        if !is_right {
            let id = message.id;
            return Err(broken(
                "G1",
                format!("{id} is not accepted at {now:?}: {why}"),
            ));
        }
        if is_other {
            return Ok(());
        }
        let is_full = matches!(
            why,
            NotAccepted::Bound { .. } | NotAccepted::MailboxFull(_) | NotAccepted::DiskFull
        );
        let is_tried_again = is_full && !self.is_calm && self.rng.per_mille(500);
        for index in messages {
            let message = self.ledger.get_mut(*index);
            if message.unanswered == 0 && message.accepted_at.is_none() {
                message.tried = None;
            }
            if is_tried_again || (message.unanswered > 0 && is_full) {
                self.nodes[node].retries.push(*index);
            }
        }
        Ok(())
    }

    /// A message is handed over; false when it cannot be read.
    fn handed(
        &mut self,
        node: NodeIndex,
        now: Now,
        ticket: u64,
        handed: &Handed,
    ) -> Result<bool, Broken> {
        let id = handed.message;
        let life = self.nodes[node].life;
        let Some(parcel) = self.read_back(node, handed.at)? else {
            return Ok(false); // it is handed over again when its lease is over
        };
        if self.is_rotten(node, handed.at, parcel.digest(), None) {
            return Ok(false);
        }
        let Some(index) = self.ledger.find(id) else {
            return Err(broken(
                "G6",
                format!("{id}, which nobody wrote, is handed over"),
            ));
        };
        let message = self.ledger.get(index);
        if !message.parcels.contains(&parcel.digest()) {
            return Err(broken(
                "G6",
                format!("{id} is handed over with strange content"),
            ));
        }
        if let Some(lacking) = self.lacking_attachment(node, message) {
            let what = format!("{id} is handed over at n{node} without {lacking}");
            return Err(broken("G3", what));
        }
        let Some(copy) = message.copies.get(&node) else {
            return Err(broken(
                "G6",
                format!("{id} is handed over at n{node}, for whom it is not"),
            ));
        };
        if copy.is_forbidden {
            return Err(broken(
                "G6",
                format!("{id} is handed over against the policy"),
            ));
        }
        if copy.taken_at.is_some() {
            return Err(broken(
                "G4",
                format!("{id} is handed over again after its ack"),
            ));
        }
        if let Some((l, t, until)) = copy.lease
            && l == life
            && now.mono < until
        {
            let what = format!("{id} is handed over to {ticket} while {t} has it");
            return Err(broken("G4", what));
        }
        if let Some(before) = self.overtaken(node, message) {
            return Err(broken(
                "G5",
                format!("{id} is handed over before {before} at n{node}"),
            ));
        }
        let lease = Millis::from(self.nodes[node].settings.limits.inbox_lease_s) * 1000;
        if let Some(copy) = self.ledger.get_mut(index).copies.get_mut(&node) {
            copy.handed += 1;
            copy.lease = Some((life, ticket, now.mono + lease));
        }
        Ok(true)
    }

    /// An attachment of a message that is not all at a node.
    fn lacking_attachment(&self, node: NodeIndex, message: &Message) -> Option<BlobDigest> {
        let mut digests = message.header.attachments.iter().map(|d| BlobDigest(*d));
        digests.find(|digest| !self.nodes[node].blobs.has(digest))
    }

    /// A message of the same sender, case and receiver that must come first and has not been taken.
    fn overtaken(&self, node: NodeIndex, message: &Message) -> Option<MessageId> {
        let wall = self.latest_wall();
        self.ledger
            .predecessors(message)
            .find(|before| {
                !before.is_lost
                    && !before.may_have_ended(wall)
                    && before.copies.get(&node).is_some_and(|copy| {
                        copy.took_at.is_none() && !copy.is_forbidden && !copy.is_excused
                    })
            })
            .map(|before| before.id)
    }

    fn taken(
        &mut self,
        node: NodeIndex,
        messages: &[MessageId],
        first: &[MessageId],
        unknown: &[MessageId],
    ) -> Kept {
        let now = self.agenda.now();
        for id in messages {
            let Some(index) = self.ledger.find(*id) else {
                continue;
            };
            let is_damaged = self.ledger.get(index).is_damaged;
            let Some(copy) = self.ledger.get_mut(index).copies.get_mut(&node) else {
                continue;
            };
            copy.lease = None;
            if unknown.contains(id) {
                if first.contains(id) && !copy.is_excused && !is_damaged {
                    return Err(broken(
                        "G3",
                        format!("{id} was handed over and is not known"),
                    ));
                }
            } else if copy.taken_at.replace(now).is_some() {
                return Err(broken("G4", format!("{id} is taken twice")));
            } else {
                self.stats.taken += 1;
            }
        }
        Ok(())
    }

    fn ordered(
        &mut self,
        node: NodeIndex,
        ticket: u64,
        order: &Order,
        outcome: Result<(), OrderRefused>,
    ) {
        let id = order.message();
        match order {
            Order::Drop(..) | Order::Expire(..) if outcome.is_err() => {
                if let Some(index) = self.ledger.find(id) {
                    self.ledger.get_mut(index).drops -= 1;
                }
            }
            // Unless it was held again since.
            Order::Release(_) => self
                .holds
                .retain(|held, last| *held != (node, id) || *last > ticket),
            _ => {}
        }
    }

    // ---- events

    /// What a node tells of must be true.
    pub(super) fn watch(&mut self, node: NodeIndex, event: &Told) -> Kept {
        match event {
            Told::Message { message, what, .. } => {
                let Some(index) = self.ledger.find(*message) else {
                    return Err(broken(
                        "G6",
                        format!("{message}, which nobody wrote, is at n{node}"),
                    ));
                };
                match what {
                    Step::Delivered => {
                        let message = self.ledger.get(index);
                        if !self.is_recovering
                            && let Some(lacking) = self.lacking_attachment(node, message)
                        {
                            let what =
                                format!("{} is delivered at n{node} without {lacking}", message.id);
                            return Err(broken("G3", what));
                        }
                        if let Some(copy) = self.ledger.get_mut(index).copies.get_mut(&node) {
                            copy.is_delivered = true;
                        }
                        Ok(())
                    }
                    Step::Ended {
                        receiver,
                        state,
                        reason,
                    } => {
                        self.conclude(node, index, receiver);
                        self.ended(node, index, receiver, *state, *reason)
                    }
                    _ => Ok(()),
                }
            }
            Told::Refused {
                neighbour,
                reason,
                parcel,
            } => {
                let is_rogue = self.plan.rogue.as_ref() == Some(neighbour);
                if is_rogue || self.ledger.of_parcel(parcel).is_none() {
                    return Ok(());
                }
                Err(broken(
                    "G6",
                    format!("n{node} refuses an honest parcel: {reason}"),
                ))
            }
            Told::Receipt {
                parcel,
                item,
                issuer,
            } => match self.ledger.of_parcel(parcel) {
                Some(index) => {
                    if item.outcome.is_terminal() {
                        self.conclude(node, index, &item.receiver);
                    }
                    self.line_taken(node, index, item, issuer)
                }
                None => Ok(()),
            },
            Told::Open { neighbour, .. } => {
                if let Some(neighbour) = self.node_of(neighbour) {
                    self.credits.remove(&(node, neighbour));
                }
                Ok(())
            }
            // What a recovery tells again was heard before.
            Told::Reset { neighbour, .. } if !self.is_recovering => {
                if let Some(neighbour) = self.node_of(neighbour) {
                    self.hops.resets(node, neighbour);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A sender learns of an end.
    fn conclude(&mut self, node: NodeIndex, index: MessageIndex, receiver: &Pattern) {
        let message = self.ledger.get_mut(index);
        if message.sender == node {
            message.concluded.insert(receiver.clone());
        }
    }

    fn ended(
        &self,
        node: NodeIndex,
        index: MessageIndex,
        receiver: &Pattern,
        state: State,
        reason: Reason,
    ) -> Kept {
        let message = self.ledger.get(index);
        if self.may_end(message, receiver, state, reason) {
            return Ok(());
        }
        let id = message.id;
        Err(broken(
            "G3",
            format!("n{node} ends {id} for {receiver} as {state:?} ({reason}) without a reason"),
        ))
    }

    fn may_end(&self, message: &Message, receiver: &Pattern, state: State, reason: Reason) -> bool {
        match state {
            State::Expired => message.expires <= self.latest_wall() || message.drops > 0,
            State::Dropped => message.drops > 0,
            State::Refused => match reason {
                Reason::Policy => {
                    message.copies.iter().any(|(node, copy)| {
                        copy.is_forbidden && receiver.matches(self.unit(*node).as_str())
                    }) || self.node_of_pattern(receiver).is_none()
                }
                Reason::UnknownUnit => self.node_of_pattern(receiver).is_none(),
                // A sender that forgot the message may submit it again.
                Reason::IdConflict => message.parcels.len() > 1,
                Reason::Damaged => message.is_damaged,
                // The rogue says so of what it named itself, and only that ends.
                Reason::AttachmentTooLarge => message.sender >= self.nodes.len(),
                // A sum of a pattern.
                Reason::Partly => !receiver.is_name(),
                _ => false,
            },
            _ => true,
        }
    }

    fn node_of_pattern(&self, receiver: &Pattern) -> Option<NodeIndex> {
        self.node_of(&receiver.as_unit()?)
    }

    /// A line of a receipt is believed.
    fn line_taken(
        &self,
        node: NodeIndex,
        index: MessageIndex,
        item: &ReceiptItem,
        issuer: &UnitId,
    ) -> Kept {
        let message = self.ledger.get(index);
        let id = message.id;
        let receiver = self.node_of_pattern(&item.receiver);
        let is_lie =
            self.plan.rogue.as_ref() == Some(issuer) && item.receiver.as_str() != issuer.as_str();
        if is_lie {
            return Err(broken(
                "G6",
                format!("n{node} believes a receipt of the rogue for {id}"),
            ));
        }
        match (item.outcome, receiver) {
            (Outcome::Delivered | Outcome::Read, Some(receiver)) if receiver < self.nodes.len() => {
                let copy = message.copies.get(&receiver);
                if copy.is_none_or(|c| !c.is_delivered) {
                    let what = format!("n{node} is told that {id} is delivered at n{receiver}");
                    return Err(broken("G3", what));
                }
                if item.outcome == Outcome::Read && copy.is_none_or(|c| c.took_at.is_none()) {
                    let what = format!("n{node} is told that {id} is read at n{receiver}");
                    return Err(broken("G3", what));
                }
                Ok(())
            }
            (outcome, _) => self.ended(
                node,
                index,
                &item.receiver,
                State::from(outcome),
                item.reason,
            ),
        }
    }

    // ---- rest

    /// Is everything where it must be?
    pub(super) fn look(&mut self) -> Kept {
        for node in 0..self.nodes.len() {
            self.check_expiring(node)?;
        }
        let holds: Vec<(NodeIndex, MessageId)> = self.holds.keys().copied().collect();
        for (node, message) in holds {
            self.order(node, Order::Release(message))?;
        }
        let pauses: Vec<(NodeIndex, NodeIndex)> = self.pauses.iter().copied().collect();
        for (node, neighbour) in pauses {
            if self.is_up(node) {
                self.pause_or_go_on(node, neighbour, None, false)?;
            }
        }
        let now = self.agenda.now();
        let Some(lacking) = self.lacking() else {
            self.is_done = true;
            return Ok(());
        };
        // A receiver whose disk was set back may lack what its origin waits for until it expires.
        let waits_for_expiry = self.nodes.iter().any(|n| n.set_back_to.is_some());
        let grace = u64::from(self.plan.nodes[0].settings.limits.custody_grace_s) * SECOND;
        let most = if waits_for_expiry {
            self.plan.calm_at + 100 * 60 * SECOND + grace
        } else {
            self.plan.calm_at + SETTLES_WITHIN
        };
        if now > most {
            return Err(lacking);
        }
        let since = now - self.plan.calm_at;
        let pause = (since / 4).clamp(2 * SECOND, 60 * SECOND);
        self.agenda.after(pause, Event::Look);
        Ok(())
    }

    /// The first thing that is not where it must be.
    fn lacking(&self) -> Option<Broken> {
        let wall = self.latest_wall();
        for message in self.ledger.iter() {
            if !message.is_promised() || message.sender >= self.nodes.len() {
                continue;
            }
            let (id, sender) = (message.id, message.sender);
            for (node, copy) in &message.copies {
                // One that was taken just before a crash may be known to be so, or be handed over once more.
                let is_due = !copy.is_forbidden && !copy.is_excused && copy.took_at.is_none();
                if is_due && !message.may_have_ended(wall) {
                    return Some(broken(
                        "G3",
                        format!("{id} of n{sender} has not come to n{node}"),
                    ));
                }
            }
            let mut to = message.header.to.iter();
            if let Some(open) = to.find(|receiver| !message.concluded.contains(receiver)) {
                let what = format!("n{sender} does not learn what became of {id} for {open}");
                return Some(broken("G3", what));
            }
            let view = self.nodes[sender].run.as_ref()?.machine.find(&id);
            let open = view
                .into_iter()
                .flat_map(|view| view.receivers)
                .find(|receiver| !receiver.state.is_terminal());
            if let Some(open) = open {
                let what = format!("n{sender} does not learn what became of {id}: {open:?}");
                return Some(broken("G3", what));
            }
        }
        let is_disturbed =
            self.rogue.is_some() || self.nodes.iter().any(|n| n.set_back_to.is_some());
        for (index, node) in self.nodes.iter().enumerate() {
            let run = node.run.as_ref()?;
            if !node.retries.is_empty() {
                return Some(broken("G3", format!("n{index} answers no submissions")));
            }
            // What is counted as under way is queued, or a neighbour's credit would leak away.
            for n in run.machine.neighbours() {
                let queued: u64 = n.lanes.iter().map(|depth| depth.bytes).sum();
                if n.in_flight_bytes > queued {
                    let under_way = n.in_flight_bytes;
                    let what = format!(
                        "n{index} counts {under_way} bytes under way to {}, where {queued} are queued",
                        n.unit
                    );
                    return Some(broken("G7", what));
                }
            }
            let left = run.machine.totals();
            if !is_disturbed && let Some(needed) = run.machine.blobs().next() {
                let what = format!("n{index} needs an attachment for nothing: {needed:?}");
                return Some(broken("G7", what));
            }
            if !is_disturbed && (left.parcels > 0 || left.owed > 0 || left.waiting > 0) {
                let queues: Vec<_> = run
                    .machine
                    .neighbours()
                    .into_iter()
                    .map(|n| (n.unit, n.lanes.map(|depth| depth.messages)))
                    .collect();
                let kept: Vec<_> = self
                    .ledger
                    .iter()
                    .filter_map(|m| run.machine.find(&m.id))
                    .filter(|view| run.machine.live().any(|at| at == view.location))
                    .collect();
                let what = format!("n{index} keeps what is over: {left:?} {queues:?} {kept:?}");
                return Some(broken("G7", what));
            }
        }
        None
    }
}
