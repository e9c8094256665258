//! How many connections a hub has, in all and of each unit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{CloseCode, Ended, session::Live};
use crate::model::UnitId;

/// The places at a hub.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    places_max: usize,
    per_unit: usize,
    units: Mutex<HashMap<UnitId, Vec<Arc<Live>>>>,
}

/// A session's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    unit: UnitId,
    live: Arc<Live>,
    _place: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(connections: usize, per_unit: usize) -> Arc<Self> {
        let places_max = connections.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            per_unit: per_unit.max(1),
            units: Mutex::new(HashMap::new()),
        })
    }

    /// A place for a connection whose unit is not known yet, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Enters a session under its unit. Where the unit has as many as it may have, the one that was silent longest makes room:
    /// it is most likely what is left of a node that was restarted or of a link that is gone, and the newcomer is certainly alive.
    pub(super) fn admit(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        unit: UnitId,
        live: Arc<Live>,
    ) -> Admitted {
        let mut units = self.lock();
        let sessions = units.entry(unit.clone()).or_default();
        while sessions.len() >= self.per_unit {
            let silent = (0..sessions.len()).max_by_key(|at| sessions.get(*at).map(|s| s.silent()));
            let Some(at) = silent else { break };
            let replaced = sessions.swap_remove(at);
            replaced.close(Ended::here(
                CloseCode::Replaced,
                "a newer session of the unit",
            ));
        }
        sessions.push(live.clone());
        Admitted {
            admission: self.clone(),
            unit,
            live,
            _place: place,
        }
    }

    /// Closes every session.
    pub(super) fn close_all(&self, ended: &Ended) {
        let sessions: Vec<_> = self.lock().values().flatten().cloned().collect();
        for session in sessions {
            session.close(ended.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UnitId, Vec<Arc<Live>>>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut units = self.admission.lock();
        if let Some(sessions) = units.get_mut(&self.unit) {
            sessions.retain(|live| !Arc::ptr_eq(live, &self.live));
            if sessions.is_empty() {
                units.remove(&self.unit);
            }
        }
    }
}
