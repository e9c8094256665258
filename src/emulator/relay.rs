//! The shell around two pipes: sockets and a clock.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering as AtomicOrdering},
    },
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::Notify,
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};

use super::{Loss, Pipe, Profile, SplitMix64, Verdict};

/// What IPv4 and UDP add to each datagram.
pub const PACKET_OVERHEAD_BYTES: u64 = 28;

/// Most edges of one emulator at a time; the one that was silent longest makes room.
const CLIENTS_MAX: usize = 256;
/// Most bytes on the way in one direction, whatever the profile says: memory is bounded even where the rate is not.
const ON_THE_WAY_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What one direction carried, headers of IP and UDP included ([`PACKET_OVERHEAD_BYTES`] each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were handed over.
    pub offered_packets: u64,
    /// Bytes that were handed over.
    pub offered_bytes: u64,
    /// Packets that came out at the other end.
    pub carried_packets: u64,
    /// Bytes that came out at the other end.
    pub carried_bytes: u64,
    /// Packets that found the buffer full.
    pub dropped_buffer: u64,
    /// Packets lost on the line.
    pub dropped_line: u64,
    /// Packets lost in an outage.
    pub dropped_outage: u64,
}

/// What a link carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// From the edge to the hub.
    pub up: Counters,
    /// From the hub to the edge.
    pub down: Counters,
}

/// A link on this machine. It runs until it is dropped.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    link: Arc<Link>,
    _tasks: JoinSet<()>,
}

impl Emulator {
    /// Starts a link to `hub` on loopback. `seed` decides all its losses and delays.
    ///
    /// # Errors
    /// A socket could not be made.
    pub async fn start(profile: Profile, seed: u64, hub: SocketAddr) -> io::Result<Self> {
        let local: IpAddr = match hub {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        let front = Arc::new(udp_socket(SocketAddr::new(local, 0))?);
        let address = front.local_addr()?;
        let mut random = SplitMix64::new(seed);
        let link = Arc::new(Link {
            started: Instant::now(),
            up: Way::new(
                Pipe::new(profile.up, profile.outages.clone()),
                random.next_u64(),
            ),
            down: Way::new(Pipe::new(profile.down, profile.outages), random.next_u64()),
            bindings: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(take_from_edges(link.clone(), front.clone(), hub));
        tasks.spawn(carry(link.clone(), Side::Up, front.clone()));
        tasks.spawn(carry(link.clone(), Side::Down, front));
        Ok(Self {
            address,
            link,
            _tasks: tasks,
        })
    }

    /// Where the edge dials.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the link carried so far.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            up: self.link.up.lock().counters,
            down: self.link.down.lock().counters,
        }
    }

    /// Cuts the link, beside the profile's own outages: what waits is lost, what has left still arrives.
    pub fn down(&self) {
        self.link.set_out(true);
    }

    /// From now on every edge reaches the hub from another port, as when an address translator on the way has forgotten it.
    /// What the hub sends to the old port is lost.
    pub fn rebind(&self) {
        self.link.bindings.fetch_add(1, AtomicOrdering::Relaxed);
    }

    /// Ends what [`Emulator::down`] began.
    pub fn up(&self) {
        self.link.set_out(false);
    }
}

/// Both directions and the clock that they share.
#[derive(Debug)]
struct Link {
    started: Instant,
    up: Way,
    down: Way,
    /// Grows when edges are to get other sockets.
    bindings: AtomicU64,
}

#[derive(Clone, Copy)]
enum Side {
    Up,
    Down,
}

impl Link {
    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn way(&self, side: Side) -> &Way {
        match side {
            Side::Up => &self.up,
            Side::Down => &self.down,
        }
    }

