//! Queues, inbox and memory stay within their bounds (G7), whatever was sent.

use super::{
    agenda::NodeIndex,
    plan::HUB,
    world::{Kept, World, broken},
};
use crate::model::Millis;

/// A queue takes messages up to its bound. One for several receivers is taken until a receiver that is full has twice as many, and so is
/// the predecessor that others wait for; those that wait count too. So a queue never has more than so many times its bound, beside what
/// its node had submitted itself and queued again for a neighbour that lost it.
const OVER: u64 = 4;

/// Receipts are taken up to so many times the bound of messages; what a node tells of messages that it has comes on top.
const RECEIPTS: u64 = 4;

impl World {
    pub(super) fn check_bounds(&self, node: NodeIndex) -> Kept {
        let this = &self.nodes[node];
        let Some(run) = this.run.as_ref() else {
            return Ok(());
        };
        let limits = &this.settings.limits;
        let exceeded = |what: String, has: u64, bound: u64| {
            let what = format!("n{node} has {has} {what}, where {bound} are the most");
            Err(broken("G7", what))
        };
        let totals = run.machine.totals();
        let own_max = u64::from(limits.outbox_messages);
        if totals.own > own_max {
            return exceeded("messages of its own".into(), totals.own, own_max);
        }
        let inbox_max = OVER * u64::from(limits.inbox_messages);
        let inbox = run.machine.inbox_load().messages;
        if inbox > inbox_max {
            return exceeded("messages in the inbox".into(), inbox, inbox_max);
        }
        let children = this
            .settings
            .units
            .iter()
            .map(|u| (&u.name, limits.mailbox_messages));
        let rogue = self.plan.rogue.iter().filter(|_| node == HUB);
        let rogue = rogue.map(|unit| (unit, limits.mailbox_messages));
        let upstream = this.settings.upstream.iter();
        let upstream = upstream.map(|unit| (unit, limits.outbox_messages));
        let mut queues = 0;
        let mut receipts = 0;
        for (unit, bound) in children.chain(rogue).chain(upstream) {
            let load = run.machine.queue_load(unit);
            let most = OVER * u64::from(bound) + own_max;
            if load.messages.messages > most {
                return exceeded(format!("messages for {unit}"), load.messages.messages, most);
            }
            queues += most + RECEIPTS * u64::from(bound);
            receipts += load.receipts.messages;
        }
        let most = queues + inbox_max;
        if receipts > most {
            return exceeded("receipts".into(), receipts, most);
        }
        Ok(())
    }

    /// What is counted by the hour of its end is what is queued.
    pub(super) fn check_expiring(&self, node: NodeIndex) -> Kept {
        let Some(run) = self.nodes[node].run.as_ref() else {
            return Ok(());
        };
        let counted = run.machine.expiring_by(Millis::MAX);
        for neighbour in run.machine.neighbours() {
            let queued = run.machine.load(&neighbour.unit).messages;
            let expiring = counted.get(&neighbour.unit).copied().unwrap_or(0);
            if queued != expiring {
                let what = format!(
                    "n{node} has {queued} messages for {} and counts {expiring} that end some time",
                    neighbour.unit
                );
                return Err(broken("G7", what));
            }
        }
        Ok(())
    }
}
