//! Tests of the whole API before a node that is made up: by call, and over real sockets.

mod attachments;
mod calls;
mod events;
mod operators;
mod sockets;
mod uploads;
mod words;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value as Json, json};
use tokio::{sync::Notify, time::timeout};
use tower::ServiceExt as _;

use super::*;
use crate::{
    blob::{Blobs, Bounds},
    cloudevents::{Intake, Submission},
    index::Search,
    language::Language,
    model::{
        BlobDigest, Fingerprint, Kinds, Lane, MessageId, Millis, Role, State as MessageState,
        UnitId,
    },
    observe::{AuditAsk, AuditPage},
    wire::{Manifest, StickHead},
};

const NOW: Millis = 1_772_000_000_000; // 2026-02-25T06:13:20Z
const DEADLINE: Duration = Duration::from_secs(20);

/// A node that keeps what it is told and says what it is told to say.
struct Fake {
    unit: UnitId,
    kinds: Kinds,
    limits: Limits,
    told: Mutex<Told>,
    blobs: Blobs,
    folder: tempfile::TempDir,
    /// Pulls of the inbox that wait, and those that were dropped while they did.
    waiting: AtomicUsize,
    dropped: AtomicUsize,
    changed: Notify,
}

#[derive(Default)]
struct Told {
    submitted: Vec<Submission>,
    inbox: Vec<Handed>,
    asked: Option<InboxAsk>,
    acked: Vec<MessageId>,
    released: Vec<MessageId>,
    actions: Vec<(MessageId, Action)>,
    actors: Vec<Actor>,
    audit_asked: Option<AuditAsk>,
    exported: Option<(Which, String)>,
    acted_on: Option<(Which, Action, String)>,
    paused: Option<(UnitId, Option<Lane>, bool, String)>,
    refused: Vec<RefusedCall>,
    queue: Option<QueueAsk>,
    search: Option<Search>,
    refusal: Option<Refusal>,
    panics: bool,
    heard: Vec<Heard>,
    transfers: Vec<TransferView>,
    attached: Vec<(BlobDigest, u64)>,
    damaged: Vec<BlobDigest>,
    /// Removed as soon as room is needed.
    spare: Vec<BlobDigest>,
}

impl Fake {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told
            .lock()
            .expect("no test panics while it holds this")
    }

    fn refuse(&self, cause: Cause) {
        self.told().refusal = Some(Refusal::new(cause, "as the test wants it"));
    }

    fn check(&self) -> Result<(), Refusal> {
        self.told().refusal.clone().map_or(Ok(()), Err)
    }

    /// Waits until the condition holds.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let holds = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        timeout(DEADLINE, holds)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

