//! Any sequence of inputs that neighbours, applications and operators can bring about: no panic, a bound on what one input makes the
//! machine say, and a replay of its records keeps the same parcels.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use casegate::{
    codec,
    delivery::{
        Arrival, BlobNews, Delivery, Input, KnownUnit, LinkInfo, LinkTerms, Order, Output, Path,
        Room, Settings, Submission, Takes,
        hop::{
            Absent, Ack, Entry, Frame, GoneAnswer, Have, Hello, OfferAnswer, PROTOCOL_VERSION,
            Targets, Want,
        },
    },
    model::{
        Allow, BlobDigest, Digest, Fingerprint, Kind, Lane, Limits, Location, Log, Lsn, MessageId,
        Now, Outcome, Payload, Policy, Ranges, Reason, ReceiptItem, UnitId,
    },
    parcel::{BodyForm, Header, Parcel},
};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 96;
const OUTPUTS_MAX: usize = 20_000;
const START: u64 = 1_772_000_000_000;
const UNITS: [&str; 5] = ["a.hub", "a.one", "a.two", "a.county", "b.far"];

fn unit(at: usize) -> UnitId {
    UNITS[at % UNITS.len()].parse().expect("a unit")
}

/// A journal that keeps everything.
#[derive(Default)]
struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Log for Records {
    fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
        let payload = match payload {
            Payload::None => Vec::new(),
            Payload::New(bytes) => bytes.to_vec(),
            Payload::Copy(from) => self.0[from.offset as usize].1.clone(),
        };
        let at = location(self.0.len(), &payload);
        self.0.push((record.to_vec(), payload));
        (self.0.len() as Lsn, at)
    }
}

fn location(index: usize, payload: &[u8]) -> Location {
    Location {
        segment: 1 + index as u32 / 16,
        offset: index as u32,
        len: payload.len() as u32 + 48,
    }
}

fn settings(is_hub: bool, blocked: bool) -> Settings {
    let all = || "**".parse().expect("a pattern");
    let limits = Limits {
        units: 4,
        ..Limits::default()
    };
    Settings {
        unit: unit(if is_hub { 0 } else { 1 }),
        upstream: (!is_hub).then(|| unit(0)),
        listens: is_hub,
        units: vec![
            KnownUnit {
                name: unit(2),
                blocked,
                serves: vec![],
            },
            KnownUnit {
                name: unit(3),
                blocked: false,
                serves: vec!["b.**".parse().expect("a pattern")],
            },
        ],
        policy: Policy {
            allow: vec![Allow {
                from: all(),
                to: all(),
                kinds: vec![all()],
            }],
        },
        limits,
        kinds_without_read: vec![],
    }
}

struct Run {
    is_hub: bool,
    machine: Delivery,
    records: Records,
    now: Now,
    sessions: Vec<u64>,
    names: u64,
    parcels: Vec<Digest>,
    messages: Vec<MessageId>,
    epochs: BTreeMap<u64, u64>,
}

