//! Units that have connected and say nothing: sessions of `link`, with the hello of a node that has nothing to send.

use std::{
    io::Read as _,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use casegate::{
    delivery::hop::{Frame, Hello, PROTOCOL_VERSION},
    link::{Command, DialSettings, Dialer, Event, Identify, LinkKind, Peer, Running, tls},
    model::{Millis, Ranges, UnitId},
    pki::{self, Identity, Issue},
    wire::{self, FrameDecoder},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{sync::Semaphore, task::JoinSet};

use super::HUB;

/// Makes a process of this program the units.
pub(super) const ARGUMENT: &str = "--be-units";
/// Units that dial at a time.
const DIALLING: usize = 16;
/// Sockets that so many units need, and what a process has open besides.
const FILES_BESIDES: u64 = 200;

/// Issues identities to units.
pub(super) fn issue(folder: &Path, numbers: Range<u64>) {
    for number in numbers {
        let asked = Issue {
            dir: &folder.join("ca"),
            unit: &unit(number),
            out: &identity(folder, number),
            hosts: &[],
            csr: None,
            days: 30,
        };
        pki::issue(&asked, now()).expect("issued");
    }
}

/// Connects units to the hub and keeps them until the standard input ends.
pub(super) fn connect(folder: PathBuf, hub: SocketAddr, numbers: Range<u64>) {
    let files = Some(numbers.end - numbers.start + FILES_BESIDES);
    let files = Rlimit {
        current: files,
        maximum: files,
    };
    setrlimit(Resource::Nofile, files).expect("so many files");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.spawn(async move {
        let dialling = Arc::new(Semaphore::new(DIALLING));
        let mut units = JoinSet::new();
        for number in numbers {
            let turn = dialling
                .clone()
                .acquire_owned()
                .await
                .expect("never closed");
            let folder = folder.clone();
            units.spawn(async move {
                let running = dial(&folder, hub, number).await;
                drop(turn);
                be_idle(running, unit(number), number + 1).await;
            });
        }
        while let Some(unit) = units.join_next().await {
            unit.expect("no panic");
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn unit(number: u64) -> UnitId {
    format!("hebi.unit-{number}").parse().expect("a unit")
}

fn identity(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("unit-{number}"))
}

fn now() -> Millis {
    let since = UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_millis() as u64
}

async fn dial(folder: &Path, hub: SocketAddr, number: u64) -> Running {
    let identity = Identity::load(&identity(folder, number), &unit(number), now());
    let identity = identity.expect("an identity");
    let hub_unit: UnitId = HUB.parse().expect("a unit");
    let client = tls::client_config(&identity, &hub_unit).expect("TLS");
    let settings = DialSettings {
        wire: Arc::default(),
        hub: hub_unit,
        kind: LinkKind::Lan,
        address: hub.to_string(),
        bind: None,
        interface: None,
        tls: Arc::new(client),
        keys: tls::endpoint_config(&identity),
    };
    let roots = identity.roots().clone();
    let identify: Identify = Arc::new(move |chain| {
        let certificate = tls::peer_certificate(&roots, chain, now());
        let certificate = certificate.map_err(|fault| fault.to_string())?;
        Ok(Peer {
            unit: certificate.unit,
            not_after: certificate.not_after,
        })
    });
    let session = Dialer::new(settings, identify).dial().await;
    session.expect("a session").start()
}

/// Says hello until the hub knows this node's epoch and this node the hub's; then takes what comes.
async fn be_idle(mut running: Running, unit: UnitId, epoch: u64) {
    let hello = |peer_epoch| {
        let hello = Frame::Hello(Hello {
            version: PROTOCOL_VERSION,
            unit: unit.clone(),
            epoch,
            peer_epoch,
            received: Ranges::default(),
            marks: Vec::new(),
            base: 1,
            next: 1,
            wall: now(),
            link_kind: LinkKind::Lan.as_str().to_owned(),
            link_name: "lan".to_owned(),
        });
        Command::Control(wire::encode_frame(&hello).into())
    };
    running.commands.send(hello(0)).await.expect("a session");
    let mut hubs_epoch = 0;
    let mut frames = FrameDecoder::new();
    while let Some(event) = running.events.recv().await {
        match event {
            Event::Control(bytes) => {
                frames.push(&bytes);
                while let Some(frame) = frames.next().expect("frames") {
                    if let Frame::Hello(theirs) = frame
                        && theirs.epoch != hubs_epoch
                    {
                        hubs_epoch = theirs.epoch;
                        let answered = running.commands.send(hello(hubs_epoch)).await;
                        answered.expect("a session");
                    }
                }
            }
            Event::Closed(ended) => panic!("{unit}: {ended}"),
            Event::Batch(_)
            | Event::Room { .. }
            | Event::Carried { .. }
            | Event::Moved
            | Event::Path(_) => {}
        }
    }
}
