//! What the API tells of a node, as far as it is shown. What an older node does not tell is left empty.

use jiff::Timestamp;
use serde::Deserialize;

use super::super::{client::Client, exit::Failure};

/// A node as it was when it was looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// `/v1/status`.
    pub(super) status: Status,
    /// `/v1/links`.
    pub(super) links: Vec<Link>,
    /// `/v1/units`.
    pub(super) units: Vec<Unit>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) unit: String,
    pub(super) version: String,
    pub(super) upstream: Option<String>,
    pub(super) listens: bool,
    pub(super) started: Option<Timestamp>,
    pub(super) ready: bool,
    pub(super) queued: Volume,
    pub(super) inbox: Volume,
    pub(super) attachments: Attachments,
    pub(super) awaiting_receipts: u64,
    pub(super) journal_bytes: u64,
    pub(super) journal_bytes_max: u64,
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Volume {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attachments {
    pub(super) whole: u64,
    pub(super) bytes: u64,
    pub(super) bytes_max: u64,
    pub(super) under_way: Vec<Transfer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Transfer {
    pub(super) digest: String,
    pub(super) neighbour: String,
    pub(super) way: String,
    pub(super) size: Option<u64>,
    pub(super) bytes: u64,
    pub(super) rate_bps: Option<u64>,
    pub(super) seconds_left: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    pub(super) neighbour: String,
    pub(super) link: String,
    pub(super) kind: String,
    pub(super) up: bool,
    pub(super) state: String,
    pub(super) since: Option<Timestamp>,
    pub(super) rtt_ms: Option<f64>,
    pub(super) loss_percent: Option<f64>,
    pub(super) rate_bps: Option<u64>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) payload_sent: u64,
    pub(super) ratio_sent: Option<f64>,
    pub(super) in_flight_bytes: u64,
    pub(super) takes: String,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) today_bytes: u64,
    pub(super) budget_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Unit {
    pub(super) unit: String,
    pub(super) title: String,
    pub(super) connected: bool,
    pub(super) blocked: bool,
    pub(super) paused: Vec<String>,
    pub(super) mailbox: Volume,
    pub(super) mailbox_lanes: Lanes,
    pub(super) oldest: Option<Timestamp>,
    pub(super) waiting: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lanes {
    pub(super) flash: u64,
    pub(super) urgent: u64,
    pub(super) normal: u64,
    pub(super) bulk: u64,
}

/// Looks at the node.
pub(super) fn look(client: &Client) -> Result<Look, Failure> {
    #[derive(Deserialize)]
    struct Links {
        links: Vec<Link>,
    }
    #[derive(Deserialize)]
    struct Units {
        units: Vec<Unit>,
    }
    let status = client.read("/v1/status")?;
    let Links { links } = client.read("/v1/links")?;
    let Units { units } = client.read("/v1/units")?;
    Ok(Look {
        status,
        links,
        units,
    })
}
