//! What is brought to a node beside batches and frames: chunks, dictionaries, files of a queue, certificates, an audit log, sidecars. No panic,
//! and what reads comes back when it is written again.
#![no_main]

use std::{io::Write as _, sync::OnceLock};

use bytes::Bytes;
use casegate::{
    observe::{Against, Audit},
    pki::{Roots, UnitCertificate},
    spool::Address,
    wire::{Manifest, STICK_MAGIC, StickHead, Trained, manifest_bytes, read_chunks, take_over},
};
use libfuzzer_sys::fuzz_target;

/// Where an audit log lies.
fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"))
}

fuzz_target!(|data: &[u8]| {
    let Some((sort, data)) = data.split_first() else {
        return;
    };
    match sort % 8 {
        0 => {
            let run = Bytes::copy_from_slice(data);
            if let Ok(read) = read_chunks(&run) {
                let bytes: usize = read.chunks.iter().map(Bytes::len).sum();
                assert!(bytes <= data.len());
            }
        }
        1 => {
            if let Ok(dictionary) = take_over(data) {
                assert!(!dictionary.bytes().is_empty());
            }
        }
        2 => {
            if let Ok(trained) = Trained::parse(data) {
                let again = Trained::parse(&trained.to_bytes()).expect("it reads again");
                assert_eq!(again.dictionary.id(), trained.dictionary.id());
            }
        }
        3 => {
            if let Ok(manifest) = Manifest::read(data) {
                let bytes = manifest.encode();
                assert_eq!(Manifest::read(&bytes), Ok(manifest));
                let head = StickHead {
                    manifest: bytes.clone(),
                    seal: [0; _],
                    certificate: Vec::new(),
                };
                let head = head.encode();
                let beginning = &head[..STICK_MAGIC.len() + 4];
                assert_eq!(manifest_bytes(beginning), Ok(bytes.len()));
            }
        }
        4 => {
            if let Ok(certificate) = UnitCertificate::read(data) {
                certificate.valid_at(1_790_000_000_000);
            }
        }
        5 => {
            if let Ok(roots) = Roots::from_pem(data) {
                let _ = format!("{roots:?}");
            }
        }
        6 => {
            let path = folder().path().join("audit.log");
            let mut file = std::fs::File::create(&path).expect("a file");
            file.write_all(data).expect("written");
            drop(file);
            let _ = Audit::verify(&path, Against::default());
        }
        _ => {
            if let Ok(address) = Address::read(data) {
                assert_eq!(address.clone(), address);
            }
        }
    }
});
