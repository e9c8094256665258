//! How a group's bytes are made small: as they are, zstd, or PPMd.

use std::{cell::RefCell, fmt, io::Read as _, io::Write as _};

use ppmd_rust::{Ppmd7Decoder, Ppmd7Encoder};
use zstd::{
    bulk,
    zstd_safe::{CParameter, DCtx, compress_bound},
};

use super::{
    dictionary::{Dictionary, Text},
    history::HISTORY_LEVEL_MAX,
};
use crate::model::Digest;

/// How much work goes into making a batch small.
///
/// Measured on case messages in batches of 64 KiB (see `benches/batch.rs`): from level 3 to 9 to 19 to `Densest`, each step saves
/// roughly a tenth, and costs up to ten times as much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// zstd at this level, 1 to 19: both sides are quick, the receiver always.
    Level(u8),
    /// PPMd variant H over the same dictionary: a sixth smaller than zstd's level 19 and no slower to write, but the receiver works
    /// as much as the sender, about 10 ms for 64 KiB. For a backlog on a line that is slower than that. What is less than 16 KiB or
    /// more than 512 KiB goes through zstd's level 19.
    Densest,
}

/// The bytes of a group on the wire say how they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored = 0,
    Zstd = 1,
    Ppmd = 2,
}

impl Method {
    pub(super) fn from_number(number: u64) -> Option<Self> {
        [Self::Stored, Self::Zstd, Self::Ppmd]
            .into_iter()
            .find(|method| *method as u64 == number)
    }
}

/// Every zstd frame starts with these (RFC 8878, section 3.1.1); a batch leaves them out.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// PPMd's model: contexts of at most this many bytes.
const PPMD_ORDER: u32 = 10;

/// PPMd's model: its memory in bytes, at both ends, while it works. When it is full the model starts anew.
const PPMD_MEMORY_BYTES: u32 = 8 * 1024 * 1024;

/// Smaller groups than this do not earn the time that it takes to learn the dictionary (8 ms, at both ends); a receiver refuses
/// them, so that a small batch cannot cost it much.
const PPMD_BYTES_MIN: usize = 16 * 1024;

/// Larger groups than this outgrow the model's memory.
const PPMD_BYTES_MAX: usize = 512 * 1024;

/// Makes batches small. It keeps a zstd context from one batch to the next: about 1 MiB at level 3, 5 MiB at 19.
///
/// One for each worker; [`Compressor::shed`] it when there has been nothing to do for a while.
#[derive(Default)]
pub struct Compressor {
    kept: Option<(u8, Option<Digest>, bulk::Compressor<'static>)>,
}

impl Compressor {
    /// A compressor that holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the memory back that it keeps between batches.
    pub fn shed(&mut self) {
        self.kept = None;
    }

    /// Compresses `plain`; stored as it is when nothing makes it smaller.
    pub(super) fn squeeze(
        &mut self,
        plain: Vec<u8>,
        effort: Effort,
        text: Text<'_>,
    ) -> (Method, Vec<u8>) {
        let dense = (PPMD_BYTES_MIN..=PPMD_BYTES_MAX).contains(&plain.len());
        let (level, dense) = match (effort, text) {
            (Effort::Level(level), Text::History(_)) => (level.clamp(1, HISTORY_LEVEL_MAX), None),
            (Effort::Densest, Text::History(_)) => (HISTORY_LEVEL_MAX, None),
            (Effort::Level(level), _) => (level.clamp(1, 19), None),
            (Effort::Densest, Text::Dictionary(dictionary)) if dense => {
                (19, ppmd(&plain, Some(dictionary)))
            }
            (Effort::Densest, Text::Nothing) if dense => (19, ppmd(&plain, None)),
            (Effort::Densest, _) => (19, None),
        };
        let (method, packed) = match dense {
            Some(packed) => (Method::Ppmd, Some(packed)),
            None => (Method::Zstd, self.zstd(&plain, level, text)),
        };
        match packed {
            Some(packed) if packed.len() < plain.len() => (method, packed),
            _ => (Method::Stored, plain),
        }
    }

    fn zstd(&mut self, plain: &[u8], level: u8, text: Text<'_>) -> Option<Vec<u8>> {
        let id = text.id();
        let context = match &mut self.kept {
            Some((l, d, context)) if (*l, *d) == (level, id) => context,
            kept => {
                // Free the old one before there is a new one.
                *kept = None;
                let context = zstd_context(level, text.bytes()).ok()?;
                &mut kept.insert((level, id, context)).2
            }
        };
        let mut out = Vec::with_capacity(compress_bound(plain.len()));
        context.compress_to_buffer(plain, &mut out).ok()?;
        out.strip_prefix(&ZSTD_MAGIC).map(<[u8]>::to_vec)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.kept.as_ref().map(|(level, ..)| level);
        write!(f, "Compressor(level {level:?})")
    }
}

fn text_of(dictionary: Option<&Dictionary>) -> &[u8] {
    dictionary.map_or(&[], Dictionary::bytes)
}

fn zstd_context(level: u8, text: &[u8]) -> std::io::Result<bulk::Compressor<'static>> {
    let mut context = bulk::Compressor::with_dictionary(level.into(), text)?;
    // The batch says the sizes and the dictionary itself, and QUIC authenticates: nothing of these is needed in the frame.
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(context)
}

