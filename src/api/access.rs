//! Who asks.
use std::sync::Arc;
use crate::model::Role;
/// Somebody whom a token, or a session that began with one, has told from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Their name, as the audit log has it.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
}
