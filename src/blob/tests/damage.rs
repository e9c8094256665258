//! Disks that do not keep what was written.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::blob::{FinishError, PutError, ReadError};

fn flip(path: &Path, at: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    byte[0] ^= 1;
    file.write_all_at(&byte, at).expect("written");
}

fn truncate(path: &Path, len: u64) {
    let file = fs::File::options().write(true).open(path).expect("there");
    file.set_len(len).expect("cut");
}

impl Store {
    fn path(&self, digest: &BlobDigest, suffix: &str) -> std::path::PathBuf {
        self.folder.path().join(digest.hex() + suffix)
    }
}

#[test]
fn a_damaged_chunk_of_a_whole_attachment_is_never_handed_out() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES));
    let digest = store.given(&body);
    flip(&store.path(&digest, ""), CHUNK_BYTES + 100);
    let reader = store.blobs.reader(&digest).expect("here");
    let mut bytes = Vec::new();
    reader.chunk(0, &mut bytes).expect("a chunk");
    assert!(matches!(
        reader.chunk(1, &mut bytes),
        Err(ReadError::Damaged(1))
    ));
    reader.chunk(2, &mut bytes).expect("a chunk");
}

#[test]
fn a_whole_attachment_of_a_wrong_length_is_set_aside_and_told() {
    let store = Store::new();
    let (cut, kept) = (store.given(&body(200_000)), store.given(&body(1000)));
    truncate(&store.path(&cut, ""), 150_000);
    let (store, found) = store.reopened();
    assert_eq!(found.whole, [(kept, 1000)]);
    assert_eq!(found.set_aside.len(), 1);
    assert_eq!(found.set_aside[0].digest, cut);
    let aside = &found.set_aside[0].path;
    assert_eq!(fs::metadata(aside).expect("there").len(), 150_000);
    assert_eq!(store.blobs.size(&cut), None);
    // It counts as long as somebody has not looked at it, and the attachment can be given anew.
    assert!(store.blobs.bytes_used() > 150_000);
    store.given(&body(200_000));
}

#[test]
fn a_list_that_is_lost_or_damaged_is_made_again_from_an_attachment_that_is_not() {
    for size in [1000, 5 * CHUNK_BYTES + 9] {
        let (mut store, body) = (Store::new(), body(size));
        let digest = store.given(&body);
        fs::remove_file(store.path(&digest, ".list")).expect("removed");
        let mut found;
        (store, found) = store.reopened();
        assert_eq!(found.whole, [(digest, size)]);
        truncate(&store.path(&digest, ".list"), 5);
        (store, found) = store.reopened();
        assert_eq!(found.whole, [(digest, size)]);
        assert!(found.set_aside.is_empty());
        let reader = store.blobs.reader(&digest).expect("here");
        assert_eq!(reader.list().expect("a list"), list(&body));
        assert_eq!(store.read(&digest), body);
    }
}

#[test]
fn a_list_that_proves_nothing_is_never_sent_and_is_made_again() {
    let (store, body) = (Store::new(), body(5 * CHUNK_BYTES + 9));
    let digest = store.given(&body);
    // Not that of a chunk that is read with it.
    flip(&store.path(&digest, ".list"), 8 + 4 * 32);
    let reader = store.blobs.reader(&digest).expect("here");
    assert!(matches!(reader.list(), Err(ReadError::DamagedList)));
    reader.chunk(0, &mut Vec::new()).expect("a chunk");
    assert!(store.blobs.mend(&digest).expect("mended"));
    let reader = store.blobs.reader(&digest).expect("here");
    assert_eq!(reader.list().expect("a list"), list(&body));
}

