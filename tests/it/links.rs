//! Several links between an edge and its hub, each over an emulator of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use casegate::{
    config::{self, Settings},
    emulator::{Direction, Emulator, Outages, Profile, SplitMix64},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::world::{Running, World, eventually};

/// A link has to answer for 5 seconds before it gets work again that another can do; tests may be late to notice.
const PROVING_AT_LEAST: Duration = Duration::from_secs(4);

fn line(rate_bps: u64, delay_ms: u64) -> Profile {
    let direction = Direction {
        rate_bps: Some(rate_bps),
        delay: Duration::from_millis(delay_ms),
        buffer_bytes: 128 * 1024,
        ..Direction::PERFECT
    };
    Profile {
        up: direction.clone(),
        down: direction,
        outages: Outages::default(),
    }
}

/// An edge with two links to a hub, and another edge that takes what it sends.
struct Net {
    world: World,
    hub: Running,
    sender: Running,
    receiver: Running,
    settings: Settings,
    one: Emulator,
    two: Emulator,
}

impl Net {
    async fn over(one: Profile, two: Profile) -> Self {
        Self::with(one, two, |_| ()).await
    }

    async fn with(one: Profile, two: Profile, change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::new();
        let hub = Running::start(world.hub("hebi.hub")).await;
        let at = hub.dial_in().await;
        let one = Emulator::start(one, 1, at).await.expect("a link");
        let two = Emulator::start(two, 2, at).await.expect("a link");
        let mut settings = world.edge("hebi.tobacco", "hebi.hub", one.address());
        let links = &mut settings.upstream.as_mut().expect("an edge").links;
        links[0].name = "one".into();
        links[0].kind = config::LinkKind::Exclusive;
        let second = config::Link {
            name: "two".into(),
            address: two.address().to_string().parse().expect("an address"),
            ..links[0].clone()
        };
        links.push(second);
        change(&mut settings);
        let sender = Running::start(settings.clone()).await;
        let receiver = Running::start(world.edge("hebi.police", "hebi.hub", at)).await;
        let net = Self {
            world,
            hub,
            sender,
            receiver,
            settings,
            one,
            two,
        };
        net.until_sound(&net.hub).await;
        net.until_sound(&net.sender).await;
        net
    }

    /// Waits until all of the sender's links can be relied on.
    async fn until_sound(&self, at: &Running) {
        let links = self
            .settings
            .upstream
            .as_ref()
            .expect("an edge")
            .links
            .len();
        eventually("every link is sound", async || {
            let all = links_of(at).await;
            let here = all.iter().filter(|link| link["neighbour"] != "hebi.police");
            let states: Vec<_> = here.map(|link| link["state"].clone()).collect();
            states.len() == links && states.iter().all(|state| state == "sound")
        })
        .await;
    }

    async fn until_link(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = Mutex::new(Value::Null);
        eventually(what, async || {
            let link = link_of(&self.sender, name).await;
            let is_so = is(&link);
            *found.lock().await = link;
            is_so
        })
        .await;
        found.into_inner()
    }

    async fn stop(self) {
        for node in [self.sender, self.receiver, self.hub] {
            node.node.stop().await;
        }
    }
}

async fn links_of(node: &Running) -> Vec<Value> {
    let (status, links) = node.get("/v1/links").await;
    assert_eq!(status, 200, "{links}");
    links["links"].as_array().expect("a list").clone()
}

async fn link_of(node: &Running, name: &str) -> Value {
    let links = links_of(node).await;
    let found = links.into_iter().find(|link| link["link"] == name);
    found.unwrap_or(Value::Null)
}

/// Text that cannot be compressed.
fn noise(random: &mut SplitMix64, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let letters = (0..bytes).map(|_| char::from(LETTERS[(random.next_u64() % 64) as usize]));
    letters.collect()
}

/// Messages of different cases, none of which can be compressed.
fn messages(from: &Running, ids: std::ops::Range<usize>, bytes: usize) -> Vec<Value> {
    let mut random = SplitMix64::new(ids.start as u64);
    let message = |id: usize| {
        let data = json!(noise(&mut random, bytes));
        let mut event = from.event(&id.to_string(), "hebi.police", "notice", data);
        event["caseid"] = json!(format!("A-{id}"));
        event
    };
    ids.map(message).collect()
}

