//! Looking: at what a message says, through the search, and over the map.

use serde_json::json;

use super::{Town, browser::Browser};
use crate::world::eventually;

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_says_is_shown_where_the_node_allows_it_and_put_on_record() {
    let town = Town::with(async |settings| settings.api.show_bodies = true).await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    let page = format!("{at}/console/messages/{}", town.waiting[1]);
    let browser = Browser::start("en").await;
    browser.open(&page).await;
    browser.find("#facts").await;
    assert!(!browser.text("main").await.contains("Show what it says"));
    browser.sign_in(&at, &town.token(hub)).await;
    browser.open(&page).await;
    let show = browser.find("#show-body").await;
    show.send_keys("\u{e007}").await.expect("Enter");
    browser.until_says("pre", "补充材料第 2 部分").await;
    assert!(browser.text("pre").await.starts_with("{\n  \"title\":"));
    browser.assert_content("a body");
    browser.assert_accessible("a body").await;
    browser.picture("body").await;
    browser
        .open(&format!(
            "{at}/console/prefer?language=zh&theme=dark&back=/console/"
        ))
        .await;
    browser.open(&page).await;
    browser.click("#show-body").await;
    browser.until_says("main", "每次查看均记入审计日志").await;
    browser.assert_accessible("a body in Chinese").await;
    let token = town.token(hub);
    let (_, audit) = hub.get_as(&token, "/v1/audit?action=read-body").await;
    let looks = audit["entries"].as_array().expect("entries").len();
    assert_eq!(looks, 2, "{audit}");
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_lane_and_shown_in_either_order() {
    let town = Town::new().await;
    let at = town.hub.url("");
    let browser = Browser::start("en").await;
    browser.open(&format!("{at}/console/messages")).await;
    browser
        .click("select[name=lane] option[value=urgent]")
        .await;
    browser.click("form.filter button.main").await;
    let rows =
        "return [...document.querySelectorAll('#results tbody th')].map((cell) => cell.innerText)";
    let expected = [1, 5].map(|number| format!("补充材料第 {} 部分", number + 1));
    eventually("those of the lane, the newest first", async || {
        let newest_first: Vec<_> = expected.iter().rev().cloned().collect();
        browser.run(rows, vec![]).await == json!(newest_first)
    })
    .await;
    browser.find("th[aria-sort=descending]").await;
    let turn = browser.find("#turn-order").await;
    turn.send_keys("\u{e007}").await.expect("Enter");
    browser.find("th[aria-sort=ascending]").await;
    assert_eq!(browser.run(rows, vec![]).await, json!(expected));
    assert!(browser.path().await.contains("lane=urgent"));
    browser.assert_accessible("the oldest first").await;
    browser.assert_content("searching");
    browser.picture("messages-by-lane").await;
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_map_has_every_unit_in_its_city_and_county_and_says_how_it_is_without_colours() {
    let town = Town::new().await;
    let at = town.hub.url("");
    let browser = Browser::start("en").await;
    for (language, theme, words) in [
        ("en", "light", ["connected", "not connected", "blocked"]),
        ("zh", "dark", ["已连接", "未连接", "已封禁"]),
    ] {
        let prefer = format!("{at}/console/prefer?language={language}&theme={theme}");
        browser.open(&format!("{prefer}&back=/console/units")).await;
        browser.click("#view-map").await;
        let tiles = "return Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [tile.id, tile.textContent]))";
        eventually("each unit has a tile that says how it is", async || {
            let tiles = browser.run(tiles, vec![]).await;
            [
                ("xunxian.tobacco", words[0]),
                ("xunxian.procuratorate", words[1]),
                ("qixian.market", words[2]),
            ]
            .iter()
            .all(|(unit, word)| {
                let text = tiles[format!("tile-hebi.{unit}")].as_str();
                text.is_some_and(|text| text.contains(word))
            })
        })
        .await;
        let counties = "return [...document.querySelectorAll('.county h3 .mono')].map((name) => name.innerText)";
        assert_eq!(
            browser.run(counties, vec![]).await,
            json!(["qixian", "xunxian"])
        );
        let what = format!("the map in {language}");
        browser.assert_content(&what);
        browser.assert_accessible(&what).await;
        browser.picture(&format!("map-{language}-{theme}")).await;
        browser.size(360, 740).await;
        let wide = "return document.documentElement.scrollWidth";
        assert!(browser.run(wide, vec![]).await.as_u64() <= Some(360));
        browser
            .picture(&format!("map-{language}-{theme}-phone"))
            .await;
        browser.size(1366, 768).await;
    }
    // A tile leads to what waits for its unit.
    let tile = browser.find("[id='tile-hebi.police']").await;
    tile.send_keys("\u{e007}").await.expect("Enter");
    browser.until_says("#sending", "hebi.police").await;
    drop(browser);
    town.stop().await;
}
