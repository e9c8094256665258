//! Who takes part: cities, their districts with the codes of GB/T 2260, and the agencies with their numbers.

use super::dice::Dice;

/// A city of the field: the first segment of its units' names, its name, and its districts, the city itself first.
pub(super) struct City {
    pub(super) unit: &'static str,
    pub(super) name: &'static str,
    pub(super) districts: &'static [(u32, &'static str)],
}

pub(super) const CITIES: &[City] = &[
    City {
        unit: "hebi",
        name: "鹤壁市",
        districts: &[
            (410600, ""),
            (410602, "鹤山区"),
            (410603, "山城区"),
            (410611, "淇滨区"),
            (410621, "浚县"),
            (410622, "淇县"),
        ],
    },
    City {
        unit: "jiyuan",
        name: "济源市",
        districts: &[(419001, "")],
    },
    City {
        unit: "xuchang",
        name: "许昌市",
        districts: &[
            (411000, ""),
            (411002, "魏都区"),
            (411003, "建安区"),
            (411024, "鄢陵县"),
            (411025, "襄城县"),
            (411081, "禹州市"),
            (411082, "长葛市"),
        ],
    },
    City {
        unit: "sjz",
        name: "石家庄市",
        districts: &[
            (130100, ""),
            (130102, "长安区"),
            (130104, "桥西区"),
            (130105, "新华区"),
            (130108, "裕华区"),
            (130109, "藁城区"),
            (130110, "鹿泉区"),
            (130111, "栾城区"),
            (130121, "井陉县"),
            (130123, "正定县"),
            (130125, "行唐县"),
            (130126, "灵寿县"),
            (130127, "高邑县"),
            (130131, "平山县"),
            (130132, "元氏县"),
            (130133, "赵县"),
            (130181, "辛集市"),
            (130183, "晋州市"),
            (130184, "新乐市"),
        ],
    },
];

/// An agency: its number, its name, its mark in case numbers, and the sections of the stock that its cases are told from.
pub(super) struct Agency {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) mark: &'static str,
    pub(super) facts: &'static str,
}

const fn agency(
    number: u32,
    name: &'static str,
    mark: &'static str,
    facts: &'static str,
) -> Agency {
    Agency {
        number,
        name,
        mark,
        facts,
    }
}

pub(super) const AGENCIES: &[Agency] = &[
    agency(31, "市场监督管理局", "市监", "市场监管"),
    agency(31, "市场监督管理局", "市监", "食品药品"),
    agency(45, "烟草专卖局", "烟", "烟草"),
    agency(24, "税务局", "税稽", "税务"),
    agency(18, "自然资源和规划局", "自然资", "自然资源"),
    agency(20, "生态环境局", "环", "生态环境"),
    agency(28, "卫生健康委员会", "卫", "卫生"),
    agency(19, "林业局", "林", "林业"),
    agency(26, "农业农村局", "农", "农业"),
    agency(22, "交通运输局", "交", "交通"),
    agency(23, "住房和城乡建设局", "住建", "住房建设"),
    agency(21, "人力资源和社会保障局", "人社", "人社"),
    agency(51, "金融工作局", "金", "金融"),
    agency(27, "文化广电和旅游局", "文", "文化"),
    agency(29, "应急管理局", "应急", "应急"),
    agency(25, "城市管理局", "城管", "城管"),
];

/// The lead unit's office, the procuratorate, the police and the court: numbers 001 to 004 in every district.
pub(super) const LEAD: u32 = 1;
pub(super) const PROCURATORATE: u32 = 2;
pub(super) const POLICE: u32 = 3;
pub(super) const COURT: u32 = 4;

/// A city or a district in which something happens.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) city: &'static City,
    pub(super) code: u32,
    district: &'static str,
}

impl Place {
    pub(super) fn any(dice: &mut Dice) -> Self {
        let city = dice.pick(CITIES);
        let &(code, district) = dice.pick(city.districts);
        Self {
            city,
            code,
            district,
        }
    }

    /// The whole name, `鹤壁市淇滨区`.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.city.name, self.district)
    }

    /// The short name as case numbers have it, `淇滨`.
    pub(super) fn short(&self) -> &'static str {
        let name = if self.district.is_empty() {
            self.city.name
        } else {
            self.district
        };
        name.trim_end_matches(['市', '区', '县'])
    }

    /// An organisation's numeric code, `410611031`.
    pub(super) fn org_code(&self, number: u32) -> String {
        format!("{}{number:03}", self.code)
    }

    /// The name of the unit of an organisation, `hebi.410611.031`.
    pub(super) fn unit(&self, number: u32) -> String {
        format!("{}.{}.{number:03}", self.city.unit, self.code)
    }

    /// The name of an organisation, `鹤壁市淇滨区公安局`.
    pub(super) fn org_name(&self, number: u32) -> String {
        let place = self.name();
        match number {
            LEAD => format!("{place}两法衔接工作领导小组办公室"),
            PROCURATORATE => format!("{place}人民检察院"),
            POLICE => format!("{place}公安局"),
            COURT => format!("{place}人民法院"),
            number => match AGENCIES.iter().find(|agency| agency.number == number) {
                Some(agency) => format!("{place}{}", agency.name),
                None => place,
            },
        }
    }
}

/// The charges that the facts of a section of the stock lead to.
pub(super) fn charges(facts: &str) -> &'static [&'static str] {
    match facts {
        "市场监管" => &[
            "假冒注册商标罪",
            "销售假冒注册商标的商品罪",
            "生产、销售伪劣产品罪",
            "虚假广告罪",
        ],
        "食品药品" => &[
            "生产、销售有毒、有害食品罪",
            "生产、销售不符合安全标准的食品罪",
            "生产、销售假药罪",
            "生产、销售劣药罪",
        ],
        "烟草" => &["非法经营罪", "生产、销售伪劣产品罪"],
        "税务" => &[
            "虚开增值税专用发票罪",
            "逃税罪",
            "骗取出口退税罪",
            "逃避追缴欠税罪",
        ],
        "自然资源" => &["非法占用农用地罪", "非法采矿罪"],
        "生态环境" => &["污染环境罪"],
        "卫生" => &["非法行医罪"],
        "林业" => &[
            "滥伐林木罪",
            "盗伐林木罪",
            "非法狩猎罪",
            "非法捕捞水产品罪",
            "危害珍贵、濒危野生动物罪",
        ],
        "农业" => &[
            "生产、销售伪劣农药、兽药、化肥、种子罪",
            "妨害动植物防疫、检疫罪",
        ],
        "交通" => &["危险驾驶罪", "交通肇事罪"],
        "住房建设" | "应急" => &["重大责任事故罪", "强令违章冒险作业罪"],
        "人社" => &["拒不支付劳动报酬罪"],
        "金融" => &["非法吸收公众存款罪", "集资诈骗罪", "信用卡诈骗罪"],
        "文化" => &["侵犯著作权罪"],
        "城管" => &["妨害公务罪"],
        "职务犯罪" => &["贪污罪", "受贿罪", "挪用公款罪", "滥用职权罪", "玩忽职守罪"],
        _ => &[
            "盗窃罪",
            "诈骗罪",
            "故意伤害罪",
            "寻衅滋事罪",
            "抢夺罪",
            "贩卖毒品罪",
            "开设赌场罪",
        ],
    }
}
