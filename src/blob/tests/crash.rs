//! Processes that are killed between two steps: the folder is copied after every one, and each copy is opened.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use super::*;

thread_local! {
    static COPIES: RefCell<Option<(TempDir, Vec<PathBuf>)>> = const { RefCell::new(None) };
}

/// Something has changed in the folder.
pub(in crate::blob) fn step(folder: &Path) {
    COPIES.with_borrow_mut(|copies| {
        let Some((kept, copies)) = copies else {
            return;
        };
        let to = kept.path().join(copies.len().to_string());
        fs::create_dir(&to).expect("made");
        for name in names(folder) {
            fs::copy(folder.join(&name), to.join(&name)).expect("copied");
        }
        copies.push(to);
    });
}

/// Does something, and opens what a kill after each of its steps would have left.
fn killed_at_each_step(what: impl FnOnce(), mut see: impl FnMut(usize, Store, Found)) -> usize {
    let kept = tempfile::tempdir().expect("a folder");
    COPIES.set(Some((kept, Vec::new())));
    what();
    let (kept, copies) = COPIES.take().expect("set");
    for (n, copy) in copies.iter().enumerate() {
        let folder = tempfile::tempdir_in(kept.path()).expect("a folder");
        for name in names(copy) {
            fs::rename(copy.join(&name), folder.path().join(&name)).expect("moved");
        }
        let (blobs, found) = Blobs::open(folder.path(), BOUNDS).expect("opens");
        assert!(found.set_aside.is_empty(), "{n}: {found:?}");
        let store = Store { folder, blobs };
        // Whatever it is, nothing lies there that does not belong to something.
        let files: usize = found.whole.len() * 2 + found.partial.len() * 3;
        assert_eq!(store.names().len(), files, "{n}: {:?}", store.names());
        see(n, store, found);
    }
    copies.len()
}

#[test]
fn an_upload_is_whole_or_nothing_wherever_it_ends() {
    for size in [0, 10, 3 * CHUNK_BYTES + 7] {
        let (store, body) = (Store::new(), body(size));
        let mut whole = 0;
        let steps = killed_at_each_step(
            || {
                store.given(&body);
            },
            |n, store, found| {
                assert!(found.partial.is_empty());
                whole += found.whole.len();
                if found.whole.is_empty() {
                    assert_eq!(store.blobs.bytes_used(), 0, "{n}");
                    store.given(&body);
                }
                assert_eq!(store.read(&BlobDigest::of(&body)), body, "{n}");
            },
        );
        assert!(whole >= 1 && whole < steps, "{whole} of {steps}");
    }
}

#[test]
fn a_transfer_goes_on_wherever_it_ends() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES + 7));
    let digest = BlobDigest::of(&body);
    let most = RefCell::new(0);
    let steps = killed_at_each_step(
        || {
            store.begin(&body);
            for n in [3, 0, 1, 2] {
                store
                    .blobs
                    .put(&digest, n, chunk(&body, n))
                    .expect("a chunk");
                step(store.folder.path());
                let durable = store.blobs.sync(&digest).expect("synced");
                step(store.folder.path());
                *most.borrow_mut() = durable.count();
            }
            store.blobs.finish(&digest).expect("whole");
        },
        |n, store, found| {
            if let Some(partial) = found.partial.first() {
                for n in partial.have.iter().flat_map(|(first, last)| first..=last) {
                    let reader = store.blobs.reader(&digest).expect("here");
                    reader.chunk(n, &mut Vec::new()).expect("what it says");
                }
            }
            if found.whole.is_empty() {
                store.begin(&body);
                for n in 0..4 {
                    store
                        .blobs
                        .put(&digest, n, chunk(&body, n))
                        .expect("a chunk");
                }
                store.blobs.finish(&digest).expect("whole");
            }
            assert_eq!(store.read(&digest), body, "{n}");
        },
    );
    assert!(steps > 15, "{steps}");
    assert_eq!(most.into_inner(), 4);
}

#[test]
fn a_removal_ends_in_nothing_or_in_what_was_there() {
    let (store, whole, partial) = (Store::new(), body(100_000), body(200_000));
    let digest = store.given(&whole);
    let (coming, _) = store.begin(&partial);
    store
        .blobs
        .put(&coming, 0, chunk(&partial, 0))
        .expect("a chunk");
    let mut gone = 0;
    killed_at_each_step(
        || {
            store.blobs.remove(&digest).expect("removed");
            store.blobs.remove(&coming).expect("removed");
        },
        |n, store, found| {
            for (digest, _) in &found.whole {
                assert_eq!(store.read(digest), whole, "{n}");
            }
            gone += usize::from(found.whole.is_empty() && found.partial.is_empty());
            store.given(&whole);
            store.given(&partial);
        },
    );
    assert!(gone > 0);
}

#[test]
fn an_upload_over_a_transfer_ends_in_one_of_the_two() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    store
        .blobs
        .put(&digest, 1, chunk(&body, 1))
        .expect("a chunk");
    store.blobs.sync(&digest).expect("synced");
    killed_at_each_step(
        || {
            store.given(&body);
        },
        |n, store, found| {
            assert_eq!(found.whole.len() + found.partial.len(), 1, "{n}");
            store.given(&body);
            assert_eq!(store.read(&digest), body);
        },
    );
}
