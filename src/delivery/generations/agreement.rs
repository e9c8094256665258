//! Which generations the two ends of a session have agreed on. It is gone with the session.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{Generations, SENDERS_MAX};
use crate::{
    delivery::hop::{Frame, Generation, GenerationAnswer},
    model::{Digest, UnitId},
};

/// Generations of the neighbour that batches may name; what is older it is told to be lacked.
const THEIRS_MAX: usize = 64;
/// When a neighbour has lacked so many that batches named, or so many that were only offered, no more are offered in the session.
const LACKED_OFF: u32 = 4;
const REFUSED_OFF: u32 = 32;
/// How many lost generations a session may hear of before it ends.
const LACKED_MAX: u32 = 64;

/// The neighbour says what cannot be. The session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// It offers under a number that is not a new one, or nothing.
    #[error("generation {0} is offered in a way that cannot be")]
    Offer(u64),
    /// It answers, or names, what was not offered.
    #[error("generation {0} was not offered")]
    NotOffered(u64),
    /// It has lost them too often.
    #[error("the neighbour has lost what batches named {LACKED_MAX} times")]
    Lacked,
}

/// The generations that batches may name now, by sender.
pub type Agreed = Arc<BTreeMap<UnitId, Arc<Generation>>>;

/// What an answer comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Batches were sent that the neighbour could not read.
    pub send_again: bool,
}

/// What a batch that names a generation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is this one, which was here.
    Here(Arc<Generation>),
    /// It comes again, nothing can be done with it; what the neighbour is to be told, unless it was told before.
    Lost(Option<Frame>),
}

/// The agreement, in both directions.
#[derive(Debug, Default)]
pub struct Agreement {
    /// The last number that was given to one of this node's.
    last: u64,
    /// What waits for the neighbour's answer, one for each sender.
    offered: BTreeMap<UnitId, Arc<Generation>>,
    agreed: Agreed,
    lacked: u32,
    refused: u32,
    /// The neighbour's, and whether each was here when it was last looked for; the newest last.
    theirs: VecDeque<(Arc<Generation>, bool)>,
    #[cfg(any(test, feature = "sim"))]
    bug: Option<crate::delivery::Bug>,
}

impl Agreement {
    /// Plants a bug.
    #[cfg(any(test, feature = "sim"))]
    pub fn plant(&mut self, bug: Option<crate::delivery::Bug>) {
        self.bug = bug;
    }

    /// What to offer of a sender's parcels now, if anything: they are compressed against the dictionary that batches of this session
    /// call `base.0` first.
    pub fn offer(
        &mut self,
        all: &Generations,
        neighbour: &UnitId,
        sender: &UnitId,
        base: (u64, Digest),
    ) -> Option<Frame> {
        if self.lacked >= LACKED_OFF
            || self.refused >= REFUSED_OFF
            || self.offered.contains_key(sender)
        {
            return None;
        }
        let newest = self.agreed.get(sender);
        let newest = newest.filter(|newest| newest.base == base.0);
        let span = all.propose(neighbour, sender, newest.map(Arc::as_ref))?;
        self.last += 1;
        let mut generation = Generation {
            number: self.last,
            sender: sender.clone(),
            base: base.0,
            first: span.first,
            last: span.last,
            without: span.without,
            id: Digest::default(),
        };
        generation.id = all.id(neighbour, &generation, base.1)?;
        if self.offered.len() >= SENDERS_MAX {
            self.offered.pop_first();
        }
        let offered = Arc::new(generation.clone());
        self.offered.insert(sender.clone(), offered);
        Some(Frame::Generation(generation))
    }

