//! What two neighbours have agreed on in one session, in both directions. It is gone with the session; what was handed over stays.

use std::{collections::VecDeque, sync::Arc};

use super::{Base, Choice};
use crate::{
    delivery::hop::{Dictionaries, DictionaryAnswer, DictionaryRefusal, Frame, OfferedDictionary},
    model::{Digest, UnitId},
    wire::{Against, BatchError, Dictionary},
};

/// The neighbour's dictionaries that batches may name: the newest, and the one before for what is under way.
const THEIRS_MAX: usize = 2;
/// How often a dictionary is handed over in one session.
const HANDOVERS_MAX: u32 = 3;
/// How often a neighbour may lose a dictionary in one session.
const LOSSES_MAX: u32 = 8;

/// The neighbour says what cannot be. The session ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::node) enum TalkError {
    /// It offers under a number that is not a new one.
    #[error("dictionary {0} is offered after a later one")]
    Number(u64),
    /// It answers what was not offered.
    #[error("dictionary {0} was not offered")]
    NotOffered(u64),
    /// It has lost them too often.
    #[error("the neighbour has lost its dictionaries {LOSSES_MAX} times")]
    Losses,
}

/// The agreement.
#[derive(Debug)]
pub(in crate::node) struct Talk {
    unit: UnitId,
    /// What was said last of this node's own: none when nothing was said yet.
    said: Option<Option<Digest>>,
    /// The last number that was given to one of this node's own.
    last: u64,
    ours: Option<Ours>,
    losses: u32,
    built_in: bool,
    /// The newest last.
    theirs: VecDeque<Theirs>,
}

/// One of this node's own.
#[derive(Debug)]
struct Ours {
    dictionary: Arc<Dictionary>,
    /// Whether the neighbour has said to have it.
    is_there: bool,
    handovers: u32,
    is_refused: bool,
}

/// One of the neighbour's.
#[derive(Debug)]
struct Theirs {
    number: u64,
    id: Digest,
    state: Here,
}

/// How far one of the neighbour's is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// It is being looked for.
    Looking,
    /// It is on stable storage.
    Kept,
    /// The neighbour was asked for it.
    Wanted,
    /// It came and is being judged.
    Judging,
    /// It was not taken.
    Refused,
}

/// What is to be done about an answer.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Told {
    /// Hand this one over, under this number.
    pub(in crate::node) hand_over: Option<(u64, Arc<Dictionary>)>,
    /// Batches were sent that the neighbour could not read.
    pub(in crate::node) send_again: bool,
    /// It was not taken, for this reason.
    pub(in crate::node) refused: Option<DictionaryRefusal>,
}

/// What a batch that names one of the neighbour's dictionaries comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Named {
    /// It is this one, which was here.
    Kept(Digest),
    /// It comes again; nothing can be done with it.
    Lost,
    /// The same, and the neighbour is to be told.
    LostNow(Frame),
}

impl Talk {
    /// Before anything was said. `unit` is this node's.
    pub(in crate::node) fn new(unit: UnitId) -> Self {
        Self {
            unit,
            said: None,
            last: Against::OWN_FIRST - 1,
            ours: None,
            losses: 0,
            built_in: false,
            theirs: VecDeque::new(),
        }
    }

    /// What to say, when the node's own dictionary is this one: nothing when it was said already.
    pub(in crate::node) fn says(&mut self, own: Option<&Arc<Dictionary>>) -> Option<Frame> {
        let id = own.map(|own| own.id());
        if self.said == Some(id) {
            return None;
        }
        self.said = Some(id);
        self.ours = own.map(|own| Ours {
            dictionary: own.clone(),
            is_there: false,
            handovers: 0,
            is_refused: false,
        });
        let own = id.map(|id| {
            self.last += 1;
            OfferedDictionary {
                number: self.last,
                id,
            }
        });
        Some(Frame::Dictionaries(Dictionaries {
            built_in: Dictionary::built_in().id(),
            own,
        }))
    }

    /// Whether anything was said.
    pub(in crate::node) fn has_spoken(&self) -> bool {
        self.said.is_some()
    }

    /// What batches may be compressed against now.
    pub(in crate::node) fn choice(&self) -> Choice {
        let ours = self.ours.as_ref().filter(|ours| ours.is_there);
        Choice {
            own: ours.map(|ours| (self.unit.clone(), self.last, ours.dictionary.clone())),
            built_in: self.built_in,
        }
    }

