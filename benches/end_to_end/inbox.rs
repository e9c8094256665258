//! The receiver's application: it fetches and acks as fast as it can, or only looks how full the inbox is.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::task::spawn_blocking;

/// How often the inbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Fetches and acks so many messages.
pub(super) async fn fetch(address: SocketAddr, count: u64, patience: Duration) {
    let fetched = spawn_blocking(move || {
        let agent = ureq::Agent::new_with_defaults();
        let began = Instant::now();
        let mut left = count;
        while left > 0 {
            assert!(began.elapsed() < patience, "{left} did not come");
            let inbox = format!("http://{address}/v1/inbox?max=1000&wait=5s");
            let mut answer = agent.get(inbox).call().expect("an answer");
            let read = answer.body_mut().with_config().limit(64 << 20);
            let messages: Vec<Value> = read.read_json().expect("a batch");
            if messages.is_empty() {
                continue;
            }
            let names: Vec<_> = messages.iter().map(|m| &m["messageid"]).collect();
            let ack = serde_json::json!({ "messageids": names });
            let answer = agent
                .post(format!("http://{address}/v1/inbox/ack"))
                .send_json(ack);
            answer.expect("acked");
            left -= messages.len() as u64;
        }
    });
    fetched.await.expect("no panic");
}

/// Waits until so many messages are in the inbox; tells how many there are.
pub(super) async fn wait_for(address: SocketAddr, count: u64, patience: Duration) -> u64 {
    let began = Instant::now();
    loop {
        let there = spawn_blocking(move || {
            let status = ureq::get(format!("http://{address}/v1/status")).call();
            let mut status = status.expect("an answer");
            let status: Value = status.body_mut().read_json().expect("a status");
            status["inbox"]["messages"].as_u64().expect("a number")
        });
        let there = there.await.expect("no panic");
        if there >= count {
            return there;
        }
        assert!(began.elapsed() < patience, "{there} of {count} came");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
