//! A network for tests on a paused clock: real QUIC over datagrams that go nowhere but through here, and a seed that decides what
//! becomes of each.
//!
//! A test makes a [`Net`] in a runtime of one thread whose clock is paused. From then on every socket that is made on this thread is one of
//! its sockets. Time goes on when nobody has anything to do, to the next datagram or timer, whichever is first.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{link::EndpointKeys, sim::disk::SplitMix64};

/// Larger datagrams do not get through, bytes.
const DATAGRAM_BYTES_MAX: usize = 1_472;
/// What waits for a line longer than this is lost.
const QUEUE_MAX: Duration = Duration::from_millis(1_500);
const FIRST_PORT: u16 = 20_000;

thread_local! {
    static HERE: RefCell<Option<Net>> = const { RefCell::new(None) };
}

/// What a line does to datagrams, one way. Chances are of a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// How long it takes at least, and how much longer it may take, milliseconds.
    pub(crate) delay_ms: u64,
    pub(crate) jitter_ms: u64,
    /// What it carries.
    pub(crate) bytes_per_ms: u64,
    /// One is lost.
    pub(crate) lost: u64,
    /// With one begins a burst in which all are lost, of up to so many milliseconds.
    pub(crate) bursts: u64,
    pub(crate) burst_ms: u64,
    /// One comes later than others that were sent after it.
    pub(crate) late: u64,
    /// One comes twice.
    pub(crate) doubled: u64,
    /// Bits of one are flipped.
    pub(crate) flipped: u64,
}

impl Line {
    /// One that loses nothing and changes nothing.
    pub(crate) const fn sound(delay_ms: u64, bytes_per_ms: u64) -> Self {
        Self {
            delay_ms,
            jitter_ms: 0,
            bytes_per_ms,
            lost: 0,
            bursts: 0,
            burst_ms: 0,
            late: 0,
            doubled: 0,
            flipped: 0,
        }
    }
}

/// What became of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) flipped: u64,
    pub(crate) late: u64,
    /// A hash over when each was sent, from where to where, and what became of it.
    pub(crate) trace: u64,
}

/// The network. Clones are the same.
#[derive(Clone)]
pub(crate) struct Net(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    sent: Notify,
}

struct State {
    dice: SplitMix64,
    born: Instant,
    sockets: BTreeMap<SocketAddr, Place>,
    /// Made so far; each is known by its number.
    made: u64,
    port: u16,
    lines: BTreeMap<(IpAddr, IpAddr), Way>,
    /// How many have cut a way, each for a time of its own.
    cuts: BTreeMap<(IpAddr, IpAddr), u32>,
    /// Machines that are switched off.
    off: BTreeSet<IpAddr>,
    /// What a translator shows of an address, where it is not the address itself.
    shown: BTreeMap<SocketAddr, SocketAddr>,
    flying: BinaryHeap<Reverse<Flight>>,
    order: u64,
    fates: Fates,
}

/// A socket's place in the network.
struct Place {
    number: u64,
    came: VecDeque<(SocketAddr, Option<EcnCodepoint>, Vec<u8>)>,
    waker: Option<Waker>,
}

/// A line, and what is going on on it.
struct Way {
    line: Line,
    free_at: Instant,
    burst_until: Instant,
}

struct Flight {
    at: Instant,
    order: u64,
    to: SocketAddr,
    from: SocketAddr,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Seeds what an endpoint draws, if it is made on a simulated network.
pub(in crate::link) fn seed(keys: &mut EndpointKeys) {
    if let Some(net) = Net::here() {
        let mut seed = [0; 32];
        let mut state = net.state();
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&state.dice.next_u64().to_le_bytes());
        }
        keys.rng_seed(Some(seed));
    }
}

impl Net {
    /// A network, for this thread from now on.
    pub(crate) fn start(seed: u64) -> Self {
        let net = Self(Arc::new(Shared {
            state: Mutex::new(State {
                dice: SplitMix64(seed),
                born: Instant::now(),
                sockets: BTreeMap::new(),
                made: 0,
                port: FIRST_PORT,
                lines: BTreeMap::new(),
                cuts: BTreeMap::new(),
                off: BTreeSet::new(),
                shown: BTreeMap::new(),
                flying: BinaryHeap::new(),
                order: 0,
                fates: Fates::default(),
            }),
            sent: Notify::new(),
        }));
        HERE.set(Some(net.clone()));
        tokio::spawn(net.clone().carry());
        net
    }

