//! What may change while a node runs.

use super::{
    Deliver, Spool, Traces,
    settings::{Api, Link, Log, Settings, Unit},
};
use crate::{
    model::{Kinds, Limits, Policy},
    observe::LogLevel,
};

/// What differs between two settings and may be put into force at once. `None` is no change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The new rules.
    pub policy: Option<Policy>,
    /// What a hub is told about units now: whoever is newly blocked is cut off at once.
    pub units: Option<Vec<Unit>>,
    /// The new kinds.
    pub kinds: Option<Kinds>,
    /// The new bounds.
    pub limits: Option<Limits>,
    /// The new level.
    pub log_level: Option<LogLevel>,
    /// The links to the same upstream as before.
    pub links: Option<Vec<Link>>,
    /// The new folders, or that there are none any more.
    pub spool: Option<Option<Spool>>,
    /// Where received messages are posted now, or that they are not any more.
    pub deliver: Option<Option<Deliver>>,
    /// Where it is told what happens to messages now, or that it is not any more.
    pub traces: Option<Option<Traces>>,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A setting that differs and needs a restart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} cannot change from {old} to {new} while the node runs; restart it, or change it back"
)]
pub struct NotReloadable {
    /// The key's path.
    pub key: &'static str,
    /// What is in force.
    pub old: String,
    /// What the file says now.
    pub new: String,
}

impl Settings {
    /// What has to be done for a running node to go from `old` to `new`.
    ///
    /// All or nothing: when something needs a restart, every such setting is named and nothing should be put into force, so that a
    /// node never runs with a mixture that no file describes. Certificates and the token are files of their own and are read anew
    /// on every reload; only where they lie is fixed.
    ///
    /// # Errors
    ///
    /// The settings that need a restart.
    pub fn reloadable_changes(old: &Self, new: &Self) -> Result<Changes, Vec<NotReloadable>> {
        // Taken apart, so that a new setting does not compile until it is placed on one side or the other.
        let Self {
            unit,
            data_dir,
            identity,
            api,
            listen,
            units,
            upstream,
            policy,
            kinds,
            limits,
            // As with certificates: the file is read anew on every reload, whether it is named anew or has changed.
            dictionary: _,
            // All three are let go of and begun anew.
            spool,
            deliver,
            traces,
            log: Log { level, format },
        } = new;
        let fixed = [
            fixed("unit", &old.unit, unit),
            fixed("data-dir", &old.data_dir, data_dir),
            fixed("identity.dir", &old.identity.dir, &identity.dir),
            fixed("api.listen", &old.api.listen, &api.listen),
            fixed(
                "api.tls.listen",
                &old.api.tls.as_ref().map(|tls| tls.listen),
                &api.tls.as_ref().map(|tls| tls.listen),
            ),
            fixed("api.tls.hosts", &hosts(&old.api), &hosts(api)),
            fixed("api.token-file", &old.api.token_file, &api.token_file),
            fixed(
                "listen.address",
                &old.listen.map(|listen| listen.address),
                &listen.map(|listen| listen.address),
            ),
            fixed(
                "upstream.hub",
                &old.upstream.as_ref().map(|upstream| &upstream.hub),
                &upstream.as_ref().map(|upstream| &upstream.hub),
            ),
            fixed("log.format", &old.log.format, format),
        ];
        let fixed: Vec<_> = fixed.into_iter().flatten().collect();
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let links = |settings: &Self| settings.upstream.as_ref().map(|up| up.links.clone());
        Ok(Changes {
            policy: changed(&old.policy, policy),
            units: changed(&old.units, units),
            kinds: changed(&old.kinds, kinds),
            limits: changed(&old.limits, limits),
            log_level: changed(&old.log.level, level),
            links: changed(&links(old), &links(new)).flatten(),
            spool: changed(&old.spool, spool),
            deliver: changed(&old.deliver, deliver),
            traces: changed(&old.traces, traces),
        })
    }
}

fn hosts(api: &Api) -> Option<String> {
    api.tls.as_ref().map(|tls| tls.hosts.join(", "))
}

fn changed<T: Clone + PartialEq>(old: &T, new: &T) -> Option<T> {
    (old != new).then(|| new.clone())
}

fn fixed<T: PartialEq + Shown>(key: &'static str, old: &T, new: &T) -> Option<NotReloadable> {
    (old != new).then(|| NotReloadable {
        key,
        old: old.shown(),
        new: new.shown(),
    })
}

/// How a setting is shown to people.
trait Shown {
    fn shown(&self) -> String;
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or("nothing".to_owned(), Shown::shown)
    }
}

impl<T: Shown> Shown for &T {
    fn shown(&self) -> String {
        (*self).shown()
    }
}

impl Shown for std::path::PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

macro_rules! shown {
    ($($type:ty),*) => {$(
        impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

shown!(
    String,
    crate::model::UnitId,
    std::net::SocketAddr,
    crate::observe::LogFormat
);

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = include_str!("../../config/hub.toml");
    const EDGE: &str = include_str!("../../config/edge.toml");

    fn good(text: &str) -> Settings {
        let parsed = Settings::parse(text, std::path::Path::new("node.toml"));
        parsed.expect("a good configuration").0
    }

    #[test]
    fn what_may_change_while_a_node_runs_is_told_from_what_may_not() {
        let old = good(EDGE);
        assert!(
            Settings::reloadable_changes(&old, &old)
                .expect("the same")
                .is_empty()
        );

        let new = good(
            &EDGE
                .replace("#level = \"info\"", "level = \"debug\"")
                .replace("#message-kib = 1024", "message-kib = 512")
                .replace("#[[kind]]", "[[kind]]\nname = 'x'")
                .replace("to = \"hebi.**\"", "to = \"hebi.police\"")
                .replace("10.1.0.1", "10.1.0.9"),
        );
        let changes = Settings::reloadable_changes(&old, &new).expect("reloadable");
        assert_eq!(
            changes,
            Changes {
                policy: Some(new.policy.clone()),
                units: None,
                kinds: Some(new.kinds.clone()),
                limits: Some(new.limits),
                log_level: Some(LogLevel::Debug),
                links: new.upstream.as_ref().map(|upstream| upstream.links.clone()),
                ..Changes::default()
            }
        );
        let hub = good(HUB);
        let blocked = good(&HUB.replace("#blocked = false", "blocked = true"));
        let changes = Settings::reloadable_changes(&hub, &blocked).expect("reloadable");
        assert!(changes.units.expect("units")[0].blocked);

        let fixed = Settings::reloadable_changes(
            &old,
            &good(
                &EDGE
                    .replace("/var/lib/casegate", "/srv/casegate")
                    .replace(
                        "#listen = \"127.0.0.1:8440\"",
                        "listen = \"127.0.0.1:8441\"",
                    )
                    .replace("hebi.hub", "jiyuan.hub")
                    .replace("#level = \"info\"", "level = \"debug\""),
            ),
        )
        .expect_err("needs a restart");
        let shown: Vec<_> = fixed.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert_eq!(
            shown[0],
            "data-dir cannot change from /var/lib/casegate to /srv/casegate while the node runs; restart it, or change it back"
        );
        let keys: Vec<_> = fixed.iter().map(|fixed| fixed.key).collect();
        assert_eq!(keys, ["data-dir", "api.listen", "upstream.hub"]);
        assert!(Settings::reloadable_changes(&old, &hub).is_err());
    }
}
