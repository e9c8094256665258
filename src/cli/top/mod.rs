//! `casegate top`: a node as it is, on a terminal, until somebody has seen enough.
//!
//! A thread looks at the node once a second (`node`), what follows from that is worked out (`model`, `warnings`), keys choose what is
//! seen of it (`view`), and it is drawn (`draw`, `panes`, `columns`, `theme`). Only this file touches the terminal.

mod columns;
mod draw;
mod figures;
mod model;
mod node;
mod panes;
#[cfg(test)]
mod tests;
mod theme;
mod view;
mod warnings;

use std::{
    io::{self, IsTerminal as _},
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use self::{
    draw::draw,
    model::{Model, Picture},
    theme::Theme,
    view::View,
};
use super::{
    client::{ApiOptions, Client},
    exit::{CANNOT_CREATE, Failure, INTERNAL},
    stop::stop_flag,
    texts::{fill, language, t},
};

/// How often the node is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long keys are waited for before news are drawn.
const KEYS_WITHIN: Duration = Duration::from_millis(200);
/// Looks that nobody has drawn yet.
const LOOKS_WAITING_MAX: usize = 4;

/// Watch a node's links, queues and attachments on a terminal
#[derive(Debug, Args)]
#[command(
    long_about = "Watch a node on a terminal, once a second: what somebody should look at; its links with state, round trip, loss, \
                  rate and budget; what waits for each neighbour by lane, how old it is and when it will be gone; attachments on \
                  their way. Narrow terminals show fewer columns.",
    after_help = "Keys: q leaves, Tab goes to the next pane, arrows or j and k scroll it, p pauses, ? explains.\n\n\
        Examples:\n  \
        casegate top\n  \
        casegate top --api http://127.0.0.1:8441\n  \
        NO_COLOR=1 casegate top\n\n\
        `casegate status` prints the same once, for scripts with --json."
)]
pub struct TopCommand {
    #[command(flatten)]
    api: ApiOptions,
}

impl TopCommand {
    /// Shows the node until it is told to end.
    ///
    /// # Errors
    /// There is no terminal, or the node cannot be seen at the beginning. One that goes away later is waited for.
    pub fn run(self) -> Result<(), Failure> {
        if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
            return Err(Failure::new(CANNOT_CREATE, t().top_no_terminal));
        }
        let client = Client::new(&self.api)?.speaking(language());
        let mut model = Model::default();
        let first = model.take(node::look(&client)?, 0.0);
        let view = View::new(self.api.api.to_string(), first, Timestamp::now());
        let stop = stop_flag()?;
        let looks = watch(client, model)?;
        let mut screen = Screen::open()?;
        let ended = screen.show(view, &looks, || stop.load(Ordering::Relaxed));
        drop(screen);
        ended
    }
}

/// What a look gave, or why there was none.
type Looked = Result<Picture, String>;

/// Looks at the node again and again, in a thread of its own: an answer may be long in coming.
fn watch(client: Client, mut model: Model) -> Result<Receiver<Looked>, Failure> {
    let (tell, looks) = sync_channel(LOOKS_WAITING_MAX);
    let mut look_on = move |tell: SyncSender<Looked>| {
        let mut before = Instant::now();
        loop {
            thread::sleep(LOOK_EVERY);
            let looked = node::look(&client).map_err(|failure| failure.to_string());
            let looked = looked.map(|look| {
                let seconds = before.elapsed().as_secs_f64();
                before = Instant::now();
                model.take(look, seconds)
            });
            if tell.send(looked).is_err() {
                break;
            }
        }
    };
    let thread = thread::Builder::new().name("looks".into());
    thread
        .spawn(move || look_on(tell))
        .map_err(|error| Failure::new(INTERNAL, fill(t().no_thread, &[&error])))?;
    Ok(looks)
}

/// A terminal that is ours as long as this lives; it is given back however that ends, by a panic too.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(|error| {
            ratatui::restore();
            lost(&error)
        })
    }

    /// Draws until a key or a signal says to leave.
    fn show(
        &mut self,
        mut view: View,
        looks: &Receiver<Looked>,
        is_to_stop: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let theme = Theme::from_surroundings();
        while !is_to_stop() {
            loop {
                match looks.try_recv() {
                    Ok(looked) => view.take(looked, Timestamp::now()),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        return Err(Failure::new(INTERNAL, t().top_ended));
                    }
                }
            }
            let mut last = view.scrolled;
            let drawn = self
                .0
                .draw(|frame| last = draw(frame, &view, theme, Timestamp::now()));
            drawn.map_err(|error| lost(&error))?;
            view.keep_within(last);
            let mut within = KEYS_WITHIN;
            while event::poll(within).map_err(|error| lost(&error))? {
                within = Duration::ZERO;
                if let Event::Key(key) = event::read().map_err(|error| lost(&error))?
                    && !view.press(key)
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::new(CANNOT_CREATE, fill(t().top_undrawn, &[error]))
}
