//! What two neighbours say to each other: control frames, and what a batch says of each parcel.

use bincode::{Decode, Encode};

use crate::model::{BlobDigest, Digest, Fingerprint, Millis, Pattern, Ranges, UnitId};

/// The protocol's version, told in [`Hello`].
pub const PROTOCOL_VERSION: u16 = 1;

/// A node's run of sequence numbers. It takes a new one when its data folder is new, restored or damaged.
pub type Epoch = u64;

/// A parcel's number on one hop, in one direction, in one pair of epochs: from 1, without gaps. It is the parcel's identity on
/// the hop; lanes only say what goes first.
pub type Seq = u64;

/// A frame of the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    /// The first frame, in each direction.
    Hello(Hello),
    /// What is on stable storage, and what more may come.
    Ack(Ack),
    /// These numbers will not come: what they named has ended at the sender.
    Gone(Ranges),
    /// The answer to [`Frame::Gone`].
    GoneAnswer(GoneAnswer),
    /// Parcels that the sender still keeps and that the neighbour, which lost its memory, may lack.
    Offer(Vec<Digest>),
    /// The answer to [`Frame::Offer`].
    OfferAnswer(OfferAnswer),
    /// Parcels wait for these signers' certificates.
    WantCertificates(Vec<Fingerprint>),
    /// A signer's certificate, DER.
    Certificate(Vec<u8>),
    /// What the sender of batches has to compress them against.
    Dictionaries(Dictionaries),
    /// What the receiver of batches says to the dictionary that was offered under this number.
    DictionaryAnswer(u64, DictionaryAnswer),
    /// The offers are answered, and all that the sender had is numbered below this: see [`Hello::next`].
    Numbered(Seq),
    /// On what terms the link that the session runs over is to be used, said by the node that has dialled.
    Terms(LinkTerms),
    /// An attachment is wanted.
    Want(Want),
    /// It is wanted no longer: all of it has come, or nothing needs it any more.
    Unwant(BlobDigest),
    /// Its description and these chunks of it have come.
    Have(Have),
    /// There is nothing of it for the neighbour.
    Absent(Absent),
    /// There is something of it again: it may be wanted anew.
    Present(BlobDigest),
    /// What the sender of batches would compress them against.
    Generation(Generation),
    /// What the receiver of batches says to the generation that was offered under this number.
    GenerationAnswer(u64, GenerationAnswer),
    /// What comes over the session comes from another address than before.
    Moved,
}

/// On what terms a link is used. Both ends keep to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LinkTerms {
    /// How much later normal and bulk parcels may rather arrive over another link, milliseconds.
    pub cost_ms: u32,
    /// What goes over it.
    pub takes: Takes,
}

/// What goes over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Takes {
    /// Everything.
    #[default]
    All,
    /// Flash and urgent parcels and what goes before them, receipts, and all that neighbours say to each other: the link's budget for the
    /// day is spent, or it is outside its hours.
    Express,
}

impl Takes {
    /// In one word, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Takes::All => "all",
            Takes::Express => "express",
        }
    }
}

/// Most units that a want names.
pub const WANT_SENDERS_MAX: usize = 16;

/// What is wanted of an attachment. It counts until the neighbour has all of it, or says [`Frame::Unwant`]; said again it takes the place
/// of what was said before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Want {
    /// The attachment.
    pub digest: BlobDigest,
    /// Units that named it, at most [`WANT_SENDERS_MAX`]: a node that does not have it asks on the way there.
    pub senders: Vec<UnitId>,
    /// Whether its description is here: its size and its list of chunks.
    pub described: bool,
    /// The chunks that are here, from 0 on; none unless it is described.
    pub have: Ranges,
}

/// Chunks that have come, beside those that were told before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Have {
    /// The attachment; its description is here.
    pub digest: BlobDigest,
    /// The chunks, from 0 on.
    pub chunks: Ranges,
}

/// There is nothing of an attachment for the neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Absent {
    /// The attachment.
    pub digest: BlobDigest,
    /// It never will come this way, for it is larger than a node takes. Otherwise [`Frame::Present`] says when there is something.
    pub too_large: bool,
}

/// What a node has to compress its batches against.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dictionaries {
    /// The built-in one. Neighbours whose versions have different ones use none.
    pub built_in: Digest,
    /// One of the node's own, which takes the place of those that it offered before in the session.
    pub own: Option<OfferedDictionary>,
}

/// A node's own dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OfferedDictionary {
    /// What batches of this session call it: from 2 on, greater than any before.
    pub number: u64,
    /// Digest of its bytes.
    pub id: Digest,
}

/// What a receiver says to a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DictionaryAnswer {
    /// It is on stable storage here: batches may be compressed against it.
    Have,
    /// It is not here, or not any more: hand it over, and send again what was compressed against it.
    Want,
    /// It is not taken; do without.
    Refused(DictionaryRefusal),
}

