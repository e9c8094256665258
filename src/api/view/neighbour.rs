//! Links, and the units at their ends.

use serde::Serialize;

use super::{PerLane, Volume, some_time};
use crate::model::{Lane, Millis, UnitId};

/// A link to a neighbour, and the session over it.
#[derive(Clone, Debug, Serialize)]
pub struct LinkView {
    /// The neighbour at the other end.
    pub neighbour: UnitId,
    /// The link's name.
    pub link: String,
    /// The link's kind.
    pub kind: String,
    /// Whether a session is open.
    pub up: bool,
    /// How it is relied on: `sound`; `proving`, when it answers again or is new beside another one; `silent`, when what was sent over it is not
    /// answered; `opening`; `down`.
    pub state: &'static str,
    /// Since when it has been up or down.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub since: Option<Millis>,
    /// The other end's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The smoothed round trip, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Packets lost, percent of those sent in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<f64>,
    /// What the link carries from here, bits a second, as estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bps: Option<u64>,
    /// What was sent over the last half minute, UDP payload included, bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bps: Option<u64>,
    /// What was received over the last half minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bps: Option<u64>,
    /// Parcels sent over the last half minute, before compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_sent_bps: Option<u64>,
    /// What was sent in this session, UDP payload included, bytes.
    pub bytes_sent: u64,
    /// What was received in this session, UDP payload included, bytes.
    pub bytes_received: u64,
    /// Parcels sent in this session, before compression, bytes. What went twice counts twice.
    pub payload_sent: u64,
    /// Parcels received in this session, bytes.
    pub payload_received: u64,
    /// Bytes sent for each byte of the parcels sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_sent: Option<f64>,
    /// Bytes received for each byte of the parcels received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_received: Option<f64>,
    /// Bytes of parcels that are under way from here and not acked.
    pub in_flight_bytes: u64,
    /// What of messages goes over it: `all`, or `express`, flash and urgent ones only.
    pub takes: &'static str,
    /// How much later normal and bulk messages may rather arrive over another link, seconds.
    pub cost_s: f64,
    /// What a link that this node dials has carried and may carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<LinkUsage>,
    /// Batches sent in this session by lane, bytes.
    pub lanes_sent: PerLane,
    /// What this node's own messages are compressed against in this session: `none`, `built-in`, or the id of the node's dictionary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<String>,
    /// Why the last session ended, or why none could be set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a link has carried, as it is paid for: IP and UDP headers and attempts to connect included.
#[derive(Clone, Debug, Serialize)]
pub struct LinkUsage {
    /// Bytes sent since the node started.
    pub wire_sent: u64,
    /// Bytes received since the node started.
    pub wire_received: u64,
    /// Bytes carried both ways since midnight.
    pub today_bytes: u64,
    /// What it may carry a day, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_bytes: Option<u64>,
    /// Why only flash and urgent messages go over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub express_only: Option<&'static str>,
}

/// A unit that a node knows.
#[derive(Clone, Debug, Serialize)]
pub struct UnitView {
    /// Its name.
    pub unit: UnitId,
    /// Its title in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether a session with it is open.
    pub connected: bool,
    /// Whether it is cut off.
    pub blocked: bool,
    /// Lanes towards it that an operator has stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<Lane>,
    /// The links that sessions are open over.
    pub links: Vec<String>,
    /// When it was last connected.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub seen: Option<Millis>,
    /// What waits for it.
    pub mailbox: Volume,
    /// Messages that wait for it, by lane.
    pub mailbox_lanes: PerLane,
    /// When the oldest of them came here.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub oldest: Option<Millis>,
    /// Messages among them that are not sent whatever link is there: they are held, their receiver is full, or they come after one that waits.
    pub waiting: u64,
    /// Until when the certificate is good that it last showed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub certificate_expires: Option<Millis>,
}
