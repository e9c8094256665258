//! Attachments that come in pieces.

use futures_util::stream;

use super::*;
use crate::model::CHUNK_BYTES;

const OCTETS: [(&str, &str); 1] = [("content-type", "application/octet-stream")];

fn body(size: u64) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// A body that ends before all of it has come.
fn broken(bytes: &[u8]) -> Body {
    let part = Ok(Bytes::copy_from_slice(bytes));
    let end = Err(std::io::Error::other("the connection broke"));
    Body::from_stream(stream::iter([part, end]))
}

impl World {
    async fn begin(&self, size: u64) -> String {
        let asked = json!({"size": size, "name": "scan.pdf"});
        let answered = self.post("/v1/uploads", "application/json", asked).await;
        assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.body);
        assert_eq!(answered.body["offset"], 0);
        answered.body["upload"].as_str().expect("a name").to_owned()
    }

    async fn piece(&self, upload: &str, offset: u64, body: impl Into<Body>) -> Answered {
        let path = format!("/v1/uploads/{upload}?offset={offset}");
        self.ask(request("PUT", &path, &OCTETS, body.into())).await
    }

    async fn how_far(&self, upload: &str) -> Answered {
        self.get(&format!("/v1/uploads/{upload}")).await
    }

    /// Files in the folder of attachments.
    fn kept(&self) -> usize {
        let folder = self.node.folder.path();
        std::fs::read_dir(folder).expect("a folder").count()
    }
}

#[tokio::test]
async fn what_a_broken_connection_brought_stays_and_the_rest_follows() {
    let world = World::new();
    let body = body(5 * CHUNK_BYTES + 77);
    let size = body.len() as u64;
    let digest = BlobDigest::of(&body);
    let upload = world.begin(size).await;
    let first = 2 * CHUNK_BYTES + 5;
    let answered = world
        .piece(&upload, 0, broken(&body[..first as usize]))
        .await;
    assert_eq!(answered.problem(), "broken-request");
    let here = world.how_far(&upload).await;
    assert_eq!(here.status, StatusCode::OK);
    assert_eq!(
        here.body,
        json!({"upload": upload, "offset": first, "size": size, "name": "scan.pdf"})
    );
    // Nobody brings a piece twice, or leaves one out.
    for wrong in [0, first - 1, first + 1, size] {
        let answered = world.piece(&upload, wrong, body.clone()).await;
        assert_eq!(answered.status, StatusCode::CONFLICT);
        assert_eq!(answered.problem(), "upload-offset");
        assert_eq!(answered.body["limit"], first);
    }
    let second = first + CHUNK_BYTES;
    let part = body[first as usize..second as usize].to_vec();
    let answered = world.piece(&upload, first, part).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
    assert_eq!(answered.body["offset"], second);
    assert!(world.node.told().attached.is_empty());
    let rest = body[second as usize..].to_vec();
    let answered = world.piece(&upload, second, rest).await;
    assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.body);
    assert_eq!(answered.body["digest"], json!(digest));
    assert_eq!(world.node.told().attached, [(digest, size)]);
    // Whoever has not heard so hears it again.
    assert_eq!(world.how_far(&upload).await.body["digest"], json!(digest));
    let again = world.piece(&upload, size, Body::empty()).await;
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(world.node.told().attached.len(), 1);
    let path = format!("/v1/attachments/{digest}");
    let whole = request("GET", &path, &[], Body::empty());
    let whole = world.router.clone().oneshot(whole).await.expect("answers");
    let whole = to_bytes(whole.into_body(), usize::MAX).await;
    assert_eq!(whole.expect("a body"), body);
}

#[tokio::test]
async fn an_empty_file_is_whole_with_the_first_piece() {
    let world = World::new();
    let upload = world.begin(0).await;
    let answered = world.piece(&upload, 0, Body::empty()).await;
    assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.body);
    assert_eq!(answered.body["digest"], json!(BlobDigest::of(b"")));
}

