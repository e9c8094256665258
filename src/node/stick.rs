//! A queue that is carried to a neighbour as a file: what is written to it, and what is believed of one that comes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    handle::{NodeHandle, broken, refusal, unexpected},
    judge::{Bench, Opened},
    live::Live,
    operate::{listed, shown},
    outgoing,
    shared::Shared,
    workers::Urgency,
};
use crate::{
    api::{Actor, Cause, Exported, Imported, QueueAsk, Refusal, Which},
    delivery::{Answer, Arrival, ByHand, CopyByHand, Fate, Input, NotByHand},
    model::{BlobDigest, Fingerprint, MessageId, Millis, Ranges, Reason, State, UnitId},
    parcel::{Header, Parcel, Statement},
    wire::{Carried, Manifest, STICK_PARCELS_BYTES_MAX, StickHead},
};

/// Bytes of what fits a filter that one file takes: what has to go before it needs room too.
const FITTING_BYTES_MAX: u64 = STICK_PARCELS_BYTES_MAX / 4 * 3;
/// Parcels, and about so many bytes of them, that the machine is given at a time.
const GROUP_PARCELS: usize = 64;
const GROUP_BYTES: usize = 4 << 20;

/// A copy that was read, to be written.
struct ReadCopy {
    copy: CopyByHand,
    parcel: Parcel,
    header: Header,
}

impl NodeHandle {
    /// Makes a file of what waits for one neighbour. What it has is held from now on.
    pub(super) async fn export(
        &self,
        actor: &Actor,
        which: Which,
        neighbour: Option<UnitId>,
        reason: &str,
    ) -> Result<Exported, Refusal> {
        self.ready()?;
        let (messages, subject, next) = self.to_export(which).await?;
        let named = neighbour.clone();
        let plan = self
            .look(move |machine| machine.by_hand(named.as_ref(), &messages))
            .await?;
        let ByHand {
            neighbour,
            epochs,
            copies,
            refused,
        } = plan.map_err(not_by_hand)?;
        let mut left_out: Vec<(MessageId, String)> = refused
            .into_iter()
            .map(|(message, why)| (message, why.to_string()))
            .collect();
        let bytes: u64 = copies.iter().map(|copy| u64::from(copy.bytes)).sum();
        if bytes > STICK_PARCELS_BYTES_MAX {
            let detail = "they and the earlier ones of their cases are more than one file takes; name fewer, or a smaller max";
            return Err(Refusal {
                attribute: Some("max"),
                bound: Some(("file-bytes", STICK_PARCELS_BYTES_MAX)),
                ..Refusal::new(Cause::InvalidRequest, detail)
            });
        }
        let (mut read, unread) = self.read_copies(copies).await?;
        left_out.extend(unread);
        if !read.is_empty() {
            let told = listed(read.iter().map(|read| read.copy.message), reason);
            let subject = format!("{subject} for {neighbour}");
            self.audit(actor, "export", subject, told).await?;
            let seqs: Ranges = read.iter().map(|read| read.copy.entry.seq).collect();
            let unit = neighbour.clone();
            let input = |ticket| Input::Export {
                ticket,
                neighbour: unit,
                epochs,
                seqs,
            };
            let still = match self.ask(input).await? {
                Answer::Exported(done) => done.map_err(not_by_hand)?,
                other => return Err(unexpected(&other)),
            };
            read.retain(|read| {
                let stays = still.contains(read.copy.entry.seq);
                if !stays {
                    left_out.push((read.copy.message, "it has left meanwhile".into()));
                }
                stays
            });
        }
        let (live, made) = (self.shared.live(), self.shared.clock.wall());
        let blobs = self.shared.blobs.clone();
        let sealed = self.shared.workers.run(Urgency::Bulk, move || {
            let size = |digest: &BlobDigest| blobs.size(digest);
            let messages = read.iter().map(|read| read.copy.message).collect();
            let (manifest, parcels) = pack(&live, &neighbour, epochs, made, read, size);
            Exported {
                head: seal(&live, &manifest).encode(),
                parcels,
                attachments: manifest.attachments,
                neighbour,
                messages,
                left_out,
                next,
            }
        });
        sealed.await.map_err(broken)
    }