    /// What both ends have whatever they say to each other: for a handover.
    pub(in crate::node) fn common(&self) -> Against {
        match self.built_in {
            true => Against::BuiltIn,
            false => Against::Nothing,
        }
    }

    /// The neighbour's answer to one of this node's own.
    pub(in crate::node) fn answered(
        &mut self,
        number: u64,
        answer: DictionaryAnswer,
    ) -> Result<Told, TalkError> {
        if !(Against::OWN_FIRST..=self.last).contains(&number) {
            return Err(TalkError::NotOffered(number));
        }
        let mut told = Told::default();
        let Some(ours) = self.ours.as_mut().filter(|_| number == self.last) else {
            // Of one that was offered before: batches that name it may still have been under way.
            told.send_again = answer == DictionaryAnswer::Want;
            self.losses += u32::from(told.send_again);
            return self.bounded(told);
        };
        match answer {
            // Nothing more is believed of a dictionary that was refused or lost too often.
            _ if ours.is_refused => {}
            DictionaryAnswer::Have => ours.is_there = true,
            DictionaryAnswer::Want => {
                told.send_again = ours.is_there;
                self.losses += u32::from(ours.is_there);
                ours.is_there = false;
                ours.handovers += 1;
                if ours.handovers <= HANDOVERS_MAX {
                    told.hand_over = Some((number, ours.dictionary.clone()));
                } else {
                    ours.is_refused = true;
                }
            }
            DictionaryAnswer::Refused(why) => {
                told.send_again = ours.is_there;
                ours.is_there = false;
                ours.is_refused = true;
                told.refused = Some(why);
            }
        }
        self.bounded(told)
    }

    fn bounded(&self, told: Told) -> Result<Told, TalkError> {
        match self.losses > LOSSES_MAX {
            true => Err(TalkError::Losses),
            false => Ok(told),
        }
    }

    /// The neighbour has said what it has. The number and digest of one to look for.
    pub(in crate::node) fn heard(
        &mut self,
        said: &Dictionaries,
    ) -> Result<Option<(u64, Digest)>, TalkError> {
        self.built_in = said.built_in == Dictionary::built_in().id();
        let Some(OfferedDictionary { number, id }) = said.own else {
            return Ok(None);
        };
        let newest = self.theirs.back().map(|theirs| theirs.number);
        if number <= newest.unwrap_or(Against::OWN_FIRST - 1) {
            return Err(TalkError::Number(number));
        }
        if self.theirs.len() >= THEIRS_MAX {
            self.theirs.pop_front();
        }
        self.theirs.push_back(Theirs {
            number,
            id,
            state: Here::Looking,
        });
        Ok(Some((number, id)))
    }

    /// Whether the neighbour's dictionary is here: what to answer.
    pub(in crate::node) fn looked(&mut self, number: u64, is_here: bool) -> Option<Frame> {
        let theirs = self.theirs(number, Here::Looking)?;
        let (state, answer) = match is_here {
            true => (Here::Kept, DictionaryAnswer::Have),
            false => (Here::Wanted, DictionaryAnswer::Want),
        };
        theirs.state = state;
        Some(Frame::DictionaryAnswer(number, answer))
    }

    /// A dictionary came. The digest that it must have, if it is wanted.
    pub(in crate::node) fn came(&mut self, number: u64) -> Option<Digest> {
        let theirs = self.theirs(number, Here::Wanted)?;
        theirs.state = Here::Judging;
        Some(theirs.id)
    }

    /// The dictionary that came was judged, and is kept or not: what to answer.
    pub(in crate::node) fn judged(
        &mut self,
        number: u64,
        outcome: Result<(), DictionaryRefusal>,
    ) -> Option<Frame> {
        let theirs = self.theirs(number, Here::Judging)?;
        let (state, answer) = match outcome {
            Ok(()) => (Here::Kept, DictionaryAnswer::Have),
            Err(why) => (Here::Refused, DictionaryAnswer::Refused(why)),
        };
        theirs.state = state;
        Some(Frame::DictionaryAnswer(number, answer))
    }

