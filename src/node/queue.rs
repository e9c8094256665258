//! The queue as operators see it: pages of it, and what of it fits a filter.

use super::handle::NodeHandle;
use crate::{
    api::{Cause, QueueAsk, QueueEntry, QueueFilter, QueuePage, Refusal},
    delivery::{Delivery, QueueRow, hop::Seq},
    model::{Millis, UnitId},
    parcel::Header,
};

/// Rows of the queue that one page looks at, at most: a filter that fits few of many rows takes several pages.
const ROWS_PER_PAGE_MAX: usize = 10_000;
/// Rows that are asked for at a time.
const ROWS_AT_ONCE: usize = 500;

/// A row, and its parcel's header and size.
pub(super) type Found = (QueueRow, Header, u64);

impl NodeHandle {
    pub(super) async fn queue_page(&self, ask: QueueAsk) -> Result<QueuePage, Refusal> {
        let neighbour = ask.filter.neighbour.clone();
        let total = self
            .look(move |machine| queue_total(machine, neighbour.as_ref()))
            .await?;
        let (found, next) = self.select(ask).await?;
        let entries = found.into_iter();
        Ok(QueuePage {
            messages: entries
                .map(|(row, header, bytes)| queue_entry(row, header, bytes))
                .collect(),
            total,
            next,
        })
    }

    /// What fits, the oldest first, and where to go on when there may be more. What left the queue just now is not among it.
    pub(super) async fn select(
        &self,
        ask: QueueAsk,
    ) -> Result<(Vec<Found>, Option<String>), Refusal> {
        let QueueAsk {
            max,
            cursor,
            filter,
        } = ask;
        let max = max as usize;
        let mut after = cursor.as_deref().map(read_cursor).transpose()?;
        let now = self.shared.clock.wall();
        let mut looked_at = 0;
        let mut found: Vec<Found> = Vec::new();
        loop {
            let (wanted, fits) = (max - found.len(), filter.clone());
            let (rows, next, seen) = self
                .look(move |machine| rows(machine, &fits, now, after, wanted, looked_at))
                .await?;
            looked_at = seen;
            let places = rows.iter().map(|row| row.location).collect();
            let headers = self.headers(places).await?;
            let read = rows.into_iter().zip(headers);
            found.extend(
                read.filter_map(|(row, header)| header.map(|(header, bytes)| (row, header, bytes)))
                    .filter(|(_, header, _)| fits_header(&filter, header)),
            );
            let Some(next) = next else {
                return Ok((found, None));
            };
            if found.len() >= max || looked_at >= ROWS_PER_PAGE_MAX {
                let (unit, seq) = next;
                return Ok((found, Some(format!("{unit}/{seq}"))));
            }
            after = Some(next);
        }
    }
}

/// What the machine knows of a row fits.
fn fits_row(filter: &QueueFilter, row: &QueueRow, now: Millis) -> bool {
    filter.state.is_none_or(|state| state == row.state)
        && filter.lane.is_none_or(|lane| lane == row.lane)
        && filter
            .older_than
            .is_none_or(|age| row.received.saturating_add(age) <= now)
}

/// What only the parcel tells fits.
fn fits_header(filter: &QueueFilter, header: &Header) -> bool {
    let QueueFilter { kind, case, .. } = filter;
    kind.as_ref()
        .is_none_or(|kind| kind.matches(header.kind.as_str()))
        && case
            .as_ref()
            .is_none_or(|case| header.case.as_ref() == Some(case))
}

/// The rows of a page, where it ended when there is more, and how many were looked at.
fn rows(
    machine: &Delivery,
    filter: &QueueFilter,
    now: Millis,
    mut after: Option<(UnitId, Seq)>,
    max: usize,
    mut looked_at: usize,
) -> (Vec<QueueRow>, Option<(UnitId, Seq)>, usize) {
    let mut page = Vec::new();
    while looked_at < ROWS_PER_PAGE_MAX {
        let rows = machine.queue(filter.neighbour.as_ref(), after.clone(), ROWS_AT_ONCE);
        if rows.is_empty() {
            return (page, None, looked_at);
        }
        for row in rows {
            if page.len() == max {
                return (page, after, looked_at);
            }
            looked_at += 1;
            after = Some((row.neighbour.clone(), row.seq));
            if fits_row(filter, &row, now) {
                page.push(row);
            }
        }
    }
    (page, after, looked_at)
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
    let lanes = wanted.flat_map(|n| &n.lanes);
    lanes.map(|lane| lane.messages).sum()
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
        paused: row.paused,
        exported: row.exported,
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
