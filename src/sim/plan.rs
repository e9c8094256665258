//! What a seed's world looks like: its units and links, its bounds, and how much breaks.

use crate::{
    delivery::{KnownUnit, LinkTerms, Settings},
    model::{Allow, Kind, Limits, Pattern, Policy, UnitId},
};

use super::{
    EDGES, MESSAGES, Options,
    agenda::{MILLISECOND, NodeIndex, SECOND, Us},
    net::Link,
    rng::Rng,
};

/// How much too fast or too slow a clock goes at most, thousandths: a thousand times what quartz does.
const DRIFT_MOST: u64 = 50;

/// The root of the tree.
pub(super) const HUB: NodeIndex = 0;

/// A world before anything has happened.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<NodePlan>,
    /// A unit that dials the hub and keeps to no rule; it is not one of `nodes`.
    pub(super) rogue: Option<UnitId>,
    /// Until when things break.
    pub(super) calm_at: Us,
    /// Between two faults, about; none breaks when it is 0.
    pub(super) fault_every: Us,
    /// Kinds of fault that this world has, each once for every share of its weight.
    pub(super) faults: Vec<Fault>,
    /// How many messages a unit submits, about.
    pub(super) messages: u64,
    /// Between two submissions of a unit, about.
    pub(super) submit_every: Us,
    /// How long a sync takes, about.
    pub(super) sync: Us,
    /// Whether operators act.
    pub(super) operators: bool,
    /// Chances of a thousand that a consumer does not ack, acks late, or gives back what it was handed.
    pub(super) carelessness: u64,
    /// Bytes of a journal segment, and of a whole journal.
    pub(super) segment_bytes: u32,
    pub(super) journal_bytes: u64,
    /// Whether bounds are small enough to be met.
    pub(super) is_small: bool,
    /// How many cases a unit has at once.
    pub(super) cases: u64,
    /// Whether messages name attachments.
    pub(super) has_attachments: bool,
    /// Whether batches are compressed against acked history.
    pub(super) has_history: bool,
    /// Bulk batches that a session carries at once.
    pub(super) bulk_grants: u16,
    /// Whether one of two links swallows everything in the end, and its sessions live on.
    pub(super) has_holes: bool,
    /// Whether links are used on terms, one of two in the end too.
    pub(super) has_terms: bool,
}

/// A node before its first start.
#[derive(Debug)]
pub(super) struct NodePlan {
    pub(super) settings: Settings,
    pub(super) parent: Option<NodeIndex>,
    pub(super) links: Vec<(Us, Us, u64)>,
    /// How far its clock is off, milliseconds.
    pub(super) clock_off: i64,
    /// How much too fast it goes, thousandths.
    pub(super) drift: i64,
}

/// A kind of thing that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power of a node goes.
    Crash,
    /// A link is cut for a while.
    Cut,
    /// A session dies.
    Kill,
    /// A node's disk is slow for a while.
    Slow,
    /// A hub loses its data folder.
    Lose,
    /// A node comes back with a copy of its data folder from before.
    Restore,
    /// A parcel cannot be read back from a node's journal.
    Rot,
    /// A node cannot read a batch that comes, and says so.
    Unread,
    /// A node's clock is set.
    Clock,
    /// A unit is blocked for a while.
    Block,
    /// An end of a session takes its path for silent, and it is not.
    Alarm,
    /// A link is to be used on other terms.
    Terms,
    /// An operator stops what goes to a neighbour, or lets it go on.
    Pause,
    /// A node's disk is full for a while.
    Full,
    /// A node's disk fails for a while.
    Bad,
    /// An operator takes a backup of a node, or restores it from the last one.
    Backup,
    /// A link carries nothing one way for a while.
    OneWay,
}

pub(super) fn unit(name: &str) -> UnitId {
    name.parse()
        .unwrap_or_else(|error| unreachable!("{name}: {error}"))
}

