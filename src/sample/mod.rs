//! Case messages to try things with: the demo, the tests and the benches send them, and the built-in dictionary is trained on them.
//!
//! A [`Generator`] writes what the agencies of a few cities would send each other: cases that run from acceptance over transfer,
//! receipt, filing and prosecution to judgment, and the notices, consultations, statistics and leads around them. Every kind that
//! an application may submit comes up. All texts are put together from the project's own stock of sentences; names are masked
//! (`张某某`), organisations follow the public district codes, and no person, case or document is real.
//!
//! The same seed and start give the same messages on every machine. Nothing here reads a clock.

mod case;
mod dice;
mod moment;
mod office;
mod phrase;
mod places;
mod stock;

use std::collections::VecDeque;

use serde_json::{Value, json};

use self::{
    case::{Case, Step},
    dice::Dice,
    moment::{DAY, Moment, ulid},
    places::{COURT, LEAD, POLICE, PROCURATORATE, Place},
};
use crate::{
    model::{Fingerprint, Kind, Lane, Millis, Pattern, UnitId},
    parcel::{Attribute, BodyForm, Header, Parcel, Signer, Value as Attribution},
};

/// A message as an application would submit it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The message: a structured CloudEvent, one line of JSON.
    pub event: String,
    /// Its kind, the event's `type`.
    pub kind: Kind,
    /// Its case, the event's `caseid`.
    pub case: Option<String>,
    /// Its sender, the event's `source` without `/unit/`.
    pub from: UnitId,
    /// Its receiver, the event's `to`.
    pub to: Pattern,
    body: String,
    id: String,
    lane: Lane,
    attributes: Vec<(&'static str, String)>,
}

/// What the generator is told beside its seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// When the generated world starts, milliseconds since the Unix epoch.
    pub start: Millis,
    /// Every message is from this unit, whoever would have sent it.
    pub from: Option<UnitId>,
    /// Every message is for this unit or pattern, whoever would have received it.
    pub to: Option<Pattern>,
}

/// An endless stream of [`Sample`]s.
pub struct Generator {
    dice: Dice,
    options: Options,
    now: Moment,
    running: Vec<Running>,
}

/// Most cases that run at the same time.
const RUNNING_MAX: usize = 48;

/// When a generated world starts unless it is told otherwise: 2024-01-15 08:00 in Beijing.
pub const START: Millis = 1_705_276_800_000;

struct Running {
    case: Case,
    ordinal: u64,
    ahead: VecDeque<Turn>,
}

/// What a case's next message is.
enum Turn {
    Step(Step),
    Late(Step),
    Amount,
    History,
    Transfer,
    Receipt,
    Material(u64),
    Filing(bool),
    Supervision(bool),
    Approval,
    Penalty,
    Judgment,
}

impl Generator {
    /// A generator whose world starts on a January morning of 2024.
    pub fn new(seed: u64) -> Self {
        Self::with(
            seed,
            Options {
                start: START,
                ..Options::default()
            },
        )
    }

    /// A generator with options.
    pub fn with(seed: u64, options: Options) -> Self {
        Self {
            dice: Dice::new(seed),
            now: Moment(options.start),
            options,
            running: Vec::new(),
        }
    }

    fn case_message(&mut self) -> Sample {
        if self.running.len() < RUNNING_MAX
            && self
                .dice
                .chance(if self.running.len() < 12 { 60 } else { 8 })
            || self.running.is_empty()
        {
            let case = Case::open(&mut self.dice, self.now);
            let ahead = life(&mut self.dice);
            self.running.push(Running {
                case,
                ordinal: 0,
                ahead,
            });
        }
        let dice = &mut self.dice;
        let at = dice.below(self.running.len() as u64) as usize;
        let running = &mut self.running[at];
        let turn = running
            .ahead
            .pop_front()
            .unwrap_or(Turn::Step(case::CLOSED));
        running.ordinal += 1;
        let (case, now) = (&running.case, self.now);
        let agency = case.agency.number;
        let (kind, from, to, data) = match turn {
            Turn::Step(step) => {
                let data = case.step(dice, now, running.ordinal, step);
                let from = match step.0 {
                    0..=8 | 29 => agency,
                    10..=15 | 18 => POLICE,
                    22 => COURT,
                    _ => PROCURATORATE,
                };
                let to = if from == PROCURATORATE {
                    POLICE
                } else {
                    PROCURATORATE
                };
                ("case.step", from, to, data)
            }
            Turn::Late(step) => {
                let data = case.deadline_warning(dice, now, step);
                (
                    "warning.deadline",
                    LEAD,
                    if step.0 >= 10 { POLICE } else { agency },
                    data,
                )
            }
            Turn::Amount => ("warning.amount", LEAD, agency, case.amount_warning(dice)),
            Turn::History => ("warning.history", LEAD, agency, case.history_warning(dice)),
            Turn::Transfer => ("case.transfer", agency, POLICE, case.transfer(dice, now)),
            Turn::Receipt => ("case.receipt", POLICE, agency, case.receipt(dice, now)),
            Turn::Material(batch) => ("case.material", agency, POLICE, case.material(dice, batch)),
            Turn::Filing(filed) => ("case.filing", POLICE, agency, case.filing(dice, now, filed)),
            Turn::Supervision(order) => (
                "case.supervision",
                PROCURATORATE,
                POLICE,
                case.supervision(dice, now, order),
            ),
            Turn::Approval => (
                "penalty.approval",
                agency,
                PROCURATORATE,
                case.approval(dice, now),
            ),
            Turn::Penalty => (
                "penalty.decision",
                agency,
                PROCURATORATE,
                case.penalty(dice, now),
            ),
            Turn::Judgment => (
                "case.judgment",
                COURT,
                PROCURATORATE,
                case.judgment(dice, now),
            ),
        };
        let (place, id, ordinal) = (case.place, case.id.clone(), running.ordinal);
        if running.ahead.is_empty() {
            self.running.swap_remove(at);
        }
        self.sample(
            kind,
            place,
            (from, to),
            id.clone(),
            Some((id, ordinal)),
            &data,
        )
    }

