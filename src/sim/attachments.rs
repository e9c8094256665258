//! Attachments: applications bring them, disks keep them and forget what was not synced, sessions carry their chunks.
//!
//! A chunk has no bytes here: it is true or false, and a keeper knows which as production's knows by its digest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    delivery::{BlobNews, Input, SessionId, Takes},
    model::{BlobDigest, CHUNK_BYTES, Lane, Ranges, UnitId, chunk_count},
};

use super::{
    agenda::{Event, Life, NodeIndex, SECOND},
    net::{Batch, SessionIndex},
    rng::Rng,
    world::{Kept, World, broken},
};

/// How much a chunk weighs on a link, bytes: links are slow here, and worlds short.
pub(super) const CHUNK_WEIGHT: u64 = 1_500;

/// What is known of attachments, in worlds that have some.
#[derive(Debug)]
pub(super) struct Attachments {
    /// Draws of its own: worlds without attachments are as they would be if there were none anywhere.
    pub(super) rng: Rng,
    /// Chances of a thousand that a message has some.
    share: u64,
    /// Each by its size.
    pub(super) known: BTreeMap<BlobDigest, u64>,
    /// Chunks that a node has sent another, since one of them had its disk set back.
    sent: BTreeSet<(NodeIndex, NodeIndex, BlobDigest, u64)>,
}

/// Chunks on their way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) digest: BlobDigest,
    /// The size, when the description goes before them.
    pub(super) described: Option<u64>,
    pub(super) first: u64,
    pub(super) count: u64,
    /// Whether the description and the chunks are what they should be.
    pub(super) is_true: bool,
}

/// Attachments on a node's disk.
#[derive(Clone, Debug, Default)]
pub(super) struct BlobDisk {
    whole: BTreeMap<BlobDigest, u64>,
    parts: BTreeMap<BlobDigest, Part>,
}

/// An attachment that is not all there.
#[derive(Clone, Debug)]
struct Part {
    size: u64,
    /// Its chunks, and those that a power cut cannot take.
    have: Ranges,
    durable: Ranges,
}

/// What a keeper has done with what came.
#[derive(Debug)]
pub(super) enum BlobWork {
    /// A run is written.
    Written(Run),
    /// A whole attachment is named by its digest.
    Named,
    /// What has not been needed for a while may go.
    Swept,
}

impl Attachments {
    pub(super) fn new(seed: u64, has_some: bool) -> Self {
        let mut rng = Rng::new(seed ^ 0x6174_7461_6368);
        let share = if has_some { rng.magnitude(30, 600) } else { 0 };
        Self {
            rng,
            share,
            known: BTreeMap::new(),
            sent: BTreeSet::new(),
        }
    }

    pub(super) fn are_here(&self) -> bool {
        self.share > 0
    }

    /// What a message names.
    pub(super) fn draw(&mut self) -> Vec<[u8; 32]> {
        if !self.are_here() || !self.rng.per_mille(self.share) {
            return Vec::new();
        }
        let count = if self.rng.per_mille(800) { 1 } else { 3 };
        (0..count).map(|_| self.one().0).collect()
    }

    /// One that was named before, or another.
    fn one(&mut self) -> BlobDigest {
        let known: Vec<BlobDigest> = self.known.keys().copied().collect();
        if self.rng.per_mille(350)
            && let Some(digest) = self.rng.pick(&known)
        {
            return *digest;
        }
        let digest = BlobDigest::of(&self.rng.next().to_le_bytes());
        let chunks = self.rng.magnitude(1, 40);
        let size = chunks * CHUNK_BYTES - self.rng.below(CHUNK_BYTES);
        self.known.insert(digest, size);
        digest
    }

    /// A node's disk is not what it was.
    pub(super) fn forget(&mut self, node: NodeIndex) {
        self.sent
            .retain(|(from, to, ..)| *from != node && *to != node);
    }
}

impl BlobDisk {
    /// The power goes: of what was not synced some is lost.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        self.parts.retain(|_, part| {
            let kept = part.have.iter().flat_map(|(first, last)| first..=last);
            let kept = kept.filter(|chunk| part.durable.contains(*chunk) || rng.per_mille(500));
            part.have = kept.collect();
            part.durable = part.have.clone();
            !part.have.is_empty() || rng.per_mille(500)
        });
    }

    pub(super) fn has(&self, digest: &BlobDigest) -> bool {
        self.whole.contains_key(digest)
    }

    fn has_chunk(&self, digest: &BlobDigest, chunk: u64) -> bool {
        self.has(digest)
            || self
                .parts
                .get(digest)
                .is_some_and(|part| part.have.contains(chunk))
    }
}

