//! Every page, in both languages, as a browser shows it.

use super::{CASE, Town, browser::Browser};
use crate::world::eventually;

/// The pages of a node, and what each must say in English and in Chinese.
fn pages(town: &Town) -> Vec<(&'static str, String, &'static str, &'static str)> {
    let case = format!("/console/case?name={CASE}");
    vec![
        (
            "overview",
            "/console/".into(),
            "Queues by neighbour",
            "各邻居节点的队列",
        ),
        (
            "messages",
            "/console/messages".into(),
            "Accepted",
            "受理时间",
        ),
        (
            "message",
            format!("/console/messages/{}", town.waiting[2]),
            "Timeline",
            "流转时间线",
        ),
        (
            "message-read",
            format!("/console/messages/{}", town.read),
            "Receipts",
            "回执",
        ),
        ("queue", "/console/queue".into(), "Neighbour", "邻居节点"),
        ("case", case, "Circulation", "流转过程"),
        (
            "units",
            "/console/units".into(),
            "Certificate until",
            "证书有效期至",
        ),
        ("map", "/console/units?view=map".into(), "City", "市本级"),
        (
            "sending",
            "/console/queue?neighbour=hebi.police".into(),
            "What goes to",
            "发往",
        ),
        (
            "stick",
            "/console/stick".into(),
            "Import a file",
            "导入文件",
        ),
        (
            "compose",
            "/console/compose?to=hebi.police".into(),
            "Attachments",
            "附件",
        ),
        ("audit", "/console/audit".into(), "Audit log", "审计日志"),
        (
            "nowhere",
            "/console/nowhere".into(),
            "There is no such page",
            "没有这个页面",
        ),
        ("sign-in", "/console/sign-in".into(), "Token", "令牌"),
    ]
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_whole_in_both_languages_and_on_every_screen() {
    let town = Town::new().await;
    let browser = Browser::start("en").await;
    let at = town.hub.url("");
    browser.sign_in(&at, &town.token(&town.hub)).await;
    for (language, theme) in [
        ("en", "dark"),
        ("zh", "light"),
        ("zh", "dark"),
        ("en", "light"),
    ] {
        browser
            .open(&format!(
                "{at}/console/prefer?language={language}&theme={theme}&back=/console/"
            ))
            .await;
        for (name, path, english, chinese) in pages(&town) {
            browser.size(1366, 768).await;
            browser.open(&format!("{at}{path}")).await;
            browser.find("main h1").await;
            let says = if language == "en" { english } else { chinese };
            browser.until_says("main", says).await;
            if name == "overview" {
                browser.find("#chart canvas").await;
                browser
                    .until_says("#live", if language == "en" { "Live" } else { "实时" })
                    .await;
            }
            let what = format!("{name} in {language}, {theme}");
            let complaints = browser.complaints();
            let expected = name == "nowhere";
            let is_expected = |text: &String| expected && text.contains("404");
            assert!(
                complaints.iter().all(is_expected),
                "{what}: {complaints:#?}"
            );
            browser.assert_accessible(&what).await;
            browser.picture(&format!("{name}-{language}-{theme}")).await;
            browser.size(360, 740).await;
            let wide = "return document.documentElement.scrollWidth";
            eventually(&format!("{what} is no wider than a phone"), async || {
                browser.run(wide, vec![]).await.as_u64() <= Some(360)
            })
            .await;
            browser
                .picture(&format!("{name}-{language}-{theme}-phone"))
                .await;
        }
    }
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_spoken_to_in_its_language_and_by_keyboard() {
    let town = Town::new().await;
    let at = town.hub.url("");
    let browser = Browser::start("zh-CN").await;
    browser.open(&format!("{at}/console/")).await;
    browser.until_says("h1", "总览").await;
    let lang = browser
        .run("return document.documentElement.lang", vec![])
        .await;
    assert_eq!(lang, "zh-CN");
    browser.click("nav.switch a[hreflang=en]").await;
    browser.until_says("h1", "Overview").await;

    // The first stop of the keyboard leads past what stands on every page.
    let body = browser.find("body").await;
    body.send_keys("\u{e004}").await.expect("Tab");
    let focused = "return document.activeElement.className";
    assert_eq!(browser.run(focused, vec![]).await, "skip");
    let skip = browser.find(".skip").await;
    skip.send_keys("\u{e007}").await.expect("Enter");
    let focused = "return document.activeElement.id";
    assert_eq!(browser.run(focused, vec![]).await, "main");
    browser.assert_content("the keyboard");
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_what_happens_without_being_loaded_anew() {
    let town = Town::new().await;
    let browser = Browser::start("en").await;
    browser.open(&town.hub.url("/console/")).await;
    browser.until_says("#live", "Live").await;
    browser.run("window.loaded = 'once'", vec![]).await;
    browser.until_says("#queues", "hebi.police").await;
    let before = browser.text("#queues").await;
    for number in 0..3 {
        let event = super::event(
            &town.tobacco,
            &format!("n{number}"),
            "hebi.police",
            "又一份材料",
        );
        town.tobacco.submit(event).await;
    }
    eventually("the queue is longer", async || {
        let now = browser.text("#queues").await;
        now != before && now.contains('9')
    })
    .await;
    assert_eq!(browser.run("return window.loaded", vec![]).await, "once");
    browser.assert_content("following");

    // The test itself notices what a page may not do.
    browser
        .run("document.body.setAttribute('style', 'color: red')", vec![])
        .await;
    eventually("the browser complains", async || {
        browser
            .complaints()
            .iter()
            .any(|text| text.contains("Content Security Policy"))
    })
    .await;
    drop(browser);
    town.stop().await;
}
