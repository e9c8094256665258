//! What happens on a connection: large bodies, long polls, clients that go away, the end.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

struct Served {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A client that writes all before it reads anything.
struct Client(TcpStream);

impl Client {
    async fn to(served: &Served) -> Self {
        Self(
            TcpStream::connect(served.address)
                .await
                .expect("a connection"),
        )
    }

    async fn write(&mut self, bytes: &[u8]) {
        let written = timeout(DEADLINE, self.0.write_all(bytes)).await;
        written.expect("in time").expect("the connection takes it");
    }

    async fn get(&mut self, path: &str) {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .await;
    }

    /// Reads one answer: its status and its body.
    async fn read(&mut self) -> (u16, String) {
        let answer = timeout(DEADLINE, async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head)
                .expect("a text")
                .to_ascii_lowercase();
            let field = |name: &str| {
                let line = head.lines().find(|line| line.starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned())
            };
            let length = field("content-length:").expect("a length");
            let mut body = vec![0; length.parse().expect("a number")];
            self.0.read_exact(&mut body).await.expect("a body");
            let status = head[9..12].parse().expect("a status");
            (status, String::from_utf8(body).expect("a text"))
        });
        answer.await.expect("an answer in time")
    }
}

impl World {
    /// Serves on a real socket until the sender is used or dropped.
    async fn serve(&self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async {
            let _ = stopped.await;
        };
        let doors = Doors {
            loopback: listener,
            network: None,
        };
        let task = tokio::spawn(serve(
            doors,
            self.node.clone(),
            self.settings.clone(),
            |_| Router::new(),
            until,
        ));
        Served {
            address,
            stop,
            task,
        }
    }
}

#[tokio::test]
async fn forty_megabytes_are_read_and_refused_and_the_connection_goes_on() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    let chunk = vec![b' '; 1024 * 1024];
    for chunked in [false, true] {
        let length = match chunked {
            true => "transfer-encoding: chunked".to_owned(),
            false => format!("content-length: {}", 40 * chunk.len()),
        };
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STRUCTURED}\r\n{length}\r\n\r\n"
        );
        client.write(head.as_bytes()).await;
        for _ in 0..40 {
            if chunked {
                client
                    .write(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .await;
            }
            client.write(&chunk).await;
            if chunked {
                client.write(b"\r\n").await;
            }
        }
        if chunked {
            client.write(b"0\r\n\r\n").await;
        }
        let (status, body) = client.read().await;
        assert_eq!(status, 413, "{body}");
        assert!(body.contains(r#""bound":"request-kib""#), "{body}");
    }
    client.get("/healthz").await;
    assert_eq!(client.read().await.0, 200);
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_reaches_a_client_that_still_writes() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    let length = 8 * 1024 * 1024;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    client.write(&vec![b'x'; length]).await;
    assert_eq!(client.read().await.0, 415);
    client.get("/healthz").await;
    assert_eq!(client.read().await.0, 200);
}

#[tokio::test]
async fn a_long_poll_ends_at_once_when_the_api_stops() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox?wait=5m").await;
    world
        .node
        .until("a poll waits", |node| {
            node.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
    served.stop.send(()).expect("it serves");
    assert_eq!(client.read().await, (200, "[]".into()));
    timeout(DEADLINE, served.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_poll_whose_client_has_gone_is_dropped() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox?wait=5m").await;
    let waiting = |node: &Fake| node.waiting.load(Ordering::SeqCst) == 1;
    world.node.until("a poll waits", waiting).await;
    drop(client);
    let dropped = |node: &Fake| node.dropped.load(Ordering::SeqCst) == 1;
    world.node.until("the poll is dropped", dropped).await;
}

#[tokio::test]
async fn messages_whose_answer_cannot_be_written_are_given_back() {
    let world = World::new();
    // More than the sockets of both ends hold.
    let data = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    let messages: Vec<_> = (0..32)
        .map(|n| handed(&world, &n.to_string(), &data))
        .collect();
    let ids: Vec<_> = messages.iter().map(|m| m.header.message_id()).collect();
    world.node.told().inbox = messages;
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox").await;
    client.0.read_u8().await.expect("the answer begins");
    drop(client);
    world
        .node
        .until("they are given back", |node| node.told().released == ids)
        .await;
}

#[tokio::test]
async fn an_answer_that_was_written_is_not_given_back() {
    let world = World::new();
    let messages = vec![handed(&world, "1", "1")];
    world.node.told().inbox = messages;
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox").await;
    assert_eq!(client.read().await.0, 200);
    // A wrong head breaks the connection, but not the answer before it.
    client.write(b"nonsense\r\n\r\n").await;
    assert_eq!(client.read().await.0, 400);
    served.stop.send(()).expect("it serves");
    timeout(DEADLINE, served.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(world.node.told().released.is_empty());
}
