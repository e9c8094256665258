//! Who is let in: the machine's own applications, and nobody's browser.
//!
//! A page that somebody visits can make their browser send requests to loopback. It cannot choose the Host header (DNS rebinding
//! arrives with a foreign one), cannot leave out Origin on a POST, and cannot send a content type that a form has not without being
//! asked first (Fetch standard, "CORS-safelisted request-header").

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts};

use super::{Actor, problem::Problem, token, token::Token};
use crate::{cloudevents::is_json, model::Role};

/// Under this path stand pages for people. They ask for a token themselves, and take forms, each of which carries a token of its own.
const PAGES: &str = "/console";
/// Paths that a probe asks without a token.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];

#[derive(Debug)]
pub(super) struct Guard {
    /// Names besides `localhost` and the loopback addresses that a request may be addressed to, without a port.
    pub(super) hosts: Vec<String>,
    /// The token that every request must bear, if any.
    pub(super) token: Option<Token>,
    /// The token that an operator's action must bear.
    pub(super) operator: Token,
}

impl Guard {
    /// Checks what every request must fulfil.
    pub(super) fn admit(&self, request: &Parts) -> Result<(), Problem> {
        let headers = &request.headers;
        let host = self.check_host(headers, &request.uri)?;
        let is_page = is_page(request.uri.path());
        if !(is_page && is_visit(request)) {
            check_origin(headers, &host)?;
        }
        if request.method == Method::PUT {
            // What is uploaded may be anything, so only what a form sends is refused. No form sends a PUT either, and a script of another
            // origin has to ask first.
            if !has_event_headers(headers) && has_form_type(headers) {
                return Err(unsupported_type(
                    "a PUT needs a content type, such as application/octet-stream, that no form has",
                ));
            }
        } else if changes(&request.method)
            && !has_event_headers(headers)
            && !has_json_type(headers)
            && !is_page
        {
            return Err(unsupported_type(
                "a POST needs the content type application/json or application/cloudevents+json, or ce- headers",
            ));
        }
        match &self.token {
            Some(token) if !is_page && !PROBES.contains(&request.uri.path()) => {
                if token.is_borne_by(headers) || self.operator.is_borne_by(headers) {
                    Ok(())
                } else {
                    Err(unauthorized(
                        "send the token of the file that token-file names, as \"Authorization: Bearer TOKEN\"",
                    ))
                }
            }
            _ => Ok(()),
        }
    }

    /// Checks that an operator sent the request.
    pub(super) fn admit_operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.operator.is_borne_by(headers) {
            return Ok(());
        }
        let detail = "an operator's action needs the token of operator.token in the node's data-dir, \
             as \"Authorization: Bearer TOKEN\"";
        if token::borne(headers).is_none() {
            return Err(unauthorized(detail));
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not-operator",
            "the token is not the operators' token",
            detail,
        ))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.token.is_some()
    }
    pub(super) fn is_still(&self, _actor: &Actor, token: &blake3::Hash) -> bool {
        self.operator.is_digest(token)
    }
    pub(super) fn actor(&self, bearer: &[u8]) -> Option<Actor> {
        self.operator.is(bearer).then(|| Actor { name: "operator".into(), role: Role::Administrator })
    }

    /// The name that the request is addressed to, if it is one of this node's.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<String, Problem> {
        let refused = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "foreign-host",
                "the request is addressed to another host",
                "address the request to 127.0.0.1, localhost or [::1]",
            )
            .about("host")
        };
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return Err(refused());
        };
        let host = host.to_str().map_err(|_| refused())?;
        let in_uri = uri.authority().map(|authority| authority.as_str());
        if self.is_ours(host) && in_uri.is_none_or(|authority| self.is_ours(authority)) {
            Ok(host.to_owned())
        } else {
            Err(refused())
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let (name, port) = if let Some(rest) = host.strip_prefix('[') {
            match rest.split_once(']') {
                Some((name, port)) => (
                    name,
                    port.strip_prefix(':').or(port.is_empty().then_some("0")),
                ),
                None => return false,
            }
        } else {
            match host.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (host, Some("0")),
            }
        };
        let port_is_plain = port.is_some_and(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
        let name_is_ours = name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || self
                .hosts
                .iter()
                .any(|ours| ours.eq_ignore_ascii_case(name));
        port_is_plain && name_is_ours
    }
}

/// Whether a path is that of a page, or of what belongs to one.
fn is_page(path: &str) -> bool {
    let rest = path.strip_prefix(PAGES);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether somebody follows a link to a page, from wherever: that shows it and changes nothing, and no other page sees it (Fetch Metadata).
fn is_visit(request: &Parts) -> bool {
    let says = |name, value: &[u8]| {
        let said = request.headers.get(name);
        said.is_some_and(|said| said.as_bytes() == value)
    };
    request.method == Method::GET
        && says("sec-fetch-mode", b"navigate")
        && says("sec-fetch-dest", b"document")
        && !request.headers.contains_key(header::ORIGIN)
}

/// Refuses what a page of another origin makes a browser send.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let same_origin = |origin: &str| {
        origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let origins = headers.get_all(header::ORIGIN).iter();
    let foreign_origin = origins
        .into_iter()
        .any(|origin| !origin.to_str().is_ok_and(same_origin));
    // Browsers leave out Origin on the plain GET of an image; they say where it comes from all the same (Fetch Metadata).
    let foreign_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    if !foreign_origin && !foreign_site {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "a page of another origin may not use this API",
        "the request comes from a page of another origin",
    )
    .about("origin"))
}

