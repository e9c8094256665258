//! What was sent and what came, compared.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::plan::{Event, Planned};
use crate::{
    cli::texts::{fill, t},
    model::{Lane, UnitId},
};

/// Most faults that are told one by one.
const FAULTS_TOLD_MAX: usize = 10;

/// The account of a trial. Senders and receivers share it.
#[derive(Debug)]
pub(super) struct Ledger {
    plan: Vec<Planned>,
    /// A message's place in the plan, by source and id as an event writes them.
    places: HashMap<(String, String), usize>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// When each message was about to be submitted, by its place.
    submitted: HashMap<usize, Instant>,
    /// By place and receiver.
    received: HashMap<(usize, UnitId), Received>,
    /// The last place that was handed over, by sender, case and receiver.
    last_of_case: HashMap<(UnitId, String, UnitId), usize>,
    first_submitted: Option<Instant>,
    last_received: Option<Instant>,
    delivered: u64,
    duplicated: u64,
    faults: Vec<String>,
    fault_count: u64,
}

/// A message at one receiver.
#[derive(Debug)]
struct Received {
    intact: bool,
    after: Duration,
}

/// The account at the end.
#[derive(Debug)]
pub(super) struct Balance {
    /// (message, receiver) pairs that were to be sent.
    pub(super) sent: u64,
    /// Pairs that came as they were sent.
    pub(super) delivered: u64,
    /// Hand-overs beyond the first.
    pub(super) duplicated: u64,
    /// The structured JSON that was submitted, bytes.
    pub(super) payload_bytes: u64,
    /// From the first submission to the last delivery.
    pub(super) time: Duration,
    /// The lane and the latency of each pair that came, from submission to the receiving application.
    pub(super) latencies: Vec<(Lane, Duration)>,
    /// What went wrong, in words: the first few.
    pub(super) faults: Vec<String>,
    /// How much went wrong.
    pub(super) fault_count: u64,
}

impl Ledger {
    pub(super) fn new(plan: Vec<Planned>) -> Self {
        let places = plan.iter().enumerate().map(|(place, planned)| {
            let source = format!("/unit/{}", planned.from);
            ((source, planned.id.clone()), place)
        });
        Self {
            places: places.collect(),
            plan,
            account: Mutex::default(),
        }
    }

    pub(super) fn plan(&self) -> &[Planned] {
        &self.plan
    }

    /// (message, receiver) pairs.
    pub(super) fn pairs(&self) -> u64 {
        self.plan
            .iter()
            .map(|planned| planned.receivers.len() as u64)
            .sum()
    }

    /// The structured JSON that a unit submits in all, bytes.
    pub(super) fn payload_bytes_of(&self, unit: &UnitId) -> u64 {
        let of = self.plan.iter().filter(|planned| planned.from == *unit);
        of.map(|planned| planned.text.len() as u64).sum()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message at a place of the plan is about to be submitted.
    pub(super) fn submit(&self, place: usize, at: Instant) {
        let mut account = self.account();
        account.submitted.insert(place, at);
        account.first_submitted.get_or_insert(at);
    }

    /// How many messages were submitted.
    pub(super) fn submitted(&self) -> usize {
        self.account().submitted.len()
    }

    /// Pairs that came so far, and when the last one did.
    pub(super) fn delivered(&self) -> (u64, Option<Instant>) {
        let account = self.account();
        (account.delivered, account.last_received)
    }

    /// An application at `receiver` was handed an event.
    pub(super) fn receive(&self, receiver: &UnitId, event: &Event, at: Instant) {
        let mut account = self.account();
        let named = |name: &str| {
            let value = event.get(name)?;
            serde_json::from_str::<String>(value.get()).ok()
        };
        let (source, id) = (
            named("source").unwrap_or_default(),
            named("id").unwrap_or_default(),
        );
        let what = fill(t().fault_what, &[&id, &source, receiver]);
        let Some(&place) = self.places.get(&(source, id)) else {
            return account.fault(fill(t().fault_unsent, &[&what]));
        };
        let Some(planned) = self.plan.get(place) else {
            return;
        };
        if !planned.receivers.contains(receiver) {
            return account.fault(fill(t().fault_foreign, &[&what]));
        }
        if account.received.contains_key(&(place, receiver.clone())) {
            account.duplicated += 1;
            return account.fault(fill(t().fault_again, &[&what]));
        }
        let changed = planned
            .event
            .iter()
            .find(|(name, sent)| event.get(*name).map(|came| came.get()) != Some(sent.get()));
        if let Some((name, _)) = changed {
            account.fault(fill(t().fault_changed, &[&what, name]));
        } else {
            account.delivered += 1;
        }
        if let Some(case) = &planned.case {
            let of = (planned.from.clone(), case.clone(), receiver.clone());
            if account
                .last_of_case
                .get(&of)
                .is_some_and(|last| *last > place)
            {
                account.fault(fill(t().fault_order, &[&what]));
            }
            account.last_of_case.insert(of, place);
        }
        let sent_at = account.submitted.get(&place).copied().unwrap_or(at);
        let received = Received {
            intact: changed.is_none(),
            after: at.saturating_duration_since(sent_at),
        };
        account.received.insert((place, receiver.clone()), received);
        account.last_received = Some(at);
    }

    /// What it comes to.
    pub(super) fn balance(&self) -> Balance {
        let mut account = self.account();
        let mut latencies = Vec::new();
        for (place, planned) in self.plan.iter().enumerate() {
            for receiver in &planned.receivers {
                match account.received.get(&(place, receiver.clone())) {
                    Some(received) if received.intact => {
                        latencies.push((planned.lane, received.after));
                    }
                    // Told when it came.
                    Some(_) => {}
                    None => {
                        let (id, from) = (&planned.id, &planned.from);
                        account.fault(fill(t().fault_missing, &[id, from, receiver]));
                    }
                }
            }
        }
        let time = account.first_submitted.zip(account.last_received);
        Balance {
            sent: self.pairs(),
            delivered: account.delivered,
            duplicated: account.duplicated,
            payload_bytes: self
                .plan
                .iter()
                .map(|planned| planned.text.len() as u64)
                .sum(),
            time: time.map_or(Duration::ZERO, |(first, last)| {
                last.saturating_duration_since(first)
            }),
            latencies,
            faults: account.faults.clone(),
            fault_count: account.fault_count,
        }
    }
}

impl Account {
    fn fault(&mut self, what: String) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::trial::{Cast, Flow};

