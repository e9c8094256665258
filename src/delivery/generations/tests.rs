use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    delivery::hop::{Frame, GENERATION_RANGES_MAX, GenerationAnswer},
    model::Ranges,
};

const BASE: (u64, Digest) = (1, Digest([9; 16]));

fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

fn bounds() -> Bounds {
    Bounds {
        all_bytes: 100_000,
        sent_bytes: 6_000,
        came_bytes: 10_000,
        generation_bytes: 2_000,
        step_bytes: 100..=400,
        batch_bytes: 1_000,
        idle_ms: 1_000_000,
    }
}

fn text(sender: &str, seq: Seq) -> Text {
    let bytes = Bytes::from(format!("{sender} writes {seq} {}", "text ".repeat(20)));
    Text {
        seq,
        sender: unit(sender),
        parcel: Digest::of(&bytes),
        bytes,
        is_left_out: false,
    }
}

fn ranges(seqs: impl IntoIterator<Item = Seq>) -> Ranges {
    seqs.into_iter().collect()
}

/// Two ends of a hop, and their session: `from` sends parcels of `WRITER` to `to`.
struct Pair {
    from: Generations,
    to: Generations,
    sends: Agreement,
    receives: Agreement,
    epochs: Epochs,
}

const WRITER: &str = "hebi.police";
const EPOCHS: Epochs = (4, 5);

impl Pair {
    fn new() -> Self {
        Self {
            from: Self::end("hub"),
            to: Self::end("edge"),
            sends: Agreement::default(),
            receives: Agreement::default(),
            epochs: EPOCHS,
        }
    }

    fn end(neighbour: &str) -> Generations {
        let mut end = Generations::new(bounds());
        end.numbered(&unit(neighbour), EPOCHS);
        end
    }

    fn carry(&mut self, seqs: impl IntoIterator<Item = Seq>) {
        for seq in seqs {
            let texts = || vec![text(WRITER, seq)];
            self.from
                .remember(0, (&unit("hub"), self.epochs), Way::Sent, texts());
            self.to
                .remember(0, (&unit("edge"), EPOCHS), Way::Came, texts());
        }
    }

    fn ack(&mut self, seqs: impl IntoIterator<Item = Seq>) {
        self.from.acked((&unit("hub"), self.epochs), &ranges(seqs));
    }

    fn offer(&mut self) -> Option<Generation> {
        let offer = self
            .sends
            .offer(&self.from, &unit("hub"), &unit(WRITER), BASE)?;
        match offer {
            Frame::Generation(generation) => Some(generation),
            other => panic!("{other:?}"),
        }
    }