impl World {
    /// A node's application brings what its message names.
    pub(super) fn bring(&mut self, node: NodeIndex, attachments: &[[u8; 32]]) -> Kept {
        for digest in attachments {
            let digest = BlobDigest(*digest);
            let Some(size) = self.attachments.known.get(&digest).copied() else {
                continue;
            };
            if self.nodes[node].blobs.whole.insert(digest, size).is_none() {
                self.line(|| format!("n{node}'s application brings {digest}, {size} bytes"));
                self.nodes[node].blobs.parts.remove(&digest);
                let news = BlobNews::Whole { size };
                self.give(node, Input::Blob { digest, news })?;
            }
        }
        Ok(())
    }

    /// A keeper tells a node that starts what it has.
    pub(super) fn tell_blobs(&mut self, node: NodeIndex) -> Kept {
        let disk = self.nodes[node].blobs.clone();
        for (digest, size) in disk.whole {
            let news = BlobNews::Whole { size };
            self.give(node, Input::Blob { digest, news })?;
        }
        for (digest, part) in disk.parts {
            let Part { size, have, .. } = part;
            let is_all = have.gap(0) >= chunk_count(size);
            let news = BlobNews::Part { size, have };
            self.give(node, Input::Blob { digest, news })?;
            if is_all {
                self.work_on(node, digest, BlobWork::Named);
            }
        }
        Ok(())
    }

    fn work_on(&mut self, node: NodeIndex, digest: BlobDigest, work: BlobWork) {
        let delay = match work {
            BlobWork::Swept => self.attachments.rng.below(30 * SECOND),
            _ => self.attachments.rng.between(1, 2 * self.plan.sync),
        };
        let life = self.nodes[node].life;
        let work = Box::new(work);
        self.agenda.after(
            delay,
            Event::Blob {
                node,
                life,
                digest,
                work,
            },
        );
    }

    /// A keeper has done something.
    pub(super) fn blob(
        &mut self,
        node: NodeIndex,
        life: Life,
        digest: BlobDigest,
        work: BlobWork,
    ) -> Kept {
        if self.nodes[node].life != life || !self.is_up(node) {
            return Ok(());
        }
        match work {
            BlobWork::Written(run) => self.run_written(node, digest, &run),
            BlobWork::Named => {
                let Some(part) = self.nodes[node].blobs.parts.remove(&digest) else {
                    return Ok(());
                };
                self.nodes[node].blobs.whole.insert(digest, part.size);
                self.line(|| format!("n{node} has all of {digest}"));
                let news = BlobNews::Whole { size: part.size };
                self.give(node, Input::Blob { digest, news })
            }
            BlobWork::Swept => {
                let run = self.nodes[node].run.as_ref();
                if run.is_none_or(|run| run.machine.needs_blob(&digest)) {
                    return Ok(());
                }
                let disk = &mut self.nodes[node].blobs;
                disk.parts.remove(&digest);
                disk.whole.remove(&digest);
                self.attachments.forget(node);
                self.line(|| format!("n{node} removes {digest}"));
                let news = BlobNews::Lost;
                self.give(node, Input::Blob { digest, news })
            }
        }
    }

    fn run_written(&mut self, node: NodeIndex, digest: BlobDigest, run: &Run) -> Kept {
        let is_bad = self.nodes[node].bad_until > self.agenda.now();
        let disk = &mut self.nodes[node].blobs;
        if disk.has(&digest) {
            return Ok(());
        }
        let is_new = !disk.parts.contains_key(&digest);
        if let Some(size) = run.described.filter(|_| is_new) {
            let part = Part {
                size,
                have: Ranges::new(),
                durable: Ranges::new(),
            };
            disk.parts.insert(digest, part);
        }
        let Some(part) = disk.parts.get_mut(&digest) else {
            return Err(broken(
                "G7",
                format!("n{node} is sent chunks of {digest} before its description"),
            ));
        };
        let mut chunks = Ranges::new();
        if run.count > 0 {
            chunks.insert_range(run.first, run.first + run.count - 1);
        }
        if is_bad && self.attachments.rng.per_mille(300) {
            // What is not durable has to come again.
            part.have = part.durable.clone();
            let (size, have) = (part.size, part.have.clone());
            let news = BlobNews::NoRoom;
            self.give(node, Input::Blob { digest, news })?;
            let news = BlobNews::Part { size, have };
            return self.give(node, Input::Blob { digest, news });
        }
        part.have.union(&chunks);
        if self.attachments.rng.per_mille(300) {
            part.durable = part.have.clone();
        }
        let is_all = part.have.gap(0) >= chunk_count(part.size);
        if run.described.is_some() && is_new {
            let (size, have) = (part.size, Ranges::new());
            let news = BlobNews::Part { size, have };
            self.give(node, Input::Blob { digest, news })?;
        } else if run.described.is_some() {
            // It is known already; its sender waits for a word.
            let have = part.have.clone();
            let news = BlobNews::Part {
                size: part.size,
                have,
            };
            self.give(node, Input::Blob { digest, news })?;
        }
        self.give(
            node,
            Input::Blob {
                digest,
                news: BlobNews::Stored(chunks),
            },
        )?;
        if is_all {
            self.work_on(node, digest, BlobWork::Named);
        }
        Ok(())
    }

