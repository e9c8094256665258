//! What the API asks of the node, answered.

use std::{fs::File, path::PathBuf, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::{
    attachments, audit,
    board::Seen,
    handle::{NodeHandle, refusal},
    history::{gap_views, happening_view, unavailable, view},
    usage::UseView,
};
use crate::{
    api::{
        Acted, Action, Actor, DamageView, Drained, Exported, Gateway, Handed, Heard, History,
        Imported, InboxAsk, LinkUsage, LinkView, MessagePage, MessageView, PerLane, QueueAsk,
        QueuePage, Refusal, RefusedCall, Settled, Span, Status, UnitView, Volume, Warned, Warning,
        Which,
    },
    blob::Blobs,
    cloudevents::{Intake, Submission},
    delivery::{Delivery, Input, NeighbourView, Takes, Trust},
    index::Search,
    language::Language,
    model::{BlobDigest, Lane, MessageId, Millis, UnitId},
    observe::{AuditAsk, AuditPage, LinkFigures},
    wire::{Manifest, StickHead},
};

/// Lost attachments that one look shows.
const LOST_ATTACHMENTS_SHOWN: usize = 100;
/// How long before its end a message that is still queued counts as one that is about to expire.
const EXPIRING_WITHIN: Millis = 24 * 3600 * 1000;
/// How long before a certificate expires the status warns.
const WARN_BEFORE: Millis = 30 * 24 * 3600 * 1000;

impl Gateway for NodeHandle {
    fn intake(&self) -> Intake<'_> {
        self.shared.rules.intake(self.shared.clock.wall())
    }

    async fn submit(&self, messages: Vec<Submission>) -> Result<(), Refusal> {
        NodeHandle::submit(self, messages).await
    }

    async fn message(&self, message: MessageId) -> Result<Option<MessageView>, Refusal> {
        self.message_view(message).await
    }

    async fn search(&self, search: Search) -> Result<MessagePage, Refusal> {
        // Whoever was answered before asking has told the index: the owner does one thing after another.
        self.look(|_| ()).await?;
        let found = self.shared.index.search(search).await;
        let found = found.map_err(unavailable)?;
        let messages = found.messages.into_iter();
        Ok(MessagePage {
            messages: messages
                .map(|entry| view(entry, false, Vec::new()))
                .collect(),
            next: found.next.map(|cursor| cursor.to_string()),
            incomplete: gap_views(found.gaps),
        })
    }

    async fn inbox(&self, ask: InboxAsk) -> Result<Vec<Handed>, Refusal> {
        NodeHandle::inbox(self, ask).await
    }

    async fn inbox_ack(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.settle(|ticket| Input::InboxAck { ticket, messages })
            .await
    }

    async fn inbox_release(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.settle(|ticket| Input::InboxRelease { ticket, messages })
            .await
    }

    async fn queue(&self, ask: QueueAsk) -> Result<QueuePage, Refusal> {
        self.queue_page(ask).await
    }

    async fn body(&self, actor: &Actor, message: MessageId) -> Result<Option<Handed>, Refusal> {
        NodeHandle::body(self, actor, message).await
    }

    async fn act(&self, actor: &Actor, message: MessageId, action: Action) -> Result<(), Refusal> {
        NodeHandle::act(self, actor, message, action).await
    }

    async fn act_on(
        &self,
        actor: &Actor,
        which: Which,
        action: Action,
        reason: &str,
    ) -> Result<Acted, Refusal> {
        NodeHandle::act_on(self, actor, which, action, reason).await
    }

    async fn export(
        &self,
        actor: &Actor,
        which: Which,
        neighbour: Option<UnitId>,
        reason: &str,
    ) -> Result<Exported, Refusal> {
        NodeHandle::export(self, actor, which, neighbour, reason).await
    }

    async fn open_stick(&self, head: StickHead) -> Result<Manifest, Refusal> {
        NodeHandle::open_stick(self, head).await
    }

    async fn import(
        &self,
        actor: &Actor,
        manifest: Manifest,
        parcels: Vec<Bytes>,
    ) -> Result<Imported, Refusal> {
        NodeHandle::import(self, actor, manifest, parcels).await
    }

    async fn set_paused(
        &self,
        actor: &Actor,
        neighbour: UnitId,
        lane: Option<Lane>,
        paused: bool,
        reason: &str,
    ) -> Result<Vec<Lane>, Refusal> {
        NodeHandle::set_paused(self, actor, neighbour, lane, paused, reason).await
    }

    async fn set_drained(
        &self,
        actor: &Actor,
        drained: bool,
        reason: &str,
    ) -> Result<Drained, Refusal> {
        NodeHandle::set_drained(self, actor, drained, reason).await
    }

    async fn audit(&self, ask: AuditAsk) -> Result<AuditPage, Refusal> {
        self.search_audit(ask).await
    }

    async fn audit_export(&self, actor: &Actor) -> Result<(File, u64), Refusal> {
        self.export_audit(actor).await
    }

    fn refused(&self, call: RefusedCall) {
        audit::refused(&self.shared, call);
    }

    async fn backup(&self, actor: &Actor) -> Result<PathBuf, Refusal> {
        self.take_backup(actor).await
    }

    async fn links(&self, language: Language) -> Result<Vec<LinkView>, Refusal> {
        let neighbours = self.look(|machine| machine.neighbours()).await?;
        Ok(self.link_views(neighbours, language))
    }

    async fn units(&self) -> Result<Vec<UnitView>, Refusal> {
        let neighbours = self.look(|machine| machine.neighbours()).await?;
        let live = self.shared.live();
        let mut views: Vec<_> = neighbours
            .into_iter()
            .map(|neighbour| {
                let configured = live.settings.units.iter();
                let title = configured
                    .filter(|unit| unit.name == neighbour.unit)
                    .find_map(|unit| unit.title.clone());
                let seen = self.shared.board.seen(&neighbour.unit);
                unit_view(neighbour, title, seen)
            })
            .collect();
        views.sort_by(|a, b| a.unit.cmp(&b.unit));
        Ok(views)
    }

    fn history(&self, span: Span) -> History {
        let now = self.shared.clock.wall();
        self.shared.samples.history(span, now)
    }

    async fn status(&self, language: Language) -> Result<Status, Refusal> {
        let (epoch, neighbours, inbox, awaiting, on_their_way, lost_attachments) = self
            .look(|machine| {
                (
                    machine.epoch(),
                    machine.neighbours(),
                    machine.inbox_view(),
                    machine.totals().own,
                    machine.blobs_on_their_way(),
                    machine.blobs_lost(LOST_ATTACHMENTS_SHOWN),
                )
            })
            .await?;
        let live = self.shared.live();
        let settings = &live.settings;
        let open = neighbours.iter().flat_map(|n| &n.sessions);
        let figures = &self.shared.figures;
        Ok(Status {
            unit: settings.unit.clone(),
            // Relative to the node's working folder, which nobody else knows.
            data_dir: std::path::absolute(&settings.data_dir)
                .unwrap_or_else(|_| settings.data_dir.clone())
                .to_string_lossy()
                .into_owned(),
            version: env!("CARGO_PKG_VERSION"),
            upstream: settings.upstream.as_ref().map(|up| up.hub.clone()),
            listens: settings.listen.is_some(),
            started: self.started,
            epoch,
            ready: self.status_now().is_ready() && !self.is_draining(),
            draining: self.is_draining(),
            sessions: open.filter(|session| session.open).count() as u64,
            units: neighbours.iter().filter(|n| !n.upstream).count() as u64,
            queued: neighbours.iter().fold(Volume::default(), |sum, n| {
                let volume = volume(n);
                Volume {
                    messages: sum.messages + volume.messages,
                    bytes: sum.bytes + volume.bytes,
                }
            }),
            queued_lanes: queued_lanes(&neighbours),
            inbox: Volume {
                messages: inbox.messages,
                bytes: inbox.bytes,
            },
            attachments: attachments::view(&self.shared, on_their_way),
            awaiting_receipts: awaiting,
            journal_bytes: figures.journal_bytes.load(Ordering::Relaxed),
            journal_bytes_max: u64::from(settings.limits.journal_mib) << 20,
            quarantined: figures.damaged.get().map_or(0, |damaged| damaged.places),
            warnings: self.warnings(&neighbours, lost_attachments.len(), language),
            damage: self.damage(lost_attachments),
        })
    }

    fn listen(&self) -> impl Stream<Item = Heard> + Send + 'static {
        stream::unfold(self.shared.index.listen(), |mut listener| async {
            let heard = match listener.next().await? {
                Ok(happening) => Heard::Happening(Box::new(happening_view(&happening))),
                Err(lost) => Heard::Lost(lost),
            };
            Some((heard, listener))
        })
    }

    fn blobs(&self) -> Result<Blobs, Refusal> {
        self.ready()?;
        Ok(self.shared.blobs.clone())
    }

    async fn make_room(&self, size: u64) {
        attachments::make_room(&self.shared, size).await;
    }

    async fn attached(&self, digest: BlobDigest, _size: u64) -> Result<(), Refusal> {
        attachments::attached(&self.shared, digest).await
    }

    async fn attachment_damaged(&self, digest: BlobDigest) {
        attachments::damaged(&self.shared, digest).await;
    }

    async fn metrics(&self) -> String {
        let now = self.shared.clock.wall();
        let seen = self
            .look(move |machine| {
                (
                    machine.neighbours(),
                    machine.inbox_view(),
                    machine.expiring_by(now + EXPIRING_WITHIN),
                )
            })
            .await;
        let metrics = &self.shared.metrics;
        if let Ok((neighbours, inbox, expiring)) = seen {
            let age = |oldest: Option<Millis>| {
                Duration::from_millis(oldest.map_or(0, |oldest| now.saturating_sub(oldest)))
            };
            metrics.set_inbox(inbox.messages, inbox.bytes, age(inbox.oldest));
            let links = self.link_views(neighbours.clone(), Language::English);
            let figures = links.iter().map(|view| (view.link.as_str(), figures(view)));
            metrics.set_links(figures);
            for neighbour in neighbours {
                let shown = metrics.neighbour(&neighbour.unit);
                shown.set_oldest_age(age(neighbour.oldest));
                shown.set_expiring(expiring.get(&neighbour.unit).copied().unwrap_or(0));
                for (lane, depth) in Lane::ALL.into_iter().zip(neighbour.lanes) {
                    shown.set_queue(lane, depth.messages, depth.bytes);
                }
            }
        }
        let blobs = &self.shared.blobs;
        metrics.set_attachments(blobs.whole() as u64, blobs.bytes_used());
        metrics.set_history(self.shared.generations().bytes() as u64);
        metrics.set_index(&self.shared.index.health());
        metrics.set_storage(
            self.shared.figures.disk_full.load(Ordering::Relaxed),
            matches!(self.status_now(), super::Status::StorageFailed(_)),
        );
        let live = self.shared.live();
        metrics.set_certificates(
            live.identity.tls_not_after(),
            live.identity.signing_not_after(),
        );
        self.shared.board.tell_wire();
        metrics.render()
    }

    fn ready(&self) -> Result<(), Refusal> {
        NodeHandle::ready(self)?;
        self.takes_submissions()
    }
}