/// Counts itself as dropped unless it is told that its work is done.
struct Waiting<'a>(&'a Fake, bool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Gateway for Fake {
    fn intake(&self) -> Intake<'_> {
        Intake {
            unit: &self.unit,
            kinds: &self.kinds,
            limits: &self.limits,
            signer: Fingerprint([7; 16]),
            accepted: NOW,
        }
    }

    async fn submit(&self, messages: Vec<Submission>) -> Result<(), Refusal> {
        assert!(!messages.is_empty(), "an empty batch needs no node");
        self.check()?;
        self.told().submitted.extend(messages);
        Ok(())
    }

    async fn message(&self, message: MessageId) -> Result<Option<MessageView>, Refusal> {
        self.check()?;
        assert!(!self.told().panics, "a secret that nobody may read");
        let told = self.told();
        let found = told
            .submitted
            .iter()
            .find(|submitted| submitted.header.message_id() == message);
        Ok(found.map(|Submission { header, body, .. }| MessageView {
            messageid: message,
            id: header.id.clone(),
            from: header.sender.clone(),
            to: header.to.clone(),
            kind: header.kind.clone(),
            caseid: header.case.clone(),
            subject: header.text("subject").map(str::to_owned),
            priority: header.lane,
            accepted: header.accepted,
            expires: header.expires,
            bytes: body.len() as u64,
            attachments: vec![],
            state: MessageState::Queued,
            receivers: vec![],
            receipts: vec![],
            steps_left_out: 0,
            incomplete: vec![],
            timeline: vec![StepView {
                at: header.accepted,
                step: "accepted",
                ..StepView::default()
            }],
        }))
    }

    async fn search(&self, search: Search) -> Result<MessagePage, Refusal> {
        self.check()?;
        self.told().search = Some(search);
        Ok(MessagePage::default())
    }

    async fn inbox(&self, ask: InboxAsk) -> Result<Vec<Handed>, Refusal> {
        self.check()?;
        self.told().asked = Some(ask);
        if self.told().inbox.is_empty() && !ask.wait.is_zero() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
            let mut waiting = Waiting(self, false);
            let came = self.until("a message", |fake| !fake.told().inbox.is_empty());
            let _ = timeout(ask.wait, came).await;
            waiting.1 = true;
        }
        Ok(self.told().inbox.clone())
    }

    async fn inbox_ack(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.check()?;
        self.told().acked = messages.clone();
        Ok(Settled {
            known: messages.len() - 1,
            unknown: messages.into_iter().take(1).collect(),
        })
    }

    async fn inbox_release(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.check()?;
        let known = messages.len();
        self.told().released.extend(messages);
        self.changed.notify_waiters();
        Ok(Settled {
            known,
            unknown: vec![],
        })
    }

    async fn queue(&self, ask: QueueAsk) -> Result<QueuePage, Refusal> {
        self.check()?;
        self.told().queue = Some(ask);
        Ok(QueuePage::default())
    }

    async fn body(&self, actor: &Actor, message: MessageId) -> Result<Option<Handed>, Refusal> {
        self.check()?;
        let mut told = self.told();
        told.actors.push(actor.clone());
        let mut inbox = told.inbox.iter();
        let found = inbox.find(|handed| handed.header.message_id() == message);
        Ok(found.cloned())
    }

    async fn act(&self, actor: &Actor, message: MessageId, action: Action) -> Result<(), Refusal> {
        self.check()?;
        self.told().actors.push(actor.clone());
        self.told().actions.push((message, action));
        Ok(())
    }

    async fn act_on(
        &self,
        actor: &Actor,
        which: Which,
        action: Action,
        reason: &str,
    ) -> Result<Acted, Refusal> {
        self.check()?;
        let mut told = self.told();
        told.actors.push(actor.clone());
        told.acted_on = Some((which, action, reason.to_owned()));
        Ok(Acted {
            done: 2,
            refused: vec![(
                message_id("3"),
                Refusal::new(Cause::WrongState, "it is not held"),
            )],
            next: Some("hebi.hub/7".into()),
        })
    }

    async fn export(
        &self,
        actor: &Actor,
        which: Which,
        neighbour: Option<UnitId>,
        reason: &str,
    ) -> Result<Exported, Refusal> {
        self.check()?;
        let mut told = self.told();
        told.actors.push(actor.clone());
        told.exported = Some((which, reason.to_owned()));
        Ok(Exported {
            head: "head".into(),
            parcels: vec!["parcel 1".into(), "parcel 2".into()],
            attachments: Vec::new(),
            neighbour: neighbour.unwrap_or_else(|| "hebi.hub".parse().expect("a unit")),
            messages: vec![message_id("1"), message_id("2")],
            left_out: vec![(message_id("3"), "it has left meanwhile".into())],
            next: Some("hebi.hub/7".into()),
        })
    }

    async fn open_stick(&self, head: StickHead) -> Result<Manifest, Refusal> {
        self.check()?;
        let manifest = Manifest::read(&head.manifest);
        manifest.map_err(|error| Refusal::new(Cause::BadFile, error.to_string()))
    }

    async fn import(
        &self,
        actor: &Actor,
        manifest: Manifest,
        parcels: Vec<bytes::Bytes>,
    ) -> Result<Imported, Refusal> {
        self.check()?;
        self.told().actors.push(actor.clone());
        Ok(Imported {
            from: manifest.from,
            taken: parcels.len() as u64,
            repeated: 0,
            no_room: 0,
            attachments: manifest.attachments.len() as u64,
            refused: Vec::new(),
        })
    }

    async fn set_paused(
        &self,
        actor: &Actor,
        neighbour: UnitId,
        lane: Option<Lane>,
        paused: bool,
        reason: &str,
    ) -> Result<Vec<Lane>, Refusal> {
        self.check()?;
        let mut told = self.told();
        told.actors.push(actor.clone());
        told.paused = Some((neighbour, lane, paused, reason.to_owned()));
        Ok(lane.into_iter().collect())
    }

    async fn set_drained(
        &self,
        actor: &Actor,
        drained: bool,
        _reason: &str,
    ) -> Result<Drained, Refusal> {
        self.check()?;
        self.told().actors.push(actor.clone());
        Ok(Drained {
            draining: drained,
            empty: true,
            queued: Volume::default(),
        })
    }

    async fn audit(&self, ask: AuditAsk) -> Result<AuditPage, Refusal> {
        self.check()?;
        self.told().audit_asked = Some(ask);
        Ok(AuditPage {
            entries: Vec::new(),
            next: Some(77),
        })
    }

    async fn audit_export(&self, actor: &Actor) -> Result<(std::fs::File, u64), Refusal> {
        self.check()?;
        self.told().actors.push(actor.clone());
        let path = self.folder.path().join("audit");
        std::fs::write(&path, "x".repeat(300_000)).expect("writes");
        Ok((std::fs::File::open(path).expect("opens"), 299_999))
    }

    fn refused(&self, call: RefusedCall) {
        self.told().refused.push(call);
    }

    async fn backup(&self, actor: &Actor) -> Result<std::path::PathBuf, Refusal> {
        self.check()?;
        self.told().actors.push(actor.clone());
        Ok(self.folder.path().to_owned())
    }

    async fn links(&self, language: Language) -> Result<Vec<LinkView>, Refusal> {
        self.check()?;
        Ok(vec![LinkView {
            neighbour: "hebi.hub".parse().expect("a unit"),
            link: "3g".into(),
            kind: "3g".into(),
            up: true,
            state: "sound",
            since: Some(NOW),
            address: None,
            rtt_ms: Some(350.5),
            loss_percent: None,
            rate_bps: None,
            sent_bps: Some(800),
            received_bps: Some(1600),
            payload_sent_bps: Some(3200),
            bytes_sent: 10,
            bytes_received: 20,
            payload_sent: 40,
            payload_received: 50,
            ratio_sent: Some(0.25),
            ratio_received: Some(0.4),
            in_flight_bytes: 30,
            takes: "all",
            cost_s: 2.0,
            usage: Some(LinkUsage {
                wire_sent: 100,
                wire_received: 200,
                today_bytes: 300,
                budget_bytes: Some(1 << 20),
                express_only: None,
            }),
            lanes_sent: [1, 2, 3, 4].into(),
            dictionary: Some("built-in".to_owned()),
            error: Some(language.code().to_owned()),
        }])
    }

    async fn units(&self) -> Result<Vec<UnitView>, Refusal> {
        self.check()?;
        Ok(vec![])
    }

    fn history(&self, span: Span) -> History {
        let mut history = History::new(span, 5, NOW - span.millis(), NOW);
        history.add(NOW - 60_000, [800, 1600, 3, 4]);
        history.gap(NOW - 5_000);
        history.add(NOW, [0, 0, 5, 0]);
        history
    }

    async fn status(&self, language: Language) -> Result<Status, Refusal> {
        self.check()?;
        Ok(Status {
            unit: self.unit.clone(),
            data_dir: "/var/lib/casegate".into(),
            version: "1",
            upstream: None,
            listens: false,
            started: NOW,
            epoch: 1,
            ready: true,
            draining: false,
            sessions: 0,
            units: 0,
            queued: Volume::default(),
            queued_lanes: PerLane::default(),
            inbox: Volume::default(),
            attachments: AttachmentsView {
                under_way: self.told().transfers.clone(),
                ..AttachmentsView::default()
            },
            awaiting_receipts: 0,
            journal_bytes: 0,
            journal_bytes_max: 0,
            quarantined: 0,
            damage: None,
            warnings: vec![Warning::DiskFull.told(language)],
        })
    }

    fn listen(&self) -> impl Stream<Item = Heard> + Send + 'static {
        let heard = std::mem::take(&mut self.told().heard);
        stream::iter(heard).chain(stream::pending())
    }

    fn blobs(&self) -> Result<Blobs, Refusal> {
        self.check()?;
        Ok(self.blobs.clone())
    }

    async fn make_room(&self, _: u64) {
        for digest in std::mem::take(&mut self.told().spare) {
            self.blobs.remove(&digest).expect("removed");
        }
    }

    async fn attached(&self, digest: BlobDigest, size: u64) -> Result<(), Refusal> {
        self.check()?;
        self.told().attached.push((digest, size));
        Ok(())
    }

    async fn attachment_damaged(&self, digest: BlobDigest) {
        self.told().damaged.push(digest);
    }

    async fn metrics(&self) -> String {
        "casegate_up 1\n".into()
    }

    fn ready(&self) -> Result<(), Refusal> {
        self.check()
    }
}

