//! The judgement of parcels that a neighbour brought: does the signature hold, and the signer.
//!
//! It runs in the worker pool, before the machine sees anything. A parcel whose signer's certificate is not known yet cannot be
//! judged: its whole batch waits until the certificate has come.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    iter,
};

use crate::{
    cloudevents, codec,
    delivery::{Arrival, hop::Entry},
    model::{Fingerprint, Millis, Reason, ReceiptItem, UnitId},
    parcel::{Header, Parcel, ParcelError},
    pki::SignerStore,
};

/// Most lines that one receipt may have.
pub(super) const RECEIPT_ITEMS_MAX: usize = 64;

/// Most that the decoder may claim for a receipt's lines, bytes.
const RECEIPT_BYTES_MAX: usize = 256 * 1024;

/// A batch that was unpacked; the headers are read, the signatures are not checked.
#[derive(Debug)]
pub(super) struct Opened {
    parcels: VecDeque<(Entry, Parcel, Option<Header>)>,
}

/// By what a batch is judged.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    /// The signers that this node knows.
    pub(super) signers: &'a SignerStore,
    /// Certificates that came and do not count.
    pub(super) untrusted: &'a BTreeMap<Fingerprint, Reason>,
    /// Units that the configuration cuts off.
    pub(super) blocked: &'a BTreeSet<UnitId>,
    /// Whether the neighbour is a hub whose word counts for when a signer was judged.
    pub(super) attests: bool,
    /// Largest body, bytes.
    pub(super) body_bytes_max: usize,
    /// Now, milliseconds since the Unix epoch.
    pub(super) now: Millis,
}

impl Opened {
    /// Reads the headers of a batch's parcels.
    pub(super) fn new(parcels: impl IntoIterator<Item = (Entry, Parcel)>) -> Self {
        let parcels = parcels.into_iter().map(|(entry, parcel)| {
            let header = parcel.header().ok();
            (entry, parcel, header)
        });
        Self {
            parcels: parcels.collect(),
        }
    }

    /// Parcels that are not judged yet.
    pub(super) fn left(&self) -> usize {
        self.parcels.len()
    }

    /// The signers that `bench` has to know before it can judge.
    pub(super) fn unknown(&self, bench: &Bench<'_>) -> BTreeSet<Fingerprint> {
        self.parcels
            .iter()
            .filter_map(|(_, _, header)| header.as_ref())
            .map(|header| header.signer)
            .filter(|signer| {
                !bench.untrusted.contains_key(signer) && bench.signers.get(signer).is_none()
            })
            .collect()
    }

    /// Judges the next parcel. One whose signer is not known counts as one of an untrusted signer.
    pub(super) fn judge_next(&mut self, bench: &Bench<'_>) -> Option<Arrival> {
        let (entry, parcel, header) = self.parcels.pop_front()?;
        Some(bench.arrival(entry, parcel, header))
    }

    /// Judges every parcel, as [`Opened::judge_next`].
    pub(super) fn judge(mut self, bench: &Bench<'_>) -> Vec<Arrival> {
        iter::from_fn(|| self.judge_next(bench)).collect()
    }
}

impl Bench<'_> {
    fn arrival(&self, mut entry: Entry, parcel: Parcel, header: Option<Header>) -> Arrival {
        // The word of a hub counts, so that a parcel that waited for days outlives its signer's certificate.
        if !self.attests || entry.attested == 0 {
            entry.attested = self.now;
        }
        let mut receipt = Vec::new();
        let verdict = match &header {
            None => Err(Reason::Malformed),
            Some(header) => self
                .signature(&parcel, header, entry.attested)
                .and_then(|()| self.content(&parcel, header))
                .map(|items| receipt = items),
        };
        Arrival {
            entry,
            parcel,
            header,
            receipt,
            verdict,
        }
    }

    fn signature(&self, parcel: &Parcel, header: &Header, at: Millis) -> Result<(), Reason> {
        if let Some(reason) = self.untrusted.get(&header.signer) {
            return Err(*reason);
        }
        let signer = self
            .signers
            .get(&header.signer)
            .ok_or(Reason::UntrustedSigner)?;
        signer.check_sender(&header.sender)?;
        parcel
            .verify(signer.key())
            .map_err(|_: ParcelError| Reason::BadSignature)?;
        if !self.attests && self.blocked.contains(&header.sender) {
            return Err(Reason::RevokedSigner);
        }
        signer.check_time(at)
    }

    /// What an application could not be handed must not be accepted. Gives a receipt's lines.
    fn content(&self, parcel: &Parcel, header: &Header) -> Result<Vec<ReceiptItem>, Reason> {
        let body = parcel.body();
        if body.len() > self.body_bytes_max {
            return Err(Reason::TooLarge);
        }
        if !header.kind.is_receipt() {
            return cloudevents::check(header, &body)
                .map(|()| Vec::new())
                .map_err(|_| Reason::Malformed);
        }
        receipt_lines(&body).ok_or(Reason::Malformed)
    }
}

