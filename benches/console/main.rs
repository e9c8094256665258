//! The console with a full queue: how soon a real browser shows a page of a node that holds 100,000 messages for a hub that is not there.
//!
//! `cargo bench --bench console [-- MESSAGES]`. Needs Debian's `chromium` and `chromium-driver`. For each page the median and the worst of several
//! visits: until the node had answered whole, and until something was painted (first contentful paint). To be read against: 1 s.

#[allow(
    dead_code,
    unused_imports,
    reason = "made for the tests, which use more of it"
)]
#[path = "../../tests/it/console/browser.rs"]
mod browser;
#[allow(dead_code, reason = "each bench uses what it needs")]
#[path = "../rig/client.rs"]
mod client;
#[path = "../rig/process.rs"]
mod process;
#[allow(dead_code, reason = "made for the tests, which use more of it")]
#[path = "../../tests/it/world.rs"]
mod world;

use casegate::sample::{Generator, Options};

use browser::Browser;

/// Clients that fill the queue ask this of the rig.
#[allow(dead_code, reason = "for the rig")]
const CLIENTS: usize = 4;
const UNIT: &str = "hebi.xunxian.tobacco";
const RECEIVER: &str = "hebi.procuratorate";
/// Messages unless the command says otherwise.
const MESSAGES: u64 = 100_000;
/// Visits of each page.
const VISITS: usize = 7;

fn main() {
    let given = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(visit(given.unwrap_or(MESSAGES)));
}

async fn visit(messages: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    process::authority(folder.path());
    // Nobody listens at this port.
    let hub = process::dials("hebi.hub", ([127, 0, 0, 1], 9).into());
    let node = process::Process::start(folder.path(), UNIT, &hub);
    let options = Options {
        start: world::now(),
        from: Some(UNIT.parse().expect("a unit")),
        to: Some(RECEIVER.parse().expect("a unit")),
    };
    client::fill(node.address, Generator::with(7, options), messages).await;
    println!("{messages} messages queued; {}", node.memory());
    let at = format!("http://{}", node.address);
    let browser = Browser::start("en").await;
    // The first page brings scripts and styles, which are kept.
    browser.open(&format!("{at}/console/units")).await;
    println!(
        "{:<34} {:>10} {:>10} {:>10} {:>10}",
        "", "answer ms", "worst", "paint ms", "worst"
    );
    for (name, path) in [
        ("overview", "/console/"),
        ("queue", "/console/queue"),
        ("queue, held ones (none)", "/console/queue?state=held"),
        ("messages, newest", "/console/messages"),
        (
            "search, text in titles",
            "/console/messages?q=%E7%A7%BB%E9%80%81",
        ),
        ("search, text that none has", "/console/messages?q=zzzz"),
        (
            "search, kind and state",
            "/console/messages?kind=case.transfer&state=queued",
        ),
        ("search, case that none has", "/console/messages?case=zzzz"),
    ] {
        let mut times = Vec::new();
        for _ in 0..VISITS {
            browser.open(&format!("{at}{path}")).await;
            browser.find("main h1").await;
            let script = "return [performance.getEntriesByType('navigation')[0].responseEnd,
                performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1]";
            let mut measured = browser.run(script, vec![]).await;
            while measured[1] == -1 {
                measured = browser.run(script, vec![]).await;
            }
            times.push([&measured[0], &measured[1]].map(|ms| ms.as_f64().expect("a number")));
        }
        let column = |at: usize| {
            let mut column: Vec<_> = times.iter().map(|times| times[at]).collect();
            column.sort_by(f64::total_cmp);
            (column[column.len() / 2], column[column.len() - 1])
        };
        let ((answer, answer_worst), (paint, paint_worst)) = (column(0), column(1));
        println!(
            "{name:<34} {answer:>10.0} {answer_worst:>10.0} {paint:>10.0} {paint_worst:>10.0}"
        );
    }
    println!("after it: {}", node.memory());
}
