//! What the state machine costs, with nothing around it: `cargo bench --bench delivery`, messages of about 1 KB, 64 at a time, on one core.
//! The log is in memory and everything is synced at once.
//!
//! To be read against the signatures (`parcel`: some 12 us to sign and 40 us to verify a message): the machine has one thread, and as long
//! as it costs a small part of them, it is not what bounds a node.
//!
//! - `submit`: an edge takes messages from its applications, until they may be answered.
//! - `carry`: the same, and they go to the hub in batches, are in its inbox, are acked, and receipts come back: what both ends do for a
//!   message.

use std::collections::HashMap;

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use bytes::Bytes;
use casegate::{
    codec,
    delivery::{Arrival, Delivery, Input, LinkInfo, Output, SessionId, Settings, Submission},
    model::{
        Allow, Digest, Fingerprint, Kind, Lane, Limits, Location, Log, Lsn, Now, Payload, Policy,
        ReceiptItem, UnitId,
    },
    parcel::{BodyForm, Header, Parcel, Signer},
    sample::{Generator, Options},
};
use divan::{Bencher, counter::ItemsCount};

const MESSAGES: usize = 64;
const SESSION: SessionId = 1;
const WALL: u64 = 1_800_000_000_000;
/// How far the clock goes on in a turn: acks and receipts wait a little for others.
const TURN_MS: u64 = 25;
/// Turns without anything to do, after which nothing more comes.
const QUIET_TURNS: u32 = 4;

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 200, sample_size = 4)]
fn submit(bencher: Bencher<'_, '_>) {
    let mut edge = Node::new("hebi.xunxian.tobacco", Some("hebi.hub"));
    let mut made = Made::new();
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| made.messages())
        .bench_local_values(|messages| {
            for message in messages {
                edge.tell(submission(message));
            }
            edge.sync();
            while edge.machine.poll_output().is_some() {}
        });
}

#[divan::bench(sample_count = 200, sample_size = 4)]
fn carry(bencher: Bencher<'_, '_>) {
    let mut edge = Node::new("hebi.xunxian.tobacco", Some("hebi.hub"));
    let mut hub = Node::new("hebi.hub", None);
    edge.up("hebi.hub");
    hub.up("hebi.xunxian.tobacco");
    settle(&mut edge, &mut hub);
    let mut made = Made::new();
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| made.messages())
        .bench_local_values(|messages| {
            let before = hub.delivered;
            for message in messages {
                edge.tell(submission(message));
            }
            settle(&mut edge, &mut hub);
            assert_eq!(hub.delivered - before, MESSAGES as u64);
        });
}

fn submission(message: Submission) -> Input {
    Input::Submit {
        ticket: 1,
        messages: vec![message],
    }
}

/// Messages, signed.
struct Made {
    samples: Generator,
    signer: Signer,
    number: u64,
}

impl Made {
    fn new() -> Self {
        let options = Options {
            start: WALL,
            from: Some("hebi.xunxian.tobacco".parse().expect("a unit")),
            to: Some("hebi.hub".parse().expect("a unit")),
        };
        Self {
            samples: Generator::with(1, options),
            signer: signer(),
            number: 0,
        }
    }

    fn messages(&mut self) -> Vec<Submission> {
        let samples = self.samples.by_ref().take(MESSAGES);
        let messages = samples.map(|sample| {
            let parcel = sample.parcel(&self.signer, WALL);
            let header = parcel.header().expect("a header");
            self.number += 1;
            Submission {
                content: Digest::of(&self.number.to_le_bytes()),
                header,
                parcel,
            }
        });
        messages.collect()
    }
}

fn signer() -> Signer {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Signer::from_pkcs8(document.as_ref(), Fingerprint([7; 16])).expect("a signer")
}

/// A log in memory.
#[derive(Default)]
struct Memory {
    last: Lsn,
    end: u32,
    payloads: HashMap<Location, Bytes>,
}

impl Log for Memory {
    fn append(&mut self, _record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
        self.last += 1;
        self.end += 1;
        let at = Location {
            segment: 1,
            offset: self.end,
            len: 1,
        };
        if let Payload::New(bytes) = payload {
            self.payloads.insert(at, Bytes::copy_from_slice(bytes));
        }
        (self.last, at)
    }
}

/// One machine and what it needs.
struct Node {
    machine: Delivery,
    log: Memory,
    unit: UnitId,
    signer: Signer,
    mono: u64,
    /// Messages that came into the inbox.
    delivered: u64,
}

