//! URLs of this machine: what leaves the node over plain HTTP goes no further.

use std::net::IpAddr;

use hyper::Uri;

use super::{
    field::{Field, quoted},
    texts::{Pick, told},
};
use crate::language::fill;

/// What is said of a URL that cannot be used.
pub(super) struct Fixes {
    /// How one is written.
    pub(super) example: &'static str,
    /// Who listens there.
    pub(super) listener: Pick,
    /// What to do when that is on another machine.
    pub(super) elsewhere: Pick,
    /// What stands for a name and a password.
    pub(super) instead_of_password: Pick,
}

/// The value as an http URL at a loopback address.
pub(super) fn url(field: &Field<'_, '_>, fixes: &Fixes) -> Option<Uri> {
    let text = field.text()?;
    let parsed = text.parse::<Uri>().ok();
    let Some(uri) = parsed.filter(|uri| uri.scheme().is_some() && uri.authority().is_some()) else {
        field.error(
            told(|t| fill(t.no_url, &[&quoted(text)])),
            told(|t| fill(t.write_url, &[&fixes.example])),
        );
        return None;
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "http" {
        field.error(
            told(|t| match scheme {
                "https" => fill(t.no_https, &[&(fixes.listener)(t)]),
                other => fill(t.no_scheme, &[&other]),
            }),
            told(|t| fill(t.write_http, &[&(fixes.elsewhere)(t)])),
        );
        return None;
    }
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_here {
        field.error(
            told(|t| fill(t.not_here, &[&quoted(host)])),
            told(|t| fill(t.write_loopback, &[&(fixes.elsewhere)(t)])),
        );
        return None;
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        field.error(
            told(|t| t.password_in_url),
            told(|t| fill(t.remove_password, &[&(fixes.instead_of_password)(t)])),
        );
        return None;
    }
    Some(uri)
}
