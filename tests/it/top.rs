//! `casegate top` in a real terminal, of real nodes.

use rustix::process::Signal;

use crate::{
    processes::{Connected, signal},
    terminal::InTerminal,
};

/// The line of a screen that holds these words.
fn line<'a>(screen: &'a str, words: &[&str]) -> Option<&'a str> {
    let mut lines = screen.lines();
    lines.find(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn what_waits_is_seen_on_a_terminal_keys_change_it_and_q_gives_the_terminal_back() {
    let mut net = Connected::new();
    net.b.stop();
    net.hub.until_sessions(1);
    for n in 0..3 {
        let lane = if n == 0 { "urgent" } else { "normal" };
        let line = format!("send --to hebi.b --kind notice --priority {lane} --wait relayed");
        net.a.run(&line).good();
    }
    let mut top = InTerminal::start(net.hub.ask("top"));
    top.until("the queue is shown", |screen| {
        // Neighbour, state, flash, urgent, normal, bulk.
        let queue = line(screen, &["hebi.b", "away"]);
        let depths = queue.map(|line| line.split_whitespace().skip(2).take(4).collect::<Vec<_>>());
        depths.is_some_and(|depths| depths == ["0", "1", "2", "0"])
    });
    let screen = top.text();
    assert!(line(&screen, &["hebi.b", "no link"]).is_some(), "{screen}");
    assert!(
        line(&screen, &["hebi.a", "lan", "sound"]).is_some(),
        "{screen}"
    );
    assert!(
        line(&screen, &["hebi.hub", "takes submissions"]).is_some(),
        "{screen}"
    );
    assert!(line(&screen, &["> Links"]).is_some(), "{screen}");
    assert!(top.is_coloured());
    assert_eq!(top.is_taken(), Some(true));

    top.type_in("\t");
    top.until("the next pane is chosen", |screen| {
        screen.contains("> Queues")
    });
    top.type_in("?");
    top.until("keys are explained", |screen| screen.contains("Shift-Tab"));
    top.type_in("?");
    top.until("the help is gone", |screen| !screen.contains("Shift-Tab"));

    // What happens is seen without a key, except in a pause.
    top.type_in("p");
    top.until("it is paused", |screen| screen.contains("PAUSED"));
    net.b.start();
    net.hub.until_sessions(2);
    let connected = |screen: &str| line(screen, &["hebi.b", "lan", "sound"]).is_some();
    assert!(!connected(&top.text()));
    top.type_in("p");
    top.until("the unit is back", connected);
    top.until("nothing waits", |screen| {
        line(screen, &["Queues", " 0"]).is_some()
    });

    // A node that goes away is told of, and waited for.
    net.hub.stop();
    top.until("the node is gone", |screen| {
        screen.contains("GONE, as it was")
    });
    net.hub.start();
    top.until("the node is back", |screen| !screen.contains("GONE"));

    top.type_in("q");
    assert_eq!(top.end(), Some(0));
    assert!(!top.text().contains("Queues"), "{}", top.text());
}

#[test]
fn a_terminal_is_given_back_on_control_c_and_on_sigterm_and_has_no_colours_where_none_are_wanted() {
    let net = Connected::new();
    let mut command = net.hub.ask("top");
    command.env("NO_COLOR", "1");
    let mut top = InTerminal::start(command);
    top.until("the links are shown", |screen| {
        line(screen, &["hebi.a", "lan"]).is_some()
    });
    assert!(!top.is_coloured());
    top.type_in("\u{3}");
    assert_eq!(top.end(), Some(0));

    let mut top = InTerminal::start(net.hub.ask("top"));
    top.until("the links are shown", |screen| {
        line(screen, &["hebi.a", "lan"]).is_some()
    });
    signal(&top.process, Signal::TERM);
    assert_eq!(top.end(), Some(0));
}

#[test]
fn without_a_terminal_or_a_node_top_says_so_in_one_line() {
    let mut net = Connected::new();
    let refused = net.hub.run("top");
    refused.assert_refused(73);
    assert!(refused.err.contains("casegate status"), "{}", refused.err);
    net.hub.stop();
    let mut top = InTerminal::start(net.hub.ask("top"));
    assert_eq!(top.end(), Some(69));
    top.until("it says why", |screen| {
        screen.contains("the node is not reachable")
    });
}
