//! Fragments of the stock with their blanks filled in.

use super::{dice::Dice, moment::Moment, places::Place, stock::section};

const SURNAMES: &[&str] = &[
    "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林",
    "何", "郭", "马", "罗", "梁", "宋", "郑", "谢", "韩", "唐", "冯", "于", "董", "萧", "程", "曹",
    "袁", "邓", "许", "傅", "沈", "曾", "彭", "吕", "苏", "卢", "蒋", "蔡", "贾", "丁", "魏", "薛",
    "叶", "阎",
];

const NUMERALS: [&str; 10] = ["", "一", "二", "三", "四", "五", "六", "七", "八", "九"];

/// The people, the sum and the charge that the fragments of one document share.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) place: Place,
    pub(super) person: String,
    pub(super) other: String,
    pub(super) company: String,
    pub(super) goods: &'static str,
    pub(super) charge: &'static str,
    pub(super) amount: u64,
    pub(super) at: Moment,
}

/// An official's name, masked: `张某`.
pub(super) fn official(dice: &mut Dice) -> String {
    format!("{}某", dice.pick(SURNAMES))
}

/// A person's name, masked as published documents mask it: `张某某`, `张某甲`, `张某1`.
pub(super) fn person(dice: &mut Dice) -> String {
    let surname = dice.pick(SURNAMES);
    let tail = *dice.pick(&[
        "某", "某", "某某", "某某", "某甲", "某乙", "某1", "某2", "XX",
    ]);
    format!("{surname}{tail}")
}

/// A number in Chinese, 1 to 999: `三百三十八`.
pub(super) fn numeral(n: u64) -> String {
    let (hundreds, tens, ones) = (
        (n / 100 % 10) as usize,
        (n / 10 % 10) as usize,
        (n % 10) as usize,
    );
    let mut text = String::new();
    if hundreds > 0 {
        text.push_str(NUMERALS[hundreds]);
        text.push('百');
        if tens == 0 && ones > 0 {
            text.push('零');
        }
    }
    if tens > 0 {
        if tens > 1 || hundreds > 0 {
            text.push_str(NUMERALS[tens]);
        }
        text.push('十');
    }
    text.push_str(NUMERALS[ones]);
    text
}

/// A sum of money as cases have them: many small, few large, some with cents.
pub(super) fn amount(dice: &mut Dice) -> u64 {
    let scale = *dice.pick(&[100, 1_000, 1_000, 10_000, 10_000, 100_000]);
    dice.between(1, 99) * scale
        + if dice.chance(30) {
            dice.below(scale)
        } else {
            0
        }
}

impl Subject {
    pub(super) fn any(dice: &mut Dice, place: Place, at: Moment) -> Self {
        Self {
            place,
            person: person(dice),
            other: person(dice),
            company: format!("{}某{}", place.name(), *dice.pick(section("企业"))),
            goods: dice.word(section("物品")),
            charge: dice.word(section("罪名")),
            amount: amount(dice),
            at,
        }
    }

    /// A fragment of a section, filled in.
    pub(super) fn say(&self, dice: &mut Dice, name: &str) -> String {
        let fragment = dice.pick(section(name));
        self.fill(dice, fragment)
    }

    /// Fragments of a section, in a row, each at most once.
    pub(super) fn say_many(&self, dice: &mut Dice, name: &str, count: usize) -> String {
        let fragments = section(name);
        let start = dice.below(fragments.len() as u64) as usize;
        (0..count.min(fragments.len()))
            .map(|i| self.fill(dice, fragments[(start + i) % fragments.len()]))
            .collect()
    }

    /// Fills the blanks of a fragment.
    pub(super) fn fill(&self, dice: &mut Dice, fragment: &str) -> String {
        let mut text = String::with_capacity(fragment.len() + 32);
        let mut rest = fragment;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let (blank, after) = after
                .split_once('}')
                .unwrap_or_else(|| unreachable!("a blank is not closed: {fragment}"));
            text.push_str(&self.blank(dice, blank));
            rest = after;
        }
        text.push_str(rest);
        text
    }

    fn blank(&self, dice: &mut Dice, blank: &str) -> String {
        let past = self.at.minus(dice.between(1, 900) * super::moment::DAY);
        match blank {
            "某" => self.person.clone(),
            "某2" => self.other.clone(),
            "公司" => self.company.clone(),
            "物" => self.goods.to_owned(),
            "罪" => self.charge.to_owned(),
            "地" => self.place.name(),
            "局" => {
                let agency = dice.pick(super::places::AGENCIES);
                self.place.org_name(agency.number)
            }
            "元" => match dice.below(3) {
                0 => self.amount.to_string(),
                _ => amount(dice).to_string(),
            },
            "数" => dice.between(2, 60).to_string(),
            "几" => numeral(dice.between(1, 89)),
            "条" => format!("第{}条", numeral(dice.between(20, 420))),
            "法" => (*dice.pick(section("法律"))).to_owned(),
            "题" => (*dice.pick(section("主题"))).to_owned(),
            "日" => past.chinese_date(),
            "年" => format!("{}年", past.year()),
            "年份" => past.year().to_string(),
            "生" => self
                .at
                .minus(dice.between(7_000, 22_000) * super::moment::DAY)
                .chinese_date(),
            "月" => format!("{}月", dice.between(1, 12)),
            "时" => format!("{}时", dice.between(0, 23)),
            other => unreachable!("the stock has an unknown blank {other}"),
        }
    }
}
