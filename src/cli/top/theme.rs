//! How things look. Each state is also told by a word, so that nothing is lost without colours.

use ratatui::style::{Color, Modifier, Style};

/// What a text says of what it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// It is as it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// It has gone wrong.
    Bad,
    /// It is not what one looks for.
    Faint,
    /// It is the name of what stands under it.
    Head,
}

/// With colours or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    colours: bool,
}

impl Theme {
    /// Colours, unless `NO_COLOR` is set and not empty (no-color.org).
    pub(super) fn from_surroundings() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: !unwanted }
    }

    #[cfg(test)]
    pub(super) const fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// The style of a tone.
    pub(super) fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (None, Modifier::empty()),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Warn => (Some(Color::Yellow), Modifier::empty()),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
            Tone::Faint => (None, Modifier::DIM),
            Tone::Head => (None, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        match colour {
            Some(colour) if self.colours => style.fg(colour),
            _ => style,
        }
    }

    /// The style of a bar over the whole width.
    pub(super) fn bar(self, tone: Tone) -> Style {
        self.style(tone).add_modifier(Modifier::REVERSED)
    }
}
