//! Who is let in: the machine's own applications, and nobody's browser.
//!
//! A page that somebody visits can make their browser send requests to loopback. It cannot choose the Host header (DNS rebinding
//! arrives with a foreign one), cannot leave out Origin on a POST, and cannot send a content type that a form has not without being
//! asked first (Fetch standard, "CORS-safelisted request-header").

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, header, request::Parts};

use super::{
    access::{Access, Caller, unauthorized},
    door::Door,
    problem::Problem,
};
use crate::{cloudevents::is_json, model::Role};

/// Under this path stand pages for people. They ask for a token themselves, and take forms, each of which carries a token of its own.
const PAGES: &str = "/console";
/// Paths that a probe asks without a token.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];

#[derive(Debug)]
pub(super) struct Guard {
    /// Names besides `localhost` and the loopback addresses that a request may be addressed to, without a port.
    pub(super) hosts: Vec<String>,
    /// Who is let in, and as whom.
    pub(super) access: Access,
}

impl Guard {
    /// Checks what every request must fulfil, and tells who sent it.
    pub(super) fn admit(&self, request: &Parts) -> Result<Caller, Problem> {
        let headers = &request.headers;
        let host = self.check_host(headers, &request.uri, door(&request.extensions))?;
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
        let door = door(&request.extensions);
        let caller = self.access.caller(headers, door);
        let path = request.uri.path();
        let is_closed = self.access.is_closed() || door.is_network();
        if is_page || !is_closed || PROBES.contains(&path) {
            return Ok(caller);
        }
        match &caller {
            Caller::Application => Ok(caller),
            Caller::Actor(actor)
                if actor.role == Role::Administrator
                    || !is_of_applications(&request.method, path) =>
            {
                Ok(caller)
            }
            Caller::Actor(actor) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "not-application",
                "the call is for applications",
                format!(
                    "{} is {}; submitting, attachments and the inbox need the token of token-file, or an administrator's",
                    actor.name, actor.role
                ),
            )
            .about("authorization")),
            Caller::Nobody | Caller::Stranger => Err(unauthorized(
                "send the token of the file that token-file names, as \"Authorization: Bearer TOKEN\"; people send theirs, or show their certificate where there is TLS",
            )),
        }
    }

    /// The name that the request is addressed to, if it is one of this node's.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri, door: Door) -> Result<String, Problem> {
        let refused = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "foreign-host",
                "the request is addressed to another host",
                match door {
                    Door::Loopback => "address the request to 127.0.0.1, localhost or [::1]",
                    Door::Network { .. } => {
                        "address the request to the node's address, or to a name that api.tls.hosts lists"
                    }
                },
            )
            .about("host")
        };
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return Err(refused());
        };
        let host = host.to_str().map_err(|_| refused())?;
        let in_uri = uri.authority().map(|authority| authority.as_str());
        let is_ours = |host: &str| self.is_ours(host, door);
        if is_ours(host) && in_uri.is_none_or(is_ours) {
            Ok(host.to_owned())
        } else {
            Err(refused())
        }
    }

    /// A page of somebody else's is addressed by a name when its name leads here (DNS rebinding), never by an address.
    fn is_ours(&self, host: &str, door: Door) -> bool {
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
            || name
                .parse::<IpAddr>()
                .is_ok_and(|ip| door.is_network() || ip.is_loopback())
            || self
                .hosts
                .iter()
                .any(|ours| ours.eq_ignore_ascii_case(name));
        port_is_plain && name_is_ours
    }
}

/// By which door a request came.
pub(super) fn door(extensions: &Extensions) -> Door {
    extensions.get().copied().unwrap_or_default()
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

/// Whether a call is one that applications make: it hands over what messages say, or brings it.
fn is_of_applications(method: &Method, path: &str) -> bool {
    let under = |folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    under("/v1/inbox")
        || under("/v1/attachments")
        || under("/v1/uploads")
        || (under("/v1/messages") && !matches!(*method, Method::GET | Method::HEAD))
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

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{
        super::{access::Actor, token::Token},
        *,
    };

    fn token(letter: &str) -> Token {
        Token::new(&letter.repeat(32)).expect("a token")
    }

    fn guard() -> Guard {
        Guard {
            hosts: vec!["gateway.example".into()],
            access: Access::new(token("o")),
        }
    }

    fn admit(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        ask(guard, method, "/v1/status", headers).map(drop)
    }

    fn ask(
        guard: &Guard,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Caller, &'static str> {
        let mut request = Request::builder().method(method).uri(path);
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
        let guard = guard();
        guard.access.require(token("t"));
        for (letter, role) in [("v", Role::Viewer), ("w", Role::Operator)] {
            assert!(guard.access.add(token(letter), Actor::new(letter, role)));
        }
        let host = ("host", "localhost");
        let json = ("content-type", "application/json");
        let called = |letter: &str, method: &str, path: &str| {
            let bearer = format!("Bearer {}", letter.repeat(32));
            ask(
                &guard,
                method,
                path,
                &[host, json, ("authorization", &bearer)],
            )
            .map(drop)
        };
        assert_eq!(admit(&guard, "GET", &[host]), Err("unauthorized"));
        assert_eq!(ask(&guard, "GET", "/healthz", &[host]), Ok(Caller::Nobody));
        for letter in ["t", "o"] {
            for (method, path) in [
                ("GET", "/v1/status"),
                ("POST", "/v1/messages"),
                ("GET", "/v1/inbox"),
                ("PUT", "/v1/attachments"),
            ] {
                assert_eq!(called(letter, method, path), Ok(()), "{letter} {path}");
            }
        }
        for letter in ["v", "w"] {
            for (method, path, answer) in [
                ("GET", "/v1/status", Ok(())),
                ("GET", "/v1/messages", Ok(())),
                ("GET", "/v1/messages/ABC/body", Ok(())),
                ("POST", "/v1/queue/ABC/hold", Ok(())),
                ("POST", "/v1/messages", Err("not-application")),
                ("GET", "/v1/inbox", Err("not-application")),
                ("POST", "/v1/inbox/ack", Err("not-application")),
                ("GET", "/v1/attachments/blake3:00", Err("not-application")),
            ] {
                assert_eq!(called(letter, method, path), answer, "{letter} {path}");
            }
        }
        assert_eq!(called("x", "GET", "/v1/status"), Err("unauthorized"));
    }
}
