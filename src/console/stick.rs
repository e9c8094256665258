//! Carrying a queue by hand: out to a sealed file, and in from one.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    Console,
    act::which,
    messages::{Choice, lanes},
    pause::REASON_BYTES_MAX,
    queue::filter,
    session::{Said, secret},
    show::count,
    texts::fill,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, Which},
    model::Role,
};

/// As many messages as a file holds.
const MESSAGES_MAX: u32 = u32::MAX;

/// What an answer says that is a file. The page that asked for it sees by the cookie that it has come.
const TOLD_HEADER: &str = "casegate-exported";
const COME_COOKIE: &str = "casegate_come";

#[derive(Template)]
#[template(path = "stick.html")]
struct Page {
    f: Frame,
    neighbours: Vec<Choice>,
    lanes: Vec<Choice>,
    /// What the answer's cookie will say.
    come: String,
    export_reason_max: usize,
}

/// `GET /console/stick?neighbour=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = match visit.may_act() {
        true => make(&console, &visit).await,
        false if visit.session.is_some() => Err(Wrong::NotAllowed(Role::Operator)),
        false => Err(Wrong::SignIn),
    };
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let t = visit.t();
    let units = console.api.gateway().units().await?;
    let chosen = visit.query.text("neighbour");
    render(&Page {
        f: visit.frame("stick", t.stick),
        neighbours: units
            .iter()
            .filter(|unit| unit.mailbox.messages > 0)
            .map(|unit| Choice {
                value: unit.unit.to_string(),
                text: format!("{} ({})", unit.unit, count(unit.mailbox.messages)),
                is_chosen: unit.unit.as_str() == chosen,
            })
            .collect(),
        lanes: lanes(t, ""),
        come: secret().ok_or(Wrong::Broken)?,
        export_reason_max: REASON_BYTES_MAX,
    })
}

/// What an export says of its file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    neighbour: String,
    messages: u64,
    attachments: u64,
    left_out: u64,
    more: bool,
}

/// `POST /console/export`: `id` once or often, or `every` and `of`, or `neighbour`, and `lane` unless it is all of them; `export-reason`. Answers
/// with the file.
pub(super) async fn export<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = file(&console, &visit, body).await;
    answer(&visit, made)
}

async fn file<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Administrator).await?;
    let reason = form.text("export-reason");
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Ok(console.back(open, &form, Said::bad(t.reason_missing)));
    }
    // What is not named is what the fields of the page for it say.
    let which = which(&form, MESSAGES_MAX).or_else(|| {
        Some(Which::Fitting {
            filter: filter(&form)?,
            cursor: None,
            max: MESSAGES_MAX,
        })
    });
    let is_of_nobody = |which: &Which| matches!(which, Which::Fitting { filter, .. } if filter.neighbour.is_none());
    let Some(which) = which.filter(|which| !is_of_nobody(which)) else {
        return Ok(console.back(open, &form, Said::bad(t.export_no_neighbour)));
    };
    let mut response = match console.api.export(&open.actor, which, reason).await {
        Ok(response) => response,
        Err(problem) => {
            let said = fill(t.export_failed, &[&problem.detail()]);
            return Ok(console.back(open, &form, Said::bad(said)));
        }
    };
    let told = response.headers().get(TOLD_HEADER);
    let told: Told = told
        .and_then(|told| serde_json::from_slice(told.as_bytes()).ok())
        .unwrap_or_default();
    let mut lines = vec![fill(
        t.export_done,
        &[
            &count(told.messages),
            &count(told.attachments),
            &told.neighbour,
        ],
    )];
    if told.left_out > 0 {
        lines.push(fill(t.export_left_out, &[&count(told.left_out)]));
    }
    if told.more {
        lines.push(t.export_more.to_owned());
    }
    console.sessions.say(open, Said { good: true, lines });
    let come = form.text("come");
    if come.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let set = format!("{COME_COOKIE}={come}; Path=/console; Max-Age=60; SameSite=Strict");
        if let Ok(set) = HeaderValue::try_from(set) {
            response.headers_mut().append(header::SET_COOKIE, set);
        }
    }
    let name = format!("attachment; filename=\"{}.casegate\"", told.neighbour);
    if let Ok(name) = HeaderValue::try_from(name) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// `PUT /console/import`: as the call of the API, for whoever has signed in.
pub(super) async fn import<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    request: Request,
) -> Response {
    match visit.must_call(request.headers(), Role::Operator) {
        Ok(open) => console.api.import(&open.actor, request.into_body()).await,
        Err(Wrong::SignIn) => StatusCode::UNAUTHORIZED.into_response(),
        Err(_) => StatusCode::FORBIDDEN.into_response(),
    }
}
