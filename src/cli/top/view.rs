//! What somebody who looks has chosen to see, and what keys do.

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    super::texts::{Texts, t},
    model::Picture,
};

/// Rows that a page key moves.
const PAGE: usize = 10;

/// A part of the screen that scrolls by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Warnings,
    Links,
    Queues,
    Attachments,
}

impl Pane {
    /// From top to bottom.
    pub(super) const ALL: [Self; 4] =
        [Self::Warnings, Self::Links, Self::Queues, Self::Attachments];
}

/// All that decides what is drawn, beside the time and the screen's size.
#[derive(Debug)]
pub(super) struct View {
    /// What is said on it.
    pub(super) t: &'static Texts,
    /// Where the node is.
    pub(super) api: String,
    /// The node as it was last seen.
    pub(super) picture: Picture,
    /// When that was.
    pub(super) answered: Timestamp,
    /// Why it cannot be seen now.
    pub(super) trouble: Option<String>,
    /// Whether it stays as it is.
    pub(super) paused: bool,
    /// Whether keys are explained.
    pub(super) help: bool,
    /// The pane that keys scroll.
    pub(super) pane: Pane,
    /// The first row that is shown of each.
    pub(super) scrolled: [usize; Pane::ALL.len()],
}

impl View {
    /// A view of a node that has just been seen.
    pub(super) fn new(api: String, picture: Picture, now: Timestamp) -> Self {
        Self {
            t: t(),
            api,
            picture,
            answered: now,
            trouble: None,
            paused: false,
            help: false,
            pane: Pane::Links,
            scrolled: [0; Pane::ALL.len()],
        }
    }

    /// Takes in what a look gave, or why there was none.
    pub(super) fn take(&mut self, looked: Result<Picture, String>, now: Timestamp) {
        match looked {
            _ if self.paused => {}
            Ok(picture) => {
                self.picture = picture;
                self.answered = now;
                self.trouble = None;
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    /// Does what a key says; false: it says to leave.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return false,
            _ if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Tab => self.go(1),
            KeyCode::BackTab => self.go(Pane::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(|row| row.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(|row| row.saturating_sub(1)),
            KeyCode::PageDown => self.scroll(|row| row.saturating_add(PAGE)),
            KeyCode::PageUp => self.scroll(|row| row.saturating_sub(PAGE)),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(|_| 0),
            KeyCode::End | KeyCode::Char('G') => self.scroll(|_| usize::MAX),
            _ => {}
        }
        true
    }

    /// Takes the panes back to the last rows that they can begin with.
    pub(super) fn keep_within(&mut self, last: [usize; Pane::ALL.len()]) {
        for (row, last) in self.scrolled.iter_mut().zip(last) {
            *row = (*row).min(last);
        }
    }

    /// The time that ages are told by.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        match self.paused {
            true => self.answered,
            false => now,
        }
    }

    fn go(&mut self, steps: usize) {
        let all = Pane::ALL;
        let at = (self.pane as usize + steps) % all.len();
        self.pane = all.get(at).copied().unwrap_or(Pane::Links);
    }

    fn scroll(&mut self, to: impl Fn(usize) -> usize) {
        if let Some(row) = self.scrolled.get_mut(self.pane as usize) {
            *row = to(*row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let picture = Picture::default();
        View::new(
            "http://127.0.0.1:8440".into(),
            picture,
            Timestamp::UNIX_EPOCH,
        )
    }

    fn press(view: &mut View, code: KeyCode) -> bool {
        view.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_scroll_the_pane_that_tab_has_chosen_and_no_further_than_it_goes() {
        let mut view = view();
        for code in [
            KeyCode::Down,
            KeyCode::Char('j'),
            KeyCode::PageDown,
            KeyCode::Up,
        ] {
            assert!(press(&mut view, code));
        }
        assert_eq!(view.scrolled, [0, PAGE + 1, 0, 0]);
        press(&mut view, KeyCode::Tab);
        press(&mut view, KeyCode::End);
        view.keep_within([0, 3, 7, 0]);
        assert_eq!((view.pane, view.scrolled), (Pane::Queues, [0, 3, 7, 0]));
        press(&mut view, KeyCode::Char('k'));
        assert_eq!(view.scrolled, [0, 3, 6, 0]);
        press(&mut view, KeyCode::BackTab);
        press(&mut view, KeyCode::BackTab);
        assert_eq!(view.pane, Pane::Warnings);
        press(&mut view, KeyCode::BackTab);
        assert_eq!(view.pane, Pane::Attachments);
    }

    #[test]
    fn a_pause_keeps_the_picture_and_its_time_until_it_ends() {
        let mut view = view();
        let later = Timestamp::from_second(9).expect("a time");
        press(&mut view, KeyCode::Char('p'));
        view.take(Err("gone".into()), later);
        view.take(Ok(Picture::default()), later);
        assert_eq!(
            (view.time(later), &view.trouble),
            (Timestamp::UNIX_EPOCH, &None)
        );
        press(&mut view, KeyCode::Char('p'));
        view.take(Err("gone".into()), later);
        assert_eq!(view.answered, Timestamp::UNIX_EPOCH);
        assert_eq!(view.trouble.as_deref(), Some("gone"));
        view.take(Ok(Picture::default()), later);
        assert_eq!((view.answered, &view.trouble), (later, &None));
    }

    #[test]
    fn any_key_ends_the_help_and_q_escape_and_control_c_leave() {
        let mut view = view();
        press(&mut view, KeyCode::Char('?'));
        assert!(view.help);
        assert!(press(&mut view, KeyCode::Char('q')));
        assert!(!view.help);
        assert!(!press(&mut view, KeyCode::Char('q')) && !press(&mut view, KeyCode::Esc));
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(!view.press(control));
        press(&mut view, KeyCode::Char('?'));
        assert!(!view.press(control));
    }
}
