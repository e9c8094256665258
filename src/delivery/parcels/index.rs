//! A hash table of places. The links of its buckets are in the items themselves, and it grows and shrinks by one bucket at a time
//! (linear hashing): a million items take 5 MB, nothing is ever copied, and there is no moment at which it has doubled.

/// Where an item is in a table.
pub(in crate::delivery) type Place = u32;
/// No place: there are never so many.
pub(in crate::delivery) const NOWHERE: Place = Place::MAX;

/// Items of a bucket, on average, before there is one bucket more.
const LOAD: usize = 4;
/// Buckets of one allocation.
const PAGE: usize = 64;

/// The items that an index finds: each knows its hash and the next one of its bucket.
pub(in crate::delivery) trait Links {
    fn hash(&self, place: Place) -> u64;
    fn next(&self, place: Place) -> Place;
    fn set_next(&mut self, place: Place, next: Place);
}

/// The buckets.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Index {
    pages: Vec<Box<[Place]>>,
    buckets: usize,
    len: usize,
}

impl Index {
    /// How many items it finds.
    pub(in crate::delivery) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::delivery) fn insert(&mut self, items: &mut impl Links, place: Place) {
        if self.len >= LOAD * self.buckets {
            self.grow(items);
        }
        let bucket = self.bucket(items.hash(place));
        items.set_next(place, self.head(bucket));
        self.set_head(bucket, place);
        self.len += 1;
    }

    pub(in crate::delivery) fn remove(&mut self, items: &mut impl Links, place: Place) {
        let bucket = self.bucket(items.hash(place));
        let next = items.next(place);
        let mut at = self.head(bucket);
        if at == place {
            self.set_head(bucket, next);
        } else {
            while at != NOWHERE && items.next(at) != place {
                at = items.next(at);
            }
            debug_assert!(at != NOWHERE, "what is removed is there");
            if at == NOWHERE {
                return;
            }
            items.set_next(at, next);
        }
        self.len -= 1;
        while 4 * self.len < LOAD * self.buckets {
            self.shrink(items);
        }
    }

    /// The first item of the bucket that this hash falls into; the others follow from [`Links::next`].
    pub(in crate::delivery) fn first(&self, hash: u64) -> Place {
        match self.buckets {
            0 => NOWHERE,
            _ => self.head(self.bucket(hash)),
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        let mask = self.buckets.next_power_of_two() - 1;
        let bucket = hash as usize & mask;
        // A bucket that is not there yet is still a part of the one that it will be split from.
        if bucket < self.buckets {
            bucket
        } else {
            bucket & (mask >> 1)
        }
    }

    /// The bucket that another one was split from.
    fn parent(bucket: usize) -> usize {
        bucket ^ (1 << bucket.ilog2())
    }

    fn grow(&mut self, items: &mut impl Links) {
        let new = self.buckets;
        if new.is_multiple_of(PAGE) {
            self.pages.push(vec![NOWHERE; PAGE].into());
        }
        self.buckets += 1;
        if new == 0 {
            return;
        }
        let parent = Self::parent(new);
        let mut at = self.head(parent);
        self.set_head(parent, NOWHERE);
        while at != NOWHERE {
            let next = items.next(at);
            let bucket = self.bucket(items.hash(at));
            items.set_next(at, self.head(bucket));
            self.set_head(bucket, at);
            at = next;
        }
    }

    fn shrink(&mut self, items: &mut impl Links) {
        let last = self.buckets - 1;
        if last > 0 {
            let parent = Self::parent(last);
            let mut at = self.head(last);
            while at != NOWHERE {
                let next = items.next(at);
                items.set_next(at, self.head(parent));
                self.set_head(parent, at);
                at = next;
            }
        }
        self.set_head(last, NOWHERE);
        self.buckets = last;
        self.pages.truncate(last.div_ceil(PAGE));
    }

    fn head(&self, bucket: usize) -> Place {
        self.pages[bucket / PAGE][bucket % PAGE]
    }

    fn set_head(&mut self, bucket: usize, place: Place) {
        self.pages[bucket / PAGE][bucket % PAGE] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The links of items that are their own places.
    struct Items(Vec<Place>);

    impl Links for Items {
        fn hash(&self, place: Place) -> u64 {
            u64::from(place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7
        }

        fn next(&self, place: Place) -> Place {
            self.0[place as usize]
        }

        fn set_next(&mut self, place: Place, next: Place) {
            self.0[place as usize] = next;
        }
    }

    fn finds(index: &Index, items: &Items, place: Place) -> bool {
        let mut at = index.first(items.hash(place));
        while at != place && at != NOWHERE {
            at = items.next(at);
        }
        at == place
    }

    #[test]
    fn what_was_entered_is_found_while_the_table_grows_and_shrinks() {
        const MANY: Place = 10_000;
        let (mut index, mut items) = (Index::default(), Items(vec![NOWHERE; MANY as usize]));
        for place in 0..MANY {
            assert!(!finds(&index, &items, place));
            index.insert(&mut items, place);
        }
        assert_eq!((index.len, index.buckets), (10_000, 2_500));
        assert!((0..MANY).all(|place| finds(&index, &items, place)));
        for place in (0..MANY).filter(|place| place % 10 > 0) {
            index.remove(&mut items, place);
        }
        let is_right = |place: Place| finds(&index, &items, place) == place.is_multiple_of(10);
        assert!((0..MANY).all(is_right));
        assert!(index.buckets <= 1_000, "{} are left", index.buckets);
        for place in (0..MANY).step_by(10) {
            index.remove(&mut items, place);
        }
        assert_eq!((index.len, index.buckets, index.pages.len()), (0, 0, 0));
    }
}
