//! What applications give.

use super::*;
use crate::blob::{ReadError, StoreError};

#[test]
fn what_was_given_is_read_back_with_its_digest_and_list_and_survives_a_restart() {
    let mut store = Store::new();
    for size in SIZES {
        let digest = store.given(&body(size));
        assert_eq!(store.blobs.size(&digest), Some(size));
    }
    let mut found;
    (store, found) = store.reopened();
    found.whole.sort_by_key(|(_, size)| *size);
    let sizes: Vec<_> = found.whole.iter().map(|(_, size)| *size).collect();
    assert_eq!(sizes, SIZES);
    assert!(found.set_aside.is_empty());
    for size in SIZES {
        let digest = BlobDigest::of(&body(size));
        assert_eq!(store.read(&digest), body(size));
        let reader = store.blobs.reader(&digest).expect("here");
        assert_eq!(reader.list().expect("a list"), list(&body(size)));
        let past = reader.chunk(chunk_count(size), &mut Vec::new());
        assert!(matches!(past, Err(ReadError::PastTheEnd)));
    }
}

#[test]
fn an_equal_attachment_is_kept_once_and_counts_as_given_just_now() {
    let store = Store::new();
    let digest = store.given(&body(100_000));
    let (used, names) = (store.blobs.bytes_used(), store.names());
    let old = std::time::SystemTime::UNIX_EPOCH;
    let path = store.folder.path().join(digest.hex());
    let file = fs::File::options().write(true).open(path).expect("there");
    file.set_modified(old).expect("set");
    assert_eq!(store.blobs.whole_since().expect("read")[0].2, old);
    assert_eq!(store.given(&body(100_000)), digest);
    assert_eq!((store.blobs.bytes_used(), store.names()), (used, names));
    assert!(store.blobs.whole_since().expect("read")[0].2 > old);
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let store = Store::new();
    let used = store.blobs.bytes_used();
    let mut upload = store.blobs.upload().expect("room");
    upload.write(&body(300_000)).expect("written");
    assert!(store.blobs.bytes_used() > 300_000);
    drop(upload);
    assert_eq!(store.blobs.bytes_used(), used);
    assert_eq!(store.names(), Vec::<String>::new());
}

#[test]
fn one_that_is_larger_than_the_bound_is_refused_and_the_bound_is_named() {
    let store = Store::new();
    let mut upload = store.blobs.upload().expect("room");
    upload.write(&body(4 * 1024 * 1024)).expect("the bound");
    let error = upload.write(&[0]).expect_err("one byte more");
    assert!(matches!(error, StoreError::TooLarge { mib_max: 4 }));
    assert!(error.to_string().contains("attachment-mib = 4"));
    drop(upload);
    let digest = BlobDigest::of(b"large");
    let begun = store.blobs.begin(digest, 4 * 1024 * 1024 + 1, &[]);
    let error = begun.expect_err("too large");
    assert!(error.to_string().contains("attachment-mib = 4"), "{error}");
    assert_eq!(store.blobs.bytes_used(), 0);
}

#[test]
fn a_full_store_refuses_by_name_what_is_new_and_takes_it_once_something_went() {
    let store = Store::new();
    let three = |first: u8| [&[first], &body(3 * 1024 * 1024)[1..]].concat();
    let (a, b, c) = (three(1), three(2), three(3));
    let first = store.given(&a);
    // Room is taken when a transfer begins, not as it comes.
    store.begin(&b);
    let begun = store
        .blobs
        .begin(BlobDigest::of(&c), c.len() as u64, &list(&c));
    let error = begun.expect_err("full");
    assert!(error.to_string().contains("attachments-mib = 8"), "{error}");
    let mut upload = store.blobs.upload().expect("room for a little");
    let error = upload.write(&c).expect_err("full");
    assert!(matches!(error, StoreError::Full { mib_max: 8 }));
    drop(upload);
    // What is here already needs no room.
    assert_eq!(store.begin(&a).1, Begun::Whole);
    assert!(store.blobs.remove(&first).expect("removed"));
    store.given(&c);
    assert!(store.blobs.remove(&BlobDigest::of(&b)).expect("removed"));
    assert!(store.blobs.remove(&BlobDigest::of(&c)).expect("removed"));
    assert!(!store.blobs.remove(&first).expect("asked"));
    assert_eq!(store.blobs.bytes_used(), 0);
    assert_eq!(store.names(), Vec::<String>::new());
}

