//! A table whose places are numbers: it grows block by block, copies nothing, and gives a block back when nothing is left in it.

/// Items by place, `SIZE` of them in a block. A place is used again once it is free.
#[derive(Debug)]
pub(in crate::delivery) struct Blocks<T, const SIZE: usize> {
    blocks: Vec<Block<T>>,
    /// Places without an item, and below the end.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Block<T> {
    /// As many as a block has, or none when none is used.
    items: Box<[Option<T>]>,
    used: usize,
}

impl<T, const SIZE: usize> Default for Blocks<T, SIZE> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T, const SIZE: usize> Blocks<T, SIZE> {
    /// Puts an item somewhere and says where.
    pub(in crate::delivery) fn put(&mut self, item: T) -> u32 {
        if self.free.is_empty() {
            let first = self.blocks.len() * SIZE;
            self.grow(self.blocks.len() + 1);
            // The lowest is taken first.
            self.free
                .extend((first as u32..(first + SIZE) as u32).rev());
        }
        let place = self.free.pop();
        let place = place.unwrap_or_else(|| unreachable!("there are free places now"));
        self.fill(place, item);
        place
    }

    /// Puts an item at a place, after all those before it, into a table that is being filled; false when it is no such place. When
    /// the last one is there, call [`Blocks::all_put`].
    pub(in crate::delivery) fn put_at(&mut self, place: u32, item: T) -> bool {
        let block = place as usize / SIZE;
        if place == u32::MAX || block + 1 < self.blocks.len() || self.get(place).is_some() {
            return false;
        }
        self.grow(block + 1);
        self.fill(place, item);
        true
    }

    /// Finds the places that are free.
    pub(in crate::delivery) fn all_put(&mut self) {
        let end = self.blocks.len() * SIZE;
        self.free = (0..end as u32).filter(|p| self.get(*p).is_none()).collect();
        self.free.reverse();
        self.free.shrink_to_fit();
    }

    pub(in crate::delivery) fn take(&mut self, place: u32) -> Option<T> {
        let block = self.blocks.get_mut(place as usize / SIZE)?;
        let item = block.items.get_mut(place as usize % SIZE)?.take()?;
        block.used -= 1;
        if block.used == 0 {
            block.items = Box::default();
        }
        self.free.push(place);
        Some(item)
    }

    pub(in crate::delivery) fn get(&self, place: u32) -> Option<&T> {
        let block = self.blocks.get(place as usize / SIZE)?;
        block.items.get(place as usize % SIZE)?.as_ref()
    }

    pub(in crate::delivery) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let block = self.blocks.get_mut(place as usize / SIZE)?;
        block.items.get_mut(place as usize % SIZE)?.as_mut()
    }

    /// Every item with its place, in order of place.
    pub(in crate::delivery) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// Those at `first` and after it.
    pub(in crate::delivery) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let blocks = self.blocks.iter().enumerate();
        let items = blocks.skip(first as usize / SIZE).flat_map(|(i, block)| {
            let items = block.items.iter().enumerate();
            items.filter_map(move |(j, item)| Some(((i * SIZE + j) as u32, item.as_ref()?)))
        });
        items.skip_while(move |(place, _)| *place < first)
    }

    /// Whether a block has an item.
    pub(in crate::delivery) fn is_used(&self, block: usize) -> bool {
        self.blocks.get(block).is_some_and(|block| block.used > 0)
    }

    #[cfg(test)]
    pub(in crate::delivery) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.used).sum()
    }

    fn grow(&mut self, blocks: usize) {
        while self.blocks.len() < blocks {
            self.blocks.push(Block {
                items: Box::default(),
                used: 0,
            });
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
        let mut blocks = Blocks::<u32, 512>::default();
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
        let mut blocks = Blocks::<u32, 512>::default();
        for place in [3, 4, 1030] {
            assert!(blocks.put_at(place, place));
        }
        assert!(!blocks.put_at(5, 5) && !blocks.put_at(1030, 7));
        blocks.all_put();
        assert_eq!(blocks.put(9), 0, "the lowest that is free");
        assert_eq!((blocks.len(), blocks.get(1030)), (4, Some(&1030)));
    }
}
