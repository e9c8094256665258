//! A unit with a true certificate and no manners: it claims what is not its own, and says what makes no sense (G6).

use std::collections::BTreeSet;

use crate::{
    codec,
    delivery::hop::{
        Absent, Ack, Entry, Epoch, Frame, GoneAnswer, Have, Hello, OfferAnswer, PROTOCOL_VERSION,
        Seq, Targets, Want,
    },
    model::{
        BlobDigest, Digest, Fingerprint, Kind, Lane, Millis, Outcome, Pattern, Ranges, Reason,
        ReceiptItem, UnitId, chunk_count,
    },
    parcel::{BodyForm, Header, Parcel},
};

use super::{
    agenda::{Event, NodeIndex, SECOND},
    attachments::Run,
    ledger::Message,
    net::{Batch, CHILD, EndState, SessionIndex},
    plan::{KIND_FORBIDDEN, kind},
    world::{Kept, World, seal},
};

/// The rogue's side of its hop.
#[derive(Debug)]
pub(super) struct Rogue {
    unit: UnitId,
    pub(super) node: NodeIndex,
    epoch: Epoch,
    hub_epoch: Epoch,
    /// The session over which the hub takes parcels.
    open: Option<SessionIndex>,
    next: Seq,
    received: Ranges,
}

impl Rogue {
    pub(super) fn new(unit: UnitId, node: NodeIndex) -> Self {
        Self {
            unit,
            node,
            epoch: 0x0072_6f67_7565,
            hub_epoch: 0,
            open: None,
            next: 1,
            received: Ranges::new(),
        }
    }
}

impl World {
    /// The rogue does something.
    pub(super) fn rogue_acts(&mut self) -> Kept {
        let Some(rogue) = &self.rogue else {
            return Ok(());
        };
        if self.is_calm {
            return Ok(());
        }
        let (child, open) = (rogue.node, rogue.open);
        self.agenda.after(self.rng.below(2 * SECOND), Event::Rogue);
        let is_open = open
            .is_some_and(|session| self.net.sessions[session].ends[CHILD].state == EndState::Up);
        match open.filter(|_| is_open) {
            Some(session) => {
                self.mischief(session);
                if self.attachments.are_here() {
                    self.mischief_with_attachments(session);
                }
            }
            None => self.agenda.after(1, Event::Dial { child, link: 0 }),
        }
        Ok(())
    }

    fn mischief(&mut self, session: SessionIndex) {
        let nodes = self.nodes.len() as u64;
        let victim = self.rng.below(nodes) as NodeIndex;
        let unit = self.unit(victim);
        let other = self.unit(((victim + 1) as u64 % nodes) as NodeIndex);
        match self.rng.below(14) {
            0 | 1 => {
                let (parcel, _) = self.rogue_message(&unit, "notice", true);
                self.rogue_sends(session, parcel, Targets::Signed, Ok(()), None);
            }
            2 => {
                let (parcel, _) = self.rogue_message(&unit, KIND_FORBIDDEN, true);
                self.rogue_sends(session, parcel, Targets::Signed, Ok(()), None);
            }
            3 => {
                let (parcel, _) = self.rogue_message(&unit, "notice", false);
                let verdict = Err(Reason::BadSignature);
                self.rogue_sends(session, parcel, Targets::Signed, verdict, None);
            }
            4 => {
                let (_, mut header) = self.rogue_message(&unit, "notice", false);
                header.sender = other;
                let parcel = seal(&header, b"forged");
                self.rogue_sends(session, parcel, Targets::Signed, Ok(()), None);
            }
            5 => {
                let (parcel, _) = self.rogue_message(&unit, "notice", true);
                let targets = Targets::Named(vec![Pattern::from(&other)]);
                self.rogue_sends(session, parcel, targets, Ok(()), None);
            }
            6 => {
                let parcel = Parcel::join(&[0; 64], b"no header", b"");
                let verdict = Err(Reason::Malformed);
                self.rogue_sends(session, parcel, Targets::You, verdict, None);
            }
            7 | 8 => self.forge_receipt(session),
            9 => {
                let again = self.rng.below(self.rogue.as_ref().map_or(1, |r| r.next));
                let (parcel, _) = self.rogue_message(&unit, "notice", true);
                self.rogue_sends(session, parcel, Targets::Signed, Ok(()), Some(again));
            }
            10 => {
                let frame = Frame::Gone(self.some_numbers());
                self.rogue_says(session, frame);
            }
            11 => {
                let frame = Frame::Ack(Ack {
                    received: self.some_numbers(),
                    parked: self.some_numbers(),
                    credit: [self.rng.below(1 << 20); 4],
                    closed: vec![unit],
                    open: vec![other],
                });
                self.rogue_says(session, frame);
            }
            12 => {
                let frame = Frame::GoneAnswer(GoneAnswer {
                    had: self.some_numbers(),
                    gone: self.some_numbers(),
                });
                self.rogue_says(session, frame);
                let digests = self.some_parcels();
                let frame = Frame::OfferAnswer(OfferAnswer {
                    lacked: digests.clone(),
                    had: digests,
                });
                self.rogue_says(session, frame);
            }
            _ => {
                let digests = self.some_parcels();
                self.rogue_says(session, Frame::Offer(digests));
                if self.rng.per_mille(300) {
                    self.rogue_greets(session);
                }
            }
        }
    }

