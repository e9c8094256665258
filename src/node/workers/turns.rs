//! Whose job is next: the desks take turns, and express jobs go before bulk ones.

use std::collections::{HashMap, VecDeque};

/// So many express steps in a row pass bulk ones that wait: express work without end does not keep bulk work from being done.
const PASSED_MAX: u32 = 8;

/// A desk, by its number.
pub(super) type DeskNumber = u64;

/// How soon a job is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Urgency {
    /// Somebody waits for it, or it is soon done: before bulk work, but for every ninth step, and at once by a thread of its own.
    Express,
    /// When nothing more urgent waits.
    Bulk,
}

/// Jobs that wait.
pub(super) struct Jobs<J> {
    express: Line<J>,
    bulk: Line<J>,
    /// Express steps that have passed bulk ones that wait.
    passed: u32,
}

/// A job whose next step is to be taken, and whose it is.
pub(super) struct Next<J> {
    pub(super) urgency: Urgency,
    pub(super) desk: DeskNumber,
    pub(super) job: J,
}

/// Jobs of one urgency.
struct Line<J> {
    /// Desks with jobs that wait, the one whose turn is next first.
    turns: VecDeque<DeskNumber>,
    waiting: HashMap<DeskNumber, VecDeque<J>>,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self {
            express: Line::default(),
            bulk: Line::default(),
            passed: 0,
        }
    }
}

impl<J> Jobs<J> {
    /// A job comes, and waits behind what came before it to its desk.
    pub(super) fn push(&mut self, urgency: Urgency, desk: DeskNumber, job: J) {
        self.line(urgency).of(desk).push_back(job);
    }

    /// A step of a job was taken, and not its last one: the job is its desk's next, when it is the desk's turn again.
    pub(super) fn push_again(&mut self, next: Next<J>) {
        let Next { urgency, desk, job } = next;
        self.line(urgency).of(desk).push_front(job);
    }

    /// The next job.
    pub(super) fn pop(&mut self) -> Option<Next<J>> {
        let bulk_waits = !self.bulk.turns.is_empty();
        let next = match bulk_waits && self.passed >= PASSED_MAX {
            true => self.pop_of(Urgency::Bulk),
            false => self.pop_express().or_else(|| self.pop_of(Urgency::Bulk)),
        }?;
        self.passed = match next.urgency {
            Urgency::Express if bulk_waits => self.passed + 1,
            Urgency::Express | Urgency::Bulk => 0,
        };
        Some(next)
    }

    /// The next express job.
    pub(super) fn pop_express(&mut self) -> Option<Next<J>> {
        self.pop_of(Urgency::Express)
    }

    fn pop_of(&mut self, urgency: Urgency) -> Option<Next<J>> {
        let (desk, job) = self.line(urgency).pop()?;
        Some(Next { urgency, desk, job })
    }

    fn line(&mut self, urgency: Urgency) -> &mut Line<J> {
        match urgency {
            Urgency::Express => &mut self.express,
            Urgency::Bulk => &mut self.bulk,
        }
    }
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }
}

impl<J> Line<J> {
    fn of(&mut self, desk: DeskNumber) -> &mut VecDeque<J> {
        self.waiting.entry(desk).or_insert_with(|| {
            self.turns.push_back(desk);
            VecDeque::new()
        })
    }

    fn pop(&mut self) -> Option<(DeskNumber, J)> {
        let desk = self.turns.pop_front()?;
        let jobs = self.waiting.get_mut(&desk)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.waiting.remove(&desk);
        } else {
            self.turns.push_back(desk);
        }
        Some((desk, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of all jobs, in the order in which their steps are taken. A job `name:3` takes three steps.
    fn order(jobs: &mut Jobs<&'static str>) -> String {
        let mut taken: HashMap<&str, usize> = HashMap::new();
        let mut order = Vec::new();
        while let Some(next) = jobs.pop() {
            let (name, steps) = next.job.split_once(':').unwrap_or((next.job, "1"));
            order.push(name);
            let taken = taken.entry(name).or_default();
            *taken += 1;
            if *taken < steps.parse().expect("a number") {
                jobs.push_again(next);
            }
        }
        order.join(" ")
    }

    #[test]
    fn a_desk_with_much_to_do_keeps_another_waiting_for_one_step_only() {
        let mut jobs = Jobs::default();
        for job in ["a1:3", "a2:2", "a3"] {
            jobs.push(Urgency::Bulk, 1, job);
        }
        jobs.push(Urgency::Bulk, 2, "b1:2");
        jobs.push(Urgency::Bulk, 2, "b2");
        jobs.push(Urgency::Bulk, 3, "c");
        assert_eq!(order(&mut jobs), "a1 b1 c a1 b1 a1 b2 a2 a2 a3");
    }

    #[test]
    fn express_jobs_go_first_and_take_turns_too() {
        let mut jobs = Jobs::default();
        jobs.push(Urgency::Bulk, 1, "bulk");
        jobs.push(Urgency::Express, 1, "a1");
        jobs.push(Urgency::Express, 1, "a2");
        jobs.push(Urgency::Express, 2, "b");
        assert_eq!(order(&mut jobs), "a1 b a2 bulk");
    }

    #[test]
    fn express_jobs_without_end_let_bulk_ones_through() {
        let mut jobs = Jobs::default();
        jobs.push(Urgency::Bulk, 1, "bulk:2");
        jobs.push(Urgency::Express, 2, "e:20");
        let order = order(&mut jobs);
        let order: Vec<&str> = order.split(' ').collect();
        let bulk = (0..order.len()).filter(|at| order[*at] == "bulk");
        assert_eq!(bulk.collect::<Vec<_>>(), [8, 17]);
        assert_eq!(order.len(), 22);
    }
}
