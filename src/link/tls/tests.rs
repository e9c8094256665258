//! Handshakes in memory: who is let in, and who is not and why.

use std::time::Instant;

use bytes::BytesMut;
use quinn_proto::{ConnectionIdGenerator as _, DatagramEvent, Endpoint};
use rustls::{
    ClientConnection, Connection, HandshakeKind, NamedGroup, ServerConnection, sign::CertifiedKey,
};

use rustls_pki_types::ServerName;

use super::*;
use crate::pki::lab::{DAY, Lab, name, now};

const HUB: &str = "hebi.hub";
/// Its last label is a number, which rustls allows in no host name.
const UNIT: &str = "hebi.410621.031";

fn client_of(identity: &Identity) -> ClientConfig {
    client(identity, &name(HUB), PROTOCOLS).expect("a client's configuration")
}

fn server_of(identity: &Identity) -> ServerConfig {
    server(identity, 16).expect("a server's configuration")
}

fn client_with(lab: &Lab, own: CertifiedKey) -> ClientConfig {
    let mut config = client_of(&lab.identity(UNIT));
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(own));
    config
}

fn server_with(lab: &Lab, own: CertifiedKey) -> ServerConfig {
    let mut config = server_of(&lab.identity(HUB));
    config.cert_resolver = Arc::new(SingleCertAndKey::from(own));
    config
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    ByClient(String),
    ByServer(String),
}

impl Refused {
    fn by_client(self) -> String {
        match self {
            Refused::ByClient(why) => why,
            Refused::ByServer(why) => panic!("the server refused: {why}"),
        }
    }

    fn by_server(self) -> String {
        match self {
            Refused::ByServer(why) => why,
            Refused::ByClient(why) => panic!("the client refused: {why}"),
        }
    }
}

/// A handshake in memory: the client, the server.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(Connection, Connection), Refused> {
    let host = ServerName::try_from(SERVER_NAME).expect("a server name");
    let client = ClientConnection::new(client.clone(), host).expect("a client");
    let server = ServerConnection::new(server.clone()).expect("a server");
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    loop {
        let asked =
            flow(&mut client, &mut server).map_err(|error| Refused::ByServer(error.to_string()))?;
        let answered =
            flow(&mut server, &mut client).map_err(|error| Refused::ByClient(error.to_string()))?;
        if asked + answered == 0 {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok((client, server));
        }
    }
}

fn flow(from: &mut Connection, to: &mut Connection) -> Result<usize, rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("memory takes a write");
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory gives a read");
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}

fn peer_seen_by(connection: &Connection, lab: &Lab) -> PeerCertificate {
    let certificates = connection.peer_certificates().expect("certificates");
    peer_certificate(&lab.roots(), certificates, now()).expect("a peer")
}

#[test]
fn a_unit_whose_name_ends_in_digits_and_its_hub_know_each_other() {
    let lab = Lab::new();
    let (unit, hub) = (lab.identity(UNIT), lab.identity(HUB));
    let (client, server) =
        shake(&Arc::new(client_of(&unit)), &Arc::new(server_of(&hub))).expect("a handshake");
    assert_eq!(peer_seen_by(&client, &lab).unit.as_str(), HUB);
    let seen = peer_seen_by(&server, &lab);
    assert_eq!(seen.unit.as_str(), UNIT);
    assert_eq!(seen.not_after, unit.tls_not_after());
    for connection in [&client, &server] {
        let group = connection.negotiated_key_exchange_group().expect("a group");
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        assert_eq!(connection.alpn_protocol(), Some(ALPN_1_1));
    }
}

#[test]
fn a_node_that_does_not_know_of_generations_is_met_on_the_older_protocol() {
    let lab = Lab::new();
    let (client, server) = (
        client_of(&lab.identity(UNIT)),
        server_of(&lab.identity(HUB)),
    );
    let mut old_client = client.clone();
    old_client.alpn_protocols = vec![ALPN.to_vec()];
    let mut old_server = server_of(&lab.identity(HUB));
    old_server.alpn_protocols = vec![ALPN.to_vec()];
    for (client, server) in [(old_client, server), (client, old_server)] {
        let ends = shake(&Arc::new(client), &Arc::new(server)).expect("a handshake");
        assert_eq!(ends.0.alpn_protocol(), Some(ALPN));
        assert_eq!(ends.1.alpn_protocol(), Some(ALPN));
    }
}