    /// The rogue wants what is not for it, acks what was never sent, and sends what is not what it should be, or was not asked for.
    fn mischief_with_attachments(&mut self, session: SessionIndex) {
        let known: Vec<(BlobDigest, u64)> = self
            .attachments
            .known
            .iter()
            .map(|(d, s)| (*d, *s))
            .collect();
        let rng = &mut self.attachments.rng;
        let Some((digest, size)) = rng.pick(&known).copied() else {
            return;
        };
        let victim = rng.below(self.nodes.len() as u64) as NodeIndex;
        let count = chunk_count(size);
        let mut chunks = Ranges::new();
        let first = rng.below(count);
        let last = first + rng.below(count);
        chunks.insert_range(first, last);
        let dice = rng.below(100);
        let is_true = rng.per_mille(500);
        let sender = self.unit(victim);
        match dice {
            0..25 => {
                let have = if last < count { chunks } else { Ranges::new() };
                let want = Want {
                    digest,
                    senders: vec![sender],
                    described: !have.is_empty(),
                    have,
                };
                self.rogue_says(session, Frame::Want(want));
            }
            25..32 => self.rogue_says(session, Frame::Unwant(digest)),
            32..45 => self.rogue_says(session, Frame::Have(Have { digest, chunks })),
            45..55 => {
                let too_large = is_true;
                self.rogue_says(session, Frame::Absent(Absent { digest, too_large }));
            }
            55..62 => self.rogue_says(session, Frame::Present(digest)),
            62..80 => {
                let run = Run {
                    digest,
                    described: is_true.then_some(size),
                    first,
                    count: last - first + 1,
                    is_true: is_true && last < count,
                };
                self.put_run((session, CHILD), run);
            }
            // What it names it says that it has. Others may have named it too.
            _ => {
                let named = vec![digest.0];
                let (parcel, _) = self.rogue_message_naming(named, &sender, "notice", true);
                self.rogue_sends(session, parcel, Targets::Signed, Ok(()), None);
            }
        }
    }

    /// What the rogue does with what it is asked for: nothing, or something true, or something false.
    fn rogue_is_asked(&mut self, session: SessionIndex, want: &Want) {
        let digest = want.digest;
        let size = self.attachments.known.get(&digest).copied().unwrap_or(1);
        let answer = self.attachments.rng.below(10);
        match answer {
            0..3 => {}
            3..5 => {
                let too_large = answer == 3;
                self.rogue_says(session, Frame::Absent(Absent { digest, too_large }));
            }
            _ => {
                let run = Run {
                    digest,
                    described: Some(size),
                    first: 0,
                    count: chunk_count(size),
                    is_true: answer < 9,
                };
                self.put_run((session, CHILD), run);
            }
        }
    }

    fn some_numbers(&mut self) -> Ranges {
        let from = self.rng.between(1, 20);
        (from..from + self.rng.below(20)).collect()
    }

    fn some_parcels(&mut self) -> Vec<Digest> {
        let parcels: Vec<Digest> = self
            .ledger
            .iter()
            .flat_map(|message| message.parcels.first().copied())
            .take(50)
            .collect();
        self.rng.pick(&parcels).copied().into_iter().collect()
    }

    /// A message of the rogue's own; `is_noted`: it may arrive where policy lets it.
    fn rogue_message(&mut self, to: &UnitId, kind_name: &str, is_noted: bool) -> (Parcel, Header) {
        self.rogue_message_naming(Vec::new(), to, kind_name, is_noted)
    }

    fn rogue_message_naming(
        &mut self,
        attachments: Vec<[u8; 32]>,
        to: &UnitId,
        kind_name: &str,
        is_noted: bool,
    ) -> (Parcel, Header) {
        let Some(rogue) = &self.rogue else {
            unreachable!("a rogue acts only where there is one");
        };
        let (unit, sender) = (rogue.unit.clone(), rogue.node);
        let wall = self.latest_wall();
        let name = self.name();
        let header = Header {
            sender: unit,
            id: format!("x{name}"),
            to: vec![Pattern::from(to)],
            kind: kind(kind_name),
            case: Some("c0".into()),
            lane: Lane::Urgent,
            accepted: wall,
            expires: wall + 3_600_000,
            signer: Fingerprint([0; 16]),
            attachments,
            form: BodyForm::Binary,
            attributes: Vec::new(),
        };
        let body = name.to_le_bytes().to_vec();
        let parcel = seal(&header, &body);
        if is_noted {
            let copies = self.copies(sender, &header);
            let index = self.ledger.add(Message {
                id: header.message_id(),
                sender,
                content: parcel.digest(),
                header: header.clone(),
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
            });
            self.ledger.add_parcel(index, &parcel, header.expires);
        }
        (parcel, header)
    }

