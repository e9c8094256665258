//! What a neighbour may do that is wrong with attachments: it acks nothing, or what was never sent, and sends what is not asked or not so.

use blake3::hazmat::HasherExt as _;
use casegate::{
    delivery::hop::{Absent, Frame, Have, Want},
    model::{BlobDigest, CHUNK_BYTES, Ranges, chunk_count},
    wire,
};

use crate::{
    bad_input::{HUB, ROGUE, Town, batch_of, header},
    hostile::Hostile,
    world::unit,
};

/// Chunks that a neighbour may have been sent and not have acked (docs/PROTOCOL.md).
const UNACKED_CHUNKS_MAX: u64 = 256;

/// Says that an attachment is wanted, and these chunks of it are there.
async fn want(hostile: &mut Hostile, digest: BlobDigest, described: bool, have: Ranges) {
    let senders = vec![unit(HUB)];
    let want = Want {
        digest,
        senders,
        described,
        have,
    };
    hostile.say(&Frame::Want(want)).await;
}

/// The hub has carried out all that was said to it before.
async fn heard(hostile: &mut Hostile) {
    // Nobody has this one.
    let digest = BlobDigest([7; 32]);
    want(hostile, digest, false, Ranges::new()).await;
    let answer = Frame::Absent(Absent {
        digest,
        too_large: false,
    });
    while hostile.hear().await != answer {}
}

/// The chunks that the hub sends next, a run for each; they may be read in any order.
async fn next_chunks(hostile: &mut Hostile, count: u64) -> Ranges {
    let mut came = Ranges::new();
    for _ in 0..count {
        let run = hostile.stream().await;
        let run = wire::read_chunks(&run.into()).expect("a run");
        assert_eq!(run.chunks.len(), 1);
        assert!(!came.contains(run.first), "{} came twice", run.first);
        came.insert_range(run.first, run.first);
    }
    came
}

async fn ack(hostile: &mut Hostile, digest: BlobDigest, chunks: Ranges) {
    hostile.say(&Frame::Have(Have { digest, chunks })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_acks_no_chunks_is_sent_so_many_and_no_more() {
    let town = Town::new().await;
    let count = UNACKED_CHUNKS_MAX + 40;
    let body = vec![1; (count * CHUNK_BYTES) as usize];
    let digest: BlobDigest = town.hub.bring(body).await.parse().expect("a digest");
    let mut hostile = town.connect(&town.rogue()).await;
    hostile.open().await;
    want(&mut hostile, digest, false, Ranges::new()).await;
    // Without its description nothing can be done with the others.
    assert_eq!(next_chunks(&mut hostile, 1).await, Ranges::from_iter([0]));
    heard(&mut hostile).await;
    assert!(!hostile.has_stream(), "chunks before the first is acked");
    ack(&mut hostile, digest, Ranges::from_iter([0])).await;
    let sent = next_chunks(&mut hostile, UNACKED_CHUNKS_MAX).await;
    assert_eq!(sent, (1..=UNACKED_CHUNKS_MAX).collect());
    heard(&mut hostile).await;
    assert!(!hostile.has_stream(), "more than may be unacked");
    town.goes_on("meanwhile").await;
    ack(&mut hostile, digest, (1..=10).collect()).await;
    let more = next_chunks(&mut hostile, 10).await;
    assert_eq!(
        more,
        (UNACKED_CHUNKS_MAX + 1..=UNACKED_CHUNKS_MAX + 10).collect()
    );
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_acks_what_cannot_have_been_sent_loses_its_session_alone() {
    let town = Town::new().await;
    let body = vec![1; 5 * CHUNK_BYTES as usize];
    let digest: BlobDigest = town.hub.bring(body).await.parse().expect("a digest");
    let past = chunk_count(5 * CHUNK_BYTES);
    let rogue = town.rogue();
    for says_in_want in [true, false] {
        let mut hostile = town.connect(&rogue).await;
        hostile.open().await;
        let past = Ranges::from_iter([past]);
        if says_in_want {
            want(&mut hostile, digest, true, past).await;
        } else {
            want(&mut hostile, digest, false, Ranges::new()).await;
            ack(&mut hostile, digest, past).await;
        }
        let told = hostile.closed().await;
        assert!(told.contains("chunks past the end"), "{told}");
    }
    // What it says that it has within the attachment is its own affair: it is not sent, and the rest is.
    let mut hostile = town.connect(&rogue).await;
    hostile.open().await;
    want(&mut hostile, digest, true, (0..3).collect()).await;
    assert_eq!(next_chunks(&mut hostile, 2).await, (3..5).collect());
    town.goes_on("after").await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_wrong_end_their_session_and_one_that_is_too_large_its_message() {
    let town = Town::new().await;
    let rogue = town.rogue();
    let body: Vec<u8> = (0..2 * CHUNK_BYTES).map(|n| (n / 777) as u8).collect();
    let digest = BlobDigest::of(&body);
    let size = body.len() as u64;
    let chunks: Vec<&[u8]> = body.chunks(CHUNK_BYTES as usize).collect();
    let list: Vec<u8> = (0..)
        .zip(&chunks)
        .flat_map(|(number, chunk)| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(number * CHUNK_BYTES);
            hasher.update(chunk).finalize_non_root()
        })
        .collect();
    let run = |list: &[u8], number, chunk: &[u8]| {
        let mut run = wire::chunks_head(&digest, Some((size, list)), number, 1);
        run.extend_from_slice(chunk);
        run
    };
    let not_its_own = "sent what is not its own";
    let cases = [
        (
            "a wrong list",
            run(&[0; 64], 0, chunks[0]),
            "a list that is not its own",
        ),
        ("wrong bytes", run(&list, 0, chunks[1]), not_its_own),
        ("past the end", run(&list, 2, chunks[1]), "do not read"),
        ("too short", run(&list, 1, &chunks[1][1..]), "do not read"),
        ("noise", vec![0xc0; 100], "do not read"),
    ];
    let mut named = header(ROGUE, rogue.signer().certificate());
    named.attachments = vec![digest.0];
    let mut hostile = town.connect(&rogue).await;
    hostile.open().await;
    hostile
        .batch(&batch_of(rogue.signer().seal(&named, b"")))
        .await;
    hostile.show_certificate(rogue.signing_certificate()).await;
    for (what, run, why) in cases {
        until_wanted(&mut hostile, digest).await;
        hostile.batch(&run).await;
        let told = hostile.closed().await;
        assert!(told.contains(why), "{what}: {told}");
        hostile = town.connect(&rogue).await;
        hostile.open().await;
    }
    until_wanted(&mut hostile, digest).await;
    // Its list is not even looked at.
    hostile
        .batch(&wire::chunks_head(&digest, Some((u64::MAX, &[])), 0, 0))
        .await;
    while hostile.hear().await != Frame::Unwant(digest) {}
    town.goes_on("after").await;
    town.stop().await;
}

async fn until_wanted(hostile: &mut Hostile, digest: BlobDigest) {
    loop {
        if let Frame::Want(want) = hostile.hear().await {
            assert_eq!(want.digest, digest);
            return;
        }
    }
}
