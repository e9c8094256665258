//! URLs of this machine: what leaves the node over plain HTTP goes no further.

use std::net::IpAddr;

use hyper::Uri;

use super::field::{Field, quoted};

/// What is said of a URL that cannot be used.
pub(super) struct Fixes {
    /// How one is written.
    pub(super) example: &'static str,
    /// Who listens there.
    pub(super) listener: &'static str,
    /// What to do when that is on another machine.
    pub(super) elsewhere: &'static str,
    /// What stands for a name and a password.
    pub(super) instead_of_password: &'static str,
}

/// The value as an http URL at a loopback address.
pub(super) fn url(field: &Field<'_, '_>, fixes: &Fixes) -> Option<Uri> {
    let text = field.text()?;
    let parsed = text.parse::<Uri>().ok();
    let Some(uri) = parsed.filter(|uri| uri.scheme().is_some() && uri.authority().is_some()) else {
        field.error(
            format!("{} is not a URL", quoted(text)),
            format!("write one such as \"{}\"", fixes.example),
        );
        return None;
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "http" {
        let problem = match scheme {
            "https" => format!("https is not spoken to {}", fixes.listener),
            other => format!("{other} is not spoken"),
        };
        field.error(
            problem,
            format!("write an http URL of this machine; {}", fixes.elsewhere),
        );
        return None;
    }
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_here {
        field.error(
            format!(
                "{} is not this machine, and http hides nothing",
                quoted(host)
            ),
            format!("write a loopback address; {}", fixes.elsewhere),
        );
        return None;
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        field.error(
            "a name and password in the URL are not sent",
            format!("remove them; {}", fixes.instead_of_password),
        );
        return None;
    }
    Some(uri)
}