impl NodeHandle {
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Delivery) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.shared.look(look).await.map_err(refusal)
    }

    /// Every link and session, with what the machine knows of the sessions with its neighbours.
    pub(super) fn link_views(
        &self,
        neighbours: Vec<NeighbourView>,
        language: Language,
    ) -> Vec<LinkView> {
        let sessions = neighbours.into_iter().flat_map(|n| n.sessions);
        let known = sessions.map(|session| (session.session, session)).collect();
        let live = self.shared.live();
        let upstream = live.settings.upstream.as_ref().map(|up| &up.hub);
        let mut views = self.shared.board.views(&known, language);
        for view in &mut views {
            let usage = self.shared.usage.view(&view.link);
            if let Some(usage) = usage.filter(|_| upstream == Some(&view.neighbour)) {
                show_usage(view, usage, language);
            }
            if view.up {
                let speed = self.shared.samples.speed(&view.neighbour, &view.link);
                view.sent_bps = Some(speed.sent);
                view.received_bps = Some(speed.received);
                view.payload_sent_bps = Some(speed.payload_sent);
            }
        }
        views
    }

    /// What was damaged at the start, and what was lost with it.
    fn damage(&self, attachments: Vec<BlobDigest>) -> Option<DamageView> {
        let lost = self.shared.index.health().lost;
        let damaged = self.shared.figures.damaged.get();
        let places = damaged.map(|damaged| damaged.told.clone());
        let view = DamageView {
            places: places.unwrap_or_default(),
            messages: lost.messages.clone(),
            messages_more: lost.more,
            attachments,
        };
        let is_something =
            !view.places.is_empty() || !lost.is_empty() || !view.attachments.is_empty();
        is_something.then_some(view)
    }

    /// What an operator should look at.
    fn warnings(
        &self,
        neighbours: &[NeighbourView],
        lost_attachments: usize,
        language: Language,
    ) -> Vec<Warned> {
        let mut warnings = Vec::new();
        if lost_attachments > 0 {
            warnings.push(Warning::AttachmentsDamaged(lost_attachments));
        }
        let status = self.status_now();
        if !status.is_ready() {
            warnings.push(Warning::NotReady(status.told(language)));
        }
        if self.is_draining() {
            let queued: u64 = neighbours.iter().map(|n| volume(n).messages).sum();
            warnings.push(Warning::Drained { queued });
        }
        for neighbour in neighbours.iter().filter(|n| !n.paused.is_none()) {
            warnings.push(Warning::Paused {
                unit: neighbour.unit.clone(),
                lanes: neighbour.paused.lanes(),
            });
        }
        let figures = &self.shared.figures;
        if figures.disk_full.load(Ordering::Relaxed) {
            warnings.push(Warning::DiskFull);
        }
        let quarantined = figures.damaged.get().map_or(0, |damaged| damaged.places);
        if quarantined > 0 {
            warnings.push(Warning::Quarantined(quarantined));
        }
        if let Some(damage) = &self.shared.audit_damage {
            warnings.push(Warning::AuditDamaged(damage.to_string()));
        }
        let local = self.shared.local.now();
        warnings.extend(local.map(|why| Warning::Local(why.of(language).to_owned())));
        for (link, why) in self.shared.usage.express_only() {
            let why = why.told(language);
            warnings.push(Warning::ExpressOnly { link, why });
        }
        let index = self.shared.index.health();
        if !index.lost.is_empty() {
            warnings.push(Warning::MessagesLost(index.lost.len()));
        }
        if let Some(why) = index.failed {
            warnings.push(Warning::IndexFailed(why.to_string()));
        }
        if index.incomplete {
            warnings.push(Warning::IndexIncomplete);
        }
        let live = self.shared.live();
        let soon = self.shared.clock.wall() + WARN_BEFORE;
        for (signs, at) in [
            (false, live.identity.tls_not_after()),
            (true, live.identity.signing_not_after()),
        ] {
            if at < soon {
                warnings.push(Warning::CertificateExpires { signs, at });
            }
        }
        let warnings = warnings.into_iter();
        warnings.map(|warning| warning.told(language)).collect()
    }
}