    /// The network of this thread.
    pub(crate) fn here() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    /// This thread has none any more.
    pub(crate) fn end() {
        HERE.set(None);
    }

    pub(crate) fn fates(&self) -> Fates {
        self.state().fates
    }

    /// Sets how it is between two machines, one way.
    pub(crate) fn set_line(&self, from: IpAddr, to: IpAddr, line: Line) {
        let now = Instant::now();
        let mut state = self.state();
        let way = state.lines.entry((from, to)).or_insert(Way {
            line,
            free_at: now,
            burst_until: now,
        });
        way.line = line;
        way.burst_until = now;
    }

    /// Nothing goes from one machine to the other until this cut is mended.
    pub(crate) fn cut(&self, from: IpAddr, to: IpAddr) {
        *self.state().cuts.entry((from, to)).or_default() += 1;
    }

    /// One cut less.
    pub(crate) fn mend(&self, from: IpAddr, to: IpAddr) {
        if let Some(cuts) = self.state().cuts.get_mut(&(from, to)) {
            *cuts = cuts.saturating_sub(1);
        }
    }

    /// Switches a machine off at this moment: its sockets are gone, and nothing that it does from now on is seen.
    pub(crate) fn switch_off(&self, ip: IpAddr) {
        let mut state = self.state();
        state.off.insert(ip);
        state.sockets.retain(|address, _| address.ip() != ip);
    }

    /// Switches it on again. Sockets from before are none of it.
    pub(crate) fn switch_on(&self, ip: IpAddr) {
        self.switch_off(ip);
        self.state().off.remove(&ip);
    }

    /// A translator before a machine forgets the ports that it has given, and shows others.
    pub(crate) fn rebind(&self, ip: IpAddr) {
        let mut state = self.state();
        let own = state.sockets.keys().filter(|address| address.ip() == ip);
        for address in own.copied().collect::<Vec<_>>() {
            let port = state.next_port();
            state.shown.insert(address, SocketAddr::new(ip, port));
        }
    }

