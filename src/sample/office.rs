//! Messages that belong to no case: notices, consultations, the forum, information, statistics, leads.

use serde_json::{Value, json};

use super::{
    dice::Dice,
    moment::{DAY, Moment},
    phrase::{Subject, numeral, official, person},
    places::{AGENCIES, LEAD, POLICE, PROCURATORATE, Place},
    stock::section,
};

/// What a message outside any case needs to be posted.
pub(super) struct Paper {
    pub(super) kind: &'static str,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) subject: String,
    pub(super) data: Value,
}

/// The kinds of this module, with how often each comes.
const SHARES: &[(&str, u64)] = &[
    ("enforcement.info", 18),
    ("consultation.question", 14),
    ("consultation.reply", 14),
    ("notice", 14),
    ("forum.theme", 9),
    ("forum.reply", 9),
    ("statistics.monthly", 7),
    ("directive", 3),
    ("report", 3),
    ("exchange", 3),
    ("supervision.special", 2),
    ("dutycrime.lead", 2),
    ("discipline.lead", 2),
];

pub(super) fn any(dice: &mut Dice, place: Place, at: Moment) -> Paper {
    let total: u64 = SHARES.iter().map(|(_, share)| share).sum();
    let mut roll = dice.below(total);
    let kind = SHARES
        .iter()
        .find(|(_, share)| {
            let here = roll < *share;
            roll = roll.saturating_sub(*share);
            here
        })
        .map_or("notice", |(kind, _)| kind);
    let desk = Desk {
        place,
        at,
        agency: dice.pick(AGENCIES).number,
        subject: Subject::any(dice, place, at),
        number: dice.between(100_000, 280_000_000),
    };
    match kind {
        "enforcement.info" => desk.info(dice),
        "consultation.question" => desk.question(dice),
        "consultation.reply" => desk.reply(dice),
        "forum.theme" => desk.theme(dice),
        "forum.reply" => desk.comment(dice),
        "statistics.monthly" => desk.statistics(dice),
        "notice" => desk.notice(dice),
        other => desk.letter(dice, other),
    }
}

/// Who writes, where and when.
struct Desk {
    place: Place,
    at: Moment,
    agency: u32,
    subject: Subject,
    number: u64,
}

impl Desk {
    fn org(&self, number: u32) -> Value {
        json!({"orgCode": self.place.org_code(number), "orgName": self.place.org_name(number)})
    }

    fn paper(&self, kind: &'static str, from: u32, to: u32, stem: &str, data: Value) -> Paper {
        let subject = format!("{stem}/{}", self.number);
        Paper {
            kind,
            from,
            to,
            subject,
            data,
        }
    }

    fn info(&self, dice: &mut Dice) -> Paper {
        let (number, name) = *dice.pick(&[
            (1, "联席会议"),
            (2, "典型案例"),
            (3, "媒体报道"),
            (4, "工作动态"),
            (5, "经验交流"),
            (6, "法规政策"),
        ]);
        let count = dice.between(2, 5) as usize;
        let content = self.subject.say_many(dice, "信息", count);
        let title: String = content
            .chars()
            .take(dice.between(14, 40) as usize)
            .collect();
        let data = json!({
            "infoId": self.number.to_string(),
            "typeId": number,
            "typeName": name,
            "title": title,
            "content": content,
            "user": official(dice),
            "org": self.org(self.agency),
            "createTime": self.at.minute(),
            "source": *dice.pick(&["转载", "本单位"]),
        });
        self.paper(
            "enforcement.info",
            self.agency,
            PROCURATORATE,
            "zhifa",
            data,
        )
    }

