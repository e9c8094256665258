//! The rules of the house, held by reading the sources: what a room may not name, and which way the arrows point.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each room may import, beside the standard library and crates. A room that is not listed may not exist.
const ROOMS: &[(&str, &[&str])] = &[
    ("codec", &[]),
    ("model", &["codec"]),
    ("parcel", &["model", "codec"]),
    ("cloudevents", &["model", "codec", "parcel"]),
    ("delivery", &["model", "codec", "parcel"]),
    ("journal", &["model", "codec"]),
    ("blob", &["model", "codec"]),
    ("sample", &["model", "codec", "parcel", "cloudevents"]),
    // The built-in dictionary is trained on samples.
    ("wire", &["model", "codec", "parcel", "delivery", "sample"]),
    ("pki", &["model", "codec", "parcel"]),
    ("emulator", &[]),
    ("csv", &[]),
    // What more than one room says, in each language.
    ("language", &["model"]),
    // It tells why there is no answer.
    ("post", &["language"]),
    ("link", &["model", "codec", "pki"]),
    (
        "index",
        &[
            "model",
            "codec",
            "parcel",
            "delivery",
            "journal",
            "cloudevents",
        ],
    ),
    // It tells how the index is, and signs the audit log.
    ("observe", &["model", "language", "parcel", "pki", "index"]),
    // It tells whether a dictionary is one.
    ("config", &["model", "language", "observe", "wire"]),
    (
        "api",
        &[
            "model",
            "language",
            "codec",
            "parcel",
            "cloudevents",
            "delivery",
            "blob",
            // A queue that is carried as a file.
            "wire",
            "index",
            "observe",
        ],
    ),
    // Pages for people: it asks the API's gateway, and shows what it is told.
    (
        "console",
        &[
            "model",
            "csv",
            "language",
            "cloudevents",
            "index",
            "observe",
            "api",
        ],
    ),
    // Files in folders, and posts to an application: clients of the API's gateway, as the console is.
    (
        "spool",
        &[
            "model",
            "language",
            "parcel",
            "cloudevents",
            "blob",
            "observe",
            "config",
            "api",
        ],
    ),
    (
        "deliver",
        &[
            "model",
            "language",
            "cloudevents",
            "observe",
            "config",
            "api",
            "post",
        ],
    ),
    // It follows the machine's events, as the index does.
    (
        "traces",
        &["model", "language", "delivery", "observe", "config", "post"],
    ),
    ("sim", &["model", "codec", "parcel", "delivery", "journal"]),
    (
        "node",
        &[
            "model",
            "language",
            "codec",
            "parcel",
            "cloudevents",
            "delivery",
            "journal",
            "blob",
            "wire",
            "pki",
            "link",
            "observe",
            "index",
            "config",
            "api",
            "console",
            "spool",
            "deliver",
            "traces",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "csv",
            "language",
            "codec",
            "parcel",
            "cloudevents",
            "delivery",
            "journal",
            "blob",
            "wire",
            "pki",
            "link",
            "observe",
            "index",
            "config",
            "api",
            "node",
            "sample",
            "emulator",
        ],
    ),
];

/// The rooms that know no outside world.
const PURE: &[&str] = &["delivery", "model", "parcel", "cloudevents"];

/// Words, and the only rooms that may say them.
const ONLY_IN: &[(&[&str], &[&str])] = &[
    (&["quinn", "quinn_proto"], &["link"]),
    (&["sled"], &["index"]),
    (
        &[
            "signature",
            "Ed25519KeyPair",
            "UnparsedPublicKey",
            "KeyPair",
            "rcgen",
            "ed25519",
        ],
        &["parcel", "pki"],
    ),
];

/// A source file without its comments, texts and tests.
struct Source {
    room: String,
    path: PathBuf,
    words: Vec<String>,
}

impl Source {
    fn names(&self, path: &[&str]) -> bool {
        self.words.windows(path.len()).any(|words| words == path)
    }

    /// The rooms that it imports: what follows `crate::`, also in braces.
    fn imports(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, words) in self.words.windows(2).enumerate() {
            if words != ["crate", "::"] {
                continue;
            }
            let rest = self.words.get(at + 2..).unwrap_or_default();
            match rest.first().map(String::as_str) {
                Some("{") => found.extend(first_words(rest)),
                Some(room) => {
                    found.insert(room);
                }
                None => {}
            }
        }
        found
    }
}