/// The lines of a receipt's body.
pub(super) fn receipt_lines(body: &[u8]) -> Option<Vec<ReceiptItem>> {
    codec::decode::<Vec<ReceiptItem>, RECEIPT_BYTES_MAX>(body)
        .ok()
        .filter(|items| !items.is_empty() && items.len() <= RECEIPT_ITEMS_MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        delivery::hop::Targets,
        model::{Kind, Lane, Outcome, Pattern},
        parcel::BodyForm,
        pki::{self, Identity, Issue, Roots},
    };

    const NOW: Millis = 1_790_000_000_000;
    const DAY: Millis = 24 * 3600 * 1000;

    struct World {
        folder: tempfile::TempDir,
        signers: SignerStore,
        untrusted: BTreeMap<Fingerprint, Reason>,
        blocked: BTreeSet<UnitId>,
    }

    fn unit(name: &str) -> UnitId {
        name.parse().expect("a unit")
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let ca = folder.path().join("ca");
            pki::init(&ca, "test", NOW - DAY).expect("a CA");
            let roots = std::fs::read(ca.join("ca.pem")).expect("its certificate");
            let roots = Roots::from_pem(&roots).expect("roots");
            let signers =
                SignerStore::open(&folder.path().join("signers"), roots).expect("a store");
            Self {
                folder,
                signers,
                untrusted: BTreeMap::new(),
                blocked: BTreeSet::new(),
            }
        }

        fn identity(&self, ca: &Path, name: &str) -> Identity {
            let unit = unit(name);
            let out = self.folder.path().join(name);
            let asked = Issue {
                dir: ca,
                unit: &unit,
                out: &out,
                hosts: &[],
                csr: None,
                days: 30,
            };
            pki::issue(&asked, NOW - DAY).expect("issued");
            Identity::load(&out, &unit, NOW).expect("an identity")
        }

        fn known(&self, name: &str) -> Identity {
            let identity = self.identity(&self.folder.path().join("ca"), name);
            let signer = self.signers.add(identity.signing_certificate());
            signer.expect("it counts");
            identity
        }

        fn bench(&self, attests: bool, now: Millis) -> Bench<'_> {
            Bench {
                signers: &self.signers,
                untrusted: &self.untrusted,
                blocked: &self.blocked,
                attests,
                body_bytes_max: 1000,
                now,
            }
        }

        fn judge(&self, parcel: Parcel, bench: &Bench<'_>, attested: Millis) -> Arrival {
            let entry = Entry {
                seq: 1,
                after: Vec::new(),
                targets: Targets::Signed,
                attested,
            };
            let opened = Opened::new([(entry, parcel)]);
            opened.judge(bench).pop().expect("one parcel")
        }

        fn verdict(&self, parcel: Parcel) -> Result<(), Reason> {
            self.judge(parcel, &self.bench(false, NOW), 0).verdict
        }
    }

    fn header(identity: &Identity, kind: &str) -> Header {
        Header {
            sender: identity.unit().clone(),
            id: "1".into(),
            to: vec![Pattern::from(&unit("hebi.police"))],
            kind: kind.parse::<Kind>().expect("a kind"),
            case: None,
            lane: Lane::Normal,
            accepted: NOW,
            expires: NOW + DAY,
            signer: identity.signer().certificate(),
            attachments: Vec::new(),
            form: BodyForm::Json,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn only_what_the_sender_signed_passes() {
        let world = World::new();
        let tobacco = world.known("hebi.tobacco");
        let police = world.known("hebi.police");
        let good = header(&tobacco, "notice");
        let parcel = tobacco.signer().seal(&good, b"{}");
        assert_eq!(world.verdict(parcel.clone()), Ok(()));

        let mut bytes = parcel.bytes().to_vec();
        *bytes.last_mut().expect("a body") = b' ';
        let changed = Parcel::read(bytes.into()).expect("reads");
        assert_eq!(world.verdict(changed), Err(Reason::BadSignature));

        let foreign = Header {
            sender: tobacco.unit().clone(),
            ..header(&police, "notice")
        };
        let foreign = police.signer().seal(&foreign, b"{}");
        assert_eq!(world.verdict(foreign), Err(Reason::ForeignSigner));
    }

    #[test]
    fn a_signer_that_is_not_known_is_asked_for_unless_it_does_not_count() {
        let mut world = World::new();
        let tobacco = world.identity(&world.folder.path().join("ca"), "hebi.tobacco");
        let signer = tobacco.signer().certificate();
        let parcel = tobacco.signer().seal(&header(&tobacco, "notice"), b"{}");
        let entry = Entry {
            seq: 1,
            after: Vec::new(),
            targets: Targets::Signed,
            attested: 0,
        };
        let opened = Opened::new([(entry, parcel.clone())]);
        assert_eq!(
            opened.unknown(&world.bench(false, NOW)),
            BTreeSet::from([signer])
        );
        world.untrusted.insert(signer, Reason::UntrustedSigner);
        assert!(opened.unknown(&world.bench(false, NOW)).is_empty());
        assert_eq!(world.verdict(parcel), Err(Reason::UntrustedSigner));
    }

    #[test]
    fn a_signer_is_judged_when_the_first_hub_had_the_parcel_and_only_hubs_are_believed() {
        let world = World::new();
        let tobacco = world.known("hebi.tobacco");
        let parcel = || tobacco.signer().seal(&header(&tobacco, "notice"), b"{}");
        let late = NOW + 60 * DAY;
        let judge = |attests, attested| {
            let arrival = world.judge(parcel(), &world.bench(attests, late), attested);
            (arrival.verdict, arrival.entry.attested)
        };
        assert_eq!(judge(true, NOW), (Ok(()), NOW));
        assert_eq!(judge(true, 0), (Err(Reason::ExpiredSigner), late));
        assert_eq!(judge(false, NOW), (Err(Reason::ExpiredSigner), late));
    }

    #[test]
    fn what_a_blocked_unit_signed_passes_only_from_a_hub_that_let_it_in() {
        let mut world = World::new();
        let tobacco = world.known("hebi.tobacco");
        world.blocked.insert(tobacco.unit().clone());
        let parcel = tobacco.signer().seal(&header(&tobacco, "notice"), b"{}");
        let verdict = |attests| {
            let bench = world.bench(attests, NOW);
            world.judge(parcel.clone(), &bench, NOW).verdict
        };
        assert_eq!(verdict(false), Err(Reason::RevokedSigner));
        assert_eq!(verdict(true), Ok(()));
    }

    #[test]
    fn what_no_application_could_be_handed_is_malformed() {
        let world = World::new();
        let tobacco = world.known("hebi.tobacco");
        let seal = |header: &Header, body: &[u8]| tobacco.signer().seal(header, body);
        let notice = header(&tobacco, "notice");
        assert_eq!(
            world.verdict(seal(&notice, b"{\"a\":")),
            Err(Reason::Malformed)
        );
        assert_eq!(
            world.verdict(seal(&notice, &[b'1'; 1001])),
            Err(Reason::TooLarge)
        );
        let receipt = Header {
            form: BodyForm::Binary,
            ..header(&tobacco, "receipt")
        };
        assert_eq!(world.verdict(seal(&receipt, b"?")), Err(Reason::Malformed));
        let items = |count| {
            let item = ReceiptItem {
                parcel: crate::model::Digest([1; 16]),
                receiver: Pattern::from(&unit("hebi.police")),
                outcome: Outcome::Read,
                reason: Reason::None,
                at: NOW,
                note: String::new(),
            };
            codec::encode(&vec![item; count])
        };
        let arrival = |count| {
            let parcel = seal(&receipt, &items(count));
            let bench = Bench {
                body_bytes_max: 100_000,
                ..world.bench(false, NOW)
            };
            world.judge(parcel, &bench, 0)
        };
        let good = arrival(RECEIPT_ITEMS_MAX);
        assert_eq!(
            (good.verdict, good.receipt.len()),
            (Ok(()), RECEIPT_ITEMS_MAX)
        );
        for count in [0, RECEIPT_ITEMS_MAX + 1] {
            assert_eq!(arrival(count).verdict, Err(Reason::Malformed), "{count}");
        }
    }
}
