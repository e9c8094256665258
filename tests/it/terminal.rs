//! A terminal for tests: a command runs in a real pseudo-terminal, and what it draws is read off an emulated screen.

use std::{
    io::{Read as _, Write as _},
    num::NonZero,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use pty_process::{
    Size,
    blocking::{Pty, open},
};
use rustix::termios::{LocalModes, tcgetattr};

use crate::processes::until;

/// The screen's size.
const ROWS: u16 = 24;
const COLUMNS: u16 = 100;

/// A command in a terminal of its own.
pub(crate) struct InTerminal {
    terminal: Arc<Pty>,
    screen: Arc<Mutex<vt100::Parser>>,
    pub(crate) process: Child,
}

impl InTerminal {
    /// Starts it.
    pub(crate) fn start(command: Command) -> Self {
        let (terminal, inside) = open().expect("a pseudo-terminal");
        terminal.resize(Size::new(ROWS, COLUMNS)).expect("a size");
        let process = pty_process::blocking::Command::from(command).spawn(inside);
        let terminal = Arc::new(terminal);
        let [rows, columns] = [ROWS, COLUMNS].map(|size| NonZero::new(size).expect("a size"));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (reads, draws) = (terminal.clone(), screen.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with the terminal.
            while let Ok(read @ 1..) = (&*reads).read(&mut bytes) {
                lock(&draws).process(&bytes[..read]);
            }
        });
        Self {
            terminal,
            screen,
            process: process.expect("it starts"),
        }
    }

    /// Types this.
    pub(crate) fn type_in(&self, keys: &str) {
        (&*self.terminal).write_all(keys.as_bytes()).expect("typed");
    }

    /// The screen's text.
    pub(crate) fn text(&self) -> String {
        lock(&self.screen).screen().contents()
    }

    /// Waits until the text fits.
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let _told = OnFailure(&self.screen);
        until(what, || fits(&self.text()));
    }

    /// Whether anything on the screen has a colour.
    pub(crate) fn is_coloured(&self) -> bool {
        let parser = lock(&self.screen);
        let screen = parser.screen();
        let cells = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column)));
        let mut cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells.any(|cell| [cell.fgcolor(), cell.bgcolor()] != [vt100::Color::Default; 2])
    }

    /// Whether a program has the terminal to itself: another screen, no cursor, keys as they are pressed. None: partly.
    pub(crate) fn is_taken(&self) -> Option<bool> {
        let modes = tcgetattr(&*self.terminal).expect("its modes").local_modes;
        let parser = lock(&self.screen);
        let screen = parser.screen();
        let signs = [
            screen.alternate_screen(),
            screen.hide_cursor(),
            !modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
        ];
        match signs {
            [true, true, true] => Some(true),
            [false, false, false] => Some(false),
            _ => None,
        }
    }

    /// Waits until the process has ended and the terminal is as it was; gives its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let status = self.process.wait().expect("a status");
        until("the terminal is given back", || {
            self.is_taken() == Some(false)
        });
        status.code()
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        // A test that has failed leaves no process behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells what is on a screen when a wait has failed.
struct OnFailure<'a>(&'a Mutex<vt100::Parser>);

impl Drop for OnFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the screen:\n{}", lock(self.0).screen().contents());
        }
    }
}

fn lock(screen: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
