//! The nodes of a trial and the links between them.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tokio::time::sleep;

use super::{
    Trial,
    cast::{Cast, unit},
    error::TrialError,
    http::Client,
    line::Line,
    progress::Progress,
};
use crate::{
    cli::texts::{fill, t},
    config::{LinkKind, Settings},
    emulator::{Emulator, LinkStats},
    model::{Millis, UnitId},
    node::{Node, RunningNode},
    pki::{self, Issue},
};

/// How long the certificates of a trial that is kept are good for.
const CERTIFICATE_DAYS: u32 = 30;
/// A port that the system chooses.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often a state that is waited for is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A hub and its units, connected.
pub(super) struct World {
    folder: PathBuf,
    cast: Cast,
    line: Line,
    dial_in: SocketAddr,
    hub: Member,
    units: Vec<Edge>,
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
    /// Issues certificates, writes configurations, starts the nodes and waits until every unit is connected.
    pub(super) async fn start(
        folder: &Path,
        trial: &Trial,
        progress: &Progress,
    ) -> Result<Self, TrialError> {
        let (cast, line) = (trial.cast, trial.line.clone());
        let names = cast.units.join(t().and);
        progress.phase(&fill(t().trial_certificates, &[&cast.hub, &names]));
        let owned = folder.to_owned();
        let issued = tokio::task::spawn_blocking(move || issue_all(&owned, cast)).await;
        issued.map_err(|error| TrialError::internal(error.to_string()))??;

        progress.phase(&fill(t().trial_nodes, &[&cast.hub, &names]));
        let hub = start(folder, cast.hub, &cast.hub_text(ANY_PORT, ANY_PORT)).await?;
        let Some(dial_in) = hub.node.listen_address().await else {
            return Err(TrialError::internal(t().trial_no_listen));
        };
        let mut units = Vec::new();
        for (name, seed) in cast.units.iter().zip(trial.seed..) {
            let emulator = Emulator::start(line.profile.clone(), seed, dial_in)
                .await
                .map_err(|error| TrialError::internal(fill(t().trial_no_link, &[&error])))?;
            let text = cast.edge_text(name, line.kind, emulator.address(), ANY_PORT);
            let member = start(folder, name, &text).await?;
            units.push(Edge { member, emulator });
        }
        let world = Self {
            folder: folder.to_owned(),
            cast,
            line,
            dial_in,
            hub,
            units,
        };
        progress.phase(&fill(t().trial_link, &[&world.line.told]));
        world.connected().await?;
        Ok(world)
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Every node: all of them receive, and may submit.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.units
            .iter()
            .map(|edge| &edge.member)
            .chain([&self.hub])
    }

    /// Cuts the links of all units, or mends them.
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
    pub(super) async fn is_quiet(&self) -> Result<bool, TrialError> {
        for member in self.members() {
            let status = member.status().await?;
            if status["queued"]["messages"] != 0 || status["awaiting_receipts"] != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn connected(&self) -> Result<(), TrialError> {
        let within = self.line.quiet_within();
        let deadline = Instant::now() + within;
        loop {
            let mut waiting = 0;
            for member in self.members() {
                let wanted = match member.unit == self.hub.unit {
                    true => self.units.len(),
                    false => 1,
                };
                waiting += usize::from(member.status().await?["sessions"] != wanted);
            }
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = fill(t().trial_no_session, &[&within.as_secs()]);
                return Err(TrialError::internal(text));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the nodes. With `keep` the configurations say afterwards where everything was, and that units dial the hub directly.
    pub(super) async fn stop(self, keep: bool) -> Result<(), TrialError> {
        let cast = self.cast;
        let api = self.hub.node.api_address();
        let mut texts = vec![(cast.hub, cast.hub_text(self.dial_in, api))];
        for (name, edge) in cast.units.iter().copied().zip(&self.units) {
            let api = edge.member.node.api_address();
            let text = cast.edge_text(name, self.line.kind, self.dial_in, api);
            texts.push((name, text));
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
    async fn status(&self) -> Result<Value, TrialError> {
        let (_, text) = self.client.get("/v1/status").await?;
        serde_json::from_str(&text)
            .map_err(|error| TrialError::internal(format!("/v1/status of {}: {error}", self.unit)))
    }
}

fn issue_all(folder: &Path, cast: Cast) -> Result<(), TrialError> {
    let failed = |error: pki::PkiError| TrialError::internal(error.to_string());
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_millis() as Millis);
    let ca = folder.join("ca");
    pki::init(&ca, "casegate trial", now).map_err(failed)?;
    for name in cast.units.iter().copied().chain([cast.hub]) {
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

async fn start(folder: &Path, name: &str, text: &str) -> Result<Member, TrialError> {
    let file = write(folder, name, text)?;
    let (settings, _) = Settings::load_to_run(&file).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        TrialError::internal(errors.join("\n"))
    })?;
    let node = Node::start(settings)
        .await
        .map_err(|error| TrialError::internal(error.to_string()))?;
    Ok(Member {
        unit: unit(name),
        client: Client::new(node.api_address()),
        node,
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, TrialError> {
    let file = folder.join(format!("{name}.toml"));
    let written: io::Result<()> = fs::write(&file, text);
    written.map_err(|error| {
        TrialError::cannot_create(fill(t().unwritable, &[&file.display(), &error]))
    })?;
    Ok(file)
}

impl Cast {
    /// What every configuration begins and ends with.
    fn node_text(&self, name: &str, api: SocketAddr, between: &str) -> String {
        let tree = self.tree;
        format!(
            r#"unit = "{name}"
data-dir = "{name}/data"

[identity]
dir = "{name}/identity"

[api]
listen = "{api}"

{between}
[[policy.allow]]
from = "{tree}.**"
to = "{tree}.**"
kinds = ["**"]
"#
        )
    }

    fn hub_text(&self, listen: SocketAddr, api: SocketAddr) -> String {
        let units: String = self
            .units
            .iter()
            .map(|name| format!("[[listen.unit]]\nname = \"{name}\"\n\n"))
            .collect();
        let between = format!("[listen]\naddress = \"{listen}\"\n\n{units}");
        self.node_text(self.hub, api, &between)
    }

    fn edge_text(&self, name: &str, kind: LinkKind, hub: SocketAddr, api: SocketAddr) -> String {
        let unit = self.hub;
        let upstream = format!(
            "[upstream]\nhub = \"{unit}\"\n\n[[upstream.link]]\nname = \"{kind}\"\nkind = \"{kind}\"\naddress = \"{hub}\"\n"
        );
        self.node_text(name, api, &upstream)
    }
}
