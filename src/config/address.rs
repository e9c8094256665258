//! Network addresses as people write them, and as they mean them.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::{
    field::{Field, quoted},
    texts::{Pick, told},
};
use crate::language::{Both, fill};

/// The port that hubs listen on unless they are told otherwise; also what a mended address is given.
pub const HUB_PORT: u16 = 4433;

/// Where to dial: a host and a UDP port. A host's name is looked up when it is dialled, each time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Address {
    /// The address itself, when no name has to be looked up.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }

    /// The host: a DNS name, or an IP address without brackets. With [`Address::port`] it is what
    /// [`std::net::ToSocketAddrs`] takes.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// The UDP port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Why a text is not an address: what is wrong, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {fix}")]
pub struct AddressError {
    problem: Both,
    fix: Both,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = quoted(text);
        let wrong = |problem: Pick, fix| AddressError {
            problem: told(|t| fill(problem(t), &[&shown])),
            fix,
        };
        let example = || told(|t| t.write_address);
        let write = |whole: &dyn fmt::Display| told(|t| fill(t.write_quoted, &[whole]));
        if let Ok(ip) = text.parse::<IpAddr>() {
            let whole = SocketAddr::new(ip, HUB_PORT);
            return Err(wrong(|t| t.no_port, write(&whole)));
        }
        if text.contains("://") || text.contains('/') {
            return Err(wrong(|t| t.is_url, example()));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(if is_host_name(text) {
                wrong(|t| t.no_port, write(&format_args!("{text}:{HUB_PORT}")))
            } else {
                wrong(|t| t.no_address, example())
            });
        };
        let Some(port) = port.parse::<u16>().ok().filter(|port| *port > 0) else {
            return Err(wrong(|t| t.no_good_port, example()));
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(inner) => inner
                .parse::<IpAddr>()
                .ok()
                .filter(IpAddr::is_ipv6)
                .map(Host::Ip),
            None => match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_ipv4() => Some(Host::Ip(ip)),
                Ok(ip) => {
                    let whole = SocketAddr::new(ip, port);
                    return Err(wrong(|t| t.no_brackets, write(&whole)));
                }
                Err(_) => is_host_name(host).then(|| Host::Name(host.to_owned())),
            },
        };
        match host {
            Some(Host::Ip(ip)) if ip.is_unspecified() => {
                Err(wrong(|t| t.no_host, told(|t| t.write_hub_address)))
            }
            Some(host) => Ok(Self { host, port }),
            None => Err(wrong(|t| t.no_good_host, example())),
        }
    }
}

/// Whether `text` is a host's name (RFC 1123, section 2.1). One whose last label is a number is a mistyped IPv4 address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253
        && name.split('.').all(is_label)
        && !name
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

impl Field<'_, '_> {
    /// The value as an address to dial.
    pub(super) fn address(&self) -> Option<Address> {
        self.text()?
            .parse()
            .map_err(|error: AddressError| self.error(error.problem, error.fix))
            .ok()
    }

    /// The value as an address of this machine; `default` is what a mended one takes its missing parts from.
    pub(super) fn socket(&self, default: SocketAddr) -> Option<SocketAddr> {
        let text = self.text()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            let port = port.parse().unwrap_or(default.port());
            let ip = text
                .parse()
                .or_else(|_| host.parse())
                .unwrap_or(default.ip());
            let problem: Pick = match text.parse::<IpAddr>() {
                Ok(_) => |t| t.no_port,
                Err(_) => |t| t.no_socket,
            };
            let mended = SocketAddr::new(ip, port);
            self.error(
                told(|t| fill(problem(t), &[&quoted(text)])),
                told(|t| fill(t.write_quoted, &[&mended])),
            );
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        for text in [
            "10.1.0.1:4433",
            "[2001:db8::1]:4433",
            "hub.hebi.gov.cn:443",
            "localhost:1",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_address_is_told_what_to_write() {
        for (text, told) in [
            (
                "10.1.0.1",
                "\"10.1.0.1\" has no port; write \"10.1.0.1:4433\"",
            ),
            (
                "2001:db8::1",
                "\"2001:db8::1\" has no port; write \"[2001:db8::1]:4433\"",
            ),
            (
                "hub.hebi",
                "\"hub.hebi\" has no port; write \"hub.hebi:4433\"",
            ),
            (
                "10.1.0:4433",
                "\"10.1.0:4433\" has no host that can be dialled; write host:port, such as",
            ),
            ("10.1.0.1:0", "\"10.1.0.1:0\" has no port from 1 to 65535; "),
            ("0.0.0.0:4433", "\"0.0.0.0:4433\" names no host; "),
            ("https://hub:4433", "is a URL"),
            ("", "\"\" is not an address; "),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
