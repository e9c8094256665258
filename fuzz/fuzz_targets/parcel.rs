//! Any bytes as a parcel: no panic, and what may be handed over is handed over as JSON.
#![no_main]

use bytes::Bytes;
use casegate::{
    cloudevents::{check, to_event},
    parcel::Parcel,
};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize as _;

fuzz_target!(|data: &[u8]| {
    let Ok(parcel) = Parcel::read(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(parcel.bytes(), data);
    let Ok(header) = parcel.header() else { return };
    let body = parcel.body();
    if check(&header, &body).is_ok() {
        let event = to_event(&header, &body, 1_772_000_000_000).expect("it was checked");
        // As deep as the data may be nested.
        let mut reader = serde_json::Deserializer::from_str(event.get());
        reader.disable_recursion_limit();
        let event = serde_json::Value::deserialize(&mut reader).expect("every reader takes it");
        assert_eq!(event["id"], header.id);
    }
});
