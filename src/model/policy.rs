//! Who may send what to whom.

use super::{Kind, Pattern, UnitId};

/// Default deny: a message passes when one rule allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules; their order means nothing.
    pub allow: Vec<Allow>,
}

/// One rule of a [`Policy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The senders.
    pub from: Pattern,
    /// The receivers.
    pub to: Pattern,
    /// The kinds.
    pub kinds: Vec<Pattern>,
}

impl Policy {
    /// Whether `from` may send `kind` to the unit `to`.
    pub fn allows(&self, from: &UnitId, to: &UnitId, kind: &Kind) -> bool {
        self.any(from, kind, |rule| rule.to.matches(to.as_str()))
    }

    /// Whether `from` may send `kind` to a pattern at all. The node that expands the pattern asks again for every unit.
    pub fn allows_pattern(&self, from: &UnitId, to: &Pattern, kind: &Kind) -> bool {
        match to.as_unit() {
            Some(unit) => self.allows(from, &unit, kind),
            None => self.any(from, kind, |_| true),
        }
    }

    fn any(&self, from: &UnitId, kind: &Kind, to: impl Fn(&Allow) -> bool) -> bool {
        self.allow.iter().any(|rule| {
            rule.from.matches(from.as_str())
                && to(rule)
                && rule.kinds.iter().any(|k| k.matches(kind.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_without_a_rule() {
        let a: UnitId = "hebi.tobacco".parse().expect("a unit");
        let b: UnitId = "hebi.police".parse().expect("a unit");
        let kind: Kind = "case.transfer".parse().expect("a kind");
        let mut policy = Policy::default();
        assert!(!policy.allows(&a, &b, &kind));
        policy.allow.push(Allow {
            from: "hebi.**".parse().expect("a pattern"),
            to: "hebi.police".parse().expect("a pattern"),
            kinds: vec!["case.*".parse().expect("a pattern")],
        });
        assert!(policy.allows(&a, &b, &kind));
        assert!(!policy.allows(&b, &a, &kind));
    }
}