    // ---- on the way

    pub(super) fn fetches(&mut self, node: NodeIndex, digest: BlobDigest, from: Option<UnitId>) {
        self.line(|| format!("n{node} takes {digest} from {from:?}"));
        if let Some(run) = self.nodes[node].run.as_mut() {
            match from {
                Some(from) => run.fetches.insert(digest, from),
                None => run.fetches.remove(&digest),
            };
        }
    }

    pub(super) fn freed_blob(&mut self, node: NodeIndex, digest: BlobDigest) {
        self.work_on(node, digest, BlobWork::Swept);
    }

    /// A node sends a run of chunks.
    pub(super) fn send_run(&mut self, node: NodeIndex, id: SessionId, run: Run) -> Kept {
        let Some((session, end)) = self.net.find(node, id) else {
            return Ok(());
        };
        let Run {
            digest,
            first,
            count,
            ..
        } = run;
        self.line(|| format!("n{node} session {id} >> {digest} {first}+{count}"));
        let grants = &mut self.net.sessions[session].ends[end].grants[1];
        *grants = grants
            .checked_sub(1)
            .ok_or_else(|| broken("G7", format!("n{node} sends a run that was not granted")))?;
        if self.net.sessions[session].ends[end].terms.takes == Takes::Express {
            let what = format!("n{node} sends a run over a link that takes only what is urgent");
            return Err(broken("G7", what));
        }
        let other = self.net.sessions[session].ends[1 - end].node;
        for chunk in first..first + count {
            if !self.nodes[node].blobs.has_chunk(&digest, chunk) {
                let what = format!("n{node} is to send chunk {chunk} of {digest}, which it lacks");
                return Err(broken("G3", what));
            }
            self.stats.chunks += 1;
            let is_first = self.attachments.sent.insert((node, other, digest, chunk));
            self.stats.chunks_again += u64::from(!is_first);
        }
        self.put_run((session, end), run);
        Ok(())
    }

    pub(super) fn put_run(&mut self, at: (SessionIndex, usize), run: Run) {
        let batch = Box::new(Batch {
            lane: Lane::Bulk,
            direction: None,
            parcels: Vec::new(),
            against: None,
            run: Some(run),
        });
        self.net
            .send_batch(at, batch, &mut self.rng, &mut self.agenda);
    }

    /// A run reaches a node.
    pub(super) fn run_arrives(&mut self, session: SessionIndex, end: usize, run: Run) -> Kept {
        let (node, id) = self.net.end(session, end);
        let digest = run.digest;
        self.line(|| {
            format!(
                "n{node} session {id} << {digest} {}+{}",
                run.first, run.count
            )
        });
        let neighbour = self.unit(self.net.sessions[session].ends[1 - end].node);
        let Some(up) = self.nodes[node].run.as_ref() else {
            return Ok(());
        };
        if up.fetches.get(&digest) != Some(&neighbour) {
            let news = BlobNews::Unasked { session: id };
            return self.give(node, Input::Blob { digest, news });
        }
        let is_described =
            run.described.is_some() || self.nodes[node].blobs.parts.contains_key(&digest);
        if !run.is_true || !is_described {
            self.line(|| format!("n{node} session {id} brings what is not {digest}"));
            self.net
                .close((session, end), &mut self.rng, &mut self.agenda);
            return Ok(());
        }
        let breaks = !self.is_calm && !self.plan.faults.is_empty();
        let is_full = self.nodes[node].full_until > self.agenda.now();
        if breaks && (is_full || self.attachments.rng.per_mille(20)) {
            self.line(|| format!("n{node} has no room for {digest}"));
            let news = BlobNews::NoRoom;
            return self.give(node, Input::Blob { digest, news });
        }
        self.work_on(node, digest, BlobWork::Written(run));
        Ok(())
    }
}
