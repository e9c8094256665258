//! The bytes of one group: what the hop says of its parcels, their headers and their bodies, laid out so that they compress.
//!
//! A header is taken apart: what chance made (an identifier) goes where nothing is compressed, times become small
//! differences, and a sender or signer that the entry before has too is left out. A signer's fingerprint is as good as chance, but stands
//! behind its sender among the texts: in what was sent before there are both. It is put together again from its fields, which
//! have one encoding only; a header that is not in that encoding travels as it is.

use super::{batch::BatchError, identifier, varint};
use crate::{
    codec,
    delivery::hop::{Entry, Targets},
    model::{Fingerprint, Millis, Pattern, UnitId},
    parcel::{Attribute, Header, Parcel},
};

/// One parcel of a group.
pub(super) struct Item<'a> {
    /// Its place in the batch, from 0.
    pub(super) position: u64,
    pub(super) entry: &'a Entry,
    pub(super) parcel: &'a Parcel,
    /// Its header, unless it does not decode.
    pub(super) header: Option<Header>,
}

/// Bits 0 and 1 of an entry's flags: the form of the identifier, [`identifier::Form`].
const FORM: u8 = 0b11;
/// The sender is that of the entry before.
const SENDER_AGAIN: u8 = 1 << 2;
/// The signer is that of the entry before.
const SIGNER_AGAIN: u8 = 1 << 3;
/// The header travels as it is.
const PLAIN_HEADER: u8 = 1 << 4;
/// `attested` is not 0.
const ATTESTED: u8 = 1 << 5;
/// The expiry is told in days, not in milliseconds.
const WHOLE_DAYS: u8 = 1 << 6;

const DAY: Millis = 24 * 3600 * 1000;

/// What a field may claim while it is decoded, in bytes.
const CLAIM_BYTES_MAX: usize = 4 * Header::BYTES_MAX;

/// The columns, in the order in which they stand.
#[derive(Default)]
struct Columns {
    flags: Vec<u8>,
    positions: Vec<u8>,
    seqs: Vec<u8>,
    afters: Vec<u8>,
    targets: Vec<u8>,
    accepted: Vec<u8>,
    expires: Vec<u8>,
    attested: Vec<u8>,
    id_times: Vec<u8>,
    headers: Vec<u8>,
    bodies: Vec<u8>,
    text: Vec<u8>,
    without_signers: bool,
}

/// What an entry is told against: the one before it in its group.
struct Before {
    position: u64,
    seq: u64,
    sender: Option<UnitId>,
    signer: Option<Fingerprint>,
    accepted: Millis,
    id_time: Option<u64>,
}

impl Before {
    const fn none() -> Self {
        Self {
            // One less than the first place.
            position: u64::MAX,
            seq: 0,
            sender: None,
            signer: None,
            accepted: 0,
            id_time: None,
        }
    }
}

