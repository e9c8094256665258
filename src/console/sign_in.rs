//! Signing in with a token or a certificate, and out.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Console,
    form::{self, Form},
    session::{same, secret},
    visit::{Frame, Guest, SESSION_COOKIE, cookie, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Actor, Gateway, Proof, RefusedCall},
    model::Role,
};

/// Ties the form to the browser that asked for it, before there is a session.
const FORM_COOKIE: &str = "casegate_form";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    f: Frame,
    back: String,
    form: String,
    /// Whether the token that was sent is nobody's.
    is_wrong: bool,
    is_closed: bool,
    /// Whose certificate the browser showed, if it is somebody's.
    holder: Option<Actor>,
}

/// `GET /console/sign-in?back=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    guest: Guest,
    headers: HeaderMap,
) -> Response {
    let back = form::back(guest.query.text("back")).to_owned();
    let shown = show(&console, &guest, &headers, back, false);
    answer(&guest, shown)
}

fn show<G: Gateway>(
    console: &Console<G>,
    guest: &Guest,
    headers: &HeaderMap,
    back: String,
    is_wrong: bool,
) -> Result<Response, Wrong> {
    let known = cookie(headers, FORM_COOKIE).filter(|form| form.len() == 64);
    let token = known
        .map(str::to_owned)
        .or_else(secret)
        .ok_or(Wrong::Broken)?;
    let set = guest.keeps(&format!("{FORM_COOKIE}={token}"), "");
    let shown = render(&Page {
        f: guest.frame("sign-in", guest.t().sign_in),
        back,
        form: token,
        is_wrong,
        is_closed: console.api.is_closed(guest.door),
        holder: console.api.holder(guest.door).map(|(actor, _)| actor),
    })?;
    Ok(with_cookie(shown, &set))
}

/// `POST /console/sign-in`.
pub(super) async fn sign_in<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    guest: Guest,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let made = begin(&console, &guest, &headers, body).await;
    answer(&guest, made)
}

async fn begin<G: Gateway>(
    console: &Console<G>,
    guest: &Guest,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Wrong> {
    let form = Form::read(&console.api.read(body).await?);
    let back = form::back(form.text("back")).to_owned();
    let given = cookie(headers, FORM_COOKIE).unwrap_or_default();
    if given.is_empty() || !same(given, form.text("form")) {
        return Err(Wrong::StaleForm);
    }
    let token = form.text("token").as_bytes();
    let known = match token {
        // Whoever shows a certificate writes no token.
        [] => console.api.holder(guest.door),
        token => {
            let actor = console.api.actor(token);
            actor.map(|actor| (actor, Proof::Token(blake3::hash(token))))
        }
    };
    let Some((actor, proof)) = known else {
        console.api.gateway().refused(RefusedCall {
            actor: "-".to_owned(),
            call: "POST /console/sign-in".to_owned(),
            from: guest.door.from(),
            problem: "not-operator",
        });
        let shown = show(console, guest, headers, back, true)?;
        return Ok((StatusCode::FORBIDDEN, shown).into_response());
    };
    tracing::info!(actor = %actor.name, role = %actor.role, "signed in at the console");
    // Whoever signs in again leaves the old session.
    if let Some(open) = &guest.session {
        console.sessions.end(open);
    }
    let name = console.sessions.begin(actor, proof);
    let name = name.ok_or(Wrong::Broken)?;
    let set = guest.keeps(&format!("{SESSION_COOKIE}={name}"), "");
    Ok(with_cookie(Redirect::to(&back).into_response(), &set))
}

/// `POST /console/sign-out`.
pub(super) async fn sign_out<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    guest: Guest,
    body: Body,
) -> Response {
    let made = end(&console, &guest, body).await;
    answer(&guest, made)
}

async fn end<G: Gateway>(
    console: &Console<G>,
    guest: &Guest,
    body: Body,
) -> Result<Response, Wrong> {
    let (_, open) = console.form(guest, body, Role::Viewer).await?;
    console.sessions.end(open);
    let set = guest.keeps(&format!("{SESSION_COOKIE}="), "; Max-Age=0");
    Ok(with_cookie(Redirect::to("/console/").into_response(), &set))
}

fn with_cookie(mut response: Response, set: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(set) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}