/// The first word of each branch of the braces that `words` begins with.
fn first_words(words: &[String]) -> Vec<&str> {
    let (mut depth, mut first, mut found) = (0, false, Vec::new());
    for word in words {
        match word.as_str() {
            "{" => {
                depth += 1;
                first = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," => first = depth == 1,
            word if first && depth == 1 => {
                found.push(word);
                first = false;
            }
            _ => {}
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let inside = path.strip_prefix(&root).expect("inside").to_path_buf();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a name");
            if path.is_dir() {
                if name != "tests" {
                    folders.push(path);
                }
                continue;
            }
            let is_test = matches!(name, "tests.rs" | "lab.rs" | "round_trip.rs");
            if is_test || !name.ends_with(".rs") {
                continue;
            }
            let room = inside
                .iter()
                .next()
                .and_then(|part| part.to_str())
                .expect("a room");
            let room = room.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("a text");
            sources.push(Source {
                room,
                path: inside,
                words: words(&text),
            });
        }
    }
    assert!(
        sources.len() > 100,
        "only {} sources were read",
        sources.len()
    );
    sources
}

/// Names and signs, without comments, texts and what stands under `#[cfg(test)]`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '/' if letters.peek() == Some(&'/') => {
                letters.find(|letter| *letter == '\n');
            }
            '"' => {
                while let Some(inside) = letters.next() {
                    match inside {
                        '\\' => {
                            letters.next();
                        }
                        '"' => break,
                        _ => {}
                    }
                }
            }
            ':' if letters.peek() == Some(&':') => {
                letters.next();
                words.push("::".into());
            }
            _ if letter.is_alphanumeric() || letter == '_' => {
                let mut word = String::from(letter);
                while let Some(more) = letters.next_if(|l| l.is_alphanumeric() || *l == '_') {
                    word.push(more);
                }
                words.push(word);
            }
            '\'' => {
                // A letter, or a lifetime: only a quote in quotes could mislead.
                if letters.next_if_eq(&'"').is_some() {
                    letters.next();
                }
            }
            _ if letter.is_whitespace() => {}
            sign => words.push(sign.into()),
        }
    }
    without_tests(&words)
}

fn without_tests(words: &[String]) -> Vec<String> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let rest = &words[at..];
        if rest.len() < mark.len() || rest[..mark.len()] != mark {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        // What follows ends with its braces, or with a semicolon before any.
        let mut depth = 0;
        at += mark.len();
        while at < words.len() {
            let word = words[at].as_str();
            at += 1;
            match word {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(word, "}" | ";") {
                break;
            }
        }
    }
    kept
}

#[test]
fn the_pure_rooms_name_no_runtime_network_file_clock_or_random_source() {
    let forbidden: &[&[&str]] = &[
        &["tokio"],
        &["quinn"],
        &["std", "::", "fs"],
        &["std", "::", "net"],
        &["std", "::", "thread"],
        &["File"],
        &["Instant"],
        &["SystemTime"],
        &["UNIX_EPOCH"],
        &["rand"],
        &["getrandom"],
        &["SystemRandom"],
    ];
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| PURE.contains(&&*source.room))
    {
        for path in forbidden {
            if source.names(path) {
                wrong.push(format!("{}: {}", source.path.display(), path.concat()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_belongs_to_one_room_is_named_in_no_other() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (words, rooms) in ONLY_IN {
            if rooms.contains(&&*source.room) {
                continue;
            }
            for word in *words {
                // A parcel's field may be called so; a path through it is the API.
                let is_named = match *word {
                    "signature" => source.names(&["signature", "::"]),
                    word => source.names(&[word]),
                };
                if is_named {
                    wrong.push(format!("{}: {word}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn arrows_between_rooms_run_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(&*source.room, "lib" | "main") {
            continue;
        }
        let Some((_, may)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            wrong.push(format!(
                "{}: a room that is not on the list",
                source.path.display()
            ));
            continue;
        };
        for import in source.imports() {
            if import != source.room && !may.contains(&import) {
                wrong.push(format!("{}: imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The list itself has no circle: a room stands below all that may import it.
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        let below = ROOMS
            .iter()
            .take(at)
            .map(|(room, _)| *room)
            .collect::<Vec<_>>();
        assert!(may.iter().all(|other| below.contains(other)), "{room}");
    }
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let text = r#"
        use crate::{model::{self, Lane}, parcel::Header, codec};
        // use crate::node; tokio
        fn f() -> &'static str { "crate::api sled" }
        #[cfg(test)]
        use crate::sim;
        #[cfg(test)]
        mod tests { use crate::link; fn t() { std::fs::read("x"); } }
        fn g() { crate::wire::pack(std::fs::read('"')) }
    "#;
    let source = Source {
        room: "delivery".into(),
        path: PathBuf::new(),
        words: words(text),
    };
    let imports: Vec<_> = source.imports().into_iter().collect();
    assert_eq!(imports, ["codec", "model", "parcel", "wire"]);
    assert!(source.names(&["std", "::", "fs"]) && !source.names(&["tokio"]));
}