    fn hear(&mut self, generation: &Generation) -> GenerationAnswer {
        let base = Some(BASE.1);
        let answer = self
            .receives
            .heard(&self.to, &unit("edge"), generation.clone(), base);
        match answer.expect("an offer that can be") {
            Frame::GenerationAnswer(number, answer) => {
                assert_eq!(number, generation.number);
                answer
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, number: u64, answer: GenerationAnswer) -> bool {
        let told = self
            .sends
            .answered(&mut self.from, &unit("hub"), number, answer);
        told.expect("an answer that can be").send_again
    }

    /// Offers what there is, and has it agreed on.
    fn agree(&mut self) -> Generation {
        let generation = self.offer().expect("there is something");
        assert_eq!(self.hear(&generation), GenerationAnswer::Have);
        assert!(!self.answer(generation.number, GenerationAnswer::Have));
        generation
    }

    fn names(&self) -> Option<u64> {
        let agreed = self.sends.agreed().get(&unit(WRITER));
        agreed.map(|generation| generation.number)
    }

    fn ours(&mut self, generation: &Generation) -> Option<Vec<Bytes>> {
        self.from.ours(0, &unit("hub"), generation, BASE.1)
    }

    fn theirs(&mut self, generation: &Generation) -> Option<Vec<Bytes>> {
        self.to.theirs(0, &unit("edge"), generation, BASE.1)
    }
}

#[test]
fn a_generation_is_named_once_it_is_acked_and_the_neighbour_says_that_it_has_it() {
    let mut pair = Pair::new();
    pair.carry(1..=5);
    assert_eq!(pair.offer(), None, "nothing is acked");
    pair.ack([1, 2, 4]);
    let generation = pair.offer().expect("there is something");
    let (first, last) = (generation.first, generation.last);
    assert_eq!((first, last, generation.base), (1, 4, 1));
    assert_eq!(generation.without, ranges([3]));
    assert_eq!(pair.names(), None, "nothing was answered yet");
    pair.ack([5]);
    assert_eq!(pair.offer(), None, "one offer waits for its answer");
    assert_eq!(pair.hear(&generation), GenerationAnswer::Have);
    assert!(!pair.answer(1, GenerationAnswer::Have));
    assert_eq!(pair.names(), Some(1));
    let texts = pair.ours(&generation).expect("it is here");
    assert_eq!(texts.len(), 3);
    assert_eq!(Some(texts), pair.theirs(&generation));
    let named = pair.receives.named(1).expect("it was offered");
    assert_eq!(named, Named::Here(Arc::new(generation)));

    // The next one takes its place once it is answered, and both can be read meanwhile.
    pair.carry(6..=8);
    pair.ack(1..=8);
    let next = pair.agree();
    assert_eq!((next.number, next.last, pair.names()), (2, 8, Some(2)));
    assert_eq!(next.without, Ranges::new());
    for number in [1, 2] {
        assert!(matches!(pair.receives.named(number), Ok(Named::Here(_))));
    }
    assert_eq!(pair.offer(), None, "nothing is new");
}

#[test]
fn what_nothing_may_repeat_is_in_no_generation_and_the_others_are() {
    let mut pair = Pair::new();
    pair.carry(1..=5);
    let secret = Text {
        bytes: Bytes::new(),
        is_left_out: true,
        ..text(WRITER, 3)
    };
    pair.from
        .remember(0, (&unit("hub"), EPOCHS), Way::Sent, vec![secret]);
    pair.ack(1..=5);
    let generation = pair.agree();
    assert_eq!((generation.first, generation.last), (1, 5));
    assert_eq!(generation.without, ranges([3]));
    let texts = pair.ours(&generation).expect("it is here");
    assert_eq!(texts.len(), 4);
    assert_eq!(Some(texts), pair.theirs(&generation));
}

#[test]
fn a_neighbour_that_was_restarted_lacks_it_and_both_begin_anew() {
    let mut pair = Pair::new();
    pair.carry(1..=5);
    pair.ack(1..=5);
    pair.agree();
    // The neighbour is another life, and so the session is another one: history survives on one side only.
    pair.to = Pair::end("edge");
    (pair.sends, pair.receives) = Default::default();
    let offered = pair.offer().expect("it is still here");
    assert_eq!(pair.hear(&offered), GenerationAnswer::Lack);
    let again = pair.answer(offered.number, GenerationAnswer::Lack);
    assert!(!again, "no batch has named it");
    assert_eq!((pair.names(), pair.offer()), (None, None));
    pair.carry(6..=8);
    pair.ack(6..=8);
    let fresh = pair.agree();
    assert_eq!((fresh.first, fresh.last), (6, 8));
}

#[test]
fn what_was_lost_since_is_said_once_and_comes_again_without() {
    let mut pair = Pair::new();
    pair.carry(1..=5);
    pair.ack(1..=5);
    let generation = pair.agree();
    pair.to.clear();
    assert_eq!(pair.theirs(&generation), None);
    let lack = pair.receives.lost(1);
    assert_eq!(lack, Some(agreement_lack(1)));
    assert_eq!(pair.receives.lost(1), None);
    assert_eq!(pair.receives.named(1), Ok(Named::Lost(None)));
    assert!(pair.answer(1, GenerationAnswer::Lack), "it goes again");
    assert_eq!(pair.names(), None);
    assert_eq!(pair.ours(&generation), None, "it begins anew");
}

fn agreement_lack(number: u64) -> Frame {
    Frame::GenerationAnswer(number, GenerationAnswer::Lack)
}

#[test]
fn another_text_order_or_dictionary_is_not_the_same() {
    let mut pair = Pair::new();
    pair.carry(1..=3);
    pair.ack(1..=3);
    let generation = pair.offer().expect("there is something");
    let mut other = text(WRITER, 2);
    other.parcel = Digest([7; 16]);
    pair.to
        .remember(0, (&unit("edge"), EPOCHS), Way::Came, vec![other]);
    assert_eq!(pair.hear(&generation), GenerationAnswer::Lack);
    let edge = unit("edge");
    pair.carry([2]);
    assert!(pair.theirs(&generation).is_some());
    let other_base = Digest([8; 16]);
    assert!(pair.to.theirs(0, &edge, &generation, other_base).is_none());
    let mut lie = generation.clone();
    lie.id = Digest([5; 16]);
    assert_eq!(pair.theirs(&lie), None);
    let mut of_another = generation;
    of_another.sender = unit("hebi.court");
    assert_eq!(pair.theirs(&of_another), None, "senders are kept apart");
    of_another.number = 2;
    let no_base = pair.receives.heard(&pair.to, &edge, of_another, None);
    assert_eq!(no_base, Ok(agreement_lack(2)));
}

#[test]
fn numbers_of_other_epochs_count_for_nothing() {
    let mut pair = Pair::new();
    let hub = unit("hub");
    pair.from.numbered(&hub, (1, 2));
    pair.carry(1..=5);
    assert_eq!(pair.from.bytes(), 0, "it goes by other numbers");
    pair.epochs = (1, 2);
    pair.carry(1..=5);
    pair.from.greeted(&hub, (2, 7), &ranges(1..=5));
    assert_eq!(pair.offer(), None, "it spoke of another epoch's numbers");
    pair.from.greeted(&hub, (2, 1), &ranges(1..=5));
    let generation = pair.offer().expect("it has them");
    pair.from.numbered(&hub, (1, 2));
    assert!(pair.ours(&generation).is_some(), "it is the same pair");
    pair.from.numbered(&hub, (1, 3));
    assert_eq!((pair.ours(&generation), pair.from.bytes()), (None, 0));
}

#[test]
fn what_is_remembered_does_not_depend_on_the_order_in_which_it_came() {
    let mut orders = vec![(1..=200).collect::<Vec<Seq>>()];
    orders.push((1..=200).rev().collect());
    orders.push((1..=200).map(|seq| (seq * 77) % 201).collect());
    let mut offers = Vec::new();
    for order in orders {
        let mut pair = Pair::new();
        pair.carry(order);
        pair.ack(1..=200);
        let generation = pair.agree();
        assert!(pair.from.bytes() <= bounds().sent_bytes && pair.to.bytes() <= bounds().came_bytes);
        let bytes: usize = pair
            .ours(&generation)
            .expect("it is")
            .iter()
            .map(Bytes::len)
            .sum();
        assert!(bytes <= bounds().generation_bytes);
        assert_eq!(generation.last, 200);
        offers.push(generation);
    }
    assert_eq!((&offers[0], &offers[0]), (&offers[1], &offers[2]));
}

#[test]
fn what_goes_over_a_lan_or_in_a_backlog_is_not_offered() {
    let mut pair = Pair::new();
    assert!(pair.from.takes(999) && !pair.from.takes(1_000));
    pair.carry(1..=4);
    // They are sent again in a way that the neighbour does not remember.
    pair.from.forget(&unit("hub"), 2..=3);
    pair.ack(1..=4);
    let generation = pair.offer().expect("there is something");
    let seqs = pair.from.seqs(&unit("hub"), &generation);
    assert_eq!(seqs, [1, 4]);
    let off = Generations::new(Bounds {
        all_bytes: 0,
        ..bounds()
    });
    assert!(!off.takes(1));
}

#[test]
fn a_generation_leaves_out_at_most_so_many_runs_of_numbers() {
    let mut pair = Pair::new();
    pair.from.bounds.generation_bytes = 100_000;
    pair.from.bounds.sent_bytes = 100_000;
    let most = 4 * GENERATION_RANGES_MAX as Seq;
    pair.carry(1..=most);
    pair.ack((1..=most).filter(|seq| seq % 2 == 0));
    let generation = pair.offer().expect("there is something");
    assert_eq!(generation.without.ranges(), GENERATION_RANGES_MAX);
    assert_eq!(generation.last, most);
}

#[test]
fn memory_is_bounded_for_all_and_for_each_neighbour() {
    let mut all = Generations::new(bounds());
    let fill = |all: &mut Generations, neighbour: &str, now| {
        all.numbered(&unit(neighbour), EPOCHS);
        for sender in 0..100 {
            let texts = (1..=20).map(|seq| text(&format!("s{sender}"), seq));
            all.remember(now, (&unit(neighbour), EPOCHS), Way::Came, texts.collect());
        }
    };
    for (n, now) in (0..20).zip(0..) {
        fill(&mut all, &format!("n{n}"), now);
        assert!(all.bytes() <= 100_000);
    }
    let of = |all: &Generations, neighbour: &str| {
        let hop = &all.hops[&unit(neighbour)];
        hop.rings.values().map(Ring::bytes).sum::<usize>()
    };
    assert!(of(&all, "n19") > 10_000 && of(&all, "n19") <= 25_000);
    assert_eq!(of(&all, "n2"), 0, "the least lately used has gone");
    let sum: usize = (0..20).map(|n| of(&all, &format!("n{n}"))).sum();
    assert_eq!(sum, all.bytes(), "what is counted is what there is");
    all.set_all_bytes(10_000);
    assert!(all.bytes() <= 10_000);
    all.set_all_bytes(0);
    assert_eq!(all.bytes(), 0);
}

#[test]
fn what_is_idle_is_forgotten_by_its_sender_first() {
    let mut pair = Pair::new();
    pair.carry(1..=3);
    pair.from.tidy(1_000_000);
    pair.to.tidy(1_000_000);
    assert_eq!(pair.from.bytes(), 0);
    assert!(pair.to.bytes() > 0);
    pair.to.tidy(1_300_000);
    assert_eq!(pair.to.bytes(), 0);
}

#[test]
fn a_neighbour_that_lies_or_loses_without_end_is_given_up() {
    let mut pair = Pair::new();
    let hub = unit("hub");
    let never = pair
        .sends
        .answered(&mut pair.from, &hub, 1, GenerationAnswer::Have);
    assert_eq!(never, Err(AgreementError::NotOffered(1)));
    assert_eq!(pair.receives.named(1), Err(AgreementError::NotOffered(1)));

    // Offers without end: the last ones are remembered.
    pair.carry(1..=3);
    pair.ack(1..=3);
    let generation = pair.offer().expect("there is something");
    let edge = unit("edge");
    for number in 1..=1_000 {
        let mut offer = generation.clone();
        offer.number = number;
        assert_eq!(pair.hear(&offer), GenerationAnswer::Have);
    }
    assert_eq!(
        pair.receives.named(7),
        Ok(Named::Lost(Some(agreement_lack(7))))
    );
    for (number, first) in [(1_000, 1), (999, 1), (1_001, 4)] {
        let offer = Generation {
            number,
            first,
            ..generation.clone()
        };
        let refused = pair.receives.heard(&pair.to, &edge, offer, Some(BASE.1));
        assert_eq!(refused, Err(AgreementError::Offer(number)));
    }

    // Losses without end: a few, and nothing is offered any more; then the session ends.
    let mut pair = Pair::new();
    let mut agreed = 0;
    for round in 1..=10 {
        pair.carry(round * 10..round * 10 + 5);
        pair.ack(1..=200);
        if let Some(generation) = pair.offer() {
            agreed += 1;
            pair.answer(generation.number, GenerationAnswer::Have);
            pair.answer(generation.number, GenerationAnswer::Lack);
        }
    }
    assert_eq!(agreed, 4);
    let mut ends = false;
    for _ in 0..100 {
        let told = pair
            .sends
            .answered(&mut pair.from, &hub, 1, GenerationAnswer::Lack);
        ends |= told == Err(AgreementError::Lacked);
    }
    assert!(ends);
}

proptest! {
    /// Whatever is carried, acked, lost and forgotten: what a batch names is at both ends the same, or it is not there.
    #[test]
    fn both_ends_agree_or_know_that_they_do_not(
        steps in prop::collection::vec((0..12u8, 1..60u64, 0..4u64), 1..200),
    ) {
        let mut pair = Pair::new();
        let (hub, edge) = (unit("hub"), unit("edge"));
        let mut last: Option<Generation> = None;
        for (what, seq, more) in steps {
            let seqs = seq..=seq + more;
            match what {
                0..=3 => pair.carry(seqs),
                4 => seqs.for_each(|seq| {
                    // It is sent, and the batch is lost.
                    let texts = vec![text(WRITER, seq)];
                    pair.from
                        .remember(0, (&hub, EPOCHS), Way::Sent, texts);
                }),
                5 => seqs.for_each(|seq| {
                    // It comes with other bytes: the hop was numbered afresh, and this end does not know yet.
                    let mut other = text(WRITER, seq);
                    other.parcel = Digest([seq as u8; 16]);
                    other.bytes = Bytes::from_static(b"something else");
                    pair.to
                        .remember(0, (&edge, EPOCHS), Way::Came, vec![other]);
                }),
                6 | 7 => pair.ack(seqs),
                8 => pair.from.forget(&hub, seqs),
                9 if more == 0 => pair.to.clear(),
                9 if more == 1 => pair.from.clear(),
                _ => {
                    if let Some(offer) = pair.offer() {
                        let answer = pair.hear(&offer);
                        pair.answer(offer.number, answer);
                        last = (answer == GenerationAnswer::Have).then_some(offer);
                    }
                }
            }
            if let Some(generation) = &last
                && let Some(ours) = pair.ours(generation)
                && let Some(theirs) = pair.theirs(generation)
            {
                prop_assert_eq!(ours, theirs);
            }
            let counted = |all: &Generations| {
                let rings = all.hops.values().flat_map(|hop| hop.rings.values());
                rings.map(Ring::bytes).sum::<usize>() == all.bytes()
            };
            prop_assert!(counted(&pair.from) && counted(&pair.to));
        }
    }
}
