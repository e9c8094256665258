//! Attachments, in and out.

use futures_util::stream;

use super::*;
use crate::model::CHUNK_BYTES;

const OCTETS: &str = "application/octet-stream";

fn body(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl World {
    async fn raw(&self, request: Request<Body>) -> Raw {
        let answer = self.router.clone().oneshot(request).await;
        let (parts, body) = answer.expect("never fails").into_parts();
        Raw {
            status: parts.status,
            headers: parts.headers,
            bytes: to_bytes(body, usize::MAX).await.expect("a body"),
        }
    }

    async fn put(&self, path: &str, body: impl Into<Body>) -> Answered {
        let headers = [("content-type", OCTETS)];
        self.ask(request("PUT", path, &headers, body.into())).await
    }

    async fn fetch(&self, digest: &BlobDigest, headers: &[(&str, &str)]) -> Raw {
        let path = format!("/v1/attachments/{digest}");
        self.raw(request("GET", &path, headers, Body::empty()))
            .await
    }

    /// Files in the folder of attachments.
    fn files(&self) -> usize {
        let folder = self.node.folder.path();
        std::fs::read_dir(folder).expect("a folder").count()
    }
}

#[tokio::test]
async fn what_is_put_is_named_by_its_digest_and_comes_back_whole_and_by_range() {
    let world = World::new();
    let body = body(3 * CHUNK_BYTES + 77);
    let size = body.len();
    let digest = BlobDigest::of(&body);
    let named = "/v1/attachments?name=%E6%89%AB%E6%8F%8F%201.pdf";
    let answered = world.put(named, body.clone()).await;
    assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.body);
    assert_eq!(
        answered.body,
        json!({"digest": digest, "size": size, "name": "扫描 1.pdf"})
    );
    assert_eq!(world.node.told().attached, [(digest, size as u64)]);

    let whole = world.fetch(&digest, &[]).await;
    assert_eq!(whole.status, StatusCode::OK);
    assert_eq!(whole.bytes, body);
    assert_eq!(whole.headers["content-length"], size.to_string());
    assert_eq!(whole.headers["etag"], format!("\"{digest}\""));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-disposition"], "attachment");

    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=65536-131071", 65_536, 131_072),
        ("bytes=100000-", 100_000, size),
        ("bytes=-77", size - 77, size),
        ("bytes=5-999999999", 5, size),
    ] {
        let part = world.fetch(&digest, &[("range", range)]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(part.bytes, body[first..end], "{range}");
        assert_eq!(part.headers["content-length"], (end - first).to_string());
        let told = format!("bytes {first}-{}/{size}", end - 1);
        assert_eq!(part.headers["content-range"], told);
    }
    let past = format!("bytes={size}-");
    let past = world.fetch(&digest, &[("range", &past)]).await;
    assert_eq!(past.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(past.headers["content-range"], format!("bytes */{size}"));
    let several = world.fetch(&digest, &[("range", "bytes=0-1,5-6")]).await;
    assert_eq!(
        (several.status, several.bytes.len()),
        (StatusCode::OK, size)
    );

    let tag = format!("\"{digest}\"");
    let known = world.fetch(&digest, &[("if-none-match", &tag)]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let range = ("range", "bytes=0-9");
    let same = world.fetch(&digest, &[range, ("if-range", &tag)]).await;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    let other = world.fetch(&digest, &[range, ("if-range", "\"x\"")]).await;
    assert_eq!((other.status, other.bytes.len()), (StatusCode::OK, size));

    let path = format!("/v1/attachments/{digest}?name=a%22b.pdf");
    let head = world.raw(request("HEAD", &path, &[], Body::empty())).await;
    assert_eq!((head.status, head.bytes.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-length"], size.to_string());
    assert_eq!(
        head.headers["content-disposition"],
        "attachment; filename*=UTF-8''a%22b.pdf"
    );
}

#[tokio::test]
async fn an_empty_attachment_is_one_too() {
    let world = World::new();
    let digest = BlobDigest::of(b"");
    let answered = world.put("/v1/attachments", Body::empty()).await;
    assert_eq!(answered.body, json!({"digest": digest, "size": 0}));
    let whole = world.fetch(&digest, &[]).await;
    assert_eq!((whole.status, whole.bytes.len()), (StatusCode::OK, 0));
    let part = world.fetch(&digest, &[("range", "bytes=0-")]).await;
    assert_eq!(part.status, StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn what_is_not_here_or_no_digest_is_not_found() {
    let world = World::new();
    for digest in [
        BlobDigest::of(b"never").to_string(),
        "blake3:00".into(),
        "x".into(),
        "%ff".into(),
        BlobDigest::of(b"never").to_string().to_uppercase(),
    ] {
        let answered = world.get(&format!("/v1/attachments/{digest}")).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{digest}");
        assert_eq!(answered.problem(), "unknown-attachment");
    }
    // One that is still coming is not handed out.
    let coming = body(2 * CHUNK_BYTES);
    let digest = BlobDigest::of(&coming);
    let elsewhere = World::new();
    elsewhere.put("/v1/attachments", coming.clone()).await;
    let list = elsewhere.node.blobs.reader(&digest).expect("here").list();
    let blobs = &world.node.blobs;
    blobs
        .begin(digest, 2 * CHUNK_BYTES, &list.expect("a list"))
        .expect("begun");
    blobs
        .put(&digest, 0, &coming[..CHUNK_BYTES as usize])
        .expect("a chunk");
    let answered = world.get(&format!("/v1/attachments/{digest}")).await;
    assert_eq!(answered.problem(), "unknown-attachment");
    let detail = answered.body["detail"].as_str().expect("a text");
    assert!(detail.contains("1 chunks of it are here"), "{detail}");
}

#[tokio::test]
async fn bounds_are_named_and_room_is_made_of_what_nobody_needs() {
    let world = World::with(|settings| {
        settings.limits.attachment_mib = 1;
        settings.limits.attachments_mib = 2;
    });
    const MIB: u64 = 1024 * 1024;
    // Both what says how large it is and what does not.
    let unsaid = |body: Vec<u8>| {
        let frames: Vec<_> = body.chunks(50_000).map(Bytes::copy_from_slice).collect();
        Body::from_stream(stream::iter(
            frames.into_iter().map(Ok::<_, std::io::Error>),
        ))
    };
    for large in [Body::from(body(MIB + 1)), unsaid(body(MIB + 1))] {
        let answered = world.put("/v1/attachments", large).await;
        assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answered.problem(), "too-large");
        assert_eq!(answered.body["bound"], "attachment-mib");
        assert_eq!(answered.body["limit"], 1);
    }
    assert_eq!((world.files(), world.node.blobs.bytes_used()), (0, 0));
    let first = body(MIB);
    let digest = BlobDigest::of(&first);
    let answered = world.put("/v1/attachments", first).await;
    assert_eq!(answered.status, StatusCode::CREATED);
    for full in [Body::from(body(MIB - 1)), unsaid(body(MIB - 1))] {
        let answered = world.put("/v1/attachments", full).await;
        assert_eq!(answered.status, StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(answered.problem(), "bound-reached");
        assert_eq!(answered.body["bound"], "attachments-mib");
        assert!(answered.headers.contains_key("retry-after"));
    }
    for more in [Body::from(body(MIB - 1)), unsaid(body(MIB - 2))] {
        let spare = world.node.told().attached.last().expect("one").0;
        world.node.told().spare.push(spare);
        let answered = world.put("/v1/attachments", more).await;
        assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.body);
    }
    assert_eq!(world.node.blobs.size(&digest), None);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let world = World::new();
    let part = Ok(Bytes::from(body(300_000)));
    let broken = Err(std::io::Error::other("cut"));
    let answered = world
        .put(
            "/v1/attachments",
            Body::from_stream(stream::iter([part, broken])),
        )
        .await;
    assert_eq!(answered.problem(), "broken-request");
    assert_eq!((world.files(), world.node.blobs.bytes_used()), (0, 0));
    assert!(world.node.told().attached.is_empty());
}

#[tokio::test]
async fn a_name_is_the_name_of_a_file() {
    let world = World::new();
    for name in ["", "a%2Fb", "a%5Cb", "a%0Ab", &"a".repeat(256)] {
        let path = format!("/v1/attachments?name={name}");
        let answered = world.put(&path, body(10)).await;
        assert_eq!(answered.problem(), "invalid-request", "{name}");
        assert_eq!(answered.body["attribute"], "name");
    }
}

#[tokio::test]
async fn damage_is_never_sent_and_is_told() {
    let world = World::new();
    let body = body(3 * CHUNK_BYTES);
    let digest = BlobDigest::of(&body);
    world.put("/v1/attachments", body.clone()).await;
    let path = world.node.folder.path().join(digest.hex());
    let mut wrong = body.clone();
    wrong[CHUNK_BYTES as usize + 5] ^= 1;
    std::fs::write(path, wrong).expect("written");
    let path = format!("/v1/attachments/{digest}");
    let answer = world
        .router
        .clone()
        .oneshot(request("GET", &path, &[], Body::empty()))
        .await
        .expect("never fails");
    assert!(to_bytes(answer.into_body(), usize::MAX).await.is_err());
    assert_eq!(world.node.told().damaged, [digest]);
    // What is not damaged is still sent.
    let last = world.fetch(&digest, &[("range", "bytes=131072-")]).await;
    assert_eq!(last.bytes, body[131_072..]);
}

#[tokio::test]
async fn so_many_at_once_and_no_more() {
    let world = World::new();
    world.put("/v1/attachments", body(10)).await;
    let digest = BlobDigest::of(&body(10));
    let path = format!("/v1/attachments/{digest}");
    let mut open = Vec::new();
    for _ in 0..crate::api::attachments::CALLS_MAX {
        let answer = world
            .router
            .clone()
            .oneshot(request("GET", &path, &[], Body::empty()))
            .await;
        open.push(answer.expect("never fails"));
    }
    assert_eq!(world.get(&path).await.problem(), "busy");
    let answered = world.put("/v1/attachments", body(20)).await;
    assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answered.body["bound"], "attachment-calls");
    open.pop();
    assert_eq!(world.fetch(&digest, &[]).await.status, StatusCode::OK);
}
