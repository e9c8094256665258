//! Units' own dictionaries: offered after hello, handed over once, and used when the neighbour says that it has them.

use bytes::Bytes;

use super::{Done, Fault, Pump};
use crate::{
    delivery::{
        Input,
        hop::{Dictionaries, DictionaryAnswer, DictionaryRefusal, Frame, Hello},
    },
    link::Received,
    model::Lane,
    node::{dictionaries::Named, incoming::Needed, workers::Urgency},
    wire::{self, DictionaryError, HandoverError},
};

impl Pump {
    /// Says hello, what there is to compress batches against, and to strangers what this node signs with, in one breath: so the neighbour
    /// knows it before a batch comes.
    pub(super) fn greet(&mut self, hello: Hello) {
        self.says_hello(&hello);
        let introduction = self.introduction(&hello);
        let mut frames = wire::encode_frame(&Frame::Hello(hello));
        for frame in self.says().into_iter().chain(introduction) {
            frames.extend(wire::encode_frame(&frame));
        }
        self.write(frames);
    }

    /// The node's own dictionary may be another one.
    pub(super) fn offer_dictionary(&mut self) {
        if self.talk.has_spoken()
            && let Some(said) = self.says()
        {
            self.send(&said);
        }
    }

    fn says(&mut self) -> Option<Frame> {
        let live = self.shared.live();
        let own = live.dictionary.as_ref().map(|trained| &trained.dictionary);
        let said = self.talk.says(own);
        self.show();
        said
    }

    /// Shows people what is agreed on.
    fn show(&self) {
        self.record.compresses_against(self.talk.choice().name());
    }

    /// The neighbour says what it has.
    pub(super) fn hear_of_dictionaries(&mut self, said: &Dictionaries) -> Result<(), Fault> {
        let offered = self.talk.heard(said)?;
        self.show();
        if let Some((number, id)) = offered {
            let (shared, neighbour) = (self.shared.clone(), self.neighbour.clone());
            self.work(Urgency::Express, move || {
                Done::Looked(number, shared.shelf.has(&neighbour, id))
            });
        }
        Ok(())
    }

    /// The neighbour says whether it has this node's.
    pub(super) async fn dictionary_answered(
        &mut self,
        number: u64,
        answer: DictionaryAnswer,
    ) -> Result<(), Fault> {
        let told = self.talk.answered(number, answer)?;
        self.show();
        if let Some(why) = told.refused {
            tracing::warn!(unit = %self.neighbour, link = self.record.link(), session = self.id, %why, "the neighbour does not take this node's dictionary; messages go without");
        }
        if let Some((number, dictionary)) = told.hand_over {
            let (shared, common) = (self.shared.clone(), self.talk.common());
            self.work(Urgency::Bulk, move || {
                Done::Packaged(shared.package.of(number, &dictionary, &common))
            });
        }
        if told.send_again {
            let session = self.id;
            self.tell(Input::SendAgain { session }).await?;
        }
        Ok(())
    }

    /// Behind every message: it makes later ones smaller, and nobody waits for it.
    pub(super) fn hand_over(&mut self, bytes: Bytes) {
        tracing::info!(unit = %self.neighbour, link = self.record.link(), session = self.id, bytes = bytes.len(), "this node's dictionary is handed over");
        self.carry(Lane::Bulk, bytes);
    }

    /// A dictionary came.
    pub(super) fn take_over(&mut self, handover: Received) -> Result<(), Fault> {
        let number = wire::handover_number(&handover).map_err(Fault::Handover)?;
        let Some(id) = self.talk.came(number) else {
            // Nobody asked for it, or it came before.
            return Ok(());
        };
        let (shared, neighbour) = (self.shared.clone(), self.neighbour.clone());
        self.work(Urgency::Bulk, move || {
            let taken = match wire::take_over(&handover) {
                Ok(dictionary) if dictionary.id() == id => {
                    shared.shelf.keep(&neighbour, &dictionary).map_err(|error| {
                        tracing::error!(unit = %neighbour, %error, "a neighbour's dictionary cannot be kept");
                        DictionaryRefusal::Storage
                    })
                }
                Ok(_) | Err(HandoverError::Broken) => Err(DictionaryRefusal::Damaged),
                Err(HandoverError::Dictionary(DictionaryError::TooLarge(_))) => {
                    Err(DictionaryRefusal::TooLarge)
                }
                Err(HandoverError::Dictionary(DictionaryError::Format)) => {
                    Err(DictionaryRefusal::Format)
                }
            };
            match taken {
                Ok(()) => tracing::info!(unit = %neighbour, %id, "a neighbour's dictionary is here"),
                Err(why) => tracing::warn!(unit = %neighbour, %id, %why, "a neighbour's dictionary is not taken; its messages come without"),
            }
            Done::Taken(number, taken)
        });
        Ok(())
    }

    pub(super) fn answer(&mut self, answer: Option<Frame>) {
        if let Some(answer) = answer {
            self.send(&answer);
        }
    }

    /// What it takes to read a batch; none when that is lost, and the batch comes again.
    pub(super) fn needed(&mut self, batch: &Received) -> Result<Option<Needed>, Fault> {
        let number = match wire::named(batch)? {
            wire::Named::Common => return Ok(Some(Needed::Nothing)),
            wire::Named::Generation(number) => return self.generation_of(number),
            wire::Named::Own(number) => number,
        };
        Ok(match self.talk.named(number)? {
            Named::Kept(id) => Some(Needed::Own(number, id)),
            Named::Lost => None,
            Named::LostNow(want) => {
                self.send(&want);
                None
            }
        })
    }

    /// A batch could not be read for want of a dictionary that was here.
    pub(super) fn dictionary_lost(&mut self, number: u64) {
        tracing::warn!(unit = %self.neighbour, link = self.record.link(), session = self.id, "a neighbour's dictionary is lost; messages come again without");
        let want = self.talk.lost(number);
        self.answer(want);
    }
}
