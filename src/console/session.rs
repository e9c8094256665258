//! Who has signed in: sessions in memory, few, and for a working day.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::api::{Actor, Proof};

/// Sessions at a time; a new one ends the one that was used the longest ago.
const SESSIONS_MAX: usize = 64;
/// How long a session lasts, and how long it may be unused.
const AGE_MAX: Duration = Duration::from_secs(12 * 3600);
const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// Random bytes of a session's name, and of a form's token.
const SECRET_BYTES: usize = 32;

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<blake3::Hash, Session>>);

struct Session {
    actor: Actor,
    proof: Proof,
    csrf: String,
    began: Instant,
    used: Instant,
    said: Option<Said>,
}

/// A session, as a page sees it.
#[derive(Clone, Debug)]
pub(super) struct Open {
    key: blake3::Hash,
    /// Who has signed in.
    pub(super) actor: Actor,
    /// What they signed in with.
    pub(super) proof: Proof,
    /// What every form of theirs carries.
    pub(super) csrf: String,
}

/// What the next page tells of what was just done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether all of it was done.
    pub(super) good: bool,
    /// In words, one line each.
    pub(super) lines: Vec<String>,
}

impl Said {
    /// It was done.
    pub(super) fn good(line: impl Into<String>) -> Self {
        let lines = vec![line.into()];
        Self { good: true, lines }
    }

    /// It was not done.
    pub(super) fn bad(line: impl Into<String>) -> Self {
        let lines = vec![line.into()];
        Self { good: false, lines }
    }
}

impl Sessions {
    /// Begins a session; gives its name, which the browser keeps. None when there is no randomness to be had.
    pub(super) fn begin(&self, actor: Actor, proof: Proof) -> Option<String> {
        let (name, csrf) = (secret()?, secret()?);
        let now = Instant::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_good(now));
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|key| sessions.remove(&key));
        }
        let session = Session {
            actor,
            proof,
            csrf,
            began: now,
            used: now,
            said: None,
        };
        // By digest, so that no comparison tells how much of a guess is right.
        sessions.insert(blake3::hash(name.as_bytes()), session);
        Some(name)
    }

    /// The session of this name.
    pub(super) fn open(&self, name: &str) -> Option<Open> {
        let key = blake3::hash(name.as_bytes());
        let now = Instant::now();
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        if !session.is_good(now) {
            sessions.remove(&key);
            return None;
        }
        session.used = now;
        Some(Open {
            key,
            actor: session.actor.clone(),
            proof: session.proof,
            csrf: session.csrf.clone(),
        })
    }

    pub(super) fn end(&self, open: &Open) {
        self.lock().remove(&open.key);
    }

    /// Has the next page say something.
    pub(super) fn say(&self, open: &Open, said: Said) {
        if let Some(session) = self.lock().get_mut(&open.key) {
            session.said = Some(said);
        }
    }

    /// What is to be said, once.
    pub(super) fn said(&self, open: &Open) -> Option<Said> {
        self.lock().get_mut(&open.key)?.said.take()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_good(&self, now: Instant) -> bool {
        now.duration_since(self.began) < AGE_MAX && now.duration_since(self.used) < IDLE_MAX
    }
}

/// A random text that cannot be guessed.
pub(super) fn secret() -> Option<String> {
    let mut random = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(data_encoding::HEXLOWER.encode(&random))
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    // Digests are compared in constant time.
    blake3::hash(one.as_bytes()) == blake3::hash(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    fn actor(name: &str) -> Actor {
        Actor {
            name: name.into(),
            role: Role::Operator,
        }
    }

    #[test]
    fn a_session_is_found_by_its_name_until_it_ends() {
        let sessions = Sessions::default();
        let name = sessions
            .begin(actor("li"), Proof::Token(blake3::hash(b"t")))
            .expect("begins");
        let open = sessions.open(&name).expect("it is open");
        assert_eq!(&*open.actor.name, "li");
        assert!(sessions.open("x").is_none() && sessions.open("").is_none());

        let said = Said {
            good: true,
            lines: vec!["held".into()],
        };
        sessions.say(&open, said.clone());
        assert_eq!(sessions.said(&open), Some(said));
        assert_eq!(sessions.said(&open), None, "it is said once");

        sessions.end(&open);
        assert!(sessions.open(&name).is_none());
    }

    #[test]
    fn there_are_never_more_sessions_than_the_bound() {
        let sessions = Sessions::default();
        let begin =
            |n: usize| sessions.begin(actor(&n.to_string()), Proof::Token(blake3::hash(b"t")));
        let first = begin(0).expect("begins");
        let second = begin(1).expect("begins");
        for n in 2..SESSIONS_MAX {
            begin(n).expect("begins");
        }
        sessions.open(&first).expect("it is used again");
        begin(SESSIONS_MAX).expect("begins");
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert!(sessions.open(&first).is_some(), "it was in use");
        assert!(
            sessions.open(&second).is_none(),
            "it was used the longest ago"
        );
    }

    #[test]
    fn an_old_session_is_over_however_much_it_is_used() {
        let sessions = Sessions::default();
        let name = sessions
            .begin(actor("li"), Proof::Token(blake3::hash(b"t")))
            .expect("begins");
        let Some(long_ago) = Instant::now().checked_sub(AGE_MAX) else {
            panic!("the machine has not run for so long");
        };
        for session in sessions.lock().values_mut() {
            session.began = long_ago;
        }
        assert!(sessions.open(&name).is_none());
    }
}
