//! What is shown instead of a page.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Console, form,
    visit::{Frame, Guest, Visit, page},
};
use crate::{
    api::{Cause, Gateway, Problem, Refusal},
    model::Role,
};

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The node does not do it.
    Refused(Refusal),
    /// What a call of the API says instead of an answer.
    Problem(Problem),
    /// There is no such thing.
    Unknown(&'static str),
    /// It needs somebody who has signed in.
    SignIn,
    /// It needs another role.
    NotAllowed(Role),
    /// The form is not one that this node gave in this session.
    StaleForm,
    /// A part of the console has broken down.
    Broken,
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

#[derive(Template)]
#[template(path = "wrong.html")]
struct Page {
    f: Frame,
    title: &'static str,
    /// What the node says of it, which is English.
    detail: String,
}

/// The page, or what is shown instead.
pub(super) fn answer(guest: &Guest, made: Result<Response, Wrong>) -> Response {
    let t = guest.t();
    let wrong = match made {
        Ok(response) => return response,
        Err(Wrong::SignIn) => {
            let back = form::back(&guest.here);
            let to = form::address("/console/sign-in", &[("back", back)]);
            return Redirect::to(&to).into_response();
        }
        Err(wrong) => wrong,
    };
    let (status, title, detail) = match wrong {
        Wrong::Refused(refusal) => {
            let detail = refusal.detail.clone();
            let title = t.cause(refusal.cause);
            (Problem::from(refusal).status(), title, detail)
        }
        Wrong::Problem(problem) => {
            let detail = problem.detail().to_owned();
            (problem.status(), t.problem(problem.slug()), detail)
        }
        Wrong::Unknown(what) => (StatusCode::NOT_FOUND, what, String::new()),
        Wrong::NotAllowed(role) => (
            StatusCode::FORBIDDEN,
            t.wrong_not_allowed,
            t.role(role).to_owned(),
        ),
        Wrong::StaleForm => (StatusCode::FORBIDDEN, t.wrong_stale_form, String::new()),
        Wrong::SignIn | Wrong::Broken => (
            StatusCode::INTERNAL_SERVER_ERROR,
            t.cause(Cause::Internal),
            String::new(),
        ),
    };
    let shown = page(&Page {
        f: guest.frame("", title),
        title,
        detail,
    });
    match shown {
        Ok(response) => (status, response).into_response(),
        Err(_) => status.into_response(),
    }
}

/// A path that is no page.
pub(super) async fn no_such_page<G: Gateway>(
    State(_): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    answer(&visit, Err(Wrong::Unknown(visit.t().wrong_no_page)))
}
