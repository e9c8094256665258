//! Connections: accepted up to a bound, served one request after another, ended in peace.

use std::{
    future::{Future, pending},
    io,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use super::{Beside, Door, Gateway, Settings, Tls, inbox::Unwritten, router, until_stopped};

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

/// Where the API listens.
#[derive(Debug)]
pub struct Doors {
    /// For this machine.
    pub loopback: TcpListener,
    /// For the network.
    pub network: Option<(TcpListener, Tls)>,
}

/// Serves the API, and the room that `beside` makes, at `doors` until `stop` is done; then accepts nothing more, ends long polls with what they have, lets
/// requests under way finish for 10 s, and returns.
pub async fn serve<G: Gateway>(
    doors: Doors,
    gateway: Arc<G>,
    settings: Settings,
    beside: impl FnOnce(Beside<G>) -> Router,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let slots = settings.limits.api_requests as usize * CONNECTIONS_PER_REQUEST;
    // Each door has as many, so that nobody from the network keeps this machine's applications out.
    let [for_loopback, for_network] =
        [(); 2].map(|()| Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))));
    let Doors { loopback, network } = doors;
    let router = router(gateway.clone(), settings, beside, stopped.clone());
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            let (accepted, tls) = tokio::select! {
                accepted = next(&loopback, &for_loopback) => (accepted, None),
                (accepted, tls) = async {
                    match &network {
                        Some((listener, tls)) => (next(listener, &for_network).await, Some(tls.clone())),
                        None => pending().await,
                    }
                } => (accepted, tls),
            };
            let (stream, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let (router, gateway, stopped) = (router.clone(), gateway.clone(), stopped.clone());
            connections.spawn(async move {
                prepare(&stream);
                match tls {
                    None => connection(stream, Door::Loopback, router, gateway, stopped).await,
                    Some(tls) => match tls.greet(stream).await {
                        Ok((stream, door)) => {
                            connection(stream, door, router, gateway, stopped).await
                        }
                        Err(error) => tracing::debug!(%error, "a TLS handshake of the API failed"),
                    },
                }
                drop(slot);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    drop((loopback, network));
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

/// The next connection, and its place: whoever connects beyond the bound waits in the kernel's backlog.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let slot = slots
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn connection<G: Gateway>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    door: Door,
    router: Router,
    gateway: Arc<G>,
    stopped: watch::Receiver<bool>,
) {
    let unwritten = Unwritten::default();
    let leases = unwritten.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        leases.put(Vec::new());
        request.extensions_mut().insert(leases.clone());
        request.extensions_mut().insert(door);
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
