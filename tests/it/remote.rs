//! The API's door to the network: TLS, and client certificates with a role.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use casegate::{
    config::{ApiCertificate, ApiTls, Settings},
    model::{Role, Sha256},
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::world::{Running, World, eventually, operator_token};

const HOST: &str = "gateway.hebi.example";
/// Far longer than any answer takes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// A certificate that somebody made for themselves, and its key.
struct Made {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Made {
    fn new() -> Self {
        Self::of(|_| ())
    }

    fn of(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::new([HOST.to_owned()]).expect("a name");
        change(&mut params);
        let der = params.self_signed(&key).expect("signs").der().clone();
        Self { der, key }
    }

    fn save(&self, certificate: &Path, key: &Path) {
        let pem = |label: &str, der: &[u8]| {
            let text = data_encoding::BASE64_MIME.encode(der);
            format!(
                "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
                text.trim_end()
            )
        };
        std::fs::write(certificate, pem("CERTIFICATE", &self.der)).expect("writes");
        std::fs::write(key, pem("PRIVATE KEY", self.key.serialized_der())).expect("writes");
    }

    fn of_role(&self, name: &str, role: Role) -> ApiCertificate {
        ApiCertificate {
            name: name.to_owned(),
            role,
            sha256: Sha256::of(&self.der),
        }
    }
}

/// Somebody elsewhere, who trusts the door's certificate and may have one of their own.
struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// What came back: the status, the headers and the body.
struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn problem(&self) -> (u16, String) {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        let slug = kind.rsplit(':').next().unwrap_or_default();
        (self.status, slug.to_owned())
    }

    fn cookie(&self, name: &str) -> String {
        let mut lines = self.head.lines();
        let start = format!("set-cookie: {name}=");
        let line = lines.find(|line| line.starts_with(&start));
        line.expect("the cookie is set")["set-cookie: ".len()..].to_owned()
    }
}

impl Client {
    fn new(address: SocketAddr, door: &Made, own: Option<&Made>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(door.der.clone()).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialized_der()).expect("a key");
                let chain = vec![own.der.clone()];
                let config = config.with_client_auth_cert(chain, key.clone_key());
                config.expect("they belong together")
            }
        };
        Self {
            address,
            config: Arc::new(config),
        }
    }

    async fn ask(&self, head: &str, body: &str) -> std::io::Result<Answered> {
        self.ask_at(HOST, head, body).await
    }

    /// One request on a connection of its own. `head` is the request's line and headers, without Host and lengths.
    async fn ask_at(&self, host: &str, head: &str, body: &str) -> std::io::Result<Answered> {
        let asked = async {
            let stream = TcpStream::connect(self.address).await?;
            let name = ServerName::try_from(HOST).expect("a name");
            let mut stream = TlsConnector::from(self.config.clone())
                .connect(name, stream)
                .await?;
            let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
            let mut request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
            for header in headers.lines() {
                request += &format!("{header}\r\n");
            }
            request += &format!("content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let answer = String::from_utf8(answer).expect("a text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            Ok(Answered {
                status: head[9..12].parse().expect("a status"),
                head: head.to_owned(),
                body: body.to_owned(),
            })
        };
        timeout(ANSWER_TIME_MAX, asked)
            .await
            .expect("an answer in time")
    }

    async fn problem(&self, head: &str, body: &str) -> (u16, String) {
        self.ask(head, body).await.expect("an answer").problem()
    }
}

/// An edge with a door to the network, and the certificate that it shows there.
fn with_door(world: &World, certificates: Vec<ApiCertificate>) -> (Settings, Made) {
    let mut settings = world.edge("hebi.tobacco", "hebi.hub", ([127, 0, 0, 1], 9).into());
    let door = Made::new();
    let [certificate, key] = ["api.pem", "api.key"].map(|name| world.path().join(name));
    door.save(&certificate, &key);
    settings.api.tls = Some(ApiTls {
        listen: ([127, 0, 0, 1], 0).into(),
        certificate,
        key,
        hosts: vec![HOST.to_owned()],
    });
    settings.api.certificates = certificates;
    (settings, door)
}