fn volume(neighbour: &NeighbourView) -> Volume {
    Volume {
        messages: neighbour.lanes.iter().map(|lane| lane.messages).sum(),
        bytes: neighbour.lanes.iter().map(|lane| lane.bytes).sum(),
    }
}

fn queued_lanes(neighbours: &[NeighbourView]) -> PerLane {
    let mut sums = [0; Lane::ALL.len()];
    for neighbour in neighbours {
        for (sum, lane) in sums.iter_mut().zip(&neighbour.lanes) {
            *sum += lane.messages;
        }
    }
    sums.into()
}

fn figures(view: &LinkView) -> LinkFigures {
    LinkFigures {
        up: view.up,
        silent: view.state == Trust::Silent.as_str(),
        express_only: view.takes == Takes::Express.as_str(),
        in_flight_bytes: view.in_flight_bytes,
        rate_bytes: view.rate_bps.unwrap_or_default() / 8,
        round_trip_s: view.rtt_ms.unwrap_or_default() / 1000.0,
        budget_bytes: view.usage.as_ref().and_then(|usage| usage.budget_bytes),
        today_bytes: view.usage.as_ref().map(|usage| usage.today_bytes),
    }
}

fn show_usage(view: &mut LinkView, usage: UseView, language: Language) {
    view.cost_s = usage.cost_s.into();
    view.takes = match usage.express_only {
        Some(_) => Takes::Express.as_str(),
        None => Takes::All.as_str(),
    };
    view.usage = Some(LinkUsage {
        wire_sent: usage.sent_bytes,
        wire_received: usage.received_bytes,
        today_bytes: usage.today_bytes,
        budget_bytes: usage.budget_bytes,
        express_only: usage.express_only.map(|why| why.told(language)),
    });
}

fn unit_view(neighbour: NeighbourView, title: Option<String>, seen: Option<Seen>) -> UnitView {
    let open = neighbour.sessions.iter().filter(|session| session.open);
    let mut links: Vec<_> = open.map(|session| session.link.name.clone()).collect();
    links.sort();
    links.dedup();
    UnitView {
        title,
        connected: !links.is_empty(),
        blocked: neighbour.blocked,
        paused: neighbour.paused.lanes(),
        links,
        seen: seen.map(|seen| seen.at),
        mailbox: volume(&neighbour),
        mailbox_lanes: neighbour.lanes.map(|lane| lane.messages).into(),
        oldest: neighbour.oldest,
        waiting: neighbour.blocked_messages,
        certificate_expires: seen.map(|seen| seen.certificate_expires),
        unit: neighbour.unit,
    }
}
