//! Names are few and come often: the same text read twice is kept once.

use std::{cell::RefCell, sync::Arc};

/// Names that each thread remembers; the later one of two that fall on the same place stays.
const REMEMBERED: usize = 512;

thread_local! {
    static NAMES: RefCell<Vec<Option<Arc<str>>>> = const { RefCell::new(Vec::new()) };
}

/// The text as a name, shared with earlier ones where that is easy.
pub(super) fn shared(text: &str) -> Arc<str> {
    // A thread that ends remembers nothing any more.
    let found = NAMES.try_with(|names| {
        let mut names = names.borrow_mut();
        if names.is_empty() {
            names.resize(REMEMBERED, None);
        }
        let place = &mut names[crc32fast::hash(text.as_bytes()) as usize % REMEMBERED];
        if let Some(name) = place
            && **name == *text
        {
            return name.clone();
        }
        let name: Arc<str> = text.into();
        *place = Some(name.clone());
        name
    });
    found.unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_takes_no_more_memory_and_others_are_not_confused() {
        let first = shared("hebi.hub");
        assert!(Arc::ptr_eq(&first, &shared("hebi.hub")));
        for n in 0..2 * REMEMBERED {
            let name = format!("hebi.{n}");
            assert_eq!(*shared(&name), *name);
        }
        assert_eq!(*shared("hebi.hub"), *first);
    }
}
