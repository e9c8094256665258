//! Attempts that are never to become sessions.

use std::{net::IpAddr, sync::Arc, time::Duration};

use quinn::{ClientConfig, Endpoint, EndpointConfig};
use tokio::time::sleep;

use super::{
    net::{Line, Net},
    world::{Pki, dial_settings, in_time, listen_settings},
};
use crate::link::{Dialer, LinkKind, Listener, socket, tls::SERVER_NAME};

const ATTEMPTS: u8 = 200;

/// The clock is paused: what sleeps here lets the network go on. Of each, what comes first is that it is given up: everything before was lost.
#[tokio::test(start_paused = true)]
async fn attempts_that_begin_with_their_end_fill_no_memory_and_keep_nobody_out() {
    let net = Net::start(1);
    let mut pki = Pki::new();
    let hub_ip = IpAddr::from([10, 0, 0, 1]);
    let mut settings = listen_settings(pki.server("hub"));
    settings.address = (hub_ip, 4433).into();
    let address = settings.address;
    let client = pki.client("edge");
    let hub = Listener::bind(settings, pki.identify()).expect("a hub");
    let near = |n| IpAddr::from([10, 1, 0, n]);
    for n in 0..=ATTEMPTS {
        net.set_line(near(n), hub_ip, Line::sound(5, 1_000));
        net.set_line(hub_ip, near(n), Line::sound(5, 1_000));
    }

    for n in 0..ATTEMPTS {
        let socket = socket::dialling(Some(near(n)), None).expect("a socket");
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint =
            Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket, runtime);
        let endpoint = endpoint.expect("an endpoint");
        net.cut(near(n), hub_ip);
        let config = ClientConfig::new(client.clone());
        let attempt = endpoint
            .connect_with(config, address, SERVER_NAME)
            .expect("an attempt");
        sleep(Duration::from_millis(20)).await;
        net.mend(near(n), hub_ip);
        drop(attempt);
        sleep(Duration::from_millis(20)).await;
    }
    let left = hub.connections();
    assert!(
        (1..=100).contains(&left),
        "{left} connections are kept of {ATTEMPTS}"
    );

    let mut dial = dial_settings(address, "hub", LinkKind::Lan, &client);
    dial.bind = Some(near(ATTEMPTS));
    let dialler = Dialer::new(dial, pki.identify());
    let _session = in_time(dialler.dial()).await.expect("a session");
    in_time(hub.accept()).await.expect("a session");
}
