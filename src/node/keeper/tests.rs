//! Attachments from one keeper to another, and what goes wrong on the way.

use super::*;
use crate::{blob::Bounds, model::CHUNK_BYTES};

const SIZE: u64 = 3 * CHUNK_BYTES + 100;

struct Two {
    sender: Keeper,
    receiver: Keeper,
    neighbour: UnitId,
    digest: BlobDigest,
    folders: [tempfile::TempDir; 2],
}

/// One that has an attachment, and one that has asked for it.
fn two(attachment_mib: u32) -> Two {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let open = |at: usize, attachment_mib| {
        let bounds = Bounds {
            attachment_mib,
            attachments_mib: 64,
        };
        let opened = Blobs::open(folders[at].path(), bounds);
        let metrics = Arc::new(Metrics::new(1));
        Keeper::new(opened.expect("attachments").0, metrics)
    };
    let (sender, receiver) = (open(0, 64), open(1, attachment_mib));
    let mut upload = sender.blobs.upload().expect("an upload");
    let body: Vec<u8> = (0..SIZE).map(|n| (n / 777) as u8).collect();
    upload.write(&body).expect("writes");
    let digest = upload.finish().expect("an attachment").0;
    let neighbour: UnitId = "hebi.hub".parse().expect("a unit");
    receiver.take_from(digest, neighbour.clone());
    Two {
        sender,
        receiver,
        neighbour,
        digest,
        folders,
    }
}

impl Two {
    fn run(&self, describe: bool, first: u64, count: u64) -> Vec<u8> {
        let run = self
            .sender
            .pack(&self.neighbour, self.digest, describe, first, count);
        run.expect("it reads").expect("it is there").to_vec()
    }

    fn came(&self, run: Vec<u8>) -> Result<Vec<BlobNews>, ChunksFault> {
        let came = self.receiver.came(7, &self.neighbour, &run.into())?;
        Ok(came.into_iter().map(|(_, news)| news).collect())
    }
}

#[test]
fn an_attachment_comes_over_in_any_order_and_is_whole() {
    let two = two(64);
    let part = BlobNews::Part {
        size: SIZE,
        have: Ranges::new(),
    };
    let stored = |chunks: &[u64]| BlobNews::Stored(chunks.iter().copied().collect());
    let came = two.came(two.run(true, 2, 1)).expect("it counts");
    assert_eq!(came, [part, stored(&[2])]);
    let came = two.came(two.run(false, 3, 1)).expect("it counts");
    assert_eq!(came, [stored(&[3])]);
    let came = two.came(two.run(false, 0, 2)).expect("it counts");
    assert_eq!(came, [stored(&[0, 1]), BlobNews::Whole { size: SIZE }]);
    // Once more does no harm.
    let came = two.came(two.run(false, 0, 2)).expect("it counts");
    assert_eq!(came, [stored(&[0, 1]), BlobNews::Whole { size: SIZE }]);
}

#[test]
fn wrong_bytes_a_wrong_list_and_chunks_past_the_end_are_a_fault_and_leave_nothing() {
    let two = two(64);
    let mut wrong = two.run(true, 0, 1);
    wrong[40] ^= 1; // in the list
    assert!(matches!(two.came(wrong), Err(ChunksFault::List(_))));
    let chunks_first = two.came(two.run(false, 0, 1));
    assert!(
        matches!(chunks_first, Err(ChunksFault::Chunk(_)))
            || matches!(&chunks_first, Ok(news) if news.is_empty())
    );
    two.came(two.run(true, 0, 1)).expect("it counts");
    let mut wrong = two.run(false, 1, 1);
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert!(matches!(
        two.came(wrong),
        Err(ChunksFault::Chunk(PutError::WrongBytes(1)))
    ));
    let mut past = two.run(false, 1, 1);
    past[33] = 9; // the number of the first
    assert!(matches!(
        two.came(past),
        Err(ChunksFault::Chunk(PutError::PastTheEnd { .. }))
    ));
    let mut short = two.run(false, 1, 1);
    short.truncate(last);
    assert!(matches!(
        two.came(short),
        Err(ChunksFault::Chunk(PutError::WrongLength { .. }))
    ));
    assert!(matches!(
        two.came(vec![0xc0, 1, 2]),
        Err(ChunksFault::Broken(_))
    ));
    let have = two.receiver.blobs.have(&two.digest);
    assert_eq!(have, Some([0].into_iter().collect()));
}