    fn set_out(&self, out: bool) {
        let now_us = self.now_us();
        for way in [&self.up, &self.down] {
            way.lock().set_out(out, now_us);
        }
    }
}

/// One direction: the model, and what it has let through and is still on the way.
#[derive(Debug)]
struct Way {
    state: Mutex<WayState>,
    changed: Notify,
}

#[derive(Debug)]
struct WayState {
    pipe: Pipe,
    random: SplitMix64,
    out: bool,
    on_the_way: BinaryHeap<Packet>,
    on_the_way_bytes: u64,
    count: u64,
    counters: Counters,
}

#[derive(Debug)]
struct Packet {
    departs_us: u64,
    at_us: u64,
    /// The order of offers, for packets that arrive at the same time.
    number: u64,
    client: Arc<Client>,
    payload: Vec<u8>,
}

/// An edge, and the socket that speaks to the hub for it.
#[derive(Debug)]
struct Client {
    edge: SocketAddr,
    upstream: UdpSocket,
}

impl Way {
    fn new(pipe: Pipe, seed: u64) -> Self {
        Self {
            state: Mutex::new(WayState {
                pipe,
                random: SplitMix64::new(seed),
                out: false,
                on_the_way: BinaryHeap::new(),
                on_the_way_bytes: 0,
                count: 0,
                counters: Counters::default(),
            }),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, WayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, now_us: u64, client: &Arc<Client>, payload: &[u8]) {
        if self.lock().offer(now_us, client, payload) {
            self.changed.notify_one();
        }
    }
}

impl WayState {
    /// Whether the carrier has something new to look at.
    fn offer(&mut self, now_us: u64, client: &Arc<Client>, payload: &[u8]) -> bool {
        let bytes = payload.len() as u64 + PACKET_OVERHEAD_BYTES;
        self.counters.offered_packets += 1;
        self.counters.offered_bytes += bytes;
        let mut verdict = self.pipe.offer(now_us, bytes, &mut self.random);
        if self.out {
            verdict = Verdict::Dropped(Loss::Outage);
        } else if self.on_the_way_bytes + bytes > ON_THE_WAY_BYTES_MAX {
            verdict = Verdict::Dropped(Loss::Buffer);
        }
        match verdict {
            Verdict::Deliver { departs_us, at_us } => {
                let copies = if self.pipe.carries_twice() { 2 } else { 1 };
                for _ in 0..copies {
                    self.count += 1;
                    self.on_the_way_bytes += bytes;
                    self.on_the_way.push(Packet {
                        departs_us,
                        at_us,
                        number: self.count,
                        client: client.clone(),
                        payload: payload.to_vec(),
                    });
                }
                true
            }
            Verdict::Dropped(why) => {
                self.counters.count_loss(why);
                false
            }
        }
    }

    fn set_out(&mut self, out: bool, now_us: u64) {
        self.out = out;
        if !out {
            return;
        }
        let (left, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.on_the_way)
            .into_iter()
            .partition(|packet| packet.departs_us <= now_us);
        self.on_the_way = left.into();
        for packet in waiting {
            self.on_the_way_bytes -= packet.bytes();
            self.counters.count_loss(Loss::Outage);
        }
    }

    /// The next packet that is due, or when to look again.
    fn next(&mut self, now_us: u64) -> Result<Packet, Option<u64>> {
        match self.on_the_way.peek() {
            Some(first) if first.at_us <= now_us => {}
            other => return Err(other.map(|first| first.at_us)),
        }
        let packet = self.on_the_way.pop().ok_or(None)?;
        self.on_the_way_bytes -= packet.bytes();
        self.counters.carried_packets += 1;
        self.counters.carried_bytes += packet.bytes();
        Ok(packet)
    }
}

impl Counters {
    fn count_loss(&mut self, why: Loss) {
        match why {
            Loss::Buffer => self.dropped_buffer += 1,
            Loss::Line => self.dropped_line += 1,
            Loss::Outage => self.dropped_outage += 1,
        }
    }
}

impl Packet {
    fn bytes(&self) -> u64 {
        self.payload.len() as u64 + PACKET_OVERHEAD_BYTES
    }
}

/// The earliest packet is the greatest, as `BinaryHeap` wants it.
impl Ord for Packet {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Packet {}

/// Takes what edges send, and gives each edge its own socket towards the hub.
async fn take_from_edges(link: Arc<Link>, front: Arc<UdpSocket>, hub: SocketAddr) {
    // Per edge: the socket, the task that reads it, and when the edge last sent.
    let mut edges: HashMap<SocketAddr, (Arc<Client>, tokio::task::AbortHandle, u64)> =
        HashMap::new();
    let mut readers = JoinSet::new();
    let mut bindings = 0;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error on a UDP socket is a former datagram's (port unreachable), not this socket's end.
        let Ok((length, edge)) = front.recv_from(&mut buffer).await else {
            continue;
        };
        let now_us = link.now_us();
        let now_bindings = link.bindings.load(AtomicOrdering::Relaxed);
        if bindings != now_bindings {
            bindings = now_bindings;
            for (_, (_, reader, _)) in edges.drain() {
                reader.abort();
            }
        }
        if !edges.contains_key(&edge) {
            if edges.len() >= CLIENTS_MAX {
                forget_the_quietest(&mut edges);
            }
            let Ok(client) = Client::connect(edge, hub).await else {
                continue;
            };
            let client = Arc::new(client);
            let reader = readers.spawn(take_from_hub(link.clone(), client.clone()));
            edges.insert(edge, (client, reader, now_us));
        }
        while readers.try_join_next().is_some() {}
        if let Some((client, _, heard_us)) = edges.get_mut(&edge) {
            *heard_us = now_us;
            let payload = buffer.get(..length).unwrap_or_default();
            link.up.offer(now_us, client, payload);
        }
    }
}

fn forget_the_quietest(
    edges: &mut HashMap<SocketAddr, (Arc<Client>, tokio::task::AbortHandle, u64)>,
) {
    let quietest = edges
        .iter()
        .min_by_key(|(_, (_, _, heard_us))| *heard_us)
        .map(|(edge, _)| *edge);
    if let Some((_, reader, _)) = quietest.and_then(|edge| edges.remove(&edge)) {
        reader.abort();
    }
}

async fn take_from_hub(link: Arc<Link>, client: Arc<Client>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        if let Ok(length) = client.upstream.recv(&mut buffer).await {
            let payload = buffer.get(..length).unwrap_or_default();
            link.down.offer(link.now_us(), &client, payload);
        }
    }
}

/// Hands over what is due in one direction.
async fn carry(link: Arc<Link>, side: Side, front: Arc<UdpSocket>) {
    let way = link.way(side);
    loop {
        let due = way.lock().next(link.now_us());
        match due {
            // A send that fails is one more lost packet.
            Ok(packet) => {
                let _ = match side {
                    Side::Up => packet.client.upstream.send(&packet.payload).await,
                    Side::Down => front.send_to(&packet.payload, packet.client.edge).await,
                };
            }
            Err(None) => way.changed.notified().await,
            Err(Some(at_us)) => {
                let at = link.started + Duration::from_micros(at_us);
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = way.changed.notified() => {}
                }
            }
        }
    }
}

