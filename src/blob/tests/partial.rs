//! What neighbours send.

use proptest::prelude::*;

use super::*;
use crate::{
    blob::{BeginError, FinishError, PutError, ReadError},
    model::Ranges,
};

fn set(numbers: &[u64]) -> Ranges {
    numbers.iter().copied().collect()
}

#[test]
fn chunks_come_in_any_order_and_twice_and_make_the_attachment() {
    for size in SIZES {
        let (store, body) = (Store::new(), body(size));
        let (digest, begun) = store.begin(&body);
        assert_eq!(begun, Begun::New);
        let count = chunk_count(size);
        for (done, n) in (1..).zip((0..count).rev()) {
            let progress = store
                .blobs
                .put(&digest, n, chunk(&body, n))
                .expect("a chunk");
            assert!(progress.is_new);
            assert_eq!((progress.chunks_here, progress.chunks), (done, count));
            let again = store.blobs.put(&digest, n, chunk(&body, n)).expect("again");
            assert!(!again.is_new);
            assert_eq!(again.bytes_here, progress.bytes_here);
            assert_eq!(progress.is_complete(), n == 0);
        }
        assert_eq!(store.blobs.size(&digest), None);
        assert_eq!(store.blobs.finish(&digest).expect("whole"), size);
        assert_eq!(store.blobs.size(&digest), Some(size));
        assert_eq!(store.read(&digest), body);
        assert_eq!(store.names(), [digest.hex(), digest.hex() + ".list"]);
        assert_eq!(store.begin(&body).1, Begun::Whole);
        let (store, found) = store.reopened();
        assert_eq!(found.whole, [(digest, size)]);
        assert_eq!(store.read(&digest), body);
    }
}

#[test]
fn wrong_bytes_lengths_and_places_are_refused_each_by_its_name_and_change_nothing() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES + 7));
    let (digest, _) = store.begin(&body);
    let put = |n, bytes: &[u8]| store.blobs.put(&digest, n, bytes);
    let mut wrong = chunk(&body, 1).to_vec();
    wrong[65_000] ^= 1;
    assert!(matches!(put(1, &wrong), Err(PutError::WrongBytes(1))));
    // Right bytes in the wrong place.
    assert!(matches!(
        put(0, chunk(&body, 1)),
        Err(PutError::WrongBytes(0))
    ));
    for (n, bytes) in [(0, &body[..10]), (3, &body[..8]), (3, &body[..6]), (0, &[])] {
        let wanted = if n == 3 { 7 } else { CHUNK_BYTES as usize };
        match put(n, bytes) {
            Err(PutError::WrongLength {
                number,
                given,
                wanted: told,
            }) => assert_eq!((number, given, told), (n, bytes.len(), wanted)),
            other => panic!("{other:?}"),
        }
    }
    for n in [4, 5, u64::MAX] {
        let past = put(n, chunk(&body, 0));
        assert!(matches!(past, Err(PutError::PastTheEnd { number, chunks: 4 }) if number == n));
    }
    let other = BlobDigest::of(b"other");
    let unknown = store.blobs.put(&other, 0, b"other");
    assert!(matches!(unknown, Err(PutError::Unknown(digest)) if digest == other));
    assert_eq!(store.blobs.have(&digest), Some(Ranges::new()));
    assert_eq!(store.blobs.sync(&digest).expect("synced"), Ranges::new());
    let Err(FinishError::Missing(missing)) = store.blobs.finish(&digest) else {
        panic!("finished without a chunk");
    };
    assert_eq!(missing, set(&[0, 1, 2, 3]));
}