impl Run {
    fn new(is_hub: bool) -> Self {
        let mut run = Self {
            is_hub,
            machine: Delivery::new(settings(is_hub, false)),
            records: Records::default(),
            now: Now {
                mono: 1,
                wall: START,
            },
            sessions: Vec::new(),
            names: 1,
            parcels: Vec::new(),
            messages: Vec::new(),
            epochs: BTreeMap::new(),
        };
        run.machine.start(run.now, 77, false, &mut run.records);
        run.drain();
        run
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn give(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.records);
        self.drain();
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        let mut receipts = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "one input has no end of outputs");
            match output {
                Output::Send {
                    frame: Frame::Hello(hello),
                    session,
                } => {
                    self.epochs.insert(session, hello.epoch);
                }
                Output::Close { session, .. } => {
                    self.sessions.retain(|live| *live != session);
                    self.machine.handle(
                        self.now,
                        Input::SessionDown { session },
                        &mut self.records,
                    );
                }
                Output::MakeReceipt {
                    number,
                    to,
                    items,
                    expires,
                } => receipts.push((number, to, items, expires)),
                _ => {}
            }
        }
        for (number, to, items, expires) in receipts {
            let name = self.name();
            let header = Header {
                sender: unit(if self.is_hub { 0 } else { 1 }),
                id: format!("r{name}"),
                to: vec![to.as_str().parse().expect("a pattern")],
                kind: Kind::receipt(),
                case: None,
                lane: Lane::Urgent,
                accepted: self.now.wall,
                expires,
                signer: Fingerprint([0; 16]),
                attachments: vec![],
                form: BodyForm::Binary,
                attributes: vec![],
            };
            let parcel = seal(&header, &codec::encode(&items));
            self.give(Input::ReceiptSigned {
                number,
                parcel,
                header,
            });
        }
    }

    fn session(&self, data: &mut Unstructured<'_>) -> Result<Option<u64>> {
        let at = usize::arbitrary(data)?;
        Ok(self.sessions.get(at % self.sessions.len().max(1)).copied())
    }

    fn header(&self, data: &mut Unstructured<'_>, sender: UnitId) -> Result<Header> {
        let to = (0..data.int_in_range(1..=2)?).map(|_| {
            Ok(match data.int_in_range(0..=7)? {
                5 => "a.**".parse().expect("a pattern"),
                6 => "**".parse().expect("a pattern"),
                7 => "a.nobody".parse().expect("a pattern"),
                at => unit(at).as_str().parse().expect("a pattern"),
            })
        });
        let to = to.collect::<Result<Vec<_>>>()?;
        let attachments = match data.int_in_range(0..=5)? {
            0 => vec![blob(data)?.0],
            1 => vec![blob(data)?.0, blob(data)?.0],
            _ => vec![],
        };
        let case = match data.int_in_range(0..=2)? {
            0 => None,
            n => Some(format!("C-{n}")),
        };
        Ok(Header {
            sender,
            id: format!("m{}", data.int_in_range(0..=9)?),
            to,
            kind: "notice".parse().expect("a kind"),
            case,
            lane: Lane::ALL[data.int_in_range(0..=3)?],
            accepted: self.now.wall,
            expires: self.now.wall + data.int_in_range(0..=3)? * 10_000_000,
            signer: Fingerprint([0; 16]),
            attachments,
            form: BodyForm::Binary,
            attributes: vec![],
        })
    }

    fn arrival(&mut self, data: &mut Unstructured<'_>) -> Result<Arrival> {
        let sender = unit(data.int_in_range(0..=4)?);
        let mut header = self.header(data, sender)?;
        let mut receipt = Vec::new();
        let mut body = vec![data.int_in_range(0..=1)?; 3];
        if bool::arbitrary(data)? && !self.parcels.is_empty() {
            header.kind = Kind::receipt();
            let about = *data.choose(&self.parcels)?;
            receipt.push(ReceiptItem {
                parcel: about,
                receiver: unit(data.int_in_range(0..=4)?)
                    .as_str()
                    .parse()
                    .expect("a pattern"),
                outcome: *data.choose(&[
                    Outcome::Relayed,
                    Outcome::Delivered,
                    Outcome::Read,
                    Outcome::Refused,
                    Outcome::Expired,
                ])?,
                reason: Reason::None,
                at: self.now.wall,
                note: String::new(),
            });
            body = codec::encode(&receipt);
        }
        let parcel = seal(&header, &body);
        self.parcels.push(parcel.digest());
        self.messages.push(header.message_id());
        let after = (0..data.int_in_range(0..=2)?)
            .map(|_| data.int_in_range(1..=4))
            .collect::<Result<_>>()?;
        let entry = Entry {
            seq: data.int_in_range(1..=24)?,
            after,
            targets: match data.int_in_range(0..=3)? {
                0 => Targets::You,
                1 => Targets::Named(header.to.clone()),
                2 => Targets::Named(vec![
                    unit(usize::arbitrary(data)?)
                        .as_str()
                        .parse()
                        .expect("a pattern"),
                ]),
                _ => Targets::Signed,
            },
            attested: self.now.wall,
        };
        let verdict = match data.int_in_range(0..=7)? {
            0 => Err(Reason::BadSignature),
            1 => Err(Reason::Malformed),
            _ => Ok(()),
        };
        // A judge has read the header of whatever it lets pass.
        let header = (verdict.is_ok() || bool::arbitrary(data)?).then_some(header);
        Ok(Arrival {
            entry,
            parcel,
            header,
            receipt,
            verdict,
        })
    }

    fn frame(&mut self, data: &mut Unstructured<'_>, session: u64) -> Result<Frame> {
        Ok(match data.int_in_range(0..=14)? {
            10 => Frame::Want(Want {
                digest: blob(data)?,
                senders: vec![unit(data.int_in_range(0..=4)?)],
                described: bool::arbitrary(data)?,
                have: ranges(data)?,
            }),
            11 => Frame::Unwant(blob(data)?),
            12 => Frame::Have(Have {
                digest: blob(data)?,
                chunks: ranges(data)?,
            }),
            13 => Frame::Absent(Absent {
                digest: blob(data)?,
                too_large: bool::arbitrary(data)?,
            }),
            14 => Frame::Present(blob(data)?),
            9 => Frame::Terms(terms(data)?),
            8 => Frame::Numbered(data.int_in_range(0..=16)?),
            0..=2 => {
                let ours = self.epochs.get(&session).copied().unwrap_or(0);
                Frame::Hello(Hello {
                    version: PROTOCOL_VERSION,
                    unit: unit(data.int_in_range(0..=4)?),
                    epoch: data.int_in_range(1..=3)?,
                    peer_epoch: if data.ratio(1, 4)? { 5 } else { ours },
                    received: ranges(data)?,
                    marks: (0..data.int_in_range(0..=2)?)
                        .map(|_| Ok((data.int_in_range(1..=16)?, u64::from(u8::arbitrary(data)?))))
                        .collect::<Result<_>>()?,
                    base: data.int_in_range(1..=8)?,
                    next: data.int_in_range(1..=16)?,
                    wall: START + u64::from(u32::arbitrary(data)?),
                    link_kind: "lan".into(),
                    link_name: "lan".into(),
                })
            }
            3 | 4 => Frame::Ack(Ack {
                received: ranges(data)?,
                parked: ranges(data)?,
                credit: [u64::from(u16::arbitrary(data)?) * 64; 4],
                closed: vec![unit(usize::arbitrary(data)?)],
                open: vec![unit(usize::arbitrary(data)?)],
            }),
            5 => Frame::Gone(ranges(data)?),
            6 => Frame::GoneAnswer(GoneAnswer {
                had: ranges(data)?,
                gone: ranges(data)?,
            }),
            _ if bool::arbitrary(data)? => Frame::Offer(self.digests(data)?),
            _ => Frame::OfferAnswer(OfferAnswer {
                lacked: self.digests(data)?,
                had: self.digests(data)?,
            }),
        })
    }

    fn digests(&self, data: &mut Unstructured<'_>) -> Result<Vec<Digest>> {
        let digests =
            (0..data.int_in_range(0..=3)?).filter_map(|_| data.choose(&self.parcels).ok());
        Ok(digests.copied().collect())
    }

    fn message(&self, data: &mut Unstructured<'_>) -> Result<MessageId> {
        match self.messages.is_empty() {
            true => Ok(MessageId::of(&unit(0), "none")),
            false => Ok(*data.choose(&self.messages)?),
        }
    }

    fn step(&mut self, data: &mut Unstructured<'_>) -> Result<()> {
        match data.int_in_range(0..=18)? {
            17 | 18 => {
                let (digest, session) = (blob(data)?, self.session(data)?.unwrap_or(0));
                let size = data.int_in_range(0..=24)? * 65_536;
                let news = match data.int_in_range(0..=6)? {
                    0 => BlobNews::Part {
                        size,
                        have: ranges(data)?,
                    },
                    1 | 2 => BlobNews::Stored(ranges(data)?),
                    3 => BlobNews::Whole { size },
                    4 => BlobNews::TooLarge,
                    5 if bool::arbitrary(data)? => BlobNews::NoRoom,
                    5 => BlobNews::Unasked { session },
                    _ => BlobNews::Lost,
                };
                self.give(Input::Blob { digest, news });
            }
            0 | 1 => {
                let session = self.name();
                self.sessions.push(session);
                self.give(Input::SessionUp {
                    session,
                    neighbour: unit(data.int_in_range(0..=3)?),
                    link: LinkInfo {
                        name: data.choose(&["lan", "3g"])?.to_string(),
                        kind: "lan".into(),
                    },
                });
            }
            2 => {
                if let Some(session) = self.session(data)? {
                    self.sessions.retain(|live| *live != session);
                    self.give(Input::SessionDown { session });
                }
            }
            3..=6 => {
                if let Some(session) = self.session(data)? {
                    let frame = self.frame(data, session)?;
                    self.give(Input::Frame { session, frame });
                }
            }
            7 | 8 => {
                if let Some(session) = self.session(data)? {
                    let count = data.int_in_range(1..=3)?;
                    let arrivals = (0..count).map(|_| self.arrival(data));
                    let arrivals = arrivals.collect::<Result<Vec<_>>>()?;
                    self.give(Input::Arrivals { session, arrivals });
                }
            }
            9 => {
                if let Some(session) = self.session(data)? {
                    let express = data.int_in_range(0..=3)?;
                    let bulk = data.int_in_range(0..=3)?;
                    self.give(match (express, bulk) {
                        (0, 0) => Input::SendAgain { session },
                        (0, 1) => Input::Terms {
                            session,
                            terms: terms(data)?,
                        },
                        (1, 0) => Input::Path {
                            session,
                            path: Path {
                                rate: u16::arbitrary(data)?.into(),
                                rtt_ms: u16::arbitrary(data)?.into(),
                                answers: bool::arbitrary(data)?,
                            },
                        },
                        _ => Input::Grant {
                            session,
                            express,
                            bulk,
                        },
                    });
                }
            }
            10 | 11 => {
                let header = self.header(data, unit(if self.is_hub { 0 } else { 1 }))?;
                let parcel = seal(&header, &[data.int_in_range(0..=1)?]);
                self.parcels.push(parcel.digest());
                self.messages.push(header.message_id());
                let content = parcel.digest();
                let ticket = self.name();
                self.give(Input::Submit {
                    ticket,
                    messages: vec![Submission {
                        parcel,
                        header,
                        content,
                    }],
                });
            }
            12 => {
                let (ticket, until) = (self.name(), self.now.mono + 100);
                self.give(Input::Inbox {
                    ticket,
                    max: data.int_in_range(1..=4)?,
                    until,
                });
                let messages = vec![self.message(data)?];
                match data.int_in_range(0..=3)? {
                    0 => self.give(Input::Forget { ticket }),
                    1 => self.give(Input::InboxRelease { ticket, messages }),
                    _ => self.give(Input::InboxAck { ticket, messages }),
                }
            }
            13 => {
                let message = self.message(data)?;
                let order = match data.int_in_range(0..=5)? {
                    0 => Order::Hold(message),
                    1 => Order::Release(message),
                    2 => Order::Retry(message),
                    3 => Order::Reprioritise(message, Lane::ALL[data.int_in_range(0..=3)?]),
                    4 => Order::Expire(message, "no longer needed".into()),
                    _ => Order::Drop(message, "no longer needed".into()),
                };
                let ticket = self.name();
                let orders = vec![order];
                self.give(Input::Operate { ticket, orders });
            }
            14 => {
                let by = u64::from(u16::arbitrary(data)?) * data.int_in_range(1..=2000)?;
                self.now.mono += by;
                self.now.wall += by;
                self.give(Input::Tick);
            }
            15 => match data.int_in_range(0..=3)? {
                0 => self.give(Input::Room(Room {
                    free: u64::from(u16::arbitrary(data)?),
                    bound: 1 << 20,
                    disk_full: bool::arbitrary(data)?,
                })),
                1 => {
                    let settings = settings(self.is_hub, bool::arbitrary(data)?);
                    self.give(Input::Settings(Box::new(settings)));
                }
                _ => {
                    let segments = 1 + self.records.0.len() as u32 / 16;
                    let segment = data.int_in_range(1..=segments)?;
                    self.give(Input::Compact { segment });
                }
            },
            _ => self.restart(),
        }
        if !data.ratio(1, 3)? {
            self.give(Input::Synced(self.records.0.len() as Lsn));
        }
        Ok(())
    }

    /// What the records say is all that there is.
    fn restart(&mut self) {
        self.give(Input::Synced(self.records.0.len() as Lsn));
        self.give(Input::Synced(self.records.0.len() as Lsn));
        let before = checkpoint(&self.machine);
        let settings = settings(self.is_hub, false);
        let mut again = Delivery::new(settings.clone());
        for (index, (record, payload)) in self.records.0.iter().enumerate() {
            again
                .replay(record, payload, index as Lsn + 1, location(index, payload))
                .expect("its own record");
        }
        again.start(self.now, 99, false, &mut self.records);
        // A hop that nothing was recorded of is as good as none, so this is not byte for byte.
        assert_eq!(again.epoch(), self.machine.epoch());
        assert_eq!(
            live(&again),
            live(&self.machine),
            "a replay keeps other parcels"
        );
        let restored = Delivery::restore(settings, &mut &before[..]);
        let restored = restored.expect("its own checkpoint");
        assert_eq!(
            live(&restored),
            live(&self.machine),
            "a checkpoint keeps other parcels"
        );
        assert!(
            checkpoint(&restored) == before,
            "what was restored writes another checkpoint"
        );
        self.machine = again;
        self.sessions.clear();
        self.drain();
    }
}

