//! Where sessions come from: the links that this node dials, and the units that dial it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    awake::KeepAwake,
    live::Live,
    no_session, random,
    session::{Carrier, carry},
    shared::Shared,
    usage::LinkUse,
};
use crate::{
    config::{self, Local},
    link::{
        Backoff, DialError, DialSettings, Dialer, LinkKind, ListenSettings, Listener, Session,
        WireCount, tls,
    },
    model::UnitId,
    wire::Compression,
};

/// A session that lasted at least so long was of use.
const OF_USE: Duration = Duration::from_secs(1);
/// Handshakes under way at a hub.
const HANDSHAKES_MAX: usize = 64;
/// How long one handshake may take at a hub: a 3G link's worst.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Keeps a session over one link to `hub`, until `leave` becomes true.
pub(super) async fn keep_dialling(
    shared: Arc<Shared>,
    hub: UnitId,
    link: config::Link,
    mut leave: watch::Receiver<bool>,
) {
    let kind = link_kind(link.kind);
    let LinkUse {
        wire,
        terms,
        patience,
    } = shared.usage.link(&link, shared.clock.wall());
    let carrier = Carrier {
        name: Some(link.name.clone()),
        kind,
        compression: compression(link.compression),
        keep_awake: kind.is_paid_by_the_byte().then(|| {
            let is_one_of_several = is_one_of_several(&shared.live(), &link);
            KeepAwake::new(patience, is_one_of_several)
        }),
        terms: Some(terms),
    };
    let mut backoff = Backoff::new();
    let mut dialler = None;
    // A link that is out for days fills no log.
    let mut failed_before = false;
    shared
        .board
        .link(&hub, &link.name, kind, shared.clock.wall());
    while !*leave.borrow() {
        let due = shared.clock.instant(backoff.due());
        tokio::select! {
            _ = leave.wait_for(|leave| *leave) => break,
            () = sleep_until(due) => {}
            () = shared.alive.notified() => {
                backoff.wake(shared.clock.mono());
                continue;
            }
        }
        let dialled = tokio::select! {
            _ = leave.wait_for(|leave| *leave) => break,
            dialled = dial(&mut dialler, &shared, &hub, &link, &wire) => dialled,
        };
        let began = Instant::now();
        let (why, of_use) = match dialled {
            Ok(session) => {
                failed_before = false;
                let carried = carry(&shared, session, carrier.clone(), &mut leave).await;
                (
                    no_session::ended(&carried.ended),
                    carried.met && began.elapsed() >= OF_USE,
                )
            }
            Err(error) => {
                if failed_before {
                    tracing::debug!(unit = %hub, link = link.name, %error, "still no session");
                } else {
                    tracing::warn!(unit = %hub, link = link.name, %error, "no session; dialling goes on");
                }
                failed_before = true;
                (no_session::not_dialled(&error), false)
            }
        };
        if *leave.borrow() {
            // Another task may have the link by now.
            break;
        }
        shared
            .board
            .link_down(&hub, &link.name, why, shared.clock.wall());
        match of_use {
            true => backoff.succeeded(),
            false => backoff.failed(shared.clock.mono(), random()),
        }
    }
    shared.board.forget_link(&hub, &link.name);
}

async fn dial(
    dialler: &mut Option<Dialer>,
    shared: &Arc<Shared>,
    hub: &UnitId,
    link: &config::Link,
    wire: &Arc<WireCount>,
) -> Result<Session, DialError> {
    let live = shared.live();
    let Some(tls) = live.client_tls.clone() else {
        unreachable!("a node with links to dial has TLS for it");
    };
    let (bind, interface) = match &link.local {
        Local::Any => (None, None),
        Local::Interface(name) => (None, Some(name.clone())),
        Local::Address(address) => (Some(*address), None),
    };
    let settings = DialSettings {
        hub: hub.clone(),
        kind: link_kind(link.kind),
        address: link.address.to_string(),
        bind,
        interface,
        wire: wire.clone(),
        tls,
        keys: tls::endpoint_config(&live.identity),
    };
    drop(live);
    match dialler {
        Some(dialler) => {
            dialler.set(settings);
            dialler.dial().await
        }
        None => {
            let new = Dialer::new(settings, shared.identify());
            dialler.insert(new).dial().await
        }
    }
}

/// Starts to listen, if the node is a hub.
pub(super) fn listen(shared: &Arc<Shared>) -> std::io::Result<Option<Arc<Listener>>> {
    let live = shared.live();
    let (Some(listen), Some(tls)) = (&live.settings.listen, &live.server_tls) else {
        return Ok(None);
    };
    let settings = ListenSettings {
        address: listen.address,
        tls: tls.clone(),
        keys: tls::endpoint_config(&live.identity),
        connections: live.settings.limits.connections as usize,
        connections_per_unit: live.settings.limits.connections_per_unit as usize,
        handshakes: HANDSHAKES_MAX,
        handshake_timeout: HANDSHAKE_TIMEOUT,
    };
    Listener::bind(settings, shared.identify()).map(|listener| Some(Arc::new(listener)))
}

/// Carries the sessions of units that dial in, until `leave` becomes true and all of them have ended.
pub(super) async fn keep_accepting(
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    mut leave: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    let left = leave.clone();
    loop {
        tokio::select! {
            _ = leave.wait_for(|leave| *leave) => break,
            accepted = listener.accept() => {
                let Some(session) = accepted else { break };
                let shared = shared.clone();
                let mut left = left.clone();
                sessions.spawn(async move {
                    let carrier = Carrier {
                        name: None,
                        kind: session.kind(),
                        compression: Compression::Isolated,
                        keep_awake: None,
                        terms: None,
                    };
                    carry(&shared, session, carrier, &mut left).await;
                });
            }
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session's task broke down");
                }
            }
        }
    }
    while sessions.join_next().await.is_some() {}
}

/// Whether a link is paid for and there are others to the same hub.
fn is_one_of_several(live: &Live, link: &config::Link) -> bool {
    let links = live
        .settings
        .upstream
        .as_ref()
        .map_or(0, |up| up.links.len());
    links > 1 && link.cost_s > 0
}

fn link_kind(kind: config::LinkKind) -> LinkKind {
    match kind {
        config::LinkKind::Exclusive => LinkKind::Exclusive,
        config::LinkKind::ThreeG => LinkKind::Mobile,
        config::LinkKind::Lan => LinkKind::Lan,
    }
}

fn compression(compression: config::Compression) -> Compression {
    match compression {
        config::Compression::Isolated => Compression::Isolated,
        config::Compression::Shared => Compression::Shared,
        config::Compression::Off => Compression::Off,
    }
}
