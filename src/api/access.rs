//! Who asks, and what they may do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::http::{HeaderMap, StatusCode};

use super::{
    door::Door,
    problem::Problem,
    token::{self, Token},
};
use crate::model::{Role, Sha256};

/// Somebody whom a token or a certificate, or a session that began with one, has told from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Their name, as the audit log has it.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
}

impl Actor {
    /// What whoever bears `operator.token` is called.
    pub const OPERATOR: &'static str = "operator";

    /// Somebody.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self {
            name: name.into(),
            role,
        }
    }
}

/// What a session of somebody's began with: when that is nobody's any more, the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The digest of a token.
    Token(blake3::Hash),
    /// A certificate.
    Certificate(Sha256),
}

/// Who is let in, and as whom. All copies are one, so that a reload changes what the API goes by.
#[derive(Clone, Debug)]
pub struct Access(Arc<RwLock<Rules>>);

#[derive(Clone, Debug)]
struct Rules {
    /// What applications must bear; none: they need nothing.
    application: Option<Token>,
    /// A handful: each is compared, so that the time says nothing of which it is.
    actors: Vec<(Token, Actor)>,
    /// Whose certificate is whose.
    holders: Vec<(Sha256, Actor)>,
    show_bodies: bool,
}

/// A file that should hold a token does not.
#[derive(Debug, thiserror::Error)]
#[error("{}: no token can be had from it: {error}", path.display())]
pub struct TokenError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub error: io::Error,
}

impl Access {
    /// Only whoever bears `operator` may act; everybody may look, and no body is shown.
    pub fn new(operator: Token) -> Self {
        let administrator = Actor::new(Actor::OPERATOR, Role::Administrator);
        Self(Arc::new(RwLock::new(Rules {
            application: None,
            actors: vec![(operator, administrator)],
            holders: Vec::new(),
            show_bodies: false,
        })))
    }

    /// Reads the tokens: the operators' own in `operator`, which is made when it is not there, that of applications, if any, and those
    /// of `others`.
    ///
    /// # Errors
    /// A file cannot be read, or holds no token or one that another holds as well.
    pub fn load(
        operator: &Path,
        application: Option<&Path>,
        others: &[(Actor, PathBuf)],
        show_bodies: bool,
    ) -> Result<Self, TokenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |error| TokenError { path, error }
        };
        let access = Self::new(Token::read_or_create(operator).map_err(failed(operator))?);
        if let Some(path) = application {
            access.require(Token::read(path).map_err(failed(path))?);
        }
        for (actor, file) in others {
            let token = Token::read(file).map_err(failed(file))?;
            if !access.add(token, actor.clone()) {
                let error = "another file holds the same token; every name needs one of its own";
                return Err(failed(file)(io::Error::other(error)));
            }
        }
        access.show_bodies(show_bodies);
        Ok(access)
    }

    /// Goes by what `new` says from now on.
    pub fn replace(&self, new: &Self) {
        let new = new.read(Clone::clone);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Every call but a probe must bear `token`, or that of somebody who may make it.
    pub fn require(&self, token: Token) {
        self.change(|rules| rules.application = Some(token));
    }

    /// Lets somebody in who bears `token`. False when somebody bears it already.
    pub fn add(&self, token: Token, actor: Actor) -> bool {
        self.change(|rules| {
            let mut taken = rules.actors.iter().map(|(token, _)| token);
            let is_new = Some(&token) != rules.application.as_ref() && taken.all(|t| *t != token);
            if is_new {
                rules.actors.push((token, actor));
            }
            is_new
        })
    }

    /// Lets somebody in who shows this certificate to the network's door.
    pub fn hold(&self, certificate: Sha256, actor: Actor) {
        self.change(|rules| rules.holders.push((certificate, actor)));
    }

    /// Whether any certificate is somebody's.
    pub(super) fn has_holders(&self) -> bool {
        self.read(|rules| !rules.holders.is_empty())
    }

    /// Who showed their certificate at this door, and the proof with which a session of theirs begins.
    pub fn holder(&self, door: Door) -> Option<(Actor, Proof)> {
        let shown = door.certificate()?;
        self.read(|rules| {
            let known = rules.holders.iter().find(|(known, _)| *known == shown);
            known.map(|(_, actor)| (actor.clone(), Proof::Certificate(shown)))
        })
    }

    /// Whether operators may see what messages say.
    pub fn show_bodies(&self, show: bool) {
        self.change(|rules| rules.show_bodies = show);
    }

    /// Who bears this token, if it is somebody's: what a request or a login offers, without `Bearer `. Whoever it is, it takes the same
    /// time.
    pub fn actor(&self, bearer: &[u8]) -> Option<Actor> {
        let offered = blake3::hash(bearer);
        self.read(|rules| {
            let mut found = None;
            for (token, actor) in &rules.actors {
                if token.has_digest(&offered) {
                    found = Some(actor);
                }
            }
            found.cloned()
        })
    }

    /// Whether this is still the proof of this actor, in this role.
    pub fn is_still(&self, actor: &Actor, proof: &Proof) -> bool {
        self.read(|rules| match proof {
            Proof::Token(digest) => {
                let mut all = rules.actors.iter();
                all.any(|(token, known)| token.has_digest(digest) && known == actor)
            }
            Proof::Certificate(shown) => {
                let mut all = rules.holders.iter();
                all.any(|(certificate, known)| certificate == shown && known == actor)
            }
        })
    }

    /// Whether operators may see what messages say.
    pub(super) fn bodies_are_shown(&self) -> bool {
        self.read(|rules| rules.show_bodies)
    }

    /// Who sent a request. A token says more than a certificate, which a browser shows unasked.
    pub(super) fn caller(&self, headers: &HeaderMap, door: Door) -> Caller {
        let Some(bearer) = token::borne(headers) else {
            return match (self.holder(door), door.certificate()) {
                (Some((actor, _)), _) => Caller::Actor(actor),
                (None, Some(_)) => Caller::Stranger,
                (None, None) => Caller::Nobody,
            };
        };
        if let Some(actor) = self.actor(bearer) {
            return Caller::Actor(actor);
        }
        let offered = blake3::hash(bearer);
        let is_application =
            self.read(|rules| rules.application.is_some_and(|t| t.has_digest(&offered)));
        if is_application {
            Caller::Application
        } else {
            Caller::Stranger
        }
    }

    /// Whether applications need a token.
    pub(super) fn is_closed(&self) -> bool {
        self.read(|rules| rules.application.is_some())
    }

    fn read<T>(&self, look: impl FnOnce(&Rules) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Rules) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who sent a request, as far as its token or the client's certificate tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// It bears no token, and no certificate was shown.
    Nobody,
    /// What it bears, or was shown, is nobody's.
    Stranger,
    /// One of the machine's applications.
    Application,
    /// A person, or what acts for one.
    Actor(Actor),
}