    /// The messages that are named, or that fit; how the audit log calls them; and where to go on.
    async fn to_export(
        &self,
        which: Which,
    ) -> Result<(Vec<MessageId>, String, Option<String>), Refusal> {
        let (filter, cursor, max) = match which {
            Which::Messages(messages) => {
                let subject = format!("{} messages", messages.len());
                return Ok((messages, subject, None));
            }
            Which::Fitting {
                filter,
                cursor,
                max,
            } => (filter, cursor, max),
        };
        let subject = format!("all with {}", shown(&filter));
        // What a file has already is not written to another one, unless it is asked for.
        let again = filter.state == Some(State::Held);
        let ask = QueueAsk {
            max,
            cursor,
            filter,
        };
        let (found, mut next) = self.select(ask).await?;
        let mut messages = Vec::new();
        let mut bytes = 0;
        let mut last = None;
        for (row, _, size) in found {
            if bytes > 0 && bytes + size > FITTING_BYTES_MAX {
                next = last;
                break;
            }
            last = Some(format!("{}/{}", row.neighbour, row.seq));
            if again || !row.exported {
                bytes += size;
                messages.push(row.message);
            }
        }
        Ok((messages, subject, next))
    }

    /// Reads the copies that can go, and says why others cannot.
    async fn read_copies(
        &self,
        copies: Vec<CopyByHand>,
    ) -> Result<(Vec<ReadCopy>, Vec<(MessageId, String)>), Refusal> {
        let reader = self.shared.reader().map_err(refusal)?;
        let blobs = self.shared.blobs.clone();
        let read = self.shared.workers.run(Urgency::Bulk, move || {
            let (mut read, mut left_out) = (Vec::new(), Vec::new());
            for copy in copies {
                let parcel = match outgoing::read(&reader, copy.at) {
                    Ok(Ok(parcel)) => parcel,
                    Ok(Err(error)) => {
                        left_out.push((copy.message, error));
                        continue;
                    }
                    Err(error) => {
                        left_out.push((copy.message, format!("{error}; export it again")));
                        continue;
                    }
                };
                let Ok(header) = parcel.header() else {
                    left_out.push((copy.message, "it does not read".into()));
                    continue;
                };
                let lacking = header.attachments.iter().map(|digest| BlobDigest(*digest));
                let lacking = lacking
                    .filter(|digest| blobs.size(digest).is_none())
                    .count();
                if lacking > 0 {
                    let why = format!("{lacking} of its attachments are not here whole yet");
                    left_out.push((copy.message, why));
                    continue;
                }
                read.push(ReadCopy {
                    copy,
                    parcel,
                    header,
                });
            }
            (read, left_out)
        });
        read.await.map_err(broken)
    }

    /// Checks what a file begins with: who made it, and that it is for this node and of use here. Nothing is changed.
    pub(super) async fn open_stick(&self, head: StickHead) -> Result<Manifest, Refusal> {
        self.ready()?;
        let (live, now) = (self.shared.live(), self.shared.clock.wall());
        let opened = self
            .shared
            .workers
            .run(Urgency::Express, move || open(&live, &head, now));
        let manifest = opened.await.map_err(broken)??;
        let (from, epochs) = (manifest.from.clone(), manifest.epochs);
        let seqs: Vec<u64> = manifest
            .parcels
            .iter()
            .map(|carried| carried.entry.seq)
            .collect();
        let came = self.look(move |machine| {
            machine.may_import(&from, epochs)?;
            Ok(machine.all_came(&from, &seqs))
        });
        if came.await?.map_err(not_by_hand)? {
            let made = jiff::Timestamp::from_millisecond(manifest.made as i64);
            let made = made.map_or_else(|_| String::new(), |made| format!(" of {made}"));
            let detail = format!(
                "the file{made} has {} messages, and all of them have come before; nothing was done",
                manifest.parcels.len()
            );
            return Err(Refusal::new(Cause::AlreadyImported, detail));
        }
        Ok(manifest)
    }

