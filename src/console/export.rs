//! What a search finds, as a table for a spreadsheet (RFC 4180).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;

use super::{
    Console,
    messages::{listed, search},
    show::iso,
    texts::Texts,
    visit::Visit,
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, MessageView, Refusal},
    csv::line,
    index::{Cursor, Search},
};

/// Messages that are asked for at a time, and that one table has at most.
const PART: usize = 1000;
const ROWS_MAX: usize = 1_000_000;

/// `GET /console/messages.csv`, with the parameters of the search.
pub(super) async fn messages<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let t = visit.t();
    let (search, wrong) = search(t, &visit.query, PART);
    if !wrong.is_empty() {
        return answer(&visit, Err(Wrong::Unknown(t.export_wrong)));
    }
    // What goes wrong before the first row is told as ever.
    let first = match console.api.gateway().search(search.clone()).await {
        Ok(first) => first,
        Err(refusal) => return answer(&visit, Err(refusal.into())),
    };
    let mut head = String::from("\u{feff}");
    line(&mut head, &t.export_columns());
    let export = Export {
        console,
        t,
        search,
        next: Some(first.next),
        rows: 0,
        text: head,
    };
    let export = export.with(first.messages);
    let body = Body::from_stream(stream::try_unfold(export, |mut export| async move {
        let Some(text) = export.part().await? else {
            return Ok::<_, Refusal>(None);
        };
        Ok(Some((text, export)))
    }));
    let kind = (header::CONTENT_TYPE, "text/csv; charset=utf-8");
    let name = (
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"messages.csv\"",
    );
    ([kind, name], body).into_response()
}

struct Export<G> {
    console: Arc<Console<G>>,
    t: &'static Texts,
    search: Search,
    /// Where to go on; none: it is done.
    next: Option<Option<String>>,
    rows: usize,
    text: String,
}

impl<G: Gateway> Export<G> {
    fn with(mut self, messages: Vec<MessageView>) -> Self {
        self.write(messages);
        self
    }

    fn write(&mut self, messages: Vec<MessageView>) {
        self.rows += messages.len();
        for message in messages {
            line(&mut self.text, &cells(self.t, &message));
        }
    }

    /// The next part of the table.
    async fn part(&mut self) -> Result<Option<String>, Refusal> {
        loop {
            if !self.text.is_empty() {
                return Ok(Some(std::mem::take(&mut self.text)));
            }
            let Some(Some(next)) = self.next.take() else {
                return Ok(None);
            };
            if self.rows >= ROWS_MAX {
                return Ok(None);
            }
            self.search.cursor = Cursor::parse(&next);
            let page = self
                .console
                .api
                .gateway()
                .search(self.search.clone())
                .await?;
            self.next = Some(page.next);
            self.write(page.messages);
        }
    }
}

fn cells(t: &Texts, view: &MessageView) -> [String; 11] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        view.messageid.to_string(),
        view.id.clone(),
        view.kind.to_string(),
        text(&view.caseid),
        text(&view.subject),
        view.from.to_string(),
        listed(&view.to),
        t.lane(view.priority).text.to_owned(),
        t.state(view.state).text.to_owned(),
        iso(view.accepted),
        iso(view.expires),
    ]
}