fn refused(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_tells_who_asks_and_its_role_what_they_may() {
    let world = World::new();
    let [li, wang, stranger] = [(); 3].map(|()| Made::new());
    let listed = vec![
        li.of_role("li.wei", Role::Operator),
        wang.of_role("wang.fang", Role::Viewer),
    ];
    let (mut settings, door) = with_door(&world, listed);
    let edge = Running::start(settings.clone()).await;
    let address = edge.node.tls_address().expect("a door");
    let root = operator_token(&settings);
    let message = edge
        .submit(edge.event("1", "hebi.police", "notice", json!({"amount": 7})))
        .await;
    let as_of = |own| Client::new(address, &door, own);
    let (nobody, li_asks, wang_asks, other) = (
        as_of(None),
        as_of(Some(&li)),
        as_of(Some(&wang)),
        as_of(Some(&stranger)),
    );

    // Nobody looks without showing who they are, although this machine's applications need nothing.
    assert_eq!(edge.get("/v1/status").await.0, 200);
    for asks in [&nobody, &other] {
        assert_eq!(
            asks.problem("GET /v1/status", "").await,
            refused(401, "unauthorized")
        );
        assert_eq!(
            asks.problem("GET /metrics", "").await,
            refused(401, "unauthorized")
        );
        assert_eq!(
            asks.ask("GET /healthz", "")
                .await
                .expect("an answer")
                .status,
            200
        );
    }
    let with_token = format!("GET /v1/status\nauthorization: Bearer {root}");
    assert_eq!(
        nobody.ask(&with_token, "").await.expect("an answer").status,
        200
    );

    let hold = format!("POST /v1/queue/{message}/hold\ncontent-type: application/json");
    assert_eq!(
        nobody.problem(&hold, "{}").await,
        refused(401, "unauthorized")
    );
    assert_eq!(
        wang_asks
            .ask("GET /v1/status", "")
            .await
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(wang_asks.problem(&hold, "{}").await, refused(403, "role"));
    let backup = "POST /v1/backup\ncontent-type: application/json";
    assert_eq!(li_asks.problem(backup, "{}").await, refused(403, "role"));
    let inbox = li_asks.problem("GET /v1/inbox", "").await;
    assert_eq!(inbox, refused(403, "not-application"));
    // A browser shows the certificate unasked: what a page of another origin has it send is refused all the same.
    let foreign = format!("{hold}\norigin: https://evil.example");
    assert_eq!(
        li_asks.problem(&foreign, "{}").await,
        refused(403, "foreign-origin")
    );
    let held = format!("{hold}\norigin: https://{HOST}");
    assert_eq!(
        li_asks.ask(&held, "{}").await.expect("an answer").status,
        200
    );
    let log = std::fs::read_to_string(settings.data_dir.join("audit.log")).expect("a log");
    let on_record = log.lines().any(|line| {
        line.contains("\"hold\"") && line.contains("li.wei") && line.contains(&message)
    });
    assert!(on_record, "{log}");
    // What was refused is there with the address that it came from.
    eventually("the refused calls are on record", async || {
        let log = std::fs::read_to_string(settings.data_dir.join("audit.log")).expect("a log");
        log.lines()
            .any(|line| line.contains("wang.fang") && line.contains("\"role from 127.0.0.1\""))
    })
    .await;

    // The node's address needs no entry; a name does.
    for (host, status) in [("10.1.0.8:8441", 200), ("evil.example", 403), (HOST, 200)] {
        let answer = li_asks.ask_at(host, "GET /v1/status", "").await;
        assert_eq!(answer.expect("an answer").status, status, "{host}");
    }

    // Who is taken out of the list is out, and a renewed certificate of the door is shown.
    settings.api.certificates.remove(0);
    let renewed = Made::new();
    let tls = settings.api.tls.as_ref().expect("a door");
    renewed.save(&tls.certificate, &tls.key);
    edge.node.reload(settings.clone()).await.expect("reloads");
    let li_asks = Client::new(address, &renewed, Some(&li));
    assert_eq!(
        li_asks.problem("GET /v1/status", "").await,
        refused(401, "unauthorized")
    );
    let wang_asks = Client::new(address, &renewed, Some(&wang));
    assert_eq!(
        wang_asks
            .ask("GET /v1/status", "")
            .await
            .expect("an answer")
            .status,
        200
    );

    // A key that is not the certificate's changes nothing.
    std::fs::write(&tls.key, "-----BEGIN nonsense").expect("writes");
    let error = edge
        .node
        .reload(settings.clone())
        .await
        .expect_err("no key");
    assert!(error.to_string().contains("api.key"), "{error}");
    assert_eq!(
        wang_asks
            .ask("GET /v1/status", "")
            .await
            .expect("an answer")
            .status,
        200
    );
    edge.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_or_shows_a_certificate_out_of_its_time_gets_nowhere() {
    let world = World::new();
    let late = Made::of(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = Made::of(|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let listed = vec![
        late.of_role("late", Role::Administrator),
        early.of_role("early", Role::Administrator),
    ];
    let (settings, door) = with_door(&world, listed);
    let edge = Running::start(settings).await;
    let address = edge.node.tls_address().expect("a door");
    for own in [&late, &early] {
        let asks = Client::new(address, &door, Some(own));
        let answer = asks.ask("GET /v1/status", "").await;
        assert!(answer.is_err(), "the handshake is refused");
    }
    // Plain HTTP, rubbish, and nothing at all.
    for sent in [
        &b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        &[0x16, 3, 1, 255, 255],
        b"",
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(sent).await.expect("writes");
        stream.shutdown().await.expect("ends");
        let mut answer = Vec::new();
        // It may be cut off without an answer.
        let _ = timeout(ANSWER_TIME_MAX, stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    }
    let nobody = Client::new(address, &door, None);
    assert_eq!(
        nobody
            .ask("GET /healthz", "")
            .await
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(edge.get("/v1/status").await.0, 200);
    edge.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_signs_in_whoever_shows_a_certificate_until_it_is_taken_out() {
    let world = World::new();
    let li = Made::new();
    let (mut settings, door) = with_door(&world, vec![li.of_role("li.wei", Role::Operator)]);
    let edge = Running::start(settings.clone()).await;
    let address = edge.node.tls_address().expect("a door");
    let asks = Client::new(address, &door, Some(&li));
    let page = asks.ask("GET /console/", "").await.expect("an answer");
    assert_eq!(page.status, 303, "{}", page.head);
    let page = asks
        .ask("GET /console/sign-in", "")
        .await
        .expect("an answer");
    assert!(page.body.contains("li.wei"), "it offers to sign li.wei in");
    let form = page.cookie("casegate_form");
    assert!(form.contains("; Secure"), "{form}");
    let token = form["casegate_form=".len()..][..64].to_owned();
    let sign_in = |cookie: &str| {
        format!(
            "POST /console/sign-in\ncontent-type: application/x-www-form-urlencoded\norigin: https://{HOST}\ncookie: {cookie}"
        )
    };
    let own = format!("form={token}&back=/console/");
    // A page of somebody else's has no such cookie.
    let without = asks.ask(&sign_in("a=b"), &own).await.expect("an answer");
    assert!(without.status >= 400, "{}", without.head);
    // Whoever shows no certificate is not signed in by an empty token.
    let nobody = Client::new(address, &door, None);
    let cookie = format!("casegate_form={token}");
    let turned_away = nobody
        .ask(&sign_in(&cookie), &own)
        .await
        .expect("an answer");
    assert_eq!(turned_away.status, 403);
    let signed = asks.ask(&sign_in(&cookie), &own).await.expect("an answer");
    assert_eq!(signed.status, 303, "{}", signed.head);
    let session = signed.cookie("casegate_session");
    assert!(
        session.contains("; Secure") && session.contains("; HttpOnly"),
        "{session}"
    );
    let session = session.split(';').next().unwrap_or_default().to_owned();
    let overview = format!("GET /console/\ncookie: {session}");
    let page = asks.ask(&overview, "").await.expect("an answer");
    assert!(
        page.status == 200 && page.body.contains("li.wei"),
        "{}",
        page.head
    );

    settings.api.certificates.clear();
    edge.node.reload(settings).await.expect("reloads");
    eventually("the session is over", async || {
        asks.ask(&overview, "").await.expect("an answer").status == 303
    })
    .await;
    edge.node.stop().await;
}
