//! The charts, and what they draw: kept by the index across restarts, with a gap where the node was off.

use casegate::{
    config::Settings,
    delivery::ParcelView,
    index::{self, Bounds, Entry, Grain, Index, Recovered, Sample, Source},
    model::{Digest, Location, Millis, ReceiptItem, UnitId},
    parcel::Header,
};
use serde_json::Value;

use super::{Town, browser::Browser};
use crate::world::{Running, World, eventually, now};

/// A node of which only its index is there.
struct Nobody;

impl Source for Nobody {
    fn header(&self, _: Location) -> Option<Header> {
        None
    }

    fn parcel(&self, _: Location) -> Option<(Digest, u32)> {
        None
    }

    fn receipt(&self, _: Location) -> Option<(UnitId, Vec<ReceiptItem>)> {
        None
    }

    fn live(&self, _: Option<u32>) -> Option<(Vec<ParcelView>, Option<u32>)> {
        Some((Vec::new(), None))
    }

    fn lost(&self, _: &[Entry]) {}

    fn now(&self) -> Millis {
        now()
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            retention_days: 365,
            messages_max: 1000,
        }
    }
}

/// Puts into a data folder what a node would have kept that has run for a month but for two days of it, and was stopped an hour ago.
pub(super) async fn a_month_has_passed(settings: &Settings) {
    let end = now() - 3_600_000;
    let (index, feed) = Index::new();
    let for_index = index::Settings {
        data_dir: settings.data_dir.clone(),
        unit: settings.unit.clone(),
    };
    let thread = index.start(for_index, Recovered::default(), Nobody);
    let thread = thread.expect("it starts");
    let mut samples = Vec::new();
    for grain in Grain::ALL {
        let many = grain.kept() as u64;
        for back in (0..many).rev() {
            let at = end - back * grain.millis();
            let days = (end - at) as f64 / 86_400_000.0;
            if (9.0..11.0).contains(&days) {
                continue;
            }
            // A working day is busy, and one of them leaves a backlog.
            let of_day = (at / 1000 % 86_400) as f64 / 86_400.0;
            let busy = (std::f64::consts::TAU * (of_day - 0.25)).sin().max(0.0);
            let ripple = 1.0 + 0.3 * (at as f64 / 1.7e6).sin();
            let backlog = if (5.0..6.0).contains(&days) {
                900.0
            } else {
                40.0
            };
            samples.push((
                grain,
                Sample {
                    at,
                    sent_bps: (busy * ripple * 380_000.0) as u64 + 900,
                    received_bps: (busy * ripple * 140_000.0) as u64 + 700,
                    queued: (busy * backlog) as u64,
                    inbox: (busy * 9.0) as u64,
                },
            ));
        }
    }
    eventually("the samples are kept", async || {
        index.keep_samples(samples.clone()).await.is_ok()
    })
    .await;
    drop(feed);
    tokio::task::spawn_blocking(|| thread.stop())
        .await
        .expect("it stops");
}

fn numbers(history: &Value, list: &str) -> Vec<Option<u64>> {
    let list = history[list].as_array().expect("a list");
    list.iter().map(Value::as_u64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_charts_show_survives_a_restart_and_has_gaps_where_the_node_was_off() {
    let world = World::new();
    let settings = world.hub("hebi.hub");
    a_month_has_passed(&settings).await;
    // What is kept by a run is there in the next one as well.
    for run in 0..2 {
        let hub = Running::start(settings.clone()).await;
        eventually(
            "it has looked at itself and read what was kept",
            async || {
                let (_, history) = hub.get("/v1/history?span=30d").await;
                history["at"].as_array().is_some_and(|at| at.len() > 2000)
            },
        )
        .await;
        let (_, month) = hub.get("/v1/history?span=30d").await;
        let at = numbers(&month, "at");
        let queued = numbers(&month, "queued");
        assert!(at.is_sorted() && at.len() == queued.len(), "run {run}");
        assert!(at.len() <= Grain::Quarter.kept() + 3);
        let gap = queued.iter().position(Option::is_none).expect("a gap");
        let (before, after) = (at[gap - 1].expect("a time"), at[gap + 1].expect("a time"));
        assert!(after - before > 47 * 3600, "{before} {after}");
        assert_eq!(numbers(&month, "sent_bps")[gap], None);
        let most = queued.iter().flatten().max().expect("some");
        assert!((800..=900).contains(most), "{most}");

        let (_, day) = hub.get("/v1/history?span=24h").await;
        assert_eq!(day["step_s"], 60);
        assert!(numbers(&day, "at").len() > 1300);
        let (_, hour) = hub.get("/v1/history").await;
        let of_this_run = numbers(&hour, "at");
        assert!(!of_this_run.is_empty() && of_this_run.len() < 20);
        hub.node.stop().await;
    }
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn charts_show_an_hour_a_day_and_a_month_by_keyboard_too() {
    let town = Town::with(async |settings| a_month_has_passed(settings).await).await;
    let browser = Browser::start("en").await;
    let at = town.hub.url("");
    for (language, theme, word) in [("en", "light", "30 d"), ("zh", "dark", "30 天")] {
        browser
            .open(&format!(
                "{at}/console/prefer?language={language}&theme={theme}&back=/console/"
            ))
            .await;
        browser.find("#chart canvas").await;
        let month = browser.find("[data-span='30d']").await;
        assert_eq!(month.text().await.expect("a text"), word);
        month.send_keys("\u{e007}").await.expect("Enter");
        // The chart says in words what it shows last, and what was busy is not nothing.
        browser.find("[data-span='30d'][aria-pressed='true']").await;
        let axis = "return [...document.querySelectorAll('#chart .u-legend .u-value')].map((v) => v.textContent).join(' ')";
        eventually("its legend has a day", async || {
            let said = browser.run(axis, vec![]).await;
            let said = said.as_str().unwrap_or_default().to_owned();
            said.contains('-') && said.contains("bit/s")
        })
        .await;
        let what = format!("a month in {language}");
        browser.assert_content(&what);
        browser.assert_accessible(&what).await;
        browser.picture(&format!("charts-{language}-{theme}")).await;
        browser.click("[data-span='24h']").await;
        browser.find("[data-span='24h'][aria-pressed='true']").await;
        browser.find("#chart canvas").await;
        browser
            .picture(&format!("charts-day-{language}-{theme}"))
            .await;
    }
    drop(browser);
    town.stop().await;
}