#[test]
fn a_list_that_does_not_prove_the_digest_begins_nothing() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES));
    let (digest, size, right) = (BlobDigest::of(&body), body.len() as u64, list(&body));
    let mut wrong = right.clone();
    wrong[40] ^= 1;
    let begin = |digest, size, list: &[u8]| store.blobs.begin(digest, size, list);
    for begun in [
        begin(digest, size, &wrong),
        begin(digest, size, &right[..64]),
        begin(digest, size + 1, &right),
        begin(BlobDigest::of(b"other"), size, &right),
        begin(digest, size, &[]),
    ] {
        assert!(matches!(begun, Err(BeginError::WrongList(_))), "{begun:?}");
    }
    assert_eq!((store.names(), store.blobs.bytes_used()), (vec![], 0));
    // The list has as many chunks; the last one tells that its size is wrong.
    assert!(matches!(begin(digest, size - 1, &right), Ok(Begun::New)));
    let last = store.blobs.put(&digest, 2, &chunk(&body, 2)[1..]);
    assert!(matches!(last, Err(PutError::WrongBytes(2))));
    assert!(matches!(
        begin(digest, size, &right),
        Err(BeginError::OtherSize(told)) if told == size - 1
    ));
    assert!(store.blobs.remove(&digest).expect("removed"));
    assert!(matches!(begin(digest, size, &right), Ok(Begun::New)));
}

#[test]
fn a_transfer_goes_on_after_a_restart_with_what_was_synced_and_at_most_what_came() {
    let (store, body) = (Store::new(), body(9 * CHUNK_BYTES + 5));
    let (digest, _) = store.begin(&body);
    for n in [7, 2, 9] {
        store
            .blobs
            .put(&digest, n, chunk(&body, n))
            .expect("a chunk");
    }
    assert_eq!(store.blobs.sync(&digest).expect("synced"), set(&[2, 7, 9]));
    store
        .blobs
        .put(&digest, 4, chunk(&body, 4))
        .expect("a chunk");
    assert_eq!(store.blobs.have(&digest), Some(set(&[2, 4, 7, 9])));
    let (store, found) = store.reopened();
    assert_eq!(found.partial.len(), 1);
    assert_eq!(found.partial[0].digest, digest);
    assert_eq!(found.partial[0].size, body.len() as u64);
    assert_eq!(found.partial[0].have, set(&[2, 7, 9]));
    assert_eq!(store.begin(&body).1, Begun::Partly(set(&[2, 7, 9])));
    for n in [0, 1, 3, 4, 5, 6, 8] {
        store
            .blobs
            .put(&digest, n, chunk(&body, n))
            .expect("a chunk");
    }
    store.blobs.finish(&digest).expect("whole");
    assert_eq!(store.read(&digest), body);
    assert_eq!(
        store.blobs.bytes_used(),
        (body.len() as u64).next_multiple_of(4096) + 4096
    );
}

