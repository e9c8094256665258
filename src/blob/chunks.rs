//! The chunk list: what each chunk of an attachment is held against, and what the list itself is held against.

use std::io;

use blake3::{
    Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use crate::model::{BlobDigest, CHUNK_BYTES, chunk_count, chunk_len};

/// Bytes of one chunk's value in a list.
pub const VALUE_BYTES: u64 = 32;

/// The chaining value of one chunk's subtree.
pub(super) type Value = [u8; 32];

/// How many bytes the chunk list of an attachment of `size` bytes has: none for a single chunk, which the digest itself proves.
pub const fn list_bytes(size: u64) -> u64 {
    match chunk_count(size) {
        1 => 0,
        count => count * VALUE_BYTES,
    }
}

/// Whether `list` is the chunk list of the attachment `digest`, if that has `size` bytes. A wrong `size` shows at the latest in the last
/// chunk.
pub fn proves(digest: &BlobDigest, size: u64, list: &[u8]) -> bool {
    if list.len() as u64 != list_bytes(size) {
        return false;
    }
    let mut tree = Tree::default();
    for value in list.as_chunks::<32>().0 {
        tree.push(*value);
    }
    tree.root().is_none_or(|root| root == *digest)
}

/// The value that chunk `number` has in the list, or the digest itself of the only chunk.
pub(super) fn value_of(size: u64, number: u64, bytes: &[u8]) -> Value {
    if chunk_count(size) == 1 {
        return *blake3::hash(bytes).as_bytes();
    }
    Hasher::new()
        .set_input_offset(number * CHUNK_BYTES)
        .update(bytes)
        .finalize_non_root()
}

/// The values of the subtrees that are complete so far, largest first: as many as there are ones in the number of chunks.
#[derive(Clone, Debug, Default)]
struct Tree {
    chunks: u64,
    complete: Vec<Value>,
}

impl Tree {
    fn push(&mut self, value: Value) {
        // Two equal subtrees are merged only once more follows: the last merge of all is another one.
        while self.complete.len() > self.chunks.count_ones() as usize {
            let (Some(right), Some(left)) = (self.complete.pop(), self.complete.pop()) else {
                break;
            };
            self.complete
                .push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        self.complete.push(value);
        self.chunks += 1;
    }

    /// The digest; `None` with fewer than two chunks, which have nothing to merge.
    fn root(mut self) -> Option<BlobDigest> {
        let mut right = self.complete.pop()?;
        while let Some(left) = self.complete.pop() {
            if self.complete.is_empty() {
                let root = merge_subtrees_root(&left, &right, Mode::Hash);
                return Some(BlobDigest(*root.as_bytes()));
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        None
    }
}

/// Makes digest and chunk list of what it is given, in memory that does not grow with it.
#[derive(Debug)]
pub(super) struct Summer {
    size: u64,
    chunk: Hasher,
    tree: Tree,
}

impl Summer {
    pub(super) fn new() -> Self {
        Self {
            size: 0,
            chunk: Hasher::new(),
            tree: Tree::default(),
        }
    }

    /// How many bytes it was given.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Takes `bytes`, and writes the value of every chunk before the last one to `list`.
    pub(super) fn update(&mut self, mut bytes: &[u8], list: &mut impl io::Write) -> io::Result<()> {
        while !bytes.is_empty() {
            let filled = self.size % CHUNK_BYTES;
            if filled == 0 && self.size > 0 {
                // The chunk before is complete, and not the last one.
                self.next(list)?;
            }
            let wanted = usize::try_from(CHUNK_BYTES - filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(wanted));
            self.chunk.update(now);
            self.size += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    fn next(&mut self, list: &mut impl io::Write) -> io::Result<()> {
        let value = self.chunk.finalize_non_root();
        list.write_all(&value)?;
        self.tree.push(value);
        self.chunk = Hasher::new();
        self.chunk.set_input_offset(self.size);
        Ok(())
    }

    /// Writes the last chunk's value, and gives digest and size.
    pub(super) fn finish(mut self, list: &mut impl io::Write) -> io::Result<(BlobDigest, u64)> {
        if chunk_count(self.size) == 1 {
            let digest = BlobDigest(*self.chunk.finalize().as_bytes());
            return Ok((digest, self.size));
        }
        let value = self.chunk.finalize_non_root();
        list.write_all(&value)?;
        self.tree.push(value);
        let digest = self.tree.root();
        let digest = digest.unwrap_or_else(|| unreachable!("two chunks or more have a root"));
        Ok((digest, self.size))
    }
}

/// A set of an attachment's chunks, a bit each: as it is in memory, so it is in the file of progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    chunks: u64,
    /// How many are set.
    count: u64,
    bytes: Vec<u8>,
}

impl Bits {
    pub(super) fn none(chunks: u64) -> Self {
        let bytes = usize::try_from(chunks.div_ceil(8)).unwrap_or(usize::MAX);
        Self {
            chunks,
            count: 0,
            bytes: vec![0; bytes],
        }
    }

    /// What `read` has of the first `chunks`; what it lacks is not set.
    pub(super) fn read(chunks: u64, read: &[u8]) -> Self {
        let mut bits = Self::none(chunks);
        for n in 0..chunks {
            let byte = usize::try_from(n / 8).ok().and_then(|at| read.get(at));
            if byte.is_some_and(|byte| byte >> (n % 8) & 1 == 1) {
                bits.set(n);
            }
        }
        bits
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn at(n: u64) -> (usize, u8) {
        (usize::try_from(n / 8).unwrap_or(usize::MAX), 1 << (n % 8))
    }

    pub(super) fn has(&self, n: u64) -> bool {
        let (at, bit) = Self::at(n);
        self.bytes.get(at).is_some_and(|byte| byte & bit != 0)
    }

    /// Sets one; false when it was set or is past the end.
    pub(super) fn set(&mut self, n: u64) -> bool {
        let (at, bit) = Self::at(n);
        match self.bytes.get_mut(at) {
            Some(byte) if n < self.chunks && *byte & bit == 0 => {
                *byte |= bit;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn clear(&mut self, n: u64) {
        let (at, bit) = Self::at(n);
        if let Some(byte) = self.bytes.get_mut(at)
            && *byte & bit != 0
        {
            *byte &= !bit;
            self.count -= 1;
        }
    }

    /// How many are set.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.chunks
    }

    /// Those that are set, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.chunks).filter(|n| self.has(*n))
    }

    /// How many bytes of an attachment of `size` bytes are in them.
    pub(super) fn size_of(&self, size: u64) -> u64 {
        let last = self.chunks - 1;
        let short = CHUNK_BYTES - chunk_len(size, last).unwrap_or(0) as u64;
        self.count * CHUNK_BYTES - if self.has(last) { short } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blob::tests::{SIZES, body};

    fn sum(bytes: &[u8], step: usize) -> (BlobDigest, u64, Vec<u8>) {
        let mut list = Vec::new();
        let mut summer = Summer::new();
        for part in bytes.chunks(step.max(1)) {
            summer.update(part, &mut list).expect("memory");
        }
        let (digest, size) = summer.finish(&mut list).expect("memory");
        (digest, size, list)
    }

    #[test]
    fn the_digest_is_blake3_and_the_list_proves_itself_and_each_chunk() {
        for size in SIZES {
            let body = body(size);
            let (digest, summed, list) = sum(&body, 10_007);
            assert_eq!((digest, summed), (BlobDigest::of(&body), size), "{size}");
            assert!(proves(&digest, size, &list), "{size}");
            for (n, chunk) in (0..).zip(body.chunks(CHUNK_BYTES as usize)) {
                let value = value_of(size, n, chunk);
                let proof = list.as_chunks::<32>().0.get(n as usize);
                assert_eq!(proof.unwrap_or(&digest.0), &value, "{size}, {n}");
            }
        }
    }

    #[test]
    fn a_list_with_one_bit_changed_or_of_another_length_proves_nothing() {
        let body = body(5 * CHUNK_BYTES + 1);
        let (digest, size, list) = sum(&body, body.len());
        for at in 0..list.len() {
            let mut wrong = list.clone();
            wrong[at] ^= 1;
            assert!(!proves(&digest, size, &wrong), "{at}");
        }
        for wrong in [
            &list[..list.len() - 1],
            &list[32..],
            &[],
            &[&list[..], &[0; 32]].concat(),
        ] {
            assert!(!proves(&digest, size, wrong));
        }
        assert!(!proves(&digest, size + CHUNK_BYTES, &list));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn however_it_is_cut_the_digest_and_the_list_are_the_same(
            size in 0..12 * CHUNK_BYTES, step in 1usize..200_000,
        ) {
            let body = body(size);
            let (digest, summed, list) = sum(&body, step);
            prop_assert_eq!((digest, summed), (BlobDigest::of(&body), size));
            prop_assert!(proves(&digest, size, &list));
            prop_assert_eq!(list, sum(&body, body.len()).2);
        }

        #[test]
        fn bits_are_the_set_of_what_was_set(
            chunks in 1u64..70, set in prop::collection::vec(0u64..80, 0..60), cleared in 0u64..80,
        ) {
            let mut bits = Bits::none(chunks);
            let mut model = std::collections::BTreeSet::new();
            for n in set {
                prop_assert_eq!(bits.set(n), n < chunks && model.insert(n));
            }
            bits.clear(cleared);
            model.remove(&cleared);
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(bits.count(), model.len() as u64);
            prop_assert_eq!(bits.is_full(), model.len() as u64 == chunks);
            prop_assert_eq!(Bits::read(chunks, bits.as_bytes()), bits.clone());
            let size = chunks * CHUNK_BYTES - 5;
            let bytes: usize = model.iter().filter_map(|n| chunk_len(size, *n)).sum();
            prop_assert_eq!(bits.size_of(size), bytes as u64);
        }
    }
}