/// Undoes what a neighbour's [`Compressor`] did. `bytes` is how long the outcome must be; the caller has checked it against its
/// bound, and nothing larger is ever allocated. None when `packed` is not that.
pub(super) fn expand(
    method: Method,
    packed: &[u8],
    bytes: usize,
    text: Text<'_>,
) -> Option<Vec<u8>> {
    let plain = match (method, text) {
        (Method::Stored, _) => packed.to_vec(),
        (Method::Zstd, text) => unzstd(packed, bytes, text)?,
        (Method::Ppmd, Text::Nothing) => unppmd(packed, bytes, None)?,
        (Method::Ppmd, Text::Dictionary(dictionary)) => unppmd(packed, bytes, Some(dictionary))?,
        // Learning it would cost more than it saves.
        (Method::Ppmd, Text::History(_)) => return None,
    };
    (plain.len() == bytes).then_some(plain)
}

thread_local! {
    /// A zstd decompression context (about 160 KiB) with the built-in dictionary; it has no state between frames.
    static EXPANDER: RefCell<Option<bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn unzstd(packed: &[u8], bytes: usize, text: Text<'_>) -> Option<Vec<u8>> {
    let frame = [&ZSTD_MAGIC, packed].concat();
    let mut plain = Vec::with_capacity(bytes);
    let built_in = Dictionary::built_in();
    match text {
        Text::Dictionary(dictionary) if dictionary.id() == built_in.id() => EXPANDER
            .with_borrow_mut(|kept| {
                let context = match kept {
                    Some(context) => context,
                    None => kept.insert(
                        bulk::Decompressor::with_prepared_dictionary(built_in.digested()).ok()?,
                    ),
                };
                context.decompress_to_buffer(&frame, &mut plain).ok()
            })?,
        Text::Dictionary(dictionary) => {
            bulk::Decompressor::with_prepared_dictionary(dictionary.digested())
                .ok()?
                .decompress_to_buffer(&frame, &mut plain)
                .ok()?
        }
        // Nothing is copied or prepared: it is used for a few batches only.
        Text::History(history) => DCtx::try_create()?
            .decompress_using_dict(&mut plain, &frame, history.text())
            .ok()?,
        Text::Nothing => bulk::Decompressor::new()
            .ok()?
            .decompress_to_buffer(&frame, &mut plain)
            .ok()?,
    };
    Some(plain)
}

/// How many of the last bytes of the range coder may still change: four of its range, one held back, and some in case of a carry.
const PPMD_TAIL_BYTES: usize = 8;

/// What PPMd writes for a dictionary alone, without the last bytes, which depend on what follows. A model that has written the
/// dictionary first has learnt it; both ends know these bytes, so they are not sent.
pub(super) fn learnt(text: &[u8]) -> Vec<u8> {
    let mut written = ppmd_written(&[text]).unwrap_or_default();
    written.truncate(written.len().saturating_sub(PPMD_TAIL_BYTES));
    written
}

fn learnt_of(dictionary: Option<&Dictionary>) -> &[u8] {
    dictionary.map_or(&[], Dictionary::learnt)
}

fn ppmd_written(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut encoder = Ppmd7Encoder::new(Vec::new(), PPMD_ORDER, PPMD_MEMORY_BYTES).ok()?;
    for part in parts {
        encoder.write_all(part).ok()?;
    }
    encoder.finish(false).ok()
}

fn ppmd(plain: &[u8], dictionary: Option<&Dictionary>) -> Option<Vec<u8>> {
    let written = ppmd_written(&[text_of(dictionary), plain])?;
    // A carry that reaches back further than `PPMD_TAIL_BYTES` is as rare as 2^-24; zstd writes the group then.
    written
        .strip_prefix(learnt_of(dictionary))
        .map(<[u8]>::to_vec)
}

fn unppmd(packed: &[u8], bytes: usize, dictionary: Option<&Dictionary>) -> Option<Vec<u8>> {
    if !(PPMD_BYTES_MIN..=PPMD_BYTES_MAX).contains(&bytes) {
        return None;
    }
    let written = learnt_of(dictionary).chain(packed);
    let mut decoder = Ppmd7Decoder::new(written, PPMD_ORDER, PPMD_MEMORY_BYTES).ok()?;
    let mut skipped = [0; 4096];
    let mut left = text_of(dictionary).len();
    while left > 0 {
        let now = left.min(skipped.len());
        decoder.read_exact(skipped.get_mut(..now)?).ok()?;
        left -= now;
    }
    let mut plain = vec![0; bytes];
    decoder.read_exact(&mut plain).ok()?;
    Some(plain)
}
