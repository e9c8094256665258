//! Where a file is on its way: `.taken/NAME/` while it is sent, then `sent/` or `failed/`.
//!
//! In its folder below `.taken` a file is called `data`, and what goes with it `sidecar`. `event` is what is, or was, submitted, and `failure`
//! why it cannot be sent. What is there tells how far it was:
//!
//! | there is | then |
//! | --- | --- |
//! | `failure` | it goes to `failed`; without `data` it is there |
//! | `event` and no `data` | it is in `sent` |
//! | `data` | it is to be sent |
//! | none of these | it was not taken: its sidecar goes back |

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    files::{Access, free_name, short, sync},
    sidecar::SUFFIX,
    watch::Found,
};

/// Files in `failed` until no more are taken.
const FAILED_MAX: usize = 10_000;
/// What the name of a result ends with.
pub(super) const RESULT: &str = ".result.json";

/// A folder into which files are dropped, and those that the node makes in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The folder.
    pub(super) path: PathBuf,
    /// What the node's files in it are like.
    pub(super) access: Access,
}

/// A file that was taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Its name, as its owner gave it.
    pub(super) name: String,
    folder: PathBuf,
}

impl Taken {
    /// The file.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What goes with it.
    pub(super) fn sidecar(&self) -> PathBuf {
        self.folder.join("sidecar")
    }

    /// The event that was made of it.
    pub(super) fn event(&self) -> PathBuf {
        self.folder.join("event")
    }

    fn failure(&self) -> PathBuf {
        self.folder.join("failure")
    }

    /// Keeps the event, for good.
    pub(super) fn keep_event(&self, access: Access, event: &[u8]) -> io::Result<()> {
        access.put(&self.folder, "event", event)?;
        sync(&self.folder)
    }

    /// Why it cannot be sent, when that was found out already.
    pub(super) fn known_failure(&self) -> Option<String> {
        fs::read_to_string(self.failure()).ok()
    }

