//! Any bytes on the control stream: no panic, the same frames however the bytes are cut, and every frame reads back.
#![no_main]

use casegate::{
    delivery::hop::Frame,
    wire::{FrameDecoder, encode_frame},
};
use libfuzzer_sys::fuzz_target;

fn read(data: &[u8], step: usize) -> (Vec<Frame>, bool) {
    let (mut decoder, mut frames) = (FrameDecoder::new(), Vec::new());
    for piece in data.chunks(step) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

fuzz_target!(|data: &[u8]| {
    let whole = read(data, data.len().max(1));
    for step in [1, 7] {
        assert_eq!(read(data, step), whole, "in pieces of {step}");
    }
    for frame in whole.0 {
        let bytes = encode_frame(&frame);
        assert_eq!(read(&bytes, bytes.len()), (vec![frame], true));
    }
});
