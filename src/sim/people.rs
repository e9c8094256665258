//! Who uses the gateways: applications that submit and take, well or carelessly, and operators who act.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    codec,
    delivery::{Input, Order, Submission},
    model::{Digest, Fingerprint, Lane, MessageId, Millis, Pattern},
    parcel::{BodyForm, Header},
};

use super::{
    agenda::{Event, Life, MILLISECOND, NodeIndex, SECOND},
    ledger::{Copy, Message, MessageIndex},
    node::{Asked, Waiting},
    plan::{
        KIND_EDGES_REFUSE, KIND_FORBIDDEN, KIND_HUBS_REFUSE, KINDS_ALLOWED, NOBODY, kind, pattern,
    },
    world::{Kept, World, seal},
};

const MINUTE_MS: Millis = 60_000;

impl World {
    // ---- submitting

    /// A node's application submits something.
    pub(super) fn clerk(&mut self, node: NodeIndex) -> Kept {
        if self.is_calm && self.nodes[node].retries.is_empty() {
            return Ok(());
        }
        let pause = self.plan.submit_every;
        let pause = self.rng.between(pause / 4, pause * 2);
        self.agenda.after(pause, Event::Clerk { node });
        if !self.is_up(node) {
            return Ok(());
        }
        if !self.nodes[node].retries.is_empty() {
            let mut again = std::mem::take(&mut self.nodes[node].retries);
            self.nodes[node].retries = again.split_off(again.len().min(3));
            return self.submit(node, again, false);
        }
        let dice = self.rng.below(1000);
        if dice < 150 {
            let Some(earlier) = self.earlier(node) else {
                return Ok(());
            };
            let message = self.ledger.get(earlier);
            // Other content is tried where it must be noticed.
            let is_known = message.is_promised() && message.tried.is_some();
            return self.submit(node, vec![earlier], dice < 50 && is_known);
        }
        if self.nodes[node].submitted >= self.plan.messages {
            return Ok(());
        }
        let count = if self.rng.per_mille(200) {
            self.rng.between(2, 4)
        } else {
            1
        };
        self.nodes[node].submitted += count;
        let messages = (0..count).map(|_| self.write_message(node)).collect();
        self.submit(node, messages, false)
    }

    /// A message of the node that was accepted, or may have been, and that is still far from its end.
    fn earlier(&mut self, node: NodeIndex) -> Option<MessageIndex> {
        let wall = self.latest_wall();
        let candidates: Vec<MessageIndex> = (0..self.ledger.len())
            .filter(|index| {
                let message = self.ledger.get(*index);
                message.sender == node
                    && message.tried.is_some()
                    && !message.is_lost
                    && message.expires > wall + 10_000
            })
            .collect();
        self.rng.pick(&candidates).copied()
    }

    /// Thinks up a message.
    pub(super) fn write_message(&mut self, sender: NodeIndex) -> MessageIndex {
        let rng = &mut self.rng;
        let kind_name = match rng.below(1000) {
            0..50 => KIND_HUBS_REFUSE,
            50..100 => KIND_EDGES_REFUSE,
            100..140 => KIND_FORBIDDEN,
            _ => rng.pick(&KINDS_ALLOWED).copied().unwrap_or("notice"),
        };
        let case = rng
            .per_mille(700)
            .then(|| format!("c{}", rng.below(self.plan.cases)));
        let lane = match rng.below(100) {
            0..10 => Lane::Flash,
            10..30 => Lane::Urgent,
            30..70 => Lane::Normal,
            _ => Lane::Bulk,
        };
        let lasts_ms = if rng.per_mille(200) {
            rng.between(1_000, 60_000)
        } else {
            rng.between(30 * MINUTE_MS, 90 * MINUTE_MS)
        };
        let to = self.receivers(sender);
        let name = self.name();
        let unit = self.unit(sender);
        let mut header = Header {
            id: format!("m{name}"),
            to,
            kind: kind(kind_name),
            case,
            lane,
            accepted: 0,
            expires: lasts_ms,
            signer: Fingerprint([0; 16]),
            attachments: Vec::new(),
            form: BodyForm::Binary,
            attributes: Vec::new(),
            sender: unit,
        };
        let size = self.rng.magnitude(1, 3_000) as usize;
        let body = name.to_le_bytes().repeat(size / 8 + 1);
        header.attachments = self.attachments.draw();
        let id = header.message_id();
        self.line(|| {
            let (to, case) = (&header.to, &header.case);
            format!("n{sender} writes {id} {name}: {kind_name} {lane} to {to:?} case {case:?}")
        });
        let copies = self.copies(sender, &header);
        self.ledger.add(Message {
            id,
            sender,
            content: Digest::of(&codec::encode(&header)),
            header,
            body,
            parcels: Vec::new(),
            expires: Millis::MAX,
            tried: None,
            unanswered: 0,
            record: None,
            accepted_at: None,
            is_lost: false,
            is_damaged: false,
            concluded: BTreeSet::new(),
            drops: 0,
            copies,
        })
    }

