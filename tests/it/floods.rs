//! Floods: more of everything than an honest neighbour or client would send. The hub goes on serving the others meanwhile, and its memory
//! stays within a bound, which is printed.
//!
//! The ignored form of the first two has 10,000 of what the normal one has 500; it needs that many file descriptors.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use casegate::{
    delivery::hop::{Frame, GoneAnswer, Hello},
    link::tls,
    model::Ranges,
    pki::Identity,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    bad_input::{ROGUE, batch_of, header},
    hostile::{Hostile, as_over_3g},
    processes::{Connected, Node, Town, text, until},
    world::{PATIENCE, Running, World, now},
};

pub(crate) const HUB: &str = "hebi.hub";
const MANY: usize = 500;
/// Memory that a hub may take beyond what it took before, for each session of a unit, and in all, KiB.
const SESSION_KIB_MAX: u64 = 100;
const FLOOD_KIB_MAX: u64 = 96 * 1024;

/// As many file descriptors as this process may have.
fn raise_descriptors(least: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may do that");
    let enough = limit.current.is_none_or(|most| most >= least as u64);
    assert!(enough, "{limit:?}; {least} file descriptors are needed");
}

/// A message passes from A to B.
pub(crate) fn passes(town: &Connected, id: &str) -> Duration {
    let started = Instant::now();
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b", "data": id,
    });
    let names = town.a.client().submit(&[event]);
    let b = town.b.client();
    until("a message passes", || {
        let Some((200, events)) = b.get("/v1/inbox?max=1&wait=5s") else {
            return false;
        };
        events[0]["messageid"] == names[0].as_str()
    });
    let took = started.elapsed();
    let body = json!({ "messageids": names });
    let acked = b.post("/v1/inbox/ack", "application/json", &body);
    assert_eq!(acked.expect("an answer").0, 200);
    took
}

/// What a hub has taken since, and that it is not too much.
pub(crate) fn assert_memory(what: &str, hub: &Node, before_kib: u64, more_kib_max: u64) {
    let more = hub.peak_kib().saturating_sub(before_kib);
    eprintln!("{what}: {before_kib} KiB before, {more} KiB more at most");
    assert!(more < more_kib_max, "{more} KiB more than before");
}

