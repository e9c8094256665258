//! The operator's tour of docs/OPERATIONS.md: each question it asks is answered by the console, and pictured when somebody wants pictures.

use serde_json::json;

use super::{CASE, Town, browser::Browser, event, history::a_month_has_passed};
use crate::world::{Running, eventually};

/// Pictures are as wide as a page of the document.
const WIDTH: u32 = 1120;

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_console_answers_what_operators_ask() {
    let town = Town::with(async |settings| {
        a_month_has_passed(settings).await;
        settings.limits.attachments_mib = 1;
    })
    .await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    hub.bring(vec![5; 560_000]).await;
    let browser = Browser::start("en").await;
    let prefer = "/console/prefer?language=en&theme=light&back=/console/";
    browser.open(&format!("{at}{prefer}")).await;
    browser.sign_in(&at, &town.token(hub)).await;

    // A case has not arrived: where is it?
    browser.size(WIDTH, 760).await;
    browser
        .open(&format!("{at}/console/case?name={CASE}"))
        .await;
    browser.until_says("main", "queued").await;
    browser.picture("console-case").await;
    browser.size(WIDTH, 760).await;
    browser
        .open(&format!("{at}/console/messages/{}", town.read))
        .await;
    browser.until_says("#way", "on the neighbour's disk").await;
    browser.picture("console-message").await;

    // The disk fills.
    browser.size(WIDTH, 700).await;
    browser.open(&format!("{at}/console/")).await;
    browser.until_says("#warnings", "Attachments: 8").await;
    browser.click("[data-span='30d']").await;
    eventually("the month is drawn", async || {
        browser.text("#chart .u-legend").await.contains('-')
    })
    .await;
    browser.picture("console-overview").await;

    // A certificate expires: whose, and when.
    browser.size(WIDTH, 560).await;
    browser.open(&format!("{at}/console/units")).await;
    browser.until_says("main", "Certificate until").await;
    browser.picture("console-units").await;
    browser.click("#view-map").await;
    browser.find(".tile").await;
    browser.picture("console-map").await;

    // A queue goes by stick.
    browser.size(WIDTH, 520).await;
    browser
        .open(&format!("{at}/console/stick?neighbour=hebi.police"))
        .await;
    browser.until_says("#export", "hebi.police").await;
    browser.picture("console-stick").await;
    browser.assert_content("the hub's pages");

    // The modem is down for a day: the edge keeps what it is given.
    let nobody = ([127, 0, 0, 1], 9).into();
    let edge = town.world.edge("hebi.qixian.tobacco", "hebi.hub", nobody);
    let edge = Running::start(edge).await;
    for number in 0..12 {
        let title = format!("案件材料 {number}");
        let mut event = event(&edge, &format!("m{number}"), "hebi.police", &title);
        event["priority"] = json!(["urgent", "normal", "normal", "bulk"][number % 4]);
        edge.submit(event).await;
    }
    let at = edge.url("");
    browser.size(WIDTH, 560).await;
    browser.open(&format!("{at}{prefer}")).await;
    browser.until_says("#warnings", "has been down").await;
    browser.until_says("#queues", "12").await;
    browser.picture("console-down").await;
    drop(browser);
    edge.node.stop().await;
    town.stop().await;
}
