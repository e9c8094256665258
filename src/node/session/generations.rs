//! Acked history: offered when batches leave, and used when the neighbour says that it has it. What both ends keep, and what they
//! agree on, is decided in `delivery::generations`.

use std::{collections::BTreeSet, sync::Arc};

use super::{Fault, Pump};
use crate::{
    delivery::{
        Input,
        generations::{Agreed, Named},
        hop::{Frame, Generation, GenerationAnswer, Hello},
    },
    link::LinkKind,
    model::UnitId,
    node::{
        incoming::{Needed, OfGeneration},
        remembered::OfHop,
    },
    wire::Compression,
};

impl Pump {
    /// The hop's history, where it is of use over this session: on a fast line it would cost more than it saves, and not every neighbour
    /// knows of it.
    pub(super) fn history(&self) -> Option<OfHop> {
        let of_use = self.knows_generations && self.carrier.kind != LinkKind::Lan;
        Some(OfHop {
            shared: self.shared.clone(),
            neighbour: self.neighbour.clone(),
            epochs: self.said.filter(|_| of_use)?,
        })
    }

    /// The same, for what is sent.
    pub(super) fn history_of_sent(&self) -> Option<OfHop> {
        self.history()
            .filter(|_| self.carrier.compression != Compression::Off)
    }

    /// This node says hello.
    pub(super) fn says_hello(&mut self, hello: &Hello) {
        let epochs = (hello.epoch, hello.peer_epoch);
        self.said = Some(epochs);
        self.shared.generations().numbered(&self.neighbour, epochs);
    }

    /// The neighbour says what it has stored.
    pub(super) fn heard_of_acks(&self, frame: &Frame) {
        let neighbour = &self.neighbour;
        match frame {
            Frame::Ack(ack) => {
                if let Some(epochs) = self.said {
                    let mut all = self.shared.generations();
                    all.acked((neighbour, epochs), &ack.received);
                }
            }
            Frame::Hello(hello) => {
                let epochs = (hello.epoch, hello.peer_epoch);
                let mut all = self.shared.generations();
                all.greeted(neighbour, epochs, &hello.received);
            }
            _ => {}
        }
    }

    /// A batch of these senders' leaves: what there is to compress the next ones against is offered with it.
    pub(super) fn offer_generations(&mut self, senders: &BTreeSet<UnitId>) {
        let choice = self.talk.choice();
        for sender in senders {
            let Some((number, dictionary)) = choice.base_of(sender) else {
                continue;
            };
            let base = (number, dictionary.id());
            let all = self.shared.generations();
            let offer = self.agreement.offer(&all, &self.neighbour, sender, base);
            drop(all);
            self.answer(offer);
        }
    }

    /// The neighbour offers a generation.
    pub(super) fn hear_of_generation(&mut self, generation: Generation) -> Result<(), Fault> {
        let base = self.talk.base(generation.base).map(|base| base.id());
        let all = self.shared.generations();
        let answer = self
            .agreement
            .heard(&all, &self.neighbour, generation, base)?;
        drop(all);
        self.send(&answer);
        Ok(())
    }

    /// The neighbour says whether it has one of this node's.
    pub(super) async fn generation_answered(
        &mut self,
        number: u64,
        answer: GenerationAnswer,
    ) -> Result<(), Fault> {
        let told = {
            let mut all = self.shared.generations();
            let agreement = &mut self.agreement;
            agreement.answered(&mut all, &self.neighbour, number, answer)?
        };
        if told.send_again {
            let session = self.id;
            self.tell(Input::SendAgain { session }).await?;
        }
        Ok(())
    }

    /// What it takes to read a batch that names a generation.
    pub(super) fn generation_of(&mut self, number: u64) -> Result<Option<Needed>, Fault> {
        match self.agreement.named(number)? {
            Named::Here(generation) => {
                if let Some(base) = self.talk.base(generation.base) {
                    return Ok(Some(Needed::Generation(OfGeneration { generation, base })));
                }
                self.generation_lost(number);
            }
            Named::Lost(lack) => self.answer(lack),
        }
        Ok(None)
    }

    /// A batch could not be read, for what came before it is not here any more.
    pub(super) fn generation_lost(&mut self, number: u64) {
        tracing::debug!(unit = %self.neighbour, link = self.record.link(), session = self.id, number, "what a batch was compressed against is not here any more; it comes again without");
        let lack = self.agreement.lost(number);
        self.answer(lack);
    }

    /// What this node's batches may name now.
    pub(super) fn agreed(&self) -> Agreed {
        Arc::clone(self.agreement.agreed())
    }
}