#[test]
fn the_configurations_serve_quic() {
    let lab = Lab::new();
    let identity = lab.identity(HUB);
    client_config(&identity, &name(HUB)).expect("a client for QUIC");
    server_config(&identity, SERVER_SESSIONS_MAX).expect("a server for QUIC");
}

#[test]
fn a_hub_that_is_not_the_expected_one_is_refused_by_name() {
    let lab = Lab::new();
    let (unit, other) = (lab.identity(UNIT), lab.identity("hebi.other"));
    let refused = shake(&Arc::new(client_of(&unit)), &Arc::new(server_of(&other)));
    let why = refused.map(drop).expect_err("a refusal").by_client();
    assert!(why.contains("that of hebi.other, not of hebi.hub"), "{why}");
}

#[test]
fn another_ca_is_refused_by_both_sides() {
    let (lab, foreign) = (Lab::new(), Lab::new());
    let own = |lab: &Lab, unit| lab.certified(unit, Role::Tls, |_| {});
    let hub = Arc::new(server_of(&lab.identity(HUB)));
    let stranger = Arc::new(client_with(&lab, own(&foreign, UNIT)));
    let why = shake(&stranger, &hub).map(drop).expect_err("a refusal");
    let why = why.by_server();
    assert!(why.contains("not issued by the CA in ca.pem"), "{why}");

    let unit = Arc::new(client_of(&lab.identity(UNIT)));
    let imposter = Arc::new(server_with(&lab, own(&foreign, HUB)));
    let why = shake(&unit, &imposter).map(drop).expect_err("a refusal");
    let why = why.by_client();
    assert!(why.contains("not issued by the CA in ca.pem"), "{why}");
}

#[test]
fn an_expired_certificate_is_refused_by_both_sides_with_its_date() {
    let lab = Lab::new();
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    let hub = Arc::new(server_of(&lab.identity(HUB)));
    let late = Arc::new(client_with(&lab, lab.certified(UNIT, Role::Tls, past)));
    let why = shake(&late, &hub).map(drop).expect_err("a refusal");
    let why = why.by_server();
    assert!(why.contains("expired at 2020-01-01T00:00:00Z"), "{why}");

    let unit = Arc::new(client_of(&lab.identity(UNIT)));
    let late = Arc::new(server_with(&lab, lab.certified(HUB, Role::Tls, past)));
    let why = shake(&unit, &late).map(drop).expect_err("a refusal");
    let why = why.by_client();
    assert!(why.contains("expired at 2020-01-01T00:00:00Z"), "{why}");
}

#[test]
fn a_signing_certificate_does_not_speak_tls_on_either_side() {
    let lab = Lab::new();
    let hub = Arc::new(server_of(&lab.identity(HUB)));
    let signer = lab.certified(UNIT, Role::Signing, |_| {});
    let refused = shake(&Arc::new(client_with(&lab, signer)), &hub);
    let why = refused.map(drop).expect_err("a refusal").by_server();
    assert!(why.contains("signing certificate where a tls"), "{why}");

    let unit = Arc::new(client_of(&lab.identity(UNIT)));
    let signer = lab.certified(HUB, Role::Signing, |_| {});
    let refused = shake(&unit, &Arc::new(server_with(&lab, signer)));
    let why = refused.map(drop).expect_err("a refusal").by_client();
    assert!(why.contains("signing certificate where a tls"), "{why}");
}

#[test]
fn a_client_without_a_unit_or_without_usages_is_refused() {
    let lab = Lab::new();
    let hub = Arc::new(server_of(&lab.identity(HUB)));
    let nameless = lab.certified(UNIT, Role::Tls, |params| params.subject_alt_names.clear());
    let refused = shake(&Arc::new(client_with(&lab, nameless)), &hub);
    let why = refused.map(drop).expect_err("a refusal").by_server();
    assert!(why.contains("names no unit"), "{why}");

    // webpki's own client_auth() lets a certificate without extended key usages pass.
    let plain = lab.certified(UNIT, Role::Tls, |params| params.extended_key_usages.clear());
    let refused = shake(&Arc::new(client_with(&lab, plain)), &hub);
    let why = refused.map(drop).expect_err("a refusal").by_server();
    assert!(why.contains("key usages of neither"), "{why}");
}