pub(super) fn pattern(text: &str) -> Pattern {
    text.parse()
        .unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

pub(super) fn kind(text: &str) -> Kind {
    text.parse()
        .unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// Allowed everywhere.
pub(super) const KINDS_ALLOWED: [&str; 3] = ["case.step", "case.transfer", "notice"];
/// An edge lets it out, no hub lets it through.
pub(super) const KIND_HUBS_REFUSE: &str = "exchange";
/// A hub lets it through, no edge hands it over.
pub(super) const KIND_EDGES_REFUSE: &str = "directive";
/// Nobody lets it out.
pub(super) const KIND_FORBIDDEN: &str = "forum.theme";
/// A unit that nobody knows.
pub(super) const NOBODY: &str = "t.nobody";

impl Plan {
    pub(super) fn draw(options: &Options, rng: &mut Rng) -> Self {
        let allowed = options.faults;
        // What is not allowed is drawn all the same, so that the rest of the world does not change with it.
        let edges = rng
            .between(1, u64::from(EDGES))
            .min(u64::from(options.edges.max(1))) as usize;
        let has_county = rng.per_mille(200) && allowed.county;
        let rogue = (rng.per_mille(200) && allowed.rogue).then(|| unit("x.rogue"));
        let is_small = rng.per_mille(400) && allowed.small_limits;
        let limits = limits(is_small, rng);

        // (name, parent, is a hub)
        let mut names = vec![("t.hub".to_owned(), None, true)];
        if has_county {
            names.push(("t.county.hub".to_owned(), Some(HUB), true));
        }
        for i in 0..edges {
            let behind_county = has_county && (i == 0 || rng.per_mille(500));
            let (name, parent) = if behind_county {
                (format!("t.county.e{i}"), 1)
            } else {
                (format!("t.e{i}"), HUB)
            };
            names.push((name, Some(parent), false));
        }
        let has_rogue = rogue.is_some();
        let slow_links = rng.per_mille(300);
        let clocks = if rng.per_mille(300) && allowed.clocks {
            5_000
        } else {
            50
        };
        let nodes = names
            .iter()
            .enumerate()
            .map(|(index, (name, parent, is_hub))| {
                let me = unit(name);
                let units = names
                    .iter()
                    .filter(|(_, p, _)| *p == Some(index))
                    .map(|(child, _, child_is_hub)| KnownUnit {
                        name: unit(child),
                        blocked: false,
                        serves: if *child_is_hub {
                            vec![pattern("t.county.**")]
                        } else {
                            Vec::new()
                        },
                    })
                    .collect();
                let link_count = if rng.per_mille(400) { 2 } else { 1 };
                NodePlan {
                    settings: Settings {
                        policy: policy(&me, *is_hub),
                        unit: me,
                        upstream: parent.map(|p: NodeIndex| unit(&names[p].0)),
                        listens: *is_hub,
                        units,
                        limits,
                        kinds_without_read: vec![kind("notice")],
                    },
                    parent: *parent,
                    links: (0..link_count)
                        .map(|_| {
                            let most = if slow_links { 400 } else { 40 };
                            let latency = rng.magnitude(1, most) * MILLISECOND;
                            (latency, rng.below(latency + 1), rng.magnitude(4, 1000))
                        })
                        .collect(),
                    clock_off: rng.between(0, 2 * clocks) as i64 - clocks as i64,
                    drift: 0,
                }
            })
            .collect();

        let segment_bytes = rng.magnitude(8, 32) as u32 * 1024;
        let mut faults = Vec::new();
        for (fault, is_allowed, weight, chance) in [
            (Fault::Crash, allowed.crashes, 4, 700),
            (Fault::Cut, allowed.cuts, 3, 600),
            (Fault::Kill, allowed.kills, 4, 700),
            (Fault::Slow, allowed.slow_syncs, 2, 300),
            (Fault::Lose, allowed.lost_hubs, 1, 150),
            (Fault::Restore, allowed.restores, 1, 150),
            (Fault::Rot, allowed.rot, 1, 200),
            (Fault::Clock, allowed.clocks, 1, 200),
            (Fault::Block, allowed.blocks, 1, 100),
        ] {
            if rng.per_mille(chance) && is_allowed {
                faults.extend(std::iter::repeat_n(fault, weight));
            }
        }
        let mut plan = Self {
            nodes,
            rogue,
            calm_at: rng.between(10, 60) * SECOND,
            fault_every: rng.magnitude(500, 15_000) * MILLISECOND,
            faults,
            messages: rng
                .magnitude(3, u64::from(options.messages.max(MESSAGES)))
                .min(u64::from(options.messages)),
            submit_every: rng.magnitude(20, 4_000) * MILLISECOND,
            sync: rng.magnitude(100, 20_000),
            operators: rng.per_mille(300) && allowed.operators,
            carelessness: if rng.per_mille(500) { 300 } else { 0 },
            segment_bytes,
            // What the rogue leaves queued for itself stays: a small journal would never find room again.
            journal_bytes: if is_small && rng.per_mille(500) && !has_rogue {
                u64::from(segment_bytes) * rng.between(12, 20)
            } else {
                64 << 20
            },
            is_small,
            cases: rng.between(1, 4),
            bulk_grants: rng.between(1, 8) as u16,
            has_holes: false,
            has_terms: false,
            has_attachments: false,
            has_history: false,
        };
        // Not drawn, so that worlds without it are as they would be if there were no such fault.
        if (plan.calm_at / SECOND).is_multiple_of(5) && allowed.unread {
            plan.faults.extend([Fault::Unread; 2]);
        }
        // Drawn from a source of their own, for the same reason.
        let mut own = rng.clone();
        if own.per_mille(400) && allowed.silence {
            // Two neighbours whose folders are both set back before they meet again cannot know what each of them has lost: with links that
            // are cut so often they would.
            plan.faults.retain(|fault| *fault != Fault::Restore);
            plan.faults.extend([Fault::Alarm, Fault::Cut, Fault::Cut]);
            plan.has_holes = true;
        }
        if own.per_mille(400) && allowed.terms {
            plan.faults.extend([Fault::Terms; 2]);
            plan.has_terms = true;
        }
        if own.per_mille(300) && allowed.pauses {
            plan.faults.extend([Fault::Pause; 3]);
        }
        if own.per_mille(300) && allowed.full_disks {
            plan.faults.extend([Fault::Full; 3]);
        }
        if own.per_mille(300) && allowed.bad_disks {
            plan.faults.extend([Fault::Bad; 3]);
        }
        if own.per_mille(250) && allowed.backups {
            plan.faults.extend([Fault::Backup; 3]);
        }
        if own.per_mille(300) && allowed.one_way {
            plan.faults.extend([Fault::OneWay; 3]);
        }
        if own.per_mille(250) && allowed.drift {
            for node in &mut plan.nodes {
                node.drift = own.below(2 * DRIFT_MOST + 1) as i64 - DRIFT_MOST as i64;
            }
        }
        plan.has_history = (plan.calm_at / SECOND) % 2 == 1 && allowed.history;
        plan.has_attachments = (plan.calm_at / SECOND) % 3 == 1 && allowed.attachments;
        plan
    }
}

impl NodePlan {
    pub(super) fn links(&self) -> Vec<Link> {
        self.links
            .iter()
            .map(|(latency, jitter, bytes_per_ms)| Link {
                latency: *latency,
                jitter: *jitter,
                bytes_per_ms: *bytes_per_ms,
                cut: [false; 2],
                is_hole: false,
                terms: LinkTerms::default(),
            })
            .collect()
    }
}

fn policy(me: &UnitId, is_hub: bool) -> Policy {
    let rule = |from: &str, to: &str, kinds: &[&str]| Allow {
        from: pattern(from),
        to: pattern(to),
        kinds: kinds.iter().map(|k| pattern(k)).collect(),
    };
    let allow = if is_hub {
        let mut kinds = KINDS_ALLOWED.to_vec();
        kinds.push(KIND_EDGES_REFUSE);
        vec![
            rule("t.**", "t.**", &kinds),
            rule("x.rogue", "t.**", &kinds),
        ]
    } else {
        let mut out = KINDS_ALLOWED.to_vec();
        out.extend([KIND_HUBS_REFUSE, KIND_EDGES_REFUSE]);
        vec![
            rule(me.as_str(), "t.**", &out),
            rule("t.**", me.as_str(), &KINDS_ALLOWED),
            rule("x.rogue", me.as_str(), &KINDS_ALLOWED),
        ]
    };
    Policy { allow }
}

fn limits(small: bool, rng: &mut Rng) -> Limits {
    let mut limits = Limits {
        inbox_lease_s: rng.magnitude(1, 20) as u32,
        inbox_max: 16,
        custody_grace_s: rng.between(30, 120) as u32,
        connections_per_unit: rng.between(2, 4) as u32,
        ..Limits::default()
    };
    if small {
        limits.outbox_messages = rng.magnitude(4, 40) as u32;
        limits.inbox_messages = rng.magnitude(3, 40) as u32;
        limits.mailbox_messages = rng.magnitude(3, 40) as u32;
        limits.reserve_percent = rng.between(0, 50) as u32;
    }
    limits
}