async fn sessions(count: usize) {
    raise_descriptors(1024);
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    let limits = "[limits]\nconnections = 12000\nunits = 12000\n";
    hub.configure("[listen]", &format!("{limits}[listen]"));
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    hub.until_sessions(2);
    let town = Connected { hub, a, b, town };
    passes(&town, "before");
    let before = town.hub.peak_kib();
    let started = Instant::now();
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("an endpoint");
    let address = town.town.hub_address();
    let mut all = Vec::new();
    let mut dialling = JoinSet::new();
    let mut next = 0;
    while all.len() < count {
        while dialling.len() < 16 && next < count {
            let identity = town.town.issue(&format!("hebi.many.u{next}"));
            let endpoint = endpoint.clone();
            next += 1;
            dialling.spawn(async move {
                let connected = Hostile::connect_from(&endpoint, &identity, HUB, address).await;
                let mut hostile = connected.expect("a session");
                hostile.open().await;
                hostile
            });
        }
        all.push(dialling.join_next().await.expect("some").expect("no panic"));
    }
    eprintln!("{count} sessions in {:?}", started.elapsed());
    town.hub.until_sessions(count as u64 + 2);
    let took = passes(&town, "among many");
    eprintln!("a message among them took {took:?}");
    assert_memory(
        "sessions",
        &town.hub,
        before,
        count as u64 * SESSION_KIB_MAX,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_units_are_connected_at_once() {
    sessions(MANY).await;
}

/// The datagrams with which so many connections begin, each with the others of its own. Nobody answers them.
async fn first_flights(count: usize, identity: &casegate::pki::Identity) -> Vec<Vec<u8>> {
    let catcher = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    catcher
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a time");
    let to = catcher.local_addr().expect("an address");
    let tls = Arc::new(tls::client_config(identity, &HUB.parse().expect("a unit")).expect("TLS"));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("an endpoint");
    let catching = std::thread::spawn(move || {
        let (mut caught, mut datagram) = (Vec::new(), [0; 2048]);
        while caught.len() < 2 * count {
            let Ok(len) = catcher.recv(&mut datagram) else {
                break;
            };
            caught.push(datagram[..len].to_vec());
        }
        caught
    });
    let mut attempts = Vec::new();
    for _ in 0..count {
        let config = as_over_3g(tls.clone());
        attempts.push(
            endpoint
                .connect_with(config, to, tls::SERVER_NAME)
                .expect("an attempt"),
        );
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(move || catching.join().expect("no panic"))
        .await
        .expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_of_forged_addresses_have_to_prove_them_and_cost_little() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    passes(&town, "before");
    let before = town.hub.peak_kib();
    let flights = first_flights(2_000, &identity).await;
    assert!(flights.len() > 2_000, "{} datagrams", flights.len());
    // From many addresses, as forged ones are: all but a few attempts are only asked to prove theirs.
    let sockets: Vec<UdpSocket> = (0..50)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.set_nonblocking(true).expect("it can");
            socket
        })
        .collect();
    let address = town.town.hub_address();
    let (mut retries, mut answers) = (0, 0);
    let mut listen = || {
        let mut datagram = [0; 2048];
        for socket in &sockets {
            while let Ok(len) = socket.recv(&mut datagram) {
                answers += len;
                // A long header of type Retry (RFC 9000, section 17.2.5).
                retries += usize::from(datagram[0] & 0xf0 == 0xf0);
            }
        }
        retries
    };
    let mut sent = 0;
    for (n, flight) in flights.iter().enumerate() {
        // Both datagrams of a flight come from one address, as they must.
        let _ = sockets[n / 2 % sockets.len()].send_to(flight, address);
        sent += flight.len();
        if n % 100 == 0 {
            listen();
            passes(&town, &format!("meanwhile-{n}"));
        }
    }
    until("the hub asks for proof", || listen() > 0);
    passes(&town, "after");
    listen();
    eprintln!(
        "{} datagrams of {sent} bytes: {retries} asked to prove their address, {answers} bytes answered",
        flights.len()
    );
    assert!(answers < 3 * sent, "it amplifies");
    assert_memory("forged handshakes", &town.hub, before, FLOOD_KIB_MAX);
    // Who is honest gets in.
    let mut honest = Hostile::connect(&identity, HUB, address).await;
    honest.open().await;
}

/// Connections in vain, after which no more are tried.
const MISSES_MAX: usize = 5;

fn idle_clients(count: usize) {
    raise_descriptors(count + 200);
    let town = Connected::new();
    passes(&town, "before");
    let before = town.hub.peak_kib();
    let address: SocketAddr = town.hub.address().parse().expect("an address");
    // Some say nothing, some begin a request, and some begin a body.
    let beginnings: [&[u8]; 3] = [
        b"",
        b"GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ",
        b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 900\r\n\r\n{",
    ];
    let mut clients = Vec::new();
    let mut misses = 0;
    for n in 0..count {
        let Ok(mut client) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
            // The system's own queue is full, and stays so until the API has sent some away.
            misses += 1;
            if misses == MISSES_MAX {
                break;
            }
            continue;
        };
        let _ = client.write_all(beginnings[n % 3]);
        clients.push(client);
    }
    let connected = clients.len();
    assert!(
        connected >= count.min(1_000) * 9 / 10,
        "{connected} of {count} connected"
    );
    // Messages pass whoever calls, and the API answers once its slow clients have had their time.
    passes(&town, "meanwhile");
    let started = Instant::now();
    until("the hub's API answers", || {
        matches!(town.hub.client().get("/v1/status"), Some((200, _)))
    });
    eprintln!(
        "{connected} slow clients: the API answered after {:?}",
        started.elapsed()
    );
    assert_memory("slow clients", &town.hub, before, FLOOD_KIB_MAX);
    drop(clients);
    passes(&town, "after");
}

#[test]
fn many_slow_clients_of_the_api_keep_nobody_from_it() {
    idle_clients(MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_read_nothing_and_open_every_stream_cost_the_hub_little() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("an endpoint");
    let address = town.town.hub_address();
    let mut rogues = Vec::new();
    for _ in 0..4 {
        let connected = Hostile::connect_from(&endpoint, &identity, HUB, address).await;
        let mut rogue = connected.expect("a session");
        rogue.open().await;
        rogues.push(rogue);
    }
    passes(&town, "before");
    let before = town.hub.peak_kib();
    // 40 MB for a unit that reads and acks nothing.
    let body = "案".repeat(10_000);
    for n in 0..13 {
        let events: Vec<_> = (0..100)
            .map(|m| {
                json!({
                    "specversion": "1.0", "id": format!("slow-{n}-{m}"), "source": "/unit/hebi.a", "type": "notice",
                    "to": ROGUE, "data": format!("{n} {m} {body}"),
                })
            })
            .collect();
        town.a.client().submit(&events);
    }
    let mut streams = 0;
    for rogue in &rogues {
        streams += rogue.open_streams(5_000).await.len();
    }
    eprintln!("{streams} streams on {} sessions", rogues.len());
    assert!(streams < 200, "{streams} streams were allowed");
    passes(&town, "meanwhile");
    assert_memory("slow readers and streams", &town.hub, before, FLOOD_KIB_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_is_sent_again_and_again_is_handed_over_once() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let signer = identity.signer();
    let mut to_b = header(ROGUE, signer.certificate());
    to_b.to = vec!["hebi.b".parse().expect("a pattern")];
    let parcel = signer.seal(&to_b, b"");
    let batch = batch_of(parcel);
    for round in 0..5 {
        let mut rogue = Hostile::connect(&identity, HUB, town.town.hub_address()).await;
        rogue.open().await;
        for _ in 0..10 {
            rogue.batch(&batch).await;
        }
        if round == 0 {
            rogue.show_certificate(identity.signing_certificate()).await;
        }
        passes(&town, &format!("round-{round}"));
    }
    let b = town.b.client();
    let (_, found) = b.get("/v1/messages?from=hebi.rogue").expect("an answer");
    eprintln!("{found}");
    assert!(
        found["messages"].as_array().expect("messages").len() <= 1,
        "{found}"
    );
    let (_, more) = b.get("/v1/inbox?max=10&wait=0s").expect("an answer");
    assert!(more.as_array().expect("events").len() <= 1, "{more}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_lies_in_its_hello_harms_nobody_else() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let address = town.town.hub_address();
    type Lie = fn(&mut Hello);
    let lies: [(&str, Lie); 6] = [
        ("another unit", |hello| {
            hello.unit = "hebi.a".parse().expect("a unit")
        }),
        ("the hub itself", |hello| {
            hello.unit = HUB.parse().expect("a unit")
        }),
        ("another version", |hello| hello.version = u16::MAX),
        ("numbers that were never sent", |hello| {
            hello.received = (1..9_000).collect::<Ranges>();
        }),
        ("the last numbers there are", |hello| {
            (hello.base, hello.next) = (u64::MAX, u64::MAX);
        }),
        ("another century", |hello| hello.wall = u64::MAX),
    ];
    for (what, lie) in lies {
        let mut rogue = Hostile::connect(&identity, HUB, address).await;
        let mut hello = rogue.hello();
        lie(&mut hello);
        rogue.say(&Frame::Hello(hello.clone())).await;
        // With the hub's own epoch in it, it is believed as far as it may be.
        hello.peer_epoch = 1;
        rogue.say(&Frame::Hello(hello)).await;
        rogue.say(&Frame::GoneAnswer(GoneAnswer::default())).await;
        passes(&town, &what.replace(' ', "-"));
    }
    // It has not hurt itself either.
    let mut honest = Hostile::connect(&identity, HUB, address).await;
    honest.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_says_nothing_after_the_handshake_is_dialled_again() {
    let world = World::new();
    // Of its hub only QUIC is there, as for an edge whose hub was restarted right after the handshake.
    let hub = world.hub(HUB);
    let identity = Identity::load(&hub.identity.dir, &hub.unit, now()).expect("an identity");
    let server = tls::server_config(&identity, 16).expect("a server");
    let server = quinn::ServerConfig::with_crypto(Arc::new(server));
    let any = ([127, 0, 0, 1], 0).into();
    let mute = quinn::Endpoint::server(server, any).expect("an endpoint");
    let address = mute.local_addr().expect("an address");
    let edge = Running::start(world.edge("hebi.a", HUB, address)).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let next = timeout(PATIENCE, mute.accept()).await.expect("it dials");
        let connection = next.expect("an attempt").await;
        connections.push(connection.expect("a handshake"));
    }
    let ended = connections[0].close_reason();
    assert!(ended.is_some(), "the first is still there");
    edge.node.stop().await;
}

#[test]
fn a_greedy_unit_takes_little_of_the_time_of_others() {
    const ROUNDS: usize = 60;
    let town = Connected::new();
    let measure = |name: &str| {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|n| passes(&town, &format!("{name}-{n}")))
            .collect();
        times.sort();
        (times[ROUNDS / 2], times[ROUNDS * 9 / 10])
    };
    passes(&town, "before");
    let (alone, alone_90) = measure("alone");
    // Another unit sends as fast as it can, to a third one that takes all of it.
    let (mut greedy, mut sink) = (unit_of(&town, "hebi.greedy"), unit_of(&town, "hebi.sink"));
    greedy.start();
    sink.start();
    town.hub.until_sessions(4);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let submitting = {
        let (stop, client) = (stop.clone(), greedy.client());
        std::thread::spawn(move || {
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let events: Vec<_> = (0..100)
                    .map(|m| {
                        json!({
                            "specversion": "1.0", "id": format!("{n}-{m}"), "source": "/unit/hebi.greedy",
                            "type": "notice", "to": "hebi.sink", "data": "x".repeat(500),
                        })
                    })
                    .collect();
                client.submit(&events);
                n += 1;
            }
            n * 100
        })
    };
    until("the greedy one is at it", || {
        let status = sink.client().get("/v1/status").map(|(_, status)| status);
        status.is_some_and(|status| status["inbox"]["messages"].as_u64() > Some(1000))
    });
    let (beside, beside_90) = measure("beside");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let sent = submitting.join().expect("no panic");
    eprintln!(
        "a message alone: median {alone:?}, nine of ten {alone_90:?}; beside one that sent {sent}: {beside:?}, {beside_90:?}"
    );
    // All share two cores here; how much more it takes where each node has its own is in docs/TESTING.md.
    assert!(
        beside < alone * 10 + Duration::from_millis(500),
        "{beside:?} after {alone:?}"
    );
    greedy.kill();
    sink.kill();
}

/// One more unit of the town.
fn unit_of(town: &Connected, name: &str) -> Node {
    town.town.issue(name);
    town.town.unit(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_neighbour_and_this_hub_speak_casegate_1_with_each_other() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("an endpoint");
    let address = town.town.hub_address();
    let as_now = Hostile::connect_from(&endpoint, &identity, HUB, address).await;
    assert_eq!(as_now.expect("a session").protocol(), tls::ALPN_1_1);
    let old = tls::client_config_of(&identity, &HUB.parse().expect("a unit"), &[tls::ALPN]);
    let old = Arc::new(old.expect("TLS"));
    let connected = Hostile::connect_with(&endpoint, old, identity.unit(), address).await;
    let mut old = connected.expect("a session");
    assert_eq!(old.protocol(), tls::ALPN);
    old.open().await;
    // What it sends is taken, and what is for it comes, compressed against nothing that it does not know of.
    let signer = identity.signer();
    let mut to_b = header(ROGUE, signer.certificate());
    to_b.to = vec!["hebi.b".parse().expect("a pattern")];
    old.batch(&batch_of(signer.seal(&to_b, b""))).await;
    old.show_certificate(identity.signing_certificate()).await;
    let b = town.b.client();
    until("B has it", || {
        let events = b.get("/v1/inbox?max=10&wait=1s");
        events.is_some_and(|(_, events)| {
            events
                .as_array()
                .is_some_and(|all| all.iter().any(|e| text(&e["source"]).ends_with(ROGUE)))
        })
    });
    for n in 0..3 {
        let event = json!({
            "specversion": "1.0", "id": format!("to-old-{n}"), "source": "/unit/hebi.a", "type": "notice", "to": ROGUE,
            "data": "the same words again and again",
        });
        town.a.client().submit(&[event]);
        assert!(!old.stream().await.is_empty());
    }
    let heard = timeout(Duration::from_millis(300), async {
        loop {
            let frame = old.hear().await;
            assert!(
                !matches!(
                    frame,
                    Frame::Generation(_) | Frame::GenerationAnswer(..) | Frame::Moved
                ),
                "{frame:?}"
            );
        }
    });
    assert!(heard.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_neighbour_says_beyond_this_version_is_passed_over() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let mut newer = Hostile::connect(&identity, HUB, town.town.hub_address()).await;
    newer.message(&[4, 99, 1, 2, 3]).await;
    newer.open().await;
    newer.message(&[2, 120, 0, 1, 200]).await;
    // The session goes on: what it sends is asked about.
    let signer = identity.signer();
    let parcel = signer.seal(&header(ROGUE, signer.certificate()), b"");
    newer.batch(&batch_of(parcel)).await;
    newer.show_certificate(identity.signing_certificate()).await;
    passes(&town, "after");
}

#[test]
fn a_slow_client_that_sends_a_body_byte_by_byte_is_told_and_let_go() {
    let town = Connected::new();
    let mut client = TcpStream::connect(town.a.address()).expect("connects");
    write!(
        client,
        "POST /v1/messages HTTP/1.1\r\nhost: {}\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 900\r\n\r\n{{",
        town.a.address()
    )
    .expect("written");
    client
        .set_read_timeout(Some(Duration::from_secs(50)))
        .expect("a time");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
}
