//! Power cuts: each node's data is on a file system of its own, which is shut down without writing anything back, journal included
//! (`EXT4_IOC_SHUTDOWN`), at any moment while messages pass. What was not synced is gone for good, as when the power fails.
//!
//! Needs root, loop devices, `mkfs.ext4` and `xfs_io` (xfsprogs), and is run with `--ignored`, best in `unshare -m`. `CASEGATE_TEST_CUTS`
//! says how often to cut. With `CASEGATE_TEST_NO_SYNCS` (and strace) no sync reaches the disk, and the test must fail.
//!
//! A node is killed before its disk is cut. A file system that is shut down below a running node is no power cut: ext4 (Linux 6.18) then
//! answers an `fdatasync` of a write into room that was only set aside with success although it is lost, to a node that still lives and
//! promises by it.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use crate::{
    processes::{Node, Town},
    traffic::Traffic,
};

const CUTS: usize = 100;
/// Room for the journals of one run, MiB.
const DISK_MIB: u64 = 512;

/// Runs a node whose syncs do nothing and succeed.
const NO_SYNCS: [&str; 8] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "-e",
    "trace=fdatasync,fsync",
    "-e",
    "inject=fdatasync,fsync:retval=0",
];

/// A disk whose power can be cut.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// A new disk where the node keeps its data.
    fn of(node: &Node) -> Self {
        let at = node.data();
        let image = at.with_extension("img");
        let file = fs::File::create(&image).expect("an image");
        file.set_len(DISK_MIB << 20).expect("a size");
        command("mkfs.ext4", &["-q", &text(&image)]);
        fs::create_dir_all(&at).expect("a folder");
        let disk = Self { image, at };
        disk.mount();
        disk
    }

    fn mount(&self) {
        command(
            "mount",
            &["-o", "loop", &text(&self.image), &text(&self.at)],
        );
    }

    /// From now on nothing more reaches the disk, not even what was written and not synced.
    fn cut(&self) {
        command("xfs_io", &["-x", "-c", "shutdown", &text(&self.at)]);
    }

    /// The power is back.
    fn restore(&self) {
        command("umount", &[&text(&self.at)]);
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that has failed leaves nothing mounted.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

fn command(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {words:?}: {said}");
}

fn cuts() -> usize {
    let asked = std::env::var("CASEGATE_TEST_CUTS").ok();
    asked.map_or(CUTS, |cuts| cuts.parse().expect("a number"))
}

#[test]
#[ignore = "needs root, loop devices and xfsprogs: .ci/run runs it"]
fn what_is_sent_comes_once_unchanged_and_in_order_whenever_the_power_fails() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    let disks: Vec<Disk> = nodes.iter().map(Disk::of).collect();
    for node in &mut nodes {
        if std::env::var_os("CASEGATE_TEST_NO_SYNCS").is_some() {
            node.run_by(&NO_SYNCS);
        }
        node.start();
    }
    let started = Instant::now();
    let mut traffic = Traffic::new();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    let cuts = cuts();
    let share = traffic.len() / (cuts + 1);
    for cut in 0..cuts {
        // Spread over the run, and anywhere within a batch, a sync or a start.
        let at = cut * share + (cut * 7919 + 13) % share.max(1);
        traffic.until_received(at);
        // Every fourth time the whole town is in the dark.
        let dark = match cut % 4 {
            3 => 0..3,
            one => one..one + 1,
        };
        for node in &mut nodes[dark.clone()] {
            node.kill();
        }
        for disk in &disks[dark.clone()] {
            disk.cut();
        }
        for disk in &disks[dark.clone()] {
            disk.restore();
        }
        for node in &mut nodes[dark] {
            node.start();
        }
    }
    let [a, hub, b] = &nodes;
    traffic.finish(&[a, hub, b]);
    eprintln!("{cuts} power cuts in {:?}", started.elapsed());
    for node in &mut nodes {
        node.stop();
    }
}
