//! What operators do in a browser.

use serde_json::json;

use super::{Town, browser::Browser};
use crate::world::{Running, eventually};

/// The state of a message at a node.
async fn state(node: &Running, message: &str) -> String {
    let (_, view) = node.get(&format!("/v1/messages/{message}")).await;
    view["state"].as_str().unwrap_or_default().to_owned()
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_acts_on_one_message_and_is_told_what_became_of_it() {
    let town = Town::new().await;
    let (hub, held) = (&town.hub, &town.waiting[0]);
    let browser = Browser::start("en").await;
    let at = hub.url("");
    let page = format!("{at}/console/messages/{held}");
    // Everybody may look; whoever wants to act is led to the sign-in and back.
    browser.open(&page).await;
    browser.click("#act-sign-in").await;
    browser.write("#token", &"x".repeat(40)).await;
    browser.click("main button.main").await;
    browser.until_says("#token-wrong", "nobody").await;
    // The answer has a status of its own, which browsers note.
    browser.complaints();
    browser.write("#token", &town.token(hub)).await;
    browser.click("main button.main").await;

    browser.click("#do-release").await;
    browser.click("#ask-release button.main").await;
    browser.until_says(".said", "Released: 1").await;
    assert_eq!(state(hub, held).await, "queued");

    browser.click("#do-hold").await;
    browser.assert_accessible("a question").await;
    browser.picture("ask-hold").await;
    browser.click("#ask-hold button.main").await;
    browser.until_says(".said", "Held: 1").await;
    assert_eq!(state(hub, held).await, "held");

    browser.click("#do-retry").await;
    browser.click("#ask-retry button.main").await;
    browser.find(".said").await;

    browser.click("#do-reprioritise").await;
    browser.click("#ask-reprioritise option[value=bulk]").await;
    browser.click("#ask-reprioritise button.main").await;
    browser.until_says(".said", "Priority changed: 1").await;
    browser.until_says("#facts", "bulk").await;

    // Dropping needs a reason, and a question that is closed does nothing.
    browser.click("#do-drop").await;
    browser.click("#ask-drop button.danger").await;
    browser.find("#ask-drop textarea[aria-invalid]").await;
    browser.click("#ask-drop [data-close]").await;
    assert_eq!(state(hub, held).await, "held");
    browser.click("#do-drop").await;
    browser.write("#ask-drop textarea", "sent twice").await;
    browser.click("#ask-drop button.danger").await;
    browser.until_says(".said", "Dropped: 1").await;
    // It ends when police confirms that it does not have it, and its sender reads why.
    let police = town
        .world
        .edge("hebi.police", "hebi.hub", hub.dial_in().await);
    let police = Running::start(police).await;
    browser.until_says("#receivers", "dropped").await;
    town.tobacco.until_state(held, "dropped").await;
    let (_, view) = town.tobacco.get(&format!("/v1/messages/{held}")).await;
    assert_eq!(view["receivers"][0]["note"], "sent twice");
    browser.assert_content("acting");

    browser.click(".actor button").await;
    browser.find("header a.button").await;
    browser.open(&page).await;
    assert_eq!(browser.text(".actor").await, "");
    drop(browser);
    police.node.stop().await;
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn several_messages_of_the_queue_are_acted_on_at_once() {
    let town = Town::new().await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    let browser = Browser::start("zh").await;
    browser.sign_in(&at, &town.token(hub)).await;
    browser
        .open(&format!(
            "{at}/console/queue?neighbour=hebi.police&state=queued"
        ))
        .await;
    let rows = "return document.querySelectorAll('tbody tr').length";
    assert_eq!(browser.run(rows, vec![]).await, 5, "one is held");
    let disabled = "return document.querySelector('.acts [data-ask=ask-hold]').disabled";
    assert_eq!(browser.run(disabled, vec![]).await, true, "none is chosen");
    browser.click("tbody tr:nth-child(2) input").await;
    browser.until_says(".chosen", "已选 1 条").await;
    browser.click("[data-all]").await;
    browser.until_says(".chosen", "已选 5 条").await;
    browser.picture("queue-chosen").await;
    browser.click(".acts [data-ask=ask-hold]").await;
    browser.click("#ask-hold button.main").await;
    browser.until_says(".said", "已暂缓 5 条").await;
    for message in &town.waiting {
        assert_eq!(state(hub, message).await, "held");
    }
    browser.until_says("main", "没有符合条件的排队报文").await;

    browser
        .open(&format!("{at}/console/queue?state=held"))
        .await;
    browser.click("tbody tr:nth-child(1) input").await;
    browser.click("tbody tr:nth-child(2) input").await;
    browser.click(".acts [data-ask=ask-release]").await;
    browser.click("#ask-release button.main").await;
    browser.until_says(".said", "已恢复 2 条").await;
    browser.assert_content("several");

    // All that fit, without one of them being chosen; and back.
    browser
        .open(&format!(
            "{at}/console/queue?neighbour=hebi.police&state=held"
        ))
        .await;
    browser.click("input[name=every]").await;
    browser.until_says(".chosen", "已选全部").await;
    let boxes = "return [...document.querySelectorAll('tbody input')].every((box) => box.disabled)";
    assert_eq!(browser.run(boxes, vec![]).await, true);
    browser.picture("queue-every").await;
    browser.click(".acts [data-ask=ask-release]").await;
    browser.click("#ask-release button.main").await;
    let held = town.waiting.len() - 2;
    browser
        .until_says(".said", &format!("已恢复 {held} 条"))
        .await;
    for message in &town.waiting {
        assert_eq!(state(hub, message).await, "queued");
    }
    browser
        .open(&format!("{at}/console/queue?neighbour=hebi.police"))
        .await;

    // One is ended as if its time were over, which needs a reason.
    let ended = "return document.querySelector('tbody input').value";
    let ended = browser.run(ended, vec![]).await;
    browser.click("tbody tr:nth-child(1) input").await;
    browser.click(".acts [data-ask=ask-expire]").await;
    browser.click("#ask-expire button.danger").await;
    browser.find("#ask-expire textarea[aria-invalid]").await;
    browser.write("#ask-expire textarea", "已过办理期限").await;
    browser.click("#ask-expire button.danger").await;
    browser.until_says(".said", "1 条").await;
    let ended = ended.as_str().expect("a messageid");
    let (_, view) = hub.get(&format!("/v1/messages/{ended}")).await;
    assert_eq!(view["receivers"][0]["state"], "expired", "{view}");

    // What is done already is refused, and which one is told.
    browser.click("tbody tr:nth-child(1) input").await;
    let first = browser
        .run("return document.querySelector('tbody input').value", vec![])
        .await;
    let first = first.as_str().expect("a messageid").to_owned();
    hub.act(&first, "drop", json!({"reason": "elsewhere"}))
        .await;
    browser.click(".acts [data-ask=ask-release]").await;
    browser.click("#ask-release button.main").await;
    browser.until_says(".said.bad", &first).await;
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_file_is_composed_and_its_mistakes_stand_at_their_fields() {
    let town = Town::new().await;
    let (tobacco, at) = (&town.tobacco, town.tobacco.url(""));
    let browser = Browser::start("en").await;
    browser.sign_in(&at, &town.token(tobacco)).await;
    browser.open(&format!("{at}/console/compose")).await;
    browser.write("#to", "hebi.Police, hebi.hub").await;
    browser.click("#kind option[value='case.material']").await;
    // Not the case whose first message is held.
    browser.write("#case", "浚烟立〔2026〕40号").await;
    browser.write("#subject", "移送材料 <b>&").await;
    browser.write("#text", "{\"n\": 1.50}").await;
    browser.click("input[value=json]").await;

    let folder = tempfile::tempdir().expect("a folder");
    let scan = folder.path().join("扫描 件.pdf");
    std::fs::write(&scan, vec![9u8; 2_000_000]).expect("a file");
    // Of the first piece not all gets through; the rest follows by itself.
    let cut = "const send = XMLHttpRequest.prototype.send; window.pieces = 0;
        XMLHttpRequest.prototype.send = function (body) {
            if (body instanceof Blob && window.pieces++ === 0) body = body.slice(0, 700000);
            return send.call(this, body);
        };";
    browser.run(cut, vec![]).await;
    let files = browser.find("#files").await;
    files
        .send_keys(&scan.display().to_string())
        .await
        .expect("it is chosen");
    browser.until_says("#uploads .good", "is here").await;
    assert_eq!(browser.run("return window.pieces", vec![]).await, 2);
    browser.click("#send").await;

    browser.until_says("#to-wrong", "hebi.Police").await;
    browser.assert_accessible("a form with a mistake").await;
    browser.picture("compose-wrong").await;
    browser.complaints();
    assert_eq!(browser.text("#uploads .file").await, "扫描 件.pdf");
    browser.write("#to", "hebi.police").await;
    browser.click("#send").await;
    browser.until_says(".said.good", "on stable storage").await;
    browser.until_says("h1", "移送材料 <b>&").await;
    browser.until_says("#files", "扫描 件.pdf").await;
    browser.assert_content("composing");

    let path = browser.path().await;
    let message = path.rsplit('/').next().expect("a messageid").to_owned();
    tobacco.until_state(&message, "relayed").await;
    // Police comes back and gets what was written, to the letter, and the file.
    let hub = town.hub.dial_in().await;
    let police = Running::start(town.world.edge("hebi.police", "hebi.hub", hub)).await;
    let received = async || {
        let events = police.receive(1).await;
        events
            .into_iter()
            .find(|event| event["messageid"] == message.as_str())
    };
    let mut found = None;
    while found.is_none() {
        found = received().await;
    }
    let event = found.expect("it came");
    assert_eq!(event["data"], json!({"n": 1.50}));
    assert_eq!(event["attachmentnames"], "扫描%20件.pdf");
    assert_eq!(event["type"], "case.material");
    let (status, _) = police
        .get(&format!(
            "/v1/attachments/{}",
            event["attachments"].as_str().expect("a digest")
        ))
        .await;
    assert_eq!(status, 200);
    drop(browser);
    police.node.stop().await;
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_shows_when_each_hop_had_it() {
    let town = Town::new().await;
    let browser = Browser::start("en").await;
    let at = town.hub.url("");
    browser.sign_in(&at, &town.token(&town.hub)).await;
    browser.open(&format!("{at}/console/units?q=tobacco")).await;
    browser
        .click("button[id='test-hebi.xunxian.tobacco']")
        .await;
    browser.until_says(".said.good", "on its way").await;
    // The page follows it without being loaded anew.
    browser.until_says("#way", "delivered").await;
    let way = browser.text("#way").await;
    for step in [
        "accepted",
        "sent",
        "on the neighbour's disk",
        "signed by hebi.xunxian.tobacco",
    ] {
        assert!(way.contains(step), "{way}");
    }
    browser.assert_content("a test");
    browser.picture("test-message").await;

    browser.open(&format!("{at}/console/units")).await;
    browser
        .write("form.inline input[name=to]", "hebi.nobody")
        .await;
    browser.click("form.inline button.main").await;
    browser.until_says("#way", "no such unit").await;
    eventually("the search finds the test", async || {
        browser
            .open(&format!("{at}/console/messages?q=test&kind=exchange"))
            .await;
        browser.text("#results").await.contains("Test of the way")
    })
    .await;
    drop(browser);
    town.stop().await;
}