#[test]
fn chunks_that_a_damaged_list_does_not_know_are_not_the_neighbours_fault() {
    let (store, body) = (Store::new(), body(4 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    let path = store.path(&digest, ".list");
    flip(&path, 8 + 2 * 32);
    let put = |number| store.blobs.put(&digest, number, chunk(&body, number));
    put(0).expect("a chunk");
    assert!(matches!(put(2), Err(PutError::DamagedList)));
    flip(&path, 8 + 2 * 32);
    let wrong = store.blobs.put(&digest, 2, chunk(&body, 1));
    assert!(matches!(wrong, Err(PutError::WrongBytes(2))));
    flip(&path, 8 + 2 * 32);
    // A restart finds it, and all of it comes again.
    let (store, found) = store.reopened();
    assert!(found.partial.is_empty());
    assert_eq!(found.set_aside.len(), 1);
    let (digest, begun) = store.begin(&body);
    assert_eq!(begun, Begun::New);
    for n in 0..4 {
        let put = store.blobs.put(&digest, n, chunk(&body, n));
        put.expect("a chunk");
    }
    store.blobs.finish(&digest).expect("whole");
    assert_eq!(store.read(&digest), body);
}

#[test]
fn chunks_damaged_before_a_restart_are_missing_at_the_end_and_come_again() {
    let (store, body) = (Store::new(), body(4 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    for n in 0..4 {
        store
            .blobs
            .put(&digest, n, chunk(&body, n))
            .expect("a chunk");
    }
    store.blobs.sync(&digest).expect("synced");
    let (store, found) = store.reopened();
    assert_eq!(found.partial[0].have.count(), 4);
    flip(&store.path(&digest, ".part"), 2 * CHUNK_BYTES + 1);
    // Passing it on finds it out, or finishing.
    flip(&store.path(&digest, ".part"), 3 * CHUNK_BYTES + 1);
    let reader = store.blobs.reader(&digest).expect("here");
    let read = reader.chunk(3, &mut Vec::new());
    assert!(matches!(read, Err(ReadError::Damaged(3))));
    assert_eq!(store.blobs.have(&digest), Some((0..3).collect()));
    let Err(FinishError::Missing(missing)) = store.blobs.finish(&digest) else {
        panic!("finished with damage");
    };
    assert_eq!(missing, (2..4).collect());
    for n in 2..4 {
        let progress = store
            .blobs
            .put(&digest, n, chunk(&body, n))
            .expect("a chunk");
        assert!(progress.is_new);
    }
    store.blobs.finish(&digest).expect("whole");
    assert_eq!(store.read(&digest), body);
}

#[test]
fn a_progress_that_says_too_much_is_found_out_and_one_that_is_lost_says_nothing() {
    let (mut store, body) = (Store::new(), body(3 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    store
        .blobs
        .put(&digest, 0, chunk(&body, 0))
        .expect("a chunk");
    store.blobs.sync(&digest).expect("synced");
    fs::write(store.path(&digest, ".progress"), [0xff, 0xff, 0xff]).expect("written");
    let mut found;
    (store, found) = store.reopened();
    assert_eq!(found.partial[0].have, (0..3).collect());
    let Err(FinishError::Missing(missing)) = store.blobs.finish(&digest) else {
        panic!("finished with chunks that never came");
    };
    assert_eq!(missing, (1..3).collect());
    for progress in [None, Some(&[][..])] {
        let path = store.path(&digest, ".progress");
        match progress {
            None => fs::remove_file(path).expect("removed"),
            Some(bytes) => fs::write(path, bytes).expect("written"),
        }
        (store, found) = store.reopened();
        assert!(found.partial[0].have.is_empty());
        store
            .blobs
            .put(&digest, 1, chunk(&body, 1))
            .expect("a chunk");
        store.blobs.sync(&digest).expect("synced");
        (store, found) = store.reopened();
        assert_eq!(found.partial[0].have, (1..2).collect());
    }
}

#[test]
fn a_part_that_does_not_fit_its_list_is_set_aside() {
    for (suffix, len) in [(".part", 1000), (".list", 20)] {
        let (store, body) = (Store::new(), body(3 * CHUNK_BYTES));
        let (digest, _) = store.begin(&body);
        truncate(&store.path(&digest, suffix), len);
        let (store, found) = store.reopened();
        assert!(found.partial.is_empty());
        assert_eq!(found.set_aside[0].digest, digest);
        assert_eq!(store.begin(&body).1, Begun::New);
    }
}