    fn receivers(&mut self, sender: NodeIndex) -> Vec<Pattern> {
        let nodes = self.nodes.len() as u64;
        let mut to = Vec::new();
        let dice = self.rng.below(100);
        let count = if dice < 85 { 1 } else { 3 };
        while to.len() < count {
            let target = match self.rng.below(100) {
                0..12 => {
                    // The rogue is called otherwise: it would never tell what became of its copy.
                    let patterns = ["t.**", "t.*", "t.county.**", "t.**.e1"];
                    pattern(self.rng.pick(&patterns).copied().unwrap_or("t.**"))
                }
                12..15 => pattern(NOBODY),
                _ => {
                    let node = self.rng.below(nodes) as NodeIndex;
                    if node == sender && !self.rng.per_mille(50) {
                        continue;
                    }
                    Pattern::from(&self.unit(node))
                }
            };
            if to.contains(&target) && self.rng.per_mille(500) {
                break;
            }
            if !to.contains(&target) {
                to.push(target);
            }
        }
        to
    }

    /// The nodes that a message must, may or must not reach.
    pub(super) fn copies(&self, sender: NodeIndex, header: &Header) -> BTreeMap<NodeIndex, Copy> {
        let kind = header.kind.as_str();
        let mut copies = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let unit = &node.settings.unit;
            let is_named = header.to.contains(&Pattern::from(unit));
            let is_meant = index != sender
                && !node.is_hub
                && header.to.iter().any(|t| t.matches(unit.as_str()));
            if is_named || is_meant {
                let is_forbidden = index != sender
                    && (kind == KIND_HUBS_REFUSE
                        || kind == KIND_FORBIDDEN
                        || (kind == KIND_EDGES_REFUSE && !node.is_hub));
                copies.insert(
                    index,
                    Copy {
                        is_forbidden,
                        ..Copy::default()
                    },
                );
            }
        }
        copies
    }

    /// Whether the node itself must refuse a kind that its application submits.
    pub(super) fn is_refused_at_once(&self, node: NodeIndex, header: &Header) -> bool {
        let kind = header.kind.as_str();
        kind == KIND_FORBIDDEN || (kind == KIND_HUBS_REFUSE && self.nodes[node].is_hub)
    }

    /// Submits messages, all or none of them.
    fn submit(&mut self, node: NodeIndex, messages: Vec<MessageIndex>, is_other: bool) -> Kept {
        let now = self.now(node);
        let ticket = self.name();
        for index in &messages {
            let attachments = self.ledger.get(*index).header.attachments.clone();
            self.bring(node, &attachments)?;
        }
        let mut submissions = Vec::with_capacity(messages.len());
        for index in &messages {
            let message = self.ledger.get_mut(*index);
            let mut header = message.header.clone();
            // The API makes defaults anew for every try.
            header.accepted = now.wall;
            header.expires += now.wall;
            let (mut body, mut content) = (message.body.clone(), message.content);
            if is_other {
                body.push(0);
                content = Digest::of(&body);
            }
            let parcel = seal(&header, &body);
            let id = message.id;
            if !is_other {
                let first = message.tried.map_or(ticket, |(first, _)| first);
                message.tried = Some((first, ticket));
                self.ledger.add_parcel(*index, &parcel, header.expires);
            }
            self.line(|| format!("n{node} submits {id} (ticket {ticket}, other: {is_other})"));
            submissions.push(Submission {
                parcel,
                header,
                content,
            });
        }
        self.stats.submitted += messages.len() as u64;
        self.ask(node, ticket, Asked::Submit { messages, is_other });
        self.give(
            node,
            Input::Submit {
                ticket,
                messages: submissions,
            },
        )
    }

    fn ask(&mut self, node: NodeIndex, ticket: u64, asked: Asked) {
        if let Some(run) = self.nodes[node].run.as_mut() {
            let record = None;
            run.tickets.insert(ticket, Waiting { asked, record });
        }
    }

    // ---- taking

    /// A node's application asks for messages.
    pub(super) fn poll(&mut self, node: NodeIndex) -> Kept {
        if !self.is_up(node) {
            let pause = 200 * MILLISECOND;
            self.agenda.after(pause, Event::Poll { node });
            return Ok(());
        }
        let wait = if self.is_calm {
            60_000
        } else {
            self.agenda
                .after(self.rng.below(2 * SECOND), Event::Poll { node });
            self.rng.below(3_000)
        };
        let now = self.now(node);
        let (ticket, max) = (self.name(), self.rng.between(1, 20) as u32);
        let until = now.mono + wait;
        let again = self.is_calm;
        self.ask(node, ticket, Asked::Inbox { max, until, again });
        if !self.is_calm && self.rng.per_mille(self.plan.carelessness / 3) {
            let life = self.nodes[node].life;
            let pause = self.rng.below(3 * SECOND);
            self.agenda
                .after(pause, Event::Forget { node, life, ticket });
        }
        self.give(node, Input::Inbox { ticket, max, until })
    }

    /// What an application does with what it was handed.
    pub(super) fn consume(&mut self, node: NodeIndex, ticket: u64, messages: Vec<MessageId>) {
        let lease = u64::from(self.nodes[node].settings.limits.inbox_lease_s) * SECOND;
        let life = self.nodes[node].life;
        let mut done = Vec::new();
        for message in messages {
            let is_careless = !self.is_calm && self.rng.per_mille(self.plan.carelessness);
            if !is_careless {
                done.push(message);
                continue;
            }
            let messages = vec![message];
            match self.rng.below(4) {
                0 => {} // it never will
                1 => {
                    let late = lease + self.rng.below(5 * SECOND);
                    self.agenda.after(late, Event::Take { node, messages });
                }
                2 => {
                    let soon = self.rng.below(500 * MILLISECOND);
                    self.agenda.after(soon, Event::GiveBack { node, messages });
                }
                _ => {
                    let soon = self.rng.below(SECOND);
                    self.agenda
                        .after(soon, Event::Forget { node, life, ticket });
                }
            }
        }
        if !done.is_empty() {
            let pause = if self.is_calm { 10 } else { 300 } * MILLISECOND;
            let soon = self.rng.below(pause);
            self.agenda.after(
                soon,
                Event::Take {
                    node,
                    messages: done,
                },
            );
        }
    }

    pub(super) fn take(&mut self, node: NodeIndex, messages: Vec<MessageId>) -> Kept {
        if !self.is_up(node) {
            return Ok(()); // it will be handed them again
        }
        let (ticket, now) = (self.name(), self.agenda.now());
        let mut first = Vec::new();
        for message in &messages {
            if let Some(index) = self.ledger.find(*message)
                && let Some(copy) = self.ledger.get_mut(index).copies.get_mut(&node)
                && copy.took_at.is_none()
            {
                copy.took_at = Some(now);
                first.push(*message);
            }
        }
        self.line(|| format!("n{node}'s application takes {messages:?}"));
        let asked = Asked::Take {
            messages: messages.clone(),
            first,
        };
        self.ask(node, ticket, asked);
        self.give(node, Input::InboxAck { ticket, messages })
    }

    pub(super) fn give_back(&mut self, node: NodeIndex, messages: Vec<MessageId>) -> Kept {
        if !self.is_up(node) {
            return Ok(());
        }
        let ticket = self.name();
        for message in &messages {
            if let Some(index) = self.ledger.find(*message)
                && let Some(copy) = self.ledger.get_mut(index).copies.get_mut(&node)
            {
                copy.lease = None;
            }
        }
        self.line(|| format!("n{node}'s application gives back {messages:?}"));
        self.ask(node, ticket, Asked::GiveBack);
        self.give(node, Input::InboxRelease { ticket, messages })
    }

    pub(super) fn forget(&mut self, node: NodeIndex, life: Life, ticket: u64) -> Kept {
        if self.nodes[node].life != life || !self.is_up(node) {
            return Ok(());
        }
        if let Some(run) = self.nodes[node].run.as_mut() {
            run.tickets.remove(&ticket);
        }
        for message in self.ledger.iter_mut() {
            if let Some(copy) = message.copies.get_mut(&node)
                && copy.lease.is_some_and(|(l, t, _)| (l, t) == (life, ticket))
            {
                copy.lease = None;
            }
        }
        self.line(|| format!("n{node} forgets ticket {ticket}"));
        self.give(node, Input::Forget { ticket })
    }

    // ---- operators

    pub(super) fn operator(&mut self) -> Kept {
        if self.is_calm {
            return Ok(());
        }
        self.agenda
            .after(self.rng.below(2 * SECOND), Event::Operator);
        let node = self.rng.below(self.nodes.len() as u64) as NodeIndex;
        let count = self.ledger.len() as u64;
        if !self.is_up(node) || count == 0 {
            return Ok(());
        }
        // The newest are the ones that are still under way.
        let index = count - 1 - self.rng.below(count.min(12));
        let message = self.ledger.get(index as MessageIndex).id;
        let order = match self.rng.below(100) {
            0..30 => Order::Hold(message),
            30..50 => Order::Release(message),
            50..65 => Order::Retry(message),
            65..85 => {
                let lane = self.rng.pick(&Lane::ALL).copied().unwrap_or(Lane::Bulk);
                Order::Reprioritise(message, lane)
            }
            85..93 => Order::Drop(message, "it is a test".into()),
            _ => Order::Expire(message, "it is a test".into()),
        };
        self.order(node, order)
    }

    pub(super) fn order(&mut self, node: NodeIndex, order: Order) -> Kept {
        let (ticket, id) = (self.name(), order.message());
        let orders = vec![order.clone()];
        match &order {
            Order::Hold(_) => {
                self.holds.insert((node, id), ticket);
            }
            Order::Drop(..) | Order::Expire(..) => {
                if let Some(index) = self.ledger.find(id) {
                    self.ledger.get_mut(index).drops += 1;
                }
            }
            _ => {}
        }
        self.line(|| format!("n{node}'s operator: {order:?}"));
        self.ask(node, ticket, Asked::Order(order.clone()));
        self.give(node, Input::Operate { ticket, orders })
    }

    /// An operator stops what goes to a neighbour, or lets it go on.
    pub(super) fn pause(&mut self) -> Kept {
        let node = self.own.below(self.nodes.len() as u64) as NodeIndex;
        let neighbour = self.own.below(self.nodes.len() as u64) as NodeIndex;
        if node == neighbour || !self.is_up(node) {
            return Ok(());
        }
        let lane = self.own.per_mille(500).then_some(());
        let lane = lane.and_then(|()| self.own.pick(&Lane::ALL).copied());
        let paused = self.own.per_mille(600);
        self.pause_or_go_on(node, neighbour, lane, paused)
    }

    pub(super) fn pause_or_go_on(
        &mut self,
        node: NodeIndex,
        neighbour: NodeIndex,
        lane: Option<Lane>,
        paused: bool,
    ) -> Kept {
        if paused {
            self.pauses.insert((node, neighbour));
        }
        let ticket = self.name();
        let asked = Asked::Pause {
            neighbour,
            paused: paused || lane.is_some(),
        };
        self.line(|| format!("n{node}'s operator: pause {paused} of n{neighbour}, {lane:?}"));
        self.ask(node, ticket, asked);
        let neighbour = self.unit(neighbour);
        let input = Input::Pause {
            ticket,
            neighbour,
            lane,
            paused,
        };
        self.give(node, input)
    }
}
