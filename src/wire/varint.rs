//! Numbers of a batch: LEB128, seven bits a byte, the lowest first. (The codec's own integers take 3 bytes from 251 on.)

/// Longest encoding of a `u64`.
const BYTES_MAX: usize = 10;

pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off the front of `bytes`; none when it is cut short, longer than it need be, or passes 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for (i, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * i as u32;
        if bits << shift >> shift != bits {
            return None;
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            if *byte == 0 && i > 0 {
                return None;
            }
            *bytes = bytes.get(i + 1..)?;
            return Some(n);
        }
    }
    None
}

/// Small differences of either sign as small numbers: 0, -1, 1, -2, ... Wraps, so that any two numbers have a difference.
pub(super) fn difference(from: u64, to: u64) -> u64 {
    let difference = to.wrapping_sub(from) as i64;
    ((difference << 1) ^ (difference >> 63)) as u64
}

/// The number that stands at `difference` from `from`.
pub(super) fn apart(from: u64, difference: u64) -> u64 {
    from.wrapping_add((difference >> 1) ^ (difference & 1).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_and_every_difference_comes_back(a: u64, b: u64) {
            let mut out = Vec::new();
            put(&mut out, a);
            put(&mut out, difference(a, b));
            let mut rest = out.as_slice();
            prop_assert_eq!(take(&mut rest), Some(a));
            prop_assert_eq!(take(&mut rest).map(|d| apart(a, d)), Some(b));
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_number_has_one_encoding() {
        assert_eq!(take(&mut [0x80, 0x00].as_slice()), None);
        assert_eq!(take(&mut [0x80].as_slice()), None);
        assert_eq!(take(&mut [].as_slice()), None);
        assert_eq!(take(&mut [0xff; 11].as_slice()), None);
        let mut most = Vec::new();
        put(&mut most, u64::MAX);
        assert_eq!(take(&mut most.as_slice()), Some(u64::MAX));
        most[9] = 2;
        assert_eq!(take(&mut most.as_slice()), None);
    }
}
