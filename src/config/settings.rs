//! The settings of a node, typed.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{Address, Deliver, Hours, Spool, Traces};
use crate::{
    model::{Kinds, Limits, Pattern, Policy, Role, Sha256, UnitId},
    observe::{LogFormat, LogLevel},
};

/// Everything that an operator tells a node. `config/hub.toml` and `config/edge.toml` explain every key.
///
/// Every path is absolute or relative to the working folder: one that is relative in the file has been joined to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node's own unit.
    pub unit: UnitId,
    /// Where the node keeps everything that must outlive it.
    pub data_dir: PathBuf,
    /// The node's keys and certificates.
    pub identity: Identity,
    /// The local HTTP interface.
    pub api: Api,
    /// Where units dial in: present at a hub.
    pub listen: Option<Listen>,
    /// What a hub is told about units, in the order of the file; names are unique, and none is the node's own.
    pub units: Vec<Unit>,
    /// What the node dials: present at an edge.
    pub upstream: Option<Upstream>,
    /// Who may send what to whom.
    pub policy: Policy,
    /// The kinds that applications may submit: the built-in ones and those of the file. No expiry exceeds `limits.expires_days`.
    pub kinds: Kinds,
    /// Every bound (G7).
    pub limits: Limits,
    /// The file of the node's own dictionary, as `casegate dict train` makes it.
    pub dictionary: Option<PathBuf>,
    /// Folders in which files are dropped, and appear.
    pub spool: Option<Spool>,
    /// Where received messages are posted.
    pub deliver: Option<Deliver>,
    /// Where it is told what happened to messages.
    pub traces: Option<Traces>,
    /// What is logged, and how.
    pub log: Log,
}

/// The folder that `casegate pki issue --out` fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The folder.
    pub dir: PathBuf,
}

impl Identity {
    /// The files of an identity; those that end in `.key` are secret.
    pub const FILES: [&'static str; 5] =
        ["ca.pem", "tls.pem", "tls.key", "signing.pem", "signing.key"];

    /// The path of one of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The local HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The door to the network, if there is one.
    pub tls: Option<ApiTls>,
    /// Holds the token that every call must bear; without it only operators' actions need one.
    pub token_file: Option<PathBuf>,
    /// Who else may look and act, in the order of the file: names are unique, and none is that of `operator.token`.
    pub tokens: Vec<ApiToken>,
    /// Who may look and act by showing a certificate to that door, in the order of the file: nobody is in this list and in the other.
    pub certificates: Vec<ApiCertificate>,
    /// Whether operators may read what messages say.
    pub show_bodies: bool,
}

/// The API's door to the network: with TLS 1.3, and for nobody without a token or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTls {
    /// A TCP address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The PEM file with the door's certificate, and below it those that lead to a CA.
    pub certificate: PathBuf,
    /// The PEM file with its key.
    pub key: PathBuf,
    /// Names, besides the door's addresses, that requests may be addressed to.
    pub hosts: Vec<String>,
}

impl ApiTls {
    /// The port that a mended address is given.
    pub const PORT: u16 = 8441;
    /// Most names.
    pub const HOSTS_MAX: usize = 16;
}

/// Somebody whom a client certificate tells from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCertificate {
    /// Their name, as that of an [`ApiToken`].
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Which certificate it is. Whoever issued it, it counts as long as it is listed and in its time.
    pub sha256: Sha256,
}

/// Somebody whom a token of their own tells from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Their name, as the audit log has it: one line of at most [`ApiToken::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The file that holds the token.
    pub file: PathBuf,
}

impl ApiToken {
    /// Longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;
    /// Most of them at a node.
    pub const COUNT_MAX: usize = 256;
    /// Names that stand for something else in the audit log.
    pub const TAKEN: [&'static str; 4] = ["operator", "application", "casegate", "-"];
}

impl Api {
    /// Where the interface listens unless the file says otherwise.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8440);
}

/// Where units dial in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A UDP address; port 0 takes a free one.
    pub address: SocketAddr,
}

/// What a hub is told about a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: UnitId,
    /// What people call it; at most [`Unit::TITLE_BYTES_MAX`] bytes, one line.
    pub title: Option<String>,
    /// Whether it is cut off, whatever its certificate says.
    pub blocked: bool,
    /// The units for which it may bring and fetch parcels beside its own: set for a county hub.
    pub serves: Vec<Pattern>,
}

impl Unit {
    /// Longest title, in bytes.
    pub const TITLE_BYTES_MAX: usize = 256;
}

/// The hub that the node dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The hub's unit; its certificate must name it.
    pub hub: UnitId,
    /// The ways to it: 1 to [`Upstream::LINKS_MAX`], with unique names.
    pub links: Vec<Link>,
}

impl Upstream {
    /// Most links to one hub.
    pub const LINKS_MAX: usize = 8;
}

/// One physical path to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name, unique at the node: a segment of at most [`Link::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What sort of path it is: the transport profile.
    pub kind: LinkKind,
    /// Where the hub listens, seen from this link.
    pub address: Address,
    /// What the link is bound to at this end.
    pub local: Local,
    /// Most bytes that may go over it in a day, both ways together, in MiB; `None` is no bound.
    pub budget_mib_per_day: Option<u32>,
    /// What a batch is compressed against.
    pub compression: Compression,
    /// How much later normal and bulk messages may rather arrive over a link that costs less, seconds.
    pub cost_s: u32,
    /// When everything may go over it; always when there are none.
    pub hours: Vec<Hours>,
}

impl Link {
    /// Most that a link may cost, seconds.
    pub const COST_S_MAX: u32 = 3600;
    /// Most times of the day.
    pub const HOURS_MAX: usize = 8;

    /// Whether it differs from `other` only in when and how it is used, so that a session over it can go on.
    pub fn is_same_path(&self, other: &Self) -> bool {
        let used_alike = Self {
            budget_mib_per_day: self.budget_mib_per_day,
            cost_s: self.cost_s,
            hours: self.hours.clone(),
            ..other.clone()
        };
        *self == used_alike
    }

    /// Longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 32;

    /// Whether `text` can be a link's name.
    pub fn is_name(text: &str) -> bool {
        (1..=Self::NAME_BYTES_MAX).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

/// What a link is bound to at this end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// Whatever the routing table says.
    Any,
    /// A network interface, by name (`SO_BINDTODEVICE`).
    Interface(String),
    /// A source address.
    Address(IpAddr),
}

/// What sort of path a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A dedicated line of known rate.
    Exclusive,
    /// A modem: slow, lossy, metered, gone for minutes.
    ThreeG,
    /// A local network.
    Lan,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Exclusive, Self::ThreeG, Self::Lan];

    /// What a link of the kind costs unless the file says otherwise, seconds: traffic over a modem is paid for.
    pub const fn cost_s(self) -> u32 {
        match self {
            Self::Exclusive | Self::Lan => 0,
            Self::ThreeG => 2,
        }
    }

    /// The kind as the configuration and the protocol's hello have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::ThreeG => "3g",
            Self::Lan => "lan",
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a batch may be compressed together with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// What one sender wrote never meets what another wrote, so that sizes tell nobody about somebody else's text.
    #[default]
    Isolated,
    /// Everything that goes over the link: smaller, and sizes tell a little.
    Shared,
    /// Nothing is compressed.
    Off,
}

impl Compression {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Isolated, Self::Shared, Self::Off];

    /// The choice as the configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Shared => "shared",
            Self::Off => "off",
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Log {
    /// The least urgent events that are logged.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// A path of the file, seen from the working folder.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