/// Writes a group: what is to be compressed, and what cannot be.
pub(super) fn write(items: &[Item<'_>]) -> (Vec<u8>, Vec<u8>) {
    write_as(items, false)
}

/// The bytes of a group that compress in general: without signers, which are chance to whoever has not seen them before.
pub(super) fn compressible(items: &[Item<'_>]) -> Vec<u8> {
    write_as(items, true).0
}

fn write_as(items: &[Item<'_>], without_signers: bool) -> (Vec<u8>, Vec<u8>) {
    let mut columns = Columns {
        without_signers,
        ..Columns::default()
    };
    let mut random = Vec::with_capacity(items.len() * 80);
    let mut before = Before::none();
    for item in items {
        write_entry(item, &mut columns, &mut before);
        random.extend_from_slice(item.parcel.signature());
        let flags = match &item.header {
            Some(header) => write_header(item, header, &mut columns, &mut random, &mut before),
            None => write_plain(item, &mut columns),
        };
        columns.flags.push(flags);
        let body = item.parcel.body();
        varint::put(&mut columns.bodies, body.len() as u64);
        columns.text.extend_from_slice(&body);
    }
    let plain = [
        columns.flags,
        columns.positions,
        columns.seqs,
        columns.afters,
        columns.targets,
        columns.accepted,
        columns.expires,
        columns.attested,
        columns.id_times,
        columns.headers,
        columns.bodies,
        columns.text,
    ]
    .concat();
    (plain, random)
}

fn write_entry(item: &Item<'_>, columns: &mut Columns, before: &mut Before) {
    let Item {
        position, entry, ..
    } = item;
    varint::put(
        &mut columns.positions,
        position.wrapping_sub(before.position) - 1,
    );
    before.position = *position;
    let next = before.seq.wrapping_add(1);
    varint::put(&mut columns.seqs, varint::difference(next, entry.seq));
    before.seq = entry.seq;
    varint::put(&mut columns.afters, entry.after.len() as u64);
    for distance in &entry.after {
        varint::put(&mut columns.afters, *distance);
    }
    match &entry.targets {
        Targets::Signed => columns.targets.push(0),
        Targets::You => columns.targets.push(1),
        Targets::Named(names) => {
            varint::put(&mut columns.targets, names.len() as u64 + 2);
            for name in names {
                codec::encode_into(name, &mut columns.text);
            }
        }
    }
}

fn write_plain(item: &Item<'_>, columns: &mut Columns) -> u8 {
    let header = item.parcel.header_bytes();
    varint::put(&mut columns.headers, header.len() as u64);
    columns.text.extend_from_slice(header);
    PLAIN_HEADER | write_attested(item.entry, 0, columns)
}

fn write_attested(entry: &Entry, against: Millis, columns: &mut Columns) -> u8 {
    if entry.attested == 0 {
        return 0;
    }
    varint::put(
        &mut columns.attested,
        varint::difference(against, entry.attested),
    );
    ATTESTED
}

fn write_header(
    item: &Item<'_>,
    header: &Header,
    columns: &mut Columns,
    random: &mut Vec<u8>,
    before: &mut Before,
) -> u8 {
    let mut flags = write_attested(item.entry, header.accepted, columns);
    varint::put(
        &mut columns.accepted,
        varint::difference(before.accepted, header.accepted),
    );
    before.accepted = header.accepted;
    let kept = header.expires.wrapping_sub(header.accepted);
    if kept.is_multiple_of(DAY) {
        flags |= WHOLE_DAYS;
        varint::put(&mut columns.expires, kept / DAY);
    } else {
        varint::put(&mut columns.expires, kept);
    }

    let text = &mut columns.text;
    if before.sender.as_ref() == Some(&header.sender) {
        flags |= SENDER_AGAIN;
    } else {
        codec::encode_into(&header.sender, text);
        before.sender = Some(header.sender.clone());
    }
    if before.signer == Some(header.signer) {
        flags |= SIGNER_AGAIN;
    } else {
        if !columns.without_signers {
            text.extend_from_slice(&header.signer.0);
        }
        before.signer = Some(header.signer);
    }
    match identifier::read(&header.id) {
        Some(id) => {
            flags |= id.form as u8;
            if let Some(time) = id.time {
                let against = before.id_time.unwrap_or(header.accepted);
                varint::put(&mut columns.id_times, varint::difference(against, time));
                before.id_time = Some(time);
            }
            random.extend_from_slice(&id.random);
        }
        None => codec::encode_into(&header.id, text),
    }
    write_fields(header, text);
    flags
}

fn write_fields(header: &Header, text: &mut Vec<u8>) {
    codec::encode_into(&header.to, text);
    codec::encode_into(&header.kind, text);
    codec::encode_into(&header.case, text);
    codec::encode_into(&header.lane, text);
    codec::encode_into(&header.attachments, text);
    codec::encode_into(&header.form, text);
    codec::encode_into(&header.attributes, text);
}

/// The text of a parcel that travels alone, without what chance made: for later ones to be compressed against.
pub(super) fn text(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len() + 128);
    codec::encode_into(&header.sender, &mut text);
    text.extend_from_slice(&header.signer.0);
    write_fields(header, &mut text);
    text.extend_from_slice(body);
    text
}

/// Reads a group of `count` parcels and adds them to `entries`, each with its place in the batch; `random` moves behind the
/// group's incompressible bytes.
pub(super) fn read(
    plain: &[u8],
    random: &mut &[u8],
    count: usize,
    parcels_max: usize,
    entries: &mut Vec<(u64, (Entry, Parcel))>,
) -> Result<(), BatchError> {
    let mut rest = plain;
    let heads = read_heads(&mut rest, count, parcels_max)?;
    let mut before = Before::none();
    for head in heads {
        let entry = head.entry(&mut rest)?;
        let signature = take(random, 64)?.first_chunk().ok_or(BatchError::Short)?;
        let header = head.header(&mut rest, random, &mut before)?;
        if header.len() > Header::BYTES_MAX {
            return Err(BatchError::Header(format!(
                "it is {} bytes long",
                header.len()
            )));
        }
        let body = take_len(&mut rest, head.body)?;
        entries.push((
            head.position,
            (entry, Parcel::join(signature, &header, body)),
        ));
    }
    match rest.len() {
        0 => Ok(()),
        left => Err(BatchError::LeftOver(left)),
    }
}

/// The columns' values of one entry.
#[derive(Default)]
struct Head {
    flags: u8,
    position: u64,
    seq: u64,
    after: Vec<u64>,
    targets: u64,
    accepted: Millis,
    expires: Millis,
    attested: Millis,
    id_time: u64,
    header: u64,
    body: u64,
}

fn read_heads(rest: &mut &[u8], count: usize, parcels_max: usize) -> Result<Vec<Head>, BatchError> {
    let flags = take(rest, count)?;
    let mut heads: Vec<Head> = flags
        .iter()
        .map(|flags| Head {
            flags: *flags,
            ..Head::default()
        })
        .collect();
    if heads
        .iter()
        .any(|head| head.flags & 0x80 != 0 || head.flags & FORM == FORM)
    {
        return Err(BatchError::Field("flags"));
    }
    let mut number = |what| varint::take(rest).ok_or(BatchError::Field(what));

    let mut before = Before::none();
    for head in &mut heads {
        let gap = number("position")?;
        head.position = before
            .position
            .wrapping_add(1)
            .checked_add(gap)
            .filter(|position| *position < parcels_max as u64)
            .ok_or(BatchError::Order)?;
        before.position = head.position;
    }
    for head in &mut heads {
        head.seq = varint::apart(before.seq.wrapping_add(1), number("seq")?);
        before.seq = head.seq;
    }
    for head in &mut heads {
        for _ in 0..number("after")? {
            head.after.push(number("after")?);
        }
    }
    for head in &mut heads {
        head.targets = number("targets")?;
    }
    for head in heads.iter_mut().filter(|head| !head.has(PLAIN_HEADER)) {
        head.accepted = varint::apart(before.accepted, number("accepted")?);
        before.accepted = head.accepted;
    }
    for head in heads.iter_mut().filter(|head| !head.has(PLAIN_HEADER)) {
        let kept = number("expires")?;
        let unit = if head.has(WHOLE_DAYS) { DAY } else { 1 };
        let kept = kept.checked_mul(unit).ok_or(BatchError::Field("expires"))?;
        head.expires = head.accepted.wrapping_add(kept);
    }
    for head in heads.iter_mut().filter(|head| head.has(ATTESTED)) {
        head.attested = varint::apart(head.accepted, number("attested")?);
    }
    for head in &mut heads {
        if !head.has(PLAIN_HEADER) && head.flags & FORM == identifier::Form::Ulid as u8 {
            let against = before.id_time.unwrap_or(head.accepted);
            head.id_time = varint::apart(against, number("id")?);
            before.id_time = Some(head.id_time);
        }
    }
    for head in heads.iter_mut().filter(|head| head.has(PLAIN_HEADER)) {
        head.header = number("header length")?;
    }
    for head in &mut heads {
        head.body = number("body length")?;
    }
    Ok(heads)
}

impl Head {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn entry(&self, rest: &mut &[u8]) -> Result<Entry, BatchError> {
        let targets = match self.targets {
            0 => Targets::Signed,
            1 => Targets::You,
            more => {
                let mut names = Vec::new();
                for _ in 2..more {
                    names.push(field::<Pattern>(rest)?);
                }
                Targets::Named(names)
            }
        };
        Ok(Entry {
            seq: self.seq,
            after: self.after.clone(),
            targets,
            attested: self.attested,
        })
    }

    /// The bytes of the header.
    fn header(
        &self,
        rest: &mut &[u8],
        random: &mut &[u8],
        before: &mut Before,
    ) -> Result<Vec<u8>, BatchError> {
        if self.has(PLAIN_HEADER) {
            return Ok(take_len(rest, self.header)?.to_vec());
        }
        let sender = match before.sender.take() {
            Some(sender) if self.has(SENDER_AGAIN) => sender,
            None if self.has(SENDER_AGAIN) => return Err(BatchError::Field("sender")),
            _ => field(rest)?,
        };
        before.sender = Some(sender.clone());
        let signer = match before.signer {
            Some(signer) if self.has(SIGNER_AGAIN) => signer,
            None if self.has(SIGNER_AGAIN) => return Err(BatchError::Field("signer")),
            _ => Fingerprint(*take(rest, 16)?.first_chunk().ok_or(BatchError::Short)?),
        };
        before.signer = Some(signer);
        let id = match self.flags & FORM {
            0 => field(rest)?,
            form => {
                let ulid = form == identifier::Form::Ulid as u8;
                let bytes = take(random, if ulid { 10 } else { 16 })?;
                identifier::write(ulid.then_some(self.id_time), bytes)
                    .ok_or(BatchError::Field("id"))?
            }
        };
        let header = Header {
            sender,
            id,
            to: field(rest)?,
            kind: field(rest)?,
            case: field(rest)?,
            lane: field(rest)?,
            accepted: self.accepted,
            expires: self.expires,
            signer,
            attachments: field(rest)?,
            form: field(rest)?,
            attributes: field::<Vec<Attribute>>(rest)?,
        };
        Ok(codec::encode(&header))
    }
}

fn field<T: bincode::Decode<()>>(rest: &mut &[u8]) -> Result<T, BatchError> {
    let (value, after) = codec::decode_prefix::<T, CLAIM_BYTES_MAX>(rest)
        .map_err(|error| BatchError::Header(error.to_string()))?;
    *rest = after;
    Ok(value)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], BatchError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(BatchError::Short)?;
    *rest = after;
    Ok(taken)
}

fn take_len<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], BatchError> {
    take(
        rest,
        usize::try_from(length).map_err(|_| BatchError::Short)?,
    )
}
