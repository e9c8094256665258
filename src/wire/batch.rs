//! A batch: several parcels in few bytes, for one trip over one link.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    columns::{self, Item},
    dictionary::{Against, Dictionary, Text},
    squeeze::{Compressor, Effort, Method, expand},
    varint,
};
use crate::{
    delivery::hop::Entry,
    model::{Kind, UnitId},
    parcel::{Header, Parcel},
};

/// The upper half of a batch's first byte: it is compressed against a dictionary, whose number the lower half has.
const DICTIONARY: u8 = 1;

/// The upper half of a batch's first byte: it is compressed against a generation of history, whose number the lower half has.
const GENERATION: u8 = 2;

/// In the lower half of the first byte: the number follows.
const NUMBER_FOLLOWS: u8 = 15;

/// Most parcels of one batch, whatever a node's settings say.
pub const BATCH_PARCELS_MAX: usize = 1024;

/// What may share a compressed frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Only what one sender wrote, so that a frame's size tells nobody about somebody else's text (CRIME, BREACH).
    #[default]
    Isolated,
    /// Everything: smallest, for neighbours whose senders trust each other.
    Shared,
    /// Nothing is compressed.
    Off,
}

/// How batches are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may share a compressed frame.
    pub compression: Compression,
    /// Kinds that are not compressed.
    pub plain: Arc<BTreeSet<Kind>>,
    /// How much work goes into it.
    pub effort: Effort,
    /// What it is compressed against.
    pub against: Against,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            compression: Compression::Isolated,
            plain: Arc::default(),
            effort: Effort::Level(9),
            against: Against::BuiltIn,
        }
    }
}

/// What a node takes from a neighbour in one batch (G7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most parcels; never more than [`BATCH_PARCELS_MAX`].
    pub parcels: usize,
    /// Most bytes after decompression, all parcels' headers and bodies together.
    pub plain_bytes: usize,
}

impl BatchLimits {
    /// The longest batch that can be within these limits, in bytes: read no more than this from a stream.
    pub const fn packed_bytes_max(&self) -> usize {
        // A signature, an identifier and a signer for each parcel; a group's head takes less than the rest.
        self.plain_bytes + self.parcels * 128 + 64
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            parcels: BATCH_PARCELS_MAX,
            plain_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Bytes from a neighbour are not a batch, or not one that this node takes. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Written by another version.
    #[error("batch version {0} is not known")]
    Version(u8),
    /// It names a dictionary that was not offered in this session, or not taken.
    #[error("batch dictionary {0} is not known")]
    Dictionary(u64),
    /// It names a generation that was not offered in this session.
    #[error("batch generation {0} is not known")]
    Generation(u64),
    /// Compressed in a way that is not known.
    #[error("batch compression method {0} is not known")]
    Method(u64),
    /// More parcels than the limit.
    #[error("the batch has more than {0} parcels")]
    TooManyParcels(usize),
    /// Larger than the limit once decompressed.
    #[error(
        "the batch is {bytes} bytes or more after decompression, at most {bytes_max} are allowed"
    )]
    TooLarge {
        /// What it claims.
        bytes: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// It ends before what it announces.
    #[error("the batch is cut short")]
    Short,
    /// No parcels, or a group without any.
    #[error("the batch has a group without parcels")]
    Empty,
    /// The compressed bytes do not decompress to what the batch says.
    #[error("the batch does not decompress to the {0} bytes that it announces")]
    Expand(usize),
    /// A field of an entry does not read.
    #[error("the batch's {0} does not read")]
    Field(&'static str),
    /// A header's fields do not decode.
    #[error("a header in the batch does not decode: {0}")]
    Header(String),
    /// Bytes are left over in a group.
    #[error("{0} bytes are left over in the batch")]
    LeftOver(usize),
    /// The entries' places are not each taken once.
    #[error("the batch's entries do not stand in one order")]
    Order,
}

/// Writes a batch. What [`unpack`] gives back is what was given, in the same order.
///
/// At most [`BATCH_PARCELS_MAX`] parcels; nothing at all is not a batch.
pub fn pack(
    entries: &[(Entry, Parcel)],
    settings: &Settings,
    compressor: &mut Compressor,
) -> Bytes {
    debug_assert!(!entries.is_empty() && entries.len() <= BATCH_PARCELS_MAX);
    let against = match settings.compression {
        Compression::Off => &Against::Nothing,
        _ => &settings.against,
    };
    let mut out = Vec::new();
    put_head(&mut out, against);
    for Group { items, is_plain } in groups(entries, settings.compression, &settings.plain) {
        let (plain, random) = columns::write(&items);
        let plain_bytes = plain.len();
        let (method, packed) = match is_plain {
            true => (Method::Stored, plain),
            false => compressor.squeeze(plain, settings.effort, against.text()),
        };
        varint::put(&mut out, (items.len() as u64) << 2 | method as u64);
        varint::put(&mut out, plain_bytes as u64);
        if method != Method::Stored {
            varint::put(&mut out, packed.len() as u64);
        }
        out.extend_from_slice(&packed);
        out.extend_from_slice(&random);
    }
    out.into()
}

/// The bytes of a batch that get compressed, when all of `entries` share a frame: what a dictionary is trained on.
pub fn compressible(entries: &[(Entry, Parcel)]) -> Vec<u8> {
    groups(entries, Compression::Shared, &BTreeSet::new())
        .iter()
        .flat_map(|group| columns::compressible(&group.items))
        .collect()
}

/// What it takes to read a batch, beside what every node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Nothing.
    Common,
    /// The sender's own dictionary of this number.
    Own(u64),
    /// The generation of this number.
    Generation(u64),
}

