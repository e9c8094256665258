//! A real browser, driven over WebDriver.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{PATIENCE, agent, eventually};

/// The accessibility checker, as its makers publish it.
const AXE: &str = include_str!("vendor/axe.min.js");

/// A browser with nothing in it, and what drives it.
pub(super) struct Browser {
    pub(super) client: Client,
    driver: Child,
    session: String,
    /// It keeps its profile here.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one. It fails where there is none: a test that needs a browser tests nothing without.
    pub(super) async fn start(language: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; apt-get install chromium chromium-driver");
        let lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            line.split_once("successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        let port: u16 = port.expect("it says on which port it listens");
        let profile = tempfile::tempdir().expect("a folder");
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1366,768",
        ];
        let mut options = options.map(str::to_owned).to_vec();
        options.push(format!("--user-data-dir={}", profile.path().display()));
        options.push(format!("--accept-lang={language}"));
        let wanted = json!({
            "goog:chromeOptions": {
                "args": options,
                "prefs": {"intl.accept_languages": language, "intl.selected_languages": language},
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let wanted = wanted.as_object().expect("an object").clone();
        let at = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&at)
            .await
            .expect("a browser");
        let session = client.session_id().await.expect("asks").expect("a session");
        let session = format!("{at}/session/{session}");
        Self {
            client,
            driver,
            session,
            _profile: profile,
        }
    }

    pub(super) async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// The one element that a CSS selector finds, as soon as it is there.
    pub(super) async fn find(&self, selector: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE);
        let found = wait.for_element(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("no {selector}: {error}"))
    }

    /// Clicks what a CSS selector finds. A page that follows what happens may put another of the same kind in its place meanwhile.
    pub(super) async fn click(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(selector).await;
            match element.click().await {
                Err(error) if error.is_stale_element_reference() && Instant::now() < deadline => {}
                done => {
                    break done.unwrap_or_else(|error| panic!("{selector} is clicked: {error}"));
                }
            }
        }
    }

    pub(super) async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        element.clear().await.expect("it is cleared");
        element.send_keys(text).await.expect("it takes keys");
    }

    /// Waits until the page says this somewhere.
    pub(super) async fn until_says(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} says {text}"), async || {
            let said = self.text(selector).await;
            said.contains(text)
        })
        .await;
    }

    /// What a part of the page says; nothing when it is not there.
    pub(super) async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let said = self.run(script, vec![selector.into()]).await;
        said.as_str().unwrap_or_default().to_owned()
    }

    pub(super) async fn run(&self, script: &str, with: Vec<Value>) -> Value {
        self.client
            .execute(script, with)
            .await
            .expect("a script runs")
    }

    /// Where the browser is, without the host.
    pub(super) async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        let query = url
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", url.path())
    }

    pub(super) async fn sign_in(&self, at: &str, token: &str) {
        self.open(&format!("{at}/console/sign-in")).await;
        self.write("#token", token).await;
        self.click("main button.main").await;
        self.find(".actor").await;
    }

    /// What the browser's console has been told since it was asked last: errors of scripts, what the policy forbade, what did not load.
    pub(super) fn complaints(&self) -> Vec<String> {
        let url = format!("{}/se/log", self.session);
        let mut answer = tokio::task::block_in_place(|| {
            let body = json!({"type": "browser"}).to_string();
            agent()
                .post(&url)
                .content_type("application/json")
                .send(body)
        })
        .expect("the log");
        let text = answer.body_mut().read_to_string().expect("a text");
        let log: Value = serde_json::from_str(&text).expect("JSON");
        let entries = log["value"].as_array().unwrap_or_else(|| panic!("{log}"));
        let told = entries
            .iter()
            .filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        told.map(|entry| entry["message"].to_string()).collect()
    }

    pub(super) fn assert_content(&self, what: &str) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{what}: {complaints:#?}");
    }

    /// Asks axe for what keeps people from using the page; only what is serious or critical counts.
    pub(super) async fn assert_accessible(&self, what: &str) {
        self.run(AXE, vec![]).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations']}).then(
                (found) => done(found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => ({
                    rule: v.id, help: v.help, nodes: v.nodes.map((n) => n.html.slice(0, 300) + ' ' + (n.any[0]?.message ?? '')).slice(0, 5) }))),
                (error) => done(String(error)))";
        let found = self
            .client
            .execute_async(script, vec![])
            .await
            .expect("axe runs");
        assert_eq!(found, json!([]), "{what}: {found:#}");
    }

    /// How wide and high the page is shown.
    pub(super) async fn size(&self, width: u32, height: u32) {
        let how = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.tell("Emulation.setDeviceMetricsOverride", how);
    }

    /// Saves what is downloaded to this folder, without asking.
    pub(super) fn save_to(&self, folder: &Path) {
        let how = json!({"behavior": "allow", "downloadPath": folder});
        self.tell("Browser.setDownloadBehavior", how);
    }

    /// Tells the browser something for which WebDriver has no call.
    fn tell(&self, command: &str, parameters: Value) {
        let url = format!("{}/goog/cdp/execute", self.session);
        let body = json!({"cmd": command, "params": parameters});
        let answer = tokio::task::block_in_place(|| {
            agent()
                .post(&url)
                .content_type("application/json")
                .send(body.to_string())
        });
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    /// Pictures the page, when somebody wants pictures.
    pub(super) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("CASEGATE_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        std::fs::create_dir_all(&folder).expect("a folder");
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(folder.join(format!("{name}.png")), png).expect("it is kept");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ended without its session, the driver would leave a browser behind.
        let _ = tokio::task::block_in_place(|| agent().delete(&self.session).call());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
