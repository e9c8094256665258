//! Time as the pure core sees it: numbers that the driver passes in.

/// Milliseconds: of a monotonic clock, or since the Unix epoch, as the name that carries it says.
pub type Millis = u64;

/// The two clocks of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Monotonic milliseconds since the node started: timers, leases, delays.
    pub mono: Millis,
    /// Milliseconds since the Unix epoch, never less than the last persisted: expiries, timelines.
    pub wall: Millis,
}