    /// Takes the parcels of a file whose head was checked and whose attachments are here.
    pub(super) async fn import(
        &self,
        actor: &Actor,
        manifest: Manifest,
        parcels: Vec<Bytes>,
    ) -> Result<Imported, Refusal> {
        self.ready()?;
        let (from, epochs) = (manifest.from.clone(), manifest.epochs);
        let count = manifest.attachments.len();
        let shared = self.shared.clone();
        let judged = self
            .shared
            .workers
            .run(Urgency::Bulk, move || judge(&shared, manifest, parcels));
        let mut arrivals = judged.await.map_err(broken)??;
        let names = arrivals
            .iter()
            .filter_map(|arrival| arrival.header.as_ref());
        let told = listed(names.map(Header::message_id), "");
        self.audit(actor, "import", format!("a file from {from}"), told)
            .await?;
        let mut imported = Imported {
            from: from.clone(),
            taken: 0,
            repeated: 0,
            no_room: 0,
            attachments: count as u64,
            refused: Vec::new(),
        };
        while !arrivals.is_empty() {
            let group = first_group(&mut arrivals);
            let messages: Vec<Option<MessageId>> = group
                .iter()
                .map(|arrival| arrival.header.as_ref().map(Header::message_id))
                .collect();
            let neighbour = from.clone();
            let input = |ticket| Input::Import {
                ticket,
                neighbour,
                epochs,
                arrivals: group,
            };
            let fates = match self.ask(input).await? {
                Answer::Imported(done) => done.map_err(not_by_hand)?.fates,
                other => return Err(unexpected(&other)),
            };
            for (message, fate) in messages.into_iter().zip(fates) {
                match fate {
                    Fate::Taken => imported.taken += 1,
                    Fate::Repeated => imported.repeated += 1,
                    Fate::NoRoom => imported.no_room += 1,
                    Fate::Ended(reason) => imported.refused.push((message, reason)),
                }
            }
        }
        Ok(imported)
    }
}

/// Takes the first parcels out that go together.
fn first_group(arrivals: &mut Vec<Arrival>) -> Vec<Arrival> {
    let mut bytes = 0;
    let fits = |arrival: &&Arrival| {
        let is_first = bytes == 0;
        bytes += arrival.parcel.bytes().len();
        is_first || bytes <= GROUP_BYTES
    };
    let count = arrivals.iter().take(GROUP_PARCELS).take_while(fits).count();
    let rest = arrivals.split_off(count);
    std::mem::replace(arrivals, rest)
}

/// The manifest of what was read, and the parcels' bytes.
fn pack(
    live: &Live,
    neighbour: &UnitId,
    epochs: crate::delivery::Epochs,
    made: Millis,
    read: Vec<ReadCopy>,
    size: impl Fn(&BlobDigest) -> Option<u64>,
) -> (Manifest, Vec<Bytes>) {
    let mut attachments: Vec<(BlobDigest, u64)> = Vec::new();
    let mut named = BTreeSet::new();
    let mut signers: BTreeSet<Fingerprint> = BTreeSet::new();
    let mut parcels = Vec::with_capacity(read.len());
    let mut carried = Vec::with_capacity(read.len());
    for ReadCopy {
        copy,
        parcel,
        header,
    } in read
    {
        for digest in header.attachments.iter().map(|digest| BlobDigest(*digest)) {
            // One that went in this moment is missed when the file is read: it is then not taken.
            if named.insert(digest)
                && let Some(size) = size(&digest)
            {
                attachments.push((digest, size));
            }
        }
        signers.insert(header.signer);
        carried.push(Carried {
            entry: copy.entry,
            digest: parcel.digest(),
            bytes: parcel.bytes().len() as u32,
        });
        parcels.push(parcel.bytes().clone());
    }
    let known = signers.iter().filter_map(|signer| live.signers.get(signer));
    let manifest = Manifest {
        from: live.settings.unit.clone(),
        to: neighbour.clone(),
        epochs,
        made,
        parcels: carried,
        attachments,
        certificates: known.map(|signer| signer.der().to_vec()).collect(),
    };
    (manifest, parcels)
}