/// What a batch was compressed against.
///
/// # Errors
/// The bytes do not start as a batch does.
pub fn named(bytes: &[u8]) -> Result<Named, BatchError> {
    let (what, number) = take_head(&mut &*bytes)?;
    Ok(match (what, number) {
        (GENERATION, number) => Named::Generation(number),
        (_, number @ Against::OWN_FIRST..) => Named::Own(number),
        _ => Named::Common,
    })
}

/// Reads a batch, within `limits`: nothing beyond them is allocated, whatever the bytes say. `given` is what [`named`] says that
/// it takes.
///
/// Signatures are not looked at.
///
/// # Errors
/// The bytes are not a batch, or one that is beyond the limits.
pub fn unpack(
    bytes: &[u8],
    limits: &BatchLimits,
    given: Text<'_>,
) -> Result<Vec<(Entry, Parcel)>, BatchError> {
    let parcels_max = limits.parcels.min(BATCH_PARCELS_MAX);
    let mut rest = bytes;
    let text = match (take_head(&mut rest)?, given) {
        ((DICTIONARY, 0), _) => Text::Nothing,
        ((DICTIONARY, 1), _) => Text::Dictionary(Dictionary::built_in()),
        ((DICTIONARY, _), Text::Dictionary(_)) | ((GENERATION, _), Text::History(_)) => given,
        ((GENERATION, number), _) => return Err(BatchError::Generation(number)),
        ((_, number), _) => return Err(BatchError::Dictionary(number)),
    };
    let mut entries: Vec<(u64, (Entry, Parcel))> = Vec::new();
    let mut plain_left = limits.plain_bytes;
    while !rest.is_empty() {
        let head = varint::take(&mut rest).ok_or(BatchError::Short)?;
        let (count, method) = (head >> 2, head & 3);
        let method = Method::from_number(method).ok_or(BatchError::Method(method))?;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= parcels_max - entries.len())
            .ok_or(BatchError::TooManyParcels(parcels_max))?;
        if count == 0 {
            return Err(BatchError::Empty);
        }
        let plain_bytes = varint::take(&mut rest).ok_or(BatchError::Short)?;
        let length = usize::try_from(plain_bytes)
            .ok()
            .filter(|length| *length <= plain_left)
            .ok_or(BatchError::TooLarge {
                bytes: plain_bytes.saturating_add((limits.plain_bytes - plain_left) as u64),
                bytes_max: limits.plain_bytes,
            })?;
        plain_left -= length;
        let packed_bytes = match method {
            Method::Stored => plain_bytes,
            _ => varint::take(&mut rest).ok_or(BatchError::Short)?,
        };
        let (packed, after) = usize::try_from(packed_bytes)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(BatchError::Short)?;
        rest = after;
        let plain = expand(method, packed, length, text).ok_or(BatchError::Expand(length))?;
        columns::read(&plain, &mut rest, count, parcels_max, &mut entries)?;
    }
    in_order(entries)
}

fn put_head(out: &mut Vec<u8>, against: &Against) {
    let (what, number) = match against {
        Against::Nothing => (DICTIONARY, 0),
        Against::BuiltIn => (DICTIONARY, 1),
        Against::Own(number, _) => (DICTIONARY, *number),
        Against::History(number, _) => (GENERATION, *number),
    };
    match u8::try_from(number) {
        Ok(small) if small < NUMBER_FOLLOWS => out.push(what << 4 | small),
        _ => {
            out.push(what << 4 | NUMBER_FOLLOWS);
            varint::put(out, number);
        }
    }
}

fn take_head(rest: &mut &[u8]) -> Result<(u8, u64), BatchError> {
    let (first, after) = rest.split_first().ok_or(BatchError::Short)?;
    *rest = after;
    let what = first >> 4;
    if !matches!(what, DICTIONARY | GENERATION) {
        return Err(BatchError::Version(what));
    }
    let number = match first & 0x0f {
        NUMBER_FOLLOWS => varint::take(rest).ok_or(BatchError::Short)?,
        small => small.into(),
    };
    Ok((what, number))
}

/// What stands together in a batch.
struct Group<'a> {
    items: Vec<Item<'a>>,
    is_plain: bool,
}

/// The entries, by what may share a frame; groups in the order of their first entry, each with its entries in order.
fn groups<'a>(
    entries: &'a [(Entry, Parcel)],
    compression: Compression,
    plain: &BTreeSet<Kind>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<(Option<UnitId>, bool), usize> = HashMap::new();
    for (position, (entry, parcel)) in entries.iter().enumerate() {
        let header = parcel.header().ok();
        let kind = header.as_ref().map(|header: &Header| &header.kind);
        let is_plain =
            compression == Compression::Off || kind.is_some_and(|kind| plain.contains(kind));
        let sender = match (compression, &header) {
            (Compression::Isolated, Some(header)) => Some(header.sender.clone()),
            _ => None,
        };
        // Whose header does not read has no sender to share a frame with.
        let is_alone = compression == Compression::Isolated && sender.is_none();
        let at = match is_alone {
            true => groups.len(),
            false => *known.entry((sender, is_plain)).or_insert(groups.len()),
        };
        let item = Item {
            position: position as u64,
            entry,
            parcel,
            header,
        };
        match groups.get_mut(at) {
            Some(group) => group.items.push(item),
            None => groups.push(Group {
                items: vec![item],
                is_plain,
            }),
        }
    }
    groups
}

fn in_order(mut entries: Vec<(u64, (Entry, Parcel))>) -> Result<Vec<(Entry, Parcel)>, BatchError> {
    if entries.is_empty() {
        return Err(BatchError::Empty);
    }
    entries.sort_by_key(|(position, _)| *position);
    let places = entries.iter().map(|(position, _)| *position);
    if !places.eq(0..entries.len() as u64) {
        return Err(BatchError::Order);
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}
