//! Clients that do as little as they can themselves: HTTP/1.1 over plain sockets, one request after another.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use casegate::sample::Sample;

use super::CLIENTS;

/// Requests that are made before anything is measured, for each turn; more would be submitted a second time.
const REQUESTS_PER_SECOND_MAX: u64 = 30_000;
/// Messages of one batch.
const BATCH: u64 = 500;

/// What was submitted.
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Enough requests for a turn, one message each.
#[allow(dead_code, reason = "each bench uses what it needs")]
pub(super) fn requests(turn: Duration, samples: impl Iterator<Item = Sample>) -> Vec<Vec<u8>> {
    let most = REQUESTS_PER_SECOND_MAX * turn.as_secs();
    samples
        .take(most as usize)
        .map(|sample| request("application/cloudevents+json", &sample.event))
        .collect()
}

/// How many requests are answered with 202, and in how long.
#[allow(dead_code, reason = "each bench uses what it needs")]
pub(super) async fn submit(
    address: SocketAddr,
    turn: Duration,
    requests: Vec<Vec<u8>>,
) -> (u64, Duration) {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicU64::new(0));
    let answered = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (requests, next, answered) = (requests.clone(), next.clone(), answered.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(address).await;
            while began.elapsed() < turn {
                let Some(request) = requests.get(next.fetch_add(1, Relaxed) as usize) else {
                    return;
                };
                connection.call(request).await;
                answered.fetch_add(1, Relaxed);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no panic");
    }
    (answered.load(Relaxed), began.elapsed())
}

/// Submits so many messages in batches.
pub(super) async fn fill(
    address: SocketAddr,
    mut made: impl Iterator<Item = Sample> + Send + 'static,
    count: u64,
) -> Sent {
    let (batches, waiting) = mpsc::channel::<(Vec<u8>, u64)>(8);
    let maker = tokio::task::spawn_blocking(move || {
        let mut left = count;
        let mut bytes = 0;
        while left > 0 {
            let size = left.min(BATCH);
            let mut body = String::from("[");
            for sample in made.by_ref().take(size as usize) {
                if body.len() > 1 {
                    body.push(',');
                }
                body.push_str(&sample.event);
                bytes += sample.event.len() as u64;
            }
            body.push(']');
            let request = request("application/cloudevents-batch+json", &body);
            if batches.blocking_send((request, size)).is_err() {
                break;
            }
            left -= size;
        }
        bytes
    });
    let waiting = Arc::new(Mutex::new(waiting));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let waiting = waiting.clone();
        clients.spawn(async move {
            let mut connection = Connection::open(address).await;
            loop {
                let Some((request, _)) = waiting.lock().await.recv().await else {
                    return;
                };
                connection.call(&request).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no panic");
    }
    let bytes = maker.await.expect("no panic");
    Sent {
        messages: count,
        bytes,
    }
}

fn request(content_type: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        Self {
            stream,
            answer: Vec::new(),
        }
    }

    /// Sends a request and waits for its 202.
    async fn call(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("sent");
        self.answer.clear();
        while !is_whole(&self.answer) {
            let read = self.stream.read_buf(&mut self.answer).await.expect("read");
            assert!(read > 0, "the connection was closed");
        }
        let accepted = self.answer.starts_with(b"HTTP/1.1 202 ");
        assert!(accepted, "{}", String::from_utf8_lossy(&self.answer));
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse::<usize>().ok());
    answer.len() >= head + 4 + length.expect("a length")
}
