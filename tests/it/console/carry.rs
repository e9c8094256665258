//! A queue that goes by USB stick, from the console of one node to that of the other.

use std::{fs, path::Path};

use serde_json::json;

use super::{Town, browser::Browser};
use crate::world::{Running, eventually};

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn chosen_messages_of_the_queue_go_to_a_file() {
    let town = Town::new().await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    // They are of one case, whose first goes first.
    hub.act(&town.waiting[0], "release", json!({})).await;
    // The two have met, so that they know each other's numbers.
    let token = town.token(hub);
    let pause = "/v1/neighbours/hebi.police/pause";
    assert_eq!(hub.post_as(&token, pause, json!({})).await.0, 200);
    let dial = hub.dial_in().await;
    let police = Running::start(town.world.edge("hebi.police", "hebi.hub", dial)).await;
    eventually("police is connected", async || {
        police.get("/v1/status").await.1["sessions"] == 1
    })
    .await;
    police.node.stop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let browser = Browser::start("en").await;
    browser.save_to(folder.path());
    browser.sign_in(&at, &token).await;
    let queue = "/console/queue?neighbour=hebi.police&state=queued";
    browser.open(&format!("{at}{queue}")).await;
    browser.click("tbody tr:nth-child(1) input").await;
    let chosen = "return document.querySelector('tbody input').value";
    let chosen = browser.run(chosen, vec![]).await;
    browser.click(".acts [data-ask=ask-export]").await;
    browser.click("#ask-export button.main").await;
    browser.find("#ask-export textarea[aria-invalid]").await;
    browser
        .write("#ask-export textarea", "the line is down")
        .await;
    browser
        .assert_accessible("an export of chosen messages")
        .await;
    browser.picture("queue-export").await;
    browser.click("#ask-export button.main").await;
    browser
        .until_says(".said.good", "Exported: 1 messages")
        .await;
    let file = folder.path().join("hebi.police.casegate");
    eventually("the file is there", async || {
        fs::read(&file).is_ok_and(|file| file.starts_with(b"casegate stick 1\n"))
    })
    .await;
    let (_, queue) = hub.get("/v1/queue?neighbour=hebi.police").await;
    let exported: Vec<_> = queue["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter(|entry| entry["exported"] == true)
        .map(|entry| entry["messageid"].clone())
        .collect();
    assert_eq!(exported, [chosen]);
    drop(browser);
    town.stop().await;
}

#[ignore = "needs Debian's chromium and chromium-driver; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_exported_in_one_console_and_imported_in_the_other() {
    let town = Town::new().await;
    let (hub, at) = (&town.hub, town.hub.url(""));
    hub.act(&town.waiting[0], "release", json!({})).await;
    eventually("the attachment is at the hub", async || {
        let path = format!("/v1/messages/{}", town.waiting[2]);
        hub.get(&path).await.1["attachments"][0]["size"] == 300_000
    })
    .await;
    // The two have met, so that they know each other's numbers; nothing has gone.
    let token = town.token(hub);
    let pause = "/v1/neighbours/hebi.police/pause";
    assert_eq!(hub.post_as(&token, pause, json!({})).await.0, 200);
    let settings = town
        .world
        .edge("hebi.police", "hebi.hub", hub.dial_in().await);
    let police = Running::start(settings.clone()).await;
    eventually("police is connected", async || {
        police.get("/v1/status").await.1["sessions"] == 1
    })
    .await;
    police.node.stop().await;
    let resume = "/v1/neighbours/hebi.police/resume";
    assert_eq!(hub.post_as(&token, resume, json!({})).await.0, 200);
    let folder = tempfile::tempdir().expect("a folder");
    let browser = Browser::start("zh").await;
    browser.save_to(folder.path());
    browser.sign_in(&at, &town.token(hub)).await;
    browser
        .open(&format!("{at}/console/stick?neighbour=hebi.police"))
        .await;
    browser.until_says("#export", "hebi.police (6)").await;
    browser.assert_accessible("the page of the stick").await;
    browser.picture("stick").await;
    browser.click("#do-export").await;
    browser.click("#ask-export button.main").await;
    browser.find("#ask-export textarea[aria-invalid]").await;
    browser
        .write("#ask-export textarea", "线路中断，改用移动介质")
        .await;
    browser.picture("stick-asked").await;
    browser.click("#ask-export button.main").await;
    browser
        .until_says(
            ".said.good",
            "已导出发往 hebi.police 的报文 6 条、附件 1 个",
        )
        .await;
    browser.picture("stick-exported").await;
    browser.assert_content("exporting");
    let file = folder.path().join("hebi.police.casegate");
    eventually("the file is there whole", async || is_whole(&file)).await;
    let (_, queue) = hub.get("/v1/queue?neighbour=hebi.police").await;
    let held = queue["messages"].as_array().expect("messages");
    assert!(
        held.iter().all(|entry| entry["exported"] == true),
        "{queue}"
    );

    // Police is cut off from its hub.
    let nobody = ([127, 0, 0, 1], 9).into();
    let mut cut_off = settings;
    cut_off.upstream = town.world.edge("hebi.police", "hebi.hub", nobody).upstream;
    let police = Running::start(cut_off).await;
    let at = police.url("");
    browser.sign_in(&at, &town.token(&police)).await;
    browser.open(&format!("{at}/console/stick")).await;
    let chooser = browser.find("#file").await;
    chooser
        .send_keys(&file.display().to_string())
        .await
        .expect("it is chosen");
    browser.click("#do-import").await;
    browser
        .until_says("#imported .said.good", "来自 hebi.hub：导入报文 6 条")
        .await;
    browser.assert_accessible("an import").await;
    browser.picture("stick-imported").await;
    // One after another, since they are of one case.
    for _ in 0..6 {
        let received = police.receive(1).await;
        police.ack(&received).await;
    }
    // The same file once more does no harm, and one that is damaged is told.
    fs::write(&file, b"casegate stick 1\nbroken").expect("written");
    let chooser = browser.find("#file").await;
    chooser
        .send_keys(&file.display().to_string())
        .await
        .expect("it is chosen");
    browser.click("#do-import").await;
    browser.until_says("#imported .said.bad", "导入失败").await;
    drop(browser);
    police.node.stop().await;
    town.stop().await;
}

fn is_whole(file: &Path) -> bool {
    // The browser gives a file its name when it has all of it.
    fs::metadata(file).is_ok_and(|file| file.len() > 300_000)
}