fn seal(live: &Live, manifest: &Manifest) -> StickHead {
    let manifest = manifest.encode();
    StickHead {
        seal: live.identity.signer().state(Statement::Stick, &manifest),
        certificate: live.identity.signing_certificate().to_vec(),
        manifest,
    }
}

fn bad(detail: impl Into<String>) -> Refusal {
    Refusal::new(Cause::BadFile, detail)
}

/// Reads the manifest of a file that is sealed by the neighbour that it names, for this node.
fn open(live: &Live, head: &StickHead, now: Millis) -> Result<Manifest, Refusal> {
    let damaged = "its seal does not fit what it says: it was damaged or changed on the way; copy it again, or have it exported again";
    let certificate = live.signers.add(&head.certificate).map_err(|error| match error.reason() {
        Some(_) => bad(format!("whoever made it is nobody whom this node's CA has issued a certificate to, or it is damaged: {error}")),
        None => Refusal::new(Cause::StorageFailed, error.to_string()),
    })?;
    let checked = certificate
        .key()
        .check(Statement::Stick, &head.manifest, &head.seal);
    checked.map_err(|_| bad(damaged))?;
    let manifest = Manifest::read(&head.manifest).map_err(|error| bad(error.to_string()))?;
    let Manifest { from, to, .. } = &manifest;
    certificate.check_sender(from).map_err(|_| {
        bad(format!(
            "it says that {from} has made it, and {} has",
            certificate.unit()
        ))
    })?;
    if *to != live.settings.unit {
        let me = &live.settings.unit;
        return Err(bad(format!(
            "it is for {to}, and this node is {me}; import it there"
        )));
    }
    if live.blocked.contains(from) {
        return Err(bad(format!("{from} has made it, which is blocked here")));
    }
    certificate.check_time(now).map_err(|_| {
        bad(format!(
            "the certificate of {from}, which has made it, is not valid now"
        ))
    })?;
    Ok(manifest)
}

/// Judges the parcels as those of a batch over a link.
fn judge(
    shared: &Shared,
    manifest: Manifest,
    parcels: Vec<Bytes>,
) -> Result<Vec<Arrival>, Refusal> {
    let (live, now) = (shared.live(), shared.clock.wall());
    let mut untrusted: BTreeMap<Fingerprint, Reason> = BTreeMap::new();
    for der in &manifest.certificates {
        if let Err(error) = live.signers.add(der) {
            let reason = error
                .reason()
                .ok_or_else(|| Refusal::new(Cause::StorageFailed, error.to_string()))?;
            untrusted.insert(Fingerprint::of(der), reason);
        }
    }
    let damaged = || bad("a message in it is not what its maker has sealed: copy the file again");
    let mut entries = Vec::with_capacity(parcels.len());
    for (carried, bytes) in manifest.parcels.into_iter().zip(parcels) {
        let parcel = Parcel::read(bytes).map_err(|_| damaged())?;
        if parcel.digest() != carried.digest {
            return Err(damaged());
        }
        entries.push((carried.entry, parcel));
    }
    let bench = Bench {
        signers: &live.signers,
        untrusted: &untrusted,
        blocked: &live.blocked,
        attests: live.attests(&manifest.from),
        body_bytes_max: live.settings.limits.message_kib as usize * 1024,
        now,
    };
    let opened = Opened::new(entries);
    let unknown = opened.unknown(&bench).len();
    if unknown > 0 {
        let detail = format!(
            "it lacks the certificates of {unknown} of those who signed its messages: have it exported again"
        );
        return Err(bad(detail));
    }
    Ok(opened.judge(&bench))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_by_hand(why: NotByHand) -> Refusal {
    let (cause, attribute) = match &why {
        NotByHand::Several(_) => (Cause::InvalidRequest, Some("neighbour")),
        NotByHand::Stranger(_) => (Cause::UnknownNeighbour, None),
        NotByHand::Blocked(_) | NotByHand::Malformed => (Cause::BadFile, None),
        NotByHand::NeverMet(_) | NotByHand::Offering(_) | NotByHand::OtherEpochs(_) => {
            (Cause::NotByHand, None)
        }
    };
    Refusal {
        attribute,
        ..Refusal::new(cause, why.to_string())
    }
}
