//! The operators' console: pages at `/console/` that show what the API tells, and do what it does.
//!
//! A request passes the API's door first (hosts, origins, bounds). [`visit`] then says who it is from: language, theme, and the session that a
//! sign-in began ([`session`]). A page asks the node through [`Gateway`], puts what it is told into words ([`texts`], [`show`]) and renders a
//! template of `pages/`. In the browser htmx asks for a page anew when [`Gateway::listen`] says that something has happened, and takes over the parts
//! that have changed; without scripts the pages still show everything. All that a page consists of is in the program ([`assets`]).

mod act;
mod assets;
mod audit;
mod body;
mod case;
mod compose;
mod export;
mod form;
mod map;
mod message;
mod messages;
mod overview;
mod pause;
mod prefer;
mod queue;
mod session;
mod show;
mod sign_in;
mod stick;
mod texts;
mod turn;
mod units;
mod visit;
mod wrong;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post, put},
};

use crate::{
    api::{Beside, Gateway},
    model::Role,
};
use form::Form;
use session::{Open, Said};
use visit::{Guest, Visit};
use wrong::Wrong;

/// Nothing but what this node serves itself, and nothing that stands in a page: neither scripts nor styles (CSP level 3).
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// What every page works with.
struct Console<G> {
    api: Beside<G>,
    sessions: session::Sessions,
}

impl<G: Gateway> Console<G> {
    /// A form of somebody who may do what needs `role`, and who that is.
    async fn form<'v>(
        &self,
        visit: &'v Guest,
        body: Body,
        role: Role,
    ) -> Result<(Form, &'v Open), Wrong> {
        let form = Form::read(&self.api.read(body).await?);
        let open = visit.must_be(role, form.text("csrf"))?;
        Ok((form, open))
    }

    /// Leads back to where a form came from, and says there what was done.
    fn back(&self, open: &Open, form: &Form, said: Said) -> Response {
        self.sessions.say(open, said);
        Redirect::to(form::back(form.text("back"))).into_response()
    }
}

/// The console of a node, as a room beside its API.
pub fn mount<G: Gateway>(api: Beside<G>) -> Router {
    let console = Arc::new(Console {
        api,
        sessions: session::Sessions::default(),
    });
    Router::new()
        .route("/console", get(begin))
        .route("/console/", get(overview::page::<G>))
        .route("/console/messages", get(messages::page::<G>))
        .route("/console/messages.csv", get(export::messages::<G>))
        .route("/console/messages/{messageid}", get(message::page::<G>))
        .route("/console/messages/{messageid}/body", post(body::show::<G>))
        .route("/console/queue", get(queue::page::<G>))
        .route("/console/case", get(case::page::<G>))
        .route("/console/units", get(units::page::<G>))
        .route(
            "/console/compose",
            get(compose::page::<G>).post(compose::send::<G>),
        )
        .route("/console/compose/test", post(compose::test::<G>))
        .route("/console/stick", get(stick::page::<G>))
        .route("/console/export", post(stick::export::<G>))
        .route("/console/import", put(stick::import::<G>))
        .route("/console/audit", get(audit::page::<G>))
        .route("/console/act", post(act::act::<G>))
        .route("/console/pause", post(pause::pause::<G>))
        .route("/console/drain", post(pause::drain::<G>))
        .route(
            "/console/sign-in",
            get(sign_in::page::<G>).post(sign_in::sign_in::<G>),
        )
        .route("/console/sign-out", post(sign_in::sign_out::<G>))
        .route("/console/prefer", get(prefer::prefer))
        .route("/console/history", get(history::<G>))
        .route("/console/events", get(events::<G>))
        .route("/console/uploads", post(compose::begin_upload::<G>))
        .route(
            "/console/uploads/{upload}",
            put(compose::go_on_with_upload::<G>).get(compose::show_upload::<G>),
        )
        .route("/console/assets/{name}", get(assets::asset))
        .route("/console/{*rest}", get(wrong::no_such_page::<G>))
        .with_state(console)
        .layer(from_fn(protect))
}

async fn begin() -> Redirect {
    Redirect::permanent("/console/")
}

/// What happens, for pages that follow it.
async fn events<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    _: Visit,
    uri: Uri,
) -> Response {
    console.api.events(&uri).await
}

/// What the charts draw.
async fn history<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    _: Visit,
    uri: Uri,
) -> Response {
    console.api.history(&uri).await
}

/// Tells browsers how little a page may do.
async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    response.into_response()
}
