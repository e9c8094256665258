//! A table whose places are numbers: it grows block by block, copies nothing, and gives a block back when nothing is left in it.

/// Items by place. A place is used again once it is free.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: Vec<Block<T>>,
    /// Places without an item, and below the end.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Block<T> {
    /// [`SIZE`] of them, or none when none is used.
    items: Box<[Option<T>]>,
    used: usize,
}

const SIZE: usize = 512;

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Blocks<T> {
    /// Where [`Blocks::put`] puts the next item.
    pub(super) fn next_place(&mut self) -> u32 {
        if self.free.is_empty() {
            self.grow(self.blocks.len() + 1);
        }
        self.free.last().copied().unwrap_or_default()
    }

    /// Puts an item somewhere and says where.
    pub(super) fn put(&mut self, item: T) -> u32 {
        self.next_place();
        let place = self.free.pop();
        let place = place.unwrap_or_else(|| unreachable!("there are free places now"));
        self.fill(place, item);
        place
    }

    /// Puts items at given places, none of them twice, into an empty table.
    pub(super) fn put_all<E>(
        &mut self,
        items: impl Iterator<Item = Result<(u32, T), E>>,
        mut each: impl FnMut(&Self, u32, &T),
    ) -> Result<(), E> {
        for item in items {
            let (place, item) = item?;
            self.grow(place as usize / SIZE + 1);
            each(self, place, &item);
            self.fill(place, item);
        }
        let end = self.blocks.len() * SIZE;
        self.free = (0..end as u32).filter(|p| self.get(*p).is_none()).collect();
        self.free.reverse();
        Ok(())
    }

    pub(super) fn take(&mut self, place: u32) -> Option<T> {
        let block = self.blocks.get_mut(place as usize / SIZE)?;
        let item = block.items.get_mut(place as usize % SIZE)?.take()?;
        block.used -= 1;
        if block.used == 0 {
            block.items = Box::default();
        }
        self.free.push(place);
        Some(item)
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        let block = self.blocks.get(place as usize / SIZE)?;
        block.items.get(place as usize % SIZE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let block = self.blocks.get_mut(place as usize / SIZE)?;
        block.items.get_mut(place as usize % SIZE)?.as_mut()
    }

    /// Every item with its place, in order of place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// Those at `first` and after it.
    pub(super) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let blocks = self.blocks.iter().enumerate();
        let items = blocks.skip(first as usize / SIZE).flat_map(|(i, block)| {
            let items = block.items.iter().enumerate();
            items.filter_map(move |(j, item)| Some(((i * SIZE + j) as u32, item.as_ref()?)))
        });
        items.skip_while(move |(place, _)| *place < first)
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.used).sum()
    }

    fn grow(&mut self, blocks: usize) {
        while self.blocks.len() < blocks {
            let first = self.blocks.len() * SIZE;
            self.blocks.push(Block {
                items: Box::default(),
                used: 0,
            });
            // The lowest is taken first.
            self.free
                .extend((first as u32..(first + SIZE) as u32).rev());
        }
    }

    fn fill(&mut self, place: u32, item: T) {
        let block = &mut self.blocks[place as usize / SIZE];
        if block.items.is_empty() {
            block.items = (0..SIZE).map(|_| None).collect();
        }
        let before = block.items[place as usize % SIZE].replace(item);
        debug_assert!(before.is_none(), "place {place} is taken");
        block.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_empty_blocks_take_no_memory() {
        let mut blocks = Blocks::default();
        let places: Vec<u32> = (0..1500).map(|n| blocks.put(n)).collect();
        assert_eq!(places, (0..1500).collect::<Vec<u32>>());
        for place in 512..1024 {
            assert_eq!(blocks.take(place), Some(place));
        }
        assert_eq!((blocks.take(600), blocks.get(600)), (None, None));
        assert!(blocks.blocks[1].items.is_empty());
        assert_eq!(blocks.len(), 988);
        let place = blocks.put(7);
        assert!((512..1024).contains(&place));
        assert_eq!(blocks.get(place), Some(&7));
        assert_eq!(blocks.iter().filter(|(p, n)| p != *n).count(), 1);
    }

    #[test]
    fn items_come_back_to_their_places() {
        let mut blocks = Blocks::default();
        let items = [3, 1030, 4].map(|n| Ok::<_, ()>((n, n)));
        let mut seen = Vec::new();
        let put = blocks.put_all(items.into_iter(), |_, place, _| seen.push(place));
        assert_eq!((put, seen), (Ok(()), vec![3, 1030, 4]));
        assert_eq!(blocks.put(9), 0, "the lowest that is free");
        assert_eq!((blocks.len(), blocks.get(1030)), (4, Some(&1030)));
    }
}