struct World {
    node: Arc<Fake>,
    router: Router,
    settings: Settings,
    stopping: watch::Sender<bool>,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Json,
}

impl Answered {
    /// The slug of a problem document, after a look at the rest of it.
    fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], json!(self.status.as_u16()));
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        let name = self.body["type"].as_str().expect("a type");
        name.strip_prefix(TYPE_PREFIX).expect("a type of ours")
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            limits: Limits::default(),
            hosts: vec![],
            access: access(),
            metrics: Arc::new(Metrics::new(4)),
        };
        change(&mut settings);
        let folder = tempfile::tempdir().expect("a folder");
        let bounds = Bounds {
            attachment_mib: settings.limits.attachment_mib,
            attachments_mib: settings.limits.attachments_mib,
        };
        let (blobs, _) = Blobs::open(folder.path(), bounds).expect("opens");
        let node = Arc::new(Fake {
            blobs,
            folder,
            unit: "hebi.xunxian.tobacco".parse().expect("a unit"),
            kinds: Kinds::default(),
            limits: settings.limits,
            told: Mutex::default(),
            waiting: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            changed: Notify::new(),
        });
        let (sender, stopping) = watch::channel(false);
        let router = router(node.clone(), settings.clone(), |_| Router::new(), stopping);
        Self {
            node,
            router,
            settings,
            stopping: sender,
        }
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
    }

    async fn ask(&self, request: Request<Body>) -> Answered {
        let answer = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("never fails");
        let (parts, mut body) = answer.into_parts();
        if parts.headers["content-type"] == "text/event-stream" {
            // It has no end.
            body = Body::empty();
        }
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        assert_eq!(parts.headers["cache-control"], "no-store");
        Answered {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask(request("GET", path, &[], Body::empty())).await
    }

    async fn post(&self, path: &str, kind: &str, body: impl ToString) -> Answered {
        let headers = [("content-type", kind)];
        self.ask(request(
            "POST",
            path,
            &headers,
            Body::from(body.to_string()),
        ))
        .await
    }

    async fn operate(&self, path: &str, body: Json) -> Answered {
        self.operate_as("o", path, body).await
    }

    async fn get_as(&self, letter: &str, path: &str) -> Answered {
        let token = format!("Bearer {}", letter.repeat(32));
        let headers = [("authorization", token.as_str())];
        self.ask(request("GET", path, &headers, Body::empty()))
            .await
    }

    async fn operate_as(&self, letter: &str, path: &str, body: Json) -> Answered {
        let token = format!("Bearer {}", letter.repeat(32));
        let headers = [
            ("content-type", "application/json"),
            ("authorization", token.as_str()),
        ];
        self.ask(request(
            "POST",
            path,
            &headers,
            Body::from(body.to_string()),
        ))
        .await
    }
}

/// The operators' own token is of `o`s; there is a viewer of `v`s and an operator of `w`s.
fn access() -> Access {
    let token = |letter: &str| Token::new(&letter.repeat(32)).expect("a token");
    let access = Access::new(token("o"));
    for (letter, name, role) in [
        ("v", "wang.fang", Role::Viewer),
        ("w", "li.wei", Role::Operator),
    ] {
        assert!(access.add(token(letter), Actor::new(name, role)));
    }
    access
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8440");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

fn event(id: &str) -> Json {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/unit/hebi.xunxian.tobacco",
        "type": "case.transfer",
        "to": "hebi.procuratorate",
        "data": {"amount": 1},
    })
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn message_id(id: &str) -> MessageId {
    MessageId::of(&"hebi.xunxian.tobacco".parse().expect("a unit"), id)
}

fn handed(world: &World, id: &str, data: &str) -> Handed {
    let text = event(id).to_string().replace(r#"{"amount":1}"#, data);
    let submission = world
        .node
        .intake()
        .structured(&Bytes::from(text))
        .expect("an event");
    Handed {
        header: submission.header,
        body: submission.body,
        received: NOW + 5,
    }
}
