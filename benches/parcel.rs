//! What a parcel costs: `cargo bench --bench parcel`, a case message of about 1 KB at a time, on one core.
//!
//! To be read against what it is made of: an Ed25519 signature (`sign_alone`) or its verification (`verify_alone`), and BLAKE3 over the
//! bytes (`digest`). Sealing and judging should cost little more than their signatures.

use std::hint::black_box;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use casegate::{
    model::{Fingerprint, MessageId, Millis},
    parcel::{Header, Parcel, Signer},
    sample::Generator,
};
use divan::{Bencher, counter::ItemsCount};

const ACCEPTED: Millis = 1_800_000_000_000;

fn main() {
    divan::main();
}

struct Made {
    signer: Signer,
    key: Ed25519KeyPair,
    header: Header,
    parcel: Parcel,
}

fn made() -> Made {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
    let signer = Signer::from_pkcs8(document.as_ref(), Fingerprint([7; 16])).expect("a signer");
    let sample = Generator::new(1).next().expect("there is no end");
    let parcel = sample.parcel(&signer, ACCEPTED);
    Made {
        header: parcel.header().expect("a header"),
        signer,
        key,
        parcel,
    }
}

#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let made = made();
    let body = made.parcel.body();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| made.signer.seal(black_box(&made.header), &body));
}

#[divan::bench]
fn sign_alone(bencher: Bencher<'_, '_>) {
    let made = made();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| made.key.sign(black_box(&[0x5a; 82])));
}

/// What a node does with a parcel that a neighbour brought.
#[divan::bench]
fn read_and_verify(bencher: Bencher<'_, '_>) {
    let made = made();
    let key = made.signer.verifying_key();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let parcel = Parcel::read(black_box(made.parcel.bytes()).clone()).expect("a parcel");
        let header = parcel.header().expect("a header");
        parcel.verify(&key).expect("its signature holds");
        header
    });
}

#[divan::bench]
fn verify_alone(bencher: Bencher<'_, '_>) {
    let made = made();
    let signed = [0x5a; 82];
    let signature = made.key.sign(&signed);
    let key = UnparsedPublicKey::new(&ED25519, made.key.public_key().as_ref());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| key.verify(black_box(&signed), signature.as_ref()));
}

#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    let made = made();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| casegate::model::Digest::of(black_box(made.parcel.bytes())));
}

#[divan::bench]
fn message_id(bencher: Bencher<'_, '_>) {
    let header = made().header;
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| MessageId::of(black_box(&header.sender), &header.id));
}