    fn question(&self, dice: &mut Dice) -> Paper {
        let mut content = self.subject.say(dice, "问题");
        if dice.chance(40) {
            content = self.subject.say_many(dice, "公安", 2) + &content;
        }
        let mut data = json!({
            "consultationId": self.number,
            "state": 1,
            "title": *dice.pick(&["关于案件定性的咨询", "关于证据标准的咨询", "移送程序问题请教", "关于涉案物品处置的咨询", "法律适用问题"]),
            "content": content,
            "inputer": official(dice),
            "inputOrg": self.org(self.agency),
            "inputTime": self.at.minute(),
            "participants": [self.place.org_code(PROCURATORATE), self.place.org_code(POLICE)],
            "setTop": 0,
        });
        if dice.chance(40) {
            data["caseNo"] = format!(
                "{}市监案〔{}〕{}号",
                self.place.short(),
                self.at.year(),
                dice.between(1, 9)
            )
            .into();
        }
        self.paper(
            "consultation.question",
            self.agency,
            PROCURATORATE,
            "consult",
            data,
        )
    }

    fn reply(&self, dice: &mut Dice) -> Paper {
        let count = dice.between(2, 5) as usize;
        let data = json!({
            "consultationId": self.number,
            "contentId": self.number + 1,
            "user": official(dice),
            "org": self.org(PROCURATORATE),
            "participateTime": self.at.minute(),
            "content": self.subject.say_many(dice, "答复", count),
            "readState": [{"orgCode": self.place.org_code(self.agency), "state": dice.between(1, 2)}],
        });
        self.paper(
            "consultation.reply",
            PROCURATORATE,
            self.agency,
            "consult",
            data,
        )
    }

    fn theme(&self, dice: &mut Dice) -> Paper {
        let label = *dice.pick(&[
            "行刑衔接",
            "证据标准",
            "办案程序",
            "法律适用",
            "劳动争议",
            "医疗纠纷",
        ]);
        let section = *dice.pick(&["论坛", "问题", "公安"]);
        let data = json!({
            "themeId": self.number,
            "sectionId": dice.between(1, 6),
            "name": format!("{label}问题请教"),
            "content": self.subject.say(dice, section),
            "label": label,
            "inputer": official(dice),
            "inputOrg": self.org(self.agency),
            "createTime": self.at.minute(),
            "readCount": dice.between(0, 400),
            "replyCount": 0,
            "setTop": 0,
            "state": 1,
        });
        self.paper("forum.theme", self.agency, PROCURATORATE, "forum", data)
    }

    fn comment(&self, dice: &mut Dice) -> Paper {
        let data = json!({
            "replyId": self.number + dice.between(100, 90_000_000),
            "themeId": self.number,
            "sectionId": dice.between(1, 6),
            "inputer": official(dice),
            "inputerName": official(dice),
            "replyTime": self.at.minute(),
            "content": self.subject.say(dice, "论坛"),
            "state": 1,
        });
        self.paper("forum.reply", self.agency, PROCURATORATE, "forum", data)
    }

    fn statistics(&self, dice: &mut Dice) -> Paper {
        let charges = section("罪名");
        let start = dice.below(charges.len() as u64) as usize;
        let count = dice.between(8, 30) as usize;
        let rows: Vec<Value> = (0..count)
            .map(|i| {
                let mut counted = |most: u64| json!({"ajs": dice.below(most).saturating_sub(2), "rs": dice.below(most)});
                json!({
                    "zmmc": charges[(start + i * 7) % charges.len()],
                    "xzjgYs": counted(6),
                    "gajgLa": counted(5),
                    "pzdb": counted(3),
                    "tqgs": counted(4),
                    "yzpj": counted(3),
                })
            })
            .collect();
        let by_industry: Vec<Value> = AGENCIES
            .iter()
            .map(|agency| {
                json!({
                    "industryType": agency.name,
                    "luru": dice.below(60),
                    "yisong": dice.below(13),
                    "chufa": dice.below(60),
                })
            })
            .collect();
        let data = json!({
            "regionId": self.place.code.to_string(),
            "period": self.at.minus(20 * DAY).month(),
            "inputDate": self.at.date(),
            "user": official(dice),
            "rows": rows,
            "total": {"ajs": dice.between(8, 40), "rs": dice.between(30, 120)},
            "byIndustry": by_industry,
        });
        let subject = format!(
            "stat/{}/{}",
            self.place.code,
            self.at.month().replace('-', "")
        );
        Paper {
            kind: "statistics.monthly",
            from: PROCURATORATE,
            to: LEAD,
            subject,
            data,
        }
    }