/// Why a dictionary is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DictionaryRefusal {
    /// It is larger than dictionaries may be.
    TooLarge,
    /// What came is not what was offered: its digest is another, or it does not read.
    Damaged,
    /// It is not a dictionary in zstd's format.
    Format,
    /// It cannot be kept.
    Storage,
}

impl std::fmt::Display for DictionaryRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too-large",
            Self::Damaged => "damaged",
            Self::Format => "format",
            Self::Storage => "storage",
        })
    }
}

/// Most ranges of numbers that a generation leaves out.
pub const GENERATION_RANGES_MAX: usize = 32;

/// Parcels that a node has sent before and the neighbour has acked: those of one sender, by number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Generation {
    /// What batches of this session call it: from 1 on, greater than any before.
    pub number: u64,
    /// Who wrote them.
    pub sender: UnitId,
    /// The dictionary that comes before them, by the number that batches of this session have for it.
    pub base: u64,
    /// The first number.
    pub first: Seq,
    /// The last.
    pub last: Seq,
    /// What is left out between them, at most [`GENERATION_RANGES_MAX`].
    pub without: Ranges,
    /// Digest over the dictionary's digest and those of all parcels, in order.
    pub id: Digest,
}

/// What a receiver says to a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GenerationAnswer {
    /// It has just these: batches may name it.
    Have,
    /// It has not, or not any more: send again what named it, and do without.
    Lack,
}

/// Most marks in a hello.
pub const MARKS_MAX: usize = 8;

/// How each side of a session starts: who it is and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// The node's unit; it must be the one that its certificate names.
    pub unit: UnitId,
    /// The node's epoch.
    pub epoch: Epoch,
    /// The neighbour's epoch as the node last knew it; 0 when they never met. The session is open once each side has said the
    /// other's present epoch here: a side that learns of a new one numbers the hop afresh and says hello again.
    pub peer_epoch: Epoch,
    /// What the node has on stable storage of the neighbour's numbers, in the epochs named above.
    pub received: Ranges,
    /// What the greatest of those numbers were given to, at most [`MARKS_MAX`], each as the number and [`Digest::mark`] of the
    /// parcel. A data folder that was rolled back and has given its numbers to other parcels since finds it out by these: without
    /// them it would take the new ones for received.
    pub marks: Vec<(Seq, u64)>,
    /// Every number of the node's own below this one has been acked or answered as gone.
    pub base: Seq,
    /// The node's next own number; 0 while it has offers to make first, after which it numbers afresh and says [`Frame::Numbered`].
    pub next: Seq,
    /// The node's clock, milliseconds since the Unix epoch.
    pub wall: Millis,
    /// The kind of link, so that the hub takes the same transport profile.
    pub link_kind: String,
    /// The link's name at the node that dialled, for people.
    pub link_name: String,
}

/// What credit is told in, bytes.
pub const CREDIT_UNIT_BYTES: u64 = 64 * 1024;

/// What a node has on stable storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// Numbers that are on stable storage here, or that are known to have ended.
    pub received: Ranges,
    /// Numbers that came and were not stored: send them again when there is credit and the receiver is open.
    pub parked: Ranges,
    /// What parcels the neighbour may have under way, unacked, by lane, in units of [`CREDIT_UNIT_BYTES`].
    pub credit: [u64; 4],
    /// Receivers whose mailbox is full.
    pub closed: Vec<UnitId>,
    /// Receivers whose mailbox has room again.
    pub open: Vec<UnitId>,
}

/// The answer to [`Frame::Gone`], once it is on stable storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GoneAnswer {
    /// Numbers that had come before: the node has the parcels and goes on with them.
    pub had: Ranges,
    /// Numbers that had not come, and will be refused should they still come.
    pub gone: Ranges,
}

/// The answer to [`Frame::Offer`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OfferAnswer {
    /// Parcels to send again.
    pub lacked: Vec<Digest>,
    /// Parcels that are here.
    pub had: Vec<Digest>,
}

/// What a batch says of one parcel beside the parcel's own bytes. None of it is signed by the sender; TLS protects it on the hop.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// The parcel's number on this hop.
    pub seq: Seq,
    /// How far back the numbers of the parcels stand that must be released first (G5): the distance from `seq`, at least 1.
    pub after: Vec<u64>,
    /// Whom this copy is for.
    pub targets: Targets,
    /// When the first hub received it and judged its signer, milliseconds since the Unix epoch; 0 before any hub has.
    pub attested: Millis,
}

/// Whom a copy of a parcel is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Targets {
    /// All the receivers that the sender signed.
    Signed,
    /// The neighbour itself.
    You,
    /// These units and patterns, each covered by a signed receiver.
    Named(Vec<Pattern>),
}
