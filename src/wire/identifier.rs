//! Identifiers that are numbers in disguise: ULIDs and UUIDs, in 10 or 16 bytes instead of 26 or 36.

/// How an identifier travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A ULID: 48 bits of time in milliseconds, which has a column of its own, and 80 of chance.
    Ulid = 1,
    /// A UUID in lower case with hyphens (RFC 9562, section 4).
    Uuid = 2,
}

/// An identifier that is one of the forms.
pub(super) struct Identifier {
    pub(super) form: Form,
    /// The time of a ULID.
    pub(super) time: Option<u64>,
    pub(super) random: Vec<u8>,
}

/// Crockford's base32, as ULIDs are written.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const ULID_CHANCE_BITS: u32 = 80;

/// Reads an identifier; none when it is not exactly what [`write`] would write.
pub(super) fn read(text: &str) -> Option<Identifier> {
    match text.len() {
        26 => ulid(text),
        36 => uuid(text),
        _ => None,
    }
}

fn ulid(text: &str) -> Option<Identifier> {
    let mut value = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        // 26 digits are 130 bits: the first one has three.
        if i == 0 && digit > 7 {
            return None;
        }
        value = value << 5 | digit as u128;
    }
    let time = (value >> ULID_CHANCE_BITS) as u64;
    let random = value.to_be_bytes().get(6..)?.to_vec();
    Some(Identifier {
        form: Form::Ulid,
        time: Some(time),
        random,
    })
}

fn uuid(text: &str) -> Option<Identifier> {
    let hex: String = text.split('-').collect();
    let random = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
    let found = Identifier {
        form: Form::Uuid,
        time: None,
        random,
    };
    (write(None, &found.random)? == text).then_some(found)
}

/// Writes a ULID when there is a time and a UUID when there is none; none when the numbers are not those of one.
pub(super) fn write(time: Option<u64>, random: &[u8]) -> Option<String> {
    let Some(time) = time else {
        let hex = data_encoding::HEXLOWER.encode(random);
        let mut parts = [0..8, 8..12, 12..16, 16..20, 20..32]
            .into_iter()
            .map(|range| hex.get(range));
        let parts: Option<Vec<&str>> = parts.by_ref().collect();
        return parts
            .map(|parts| parts.join("-"))
            .filter(|text| text.len() == 36);
    };
    let chance = random
        .iter()
        .fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    if time >> 48 != 0 || random.len() != 10 {
        return None;
    }
    let value = u128::from(time) << ULID_CHANCE_BITS | chance;
    let digit = |place: u32| {
        DIGITS
            .get((value >> (place * 5) & 31) as usize)
            .map(|d| char::from(*d))
    };
    (0..26).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(text: &str) -> Option<String> {
        let id = read(text)?;
        write(id.time, &id.random)
    }

    #[test]
    fn identifiers_come_back_as_they_were_written() {
        for text in [
            "01HQ2P1RRWFD42C8KEJWVSKZ82",
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "00000000000000000000000000",
            "0190163d-8694-739b-aea5-966c26f8ad91",
        ] {
            assert_eq!(there_and_back(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_only_looks_like_one_stays_text() {
        for text in [
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01hq2p1rrwfd42c8kejwvskz82",
            "01HQ2P1RRWFD42C8KEJWVSKZ8U",
            "0190163D-8694-739B-AEA5-966C26F8AD91",
            "0190163d8694-739b-aea5-966c-26f8ad91",
            "2024-0001",
            "",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