    /// Nothing is left of it here.
    fn remove(&self) -> io::Result<()> {
        for path in [self.sidecar(), self.event(), self.failure()] {
            gone(fs::remove_file(path))?;
        }
        // What a crash has left unfinished.
        for entry in fs::read_dir(&self.folder)? {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_dir(&self.folder)
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl Place {
    fn below(&self) -> PathBuf {
        self.path.join(".taken")
    }

    /// Where what was sent is.
    pub(super) fn sent(&self) -> PathBuf {
        self.path.join("sent")
    }

    /// Where what cannot be sent is.
    pub(super) fn failed(&self) -> PathBuf {
        self.path.join("failed")
    }

    /// Makes the folders.
    pub(super) fn prepare(&self) -> io::Result<()> {
        for path in [self.path.clone(), self.below(), self.sent(), self.failed()] {
            self.access.make_folder(&path)?;
        }
        Ok(())
    }

    /// Whether there is room for what cannot be sent.
    pub(super) fn has_room(&self) -> io::Result<bool> {
        Ok(fs::read_dir(self.failed())?.take(FAILED_MAX).count() < FAILED_MAX)
    }

    /// Takes a file; nothing while another one of its name is on its way, or when it has gone.
    pub(super) fn take(&self, found: &Found) -> io::Result<Option<Taken>> {
        let name = found.name.to_string_lossy().into_owned();
        let folder = self.below().join(short(&name));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        }
        let taken = Taken { name, folder };
        // The sidecar first: with `data` everything is there.
        let mut moved = Ok(());
        if let Some(sidecar) = &found.sidecar {
            moved = fs::rename(self.path.join(sidecar), taken.sidecar());
            moved = moved.and_then(|()| sync(&taken.folder));
        }
        moved = moved.and_then(|()| fs::rename(self.path.join(&found.name), taken.data()));
        match moved {
            Ok(()) => {
                sync(&taken.folder)?;
                Ok(Some(taken))
            }
            Err(error) => {
                self.put_back(&taken)?;
                match error.kind() {
                    io::ErrorKind::NotFound => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// What was on its way when the process ended, the oldest first. What was not taken altogether is put back.
    pub(super) fn left_over(&self) -> io::Result<Vec<Taken>> {
        let mut left: Vec<(SystemTime, Taken)> = Vec::new();
        for entry in fs::read_dir(self.below())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = entry.path();
            let taken = Taken { name, folder };
            match fs::symlink_metadata(taken.data()) {
                Ok(about) => left.push((about.modified()?, taken)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) if taken.event().exists() || taken.failure().exists() => taken.remove()?,
                Err(_) => self.put_back(&taken)?,
            }
        }
        left.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
        Ok(left.into_iter().map(|(_, taken)| taken).collect())
    }

    /// A file was not taken, and what goes with it waits for it again, unless there is a newer one.
    fn put_back(&self, taken: &Taken) -> io::Result<()> {
        let sidecar = self.path.join(format!("{}{SUFFIX}", taken.name));
        if fs::symlink_metadata(&sidecar).is_err() {
            gone(fs::rename(taken.sidecar(), sidecar))?;
            sync(&self.path)?;
        }
        taken.remove()
    }

    /// A file was sent. `result` says so; gives the name of the result's file.
    pub(super) fn finish(&self, taken: &Taken, result: &[u8]) -> io::Result<String> {
        let sent = self.sent();
        let name = free_name(&sent, &short(&taken.name))?;
        let told = format!("{name}{RESULT}");
        self.access.put(&sent, &told, result)?;
        self.move_out(taken, &sent, &name)?;
        Ok(told)
    }

    /// A file cannot be sent, and this says why and what to do.
    pub(super) fn fail(&self, taken: &Taken, why: &str) -> io::Result<()> {
        if taken.known_failure().is_none() {
            self.access.put(&taken.folder, "failure", why.as_bytes())?;
            sync(&taken.folder)?;
        }
        let failed = self.failed();
        let name = free_name(&failed, &short(&taken.name))?;
        let told = format!("{name}.error.txt");
        self.access
            .put(&failed, &told, format!("{why}\n").as_bytes())?;
        self.move_out(taken, &failed, &name)
    }

    fn move_out(&self, taken: &Taken, to: &Path, name: &str) -> io::Result<()> {
        let sidecar = to.join(format!("{name}{SUFFIX}"));
        gone(fs::rename(taken.sidecar(), sidecar))?;
        fs::rename(taken.data(), to.join(name))?;
        sync(to)?;
        taken.remove()
    }

    /// Removes what was sent and whose result has not changed since `before`.
    pub(super) fn clean(&self, before: SystemTime) -> io::Result<()> {
        let sent = self.sent();
        for entry in fs::read_dir(&sent)? {
            let entry = entry?;
            let told = entry.file_name();
            let Some(name) = told.to_str().and_then(|name| name.strip_suffix(RESULT)) else {
                continue;
            };
            if entry.metadata()?.modified()? >= before {
                continue;
            }
            for of_it in [name.to_owned(), format!("{name}{SUFFIX}")] {
                gone(fs::remove_file(sent.join(of_it)))?;
            }
            gone(fs::remove_file(entry.path()))?;
        }
        Ok(())
    }

    /// The results that lie there.
    pub(super) fn results(&self) -> io::Result<Vec<String>> {
        let mut results = Vec::new();
        for entry in fs::read_dir(self.sent())? {
            let name = entry?.file_name();
            let name = name.to_str();
            results.extend(
                name.filter(|name| name.ends_with(RESULT))
                    .map(str::to_owned),
            );
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        place: Place,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let place = Place {
                path: folder.path().join("in"),
                access: Access {
                    open_to_group: false,
                },
            };
            place.prepare().expect("folders");
            Self {
                _folder: folder,
                place,
            }
        }

        fn drop(&self, name: &str, text: &str) {
            fs::write(self.place.path.join(name), text).expect("written");
        }

        fn take(&self, name: &str, sidecar: bool) -> Option<Taken> {
            let found = Found {
                name: name.into(),
                sidecar: sidecar.then(|| format!("{name}{SUFFIX}").into()),
                modified: SystemTime::UNIX_EPOCH,
            };
            self.place.take(&found).expect("no fault")
        }

        /// Every file there is, in order.
        fn all(&self) -> Vec<String> {
            let mut all = Vec::new();
            let mut folders = vec![self.place.path.clone()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).expect("a folder") {
                    let path = entry.expect("an entry").path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let inside = path.strip_prefix(&self.place.path).expect("inside");
                        all.push(inside.display().to_string());
                    }
                }
            }
            all.sort();
            all
        }
    }

    #[test]
    fn a_file_and_its_sidecar_end_together_whatever_lies_there() {
        let world = World::new();
        for round in 0..2 {
            world.drop("a.pdf", &format!("{round}"));
            world.drop("a.pdf.casegate.json", "{}");
            let taken = world.take("a.pdf", true).expect("taken");
            world.drop("a.pdf", "another");
            assert!(world.take("a.pdf", false).is_none(), "one at a time");
            fs::remove_file(world.place.path.join("a.pdf")).expect("removed");
            taken.keep_event(world.place.access, b"{}").expect("kept");
            world.place.finish(&taken, b"{}").expect("finished");
        }
        let sent = [
            "sent/2.a.pdf",
            "sent/2.a.pdf.casegate.json",
            "sent/2.a.pdf.result.json",
            "sent/a.pdf",
            "sent/a.pdf.casegate.json",
            "sent/a.pdf.result.json",
        ];
        assert_eq!(world.all(), sent);
        assert_eq!(world.place.results().expect("results").len(), 2);
        world.place.clean(SystemTime::now()).expect("cleaned");
        assert!(world.all().is_empty());
    }

    /// A crash between any two steps is what the folder looks like between them.
    #[test]
    fn what_a_crash_left_is_gone_on_with_from_where_it_was() {
        let world = World::new();
        let place = &world.place;
        let left = || {
            let left = place.left_over().expect("a look");
            left.into_iter().map(|taken| taken.name).collect::<Vec<_>>()
        };
        // Only the sidecar was moved.
        world.drop("a", "1");
        world.drop("a.casegate.json", "{}");
        let taken = world.take("a", true).expect("taken");
        fs::rename(taken.data(), place.path.join("a")).expect("moved");
        assert!(left().is_empty());
        assert_eq!(world.all(), ["a", "a.casegate.json"]);

        // It was taken, with an event or without.
        let taken = world.take("a", true).expect("taken");
        assert_eq!(left(), ["a"]);
        taken.keep_event(place.access, b"{}").expect("kept");
        assert_eq!(left(), ["a"]);

        // It was moved to where it ends, and something is left of it.
        fs::rename(taken.data(), place.sent().join("a")).expect("moved");
        fs::write(taken.folder.join(".x.part"), "").expect("written");
        assert!(left().is_empty());
        assert_eq!(world.all(), ["sent/a"]);

        // It could not be sent, and only that was written down.
        world.drop("b", "1");
        let taken = world.take("b", false).expect("taken");
        place
            .access
            .put(&taken.folder, "failure", b"bad")
            .expect("written");
        let again = place.left_over().expect("a look").remove(0);
        assert_eq!(again.known_failure().as_deref(), Some("bad"));
        place.fail(&again, "bad").expect("failed");
        assert_eq!(world.all(), ["failed/b", "failed/b.error.txt", "sent/a"]);
    }
}
