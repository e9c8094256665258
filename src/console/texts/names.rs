//! What things are called: states, lanes, kinds, reasons and the like.

use super::{Texts, fill};
use crate::{
    api::{Action, Cause, StepView, Warned, Warning},
    console::show::{Chip, Tone},
    model::{Kind, Lane, Reason, Role, State},
};

impl Texts {
    /// A state, and how good it is.
    pub(in crate::console) fn state(&self, state: State) -> Chip {
        let tone = match state {
            State::Queued => Tone::Wait,
            State::Held => Tone::Warn,
            State::Sending | State::Relayed => Tone::Busy,
            State::Delivered | State::Read => Tone::Good,
            State::Refused | State::Expired | State::Dropped => Tone::Bad,
        };
        let text = self.words.state(state);
        Chip { tone, text }
    }

    /// A lane.
    pub(in crate::console) fn lane(&self, lane: Lane) -> Chip {
        let tone = match lane {
            Lane::Flash => Tone::Flash,
            Lane::Urgent => Tone::Urgent,
            Lane::Normal | Lane::Bulk => Tone::Plain,
        };
        let text = self.words.lane(lane);
        Chip { tone, text }
    }

    /// Several lanes.
    pub(in crate::console) fn lanes(&self, lanes: &[Lane]) -> String {
        let names: Vec<_> = lanes.iter().map(|lane| self.lane(*lane).text).collect();
        names.join(self.and_between)
    }

    /// Whether a lane is sent.
    pub(in crate::console) fn sending(&self, is_paused: bool) -> Chip {
        let (tone, text) = match is_paused {
            true => (Tone::Warn, self.paused),
            false => (Tone::Good, self.sending_goes),
        };
        Chip { tone, text }
    }