/// Whether a method may change something.
fn changes(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

pub(super) fn has_event_headers(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("ce-"))
}

fn has_json_type(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(is_json)
}

/// Whether the content type is one of those that a form can send, or none that can be read.
fn has_form_type(headers: &HeaderMap) -> bool {
    let essence = content_type(headers).and_then(|given| given.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "" | "text/plain" | "application/x-www-form-urlencoded" | "multipart/form-data"
    )
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

pub(super) fn unsupported_type(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "the content type is not one that this call takes",
        detail,
    )
    .about("content-type")
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the request bears no valid token",
        detail,
    )
    .about("authorization")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn guard() -> Guard {
        Guard {
            hosts: vec!["gateway.example".into()],
            token: None,
            operator: Token::new(&"o".repeat(32)).expect("a token"),
        }
    }

    fn admit(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().method(method).uri("/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        guard.admit(&parts).map_err(|problem| problem.slug())
    }

    #[test]
    fn only_this_nodes_own_names_are_addressed() {
        for host in [
            "127.0.0.1:8440",
            "127.0.0.1",
            "LOCALHOST:1",
            "[::1]:8440",
            "[::1]",
            "127.0.0.53:8440",
            "gateway.example:443",
        ] {
            assert_eq!(admit(&guard(), "GET", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8440",
            "10.0.0.1:8440",
            "localhost:8440@evil.example",
            "localhost:99999",
            "localhost:+1",
            "[::1]x",
            "[::1",
            "::1",
        ] {
            let refused = admit(&guard(), "GET", &[("host", host)]);
            assert_eq!(refused, Err("foreign-host"), "{host}");
        }
        assert_eq!(admit(&guard(), "GET", &[]), Err("foreign-host"));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(admit(&guard(), "GET", &twice), Err("foreign-host"));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_whatever_it_asks() {
        let host = ("host", "localhost:8440");
        for foreign in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let refused = admit(&guard(), "GET", &[host, foreign]);
            assert_eq!(refused, Err("foreign-origin"), "{foreign:?}");
        }
        let own = [
            host,
            ("origin", "http://localhost:8440"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(admit(&guard(), "GET", &own), Ok(()));
        assert_eq!(
            admit(&guard(), "GET", &[host, ("sec-fetch-site", "none")]),
            Ok(())
        );
    }

    #[test]
    fn a_post_that_a_form_could_send_is_refused() {
        let host = ("host", "localhost:8440");
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ] {
            let refused = admit(&guard(), "POST", &[host, ("content-type", kind)]);
            assert_eq!(refused, Err("unsupported-media-type"), "{kind}");
        }
        assert!(admit(&guard(), "POST", &[host]).is_err());
        for kind in [
            "application/json",
            "application/cloudevents-batch+json; charset=utf-8",
        ] {
            assert_eq!(
                admit(&guard(), "POST", &[host, ("content-type", kind)]),
                Ok(())
            );
        }
        let binary = [host, ("content-type", "application/pdf"), ("ce-id", "1")];
        assert_eq!(admit(&guard(), "POST", &binary), Ok(()));
    }

    #[test]
    fn a_put_has_any_content_type_but_those_of_forms() {
        let host = ("host", "localhost:8440");
        for kind in [
            "application/octet-stream",
            "application/pdf",
            "application/json",
            "image/tiff",
        ] {
            let let_in = admit(&guard(), "PUT", &[host, ("content-type", kind)]);
            assert_eq!(let_in, Ok(()), "{kind}");
        }
        for kind in [
            "",
            "text/plain",
            "Text/Plain; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let refused = admit(&guard(), "PUT", &[host, ("content-type", kind)]);
            assert_eq!(refused, Err("unsupported-media-type"), "{kind}");
        }
        assert!(admit(&guard(), "PUT", &[host]).is_err());
    }

    #[test]
    fn with_a_token_file_every_call_but_a_probe_needs_a_token() {
        let mut guard = guard();
        guard.token = Some(Token::new(&"t".repeat(32)).expect("a token"));
        let host = ("host", "localhost");
        let bearer = |c: &str| format!("Bearer {}", c.repeat(32));
        assert_eq!(admit(&guard, "GET", &[host]), Err("unauthorized"));
        for (letter, answer) in [("t", Ok(())), ("o", Ok(())), ("x", Err("unauthorized"))] {
            let value = bearer(letter);
            let answered = admit(&guard, "GET", &[host, ("authorization", &value)]);
            assert_eq!(answered, answer, "{letter}");
        }
        let mut headers = HeaderMap::new();
        let slug = |headers: &HeaderMap| guard.admit_operator(headers).map_err(|p| p.slug());
        assert_eq!(slug(&headers), Err("unauthorized"));
        headers.insert("authorization", bearer("t").parse().expect("a value"));
        assert_eq!(slug(&headers), Err("not-operator"));
        headers.insert("authorization", bearer("o").parse().expect("a value"));
        assert_eq!(slug(&headers), Ok(()));
    }
}