#[test]
fn files_count_in_blocks_so_that_many_small_ones_fill_the_bound_too() {
    let store = Store::new();
    store.given(b"a");
    assert_eq!(store.blobs.bytes_used(), 2 * 4096);
    let (store, _) = store.reopened();
    assert_eq!(store.blobs.bytes_used(), 2 * 4096);
}

#[test]
fn an_upload_makes_a_transfer_of_the_same_attachment_superfluous() {
    let store = Store::new();
    let body = body(3 * CHUNK_BYTES);
    let (digest, _) = store.begin(&body);
    store
        .blobs
        .put(&digest, 1, chunk(&body, 1))
        .expect("a chunk");
    store.given(&body);
    assert_eq!(store.names(), [digest.hex(), digest.hex() + ".list"]);
    let progress = store.blobs.put(&digest, 0, chunk(&body, 0)).expect("here");
    assert!(progress.is_complete() && !progress.is_new);
    assert_eq!(store.blobs.finish(&digest).expect("whole"), 3 * CHUNK_BYTES);
    assert_eq!(store.blobs.bytes_used(), 3 * CHUNK_BYTES + 4096);
    assert_eq!(store.read(&digest), body);
}

#[test]
fn one_that_is_being_read_is_read_to_its_end_when_it_is_removed() {
    let store = Store::new();
    let body = body(2 * CHUNK_BYTES);
    let digest = store.given(&body);
    let reader = store.blobs.reader(&digest).expect("here");
    store.blobs.remove(&digest).expect("removed");
    let mut bytes = Vec::new();
    reader.chunk(1, &mut bytes).expect("still open");
    assert_eq!(bytes, chunk(&body, 1));
    assert!(store.blobs.reader(&digest).is_err());
}

#[test]
fn what_was_forgotten_and_came_anew_is_not_cleaned_away() {
    let store = Store::new();
    let (kept, gone) = (body(100_000), body(200_000));
    let (digest, other) = (store.given(&kept), store.given(&gone));
    let forgotten = store.blobs.forget(&digest).expect("here");
    let gone = store.blobs.forget(&other).expect("here");
    assert!(store.blobs.forget(&digest).is_none());
    assert_eq!(store.blobs.size(&digest), None);
    assert!(store.blobs.reader(&digest).is_err());
    store.given(&kept);
    store.blobs.clean(forgotten).expect("cleaned");
    store.blobs.clean(gone).expect("cleaned");
    assert_eq!(store.read(&digest), kept);
    assert_eq!(store.names(), [digest.hex(), digest.hex() + ".list"]);
    let (used, (store, found)) = (store.blobs.bytes_used(), store.reopened());
    assert_eq!(found.whole, [(digest, 100_000)]);
    assert_eq!(store.blobs.bytes_used(), used);
}

#[test]
fn a_transfer_that_was_forgotten_begins_anew_whatever_is_left_of_its_files() {
    let store = Store::new();
    let body = body(2 * CHUNK_BYTES);
    let (digest, _) = store.begin(&body);
    store
        .blobs
        .put(&digest, 0, chunk(&body, 0))
        .expect("a chunk");
    store.blobs.sync(&digest).expect("synced");
    let forgotten = store.blobs.forget(&digest).expect("here");
    assert_eq!(store.begin(&body).1, Begun::New);
    store.blobs.clean(forgotten).expect("cleaned");
    let (store, found) = store.reopened();
    assert!(found.partial[0].have.is_empty());
    assert_eq!(store.begin(&body).1, Begun::Partly(Default::default()));
}
