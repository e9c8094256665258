//! Pausing, resuming and draining from the console, and what everybody then sees of it.

use casegate::model::Role;

use super::{Town, browser::Browser};
use crate::world::{eventually, let_in};

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_a_neighbour_is_paused_and_resumed_with_a_reason() {
    let town = Town::new().await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    let browser = Browser::start("en").await;
    browser.sign_in(&at, &town.token(hub)).await;
    browser
        .open(&format!("{at}/console/queue?neighbour=hebi.police"))
        .await;
    let paused = async || {
        let (_, units) = hub.get("/v1/units").await;
        let mut all = units["units"]
            .as_array()
            .expect("units")
            .clone()
            .into_iter();
        let police = all.find(|unit| unit["unit"] == "hebi.police");
        police.expect("police")["paused"].clone()
    };
    // It is not done without a word why.
    browser.click("#do-pause").await;
    browser.click("#ask-pause option[value=bulk]").await;
    browser.click("#ask-pause button.main").await;
    browser.find("#ask-pause textarea[aria-invalid]").await;
    browser.assert_accessible("asking for a reason").await;
    browser.picture("pause-asked").await;
    browser
        .write("#ask-pause textarea", "the line is needed for a trial")
        .await;
    browser.click("#ask-pause button.main").await;
    browser
        .until_says(".said.good", "paused by an operator: bulk")
        .await;
    assert_eq!(paused().await, serde_json::json!(["bulk"]));
    browser.until_says("#sending", "paused").await;

    // Everything, from the keyboard.
    let pause = browser.find("#do-pause").await;
    pause.send_keys("\u{e007}").await.expect("Enter");
    browser.write("#ask-pause textarea", "all of it").await;
    let main = browser.find("#ask-pause button.main").await;
    main.send_keys("\u{e007}").await.expect("Enter");
    eventually("all lanes are paused", async || {
        paused().await.as_array().map(Vec::len) == Some(4)
    })
    .await;
    browser.find("#sending").await;
    browser.picture("pause").await;

    // The first page warns as long as it is so, and leads back.
    browser
        .open(&format!(
            "{at}/console/prefer?language=zh&theme=dark&back=/console/"
        ))
        .await;
    browser
        .until_says("#warnings", "发往 hebi.police 的报文已由操作员暂停")
        .await;
    browser.assert_accessible("a warning with a way out").await;
    browser.picture("pause-warned").await;
    browser.click("#warnings a[href*='hebi.police']").await;
    browser.click("#do-resume").await;
    browser.click("#ask-resume button.main").await;
    browser.until_says(".said.good", "已全部恢复发送").await;
    assert!(paused().await.is_null());
    browser.assert_content("pausing");

    let (_, audit) = hub.get_as(&town.token(hub), "/v1/audit?action=pause").await;
    assert!(audit.to_string().contains("the line is needed for a trial"));
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_by_an_administrator_and_takes_messages_again() {
    let mut li = String::new();
    let town = Town::with(async |settings| li = let_in(settings, "li.wei", Role::Operator)).await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    let browser = Browser::start("en").await;
    browser.sign_in(&at, &li).await;
    browser.open(&format!("{at}/console/")).await;
    assert_eq!(
        browser.text("#maintenance").await,
        "",
        "an operator may not"
    );

    browser.sign_in(&at, &town.token(hub)).await;
    browser.open(&format!("{at}/console/")).await;
    browser.click("#do-drain").await;
    browser.write("#ask-drain textarea", "a new disk").await;
    browser.assert_accessible("asking whether to drain").await;
    browser.click("#ask-drain button.danger").await;
    browser
        .until_says(".said.good", "drained from now on")
        .await;
    browser
        .until_says("#warnings", "no submissions are taken")
        .await;
    let is_drained = async |wanted: bool| {
        eventually("the node says so", async || {
            hub.get("/v1/status").await.1["draining"] == wanted
        })
        .await;
    };
    is_drained(true).await;
    browser.picture("drained").await;
    browser.click("#warnings a[href='#maintenance']").await;
    browser.click("#do-end-drain").await;
    browser.click("#ask-end-drain button.main").await;
    browser
        .until_says(".said.good", "takes messages again")
        .await;
    is_drained(false).await;
    browser.assert_content("draining");
    drop(browser);
    town.stop().await;
}