    /// The neighbour's dictionary of this number, if it is here: what a generation builds on.
    pub(in crate::node) fn base(&self, number: u64) -> Option<Base> {
        let own = || self.theirs.iter().find(|theirs| theirs.number == number);
        match number {
            0 => None,
            Against::BUILT_IN => self.built_in.then_some(Base::BuiltIn),
            _ => own()
                .filter(|theirs| theirs.state == Here::Kept)
                .map(|theirs| Base::Own(theirs.id)),
        }
    }

    /// A batch names one of the neighbour's.
    ///
    /// # Errors
    /// It is one that the neighbour could not name.
    pub(in crate::node) fn named(&mut self, number: u64) -> Result<Named, BatchError> {
        let Some(newest) = self.theirs.back().map(|theirs| theirs.number) else {
            return Err(BatchError::Dictionary(number));
        };
        let found = self.theirs.iter().find(|theirs| theirs.number == number);
        match found.map(|theirs| (theirs.state, theirs.id)) {
            Some((Here::Kept, id)) => Ok(Named::Kept(id)),
            Some((Here::Wanted | Here::Judging, _)) => Ok(Named::Lost),
            None if number < newest => Ok(Named::LostNow(want(number))),
            Some((Here::Looking | Here::Refused, _)) | None => Err(BatchError::Dictionary(number)),
        }
    }

    /// One that was here is not any more: what to say, unless it was said.
    pub(in crate::node) fn lost(&mut self, number: u64) -> Option<Frame> {
        match self.theirs.iter_mut().find(|t| t.number == number) {
            Some(theirs) if theirs.state == Here::Kept => theirs.state = Here::Wanted,
            // It was said already.
            Some(_) => return None,
            // It is so old that it is not remembered.
            None => {}
        }
        Some(want(number))
    }

    fn theirs(&mut self, number: u64, state: Here) -> Option<&mut Theirs> {
        self.theirs
            .iter_mut()
            .find(|theirs| theirs.number == number && theirs.state == state)
    }
}

