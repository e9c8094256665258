//! Which messages are followed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{config::Share, model::MessageId};

/// Says of each message whether it is followed. That depends on its name and on the share alone, so that nodes with one share follow the
/// same messages, and one with a greater share those of a smaller and more. Cheap to clone; clones are one.
///
/// The last seven bytes of the name are the number that is drawn, as OpenTelemetry has it for trace ids that are random.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampler(Arc<AtomicU64>);

impl Sampler {
    /// From now on this share is followed, or no message.
    pub(super) fn set(&self, share: Option<Share>) {
        let numbers = share.map_or(0, Share::numbers);
        self.0.store(numbers, Ordering::Relaxed);
    }

    /// Whether a message is followed.
    pub(super) fn takes(&self, message: &MessageId) -> bool {
        let numbers = self.0.load(Ordering::Relaxed);
        let [.., a, b, c, d, e, f, g] = message.0;
        let drawn = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        drawn >= Share::OF - numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(share: f64) -> Sampler {
        let sampler = Sampler::default();
        sampler.set(Some(Share::new(share).expect("a share")));
        sampler
    }

    #[test]
    fn nodes_with_one_share_follow_the_same_messages_and_about_as_many_as_it_says() {
        let unit = "hebi.a".parse().expect("a unit");
        let messages: Vec<_> = (0..10_000)
            .map(|n: u32| MessageId::of(&unit, &n.to_string()))
            .collect();
        let followed = |sampler: &Sampler| -> Vec<_> {
            let followed = messages.iter().filter(|message| sampler.takes(message));
            followed.copied().collect()
        };
        let tenth = followed(&share(0.1));
        assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(tenth, followed(&share(0.1)));
        let half = share(0.5);
        assert!(tenth.iter().all(|message| half.takes(message)));
        assert_eq!(followed(&share(1.0)).len(), messages.len());
        half.set(None);
        assert_eq!(followed(&half), []);
        assert_eq!(followed(&Sampler::default()), []);
    }

    #[test]
    fn the_greatest_numbers_are_drawn_first() {
        let message = |last: [u8; 2]| {
            let mut id = [0x7f; 16];
            id[9..11].copy_from_slice(&last);
            MessageId(id)
        };
        let half = share(0.5);
        assert!(half.takes(&message([0x80, 0])));
        assert!(!half.takes(&message([0x7f, 0xff])));
        assert!(share(1e-30).takes(&MessageId([0xff; 16])));
    }
}
