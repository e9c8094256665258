//! What the API asks of the node, answered.

use std::{path::PathBuf, sync::atomic::Ordering};

use futures_util::{Stream, stream};

use super::{
    attachments,
    handle::{NodeHandle, refusal},
    history::{gap_views, happening_view, unavailable, view},
    usage::UseView,
};
use crate::{
    api::{
        Action, Cause, DamageView, Gateway, Handed, Heard, InboxAsk, LinkUsage, LinkView,
        MessagePage, MessageView, PerLane, QueueAsk, QueueEntry, QueuePage, Refusal, Settled,
        Status, UnitView, Volume,
    },
    blob::Blobs,
    cloudevents::{Intake, Submission},
    delivery::{Delivery, Input, NeighbourView, QueueRow, Takes, Trust, hop::Seq},
    index::Search,
    model::{BlobDigest, Lane, MessageId, Millis, State, UnitId},
    observe::LinkFigures,
    parcel::Header,
};

/// Rows of the queue that one page looks at, at most: a filter that fits few of many rows takes several pages.
const ROWS_PER_PAGE_MAX: usize = 10_000;
/// Rows that are asked for at a time.
const ROWS_AT_ONCE: usize = 500;
/// Lost attachments that one look shows.
const LOST_ATTACHMENTS_SHOWN: usize = 100;
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
        let after = match ask.cursor.as_deref() {
            Some(cursor) => Some(read_cursor(cursor)?),
            None => None,
        };
        let QueueAsk {
            max,
            state,
            neighbour,
            ..
        } = ask;
        let (rows, next, total) = self
            .look(move |machine| {
                let (rows, next) = rows(machine, neighbour.as_ref(), after, max as usize, state);
                (rows, next, queue_total(machine, neighbour.as_ref()))
            })
            .await?;
        let places = rows.iter().map(|row| row.location).collect();
        let headers = self.headers(places).await?;
        let entries = rows.into_iter().zip(headers);
        Ok(QueuePage {
            // What left the queue just now is not shown.
            messages: entries
                .filter_map(|(row, header)| header.map(|(h, bytes)| queue_entry(row, h, bytes)))
                .collect(),
            total,
            next: next.map(|(unit, seq)| format!("{unit}/{seq}")),
        })
    }

    async fn act(&self, message: MessageId, action: Action) -> Result<(), Refusal> {
        NodeHandle::act(self, message, action).await
    }

    async fn backup(&self) -> Result<PathBuf, Refusal> {
        self.take_backup().await
    }

    async fn links(&self) -> Result<Vec<LinkView>, Refusal> {
        let neighbours = self.look(|machine| machine.neighbours()).await?;
        Ok(self.link_views(neighbours))
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

    async fn status(&self) -> Result<Status, Refusal> {
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
            ready: self.status_now().is_ready(),
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
            warnings: self.warnings(lost_attachments.len()),
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
        let seen = self
            .look(|machine| (machine.neighbours(), machine.inbox_view()))
            .await;
        let metrics = &self.shared.metrics;
        if let Ok((neighbours, inbox)) = seen {
            metrics.set_inbox(inbox.messages, inbox.bytes);
            let links = self.link_views(neighbours.clone());
            let figures = links.iter().map(|view| (view.link.as_str(), figures(view)));
            metrics.set_links(figures);
            for neighbour in neighbours {
                let shown = metrics.neighbour(&neighbour.unit);
                for (lane, depth) in Lane::ALL.into_iter().zip(neighbour.lanes) {
                    shown.set_queue(lane, depth.messages, depth.bytes);
                }
            }
        }
        let blobs = &self.shared.blobs;
        metrics.set_attachments(blobs.whole() as u64, blobs.bytes_used());
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
        NodeHandle::ready(self)
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
    fn link_views(&self, neighbours: Vec<NeighbourView>) -> Vec<LinkView> {
        let sessions = neighbours.into_iter().flat_map(|n| n.sessions);
        let known = sessions.map(|session| (session.session, session)).collect();
        let live = self.shared.live();
        let upstream = live.settings.upstream.as_ref().map(|up| &up.hub);
        let mut views = self.shared.board.views(&known);
        for view in &mut views {
            let usage = self.shared.usage.view(&view.link);
            if let Some(usage) = usage.filter(|_| upstream == Some(&view.neighbour)) {
                show_usage(view, usage);
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
    fn warnings(&self, lost_attachments: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        if lost_attachments > 0 {
            warnings.push(format!(
                "{lost_attachments} attachments of messages that were accepted here are damaged; bring them again: the status names them under \"damage\""
            ));
        }
        let status = self.status_now();
        if !status.is_ready() {
            warnings.push(status.to_string());
        }
        let figures = &self.shared.figures;
        if figures.disk_full.load(Ordering::Relaxed) {
            warnings
                .push("the disk is full: only urgent messages are taken; free some room".into());
        }
        let quarantined = figures.damaged.get().map_or(0, |damaged| damaged.places);
        if quarantined > 0 {
            warnings.push(format!(
                "{quarantined} damaged stretches of the journal were set aside; see the data folder's quarantine"
            ));
        }
        for (link, why) in self.shared.usage.express_only() {
            warnings.push(format!(
                "only flash and urgent messages go over the link {link}: {why}"
            ));
        }
        let index = self.shared.index.health();
        if !index.lost.is_empty() {
            warnings.push(format!(
                "{} messages were lost with damaged records of the journal, unless a neighbour still has them; the status names them under \"damage\"",
                index.lost.len()
            ));
        }
        if let Some(why) = index.failed {
            warnings.push(format!(
                "the index does not follow: {why}; messages pass as ever, search and history wait for it"
            ));
        }
        if index.incomplete {
            warnings.push(
                "the index may lack some history; answers to a search say what under \"incomplete\""
                    .into(),
            );
        }
        let live = self.shared.live();
        let soon = self.shared.clock.wall() + WARN_BEFORE;
        for (role, not_after) in [
            ("TLS", live.identity.tls_not_after()),
            ("signing", live.identity.signing_not_after()),
        ] {
            if not_after < soon {
                let at = i64::try_from(not_after)
                    .ok()
                    .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
                    .unwrap_or(jiff::Timestamp::MAX);
                warnings.push(format!(
                    "the {role} certificate expires at {at:.0}; renew it with `casegate pki issue`, then reload"
                ));
            }
        }
        warnings
    }
}

/// The rows of a page, and where it ended when there is more.
fn rows(
    machine: &Delivery,
    neighbour: Option<&UnitId>,
    mut after: Option<(UnitId, Seq)>,
    max: usize,
    state: Option<State>,
) -> (Vec<QueueRow>, Option<(UnitId, Seq)>) {
    let mut page = Vec::new();
    let mut looked_at = 0;
    while looked_at < ROWS_PER_PAGE_MAX {
        let rows = machine.queue(neighbour, after.clone(), ROWS_AT_ONCE);
        if rows.is_empty() {
            return (page, None);
        }
        for row in rows {
            if page.len() == max {
                return (page, after);
            }
            looked_at += 1;
            after = Some((row.neighbour.clone(), row.seq));
            if state.is_none_or(|state| state == row.state) {
                page.push(row);
            }
        }
    }
    (page, after)
}

fn read_cursor(cursor: &str) -> Result<(UnitId, Seq), Refusal> {
    let read = |cursor: &str| {
        let (unit, seq) = cursor.rsplit_once('/')?;
        Some((unit.parse().ok()?, seq.parse().ok()?))
    };
    read(cursor).ok_or_else(|| Refusal {
        attribute: Some("cursor"),
        ..Refusal::new(
            Cause::InvalidRequest,
            "the cursor is not one that this node gave; begin without one",
        )
    })
}

fn queue_total(machine: &Delivery, of: Option<&UnitId>) -> u64 {
    let neighbours = machine.neighbours();
    let wanted = neighbours
        .iter()
        .filter(|n| of.is_none_or(|of| n.unit == *of));
    wanted.map(|n| volume(n).messages).sum()
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

fn show_usage(view: &mut LinkView, usage: UseView) {
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
        express_only: usage.express_only,
    });
}

fn unit_view(neighbour: NeighbourView, title: Option<String>, seen: Option<Millis>) -> UnitView {
    let open = neighbour.sessions.iter().filter(|session| session.open);
    let mut links: Vec<_> = open.map(|session| session.link.name.clone()).collect();
    links.sort();
    links.dedup();
    UnitView {
        title,
        connected: !links.is_empty(),
        blocked: neighbour.blocked,
        links,
        seen,
        mailbox: volume(&neighbour),
        unit: neighbour.unit,
    }
}

fn queue_entry(row: QueueRow, header: Header, bytes: u64) -> QueueEntry {
    QueueEntry {
        messageid: row.message,
        neighbour: row.neighbour,
        from: header.sender,
        to: header.to,
        kind: header.kind,
        caseid: header.case,
        priority: row.lane,
        state: row.state,
        link: row.link,
        bytes,
        accepted: header.accepted,
        expires: header.expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let unit: UnitId = "hebi.xunxian.tobacco".parse().expect("a unit");
        assert_eq!(
            read_cursor(&format!("{unit}/17")),
            Ok((unit, 17)),
            "the page before it ended there"
        );
        for strange in ["", "17", "hebi.hub/", "/17", "Hebi/17", "hebi.hub/x"] {
            let refused = read_cursor(strange).expect_err(strange);
            assert_eq!(refused.attribute, Some("cursor"));
        }
    }
}