    fn office_message(&mut self) -> Sample {
        let place = Place::any(&mut self.dice);
        let paper = office::any(&mut self.dice, place, self.now);
        self.sample(
            paper.kind,
            place,
            (paper.from, paper.to),
            paper.subject,
            None,
            &paper.data,
        )
    }

    fn sample(
        &mut self,
        kind: &'static str,
        place: Place,
        (from, to): (u32, u32),
        subject: String,
        case: Option<(String, u64)>,
        data: &Value,
    ) -> Sample {
        let from = self
            .options
            .from
            .clone()
            .unwrap_or_else(|| parsed(&place.unit(from)));
        let to = match &self.options.to {
            Some(to) => to.clone(),
            None if kind == "notice" => parsed(&format!("{}.**", place.city.unit)),
            None => parsed(&place.unit(to)),
        };
        let chance = u128::from(self.dice.roll()) << 64 | u128::from(self.dice.roll());
        let id = ulid(self.now, chance);
        let time = self.now.rfc3339();
        let lane = lane(kind);
        let mut attributes = vec![
            ("subject", subject),
            ("time", time),
            ("datacontenttype", "application/json".to_owned()),
        ];
        let mut event = json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/unit/{from}"),
            "type": kind,
        });
        for (name, value) in &attributes {
            event[*name] = value.as_str().into();
        }
        event["to"] = to.as_str().into();
        if let Some((case, ordinal)) = &case {
            event["caseid"] = case.as_str().into();
            event["priority"] = lane.as_str().into();
            event["sequence"] = ordinal.to_string().into();
            attributes.push(("sequence", ordinal.to_string()));
        } else {
            event["priority"] = lane.as_str().into();
        }
        event["data"] = data.clone();
        Sample {
            event: event.to_string(),
            kind: parsed(kind),
            case: case.map(|(case, _)| case),
            from,
            to,
            body: data.to_string(),
            id,
            lane,
            attributes,
        }
    }
}

impl Iterator for Generator {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let pause = self.dice.between(1, 7_200) * 1_000;
        self.now = self.now.plus(pause);
        Some(if self.dice.chance(80) {
            self.case_message()
        } else {
            self.office_message()
        })
    }
}

impl Sample {
    /// The message's `data`, the text that becomes the parcel's body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The header that the sender's gateway would give the message, accepted at `accepted` (milliseconds since the Unix epoch),
    /// kept for 30 days and signed with the key of the certificate `signer`.
    pub fn header(&self, signer: Fingerprint, accepted: Millis) -> Header {
        let attributes = self.attributes.iter().map(|(name, value)| Attribute {
            name: (*name).to_owned(),
            value: Attribution::Text(value.clone()),
        });
        Header {
            sender: self.from.clone(),
            id: self.id.clone(),
            to: vec![self.to.clone()],
            kind: self.kind.clone(),
            case: self.case.clone(),
            lane: self.lane,
            accepted,
            expires: accepted.saturating_add(30 * DAY),
            signer,
            attachments: Vec::new(),
            form: BodyForm::Json,
            attributes: attributes.collect(),
        }
    }

    /// The parcel that the sender's gateway would make of the message, with [`Sample::header`].
    pub fn parcel(&self, signer: &Signer, accepted: Millis) -> Parcel {
        let header = self.header(signer.certificate(), accepted);
        signer.seal(&header, self.body.as_bytes())
    }
}

