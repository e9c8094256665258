//! What a data folder holds, found out without a node that runs on it.

use std::path::Path;

use serde::Serialize;

use super::start::{self, StartError};
use crate::{
    delivery,
    index::Index,
    journal::lock_folder,
    model::{Limits, Policy, UnitId},
};

/// What is in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// The run of sequence numbers.
    pub epoch: u64,
    /// Parcels, receipts among them.
    pub parcels: u64,
    /// Messages that wait for the local application.
    pub inbox: u64,
    /// Messages that were submitted here and have not ended.
    pub awaiting_receipts: u64,
    /// Damaged places: what was in them is lost.
    pub damaged: u64,
}

/// Reads a data folder's journal as a node would that starts on it. What a crash left of the last write is cut off.
///
/// # Errors
/// The folder is in use, or a node could not start on it.
pub fn examine(data_dir: &Path, unit: UnitId) -> Result<Examined, StartError> {
    let _lock = lock_folder(data_dir)?;
    let settings = delivery::Settings {
        unit,
        upstream: None,
        listens: false,
        units: Vec::new(),
        policy: Policy::default(),
        limits: Limits::default(),
        kinds_without_read: Default::default(),
    };
    let (_index, mut feed) = Index::new();
    let (_journal, machine, recovery) = start::replay(data_dir, settings, &mut feed)?;
    let totals = machine.totals();
    Ok(Examined {
        epoch: machine.epoch(),
        parcels: totals.parcels,
        inbox: machine.inbox_view().messages,
        awaiting_receipts: totals.own,
        damaged: start::report(&recovery),
    })
}
