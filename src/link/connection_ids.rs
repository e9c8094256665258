//! The connection IDs that a hub gives out: four bytes, since every packet to the hub carries one.
//!
//! quinn's own have eight: three of chance and five by which it knows them. Three of chance name 16 million connections here as well; of the packets
//! that were never for this hub one byte lets 255 of 256 pass by unanswered, and what is answered to the rest, a stateless reset (RFC 9000, section
//! 10.3), is shorter than what came and limited in number. Packets are authenticated by their keys, and never by this.

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid, RandomConnectionIdGenerator};

/// Bytes of chance, which no two connections of an endpoint share.
const NONCE_BYTES: usize = 3;
/// Bytes of an ID: chance, and the byte that says whose it is.
pub(super) const ID_BYTES: usize = NONCE_BYTES + 1;

/// Gives out connection IDs and knows them again, also those of a process before with the same key.
pub(super) struct ConnectionIds {
    key: [u8; 32],
}

impl ConnectionIds {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn mark(&self, nonce: &[u8]) -> u8 {
        blake3::keyed_hash(&self.key, nonce).as_bytes()[0]
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let nonce = RandomConnectionIdGenerator::new(NONCE_BYTES).generate_cid();
        let mut id = nonce.to_vec();
        id.push(self.mark(&nonce));
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        match id.split_last() {
            Some((mark, nonce)) if nonce.len() == NONCE_BYTES && self.mark(nonce) == *mark => {
                Ok(())
            }
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_by_whoever_has_the_key_and_hardly_by_anybody_else() {
        let mut ids = ConnectionIds::new([7; 32]);
        let again = ConnectionIds::new([7; 32]);
        let other = ConnectionIds::new([8; 32]);
        let given: Vec<ConnectionId> = (0..2_000).map(|_| ids.generate_cid()).collect();
        assert!(given.iter().all(|id| id.len() == ID_BYTES));
        assert!(given.iter().all(|id| again.validate(id).is_ok()));
        // One of 256 by chance.
        let mistaken = given.iter().filter(|id| other.validate(id).is_ok()).count();
        assert!(mistaken < 60, "{mistaken} of 2,000");
        let longer = ConnectionId::new(&[0; 8]);
        assert!(ids.validate(&longer).is_err());
        assert!(ids.validate(&ConnectionId::new(&[])).is_err());
    }
}