#[test]
fn a_client_whose_certificate_may_do_more_than_tls_is_refused() {
    use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
    let lab = Lab::new();
    let hub = Arc::new(server_of(&lab.identity(HUB)));
    let changes: [fn(&mut rcgen::CertificateParams); 4] = [
        |params| {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::Any)
        },
        |params| {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::CodeSigning)
        },
        |params| {
            let other = ExtendedKeyUsagePurpose::Other(vec![2, 25, 7]);
            params.extended_key_usages.push(other);
        },
        |params| params.key_usages.push(KeyUsagePurpose::ContentCommitment),
    ];
    for change in changes {
        let own = lab.certified(UNIT, Role::Tls, change);
        let refused = shake(&Arc::new(client_with(&lab, own)), &hub);
        let why = refused.map(drop).expect_err("a refusal").by_server();
        assert!(why.contains("key usages of neither"), "{why}");
    }
}

#[test]
fn a_client_that_shows_nothing_is_refused() {
    let lab = Lab::new();
    let mut client = client_of(&lab.identity(UNIT));
    client.client_auth_cert_resolver = ClientConfig::builder_with_provider(cryptography())
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
        .client_auth_cert_resolver;
    let refused = shake(&Arc::new(client), &Arc::new(server_of(&lab.identity(HUB))));
    refused.map(drop).expect_err("a refusal").by_server();
}

#[test]
fn a_resumed_session_is_judged_by_the_certificate_that_it_began_with() {
    let lab = Lab::new();
    let (unit, hub) = (lab.identity(UNIT), lab.identity(HUB));
    let (client, server) = (Arc::new(client_of(&unit)), Arc::new(server_of(&hub)));
    shake(&client, &server).expect("a first handshake");
    let (client_end, server_end) = shake(&client, &server).expect("a second handshake");
    for (end, peer) in [(&client_end, HUB), (&server_end, UNIT)] {
        assert_eq!(end.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(peer_seen_by(end, &lab).unit.as_str(), peer);
    }
    let certificates = server_end.peer_certificates().expect("certificates");
    let later = unit.tls_not_after() + 1;
    assert_eq!(
        peer_certificate(&lab.roots(), certificates, later),
        Err(CertificateFault::Expired {
            unit: name(UNIT),
            not_after: unit.tls_not_after()
        })
    );
    assert_eq!(
        peer_certificate(&Lab::new().roots(), certificates, now()),
        Err(CertificateFault::ForeignCa(name(UNIT)))
    );
    let renewed = Arc::new(server_of(&hub));
    let (_, server_end) = shake(&client, &renewed).expect("a third handshake");
    assert_eq!(server_end.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn what_is_no_list_of_certificates_is_no_peer() {
    let roots = Lab::new().roots();
    for nothing in [
        None,
        Some(Box::new(7) as Box<dyn Any>),
        Some(Box::new(Vec::<CertificateDer<'static>>::new())),
    ] {
        assert_eq!(
            peer_of(&roots, nothing, now()),
            Err(CertificateFault::Absent)
        );
    }
}

#[test]
fn a_restarted_node_resets_the_sessions_of_the_one_before_it() {
    let lab = Lab::new();
    let folder = lab.issue_at(HUB, now() - DAY);
    let identity = || Identity::load(&folder, &name(HUB), now()).expect("an identity");
    let ids: Vec<_> = (0..4)
        .map(|_| connection_ids(&identity()).generate_cid())
        .collect();
    let same = ids.iter().all(|id| resets(&identity(), id));
    assert!(same, "the same identity answers");
    // It takes one of 256 for its own.
    let other = lab.identity(UNIT);
    let mistaken = ids.iter().all(|id| resets(&other, id));
    assert!(!mistaken, "another one does not");
}

fn connection_ids(identity: &Identity) -> ConnectionIds {
    ConnectionIds::new(*connection_id_key(identity))
}

/// Whether a new endpoint answers a packet of a session that it does not know.
fn resets(identity: &Identity, id: &[u8]) -> bool {
    let config = Arc::new(endpoint_config(identity));
    let mut endpoint = Endpoint::new(config, None, false, None);
    let mut packet = BytesMut::zeroed(100);
    packet[0] = 0x40;
    packet[1..1 + id.len()].copy_from_slice(id);
    let peer = ([127, 0, 0, 1], 4433).into();
    let (now, mut out) = (Instant::now(), Vec::new());
    let answer = endpoint.handle(now, peer, None, None, packet, &mut out);
    matches!(answer, Some(DatagramEvent::Response(_)))
}
