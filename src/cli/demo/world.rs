//! The nodes of a demo and the links between them.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tokio::time::sleep;

use super::{error::DemoError, http::Client, line::Line, progress::Progress};
use crate::{
    config::Settings,
    emulator::{Emulator, LinkStats},
    model::{Millis, UnitId},
    node::{Node, RunningNode},
    pki::{self, Issue},
};

const HUB: &str = "hebi.hub";
const UNITS: [&str; 2] = ["hebi.tobacco", "hebi.police"];
/// How long the certificates of a demo that is kept are good for.
const CERTIFICATE_DAYS: u32 = 30;
/// A port that the system chooses.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The links' losses and delays come from this.
const SEED: u64 = 20_240_115;
/// How long sessions may take to open.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
/// How often a state that is waited for is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A hub and two units, connected.
pub(super) struct World {
    folder: PathBuf,
    line: Line,
    dial_in: SocketAddr,
    hub: Member,
    units: [Edge; 2],
}

/// A node and how an application reaches it.
pub(super) struct Member {
    pub(super) unit: UnitId,
    pub(super) client: Client,
    node: RunningNode,
}

/// A unit's node and its link.
pub(super) struct Edge {
    pub(super) member: Member,
    emulator: Emulator,
}

/// What the links carried, all units together.
pub(super) type Wire = LinkStats;

impl World {
    /// Issues certificates, writes configurations, starts the nodes and waits until both units are connected.
    pub(super) async fn start(
        folder: &Path,
        line: Line,
        progress: &Progress,
    ) -> Result<Self, DemoError> {
        progress.phase(&format!(
            "certificates: a CA, and keys for {HUB}, {} and {}",
            UNITS[0], UNITS[1]
        ));
        let owned = folder.to_owned();
        let issued = tokio::task::spawn_blocking(move || issue_all(&owned)).await;
        issued.map_err(|error| DemoError::internal(error.to_string()))??;

        progress.phase("nodes: a hub and two units, each with a configuration of its own");
        let hub = start(folder, HUB, &hub_text(ANY_PORT, ANY_PORT)).await?;
        let Some(dial_in) = hub.node.listen_address().await else {
            return Err(DemoError::internal("the hub does not listen"));
        };
        let units = [
            Edge::start(folder, UNITS[0], line, SEED, dial_in).await?,
            Edge::start(folder, UNITS[1], line, SEED + 1, dial_in).await?,
        ];
        let world = Self {
            folder: folder.to_owned(),
            line,
            dial_in,
            hub,
            units,
        };
        progress.phase(&format!("links: {} for each unit", line.describe()));
        world.connected().await?;
        Ok(world)
    }

    pub(super) fn units(&self) -> [UnitId; 2] {
        self.units.each_ref().map(|edge| edge.member.unit.clone())
    }

    pub(super) fn hub(&self) -> UnitId {
        self.hub.unit.clone()
    }

    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// The units, which submit.
    pub(super) fn edges(&self) -> &[Edge; 2] {
        &self.units
    }

