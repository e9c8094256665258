//! Makes `src/wire/dictionary.bin` anew, from the seed of the sample messages: `cargo run --release --example train-dictionary`.
//!
//! Neighbours compare what they have built in: two versions with different ones compress without.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/dictionary.bin");
    let dictionary = casegate::wire::built_in_dictionary()?;
    fs::write(&path, &dictionary)?;
    println!("{}: {} bytes", path.display(), dictionary.len());
    Ok(())
}