    /// What batches may name now.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The neighbour's answer to an offer, or its news that something is lost.
    ///
    /// # Errors
    /// It cannot be said.
    pub fn answered(
        &mut self,
        all: &mut Generations,
        neighbour: &UnitId,
        number: u64,
        answer: GenerationAnswer,
    ) -> Result<Answered, AgreementError> {
        if !(1..=self.last).contains(&number) {
            return Err(AgreementError::NotOffered(number));
        }
        let is_it = |(_, generation): &(&UnitId, &Arc<Generation>)| generation.number == number;
        let sender = |(sender, _): (&UnitId, &Arc<Generation>)| sender.clone();
        let offered = self.offered.iter().find(is_it).map(sender);
        let agreed = self.agreed.iter().find(is_it).map(sender);
        if answer == GenerationAnswer::Have {
            if let Some(sender) = offered
                && let Some(generation) = self.offered.remove(&sender)
            {
                let agreed = Arc::make_mut(&mut self.agreed);
                if agreed.len() >= SENDERS_MAX && !agreed.contains_key(&sender) {
                    agreed.pop_first();
                }
                agreed.insert(sender, generation);
            }
            return Ok(Answered::default());
        }
        let was_only_offered = offered.is_some();
        if let Some(sender) = offered.or(agreed) {
            self.offered.remove(&sender);
            Arc::make_mut(&mut self.agreed).remove(&sender);
            all.lacked(neighbour, &sender);
        }
        if was_only_offered {
            self.refused = self.refused.saturating_add(1);
            return Ok(Answered::default());
        }
        // It was agreed on once, and batches that name it may be under way.
        self.lacked += 1;
        match self.lacked > LACKED_MAX {
            true => Err(AgreementError::Lacked),
            false => Ok(Answered { send_again: true }),
        }
    }

    /// The neighbour offers a generation, `base` being the dictionary that it names, if it is here. What to answer.
    ///
    /// # Errors
    /// It cannot be offered.
    pub fn heard(
        &mut self,
        all: &Generations,
        neighbour: &UnitId,
        generation: Generation,
        base: Option<Digest>,
    ) -> Result<Frame, AgreementError> {
        let number = generation.number;
        let newest = self.theirs.back().map_or(0, |(theirs, _)| theirs.number);
        if number <= newest || generation.first > generation.last {
            return Err(AgreementError::Offer(number));
        }
        if self.theirs.len() >= THEIRS_MAX {
            self.theirs.pop_front();
        }
        let is_here = base.is_some_and(|base| all.has_theirs(neighbour, &generation, base));
        self.theirs.push_back((Arc::new(generation), is_here));
        let answer = match is_here {
            true => GenerationAnswer::Have,
            false => GenerationAnswer::Lack,
        };
        Ok(Frame::GenerationAnswer(number, answer))
    }

    /// A batch of the neighbour's names a generation.
    ///
    /// # Errors
    /// It is one that the neighbour could not name.
    pub fn named(&self, number: u64) -> Result<Named, AgreementError> {
        let found = self.theirs.iter().find(|(g, _)| g.number == number);
        let newest = self.theirs.back().map_or(0, |(theirs, _)| theirs.number);
        match found {
            Some((generation, true)) => Ok(Named::Here(generation.clone())),
            Some((_, false)) => Ok(Named::Lost(None)),
            None if (1..newest).contains(&number) => Ok(Named::Lost(Some(lack(number)))),
            None => Err(AgreementError::NotOffered(number)),
        }
    }

    /// One that a batch named is not here any more: what to say, unless it was said.
    pub fn lost(&mut self, number: u64) -> Option<Frame> {
        #[cfg(any(test, feature = "sim"))]
        if self.bug == Some(crate::delivery::Bug::UnsaidLoss) {
            return None;
        }
        match self.theirs.iter_mut().find(|(g, _)| g.number == number) {
            Some((_, is_here)) => std::mem::take(is_here).then(|| lack(number)),
            // It is so old that it is not remembered.
            None => Some(lack(number)),
        }
    }
}

fn lack(number: u64) -> Frame {
    Frame::GenerationAnswer(number, GenerationAnswer::Lack)
}
