//! Which congestion controller a link gets: the one place to change it.

use std::sync::Arc;

use quinn::congestion::{ControllerFactory, CubicConfig};

use super::LinkKind;

/// The controller for one kind of link.
///
/// Cubic (RFC 9438) for all: its window stops growing where the application does, and the bulk window of [`super::gate`] keeps
/// the application at one and a half times what is in flight.
pub(super) fn controller(_kind: LinkKind) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(CubicConfig::default())
}
