//! What lies in a folder and does not change any more.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::sidecar::SUFFIX;

/// How long a file must stay as it is before it is taken: whoever writes it slowly writes it under another name.
const STEADY: Duration = Duration::from_secs(1);
/// How long a file that needs a sidecar waits for one.
const SIDECAR_WITHIN: Duration = Duration::from_secs(10);
/// Files that one look at a folder sees; the others come next.
const SEEN_MAX: usize = 10_000;
/// Names of files that are not whole yet; so are those that begin with a dot.
const UNFINISHED: [&str; 2] = [".part", ".tmp"];

/// A folder that is looked into again and again.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    /// Files say themselves to whom they go.
    needs_sidecars: bool,
    seen: HashMap<OsString, Seen>,
}

/// A file that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name.
    pub(super) name: OsString,
    /// The name of its sidecar, when it has one.
    pub(super) sidecar: Option<OsString>,
    /// When it was written.
    pub(super) modified: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: (u64, u64, SystemTime),
    /// It has been like this at least since then.
    since: Instant,
}

impl Watch {
    pub(super) fn new(path: &Path, needs_sidecars: bool) -> Self {
        Self {
            path: path.to_owned(),
            needs_sidecars,
            seen: HashMap::new(),
        }
    }

    /// Looks into the folder. What can be taken, the oldest first.
    pub(super) fn look(&mut self, now: Instant) -> io::Result<Vec<Found>> {
        let mut seen = HashMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_unfinished(&name) {
                continue;
            }
            let about = match entry.metadata() {
                Ok(about) if about.is_dir() => continue,
                Ok(about) => about,
                // Its owner has thought better of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let stamp = (about.ino(), about.len(), about.modified()?);
            let before = self.seen.get(&name).filter(|before| before.stamp == stamp);
            let since = before.map_or(now, |before| before.since);
            seen.insert(name, Seen { stamp, since });
            if seen.len() == SEEN_MAX {
                break;
            }
        }
        self.seen = seen;
        let mut found: Vec<_> = self
            .seen
            .iter()
            .filter_map(|(name, seen)| self.ready(name, seen, now))
            .collect();
        found.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        Ok(found)
    }

    fn ready(&self, name: &OsStr, seen: &Seen, now: Instant) -> Option<Found> {
        if ends_with(name, SUFFIX) {
            return None;
        }
        let steady = |seen: &Seen| now.saturating_duration_since(seen.since) >= STEADY;
        let mut sidecar = name.to_owned();
        sidecar.push(SUFFIX);
        let is_ready = match self.seen.get(&sidecar) {
            Some(with) => steady(seen) && steady(with),
            None if self.needs_sidecars && !ends_with(name, ".json") => {
                now.saturating_duration_since(seen.since) >= SIDECAR_WITHIN
            }
            None => steady(seen),
        };
        is_ready.then(|| Found {
            sidecar: self.seen.contains_key(&sidecar).then_some(sidecar),
            name: name.to_owned(),
            modified: seen.stamp.2,
        })
    }
}

fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || UNFINISHED.iter().any(|end| ends_with(name, end))
}

/// Letters without regard to case.
fn ends_with(name: &OsStr, end: &str) -> bool {
    let name = name.as_encoded_bytes();
    let at = name.len().checked_sub(end.len());
    let tail = at.and_then(|at| name.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        folder: tempfile::TempDir,
        start: Instant,
        watch: Watch,
    }

    impl World {
        fn new(needs_sidecars: bool) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self {
                watch: Watch::new(folder.path(), needs_sidecars),
                start: Instant::now(),
                folder,
            }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).expect("written");
        }

        /// What can be taken so many milliseconds after the start.
        fn at(&mut self, ms: u64) -> Vec<String> {
            let found = self.watch.look(self.start + Duration::from_millis(ms));
            let names = found.expect("a look").into_iter();
            names
                .map(|found| match found.sidecar {
                    Some(_) => format!("{}+", found.name.display()),
                    None => found.name.display().to_string(),
                })
                .collect()
        }
    }

    #[test]
    fn a_file_is_ready_when_it_has_not_changed_for_a_while() {
        let mut world = World::new(false);
        world.write("a", "1");
        assert!(world.at(0).is_empty());
        assert!(world.at(999).is_empty());
        world.write("a", "12");
        assert!(world.at(1500).is_empty(), "it grows");
        assert!(world.at(2400).is_empty());
        assert_eq!(world.at(2500), ["a"]);
    }

    #[test]
    fn what_says_that_it_is_not_whole_is_let_alone() {
        let mut world = World::new(false);
        for name in [".a", "b.part", "c.tmp", "d.TMP", "e"] {
            world.write(name, "1");
        }
        fs::create_dir(world.folder.path().join("sent")).expect("a folder");
        world.at(0);
        assert_eq!(world.at(60_000), ["e"]);
    }

    #[test]
    fn a_file_and_its_sidecar_are_taken_together() {
        let mut world = World::new(true);
        world.write("a.pdf", "1");
        world.write("event.json", "{}");
        world.write("b.json", "{}");
        world.write("b.json.casegate.json", "{}");
        world.at(0);
        assert_eq!(world.at(1000).len(), 2);
        world.write("a.pdf.casegate.json", "{}");
        assert_eq!(world.at(2000).len(), 2, "its sidecar is new");
        let mut all = world.at(3000);
        all.sort();
        assert_eq!(all, ["a.pdf+", "b.json+", "event.json"]);

        world.write("lone.pdf", "1");
        world.at(4000);
        assert!(!world.at(13_999).contains(&"lone.pdf".to_owned()));
        assert!(world.at(14_000).contains(&"lone.pdf".to_owned()));
    }
}
