//! The links under a list that lead to its other pages.

use askama::{Template, filters::HtmlSafe};

use super::texts::Texts;

/// Where one may go from a page of a list. An address that is empty leads nowhere and is left out.
#[derive(Template)]
#[template(
    source = r#"<nav class="pages" aria-label="{{ t.pages }}">{% if !first.is_empty() %}<a class="button" href="{{ first }}">{{ first_text }}</a>{% endif %}{% if !next.is_empty() %}<a class="button" rel="next" href="{{ next }}">{{ next_text }}</a>{% endif %}</nav>"#,
    ext = "html"
)]
pub(super) struct Turn {
    t: &'static Texts,
    first: String,
    first_text: &'static str,
    next: String,
    next_text: &'static str,
}

impl Turn {
    /// Under a list whose newest come first.
    pub(super) fn newest_first(t: &'static Texts, first: String, next: String) -> Self {
        Self::new(t, (first, t.newest), (next, t.older))
    }

    /// Under a list whose oldest come first.
    pub(super) fn oldest_first(t: &'static Texts, first: String, next: String) -> Self {
        Self::new(t, (first, t.first_page), (next, t.next_page))
    }

    /// Under the messages of a case.
    pub(super) fn later(t: &'static Texts, next: String) -> Self {
        Self::new(t, (String::new(), ""), (next, t.later))
    }

    fn new(t: &'static Texts, first: (String, &'static str), next: (String, &'static str)) -> Self {
        Self {
            t,
            first: first.0,
            first_text: first.1,
            next: next.0,
            next_text: next.1,
        }
    }

    /// Whether there is another page after this one.
    pub(super) fn goes_on(&self) -> bool {
        !self.next.is_empty()
    }
}

impl HtmlSafe for Turn {}
