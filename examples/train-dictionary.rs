//! Makes `src/wire/dictionary.bin` anew, from the seed of the sample messages: `cargo run --release --example train-dictionary`.
//!
//! The dictionary is part of the protocol. Once nodes are in the field, a changed one needs a number of its own.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/dictionary.bin");
    let dictionary = casegate::wire::built_in_dictionary()?;
    fs::write(&path, &dictionary)?;
    println!("{}: {} bytes", path.display(), dictionary.len());
    Ok(())
}
