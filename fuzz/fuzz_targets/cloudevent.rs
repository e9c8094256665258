//! Any bytes as an event or a batch of events: no panic, and what is taken can be handed over.
#![no_main]

use bytes::Bytes;
use casegate::{
    cloudevents::{Intake, check, to_event},
    model::{Fingerprint, Kinds, Limits},
};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize as _;

fuzz_target!(|data: &[u8]| {
    let unit = "hebi.xunxian.tobacco".parse().expect("a unit");
    let (kinds, limits) = (Kinds::default(), Limits::default());
    let intake = Intake {
        unit: &unit,
        kinds: &kinds,
        limits: &limits,
        signer: Fingerprint([7; 16]),
        accepted: 1_772_000_000_000,
    };
    let body = Bytes::copy_from_slice(data);
    let one = intake.structured(&body).into_iter();
    let many = intake.batch(&body).into_iter().flatten();
    for taken in one.chain(many) {
        check(&taken.header, &taken.body).expect("what is taken can be handed over");
        let event = to_event(&taken.header, &taken.body, 1).expect("it was checked");
        // As deep as the data may be nested.
        let mut reader = serde_json::Deserializer::from_str(event.get());
        reader.disable_recursion_limit();
        serde_json::Value::deserialize(&mut reader).expect("every reader takes it");
    }
});
