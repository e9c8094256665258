//! A real folder and the writer thread.

use std::{sync::mpsc, time::Duration};

use super::*;

#[test]
fn a_real_folder_keeps_what_the_writer_thread_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Folder::at(folder.path()).expect("made");
    let settings = Settings {
        segment_bytes: 64 * 1024,
        ..SMALL
    };
    let mut world = World::new(&disk, settings, 11);
    for _life in 0..3 {
        let (results, done) = mpsc::channel();
        let writer =
            Writer::spawn(move |result| results.send(result).expect("heard")).expect("a thread");
        let mut under_way = 0;
        for _ in 0..500 {
            world.group(100);
            if let Some(write) = world.journal.take_write() {
                writer.send(Job::Write(write)).expect("idle");
                under_way += 1;
            }
            if under_way == 1 && world.journal.checkpoint_due() {
                world.compact();
                let state = parts(&world.state);
                let job = world.journal.checkpoint(state).expect("free");
                // The write under way may not cover it, and then it is refused: it is due again later.
                writer.send(Job::Checkpoint(job)).expect("room for two");
                under_way += 1;
            }
            while under_way > 0 {
                match done
                    .recv_timeout(Duration::from_secs(30))
                    .expect("a result")
                {
                    Done::Write(result) => {
                        world.journal.finished(result);
                    }
                    Done::Checkpoint(result) => {
                        world.journal.checkpointed(&result);
                        if let Some(write) = world.journal.retry() {
                            world.journal.finished(write.run());
                        }
                    }
                }
                under_way -= 1;
            }
        }
        drop(writer);
        world.journal.drain().expect("durable");
        world.assert_payloads_read(11);
        let recovery = world.reopen(&disk, 11);
        assert_eq!(recovery.torn, None);
    }
    let room = world.journal.room();
    let on_disk = std::fs::read_dir(folder.path()).expect("a folder");
    let on_disk: u64 = on_disk
        .map(|entry| entry.and_then(|e| e.metadata()).expect("a file").len())
        .sum();
    assert_eq!(room.bytes_used, on_disk);
}