impl Caller {
    /// What the audit log calls them.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Nobody | Self::Stranger => "-",
            Self::Application => "application",
            Self::Actor(actor) => &actor.name,
        }
    }

    /// Who it is, if they may do what needs this role.
    pub(super) fn must_be(&self, role: Role) -> Result<&Actor, Problem> {
        let an = if role == Role::Viewer { "a" } else { "an" };
        match self {
            Self::Actor(actor) if actor.role >= role => Ok(actor),
            Self::Actor(actor) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "role",
                "the token's role does not allow it",
                format!(
                    "{} is {}, and this needs {an} {role}; ask an administrator, or show another token",
                    actor.name, actor.role
                ),
            )
            .about("authorization")),
            Self::Nobody => Err(unauthorized(&needed(an, role))),
            Self::Stranger | Self::Application => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "not-operator",
                "the token is not an operator's",
                needed(an, role),
            )),
        }
    }
}

fn needed(an: &str, role: Role) -> String {
    format!(
        "this needs the token of {an} {role}: of operator.token in the node's data-dir, or of an [[api.token]], \
         as \"Authorization: Bearer TOKEN\", or, with TLS, the certificate of an [[api.certificate]]"
    )
}

pub(super) fn unauthorized(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the request bears no valid token",
        detail,
    )
    .about("authorization")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(letter: &str) -> Token {
        Token::new(&letter.repeat(32)).expect("a token")
    }

    fn caller(access: &Access, letter: &str) -> Caller {
        let mut headers = HeaderMap::new();
        let value = format!("Bearer {}", letter.repeat(32));
        headers.insert("authorization", value.parse().expect("a value"));
        access.caller(&headers, Door::Loopback)
    }

    #[test]
    fn a_token_tells_who_asks_and_the_role_what_they_may() {
        let access = Access::new(token("o"));
        access.require(token("a"));
        let roles = [("v", Role::Viewer), ("w", Role::Operator)];
        for (letter, role) in roles {
            assert!(access.add(token(letter), Actor::new(format!("li.{letter}"), role)));
        }
        for taken in ["o", "a", "v"] {
            assert!(!access.add(token(taken), Actor::new("twice", Role::Administrator)));
        }
        let slug = |letter: &str, role| {
            let caller = caller(&access, letter);
            caller
                .must_be(role)
                .map(|a| a.name.to_string())
                .map_err(|p| p.slug())
        };
        assert_eq!(slug("v", Role::Viewer), Ok("li.v".into()));
        assert_eq!(slug("v", Role::Operator), Err("role"));
        assert_eq!(slug("w", Role::Operator), Ok("li.w".into()));
        assert_eq!(slug("w", Role::Administrator), Err("role"));
        assert_eq!(slug("o", Role::Administrator), Ok("operator".into()));
        assert_eq!(slug("a", Role::Viewer), Err("not-operator"));
        assert_eq!(slug("x", Role::Viewer), Err("not-operator"));
        assert_eq!(
            Caller::Nobody.must_be(Role::Viewer).map_err(|p| p.slug()),
            Err("unauthorized")
        );
    }

    #[test]
    fn tokens_are_read_from_their_files_and_replaced_as_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, letter: &str| {
            std::fs::write(path(name), format!("{}\n", letter.repeat(40))).expect("writes");
            path(name)
        };
        let named = |name: &str, file| (Actor::new(name, Role::Operator), file);
        let li = named("li.wei", write("li", "l"));
        let twin = named("twin", write("twin", "l"));
        let own = path("operator.token");
        let refused = Access::load(&own, None, &[li.clone(), twin], false).expect_err("twice");
        assert!(refused.to_string().contains("twin"), "{refused}");
        let absent = named("absent", path("absent"));
        Access::load(&own, None, &[absent], false).expect_err("not there");

        let access = Access::load(&own, None, &[li], true).expect("loads");
        let copy = access.clone();
        assert_eq!(
            copy.actor("l".repeat(40).as_bytes()),
            Some(Actor::new("li.wei", Role::Operator))
        );
        assert!(copy.bodies_are_shown());
        access.replace(&Access::load(&own, None, &[], false).expect("loads"));
        assert_eq!(copy.actor("l".repeat(40).as_bytes()), None);
        assert!(!copy.bodies_are_shown());
        let text = std::fs::read_to_string(&own).expect("made");
        let operator = copy.actor(text.trim().as_bytes()).expect("the operator");
        assert_eq!(&*operator.name, "operator");
    }
}