fn want(number: u64) -> Frame {
    Frame::DictionaryAnswer(number, DictionaryAnswer::Want)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(name: &str) -> Talk {
        Talk::new(name.parse().expect("a unit"))
    }

    fn dictionary(n: usize) -> Arc<Dictionary> {
        let bytes = Dictionary::built_in().bytes();
        let bytes = bytes[..bytes.len() - n].to_vec();
        Arc::new(Dictionary::new(bytes).expect("a dictionary"))
    }

    fn said(frame: Option<Frame>) -> Dictionaries {
        match frame {
            Some(Frame::Dictionaries(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    fn answer(frame: Option<Frame>) -> (u64, DictionaryAnswer) {
        match frame {
            Some(Frame::DictionaryAnswer(number, answer)) => (number, answer),
            other => panic!("{other:?}"),
        }
    }

    fn uses(talk: &Talk) -> Option<u64> {
        talk.choice().own.map(|(_, number, _)| number)
    }

    #[test]
    fn a_dictionary_is_used_once_the_neighbour_says_that_it_is_there() {
        let (mut edge, mut hub) = (talk("hebi.police"), talk("hebi.hub"));
        let own = dictionary(1);
        let offer = said(edge.says(Some(&own)));
        assert_eq!(edge.says(Some(&own)), None, "it is said once");
        assert!(!edge.choice().built_in, "nothing was heard yet");
        edge.heard(&said(hub.says(None))).expect("fine");
        assert!(edge.choice().built_in);

        let looked_for = hub.heard(&offer).expect("fine");
        assert_eq!(looked_for, Some((2, own.id())));
        let (number, wanted) = answer(hub.looked(2, false));
        let told = edge.answered(number, wanted).expect("fine");
        let (number, handed) = told.hand_over.expect("it is handed over");
        assert!(!told.send_again, "nothing was sent that names it");
        assert_eq!((number, handed.id(), uses(&edge)), (2, own.id(), None));

        assert_eq!(hub.came(2), Some(own.id()));
        assert_eq!(hub.came(2), None, "it is wanted once");
        let (number, kept) = answer(hub.judged(2, Ok(())));
        edge.answered(number, kept).expect("fine");
        assert_eq!(uses(&edge), Some(2));
        assert_eq!(hub.named(2), Ok(Named::Kept(own.id())));

        // The next session: it is there, and is not handed over.
        let (mut edge, mut hub) = (talk("hebi.police"), talk("hebi.hub"));
        hub.heard(&said(edge.says(Some(&own)))).expect("fine");
        let (number, have) = answer(hub.looked(2, true));
        let told = edge.answered(number, have).expect("fine");
        assert!(told.hand_over.is_none() && uses(&edge) == Some(2));
    }

    #[test]
    fn what_was_lost_is_asked_for_again_and_batches_come_again_without() {
        let (mut edge, mut hub) = (talk("hebi.police"), talk("hebi.hub"));
        let own = dictionary(1);
        hub.heard(&said(edge.says(Some(&own)))).expect("fine");
        let (number, have) = answer(hub.looked(2, true));
        edge.answered(number, have).expect("fine");

        let (number, wanted) = answer(hub.lost(2));
        assert_eq!(hub.lost(2), None, "it is said once");
        assert_eq!(
            hub.named(2),
            Ok(Named::Lost),
            "and what is under way is dropped"
        );
        let told = edge.answered(number, wanted).expect("fine");
        assert!(told.send_again && told.hand_over.is_some());
        assert_eq!(uses(&edge), None);

        // A neighbour that goes on losing it gets it no more, and at last the session ends.
        let mut handovers = 1;
        for _ in 1..LOSSES_MAX + 3 {
            edge.answered(2, DictionaryAnswer::Have).expect("fine");
            let told = edge.answered(2, DictionaryAnswer::Want).expect("fine");
            handovers += u32::from(told.hand_over.is_some());
        }
        assert_eq!((handovers, uses(&edge)), (HANDOVERS_MAX, None));
    }

    #[test]
    fn a_new_dictionary_takes_the_place_of_the_old_one_and_what_is_under_way_is_read() {
        let (mut edge, mut hub) = (talk("hebi.police"), talk("hebi.hub"));
        for (n, number) in (1..=3).zip(2..) {
            let offer = said(edge.says(Some(&dictionary(n))));
            hub.heard(&offer).expect("fine");
            let (said, have) = answer(hub.looked(number, true));
            assert_eq!((said, have), (number, DictionaryAnswer::Have));
            edge.answered(number, have).expect("fine");
            assert_eq!(uses(&edge), Some(number));
        }
        assert_eq!(hub.named(4), Ok(Named::Kept(dictionary(3).id())));
        assert_eq!(hub.named(3), Ok(Named::Kept(dictionary(2).id())));
        assert_eq!(hub.named(2), Ok(Named::LostNow(want(2))), "it is too old");
        assert_eq!(hub.named(5), Err(BatchError::Dictionary(5)));
        let told = edge.answered(2, DictionaryAnswer::Want).expect("fine");
        assert!(told.send_again && told.hand_over.is_none());
        assert_eq!(uses(&edge), Some(4), "the new one is not lost with it");
        for _ in 1..LOSSES_MAX {
            edge.answered(2, DictionaryAnswer::Want).expect("fine");
        }
        let ended = edge.answered(2, DictionaryAnswer::Want);
        assert_eq!(ended.err(), Some(TalkError::Losses));

        let withdrawn = said(edge.says(None));
        assert_eq!((withdrawn.own, uses(&edge)), (None, None));
    }

    #[test]
    fn a_refused_dictionary_is_not_used_and_a_neighbour_with_another_built_in_gets_none() {
        let (mut edge, mut hub) = (talk("hebi.police"), talk("hebi.hub"));
        let mut offer = said(edge.says(Some(&dictionary(1))));
        offer.built_in = Digest([9; 16]);
        hub.heard(&offer).expect("fine");
        assert!(!hub.choice().built_in);
        assert!(matches!(hub.common(), Against::Nothing));
        hub.looked(2, false).expect("an answer");
        hub.came(2).expect("wanted");
        let refused = Err(DictionaryRefusal::Damaged);
        let (number, answer) = answer(hub.judged(2, refused));
        let told = edge.answered(number, answer).expect("fine");
        assert_eq!(told.refused, Some(DictionaryRefusal::Damaged));
        assert_eq!(hub.named(2), Err(BatchError::Dictionary(2)));
        edge.answered(2, DictionaryAnswer::Have).expect("too late");
        assert_eq!(uses(&edge), None);

        assert_eq!(hub.heard(&offer).err(), Some(TalkError::Number(2)));
        let never = edge.answered(3, DictionaryAnswer::Have);
        assert_eq!(never.err(), Some(TalkError::NotOffered(3)));
    }
}