#[test]
fn chunks_of_one_that_is_not_whole_can_be_passed_on() {
    let (store, body) = (Store::new(), body(3 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    let reader = store.blobs.reader(&digest).expect("here");
    let mut bytes = Vec::new();
    assert!(matches!(
        reader.chunk(1, &mut bytes),
        Err(ReadError::NotHere)
    ));
    store
        .blobs
        .put(&digest, 1, chunk(&body, 1))
        .expect("a chunk");
    reader.chunk(1, &mut bytes).expect("here");
    assert_eq!(bytes, chunk(&body, 1));
    assert_eq!(reader.list().expect("a list"), list(&body));
    for n in [0, 2] {
        store
            .blobs
            .put(&digest, n, chunk(&body, n))
            .expect("a chunk");
    }
    store.blobs.finish(&digest).expect("whole");
    // The reader that was opened before reads on.
    reader.chunk(2, &mut bytes).expect("here");
    assert_eq!(bytes, chunk(&body, 2));
}

#[test]
fn what_is_removed_while_it_comes_is_gone_and_can_begin_anew() {
    let (store, body) = (Store::new(), body(2 * CHUNK_BYTES));
    let (digest, _) = store.begin(&body);
    store
        .blobs
        .put(&digest, 0, chunk(&body, 0))
        .expect("a chunk");
    assert!(store.blobs.remove(&digest).expect("removed"));
    assert_eq!((store.names(), store.blobs.bytes_used()), (vec![], 0));
    let put = store.blobs.put(&digest, 1, chunk(&body, 1));
    assert!(matches!(put, Err(PutError::Unknown(_))));
    assert!(matches!(
        store.blobs.sync(&digest),
        Err(FinishError::Unknown(_))
    ));
    assert!(matches!(
        store.blobs.finish(&digest),
        Err(FinishError::Unknown(_))
    ));
    assert_eq!(store.begin(&body).1, Begun::New);
    assert_eq!(store.blobs.have(&digest), Some(Ranges::new()));
}

#[test]
fn several_links_fill_one_attachment_at_once() {
    let (store, body) = (Store::new(), body(40 * CHUNK_BYTES + 1));
    let (digest, _) = store.begin(&body);
    let new: usize = std::thread::scope(|scope| {
        let links: Vec<_> = (0..4)
            .map(|link| {
                let (store, body) = (&store, &body);
                scope.spawn(move || {
                    let mut new = 0;
                    // Each sends two thirds, so that most come twice.
                    for n in (0..41).filter(|n| n % 3 != link % 3) {
                        let progress = store.blobs.put(&digest, n, chunk(body, n));
                        new += usize::from(progress.expect("a chunk").is_new);
                        if n % 10 == link {
                            store.blobs.sync(&digest).expect("synced");
                        }
                    }
                    new
                })
            })
            .collect();
        links
            .into_iter()
            .map(|link| link.join().expect("no panic"))
            .sum()
    });
    assert_eq!(new, 41);
    store.blobs.finish(&digest).expect("whole");
    assert_eq!(store.read(&digest), body);
}

/// What may happen to a transfer.
#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Wrong(u64),
    Sync,
    Restart,
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..8).prop_map(Step::Put),
        2 => (0u64..10).prop_map(Step::Wrong),
        2 => Just(Step::Sync),
        1 => Just(Step::Restart),
        1 => Just(Step::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_it_has_what_was_synced_and_becomes_whole_only_when_all_is_there(
        tail in 1u64..=CHUNK_BYTES, steps in prop::collection::vec(step(), 1..40),
    ) {
        let body = body(7 * CHUNK_BYTES + tail);
        let mut store = Store::new();
        let (digest, _) = store.begin(&body);
        let (mut here, mut durable) = (Ranges::new(), Ranges::new());
        let mut whole = false;
        for step in steps {
            match step {
                Step::Put(n) => {
                    let progress = store.blobs.put(&digest, n, chunk(&body, n)).expect("a chunk");
                    prop_assert_eq!(progress.is_new, !whole && here.insert(n));
                }
                Step::Wrong(n) => {
                    let mut wrong = chunk(&body, n.min(7)).to_vec();
                    wrong[0] ^= 0x40;
                    let put = store.blobs.put(&digest, n, &wrong);
                    // What is here already is not looked at again.
                    prop_assert_eq!(put.is_ok(), n < 8 && (whole || here.contains(n)));
                }
                Step::Sync => {
                    durable = here.clone();
                    let synced = store.blobs.sync(&digest).expect("synced");
                    prop_assert!(whole || synced == durable);
                }
                Step::Restart => {
                    let found;
                    (store, found) = store.reopened();
                    here = durable.clone();
                    if whole {
                        prop_assert_eq!(found.whole, [(digest, body.len() as u64)]);
                    } else {
                        prop_assert_eq!(&found.partial[0].have, &here);
                    }
                }
                Step::Finish => match store.blobs.finish(&digest) {
                    Ok(_) => {
                        prop_assert!(whole || here.count() == 8);
                        whole = true;
                        durable = here.clone();
                    }
                    Err(FinishError::Missing(missing)) => {
                        durable = here.clone();
                        prop_assert_eq!(missing.count(), 8 - here.count());
                        prop_assert!(!whole);
                    }
                    Err(error) => panic!("{error}"),
                },
            }
        }
        if whole {
            prop_assert_eq!(store.read(&digest), body);
        }
    }
}