    pub(in crate::link) fn listening(
        &self,
        address: SocketAddr,
    ) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        self.socket(address)
    }

    pub(in crate::link) fn dialling(&self, ip: IpAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let port = self.state().next_port();
        self.socket(SocketAddr::new(ip, port))
    }

    fn socket(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let mut state = self.state();
        if state.sockets.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.made += 1;
        let number = state.made;
        if !state.off.contains(&address.ip()) {
            let place = Place {
                number,
                came: VecDeque::new(),
                waker: None,
            };
            state.sockets.insert(address, place);
        }
        drop(state);
        Ok(Arc::new(Socket {
            net: self.clone(),
            address,
            number,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is under way to where it goes, for as long as it is polled.
    async fn carry(self) {
        loop {
            let next = self.state().flying.peek().map(|next| next.0.at);
            match next {
                Some(at) => tokio::select! {
                    biased;
                    () = self.0.sent.notified() => {}
                    () = sleep_until(at) => self.state().arrive(),
                },
                None => self.0.sent.notified().await,
            }
        }
    }
}

impl State {
    fn next_port(&mut self) -> u16 {
        self.port = self.port.checked_add(1).unwrap_or(FIRST_PORT);
        self.port
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.dice.below(1_000) < per_mille
    }

    /// A datagram is sent.
    fn send(&mut self, from: SocketAddr, to: SocketAddr, ecn: Option<EcnCodepoint>, bytes: &[u8]) {
        let now = Instant::now();
        self.fates.sent += 1;
        let fate = self.fate(now, from, to, bytes.len());
        let what = fate.map_or(0, |at| (at - now).as_millis() as u64 + 1);
        for part in [
            (now - self.born).as_millis() as u64,
            u64::from(from.port()) << 16 | u64::from(to.port()),
            what,
        ] {
            self.fates.trace = SplitMix64(self.fates.trace ^ part).next_u64();
        }
        let Some(at) = fate else {
            self.fates.lost += 1;
            return;
        };
        let line = self.lines[&(from.ip(), to.ip())].line;
        let mut bytes = bytes.to_vec();
        if self.chance(line.flipped) && !bytes.is_empty() {
            self.fates.flipped += 1;
            for _ in 0..=self.dice.below(3) {
                let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let mut arrivals = vec![at];
        if self.chance(line.doubled) {
            self.fates.doubled += 1;
            arrivals.push(at + Duration::from_millis(self.dice.below(200)));
        }
        let from = self.shown.get(&from).copied().unwrap_or(from);
        for at in arrivals {
            self.order += 1;
            self.flying.push(Reverse(Flight {
                at,
                order: self.order,
                to,
                from,
                ecn,
                bytes: bytes.clone(),
            }));
        }
    }

    /// When a datagram arrives, if it does.
    fn fate(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        len: usize,
    ) -> Option<Instant> {
        let key = (from.ip(), to.ip());
        let line = self.lines.get(&key)?.line;
        let (lost, burst, late) = (
            self.chance(line.lost),
            self.chance(line.bursts),
            self.chance(line.late),
        );
        let burst_ms = self.dice.below(line.burst_ms + 1);
        let wander = self.dice.below(line.jitter_ms + 1);
        let behind = self.dice.below(4 * line.delay_ms + 1);
        let way = self.lines.get_mut(&key)?;
        if burst {
            way.burst_until = now + Duration::from_millis(burst_ms);
        }
        let is_cut = self.cuts.get(&key).is_some_and(|cuts| *cuts > 0);
        let queued = way.free_at.saturating_duration_since(now);
        if lost || is_cut || now < way.burst_until || queued > QUEUE_MAX || len > DATAGRAM_BYTES_MAX
        {
            return None;
        }
        let takes = Duration::from_micros(len as u64 * 1_000 / line.bytes_per_ms.max(1));
        way.free_at = now + queued + takes;
        let mut at = way.free_at + Duration::from_millis(line.delay_ms + wander);
        if late {
            self.fates.late += 1;
            at += Duration::from_millis(behind);
        }
        Some(at)
    }

    /// What is due arrives.
    fn arrive(&mut self) {
        let now = Instant::now();
        while self.flying.peek().is_some_and(|next| next.0.at <= now) {
            let Some(Reverse(flight)) = self.flying.pop() else {
                return;
            };
            let shown = |(_, shown): &(&SocketAddr, &SocketAddr)| **shown == flight.to;
            let is_shown_anew = self.shown.contains_key(&flight.to);
            let to = match self.shown.iter().find(shown) {
                Some((own, _)) => *own,
                // The translator knows this one by another address now.
                None if is_shown_anew => continue,
                None => flight.to,
            };
            if let Some(place) = self.sockets.get_mut(&to) {
                place
                    .came
                    .push_back((flight.from, flight.ecn, flight.bytes));
                if let Some(waker) = place.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}

/// A socket of the network.
struct Socket {
    net: Net,
    address: SocketAddr,
    number: u64,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

/// There is always room to send.
#[derive(Debug)]
struct Room;

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Its place, unless its machine has been switched off since it was made.
    fn place<'a>(&self, state: &'a mut State) -> Option<&'a mut Place> {
        let place = state.sockets.get_mut(&self.address);
        place.filter(|place| place.number == self.number)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.net.state();
        if self.place(&mut state).is_some() {
            let piece = transmit.segment_size.unwrap_or(transmit.contents.len());
            for bytes in transmit.contents.chunks(piece.max(1)) {
                state.send(self.address, transmit.destination, transmit.ecn, bytes);
            }
            self.net.0.sent.notify_one();
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.net.state();
        let Some(place) = self.place(&mut state) else {
            return Poll::Pending;
        };
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((from, ecn, bytes)) = place.came.pop_front() else {
                break;
            };
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            *meta = RecvMeta::default();
            meta.addr = from;
            (meta.len, meta.stride) = (len, len);
            meta.ecn = ecn;
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        place.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = self.net.state();
        if self.place(&mut state).is_some() {
            state.sockets.remove(&self.address);
            state.shown.remove(&self.address);
        }
    }
}
