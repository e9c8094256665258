//! Values that many parcels have in common, each kept once and called by a number.

use std::{collections::HashMap, hash::Hash};

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};

use crate::codec::Each;

/// What a value is called; used again once nobody uses the value any more.
pub(in crate::delivery) type Number = u32;

/// Values by number, with how often each is in use.
#[derive(Debug)]
pub(in crate::delivery) struct Names<T> {
    values: Vec<Option<(T, u32)>>,
    free: Vec<Number>,
    numbers: HashMap<T, Number>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// One more use of a value.
    pub(in crate::delivery) fn take(&mut self, value: &T) -> Number {
        if let Some(number) = self.find(value) {
            self.again(number);
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            (self.values.len() - 1) as Number
        });
        self.values[number as usize] = Some((value.clone(), 1));
        self.numbers.insert(value.clone(), number);
        number
    }

    /// One more use of a number; false when it is not one.
    pub(in crate::delivery) fn again(&mut self, number: Number) -> bool {
        let value = self.values.get_mut(number as usize);
        let uses = value.and_then(Option::as_mut).map(|(_, uses)| uses);
        uses.is_some_and(|uses| {
            *uses += 1;
            true
        })
    }

    /// A use ends.
    pub(in crate::delivery) fn give(&mut self, number: Number) {
        let Some(value) = self.values.get_mut(number as usize) else {
            return;
        };
        if let Some((_, uses)) = value {
            *uses -= 1;
        }
        if let Some((unused, _)) = value.take_if(|(_, uses)| *uses == 0) {
            self.numbers.remove(&unused);
            self.free.push(number);
        }
    }

    pub(in crate::delivery) fn get(&self, number: Number) -> &T {
        let value = self.values.get(number as usize).and_then(Option::as_ref);
        let (value, _) = value.unwrap_or_else(|| unreachable!("a number in use has a value"));
        value
    }

    pub(in crate::delivery) fn find(&self, value: &T) -> Option<Number> {
        self.numbers.get(value).copied()
    }

    #[cfg(test)]
    pub(in crate::delivery) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Values by number, without their uses, for a checkpoint.
    pub(in crate::delivery) fn snapshot(&self) -> impl Encode + '_
    where
        T: Encode,
    {
        Each {
            len: self.numbers.len(),
            items: || {
                let values = self.values.iter().enumerate();
                values.filter_map(|(n, value)| Some((n as Number, &value.as_ref()?.0)))
            },
        }
    }

    /// As [`Names::snapshot`] encoded them; they are not in use until whoever uses them says so with [`Names::again`].
    pub(in crate::delivery) fn decode<D: Decoder<Context = ()>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError>
    where
        T: Decode<()>,
    {
        let mut names = Self::default();
        for _ in 0..u64::decode(decoder)? {
            let (number, value) = <(Number, T)>::decode(decoder)?;
            let at = number as usize;
            // They come in order, and few numbers are free.
            if at < names.values.len() || at - names.values.len() > NUMBERS_FREE_MAX {
                return Err(DecodeError::Other("a name's number is out of order"));
            }
            while names.values.len() < at {
                names.free.push(names.values.len() as Number);
                names.values.push(None);
            }
            names.values.push(Some((value.clone(), 0)));
            names.numbers.insert(value, number);
        }
        Ok(names)
    }
}

/// Most numbers in a row that a checkpoint leaves out.
const NUMBERS_FREE_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_with_its_last_use_and_its_number_is_used_again() {
        let mut names = Names::default();
        let [a, b] = ["a", "b"].map(String::from);
        assert_eq!((names.take(&a), names.take(&b), names.take(&a)), (0, 1, 0));
        names.give(0);
        assert_eq!((names.find(&a), names.get(0)), (Some(0), &a));
        names.give(0);
        assert_eq!(names.find(&a), None);
        assert_eq!(names.take(&"c".into()), 0);
        assert!(!names.again(7));
        names.give(0);
        names.give(1);
        assert!(names.is_empty());
    }
}