/// The turns of a case's life.
fn life(dice: &mut Dice) -> VecDeque<Turn> {
    use Turn::{
        Amount, Approval, Filing, History, Judgment, Late, Material, Penalty, Receipt, Step,
        Supervision, Transfer,
    };
    let mut turns = vec![Step(case::ACCEPTED), Step(case::OPENED)];
    if dice.chance(30) {
        turns.push(Late(case::OPENED));
    }
    if dice.chance(6) {
        turns.push(History);
    }
    if dice.chance(40) {
        turns.extend([Step(case::PENALTY), Approval, Penalty]);
    }
    if dice.chance(30) {
        turns.push(Late(case::PENALTY));
        turns.push(Step(case::CLOSED));
        return turns.into();
    }
    if dice.chance(8) {
        turns.push(Amount);
    }
    turns.extend([Step(case::INVESTIGATING), Transfer, Step(case::TRANSFERRED)]);
    if dice.chance(45) {
        turns.push(Late(case::TRANSFERRED));
    }
    turns.push(Receipt);
    if dice.chance(40) {
        turns.push(Material(dice.between(1, 2)));
    }
    if dice.chance(15) {
        turns.extend([
            Filing(false),
            Supervision(false),
            Step(case::REASONS_ASKED),
            Step(case::REASONS_GIVEN),
        ]);
        if dice.chance(50) {
            return turns.into();
        }
        turns.extend([Supervision(true), Step(case::FILING_ORDERED)]);
    }
    turns.extend([Filing(true), Step(case::FILED)]);
    if dice.chance(60) {
        turns.extend([
            Step(case::ARREST_ASKED),
            Late(case::ARREST_ASKED),
            Step(case::ARRESTED),
            Step(case::PROSECUTION),
        ]);
    }
    if dice.chance(35) {
        turns.extend([Step(case::CHARGED), Judgment, Step(case::JUDGED)]);
    }
    turns.into()
}

fn lane(kind: &str) -> Lane {
    match kind {
        "case.transfer" | "case.supervision" | "directive" | "dutycrime.lead"
        | "discipline.lead" => Lane::Urgent,
        kind if kind.starts_with("warning.") => Lane::Urgent,
        "case.material" | "forum.theme" | "forum.reply" | "statistics.monthly" => Lane::Bulk,
        _ => Lane::Normal,
    }
}

/// A name that the generator's own tables make; they hold no other.
fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse()
        .unwrap_or_else(|error| unreachable!("{name}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::Kinds;

    #[test]
    fn the_same_seed_writes_the_same_messages() {
        let events =
            |seed| -> Vec<String> { Generator::new(seed).take(50).map(|s| s.event).collect() };
        assert_eq!(events(7), events(7));
        assert_ne!(events(7), events(8));
    }

    #[test]
    fn every_kind_that_an_application_may_submit_comes_up() {
        let seen: BTreeSet<Kind> = Generator::new(1).take(4_000).map(|s| s.kind).collect();
        let known: BTreeSet<Kind> = Kinds::default()
            .iter()
            .map(|(kind, _)| kind.clone())
            .collect();
        assert_eq!(seen, known);
    }

    #[test]
    fn sizes_are_those_of_the_field() {
        let mut sizes: Vec<usize> = Generator::new(2)
            .take(4_000)
            .map(|s| s.event.len())
            .collect();
        sizes.sort_unstable();
        let at = |percent: usize| sizes[sizes.len() * percent / 100];
        assert!((450..700).contains(&at(10)), "p10 {}", at(10));
        assert!((650..950).contains(&at(50)), "median {}", at(50));
        assert!((2_300..5_000).contains(&at(90)), "p90 {}", at(90));
        let last = sizes[sizes.len() - 1];
        assert!((20_000..65_000).contains(&last), "max {last}");
        assert!(sizes.iter().filter(|size| **size >= 20_000).count() >= 10);
    }

    #[test]
    fn an_event_says_what_the_sample_says() {
        for sample in Generator::new(3).take(500) {
            let event: BTreeMap<String, Value> = serde_json::from_str(&sample.event).expect("JSON");
            assert_eq!(event["type"], sample.kind.as_str());
            assert_eq!(event["source"], format!("/unit/{}", sample.from));
            assert_eq!(event["to"], sample.to.as_str());
            assert_eq!(
                event.get("caseid").and_then(Value::as_str),
                sample.case.as_deref()
            );
            assert!(event["data"].is_object());
            assert!(!sample.event.contains("{某"));
        }
    }

    #[test]
    fn the_units_can_be_fixed() {
        let options = Options {
            start: START,
            from: Some(parsed("hebi.tobacco")),
            to: Some(parsed("hebi.police")),
        };
        for sample in Generator::with(4, options).take(100) {
            assert_eq!(sample.from.as_str(), "hebi.tobacco");
            assert_eq!(sample.to.as_str(), "hebi.police");
        }
    }
}