impl Client {
    async fn connect(edge: SocketAddr, hub: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match hub {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let upstream = udp_socket(SocketAddr::new(any, 0))?;
        upstream.connect(hub).await?;
        Ok(Self { edge, upstream })
    }
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // As large as the system allows: the model decides about losses, not the socket.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::emulator::Direction;

    const DEADLINE: Duration = Duration::from_secs(10);

    async fn edge(emulator: &Emulator) -> UdpSocket {
        let edge = UdpSocket::bind("127.0.0.1:0").await.expect("an edge");
        edge.connect(emulator.address()).await.expect("connected");
        edge
    }

    async fn until(condition: impl Fn() -> bool) {
        let held = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, held).await.expect("in time");
    }

    async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 2048];
        let (length, from) = timeout(DEADLINE, socket.recv_from(&mut buffer))
            .await
            .expect("in time")
            .expect("received");
        buffer.truncate(length);
        (buffer, from)
    }

    #[tokio::test]
    async fn several_edges_have_a_way_there_and_back_of_their_own() {
        let hub = UdpSocket::bind("127.0.0.1:0").await.expect("a hub");
        let profile = Profile::exclusive();
        let emulator = Emulator::start(profile, 1, hub.local_addr().expect("address"))
            .await
            .expect("a link");
        let began = Instant::now();
        let edges = [edge(&emulator).await, edge(&emulator).await];
        for (number, edge) in edges.iter().enumerate() {
            edge.send(&[number as u8; 100]).await.expect("sent");
        }
        for _ in 0..2 {
            let (payload, from) = receive(&hub).await;
            hub.send_to(&payload, from).await.expect("sent");
        }
        for (number, edge) in edges.iter().enumerate() {
            assert_eq!(receive(edge).await.0, [number as u8; 100]);
        }
        assert!(began.elapsed() >= Duration::from_millis(20));
        let stats = emulator.stats();
        assert_eq!((stats.up.carried_packets, stats.up.carried_bytes), (2, 256));
        assert_eq!(
            (stats.down.offered_bytes, stats.down.carried_bytes),
            (256, 256)
        );
    }

    #[tokio::test]
    async fn a_link_that_is_down_loses_what_waits_and_carries_again_when_it_is_up() {
        let hub = UdpSocket::bind("127.0.0.1:0").await.expect("a hub");
        let slow = Direction {
            rate_bps: Some(8_000),
            ..Direction::PERFECT
        };
        let profile = Profile {
            up: slow,
            ..Profile::lan()
        };
        let emulator = Emulator::start(profile, 1, hub.local_addr().expect("address"))
            .await
            .expect("a link");
        let edge = edge(&emulator).await;
        // Takes a second to leave: it is still waiting when the link goes down.
        edge.send(&[1; 972]).await.expect("sent");
        until(|| emulator.stats().up.offered_packets == 1).await;
        emulator.down();
        edge.send(&[2; 10]).await.expect("sent");
        until(|| emulator.stats().up.dropped_outage == 2).await;
        emulator.up();
        edge.send(&[3; 10]).await.expect("sent");
        assert_eq!(receive(&hub).await.0, [3; 10]);
        assert_eq!(emulator.stats().up.carried_packets, 1);
    }
}
