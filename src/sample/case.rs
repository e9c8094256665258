//! A case's own data and the papers that its messages carry.

use serde_json::{Value, json};

use super::{
    dice::Dice,
    moment::{DAY, HOUR, Moment},
    phrase::{Subject, numeral, official, person},
    places::{AGENCIES, Agency, COURT, POLICE, PROCURATORATE, Place, charges},
    stock::section,
};

/// One case: who opened it, and how it is called.
pub(super) struct Case {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) agency: &'static Agency,
    pub(super) subject: Subject,
    /// The section of the stock that it is told from.
    facts: &'static str,
    short: String,
    ordinal: u64,
    detail: String,
}

/// The steps of the platforms' flow: the state's number and its name.
pub(super) type Step = (u32, &'static str);

pub(super) const ACCEPTED: Step = (0, "行政受理");
pub(super) const OPENED: Step = (1, "行政立案");
pub(super) const PENALTY: Step = (2, "行政处罚");
pub(super) const INVESTIGATING: Step = (8, "行政机关补充调查");
pub(super) const TRANSFERRED: Step = (10, "已移送，等待公安受理");
pub(super) const REASONS_ASKED: Step = (13, "要求公安说明不立案理由");
pub(super) const FILED: Step = (14, "公安立案");
pub(super) const REASONS_GIVEN: Step = (15, "公安说明不（予）立案理由");
pub(super) const FILING_ORDERED: Step = (16, "通知公安立案");
pub(super) const ARREST_ASKED: Step = (17, "提请逮捕，待审查");
pub(super) const ARRESTED: Step = (18, "审查逮捕，待移送起诉");
pub(super) const PROSECUTION: Step = (19, "移送起诉，待审查");
pub(super) const CHARGED: Step = (20, "提起公诉，待判决");
pub(super) const JUDGED: Step = (22, "法院判决，已结案");
pub(super) const CLOSED: Step = (29, "已作出行政处罚，已结案");

impl Case {
    pub(super) fn open(dice: &mut Dice, at: Moment) -> Self {
        let place = Place::any(dice);
        let agency = dice.pick(AGENCIES);
        let facts = if dice.chance(65) {
            agency.facts
        } else {
            *dice.pick(&["公安", "公安", "职务犯罪"])
        };
        let subject = Subject {
            charge: dice.word(charges(facts)),
            ..Subject::any(dice, place, at)
        };
        let ordinal = dice.between(1, 9);
        let telling = dice.between(2, 6) as usize;
        let opening = subject.say(dice, "起首");
        let detail = opening + &subject.say_many(dice, facts, telling);
        Self {
            id: format!(
                "{}{}{:03}{ordinal:04}",
                place.code,
                at.compact_date(),
                agency.number * 10
            ),
            place,
            agency,
            facts,
            short: format!("{}{}", place.short(), agency.mark),
            ordinal,
            subject,
            detail,
        }
    }

    /// The number that people know it by, `浚市监案〔2024〕3号`.
    pub(super) fn number(&self) -> String {
        self.paper("案")
    }

    fn paper(&self, letter: &str) -> String {
        format!(
            "{}{letter}〔{}〕{}号",
            self.short,
            self.subject.at.year(),
            self.ordinal
        )
    }

    fn name(&self) -> String {
        format!(
            "{}涉嫌{}案",
            self.subject.person,
            self.subject.charge.trim_end_matches('罪')
        )
    }

    pub(super) fn org(&self, number: u32) -> Value {
        json!({"orgCode": self.place.org_code(number), "orgName": self.place.org_name(number)})
    }

    fn full_org(&self, number: u32) -> Value {
        let kind = match number {
            PROCURATORATE => "2",
            POLICE => "3",
            COURT => "4",
            _ => "1",
        };
        json!({
            "orgCode": self.place.org_code(number),
            "orgName": self.place.org_name(number),
            "orgType": kind,
            "districtCode": self.place.code.to_string(),
        })
    }

    fn excerpt(&self, chars: u64) -> String {
        self.detail.chars().take(chars as usize).collect()
    }

    pub(super) fn step(&self, dice: &mut Dice, at: Moment, ordinal: u64, step: Step) -> Value {
        let (state, name) = step;
        let holder = match state {
            0..=8 | 29 => self.agency.number,
            10 | 14 | 15 | 18 => POLICE,
            22 => COURT,
            _ => PROCURATORATE,
        };
        let start = at.minus(dice.between(1, 72) * HOUR);
        let mut data = json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "stepId": ordinal,
            "stepName": name,
            "caseState": state.to_string(),
            "startDate": start.minute(),
            "endDate": at.minute(),
            "assignPerson": official(dice),
            "assignOrg": self.org(holder),
            "taskActionName": *dice.pick(&["签收", "提交", "审核通过", "同意", "退回", "转办"]),
            "memo": self.subject.say(dice, "备注"),
        });
        if state >= 10 && dice.chance(70) {
            let to = if holder == POLICE {
                PROCURATORATE
            } else {
                POLICE
            };
            data["targetOrg"] = self.full_org(to);
        }
        if dice.chance(13) {
            let chars = dice.between(40, 160);
            data["caseDetailName"] = self.excerpt(chars).into();
        }
        data
    }

    pub(super) fn transfer(&self, dice: &mut Dice, at: Moment) -> Value {
        let mut data = json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "caseName": self.name(),
            "procKey": "crimeProc",
            "caseState": "10",
            "yisongNo": self.paper("移"),
            "yisongTime": at.minute(),
            "transferUnit": self.full_org(self.agency.number),
            "acceptUnit": self.full_org(POLICE),
            "copyUnit": self.org(PROCURATORATE),
            "recordSrc": *dice.pick(&["群众举报", "日常检查", "双随机抽查", "上级交办", "其他机关移送", "市长热线转办"]),
            "inputType": dice.between(1, 3),
            "anfaTime": if dice.chance(70) { Value::from(at.minus(dice.between(90, 900) * DAY).date()) } else { Value::Null },
            "anfaAddress": self.place.name(),
            "charge": [self.subject.charge],
            "statute": self.statutes(dice),
            "amountInvolved": self.subject.amount as f64,
            "isSuspectedCriminal": 1,
            "parties": self.parties(dice),
            "companies": if dice.chance(35) { json!([{"name": self.subject.company}]) } else { json!([]) },
            "caseDetail": self.full_detail(dice),
        });
        if dice.chance(50) {
            data["surveyReport"] = format!(
                "{}涉嫌犯罪案件情况的调查报告\n案件来源：{}\n{}\n{}",
                self.name(),
                *dice.pick(&["群众举报", "日常检查", "上级交办"]),
                self.excerpt(120),
                self.subject.say(dice, "建议"),
            )
            .into();
        }
        let count = dice.between(2, 6);
        data["materials"] = materials(dice, count);
        data["undertaker"] = official(dice).into();
        data["undertakerSuggest"] = self.subject.say(dice, "建议").into();
        data["approver"] = official(dice).into();
        data["deadlines"] = json!([
            deadline("transfer", "第五条", 24, at),
            deadline("review", "第八条", 72, at),
        ]);
        data
    }

    fn full_detail(&self, dice: &mut Dice) -> String {
        let evidence = dice.between(2, 5) as usize;
        let mut text = self.detail.clone();
        if dice.chance(40) {
            text.push('\n');
            text.push_str(&self.subject.say_many(dice, "公安", 4));
        }
        text.push('\n');
        text.push_str(&self.subject.say_many(dice, "证据", evidence));
        text
    }

    fn statutes(&self, dice: &mut Dice) -> Value {
        if dice.chance(25) {
            return json!([]);
        }
        json!([{
            "law": "中华人民共和国刑法",
            "article": format!("第{}条", numeral(dice.between(140, 420))),
            "text": strip_article(&self.subject.say(dice, "责任")),
        }])
    }

    fn parties(&self, dice: &mut Dice) -> Value {
        let mut party = json!({
            "name": self.subject.person,
            "sex": *dice.pick(&["男", "男", "女"]),
            "nation": *dice.pick(&["汉族", "汉族", "汉族", "汉族", "回族", "满族"]),
            "education": *dice.pick(&["小学", "初中", "高中", "中专", "大专", "本科"]),
        });
        if dice.chance(40) {
            party["profession"] = (*dice.pick(section("职业"))).into();
        }
        json!([party])
    }

    pub(super) fn receipt(&self, dice: &mut Dice, at: Moment) -> Value {
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "yisongNo": self.paper("移"),
            "receiptNo": format!("{}{}{:02}{:02}", self.place.org_code(POLICE), at.compact_date(), dice.below(24), dice.below(60)),
            "acceptTime": at.minute(),
            "acceptUnit": self.org(POLICE),
            "acceptPerson": official(dice),
            "result": if dice.chance(85) { "已签收" } else { "材料不全，补正" },
            "digest": format!("sha256:{}", dice.hex(64)),
        })
    }

    pub(super) fn filing(&self, dice: &mut Dice, at: Moment, filed: bool) -> Value {
        let chars = dice.between(120, 500);
        let letters = if filed { "立字" } else { "不立字" };
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "caseName": self.name(),
            "lianState": if filed { 3 } else { 2 },
            "lianNo": format!("{}公（{}）{letters}〔{}〕{}号", self.place.short(), dice.pick(&["刑", "经", "治", "食药环"]), at.year(), dice.between(10_000, 19_999)),
            "lianTime": at.minute(),
            "decideUnit": self.full_org(POLICE),
            "notifyUnit": self.org(self.agency.number),
            "copyUnit": self.org(PROCURATORATE),
            "charge": [self.subject.charge],
            "statute": if dice.chance(70) {
                json!([{"law": "中华人民共和国刑法", "article": format!("第{}条", numeral(dice.between(140, 420)))}])
            } else {
                json!([])
            },
            "amountInvolved": self.subject.amount as f64,
            "caseDetailName": self.excerpt(chars),
            "reason": self.filing_reason(dice, filed),
            "undertaker": official(dice),
            "deadline": if filed { deadline("handover", "第十二条", 72, at) } else { deadline("review2", "第九条", 72, at) },
        })
    }

    fn filing_reason(&self, dice: &mut Dice, filed: bool) -> String {
        let reasons = section("立案");
        // The first two of the section are for filing, the rest against it.
        let (yes, no) = reasons.split_at(2);
        self.subject.fill(dice, if filed { yes[0] } else { no[0] })
    }

    pub(super) fn supervision(&self, dice: &mut Dice, at: Moment, order: bool) -> Value {
        let chars = dice.between(40, 120);
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "supType": if order { 2 } else { 1 },
            "supTypeName": if order { "通知公安立案" } else { "要求说明不立案理由" },
            "docNo": format!("{}检{}〔{}〕{}号", self.place.short(), if order { "通立" } else { "不立通" }, at.year(), dice.between(1, 120)),
            "to": self.org(POLICE),
            "reason": self.subject.say(dice, "监督"),
            "caseDetailName": self.excerpt(chars),
            "replyDue": at.plus(7 * DAY).rfc3339(),
        })
    }

    pub(super) fn material(&self, dice: &mut Dice, batch: u64) -> Value {
        let count = dice.between(1, 5);
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "procKey": if dice.chance(75) { "crimeProc" } else { "chufaProc" },
            "batch": batch,
            "transferMode": if dice.chance(80) { "online" } else { "offline-media" },
            "materials": materials(dice, count),
            "receiver": self.org(POLICE),
        })
    }

    pub(super) fn penalty(&self, dice: &mut Dice, at: Moment) -> Value {
        let fine = dice.between(1, 50) * *dice.pick(&[100, 1_000, 10_000]);
        let evidence = dice.between(2, 6) as usize;
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "caseName": format!("{}{}案", self.subject.person, self.subject.charge.trim_end_matches('罪')),
            "penaltyFileNo": self.paper("罚"),
            "chufaTime": at.minute(),
            "chufaTimes": 1,
            "undertaker": official(dice),
            "unit": self.full_org(self.agency.number),
            "parties": self.parties(dice),
            "companies": [],
            "penaltyContent": self.subject.say_many(dice, self.agency.facts, 3) + &self.subject.say_many(dice, "处罚", 2),
            "evidence": (1..=evidence).map(|no| json!({"no": no, "name": document(dice)})).collect::<Vec<_>>(),
            "chufaBasis": [{
                "law": *dice.pick(section("法律")),
                "article": format!("第{}条", numeral(dice.between(20, 120))),
                "text": strip_article(&self.subject.say(dice, "责任")),
            }],
            "chufaType": [*dice.pick(&["警告", "没收违法所得", "没收非法财物", "责令停产停业", "吊销许可证件", "罚款"]), "罚款"],
            "fineAmount": fine,
            "amountInvolved": if dice.chance(60) { Value::from(self.subject.amount as f64) } else { Value::Null },
            "isDiscuss": dice.chance(30),
            "isSeriousCase": dice.chance(15),
            "isBeyondEighty": dice.chance(25),
            "isIdentify": dice.chance(80),
            "chufaResult": format!("没收违法所得；罚款人民币{fine}元，上缴国库。"),
            "remedy": self.subject.fill(dice, "如不服本决定，可以在收到之日起六十日内依法申请行政复议，或者在六个月内向人民法院提起行政诉讼。"),
            "remark": null,
        })
    }

    pub(super) fn approval(&self, dice: &mut Dice, at: Moment) -> Value {
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "procKey": "chufaProc",
            "approveTime": at.minute(),
            "approver": official(dice),
            "approveUnit": self.full_org(self.agency.number),
            "taskActionName": *dice.pick(&["同意", "审核通过", "退回"]),
            "opinion": self.subject.say(dice, "建议"),
        })
    }

    pub(super) fn judgment(&self, dice: &mut Dice, at: Moment) -> Value {
        let rounds = dice.between(2, 9) as usize;
        let mut text = format!(
            "{}{}一审刑事判决书{}人民法院刑事判决书（{}）刑初字第{}号",
            self.subject.person,
            self.subject.charge.trim_end_matches('罪'),
            self.place.name(),
            at.year(),
            dice.between(1, 400),
        );
        text.push_str(
            &self
                .subject
                .say_many(dice, "判决", 11)
                .replace("附：", "\n附："),
        );
        text.push_str(&self.detail);
        for _ in 0..rounds {
            let other = Subject {
                person: person(dice),
                other: person(dice),
                ..self.subject.clone()
            };
            let topic = *dice.pick(&[self.facts, self.facts, self.agency.facts]);
            text.push_str(&other.say_many(dice, topic, 4));
            text.push_str(&other.say_many(dice, "证据", 6));
            text.push_str(&other.say_many(dice, "认为", 5));
        }
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "docType": *dice.pick(&["刑事判决书", "刑事判决书", "刑事裁定书"]),
            "judgeTime": at.date(),
            "court": self.full_org(COURT),
            "copyUnit": [self.place.org_code(self.agency.number), self.place.org_code(PROCURATORATE), self.place.org_code(POLICE)],
            "fact": self.full_detail(dice),
            "fullText": text,
        })
    }

    pub(super) fn deadline_warning(&self, dice: &mut Dice, at: Moment, step: Step) -> Value {
        let (state, name) = step;
        let hours = *dice.pick(&[2, 4, 6, 12, 24, 48, 72]);
        let stay = dice.chance(50);
        let mut data = json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "warnType": if stay { 3 } else { 1 },
            "procStep": state.to_string(),
            "procStepName": name,
        });
        data["judgeCol"] = if stay { "STAY_DAYS" } else { "LEFT_HOURS" }.into();
        data["judgeType"] = ">=".into();
        data["judgeValue"] = hours.to_string().into();
        let due = at.plus(hours * HOUR);
        data["dueTime"] = due.rfc3339().into();
        data["overdue"] = dice.chance(20).into();
        data["receiveOrg"] = self.org(if state >= 10 {
            POLICE
        } else {
            self.agency.number
        });
        data["copyTo"] = json!([self.place.org_code(PROCURATORATE)]);
        data["message"] = self.warning_text(dice, name, due);
        data
    }

    fn warning_text(&self, dice: &mut Dice, step: &str, due: Moment) -> Value {
        // The last two of the section speak of sums and of prior records.
        let fragments = section("告警");
        let fragment = *dice.pick(&fragments[..fragments.len() - 2]);
        let fragment = fragment
            .replace("{案}", &self.number())
            .replace("{步}", step)
            .replace("{日}{时}", &due.minute())
            .replace("{局}", &self.place.org_name(self.agency.number));
        self.subject.fill(dice, &fragment).into()
    }

    pub(super) fn amount_warning(&self, dice: &mut Dice) -> Value {
        self.other_warning(dice, 4, "AMOUNT_PERCENT", "80", 2)
    }

    pub(super) fn history_warning(&self, dice: &mut Dice) -> Value {
        self.other_warning(dice, 5, "PRIOR_COUNT", "2", 1)
    }

    fn other_warning(
        &self,
        dice: &mut Dice,
        kind: u32,
        column: &str,
        value: &str,
        from_end: usize,
    ) -> Value {
        let fragments = section("告警");
        let fragment = fragments[fragments.len() - from_end]
            .replace("{元}", &self.subject.amount.to_string())
            .replace("{数}", &dice.between(2, 4).to_string());
        json!({
            "caseId": self.id,
            "caseNo": self.number(),
            "warnType": kind,
            "judgeCol": column,
            "judgeType": ">=",
            "judgeValue": value,
            "amountInvolved": self.subject.amount as f64,
            "receiveOrg": self.org(self.agency.number),
            "copyTo": [self.place.org_code(PROCURATORATE)],
            "message": self.subject.fill(dice, &fragment),
        })
    }
}