impl Node {
    fn new(unit: &str, upstream: Option<&str>) -> Self {
        let unit: UnitId = unit.parse().expect("a unit");
        let all = "**".parse().expect("a pattern");
        let rule = Allow {
            from: "**".parse().expect("a pattern"),
            to: "**".parse().expect("a pattern"),
            kinds: vec![all],
        };
        let settings = Settings {
            unit: unit.clone(),
            listens: upstream.is_none(),
            upstream: upstream.map(|hub| hub.parse().expect("a unit")),
            units: Vec::new(),
            policy: Policy { allow: vec![rule] },
            limits: Limits::default(),
            kinds_without_read: Vec::new(),
        };
        let mut node = Self {
            machine: Delivery::new(settings),
            log: Memory::default(),
            signer: signer(),
            unit,
            mono: 1000,
            delivered: 0,
        };
        let (now, epoch) = (node.now(), 1 + node.unit.as_str().len() as u64);
        node.machine.start(now, epoch, false, &mut node.log);
        node
    }

    fn now(&self) -> Now {
        Now {
            mono: self.mono,
            wall: WALL,
        }
    }

    fn tell(&mut self, input: Input) {
        self.machine.handle(self.now(), input, &mut self.log);
    }

    fn sync(&mut self) {
        self.tell(Input::Synced(self.log.last));
    }

    fn up(&mut self, neighbour: &str) {
        self.tell(Input::SessionUp {
            session: SESSION,
            neighbour: neighbour.parse().expect("a unit"),
            link: LinkInfo {
                name: "lan".into(),
                kind: "lan".into(),
            },
        });
        self.grant(16);
    }

    fn grant(&mut self, bulk: u16) {
        self.tell(Input::Grant {
            session: SESSION,
            express: 4,
            bulk,
        });
    }

    /// Carries out what the machine wants; gives what is for the other one. Tells whether there was anything.
    fn turn(&mut self, other: &mut Vec<Input>) -> bool {
        self.sync();
        self.mono += TURN_MS;
        if self
            .machine
            .next_timer()
            .is_some_and(|due| due <= self.mono)
        {
            self.tell(Input::Tick);
        }
        let mut any = false;
        while let Some(output) = self.machine.poll_output() {
            any = true;
            match output {
                Output::Send { frame, .. } => other.push(Input::Frame {
                    session: SESSION,
                    frame,
                }),
                Output::Batch { parcels, .. } => {
                    let arrivals = parcels.into_iter().map(|departure| {
                        let bytes = self.log.payloads.get(&departure.at).expect("it is kept");
                        arrival(departure.entry, bytes.clone())
                    });
                    other.push(Input::Arrivals {
                        session: SESSION,
                        arrivals: arrivals.collect(),
                    });
                    self.grant(1);
                }
                Output::MakeReceipt {
                    number,
                    to,
                    items,
                    expires,
                } => self.receipt(number, to, &items, expires),
                Output::Freed(at) => {
                    self.log.payloads.remove(&at);
                }
                Output::Event(casegate::delivery::Event::Message {
                    what: casegate::delivery::Step::Delivered,
                    ..
                }) => self.delivered += 1,
                Output::Close { why, .. } => panic!("{}: {why}", self.unit),
                Output::BlobFetch { .. }
                | Output::BlobClose(_)
                | Output::BlobRun { .. }
                | Output::BlobFreed(_) => panic!("no message here has attachments"),
                Output::Reply { .. } | Output::Event(_) => {}
            }
        }
        any
    }

    fn receipt(&mut self, number: u64, to: UnitId, items: &[ReceiptItem], expires: u64) {
        let header = Header {
            sender: self.unit.clone(),
            id: format!("receipt-{number}-{}", self.log.last),
            to: vec![(&to).into()],
            kind: Kind::receipt(),
            case: None,
            lane: Lane::Urgent,
            accepted: WALL,
            expires,
            signer: self.signer.certificate(),
            attachments: Vec::new(),
            form: BodyForm::Binary,
            attributes: Vec::new(),
        };
        let parcel = self.signer.seal(&header, &codec::encode(&items.to_vec()));
        self.tell(Input::ReceiptSigned {
            number,
            parcel,
            header,
        });
    }
}

/// What workers make of a parcel that came; its signature is not checked here.
fn arrival(entry: casegate::delivery::hop::Entry, bytes: Bytes) -> Arrival {
    let parcel = Parcel::read(bytes).expect("a parcel");
    let header = parcel.header().expect("a header");
    let receipt = match header.kind.is_receipt() {
        true => codec::decode::<_, 65_536>(&parcel.body()).expect("lines"),
        false => Vec::new(),
    };
    Arrival {
        entry,
        header: Some(header),
        parcel,
        receipt,
        verdict: Ok(()),
    }
}

/// Lets both go on until neither has anything to do any more.
fn settle(edge: &mut Node, hub: &mut Node) {
    let (mut to_edge, mut to_hub) = (Vec::new(), Vec::new());
    let mut quiet = 0;
    while quiet < QUIET_TURNS {
        let any = edge.turn(&mut to_hub) | hub.turn(&mut to_edge);
        for input in to_hub.drain(..) {
            hub.tell(input);
        }
        for input in to_edge.drain(..) {
            edge.tell(input);
        }
        quiet = if any { 0 } else { quiet + 1 };
    }
}