    /// Every node: all of them receive.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.units
            .iter()
            .map(|edge| &edge.member)
            .chain([&self.hub])
    }

    /// Cuts the links of both units, or mends them.
    pub(super) fn cut(&self, out: bool) {
        for edge in &self.units {
            if out {
                edge.emulator.down();
            } else {
                edge.emulator.up();
            }
        }
    }

    /// What the links carried so far.
    pub(super) fn wire(&self) -> Wire {
        let mut wire = Wire::default();
        for edge in &self.units {
            let of = edge.emulator.stats();
            for (sum, part) in [(&mut wire.up, of.up), (&mut wire.down, of.down)] {
                sum.offered_packets += part.offered_packets;
                sum.offered_bytes += part.offered_bytes;
                sum.carried_packets += part.carried_packets;
                sum.carried_bytes += part.carried_bytes;
                sum.dropped_buffer += part.dropped_buffer;
                sum.dropped_line += part.dropped_line;
                sum.dropped_outage += part.dropped_outage;
            }
        }
        wire
    }

    /// Whether nothing waits anywhere: not in a queue, and not for a receipt.
    pub(super) async fn is_quiet(&self) -> Result<bool, DemoError> {
        for member in self.members() {
            let status = member.status().await?;
            if status["queued"]["messages"] != 0 || status["awaiting_receipts"] != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn connected(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + CONNECTED_WITHIN;
        loop {
            let mut sessions = Vec::new();
            for member in self.members() {
                sessions.push(member.status().await?["sessions"].clone());
            }
            if sessions == [1, 1, 2] {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DemoError::internal(
                    "the units do not get through to the hub; run again with CASEGATE_LOG=info to see why",
                ));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the nodes. With `keep` the configurations say afterwards where everything was, and that units dial the hub directly.
    pub(super) async fn stop(self, keep: bool) -> Result<(), DemoError> {
        let mut texts = vec![(HUB, hub_text(self.dial_in, self.hub.node.api_address()))];
        for (name, edge) in UNITS.into_iter().zip(&self.units) {
            let api = edge.member.node.api_address();
            texts.push((name, edge_text(name, self.line, self.dial_in, api)));
        }
        for edge in self.units {
            edge.member.node.stop().await;
        }
        self.hub.node.stop().await;
        if keep {
            for (name, text) in texts {
                write(&self.folder, name, &text)?;
            }
        }
        Ok(())
    }
}

impl Member {
    async fn status(&self) -> Result<Value, DemoError> {
        let (_, text) = self.client.get("/v1/status").await?;
        serde_json::from_str(&text)
            .map_err(|error| DemoError::internal(format!("/v1/status of {}: {error}", self.unit)))
    }
}

impl Edge {
    async fn start(
        folder: &Path,
        name: &str,
        line: Line,
        seed: u64,
        hub: SocketAddr,
    ) -> Result<Self, DemoError> {
        let emulator = Emulator::start(line.profile(), seed, hub)
            .await
            .map_err(|error| DemoError::internal(format!("no link can be made: {error}")))?;
        let text = edge_text(name, line, emulator.address(), ANY_PORT);
        Ok(Self {
            member: start(folder, name, &text).await?,
            emulator,
        })
    }
}

fn issue_all(folder: &Path) -> Result<(), DemoError> {
    let failed = |error: pki::PkiError| DemoError::internal(error.to_string());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_millis() as Millis);
    let ca = folder.join("ca");
    pki::init(&ca, "casegate demo", now).map_err(failed)?;
    for name in UNITS.into_iter().chain([HUB]) {
        let asked = Issue {
            dir: &ca,
            unit: &unit(name),
            out: &folder.join(name).join("identity"),
            hosts: &[],
            csr: None,
            days: CERTIFICATE_DAYS,
        };
        pki::issue(&asked, now).map_err(failed)?;
    }
    Ok(())
}

async fn start(folder: &Path, name: &str, text: &str) -> Result<Member, DemoError> {
    let file = write(folder, name, text)?;
    let (settings, _) = Settings::load_to_run(&file).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        DemoError::internal(errors.join("\n"))
    })?;
    let node = Node::start(settings)
        .await
        .map_err(|error| DemoError::internal(error.to_string()))?;
    Ok(Member {
        unit: unit(name),
        client: Client::new(node.api_address()),
        node,
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, DemoError> {
    let file = folder.join(format!("{name}.toml"));
    let written: io::Result<()> = fs::write(&file, text);
    written.map_err(|error| {
        DemoError::cannot_create(format!("{}: cannot be written: {error}", file.display()))
    })?;
    Ok(file)
}

fn unit(name: &str) -> UnitId {
    name.parse().expect("the demo's own names are good")
}

/// What every configuration of the demo begins and ends with.
fn node_text(name: &str, api: SocketAddr, between: &str) -> String {
    format!(
        r#"unit = "{name}"
data-dir = "{name}/data"

[identity]
dir = "{name}/identity"

[api]
listen = "{api}"

{between}
[[policy.allow]]
from = "hebi.**"
to = "hebi.**"
kinds = ["**"]
"#
    )
}

fn hub_text(listen: SocketAddr, api: SocketAddr) -> String {
    let units: String = UNITS
        .iter()
        .map(|name| format!("[[listen.unit]]\nname = \"{name}\"\n\n"))
        .collect();
    node_text(
        HUB,
        api,
        &format!("[listen]\naddress = \"{listen}\"\n\n{units}"),
    )
}

fn edge_text(name: &str, line: Line, hub: SocketAddr, api: SocketAddr) -> String {
    let kind = line.kind();
    let upstream = format!(
        "[upstream]\nhub = \"{HUB}\"\n\n[[upstream.link]]\nname = \"{kind}\"\nkind = \"{kind}\"\naddress = \"{hub}\"\n"
    );
    node_text(name, api, &upstream)
}
