//! Backups of running nodes, and nodes that start on them: what happened since comes back from the neighbours.

use std::fs;

use crate::{
    processes::{Connected, Node, Town, casegate, run},
    traffic::Traffic,
};

/// Takes a backup of a running node.
fn backup(node: &Node, town: &Town, name: &str) -> String {
    let out = town.path().join(name).display().to_string();
    let told = node.run(&format!("backup --out {out} --json")).json();
    assert!(told[0]["files"].as_u64() > Some(1), "{told:?}");
    out
}

/// The node's disk is gone; it starts on a backup.
fn restore(node: &mut Node, backup: &str) {
    node.kill();
    fs::remove_dir_all(node.data()).expect("the disk is gone");
    let data = node.data().display().to_string();
    let told = run(&mut casegate(&format!(
        "restore {backup} --data-dir {data} --json"
    )))
    .json();
    assert_eq!(told[0]["damaged"], 0, "{told:?}");
    node.start();
}

#[test]
fn a_hub_and_a_sender_that_are_restored_lose_nothing_and_repeat_nothing() {
    let Connected {
        mut hub,
        mut a,
        b,
        town,
    } = Connected::new();
    let mut traffic = Traffic::new();
    let all = traffic.len();
    let first = all * 2 / 3;
    traffic.submit_part(a.client(), 0..first);
    traffic.fetch(b.client());
    // Under load, each.
    traffic.until_received(all / 5);
    let of_hub = backup(&hub, &town, "of-hub");
    let of_a = backup(&a, &town, "of-a");
    traffic.until_received(all / 3);
    restore(&mut hub, &of_hub);
    // What a sender had accepted and passed to nobody would be gone with its disk.
    traffic.until_received(first);
    restore(&mut a, &of_a);
    let epoch = |node: &Node| node.client().get("/v1/status").expect("a status").1["epoch"].clone();
    let restored = epoch(&a);
    a.stop();
    a.start();
    assert_eq!(
        epoch(&a),
        restored,
        "a new epoch once, and not at every start"
    );
    traffic.submit_part(a.client(), first..all);
    let again = traffic.finish(&[&a, &hub, &b]);
    assert_eq!(again, 0, "B was never killed");
}

#[test]
fn a_backup_that_is_damaged_or_in_the_way_is_refused_with_what_is_wrong() {
    let town = Town::new();
    let mut a = town.unit("hebi.a");
    a.start();
    let out = backup(&a, &town, "of-a");
    let check = || run(&mut casegate(&format!("restore {out} --check")));
    assert!(check().good().contains("hebi.a"));
    a.run(&format!("backup --out {out}")).assert_refused(73);
    let data = a.data().display().to_string();
    run(&mut casegate(&format!("restore {out} --data-dir {data}"))).assert_refused(73);
    assert!(!a.data().join("backup").exists(), "nothing is left of it");

    let journal = town.path().join("of-a/journal");
    let file = fs::read_dir(&journal).expect("a folder").next();
    let file = file.expect("a file").expect("a file").path();
    let mut bytes = fs::read(&file).expect("bytes");
    bytes[20] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let refused = check();
    refused.assert_refused(65);
    let name = file.file_name().expect("a name").to_str().expect("a text");
    assert!(refused.err.contains(name), "{}", refused.err);
    let missing = run(&mut casegate("restore /nowhere --check"));
    missing.assert_refused(65);
}
