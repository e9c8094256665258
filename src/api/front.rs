//! What happens around every request: it is counted in, checked, answered whatever happens, and written to the log.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::{
    Door, RefusedCall,
    access::Caller,
    body,
    guard::{self, Guard, PROBES},
    problem::{Problem, Slug},
};
use crate::observe::Metrics;

/// Longest path that the log repeats, in characters.
const LOGGED_PATH_MAX: usize = 200;
/// What requests that no route takes are counted under.
const NO_ROUTE: &str = "none";

/// Problems of who asks, or from where: they are put on record.
const ON_RECORD: [&str; 7] = [
    "unauthorized",
    "not-operator",
    "role",
    "not-application",
    "bodies-not-shown",
    "foreign-host",
    "foreign-origin",
];

pub(super) struct Front {
    guard: Arc<Guard>,
    requests: Arc<Semaphore>,
    requests_max: u32,
    /// Random for each process, so that numbers of two runs are not mistaken for each other in one log.
    run: u32,
    number: AtomicU64,
    metrics: Arc<Metrics>,
    on_record: Box<dyn Fn(RefusedCall) + Send + Sync>,
}

impl Front {
    /// `on_record` is told of calls that were refused because of who made them.
    pub(super) fn new(
        guard: Arc<Guard>,
        requests_max: u32,
        metrics: Arc<Metrics>,
        on_record: Box<dyn Fn(RefusedCall) + Send + Sync>,
    ) -> Self {
        let mut run = [0; 4];
        // The number only has to differ from the last run's; 0 does when the random source fails.
        let _ = aws_lc_rs::rand::fill(&mut run);
        Self {
            guard,
            requests: Arc::new(Semaphore::new(requests_max as usize)),
            requests_max,
            run: u32::from_be_bytes(run),
            number: AtomicU64::new(1),
            metrics,
            on_record,
        }
    }

    /// Tells of a call that was refused because of who made it.
    fn put_on_record(
        &self,
        response: &Response,
        (caller, door): (&Caller, Door),
        method: &Method,
        path: &str,
    ) {
        let slug = response.extensions().get::<Slug>();
        if let Some(Slug(problem)) = slug
            && ON_RECORD.contains(problem)
        {
            let method: String = method.as_str().chars().take(20).collect();
            (self.on_record)(RefusedCall {
                actor: caller.name().to_owned(),
                call: format!("{method} {path}"),
                from: door.from(),
                problem,
            });
        }
    }

    fn name_request(&self) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number:x}", self.run)
    }
}

/// Takes a request from its first byte to its answer.
pub(super) async fn pass(
    State(front): State<Arc<Front>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let name = front.name_request();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(LOGGED_PATH_MAX).collect();

    let door = guard::door(request.extensions());
    let caller = front.guard.access.caller(request.headers(), door);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (parts, whole) = request.into_parts();
    let (readable, rest) = body::tap(whole);
    let answered = answer(&front, Request::from_parts(parts, readable), next);
    let mut response = match AssertUnwindSafe(answered).catch_unwind().await {
        Ok(response) => response,
        Err(_) => internal(&name).into_response(),
    };
    let drained = rest.drain().await;

    let headers = response.headers_mut();
    // Only what never changes under its name is kept by anybody.
    let may_be_kept = headers
        .get(header::CACHE_CONTROL)
        .is_some_and(|value| value.as_bytes().ends_with(b"immutable"));
    if !may_be_kept {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert("x-request-id", name);
    }
    if !drained {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let status = response.status().as_u16();
    front.metrics.api_request(route, status, started.elapsed());
    front.put_on_record(&response, (&caller, door), &method, &path);
    log(&response, &name, method.as_str(), &path, started);
    response
}

async fn answer(front: &Front, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match front.guard.admit(&parts) {
        Ok(caller) => drop(parts.extensions.insert(caller)),
        Err(problem) => return problem.into_response(),
    }
    let is_probe = PROBES.contains(&parts.uri.path());
    let request = Request::from_parts(parts, body);
    if is_probe {
        return next.run(request).await;
    }
    match front.requests.try_acquire() {
        Ok(_counted) => next.run(request).await,
        Err(_) => body::busy("too many requests are under way")
            .bounded("api-requests", front.requests_max.into())
            .into_response(),
    }
}

fn internal(request: &str) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "a part of the node has broken down",
        format!("the node's log says more under request {request}"),
    )
}

/// One line a request. Neither the query nor a body is told: they hold what cases are about.
fn log(response: &Response, request: &str, method: &str, path: &str, started: Instant) {
    let status = response.status();
    let ms = started.elapsed().as_millis() as u64;
    let problem = response.extensions().get::<Slug>().map(|slug| slug.0);
    let (status, is_error) = (status.as_u16(), status.is_server_error());
    match problem {
        None => tracing::debug!(request, method, path, status, ms, "answered"),
        // Whoever waits for a node that starts asks often.
        Some(problem) if PROBES.contains(&path) => {
            tracing::debug!(request, method, path, status, ms, problem, "not answered");
        }
        Some(problem) if is_error => {
            tracing::warn!(request, method, path, status, ms, problem, "not answered");
        }
        Some(problem) => tracing::info!(request, method, path, status, ms, problem, "refused"),
    }
}
