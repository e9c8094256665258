//! Connections: accepted up to a bound, served one request after another, ended in peace.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use super::{Beside, Gateway, Settings, inbox::Unwritten, router, until_stopped};

/// How long a client may take over a request's head, and how long a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// Largest request head, and what is read or written at a time, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take none of what is written to it.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// How long requests under way have once the API stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections for each request that may be under way: applications keep some open that say nothing.
const CONNECTIONS_PER_REQUEST: usize = 2;
/// How long to wait when a connection cannot be accepted, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API, and the room that `beside` makes, on `listener` until `stop` is done; then accepts nothing more, ends long polls with what they have, lets
/// requests under way finish for 10 s, and returns.
pub async fn serve<G: Gateway>(
    listener: TcpListener,
    gateway: Arc<G>,
    settings: Settings,
    beside: impl FnOnce(Beside<G>) -> Router,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let slots = settings.limits.api_requests as usize * CONNECTIONS_PER_REQUEST;
    let slots = Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS)));
    let router = router(gateway.clone(), settings, beside, stopped.clone());
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            // Whoever connects beyond the bound waits in the kernel's backlog. The semaphore is never closed.
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let connection = connection(stream, router.clone(), gateway.clone(), stopped.clone());
            connections.spawn(async move {
                connection.await;
                drop(slot);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    drop(listener);
    // Nobody may listen any more, which is as well.
    let _ = stopping.send(true);
    let ended = timeout(STOP_TIME_MAX, async {
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::warn!(connections = connections.len(), "API connections cut off");
        connections.shutdown().await;
    }
}

async fn connection<G: Gateway>(
    stream: TcpStream,
    router: Router,
    gateway: Arc<G>,
    stopped: watch::Receiver<bool>,
) {
    prepare(&stream);
    let unwritten = Unwritten::default();
    let leases = unwritten.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        leases.put(Vec::new());
        request.extensions_mut().insert(leases.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = until_stopped(stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection broke");
        // A head that is wrong, late or missing says nothing of the answer before it.
        let answer_was_written = error.is_parse() || error.is_timeout();
        let leased = unwritten.take();
        if !answer_was_written
            && !leased.is_empty()
            && let Err(error) = gateway.inbox_release(leased).await
        {
            tracing::debug!(%error, "leases end by themselves");
        }
    }
}

fn prepare(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let set = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_user_timeout(Some(STALL_TIME_MAX)));
    if let Err(error) = set {
        tracing::debug!(%error, "an API connection goes without its socket options");
    }
}
