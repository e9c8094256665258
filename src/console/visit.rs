//! One request of a browser: in which language, and of whom.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Console,
    assets::{self, Assets},
    form::{self, Form},
    prefer::{LANGUAGE_COOKIE, THEME_COOKIE, THEMES},
    session::{Open, Said, same},
    show,
    texts::{Language, Texts},
    wrong::Wrong,
};
use crate::{
    api::{Actor, Door, Gateway},
    model::Role,
};

/// The cookie with a session's name.
pub(super) const SESSION_COOKIE: &str = "casegate_session";

/// Somebody who may look.
#[derive(Debug)]
pub(super) struct Visit(pub(super) Guest);

impl std::ops::Deref for Visit {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.0
    }
}

/// Somebody, who may have to sign in first.
#[derive(Debug)]
pub(super) struct Guest {
    /// The language that is spoken.
    pub(super) language: Language,
    theme: &'static str,
    /// The address of this page.
    pub(super) here: String,
    /// The parameters in it.
    pub(super) query: Form,
    /// By which door the request came.
    pub(super) door: Door,
    /// Who has signed in.
    pub(super) session: Option<Open>,
    said: Option<Said>,
    unit: String,
    is_ready: bool,
}

impl<G: Gateway> FromRequestParts<Arc<Console<G>>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console<G>>,
    ) -> Result<Self, Response> {
        let Ok(guest) = Guest::from_request_parts(parts, console).await;
        if guest.session.is_some() || !console.api.is_closed(guest.door) {
            return Ok(Self(guest));
        }
        if parts.headers.contains_key("hx-request") || parts.headers.contains_key("x-csrf") {
            // htmx then loads the page anew, which leads to the sign-in.
            return Err((StatusCode::UNAUTHORIZED, [("hx-refresh", "true")]).into_response());
        }
        let to = form::address("/console/sign-in", &[("back", &guest.here)]);
        Err(Redirect::to(&to).into_response())
    }
}

impl<G: Gateway> FromRequestParts<Arc<Console<G>>> for Guest {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console<G>>,
    ) -> Result<Self, Self::Rejection> {
        let headers = &parts.headers;
        let session = cookie(headers, SESSION_COOKIE)
            .and_then(|name| console.sessions.open(name))
            .filter(|open| console.api.is_still(&open.actor, &open.proof));
        // What a page asks for behind somebody's back shows nothing of this.
        let shows_page = !headers.contains_key("hx-request")
            && headers
                .get(header::ACCEPT)
                .is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
        let said = session.as_ref().filter(|_| shows_page);
        let theme = cookie(headers, THEME_COOKIE);
        Ok(Self {
            language: cookie(headers, LANGUAGE_COOKIE)
                .and_then(Language::named)
                .unwrap_or_else(|| {
                    let accepted = headers.get_all(header::ACCEPT_LANGUAGE).iter();
                    Language::accepted(accepted.filter_map(|value| value.to_str().ok()))
                }),
            theme: THEMES
                .into_iter()
                .find(|known| Some(*known) == theme)
                .unwrap_or(THEMES[0]),
            here: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            query: Form::of_query(parts.uri.query()),
            said: said.and_then(|open| console.sessions.said(open)),
            session,
            door: parts.extensions.get().copied().unwrap_or_default(),
            unit: console.api.gateway().intake().unit.to_string(),
            is_ready: console.api.gateway().ready().is_ok(),
        })
    }
}

impl Guest {
    /// The texts of the language.
    pub(super) fn t(&self) -> &'static Texts {
        self.language.texts()
    }

    /// Whether the visitor may act on messages.
    pub(super) fn may_act(&self) -> bool {
        self.has(Role::Operator)
    }

    /// Whether the visitor has signed in and has at least this role.
    pub(super) fn has(&self, role: Role) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|open| open.actor.role >= role)
    }

    /// Who has signed in, if they may do what needs `role` and the form is one that this node gave them.
    pub(super) fn must_be(&self, role: Role, csrf: &str) -> Result<&Open, Wrong> {
        let Some(open) = &self.session else {
            return Err(Wrong::SignIn);
        };
        if !same(&open.csrf, csrf) {
            return Err(Wrong::StaleForm);
        }
        if open.actor.role < role {
            return Err(Wrong::NotAllowed(role));
        }
        Ok(open)
    }

    /// The same for a call that a script makes.
    pub(super) fn must_call(&self, headers: &HeaderMap, role: Role) -> Result<&Open, Wrong> {
        let csrf = headers.get("x-csrf");
        let csrf = csrf.and_then(|csrf| csrf.to_str().ok()).unwrap_or_default();
        self.must_be(role, csrf)
    }

    /// A cookie that this browser shows to this node alone, at the door where it was set.
    pub(super) fn keeps(&self, cookie: &str, rest: &str) -> String {
        let secure = if self.door.is_network() {
            "; Secure"
        } else {
            ""
        };
        format!("{cookie}; Path=/console; SameSite=Strict; HttpOnly{secure}{rest}")
    }

    /// What stands around every page.
    pub(super) fn frame(&self, at: &'static str, title: &str) -> Frame {
        let open = self.session.as_ref();
        Frame {
            t: self.t(),
            language: self.language,
            theme: self.theme,
            at,
            title: title.to_owned(),
            here: self.here.clone(),
            unit: self.unit.clone(),
            is_ready: self.is_ready,
            actor: open.map(|open| open.actor.clone()),
            may_act: self.may_act(),
            may_manage: self.has(Role::Administrator),
            csrf: open.map_or_else(String::new, |open| open.csrf.clone()),
            said: self.said.clone(),
            zone: show::zone(),
            assets: assets::all(),
        }
    }
}

/// What stands around every page: names, navigation, and who is there.
pub(super) struct Frame {
    pub(super) t: &'static Texts,
    pub(super) language: Language,
    pub(super) theme: &'static str,
    /// Which entry of the navigation it belongs to.
    pub(super) at: &'static str,
    pub(super) title: String,
    pub(super) here: String,
    pub(super) unit: String,
    pub(super) is_ready: bool,
    pub(super) actor: Option<Actor>,
    pub(super) may_act: bool,
    /// Whether the visitor may also drain the node, and export what messages say.
    pub(super) may_manage: bool,
    pub(super) csrf: String,
    pub(super) said: Option<Said>,
    /// The zone of every time that is shown.
    pub(super) zone: String,
    pub(super) assets: &'static Assets,
}

impl Frame {
    /// Where a choice of language or theme is made.
    pub(super) fn prefer(&self, name: &str, value: &str) -> String {
        form::address("/console/prefer", &[(name, value), ("back", &self.here)])
    }

    /// Where one signs in to come back here.
    pub(super) fn sign_in(&self) -> String {
        form::address("/console/sign-in", &[("back", &self.here)])
    }

    /// What the actor may do, in words.
    pub(super) fn role(&self) -> &'static str {
        self.actor
            .as_ref()
            .map_or("", |actor| self.t.role(actor.role))
    }
}

/// Renders a page.
pub(super) fn page(template: &impl Template) -> Result<Response, Wrong> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page of the console cannot be rendered");
        Wrong::Broken
    })?;
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    Ok(([kind], text).into_response())
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all.filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}
