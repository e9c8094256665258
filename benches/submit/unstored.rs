//! The same route without a node behind it: what is submitted is read, judged, signed and answered, and goes nowhere.

use std::{
    future::pending,
    hint::black_box,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use futures_util::{Stream, stream};

use casegate::{
    api::{
        self, Action, Cause, Gateway, Handed, Heard, History, InboxAsk, LinkView, MessagePage,
        MessageView, QueueAsk, QueuePage, Refusal, Settled, Span, Status, UnitView,
    },
    blob::Blobs,
    cloudevents::{Intake, Submission},
    index::Search,
    language::Language,
    model::{BlobDigest, Fingerprint, Kinds, Lane, Limits, MessageId, UnitId},
    observe::{AuditAsk, AuditPage, Metrics},
    parcel::Signer,
};

use super::{UNIT, now};

/// Makes a process of this program the server; then [`SIGNED`] or not.
pub(super) const ARGUMENT: &str = "--answer-without-storing";
pub(super) const SIGNED: &str = "signed";

/// The server in a process of its own.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    pub(super) fn start(is_signed: bool) -> Self {
        let how = if is_signed { SIGNED } else { "unsigned" };
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args([ARGUMENT, how])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        let told = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
        told.expect("it tells its address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub(super) async fn serve(is_signed: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let operator = api::Token::read_or_create(&folder.path().join("token")).expect("a token");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let gateway = Arc::new(Unstored {
        unit: UNIT.parse().expect("a unit"),
        kinds: Kinds::default(),
        limits: Limits::default(),
        signer: is_signed.then(signer),
    });
    let settings = api::Settings {
        limits: Limits::default(),
        hosts: Vec::new(),
        access: api::Access::new(operator),
        metrics: Arc::new(Metrics::new(1)),
    };
    let doors = api::Doors {
        loopback: listener,
        network: None,
    };
    api::serve(doors, gateway, settings, |_| axum::Router::new(), pending()).await;
}

struct Unstored {
    unit: UnitId,
    kinds: Kinds,
    limits: Limits,
    signer: Option<Signer>,
}

fn signer() -> Signer {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Signer::from_pkcs8(key.as_ref(), Fingerprint([0; 16])).expect("a signer")
}

fn nothing<T>() -> Result<T, Refusal> {
    let detail = "nothing is behind this API";
    Err(Refusal::new(Cause::Internal, detail))
}

impl Gateway for Unstored {
    fn intake(&self) -> Intake<'_> {
        Intake {
            unit: &self.unit,
            kinds: &self.kinds,
            limits: &self.limits,
            signer: Fingerprint([0; 16]),
            accepted: now(),
        }
    }

    async fn submit(&self, messages: Vec<Submission>) -> Result<(), Refusal> {
        for message in messages {
            let sealed = self.signer.as_ref();
            black_box(sealed.map(|signer| signer.seal(&message.header, &message.body)));
        }
        Ok(())
    }

    async fn message(&self, _message: MessageId) -> Result<Option<MessageView>, Refusal> {
        nothing()
    }

    async fn search(&self, _search: Search) -> Result<MessagePage, Refusal> {
        nothing()
    }

    async fn inbox(&self, _ask: InboxAsk) -> Result<Vec<Handed>, Refusal> {
        nothing()
    }

    async fn inbox_ack(&self, _messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        nothing()
    }

    async fn inbox_release(&self, _messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        nothing()
    }

    async fn queue(&self, _ask: QueueAsk) -> Result<QueuePage, Refusal> {
        nothing()
    }

    async fn body(
        &self,
        _actor: &api::Actor,
        _message: MessageId,
    ) -> Result<Option<Handed>, Refusal> {
        nothing()
    }

    async fn act(
        &self,
        _actor: &api::Actor,
        _message: MessageId,
        _action: Action,
    ) -> Result<(), Refusal> {
        nothing()
    }

    async fn act_on(
        &self,
        _actor: &api::Actor,
        _which: api::Which,
        _action: Action,
        _reason: &str,
    ) -> Result<api::Acted, Refusal> {
        nothing()
    }

    async fn export(
        &self,
        _: &casegate::api::Actor,
        _: casegate::api::Which,
        _: Option<casegate::model::UnitId>,
        _: &str,
    ) -> Result<casegate::api::Exported, Refusal> {
        nothing()
    }

    async fn open_stick(
        &self,
        _: casegate::wire::StickHead,
    ) -> Result<casegate::wire::Manifest, Refusal> {
        nothing()
    }

    async fn import(
        &self,
        _: &casegate::api::Actor,
        _: casegate::wire::Manifest,
        _: Vec<axum::body::Bytes>,
    ) -> Result<casegate::api::Imported, Refusal> {
        nothing()
    }

    async fn set_paused(
        &self,
        _actor: &api::Actor,
        _neighbour: UnitId,
        _lane: Option<Lane>,
        _paused: bool,
        _reason: &str,
    ) -> Result<Vec<Lane>, Refusal> {
        nothing()
    }

    async fn set_drained(
        &self,
        _actor: &api::Actor,
        _drained: bool,
        _reason: &str,
    ) -> Result<api::Drained, Refusal> {
        nothing()
    }

    async fn audit(&self, _ask: AuditAsk) -> Result<AuditPage, Refusal> {
        nothing()
    }

    async fn audit_export(&self, _actor: &api::Actor) -> Result<(std::fs::File, u64), Refusal> {
        nothing()
    }

    fn refused(&self, _call: api::RefusedCall) {}

    async fn backup(&self, _actor: &api::Actor) -> Result<std::path::PathBuf, Refusal> {
        Err(Refusal::new(Cause::Internal, "no node"))
    }

    async fn links(&self, _: Language) -> Result<Vec<LinkView>, Refusal> {
        nothing()
    }

    async fn units(&self) -> Result<Vec<UnitView>, Refusal> {
        nothing()
    }

    fn history(&self, span: Span) -> History {
        History::new(span, 1, 0, 0)
    }

    async fn status(&self, _: Language) -> Result<Status, Refusal> {
        nothing()
    }

    fn listen(&self) -> impl Stream<Item = Heard> + Send + 'static {
        stream::pending()
    }

    fn blobs(&self) -> Result<Blobs, Refusal> {
        nothing()
    }

    async fn make_room(&self, _size: u64) {}

    async fn attached(&self, _digest: BlobDigest, _size: u64) -> Result<(), Refusal> {
        nothing()
    }

    async fn attachment_damaged(&self, _digest: BlobDigest) {}

    async fn metrics(&self) -> String {
        String::new()
    }

    fn ready(&self) -> Result<(), Refusal> {
        nothing()
    }
}