    struct Receiver {
        ledger: Ledger,
        hub: UnitId,
    }

    fn sent(pairs: u32) -> Receiver {
        let hub: UnitId = Cast::DEMO.hub.parse().expect("a unit");
        let ledger = Ledger::new(Cast::DEMO.plan(pairs, Flow::Both));
        for place in 0..ledger.plan().len() {
            ledger.submit(place, Instant::now());
        }
        Receiver { ledger, hub }
    }

    impl Receiver {
        fn receive(&self, place: usize) {
            self.receive_changed(place, |_| {});
        }

        fn receive_changed(&self, place: usize, change: impl Fn(&mut Event)) {
            let planned = &self.ledger.plan()[place];
            let mut event = planned.event.clone();
            change(&mut event);
            for receiver in &planned.receivers {
                self.ledger.receive(receiver, &event, Instant::now());
            }
        }

        fn receive_all(&self) {
            (0..self.ledger.plan().len()).for_each(|place| self.receive(place));
        }
    }

    #[test]
    fn what_came_once_as_it_was_sent_is_delivered() {
        let sent = sent(60);
        sent.receive_all();
        let balance = sent.ledger.balance();
        assert_eq!((balance.sent, balance.delivered), (60, 60));
        assert_eq!((balance.duplicated, balance.fault_count), (0, 0));
        assert_eq!(balance.latencies.len(), 60);
    }

    #[test]
    fn what_did_not_come_came_again_came_changed_or_came_to_another_is_told() {
        let sent = sent(30);
        sent.receive_changed(0, |event| {
            let other = serde_json::value::to_raw_value("other").expect("JSON");
            event.insert("data".into(), other);
        });
        let twice = sent
            .ledger
            .plan()
            .iter()
            .position(|p| p.receivers.len() == 1)
            .expect("one");
        (1..sent.ledger.plan().len() - 1).for_each(|place| sent.receive(place));
        let event = sent.ledger.plan()[twice.max(1)].event.clone();
        let receiver = sent.ledger.plan()[twice.max(1)].receivers[0].clone();
        sent.ledger.receive(&receiver, &event, Instant::now());
        let stranger: UnitId = "hebi.stranger".parse().expect("a unit");
        sent.ledger.receive(&stranger, &event, Instant::now());
        sent.ledger
            .receive(&sent.hub, &Event::new(), Instant::now());
        let balance = sent.ledger.balance();
        let last = sent.ledger.plan().last().expect("one").receivers.len() as u64;
        let first = sent.ledger.plan()[0].receivers.len() as u64;
        assert_eq!(balance.delivered, 30 - last - first);
        assert_eq!(balance.duplicated, 1);
        let told = balance.faults.join("\n");
        for phrase in [
            "its data is not what was sent",
            "it came again",
            "it was not for this receiver",
            "nobody sent it",
            "it has not come",
        ] {
            assert!(told.contains(phrase), "{phrase}: {told}");
        }
    }

    #[test]
    fn a_case_out_of_order_is_told() {
        let sent = sent(300);
        let plan = sent.ledger.plan();
        let (earlier, later) = (0..plan.len())
            .find_map(|at| {
                let same = |p: &Planned| p.from == plan[at].from && p.case == plan[at].case;
                let next = (at + 1..plan.len()).find(|next| same(&plan[*next]));
                plan[at].case.as_ref().and(next).map(|next| (at, next))
            })
            .expect("a case with two messages");
        sent.receive(later);
        sent.receive(earlier);
        let told = sent.ledger.balance().faults.join("\n");
        assert!(
            told.contains("a later message of its case came before it"),
            "{told}"
        );
    }
}