fn checkpoint(machine: &Delivery) -> Vec<u8> {
    let mut state = Vec::new();
    machine.checkpoint(&mut state).expect("memory takes it");
    state
}

fn live(machine: &Delivery) -> Vec<Location> {
    let mut live: Vec<_> = machine.live().collect();
    live.sort_unstable();
    live
}

fn blob(data: &mut Unstructured<'_>) -> Result<BlobDigest> {
    Ok(BlobDigest([data.int_in_range(1..=3)?; 32]))
}

fn terms(data: &mut Unstructured<'_>) -> Result<LinkTerms> {
    Ok(LinkTerms {
        cost_ms: u16::arbitrary(data)?.into(),
        takes: match bool::arbitrary(data)? {
            true => Takes::All,
            false => Takes::Express,
        },
    })
}

fn ranges(data: &mut Unstructured<'_>) -> Result<Ranges> {
    let mut ranges = Ranges::default();
    for _ in 0..data.int_in_range(0..=2)? {
        let (start, more): (u64, u64) = match data.ratio(1, 8)? {
            true => (u64::arbitrary(data)?, u64::arbitrary(data)?),
            false => (data.int_in_range(1..=20)?, data.int_in_range(0..=6)?),
        };
        ranges.insert_range(start, start.saturating_add(more));
    }
    Ok(ranges)
}

fn seal(header: &Header, body: &[u8]) -> Parcel {
    let parcel = Parcel::join(&[0; 64], &codec::encode(header), body);
    Parcel::read(Bytes::clone(parcel.bytes())).expect("a parcel")
}

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut run = Run::new(first % 2 == 0);
    let mut data = Unstructured::new(data);
    for _ in 0..OPERATIONS_MAX {
        // Ends when the bytes do.
        if data.is_empty() || run.step(&mut data).is_err() {
            break;
        }
    }
    run.restart();
});
