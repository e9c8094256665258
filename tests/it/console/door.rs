//! Who is let into the console, and what they are given, over plain HTTP.

use casegate::model::Role;
use serde_json::Value;
use ureq::http::{Response, header};

use super::{CASE, Town, event};
use crate::world::{Running, World, agent, call, let_in};

/// A browser without a screen: it keeps cookies and follows nothing.
struct Client {
    at: String,
    cookies: Vec<(String, String)>,
}

struct Answer {
    status: u16,
    headers: Response<()>,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .text
            .split_once(&mark)
            .unwrap_or_else(|| panic!("no {name} in {}", self.text));
        rest.split('"').next().expect("a value").to_owned()
    }
}

impl Client {
    fn of(node: &Running) -> Self {
        Self {
            at: node.url(""),
            cookies: Vec::new(),
        }
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.at));
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request = request
            .header("cookie", cookies.join("; "))
            .header("accept", "text/html");
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).expect("a request");
        let quiet = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(crate::world::PATIENCE))
            .build();
        let answer =
            tokio::task::block_in_place(|| ureq::Agent::new_with_config(quiet).run(request))
                .expect("an answer");
        let (parts, mut body) = answer.into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().expect("a text");
            assert!(
                set.contains("SameSite=Strict")
                    && set.contains("HttpOnly")
                    && set.contains("Path=/console"),
                "{set}"
            );
            let (name, value) = set
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        let text = body.read_to_string().expect("a text");
        Answer {
            status: parts.status.as_u16(),
            headers: Response::from_parts(parts, ()),
            text,
        }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.ask("POST", path, &[], &body)
    }

    /// Signs in; gives what forms must carry.
    fn sign_in(&mut self, token: &str) -> String {
        let form = self.get("/console/sign-in").field("form");
        let back = "/console/queue";
        let answer = self.post(
            "/console/sign-in",
            &[("form", &form), ("token", token), ("back", back)],
        );
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, back),
            "{}",
            answer.text
        );
        self.get("/console/compose").field("csrf")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_forbids_what_it_does_not_need_and_its_parts_are_kept() {
    let town = Town::new().await;
    let mut client = Client::of(&town.hub);
    let page = client.get("/console/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("cache-control"), "no-store");
    for mark in [
        "<style",
        " style=",
        "onclick",
        "javascript:",
        "<script>",
        "http://",
        "https://",
    ] {
        assert!(!page.text.contains(mark), "{mark}");
    }
    let assets: Vec<_> = page
        .text
        .split('"')
        .filter(|part| part.starts_with("/console/assets/"))
        .collect();
    assert_eq!(assets.len(), 6, "{assets:?}");
    for asset in assets {
        let answer = client.get(asset);
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.header("cache-control").contains("immutable"));
        assert!(!answer.text.is_empty() && answer.header("content-security-policy") == policy);
    }
    assert_eq!(client.get("/console/assets/console.css").status, 404);
    assert_eq!(client.get("/console/nowhere").status, 404);
    assert_eq!(client.get("/console").header("location"), "/console/");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_a_session_and_its_token() {
    let town = Town::new().await;
    let message = &town.waiting[1];
    let mut client = Client::of(&town.hub);
    let asked = |csrf: &'static str| vec![("id", ""), ("action", "hold"), ("csrf", csrf)];
    let state = async || {
        let (_, view) = town.hub.get(&format!("/v1/messages/{message}")).await;
        view["state"].as_str().unwrap_or_default().to_owned()
    };
    let mut form = asked("");
    form[0].1 = message;
    let answer = client.post("/console/act", &form);
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with("/console/sign-in"));

    // A sign-in needs the form that this browser was given.
    let token = town.token(&town.hub);
    let forged = client.post(
        "/console/sign-in",
        &[("form", &"0".repeat(64)), ("token", &token)],
    );
    assert_eq!(forged.status, 403);
    let form_of_page = client.get("/console/sign-in").field("form");
    let wrong = client.post(
        "/console/sign-in",
        &[("form", &form_of_page), ("token", &"x".repeat(64))],
    );
    assert_eq!(wrong.status, 403);
    let csrf = client.sign_in(&token);

    for stale in ["", "0", &csrf[1..]] {
        let form = [
            ("id", message.as_str()),
            ("action", "hold"),
            ("csrf", stale),
        ];
        assert_eq!(client.post("/console/act", &form).status, 403, "{stale}");
    }
    for path in [
        "/console/compose",
        "/console/compose/test",
        "/console/sign-out",
    ] {
        assert_eq!(
            client
                .post(path, &[("to", "hebi.police"), ("text", "x")])
                .status,
            403,
            "{path}"
        );
    }
    let raw = [("content-type", "application/octet-stream")];
    for (method, path) in [
        ("POST", "/console/uploads"),
        ("PUT", "/console/uploads/00?offset=0"),
        ("GET", "/console/uploads/00"),
    ] {
        assert_eq!(client.ask(method, path, &raw, "x").status, 403, "{path}");
    }
    assert_eq!(state().await, "queued", "nothing of this counted");

    let form = [
        ("id", message.as_str()),
        ("action", "hold"),
        ("csrf", &csrf),
        ("back", "//evil.example/"),
    ];
    let done = client.post("/console/act", &form);
    assert_eq!((done.status, done.header("location")), (303, "/console/"));
    assert!(client.get("/console/").text.contains("Held: 1"));
    assert!(
        !client.get("/console/").text.contains("Held: 1"),
        "it is said once"
    );
    assert_eq!(state().await, "held");

    assert_eq!(
        client.post("/console/sign-out", &[("csrf", &csrf)]).status,
        303
    );
    let form = [
        ("id", message.as_str()),
        ("action", "release"),
        ("csrf", &csrf),
    ];
    assert!(
        client
            .post("/console/act", &form)
            .header("location")
            .starts_with("/console/sign-in")
    );
    assert_eq!(state().await, "held");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_are_refused_and_may_only_lead_here() {
    let town = Town::new().await;
    let mut client = Client::of(&town.hub);
    let csrf = client.sign_in(&town.token(&town.hub));
    let form = format!("id={}&action=hold&csrf={csrf}", town.waiting[1]);
    for foreign in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let answer = client.ask("POST", "/console/act", &[kind, foreign], &form);
        assert_eq!(answer.status, 403, "{foreign:?}");
        assert_eq!(
            client.ask("GET", "/console/", &[foreign], "").status,
            403,
            "{foreign:?}"
        );
        // Not even as a visit.
        let visit = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            kind,
            foreign,
        ];
        assert_eq!(
            client.ask("POST", "/console/act", &visit, &form).status,
            403,
            "{foreign:?}"
        );
    }
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(client.ask("GET", "/console/", &link, "").status, 200);
    let frame = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    assert_eq!(client.ask("GET", "/console/", &frame, "").status, 403);
    assert_eq!(
        client.ask("GET", "/v1/status", &link, "").status,
        403,
        "the API is no page"
    );
    assert_eq!(
        client
            .ask("GET", "/console/", &[("host", "evil.example")], "")
            .status,
        403
    );
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_file_the_console_shows_itself_only_after_a_sign_in() {
    let world = World::new();
    let mut settings = world.hub("hebi.hub");
    let file = world.path().join("application.token");
    std::fs::write(&file, "a".repeat(40)).expect("a file");
    settings.api.token_file = Some(file);
    let hub = Running::start(settings).await;
    let mut client = Client::of(&hub);
    for path in [
        "/console/",
        "/console/messages",
        "/console/messages.csv",
        "/console/samples",
        "/console/events",
        "/console/audit",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer
                .header("location")
                .starts_with("/console/sign-in?back=%2Fconsole%2F"),
            "{path}"
        );
    }
    assert_eq!(
        client
            .ask("GET", "/console/samples", &[("hx-request", "true")], "")
            .status,
        401
    );
    let token = std::fs::read_to_string(world.path().join("hebi.hub/data/operator.token"))
        .expect("a token");
    client.sign_in(token.trim());
    assert_eq!(client.get("/console/").status, 200);
    hub.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_bounds_what_its_bearer_may_do_and_a_session_ends_with_its_token() {
    let world = World::new();
    let mut settings = world.edge("hebi.tobacco", "hebi.hub", ([127, 0, 0, 1], 9).into());
    let without = settings.clone();
    let li = let_in(&mut settings, "li.wei", Role::Operator);
    let wang = let_in(&mut settings, "wang.fang", Role::Viewer);
    let edge = Running::start(settings.clone()).await;
    let message = edge
        .submit(edge.event("1", "hebi.police", "notice", serde_json::json!({})))
        .await;

    let mut viewer = Client::of(&edge);
    let form = viewer.get("/console/sign-in").field("form");
    let signed_in = [
        ("form", form.as_str()),
        ("token", &wang),
        ("back", "/console/"),
    ];
    assert_eq!(viewer.post("/console/sign-in", &signed_in).status, 303);
    let page = viewer.get("/console/");
    assert!(page.text.contains("wang.fang") && page.text.contains("viewer"));
    let csrf = page.field("csrf");
    let hold = [
        ("id", message.as_str()),
        ("action", "hold"),
        ("csrf", &csrf),
    ];
    assert_eq!(viewer.post("/console/act", &hold).status, 403);
    assert_eq!(viewer.get("/console/compose").status, 403);
    assert_eq!(viewer.get("/console/stick").status, 403);
    let pause = [
        ("neighbour", "hebi.hub"),
        ("action", "pause"),
        ("reason", "because"),
        ("csrf", &csrf),
    ];
    assert_eq!(viewer.post("/console/pause", &pause).status, 403);
    let body = format!("/console/messages/{message}/body");
    assert_eq!(viewer.post(&body, &[("csrf", &csrf)]).status, 403);
    assert_eq!(viewer.get("/console/audit").status, 403);
    assert!(
        !viewer
            .get(&format!("/console/messages/{message}"))
            .text
            .contains("do-hold")
    );

    let mut operator = Client::of(&edge);
    let csrf = operator.sign_in(&li);
    let hold = [
        ("id", message.as_str()),
        ("action", "hold"),
        ("csrf", &csrf),
    ];
    assert_eq!(operator.post("/console/act", &hold).status, 303);
    // What needs an administrator, and what nobody may here.
    for path in ["/console/drain", "/console/export"] {
        let form = [
            ("neighbour", "hebi.hub"),
            ("action", "drain"),
            ("reason", "because"),
            ("csrf", &csrf),
        ];
        assert_eq!(operator.post(path, &form).status, 403, "{path}");
        let forged = [("reason", "because"), ("csrf", "x")];
        assert_eq!(operator.post(path, &forged).status, 403, "{path}");
    }
    let not_shown = operator.post(&body, &[("csrf", &csrf)]);
    assert_eq!(not_shown.status, 403);
    assert!(not_shown.text.contains("show-bodies"), "{}", not_shown.text);
    for (token, status, says) in [("x", 403, ""), (&csrf, 422, "bad-file")] {
        let kind = ("content-type", "application/octet-stream");
        let file = [("x-csrf", token), kind];
        let imported = operator.ask("PUT", "/console/import", &file, "casegate");
        assert_eq!(imported.status, status, "{}", imported.text);
        assert!(imported.text.contains(says), "{}", imported.text);
    }
    let audit = operator.get("/console/audit?actor=li.wei&action=hold");
    assert!(
        audit.status == 200 && audit.text.contains(&format!("/console/messages/{message}")),
        "{}",
        audit.text
    );
    let refused = operator.get("/console/audit?action=refuse-call");
    assert_eq!(refused.status, 200);

    edge.node.reload(without).await.expect("reloads");
    let release = [
        ("id", message.as_str()),
        ("action", "release"),
        ("csrf", &csrf),
    ];
    let over = operator.post("/console/act", &release);
    assert!(
        over.header("location").starts_with("/console/sign-in"),
        "{}",
        over.status
    );
    edge.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_exported_whole_as_a_table() {
    let town = Town::new().await;
    for number in 0..1200 {
        let mut event = event(
            &town.tobacco,
            &format!("e{number}"),
            "hebi.police",
            "=HYPERLINK(\"x\")",
        );
        event["caseid"] = format!("C-{number}").into();
        town.tobacco.submit(event).await;
    }
    let mut client = Client::of(&town.tobacco);
    let table = client.get("/console/messages.csv?q=hyperlink");
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        table.text.matches("\"'=HYPERLINK(\"\"x\"\")\"").count(),
        1200
    );
    assert_eq!(table.text.lines().count(), 1201);
    assert_eq!(client.get("/console/messages.csv?from=A").status, 404);
    let page = client.get("/console/messages?q=hyperlink");
    assert!(page.text.contains("rel=\"next\""));
    // What a sender wrote stands in a page as a text.
    let mut event = event(
        &town.tobacco,
        "x",
        "hebi.police",
        "<script>alert(1)</script>",
    );
    event["caseid"] = CASE.into();
    town.tobacco.submit(event).await;
    let page = client.get("/console/messages?q=alert");
    assert!(page.text.contains("&#60;script&#62;alert(1)") && !page.text.contains("<script>alert"));
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pages_need_is_in_the_api_as_well() {
    let town = Town::new().await;
    let (_, units) = town.hub.get("/v1/units").await;
    let police = |units: &Value| {
        let mut all = units["units"]
            .as_array()
            .expect("units")
            .clone()
            .into_iter();
        all.find(|unit| unit["unit"] == "hebi.police")
            .expect("police")
    };
    let unit = police(&units);
    assert_eq!(unit["mailbox"]["messages"], 6);
    assert_eq!(
        unit["mailbox_lanes"],
        serde_json::json!({"flash": 2, "urgent": 2, "normal": 1, "bulk": 1})
    );
    assert!(unit["oldest"].is_string() && unit["certificate_expires"].is_null());
    let connected = units["units"]
        .as_array()
        .expect("units")
        .iter()
        .find(|unit| unit["connected"] == true);
    assert!(connected.expect("tobacco")["certificate_expires"].is_string());
    let (_, view) = town
        .tobacco
        .get(&format!("/v1/messages/{}", town.waiting[2]))
        .await;
    assert_eq!(view["attachments"][0]["name"], "移送书.pdf");
    assert_eq!(view["attachments"][0]["size"], 300_000);
    let url = town.hub.url("/v1/status");
    let (status, _) = call(move || agent().get(&url).call()).await;
    assert_eq!(status, 200);
    town.stop().await;
}