async fn submit_all(node: &Running, events: Vec<Value>) {
    let kind = "application/cloudevents-batch+json";
    let (status, answer) = node.post("/v1/messages", kind, Value::Array(events)).await;
    assert_eq!(status, 202, "{answer}");
}

/// An application that takes what comes, and when each message came.
struct Taker {
    came: Arc<Mutex<BTreeMap<String, Vec<Instant>>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Taker {
    fn at(url: String) -> Self {
        let came = Arc::new(Mutex::new(BTreeMap::<String, Vec<Instant>>::new()));
        let (stop, mut stopped) = oneshot::channel();
        let note = came.clone();
        let task = tokio::spawn(async move {
            while stopped.try_recv().is_err() {
                let ask = format!("{url}/v1/inbox?max=1000&wait=1s");
                let asked = crate::world::call(move || crate::world::agent().get(&ask).call());
                let (status, events) = asked.await;
                assert_eq!(status, 200, "{events}");
                let events = events.as_array().expect("a batch").clone();
                if events.is_empty() {
                    continue;
                }
                let now = Instant::now();
                let mut came = note.lock().await;
                for event in &events {
                    let id = event["id"].as_str().expect("an id").to_owned();
                    came.entry(id).or_default().push(now);
                }
                drop(came);
                let names: Vec<_> = events.iter().map(|event| &event["messageid"]).collect();
                let done = json!({ "messageids": names }).to_string();
                let to = format!("{url}/v1/inbox/ack");
                let acked = crate::world::call(move || {
                    let call = crate::world::agent().post(&to);
                    call.content_type("application/json").send(done)
                });
                assert_eq!(acked.await.0, 200);
            }
        });
        Self { came, stop, task }
    }

    async fn until(&self, count: usize) {
        eventually(&format!("{count} messages have come"), async || {
            self.came.lock().await.len() >= count
        })
        .await;
    }

    /// Stops, and gives when each message came, the first first; none has come twice.
    async fn times(self) -> Vec<(String, Instant)> {
        let _ = self.stop.send(());
        self.task.await.expect("no panic");
        let came = self.came.lock().await;
        let mut times: Vec<_> = came
            .iter()
            .map(|(id, times)| {
                assert_eq!(times.len(), 1, "{id} was handed over more than once");
                (id.clone(), times[0])
            })
            .collect();
        times.sort_by_key(|(_, at)| *at);
        times
    }
}

impl Running {
    fn taker(&self) -> Taker {
        Taker::at(format!("http://{}", self.node.api_address()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_goes_over_both_links_as_much_over_each_as_it_carries() {
    const COUNT: usize = 400;
    const BYTES: usize = 8_000;
    let net = Net::over(line(6_000_000, 10), line(2_000_000, 40)).await;
    let taker = net.receiver.taker();
    let began = Instant::now();
    submit_all(&net.sender, messages(&net.sender, 0..COUNT, BYTES)).await;
    taker.until(COUNT).await;
    let times = taker.times().await;
    let took = times.last().expect("messages").1.duration_since(began);
    let (one, two) = (net.one.stats().up, net.two.stats().up);
    let share = one.carried_bytes as f64 / two.carried_bytes as f64;
    let sum = (one.carried_bytes + two.carried_bytes) as f64;
    println!(
        "{share:.2} times as much over the one that carries 3 times as much; {:.2} of the sum of both in {took:?}; {:.3} bytes for each byte",
        sum * 8.0 / 8e6 / took.as_secs_f64(),
        sum / (COUNT * BYTES) as f64,
    );
    assert!((1.8..5.0).contains(&share), "{share}: {one:?} {two:?}");
    // Six bits of a letter are eight on the wire where nothing is compressed; what goes twice would show.
    assert!(sum < (COUNT * BYTES) as f64 * 1.15, "{sum}");
    for name in ["one", "two"] {
        let link = link_of(&net.sender, name).await;
        assert!(
            link["ratio_sent"].as_f64().is_some_and(|r| r < 1.2),
            "{link}"
        );
        let usage = &link["usage"];
        assert!(
            usage["wire_sent"].as_u64() > link["bytes_sent"].as_u64(),
            "{link}"
        );
        assert_eq!(usage["budget_bytes"], Value::Null);
    }
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_swallows_everything_is_covered_by_the_other_and_has_to_prove_itself_again() {
    let net = Net::over(line(10_000_000, 10), line(2_000_000, 40)).await;
    let taker = net.receiver.taker();
    let mut ticks = interval(Duration::from_millis(25));
    let mut sent = 0;
    let mut submitted = Vec::new();
    let mut trickle = async |count: usize| {
        for _ in 0..count {
            ticks.tick().await;
            submitted.push(Instant::now());
            let message = messages(&net.sender, sent..sent + 1, 400);
            submit_all(&net.sender, message).await;
            sent += 1;
        }
    };
    trickle(40).await;
    let over = async |name: &str| {
        let link = link_of(&net.sender, name).await;
        link["lanes_sent"]["normal"].as_u64().expect("bytes")
    };
    assert!(
        over("one").await > 10 * over("two").await,
        "the quick one has it all"
    );

    net.one.down();
    trickle(120).await;
    let silent = net.until_link("one", "it is silent", |link| link["state"] == "silent");
    assert_eq!(silent.await["up"], true, "its session lives");
    let (_, metrics) = net.sender.get("/metrics").await;
    let metrics = metrics.as_str().expect("a text");
    assert!(
        metrics.contains("casegate_link_silent{link=\"one\"} 1"),
        "{metrics}"
    );
    let (one, two) = (over("one").await, over("two").await);
    trickle(10).await;
    assert_eq!(over("one").await, one, "a silent link gets nothing");
    assert!(over("two").await > two);
    // All of it, what the silent link had been given too, while that link carries nothing.
    taker.until(170).await;

    net.one.up();
    net.until_link("one", "it answers", |link| link["state"] == "proving")
        .await;
    let answers = Instant::now();
    let before = over("one").await;
    trickle(20).await;
    let during = link_of(&net.sender, "one").await;
    assert_eq!(during["state"], "proving");
    assert_eq!(
        during["lanes_sent"]["normal"], before,
        "nor does one that proves itself"
    );
    net.until_link("one", "it is sound", |link| link["state"] == "sound")
        .await;
    assert!(
        answers.elapsed() >= PROVING_AT_LEAST,
        "{:?}",
        answers.elapsed()
    );
    trickle(20).await;
    assert!(over("one").await > before, "it has its work again");

    taker.until(sent).await;
    let times = taker.times().await;
    assert_eq!(times.len(), sent);
    let longest = times.iter().map(|(id, at)| {
        let id: usize = id.parse().expect("a number");
        at.duration_since(submitted[id])
    });
    let longest = longest.max().expect("messages");
    println!("the longest way of a message: {longest:?}");
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_on_a_link_that_swallows_everything_arrives_once_and_little_goes_twice()
{
    const COUNT: usize = 300;
    const BYTES: usize = 8_000;
    let net = Net::over(line(6_000_000, 10), line(6_000_000, 10)).await;
    let taker = net.receiver.taker();
    submit_all(&net.sender, messages(&net.sender, 0..COUNT, BYTES)).await;
    taker.until(COUNT / 3).await;
    net.one.down();
    taker.until(COUNT).await;
    assert_eq!(taker.times().await.len(), COUNT);
    let link = async |name| link_of(&net.sender, name).await;
    let payload = |link: &Value| link["payload_sent"].as_u64().expect("bytes");
    let sent = payload(&link("one").await) + payload(&link("two").await);
    let all = (COUNT * (BYTES + 400)) as u64;
    // What was in flight: one and a half times what the line holds, and what its buffer does.
    assert!(sent < all + 1024 * 1024, "{sent} of {all}");
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_message_goes_over_both_links_and_arrives_once() {
    let net = Net::over(line(10_000_000, 10), line(2_000_000, 40)).await;
    let mut event = messages(&net.sender, 0..1, 400).remove(0);
    event["priority"] = json!("flash");
    let message = net.sender.submit(event).await;
    let received = net.receiver.receive(1).await;
    net.receiver.ack(&received).await;
    net.sender.until_state(&message, "delivered").await;
    for name in ["one", "two"] {
        let link = link_of(&net.sender, name).await;
        assert!(link["lanes_sent"]["flash"].as_u64() > Some(0), "{link}");
    }
    let (_, view) = net.sender.get(&format!("/v1/messages/{message}")).await;
    let steps = view["timeline"].as_array().expect("a timeline");
    let sent: Vec<_> = steps.iter().filter(|step| step["step"] == "sent").collect();
    assert_eq!(sent.len(), 2, "{steps:?}");
    let (_, inbox) = net.receiver.get("/v1/inbox").await;
    assert_eq!(inbox, json!([]));
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_taken_out_put_in_and_changed_under_load_and_nothing_is_lost() {
    const COUNT: usize = 300;
    let net = Net::over(line(4_000_000, 10), line(4_000_000, 10)).await;
    let taker = net.receiver.taker();
    submit_all(&net.sender, messages(&net.sender, 0..COUNT, 8_000)).await;
    taker.until(COUNT / 6).await;

    let mut without = net.settings.clone();
    without.upstream.as_mut().expect("an edge").links.remove(0);
    net.sender.node.reload(without).await.expect("reloadable");
    eventually("one link is left, at both ends", async || {
        let left = async |node: &Running| {
            let links = links_of(node).await;
            let mut links = links.into_iter().filter(|link| link["link"] != "lan");
            links.all(|link| link["link"] == "two")
        };
        left(&net.sender).await && left(&net.hub).await
    })
    .await;
    taker.until(COUNT / 3).await;

    // Put in again; and the other one is used otherwise, which leaves its session alone.
    let since = link_of(&net.sender, "two").await["since"].clone();
    let mut costly = net.settings.clone();
    costly.upstream.as_mut().expect("an edge").links[1].cost_s = 60;
    net.sender.node.reload(costly).await.expect("reloadable");
    net.until_link("one", "it is back", |link| link["up"] == true)
        .await;
    net.until_link("two", "it costs", |link| link["cost_s"] == 60.0)
        .await;
    assert_eq!(link_of(&net.sender, "two").await["since"], since);
    let at_hub = async || {
        let links = links_of(&net.hub).await;
        links.into_iter().find(|link| link["link"] == "two")
    };
    eventually("the hub knows what it costs", async || {
        at_hub().await.is_some_and(|link| link["cost_s"] == 60.0)
    })
    .await;
    taker.until(COUNT).await;
    assert_eq!(taker.times().await.len(), COUNT);

    // Another address: a session anew, and the link is not lost to those who look.
    let mut moved = net.settings.clone();
    let links = &mut moved.upstream.as_mut().expect("an edge").links;
    links[1].address = net.one.address().to_string().parse().expect("an address");
    net.sender.node.reload(moved).await.expect("reloadable");
    net.until_link("two", "it has a session anew", |link| {
        link["up"] == true && link["since"] != since
    })
    .await;
    net.one.down();
    net.until_link("two", "it is silent, not gone", |link| {
        link["state"] == "silent" || link["state"] == "down" || link["state"] == "sound"
    })
    .await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_budget_is_spent_carries_only_what_is_urgent_and_both_ends_keep_to_it() {
    const COUNT: usize = 400;
    let bound = |settings: &mut Settings, mib| {
        let links = &mut settings.upstream.as_mut().expect("an edge").links;
        links.truncate(1);
        links[0].budget_mib_per_day = mib;
    };
    let net = Net::with(line(2_000_000, 10), line(2_000_000, 10), |settings| {
        bound(settings, Some(1));
    })
    .await;
    let taker = net.receiver.taker();
    submit_all(&net.sender, messages(&net.sender, 0..COUNT, 8_000)).await;
    let spent = net.until_link("one", "the budget is spent", |link| {
        link["takes"] == "express"
    });
    let spent = spent.await;
    let today = spent["usage"]["today_bytes"].as_u64().expect("bytes");
    assert!((1 << 20..1 << 21).contains(&today), "{spent}");
    let why = "its budget for today is spent";
    assert_eq!(spent["usage"]["express_only"], why);
    let (_, status) = net.sender.get("/v1/status").await;
    assert!(status["warnings"].to_string().contains(why), "{status}");
    eventually("the hub has heard of it", async || {
        let links = links_of(&net.hub).await;
        links
            .iter()
            .any(|l| l["link"] == "one" && l["takes"] == "express")
    })
    .await;

    // Urgent ones pass both ways, and what came before stays where it is.
    let mut urgent = messages(&net.sender, COUNT..COUNT + 1, 400).remove(0);
    urgent["priority"] = json!("urgent");
    let message = net.sender.submit(urgent).await;
    net.sender.until_state(&message, "delivered").await;
    let to_sender = |id: &str, priority: &str| {
        let mut event = net.receiver.event(id, "hebi.tobacco", "notice", json!(1));
        event["priority"] = json!(priority);
        event["caseid"] = json!(id);
        event
    };
    net.receiver.submit(to_sender("later", "normal")).await;
    net.receiver.submit(to_sender("now", "urgent")).await;
    let came = net.sender.receive(1).await;
    assert_eq!(came[0]["id"], "now");
    net.sender.ack(&came).await;
    let (_, status) = net.sender.get("/v1/status").await;
    let waiting = status["queued_lanes"]["normal"].as_u64().expect("a number");
    assert!(waiting > 0, "{status}");

    // A restart does not forget it.
    let settings = net.settings.clone();
    net.sender.node.stop().await;
    let sender = Running::start(settings.clone()).await;
    eventually("the link is up again, on its terms", async || {
        link_of(&sender, "one").await["takes"] == "express"
    })
    .await;
    let link = link_of(&sender, "one").await;
    assert!(
        link["usage"]["today_bytes"].as_u64() >= Some(today),
        "{link}"
    );

    // More of it, and everything goes.
    let mut more = settings;
    bound(&mut more, Some(100));
    sender.node.reload(more).await.expect("reloadable");
    taker.until(COUNT + 1).await;
    assert_eq!(sender.receive(1).await[0]["id"], "later");
    assert_eq!(taker.times().await.len(), COUNT + 1);
    for node in [sender, net.receiver, net.hub] {
        node.node.stop().await;
    }
    drop(net.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_its_hours_a_link_carries_only_what_is_urgent_and_the_queue_says_what_is_under_way()
{
    // A minute of the day that is at least two hours away by any clock of this machine.
    let now = jiff::tz::TimeZone::system().to_datetime(jiff::Timestamp::now());
    let opens = (now.hour() + 12).rem_euclid(24);
    let hours = format!("{opens:02}:00-{opens:02}:30");
    let net = Net::with(line(2_000_000, 10), line(2_000_000, 10), |settings| {
        let links = &mut settings.upstream.as_mut().expect("an edge").links;
        links.truncate(1);
        links[0].hours = vec![hours.parse().expect("hours")];
    })
    .await;
    let why = "it is outside its hours";
    let closed = net.until_link("one", "the link is closed", |link| {
        link["takes"] == "express" && link["usage"]["express_only"] == why
    });
    closed.await;
    let mut two = messages(&net.sender, 0..2, 400);
    two[1]["priority"] = json!("urgent");
    let urgent = two.pop().expect("two");
    let normal = net.sender.submit(two.remove(0)).await;
    let urgent = net.sender.submit(urgent).await;
    net.sender.until_state(&urgent, "delivered").await;
    let queue = queue_of(&net.sender).await;
    let row = queue.iter().find(|row| row["messageid"] == normal);
    let row = row.expect("it waits");
    assert_eq!(row["state"], "queued");
    assert!(row["link"].is_null(), "{row}");

    // The link swallows everything, and is open all day: then the message is under way on it, and says so.
    net.one.down();
    let mut open = net.settings.clone();
    open.upstream.as_mut().expect("an edge").links[0]
        .hours
        .clear();
    net.sender.node.reload(open).await.expect("reloadable");
    eventually("it is under way on the link", async || {
        let queue = queue_of(&net.sender).await;
        queue.iter().any(|row| {
            row["messageid"] == normal && row["state"] == "sending" && row["link"] == "one"
        })
    })
    .await;
    net.one.up();
    net.sender.until_state(&normal, "delivered").await;
    net.stop().await;
}

async fn queue_of(node: &Running) -> Vec<Value> {
    let (_, queue) = node.get("/v1/queue").await;
    queue["messages"].as_array().cloned().unwrap_or_default()
}
