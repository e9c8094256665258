//! The console of real nodes: over HTTP, and in a real browser.
//!
//! What needs a browser is ignored unless it is asked for: `cargo test --release --test it console -- --ignored` wants Debian's `chromium` and
//! `chromium-driver`, and fails without them. With `CASEGATE_SCREENSHOTS` set to a folder, pages are pictured into it.

mod acts;
mod browser;
mod carry;
mod door;
mod halts;
mod history;
mod looks;
mod pages;
mod tour;

use casegate::config::{self, Settings};
use serde_json::{Value, json};

use crate::world::{Running, World, eventually, unit};

/// A hub and its units: tobacco is connected, police is not, and something of everything has happened.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) hub: Running,
    pub(crate) tobacco: Running,
    /// Delivered and read, in a case of several messages.
    pub(crate) read: String,
    /// Waiting at the hub for police: the first is held there.
    pub(crate) waiting: Vec<String>,
}

/// The case that most messages belong to, as such cases are named.
pub(crate) const CASE: &str = "浚烟立〔2026〕12号";

impl Town {
    pub(crate) async fn new() -> Self {
        Self::with(async |_| {}).await
    }

    /// One whose hub is prepared before it starts.
    pub(crate) async fn with(prepare: impl AsyncFnOnce(&mut Settings)) -> Self {
        let world = World::new();
        let mut settings = world.hub("hebi.hub");
        settings.units = [
            ("hebi.xunxian.tobacco", "浚县烟草专卖局"),
            ("hebi.police", "鹤壁市公安局"),
            ("hebi.xunxian.procuratorate", "浚县人民检察院"),
            ("hebi.qixian.market", "淇县市场监督管理局"),
        ]
        .map(|(name, title)| config::Unit {
            name: unit(name),
            title: Some(title.into()),
            serves: Vec::new(),
            blocked: name.ends_with("market"),
        })
        .into();
        prepare(&mut settings).await;
        let hub = Running::start(settings).await;
        let at = hub.dial_in().await;
        let tobacco = Running::start(world.edge("hebi.xunxian.tobacco", "hebi.hub", at)).await;
        let procuratorate = world.edge("hebi.xunxian.procuratorate", "hebi.hub", at);
        let procuratorate = Running::start(procuratorate).await;
        eventually("both are connected", async || {
            let (_, status) = hub.get("/v1/status").await;
            status["sessions"] == 2
        })
        .await;

        let read = tobacco
            .submit(event(
                &tobacco,
                "1",
                "hebi.xunxian.procuratorate",
                "涉嫌非法经营案件移送",
            ))
            .await;
        let received = procuratorate.receive(1).await;
        procuratorate.ack(&received).await;
        tobacco.until_state(&read, "read").await;
        let back = event(&procuratorate, "9", "hebi.xunxian.tobacco", "立案监督意见");
        procuratorate.submit(back).await;
        tobacco.receive(1).await;

        let scan = tobacco.bring(vec![7; 300_000]).await;
        let mut waiting = Vec::new();
        for number in 0..6 {
            let title = format!("补充材料第 {} 部分", number + 1);
            let mut event = event(&tobacco, &format!("w{number}"), "hebi.police", &title);
            event["priority"] = ["flash", "urgent", "normal", "bulk"][number % 4].into();
            if number == 2 {
                event["attachments"] = scan.as_str().into();
                event["attachmentnames"] = "移送书.pdf".into();
            }
            waiting.push(tobacco.submit(event).await);
        }
        let known = async || {
            let (_, page) = hub.get("/v1/queue?neighbour=hebi.police").await;
            page["total"] == 6
        };
        eventually("all wait at the hub", known).await;
        hub.act(&waiting[0], "hold", json!({})).await;
        procuratorate.node.stop().await;
        Self {
            world,
            hub,
            tobacco,
            read,
            waiting,
        }
    }

    /// The operators' token of a node.
    pub(crate) fn token(&self, node: &Running) -> String {
        let folder = self.world.path().join(node.unit.as_str());
        let token = std::fs::read_to_string(folder.join("data/operator.token"));
        token.expect("a token").trim().to_owned()
    }

    pub(crate) async fn stop(self) {
        self.tobacco.node.stop().await;
        self.hub.node.stop().await;
    }
}

/// An event of the case, with a title.
pub(crate) fn event(from: &Running, id: &str, to: &str, title: &str) -> Value {
    let mut event = from.event(id, to, "case.transfer", json!({"title": title}));
    event["subject"] = title.into();
    event["caseid"] = CASE.into();
    event
}

impl Running {
    /// Acts on a queued message, as an operator.
    pub(crate) async fn act(&self, message: &str, action: &str, body: Value) {
        let url = self.url(&format!("/v1/queue/{message}/{action}"));
        let (_, status) = self.get("/v1/status").await;
        let folder = status["data_dir"].as_str().expect("a folder").to_owned();
        let token = std::fs::read_to_string(format!("{folder}/operator.token")).expect("a token");
        let (status, answer) = crate::world::call(move || {
            crate::world::agent()
                .post(&url)
                .header("authorization", format!("Bearer {}", token.trim()))
                .content_type("application/json")
                .send(body.to_string())
        })
        .await;
        assert_eq!(status, 200, "{answer}");
    }
}