/// A provision without its number.
fn strip_article(provision: &str) -> String {
    provision
        .split_once('　')
        .map_or(provision, |(_, text)| text)
        .to_owned()
}

fn document(dice: &mut Dice) -> &'static str {
    let name = dice.pick(section("材料"));
    name.split_once('.').map_or(*name, |(stem, _)| stem)
}

fn materials(dice: &mut Dice, count: u64) -> Value {
    let materials = (0..count).map(|_| {
        let name = *dice.pick(section("材料"));
        let media = match name.rsplit_once('.') {
            Some((_, "jpg")) => "image/jpeg",
            Some((_, "docx")) => {
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            }
            _ => "application/pdf",
        };
        json!({
            "attachmentId": dice.between(10_000_000, 4_200_000_000),
            "name": name,
            "mediaType": media,
            "bytes": dice.between(40_000, 900_000),
            "pages": dice.between(1, 9),
            "sha256": dice.hex(64),
        })
    });
    materials.collect()
}

/// A clock of the State Council's Decree 310.
fn deadline(rule: &str, article: &str, hours: u64, at: Moment) -> Value {
    json!({
        "rule": rule,
        "basis": format!("行政执法机关移送涉嫌犯罪案件的规定{article}"),
        "hours": hours,
        "due": at.plus(hours * HOUR).rfc3339(),
    })
}