#[tokio::test]
async fn a_call_whose_connection_hangs_is_ended_by_the_next() {
    let world = Arc::new(World::new());
    let body = body(3 * CHUNK_BYTES);
    let upload = world.begin(body.len() as u64).await;
    for (offset, end) in [(0, CHUNK_BYTES), (CHUNK_BYTES, 2 * CHUNK_BYTES)] {
        let part = Bytes::copy_from_slice(&body[offset as usize..end as usize]);
        let (told, taken) = tokio::sync::oneshot::channel();
        // Some bytes, and then none, and no end.
        let hangs = stream::once(async move {
            let _ = told.send(());
            Ok::<_, std::io::Error>(part)
        })
        .chain(stream::pending());
        let (asking, name) = (world.clone(), upload.clone());
        let first = tokio::spawn(async move {
            let body = Body::from_stream(hangs);
            asking.piece(&name, offset, body).await
        });
        taken.await.expect("its bytes are asked for");
        let here = world.how_far(&upload).await;
        assert_eq!(here.body["offset"], end);
        let ended = first.await.expect("it ends");
        assert_eq!(ended.problem(), "broken-request");
    }
    let rest = body[2 * CHUNK_BYTES as usize..].to_vec();
    let answered = world.piece(&upload, 2 * CHUNK_BYTES, rest).await;
    assert_eq!(answered.body["digest"], json!(BlobDigest::of(&body)));
}

#[tokio::test]
async fn what_is_no_upload_or_passes_a_bound_is_refused_and_leaves_nothing() {
    let world = World::new();
    for unknown in ["x", "", &"0".repeat(32), &"G".repeat(32)] {
        let answered = world.piece(unknown, 0, "x").await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    let upload = world.begin(10).await;
    for query in [
        "",
        "?offset=",
        "?offset=-1",
        "?offset=x",
        "?offset=1&offset=1",
    ] {
        let path = format!("/v1/uploads/{upload}{query}");
        let asked = request("PUT", &path, &OCTETS, Body::from("x"));
        assert_eq!(
            world.ask(asked).await.problem(),
            "invalid-request",
            "{query}"
        );
    }
    let answered = world.piece(&upload, 0, "more than ten bytes").await;
    assert_eq!(answered.problem(), "upload-size");
    assert_eq!(answered.body["limit"], 10);
    assert_eq!(world.how_far(&upload).await.problem(), "unknown-upload");
    assert_eq!((world.kept(), world.node.blobs.bytes_used()), (0, 0));

    let begin = |asked: Json| world.post("/v1/uploads", "application/json", asked);
    let answered = begin(json!({"size": u64::MAX})).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    for wrong in [
        json!({}),
        json!({"size": -1}),
        json!({"size": 1, "name": "a/b"}),
    ] {
        assert_eq!(
            begin(wrong.clone()).await.problem(),
            "invalid-request",
            "{wrong}"
        );
    }
    let mut open = Vec::new();
    let busy = loop {
        let answered = begin(json!({"size": 1})).await;
        if answered.status != StatusCode::CREATED {
            break answered;
        }
        open.push(answered.body["upload"].as_str().expect("a name").to_owned());
    };
    assert_eq!(
        (busy.status, open.len()),
        (StatusCode::TOO_MANY_REQUESTS, 32)
    );
    // One that is whole makes way.
    let whole = world.piece(&open[0], 0, "x").await;
    assert_eq!(whole.status, StatusCode::CREATED);
    assert_eq!(begin(json!({"size": 1})).await.status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn where_there_are_too_many_the_one_that_was_given_up_first_makes_way() {
    let world = World::new();
    let first = world.begin(10).await;
    tokio::time::advance(std::time::Duration::from_secs(200)).await;
    for _ in 1..32 {
        world.begin(10).await;
    }
    let asked = json!({"size": 10});
    let busy = world.post("/v1/uploads", "application/json", asked).await;
    assert_eq!(busy.status, StatusCode::TOO_MANY_REQUESTS);
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    world.begin(10).await;
    assert_eq!(world.how_far(&first).await.problem(), "unknown-upload");
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_goes_on_with_is_forgotten_after_an_hour() {
    let world = World::new();
    let upload = world.begin(10).await;
    for offset in [0, 3] {
        tokio::time::advance(std::time::Duration::from_secs(3000)).await;
        let answered = world.piece(&upload, offset, "abc").await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
    }
    tokio::time::sleep(std::time::Duration::from_secs(3601)).await;
    assert_eq!(world.how_far(&upload).await.problem(), "unknown-upload");
    assert_eq!((world.kept(), world.node.blobs.bytes_used()), (0, 0));
}
