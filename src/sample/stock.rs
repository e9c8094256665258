//! The stock of sentences, all written for this project: `stock/*.txt`, one fragment a line under `# section` lines.

use std::{collections::HashMap, sync::LazyLock};

const FACTS: &str = include_str!("stock/facts.txt");
const REASONS: &str = include_str!("stock/reasons.txt");
const PROVISIONS: &str = include_str!("stock/provisions.txt");
const OFFICE: &str = include_str!("stock/office.txt");
const CIVIL: &str = include_str!("stock/civil.txt");
const NAMES: &str = include_str!("stock/names.txt");

type Sections = HashMap<&'static str, Vec<&'static str>>;

static STOCK: LazyLock<Sections> = LazyLock::new(|| {
    let mut sections = Sections::new();
    let mut section = "";
    for line in [FACTS, REASONS, PROVISIONS, OFFICE, CIVIL, NAMES]
        .into_iter()
        .flat_map(str::lines)
    {
        match line.strip_prefix("# ") {
            Some(name) => section = name,
            None => sections.entry(section).or_default().push(line),
        }
    }
    sections
});

/// The fragments of a section.
pub(super) fn section(name: &str) -> &'static [&'static str] {
    STOCK
        .get(name)
        .unwrap_or_else(|| unreachable!("the stock has no section {name}"))
}
