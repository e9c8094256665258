//! What a reload does to sessions that live.

use std::path::Path;

use casegate::{
    model::UnitId,
    pki::{self, Issue},
};
use serde_json::json;

use crate::world::{Running, World, eventually, now, unit};

const HUB: &str = "hebi.hub";

fn issue(ca: &Path, unit: &UnitId, out: &Path) {
    // A renewal writes over what is there; another CA's is refused, so begin anew.
    let _ = std::fs::remove_dir_all(out);
    let asked = Issue {
        dir: ca,
        unit,
        out,
        hosts: &[],
        csr: None,
        days: 30,
    };
    pki::issue(&asked, now()).expect("an identity");
}

fn trust(identity: &Path, cas: &[&Path]) {
    let pems = cas
        .iter()
        .map(|ca| std::fs::read_to_string(ca.join("ca.pem")).expect("a CA"));
    std::fs::write(identity.join("ca.pem"), pems.collect::<String>()).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_trusted_no_more_ends_the_sessions_of_its_units_at_a_reload_and_no_others() {
    let world = World::new();
    let (old, new) = (world.path().join("ca"), world.path().join("new-ca"));
    pki::init(&new, "the next one", now()).expect("a CA");
    let settings = world.hub(HUB);
    issue(&new, &unit(HUB), &settings.identity.dir);
    trust(&settings.identity.dir, &[&old, &new]);
    let hub = Running::start(settings.clone()).await;
    let at = hub.dial_in().await;
    let mut edges = Vec::new();
    // The first has a certificate of the old CA, the others are through with the change.
    for (name, ca) in [
        ("hebi.tax", &old),
        ("hebi.tobacco", &new),
        ("hebi.police", &new),
    ] {
        let edge = world.edge(name, HUB, at);
        issue(ca, &unit(name), &edge.identity.dir);
        trust(&edge.identity.dir, &[&old, &new]);
        edges.push(Running::start(edge).await);
    }
    let [tax, tobacco, police] = edges.as_slice() else {
        unreachable!("three edges")
    };
    let connected = async |expected: u64| {
        eventually(&format!("{expected} sessions"), async || {
            let (_, status) = hub.get("/v1/status").await;
            status["sessions"] == expected
        })
        .await;
    };
    connected(3).await;
    let since = async |edge: &Running| {
        let (_, links) = edge.get("/v1/links").await;
        let since = &links["links"][0]["since"];
        assert!(since.is_string(), "{links}");
        since.clone()
    };
    let before = (since(tobacco).await, since(police).await);

    trust(&settings.identity.dir, &[&new]);
    hub.node
        .reload(settings.clone())
        .await
        .expect("it is reloadable");
    connected(2).await;
    eventually("the edge is told why", async || {
        let (_, links) = tax.get("/v1/links").await;
        let error = links["links"][0]["error"].as_str().unwrap_or_default();
        error.contains("CA")
    })
    .await;
    let event = tobacco.event("1", "hebi.police", "notice", json!("after"));
    let message = tobacco.submit(event).await;
    let received = police.receive(1).await;
    assert_eq!(received[0]["messageid"], message.as_str());
    assert_eq!(
        (since(tobacco).await, since(police).await),
        before,
        "a good session was ended"
    );

    // The edges do likewise: a hub of a CA that they trust no more is left.
    trust(&settings.identity.dir, &[&new, &old]);
    hub.node.reload(settings).await.expect("it is reloadable");
    connected(3).await;
    for node in edges {
        node.node.stop().await;
    }
    hub.node.stop().await;
}
