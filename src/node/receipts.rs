//! The node's own receipts: parcels that it signs for the machine.

use crate::{
    codec,
    delivery::Input,
    model::{Kind, Lane, Millis, Pattern, ReceiptItem, UnitId},
    parcel::{BodyForm, Header, Signer},
};

/// What of a run goes into its receipts' ids: every byte is in every receipt, and after 1,000 starts two runs are the same with a chance of one in
/// two million.
const RUN_BYTES: usize = 5;
const DAY_MS: Millis = 24 * 3600 * 1000;

/// Makes receipts. An id is never used twice: it has the run of the process, which is random, and a number within it.
#[derive(Debug)]
pub(super) struct ReceiptMaker {
    unit: UnitId,
    run: [u8; RUN_BYTES],
    made: u64,
}

impl ReceiptMaker {
    /// `run` is fresh and random at every start.
    pub(super) fn new(unit: UnitId, run: u64) -> Self {
        let mut bytes = [0; RUN_BYTES];
        bytes.copy_from_slice(&run.to_le_bytes()[..RUN_BYTES]);
        Self {
            unit,
            run: bytes,
            made: 0,
        }
    }

    /// Signs what [`Output::MakeReceipt`](crate::delivery::Output::MakeReceipt) asks for. `now` is in milliseconds since the Unix
    /// epoch.
    pub(super) fn sign(
        &mut self,
        signer: &Signer,
        now: Millis,
        number: u64,
        to: &UnitId,
        items: &Vec<ReceiptItem>,
        expires: Millis,
    ) -> Input {
        let header = Header {
            sender: self.unit.clone(),
            id: self.next_id(),
            to: vec![Pattern::from(to)],
            kind: Kind::receipt(),
            case: None,
            lane: Lane::Urgent,
            accepted: now,
            // In whole days, which take one byte of a batch.
            expires: now + expires.saturating_sub(now).div_ceil(DAY_MS) * DAY_MS,
            signer: signer.certificate(),
            attachments: Vec::new(),
            form: BodyForm::Binary,
            attributes: Vec::new(),
        };
        let parcel = signer.seal(&header, &codec::encode(items));
        Input::ReceiptSigned {
            number,
            parcel,
            header,
        }
    }

    fn next_id(&mut self) -> String {
        self.made += 1;
        let mut bytes = self.run.to_vec();
        // A few bytes are enough for as many receipts as a run makes; the leading zeros would travel with every one.
        let number = self.made.to_be_bytes();
        bytes.extend(number.into_iter().skip_while(|byte| *byte == 0));
        let mut id = data_encoding::BASE32_NOPAD.encode(&bytes);
        id.make_ascii_lowercase();
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_receipts_have_one_id() {
        let unit: UnitId = "hebi.hub".parse().expect("a unit");
        let mut ids = BTreeSet::new();
        for run in [1, 256, u64::MAX >> 32] {
            let mut maker = ReceiptMaker::new(unit.clone(), run);
            for _ in 0..1000 {
                assert!(ids.insert(maker.next_id()));
            }
        }
    }
}
