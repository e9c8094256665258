//! What the base takes of the disk.

use std::{path::Path, time::Instant};

use super::*;

/// Values of 4 KiB: far more than a base may take for nothing, since sled gives some of it back by itself.
const VALUES: u32 = 40_000;

/// Has the base take so many values of 4 KiB more than what is in it: what has gone leaves its room.
pub(in crate::index) fn bloat(base: &Base, values: u32) {
    let keys = (0..values).map(|n| [b"u", &n.to_be_bytes()[..]].concat());
    let keys: Vec<_> = keys.collect();
    for key in &keys {
        base.db().insert(key, &[7; 4096][..]).expect("written");
    }
    base.flush().expect("flushed");
    for key in &keys {
        base.db().remove(key).expect("removed");
    }
    base.flush().expect("flushed");
}

fn bytes_of(folder: &Path) -> u64 {
    fs::metadata(folder.join("db")).map_or(0, |db| db.len())
}

#[tokio::test]
async fn a_base_that_takes_much_more_than_what_is_in_it_is_written_anew_and_goes_on() {
    let (node, folder) = (Node::default(), folder());
    let mut world = node.start(&folder, until(0));
    for n in 1..=3 {
        world.tell(n.into(), &node.accept(n, NOW));
    }
    assert!(world.knows(3).await);
    world.thread.stop();
    let base = folder.path().join("index");
    bloat(&Base::open(&base).expect("a base"), VALUES);
    assert!(bytes_of(&base) > 64 << 20);

    let mut world = node.start(&folder, until(3));
    let deadline = Instant::now() + Duration::from_secs(60);
    while bytes_of(&base) > 4 << 20 || !world.index.health().open {
        assert!(Instant::now() < deadline, "{} bytes", bytes_of(&base));
        tokio::task::yield_now().await;
    }
    world.tell(4, &node.accept(4, NOW));
    for n in 1..=4 {
        assert!(world.knows(n).await);
    }
    let all = world.all().await;
    assert_eq!((all.messages.len(), all.gaps.len()), (4, 0));
    assert_eq!(world.index.health().rebuilt, 0);
    world.thread.stop();
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing but the base is left");
}