#[test]
fn what_was_removed_while_it_came_is_told_as_lost_once() {
    let two = two(64);
    two.came(two.run(true, 0, 1)).expect("it counts");
    let removed = two.receiver.blobs.remove(&two.digest);
    removed.expect("it can be removed");
    let came = two.came(two.run(false, 1, 1)).expect("no fault");
    assert_eq!(came, [BlobNews::Lost]);
    let came = two.came(two.run(false, 2, 1)).expect("no fault");
    assert_eq!(came, []);
}

#[test]
fn a_list_that_has_rotted_at_either_end_is_nobodys_fault_and_costs_no_session() {
    let two = two(64);
    let rot = |end: usize| {
        let path = two.folders[end].path().join(two.digest.hex() + ".list");
        let mut list = std::fs::read(&path).expect("a list");
        *list.last_mut().expect("values") ^= 1;
        std::fs::write(&path, list).expect("writes");
    };
    rot(0);
    two.came(two.run(true, 0, 1))
        .expect("a list that is mended");
    rot(1);
    let came = two.came(two.run(false, 2, 2)).expect("no fault");
    assert_eq!(came, [BlobNews::Lost]);
    two.came(two.run(true, 0, 4)).expect("all of it");
    assert_eq!(two.receiver.blobs.size(&two.digest), Some(SIZE));
}

#[test]
fn what_was_not_asked_of_a_neighbour_is_not_taken_from_it() {
    let two = two(64);
    let other: UnitId = "hebi.other".parse().expect("a unit");
    let run = Bytes::from(two.run(true, 0, 1));
    let came = two.receiver.came(7, &other, &run).expect("no fault");
    assert_eq!(came, [(two.digest, BlobNews::Unasked { session: 7 })]);
    two.receiver.close(&two.digest);
    let came = two.came(run.to_vec()).expect("no fault");
    assert_eq!(came, [BlobNews::Unasked { session: 7 }]);
    assert_eq!(two.receiver.blobs.bytes_used(), 0);
}

#[test]
fn one_that_is_too_large_is_refused_by_its_description() {
    let small = two(64);
    small.receiver.blobs.set_bounds(Bounds {
        attachment_mib: 0,
        attachments_mib: 64,
    });
    let came = small.came(small.run(true, 0, 1)).expect("no fault");
    assert_eq!(came, [BlobNews::TooLarge]);
    small.receiver.blobs.set_bounds(Bounds {
        attachment_mib: 64,
        attachments_mib: 0,
    });
    let came = small.came(small.run(true, 0, 1)).expect("no fault");
    assert_eq!(came, [BlobNews::NoRoom]);
    assert_eq!(small.receiver.take_lacking(), SIZE);
    let huge = wire::chunks_head(&small.digest, Some((u64::MAX, &[])), 0, 0);
    assert_eq!(small.came(huge).expect("no fault"), [BlobNews::TooLarge]);
}

#[test]
fn a_chunk_that_rots_is_not_sent_and_all_of_it_goes() {
    let two = two(64);
    let file = two.folders[0].path().join(two.digest.hex());
    let mut bytes = std::fs::read(&file).expect("a file");
    bytes[70_000] ^= 1;
    std::fs::write(&file, bytes).expect("writes");
    assert!(
        two.sender
            .pack(&two.neighbour, two.digest, false, 0, 1)
            .is_ok_and(|run| run.is_ok())
    );
    let lost = two.sender.pack(&two.neighbour, two.digest, false, 1, 1);
    assert_eq!(lost.expect("it lasts"), Err((two.digest, BlobNews::Lost)));
    assert_eq!(two.sender.blobs.size(&two.digest), None);
}

#[test]
fn an_attachment_that_cannot_be_read_just_now_stays() {
    let two = two(64);
    let folder = two.folders[0].path();
    let (file, aside) = (folder.join(two.digest.hex()), folder.join("aside"));
    std::fs::rename(&file, &aside).expect("renamed");
    // It leads to itself: the system opens no such file, and says something else than that it is not there.
    std::os::unix::fs::symlink(&file, &file).expect("a link");
    let pack = || two.sender.pack(&two.neighbour, two.digest, false, 1, 1);
    let error = pack().expect_err("it cannot be opened");
    assert!(!error.is_lasting(), "{error}");
    let mut news = Vec::new();
    two.sender.tell_damaged(two.digest, &mut news);
    assert_eq!(news, []);
    assert_eq!(two.sender.blobs.size(&two.digest), Some(SIZE));
    std::fs::rename(&aside, &file).expect("renamed");
    assert!(pack().is_ok_and(|run| run.is_ok()));
}
