//! Mistakes that a test can plant, to see that they would be found. Outside of tests there are none.

/// A mistake that a test makes the links commit, on the thread of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Of the control messages that come some are lost, acks and hellos among them.
    ControlLost,
    /// A path that does not answer is left to QUIC's own probes.
    NeverProbes,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
impl Flaw {
    /// Plants a mistake on this thread, or none.
    pub(crate) fn plant(flaw: Option<Self>) {
        PLANTED.set(flaw);
    }
}

/// Whether the mistake is to be made.
#[cfg(test)]
pub(super) fn planted(flaw: Flaw) -> bool {
    PLANTED.get() == Some(flaw)
}

/// Whether the mistake is to be made.
#[cfg(not(test))]
pub(super) const fn planted(_: Flaw) -> bool {
    false
}