    /// A role.
    pub(in crate::console) fn role(&self, role: Role) -> &'static str {
        match role {
            Role::Viewer => self.role_viewer,
            Role::Operator => self.role_operator,
            Role::Administrator => self.role_administrator,
        }
    }

    /// A kind; one that the operator has added is called as it is.
    pub(in crate::console) fn kind(&self, kind: &Kind) -> String {
        let name = match kind.as_str() {
            "case.transfer" => self.kind_case_transfer,
            "case.receipt" => self.kind_case_receipt,
            "case.filing" => self.kind_case_filing,
            "case.step" => self.kind_case_step,
            "case.material" => self.kind_case_material,
            "case.supervision" => self.kind_case_supervision,
            "case.judgment" => self.kind_case_judgment,
            "penalty.decision" => self.kind_penalty_decision,
            "penalty.approval" => self.kind_penalty_approval,
            "consultation.question" => self.kind_consultation_question,
            "consultation.reply" => self.kind_consultation_reply,
            "enforcement.info" => self.kind_enforcement_info,
            "notice" => self.kind_notice,
            "forum.theme" => self.kind_forum_theme,
            "forum.reply" => self.kind_forum_reply,
            "directive" => self.kind_directive,
            "report" => self.kind_report,
            "exchange" => self.kind_exchange,
            "supervision.special" => self.kind_supervision_special,
            "dutycrime.lead" => self.kind_dutycrime_lead,
            "discipline.lead" => self.kind_discipline_lead,
            "warning.deadline" => self.kind_warning_deadline,
            "warning.amount" => self.kind_warning_amount,
            "warning.history" => self.kind_warning_history,
            "statistics.monthly" => self.kind_statistics_monthly,
            "receipt" => self.kind_receipt,
            other => other,
        };
        name.to_owned()
    }

    /// A kind of link.
    pub(in crate::console) fn link_kind(&self, kind: &str) -> &'static str {
        match kind {
            "exclusive" => self.link_exclusive,
            "3g" => self.link_3g,
            "lan" => self.link_lan,
            _ => "",
        }
    }

    /// How a link is relied on.
    pub(in crate::console) fn link_state(&self, state: &str, takes: &str) -> Chip {
        if (state, takes) == ("sound", "express") {
            let text = self.words.link_express;
            return Chip {
                tone: Tone::Warn,
                text,
            };
        }
        let tone = match state {
            "sound" => Tone::Good,
            "proving" | "opening" => Tone::Busy,
            "silent" => Tone::Warn,
            _ => Tone::Bad,
        };
        let text = self.words.link_state(state);
        let text = text.unwrap_or(self.words.link_down);
        Chip { tone, text }
    }

    /// A step of a timeline, and how good it is.
    pub(in crate::console) fn step(&self, step: &StepView) -> (Tone, &'static str) {
        let state = match step.step {
            "receipt" => step.outcome.map(Into::into),
            "ended" => step.state,
            _ => None,
        };
        if let Some(state) = state {
            let Chip { tone, text } = self.state(state);
            return (tone, text);
        }
        let tone = match step.step {
            "accepted" | "received" | "acked" | "delivered" | "taken" => Tone::Good,
            "queued" => Tone::Wait,
            "sent" | "handed" => Tone::Busy,
            "returned" | "held" | "exported" | "parked" => Tone::Warn,
            _ => Tone::Plain,
        };
        (tone, self.words.step(step.step).unwrap_or_default())
    }

    /// Why something ended, and an operator's words on it.
    pub(in crate::console) fn why(&self, reason: Option<Reason>, note: Option<&str>) -> String {
        let reason = reason.map_or("", |reason| self.words.reason(reason));
        let both = [reason, note.unwrap_or_default()];
        let both: Vec<_> = both.into_iter().filter(|part| !part.is_empty()).collect();
        both.join(": ")
    }

    /// Why the node does not do something.
    pub(in crate::console) fn cause(&self, cause: Cause) -> &'static str {
        match cause {
            Cause::InvalidRequest => self.words.cause_invalid,
            Cause::Policy => self.words.cause_policy,
            Cause::UnknownMessage => self.words.cause_unknown_message,
            Cause::IdConflict => self.words.cause_id_conflict,
            Cause::WrongState => self.words.cause_wrong_state,
            Cause::UnknownUnit => self.words.cause_unknown_unit,
            Cause::UnknownAttachment => self.words.cause_unknown_attachment,
            Cause::Expires => self.words.cause_expires,
            Cause::Busy => self.words.cause_busy,
            Cause::MailboxFull => self.words.cause_mailbox_full,
            Cause::BoundReached => self.words.cause_bound_reached,
            Cause::DiskFull => self.words.cause_disk_full,
            Cause::Recovering => self.words.cause_recovering,
            Cause::Stopping => self.words.cause_stopping,
            Cause::UnknownNeighbour => self.words.cause_unknown_neighbour,
            Cause::Draining => self.words.cause_draining,
            Cause::StorageFailed => self.words.cause_storage_failed,
            Cause::IndexUnavailable => self.words.cause_index,
            Cause::BadFile => self.words.cause_bad_file,
            Cause::AlreadyImported => self.words.cause_already_imported,
            Cause::NotByHand => self.words.cause_not_by_hand,
            Cause::Internal => self.words.cause_internal,
        }
    }

    /// What a call of the API says instead of an answer, by the last part of its type.
    pub(in crate::console) fn problem(&self, slug: &str) -> &'static str {
        match slug {
            "bodies-not-shown" => self.body_not_shown,
            "unknown-message" => self.body_gone,
            "busy" => self.words.cause_busy,
            _ => self.wrong_unread,
        }
    }

    /// A warning: whether it is grave, and what the node says of it.
    pub(in crate::console) fn warning(&self, warned: &Warned) -> (bool, String) {
        let Warned { warning, text } = warned;
        let is_grave = match warning {
            Warning::NotReady(_)
            | Warning::DiskFull
            | Warning::Quarantined(_)
            | Warning::MessagesLost(_)
            | Warning::AttachmentsDamaged(_)
            | Warning::AuditDamaged(_)
            | Warning::IndexFailed(_) => true,
            Warning::Drained { .. }
            | Warning::Paused { .. }
            | Warning::ExpressOnly { .. }
            | Warning::Local(_)
            | Warning::IndexIncomplete
            | Warning::CertificateExpires { .. } => false,
        };
        match warning {
            // It begins with a folder or a URL.
            Warning::Local(_) => (is_grave, text.clone()),
            _ => (is_grave, sentence(text)),
        }
    }

    /// What was done to so many messages.
    pub(in crate::console) fn done(&self, action: &Action) -> &'static str {
        match action {
            Action::Hold => self.done_hold,
            Action::Release => self.done_release,
            Action::Retry => self.done_retry,
            Action::Reprioritise(_) => self.done_reprioritise,
            Action::Expire(_) => self.done_expire,
            Action::Drop(_) => self.done_drop,
        }
    }

    /// A field of the search.
    pub(in crate::console) fn field(&self, name: &str) -> &'static str {
        match name {
            "id" => self.messageid,
            "kind" => self.kind_word,
            "from" => self.from,
            "to" => self.to,
            "since" => self.since_when,
            "case" => self.case_word,
            _ => self.title_text,
        }
    }

    /// The columns of an export.
    pub(in crate::console) fn export_columns(&self) -> [&'static str; 11] {
        [
            self.messageid,
            self.column_sender_id,
            self.kind_word,
            self.case_word,
            self.title_text,
            self.from,
            self.to,
            self.lane_word,
            self.state_word,
            self.accepted,
            self.expires,
        ]
    }

    /// What units are picked out.
    pub(in crate::console) fn unit_filter(&self, filter: &str) -> &'static str {
        match filter {
            "connected" => self.filter_connected,
            "away" => self.filter_away,
            "mail" => self.filter_mail,
            "blocked" => self.filter_blocked,
            _ => self.filter_all,
        }
    }

    pub(in crate::console) fn more(&self, number: &usize) -> String {
        fill(self.more_there, &[number])
    }

    pub(in crate::console) fn left_out(&self, steps: &u32) -> String {
        fill(self.steps_left_out, &[steps])
    }

    pub(in crate::console) fn queue_total(&self, total: &str) -> String {
        fill(self.queue_in_all, &[&total])
    }

    pub(in crate::console) fn case_summary(
        &self,
        all: usize,
        open: &usize,
        units: usize,
    ) -> String {
        fill(self.case_in_short, &[&all, open, &units])
    }

    pub(in crate::console) fn units_shown(&self, shown: &usize, total: &usize) -> String {
        fill(self.units_in_all, &[shown, total])
    }

    pub(in crate::console) fn units_connected(&self, connected: &usize, all: usize) -> String {
        fill(self.units_up, &[connected, &all])
    }

    pub(in crate::console) fn files_help(&self, mib: &u32) -> String {
        fill(self.files_help_mib, &[mib])
    }
}

/// A phrase as a sentence begins.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next();
    let first = first.into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use crate::{console::texts::Language, model::Kinds};

    #[test]
    fn every_kind_that_is_built_in_has_a_name() {
        for language in [Language::English, Language::Chinese] {
            let t = language.texts();
            for (kind, _) in Kinds::default().iter() {
                assert_ne!(t.kind(kind), kind.as_str());
            }
            let added = "fire.report".parse().expect("a kind");
            assert_eq!(t.kind(&added), "fire.report");
        }
    }
}