    /// A receipt that says that a stranger's message has arrived, or was refused.
    fn forge_receipt(&mut self, session: SessionIndex) {
        let Some(digest) = self.some_parcels().first().copied() else {
            return;
        };
        let Some(message) = self.ledger.of_parcel(&digest).map(|i| self.ledger.get(i)) else {
            return;
        };
        let (to, receiver) = (message.header.sender.clone(), message.header.to[0].clone());
        let outcomes = [Outcome::Delivered, Outcome::Refused, Outcome::Dropped];
        let outcome = self.rng.pick(&outcomes).copied();
        let item = ReceiptItem {
            parcel: digest,
            receiver,
            outcome: outcome.unwrap_or(Outcome::Delivered),
            reason: Reason::None,
            at: self.latest_wall(),
            note: String::new(),
        };
        let (_, mut header) = self.rogue_message(&to, "notice", false);
        header.kind = Kind::receipt();
        header.case = None;
        let parcel = seal(&header, &codec::encode(&vec![item]));
        self.rogue_sends(session, parcel, Targets::Signed, Ok(()), None);
    }

    fn rogue_sends(
        &mut self,
        session: SessionIndex,
        parcel: Parcel,
        targets: Targets,
        verdict: Result<(), Reason>,
        number: Option<Seq>,
    ) {
        let Some(rogue) = &mut self.rogue else { return };
        let seq = number.unwrap_or(rogue.next);
        if number.is_none() {
            rogue.next += 1;
        }
        let back = self.rng.below(4);
        let entry = Entry {
            seq,
            after: if back > 0 { vec![back] } else { Vec::new() },
            targets,
            attested: 0,
        };
        self.line(|| format!("the rogue sends {entry:?}"));
        let batch = Box::new(Batch {
            lane: Lane::Urgent,
            direction: None,
            parcels: vec![(entry, parcel, verdict)],
            against: None,
            run: None,
        });
        self.net
            .send_batch((session, CHILD), batch, &mut self.rng, &mut self.agenda);
    }

    fn rogue_says(&mut self, session: SessionIndex, frame: Frame) {
        self.line(|| format!("the rogue says {frame:?}"));
        self.net.send(
            (session, CHILD),
            (frame, None),
            &mut self.rng,
            &mut self.agenda,
        );
    }

    fn rogue_greets(&mut self, session: SessionIndex) {
        let wall = self.latest_wall();
        let Some(rogue) = &self.rogue else { return };
        let hello = Hello {
            version: PROTOCOL_VERSION,
            unit: rogue.unit.clone(),
            epoch: rogue.epoch,
            peer_epoch: rogue.hub_epoch,
            received: rogue.received.clone(),
            marks: Vec::new(),
            base: 1,
            next: rogue.next,
            wall,
            link_kind: "lan".into(),
            link_name: "l0".into(),
        };
        self.rogue_says(session, Frame::Hello(hello));
    }

    pub(super) fn rogue_is_up(&mut self, session: SessionIndex) -> Kept {
        if let Some(rogue) = &mut self.rogue {
            rogue.open = None;
        }
        self.rogue_greets(session);
        Ok(())
    }

    pub(super) fn rogue_hears(&mut self, session: SessionIndex, frame: &Frame) -> Kept {
        if let Frame::Want(want) = frame {
            self.rogue_is_asked(session, want);
        }
        let Frame::Hello(hello) = frame else {
            return Ok(());
        };
        let Some(rogue) = &mut self.rogue else {
            return Ok(());
        };
        if hello.epoch != rogue.hub_epoch {
            rogue.hub_epoch = hello.epoch;
            rogue.received.clear();
            rogue.next = 1;
            self.rogue_greets(session);
        }
        if let Some(rogue) = &mut self.rogue
            && hello.peer_epoch == rogue.epoch
        {
            rogue.open = Some(session);
        }
        Ok(())
    }

    /// The rogue acks what it is sent of an attachment, or does not.
    fn rogue_is_sent(&mut self, session: SessionIndex, run: &Run) {
        if run.count == 0 || self.attachments.rng.per_mille(300) {
            return;
        }
        let mut chunks = Ranges::new();
        chunks.insert_range(run.first, run.first + run.count - 1);
        let digest = run.digest;
        self.rogue_says(session, Frame::Have(Have { digest, chunks }));
    }

    /// The rogue takes whatever comes, and acks it.
    pub(super) fn rogue_receives(&mut self, session: SessionIndex, batch: &Batch) {
        if let Some(run) = &batch.run {
            self.rogue_is_sent(session, run);
            return;
        }
        let Some(rogue) = &mut self.rogue else { return };
        let received: Ranges = batch.parcels.iter().map(|(entry, ..)| entry.seq).collect();
        rogue.received.union(&received);
        let ack = Frame::Ack(Ack {
            received,
            credit: [1 << 20; 4],
            ..Ack::default()
        });
        self.rogue_says(session, ack);
    }
}
