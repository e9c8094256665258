//! The one bincode configuration, for the wire and for the journal.
//!
//! Little-endian, variable-length integers, always with a limit, and the consumed length is always compared: bytes left over are
//! an error. Whoever decodes names the largest value that it is ready to read.

use std::io;

use bincode::{
    Decode, Encode, config,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// Bytes do not decode.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not a value of the type, or larger than the limit.
    #[error("does not decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// The value ends before the bytes do.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

/// Encodes `value` at the end of `out`.
pub fn encode_into(value: &impl Encode, out: &mut Vec<u8>) {
    let configuration = config::standard();
    // A `Vec` takes every write, and no type of ours refuses to be encoded.
    bincode::encode_into_std_write(value, out, configuration)
        .unwrap_or_else(|error| unreachable!("encoding into memory failed: {error}"));
}

/// The least room that is taken for what may be large, in bytes. It costs no memory before it is written to. That it is beyond 32 MiB
/// has a reason: glibc's allocator gives every block of this size straight back when it is freed, and does not begin to keep
/// smaller ones.
pub const LARGE_BYTES: usize = 33 * 1024 * 1024;

/// Room that an encoded value gets at first: most records and headers, and entries of the index, need no more.
const ENCODED_BYTES: usize = 512;

/// Encodes `value` to where it goes, as it comes.
///
/// # Errors
/// `out` takes no more.
pub fn encode_to(value: &impl Encode, out: &mut impl io::Write) -> io::Result<()> {
    match bincode::encode_into_std_write(value, out, config::standard()) {
        Ok(_) => Ok(()),
        Err(EncodeError::Io { inner, .. }) => Err(inner),
        Err(error) => unreachable!("no type of ours refuses to be encoded: {error}"),
    }
}

/// Encodes `value`.
pub fn encode(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENCODED_BYTES);
    encode_into(value, &mut out);
    out
}

/// Encoded as a `Vec` of what the iterators that the function gives have, `len` items, without there being one.
pub struct Each<F> {
    /// How many there are.
    pub len: usize,
    /// Gives them.
    pub items: F,
}

impl<F, I> Encode for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Encode>,
{
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.len as u64).encode(encoder)?;
        let mut count = 0;
        for item in (self.items)() {
            item.encode(encoder)?;
            count += 1;
        }
        debug_assert_eq!(count, self.len);
        Ok(())
    }
}

/// Decodes the whole of `bytes`; `LIMIT` bounds what the decoder claims, in bytes, before it allocates.
pub fn decode<T: Decode<()>, const LIMIT: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, rest) = decode_prefix::<T, LIMIT>(bytes)?;
    match rest.len() {
        0 => Ok(value),
        left => Err(CodecError::LeftOver(left)),
    }
}

/// Decodes all that comes from `bytes`, as [`decode`] does.
pub fn decode_from<T: Decode<()>, const LIMIT: usize>(
    mut bytes: &mut dyn io::Read,
) -> Result<T, CodecError> {
    let configuration = config::standard().with_limit::<LIMIT>();
    let value = bincode::decode_from_std_read(&mut bytes, configuration)?;
    match io::copy(&mut bytes, &mut io::sink()) {
        Ok(0) => Ok(value),
        Ok(left) => Err(CodecError::LeftOver(left as usize)),
        Err(inner) => Err(CodecError::Decode(DecodeError::Io {
            inner,
            additional: 0,
        })),
    }
}

/// Decodes a value at the start of `bytes` and returns what follows it.
pub fn decode_prefix<T: Decode<()>, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, &[u8]), CodecError> {
    let configuration = config::standard().with_limit::<LIMIT>();
    let (value, consumed) = bincode::decode_from_slice(bytes, configuration)?;
    Ok((value, &bytes[consumed..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_length_is_refused_before_anything_is_allocated() {
        let hostile = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(decode::<Vec<u8>, 1024>(&hostile).is_err());
    }

    #[test]
    fn items_encode_as_the_list_that_they_would_make() {
        let list: Vec<(u32, u64)> = (0..300).map(|n| (n, u64::from(n) << 20)).collect();
        let each = Each {
            len: list.len(),
            items: || list.iter().map(|(a, b)| (*a, b)),
        };
        assert_eq!(encode(&each), encode(&list));
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut bytes = encode(&7u32);
        bytes.push(0);
        assert!(matches!(
            decode::<u32, 64>(&bytes),
            Err(CodecError::LeftOver(1))
        ));
    }
}