    fn notice(&self, dice: &mut Dice) -> Paper {
        let topic = *dice.pick(section("主题"));
        let whole = dice.chance(65);
        let title = if whole {
            format!("关于印发《{topic}管理条例》的通知")
        } else {
            format!("关于开展{topic}领域专项检查的通知")
        };
        let mut content = self.subject.say(dice, "转发");
        content.push('\n');
        if whole {
            content.push_str(&self.regulation(dice, topic));
        } else {
            content.push_str(&self.subject.say_many(dice, "要求", 5));
            content.push_str(&self.subject.say_many(dice, "信息", 3));
        }
        content.push_str("特此通知。");
        let data = json!({
            "noticeId": self.number,
            "noticeLevel": dice.between(1, 3),
            "noticeTitle": title,
            "noticeContent": content,
            "noticeCreater": official(dice),
            "noticeTime": self.at.minute(),
            "isPublic": dice.below(2),
            "receiveOrgs": [self.place.org_code(self.agency), self.place.org_code(POLICE)],
            "attachments": [{
                "name": format!("{topic}管理条例.pdf"),
                "bytes": dice.between(60_000, 600_000),
                "sha256": dice.hex(64),
            }],
        });
        self.paper("notice", PROCURATORATE, LEAD, "notice", data)
    }

    /// A made-up regulation: its articles are numbered through, its chapters are the sections of the stock.
    fn regulation(&self, dice: &mut Dice, topic: &str) -> String {
        let mut text = format!(
            "# {topic}管理条例\n{}公布\n",
            self.at.minus(900 * DAY).chinese_date()
        );
        let mut article = 0;
        let chapters = section("章");
        let rounds = if dice.chance(12) { 3 } else { 1 };
        for (chapter, provisions) in ["总则", "许可", "义务", "监督", "责任", "附则"]
            .into_iter()
            .enumerate()
        {
            text.push_str(chapters[chapter]);
            text.push('\n');
            for _ in 0..rounds {
                for provision in section(provisions) {
                    if provision.starts_with('第') && dice.chance(if rounds > 1 { 10 } else { 45 })
                    {
                        continue;
                    }
                    if provision.starts_with('第') {
                        article += 1;
                    }
                    let provision = provision
                        .replace("{几}", &numeral(article))
                        .replace("{题}", topic);
                    text.push_str(&self.subject.fill(dice, &provision));
                    text.push('\n');
                }
            }
        }
        text
    }

    fn letter(&self, dice: &mut Dice, kind: &'static str) -> Paper {
        let (from, to, key, title) = match kind {
            "directive" => (
                LEAD,
                self.agency,
                "directiveId",
                "关于抓紧办理案件的工作指令",
            ),
            "report" => (self.agency, LEAD, "reportId", "关于案件办理情况的报告"),
            "exchange" => (
                self.agency,
                POLICE,
                "exchangeId",
                "关于协助调查有关情况的函",
            ),
            "supervision.special" => (PROCURATORATE, self.agency, "specialId", "专项监督活动情况"),
            "dutycrime.lead" => (self.agency, PROCURATORATE, "leadId", "职务犯罪线索移送"),
            _ => (self.agency, LEAD, "leadId", "违纪线索移送"),
        };
        let topic = match kind {
            "directive" => "要求",
            "report" => "汇报",
            "exchange" => "函件",
            "supervision.special" => "专项",
            "dutycrime.lead" => "职务犯罪",
            _ => "违纪",
        };
        let count = dice.between(2, 5) as usize;
        let data = json!({
            key: self.number,
            "title": title,
            "docNo": format!("{}〔{}〕{}号", self.place.short(), self.at.year(), dice.between(1, 200)),
            "content": self.subject.say_many(dice, topic, count),
            "inputer": person(dice),
            "inputOrg": self.org(from),
            "targetOrg": self.org(to),
            "createTime": self.at.minute(),
            "replyDue": self.at.plus(7 * DAY).rfc3339(),
        });
        self.paper(kind, from, to, "doc", data)
    }
}
