"""The people and companies of the demo: made from a seed and a number, so that person 17 is the same in every system and on every machine.

All domains end in .example (RFC 2606) and all Chinese tax numbers carry a right check digit but belong to no one.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from functools import lru_cache

FAMILY_NAMES = (
    "王 Wang|李 Li|张 Zhang|刘 Liu|陈 Chen|杨 Yang|黄 Huang|赵 Zhao|吴 Wu|周 Zhou|徐 Xu|孙 Sun|马 Ma|朱 Zhu|胡 Hu|郭 Guo|何 He|林 Lin|高 Gao|罗 Luo|"
    "郑 Zheng|梁 Liang|谢 Xie|宋 Song|唐 Tang|许 Xu|邓 Deng|韩 Han|冯 Feng|曹 Cao|彭 Peng|曾 Zeng|萧 Xiao|田 Tian|董 Dong|潘 Pan|欧阳 Ouyang|司徒 Situ"
)
GIVEN_NAMES = (
    "伟 Wei|芳 Fang|娜 Na|敏 Min|静 Jing|丽 Li|强 Qiang|磊 Lei|洋 Yang|艳 Yan|勇 Yong|杰 Jie|涛 Tao|明 Ming|超 Chao|秀英 Xiuying|桂兰 Guilan|建国 Jianguo|"
    "志强 Zhiqiang|海燕 Haiyan|晓东 Xiaodong|雪梅 Xuemei|子涵 Zihan|雨桐 Yutong|浩然 Haoran|思远 Siyuan|嘉怡 Jiayi|文博 Wenbo|俊杰 Junjie|佳琪 Jiaqi|欣怡 Xinyi|天宇 Tianyu"
)
ENGLISH_GIVEN = [
    "James",
    "Mary",
    "Robert",
    "Patricia",
    "John",
    "Jennifer",
    "Michael",
    "Linda",
    "David",
    "Elizabeth",
    "William",
    "Barbara",
    "Richard",
    "Susan",
    "Joseph",
    "Jessica",
    "Thomas",
    "Karen",
    "Emma",
    "Oliver",
    "Charlotte",
    "Amelia",
    "Noah",
    "Sofia",
    "Lukas",
    "Hannah",
    "Mateo",
    "Zoë",
    "Björn",
    "Chloé",
    "Anaïs",
    "Søren",
]
ENGLISH_FAMILY = [
    "Smith",
    "Johnson",
    "Williams",
    "Brown",
    "Jones",
    "Miller",
    "Davis",
    "Wilson",
    "Anderson",
    "Taylor",
    "Moore",
    "Jackson",
    "Martin",
    "Thompson",
    "White",
    "Harris",
    "Clark",
    "Lewis",
    "Walker",
    "Young",
    "Müller",
    "Schmidt",
    "O'Brien",
    "Fernández",
    "Nowak",
    "Lindqvist",
    "Van-der-Berg",
    "MacLeod",
    "Dubois",
    "Rossi",
    "Kowalski",
    "Jørgensen",
]
CHINESE_CITIES = (
    "上海 Shanghai 021 200030 上海市|北京 Beijing 010 100020 北京市|深圳 Shenzhen 0755 518000 广东省|广州 Guangzhou 020 510620 广东省|杭州 Hangzhou 0571 310012 浙江省|"
    "苏州 Suzhou 0512 215021 江苏省|南京 Nanjing 025 210008 江苏省|成都 Chengdu 028 610041 四川省|武汉 Wuhan 027 430070 湖北省|西安 Xi'an 029 710065 陕西省|"
    "青岛 Qingdao 0532 266071 山东省|厦门 Xiamen 0592 361004 福建省"
)
CHINESE_STREETS = [
    "中山路",
    "人民路",
    "建设大街",
    "解放路",
    "科技园南路",
    "世纪大道",
    "长江路",
    "高新一路",
    "滨海大道",
    "和平街",
    "文化东路",
    "工业园区星湖街",
]
CHINESE_TRADES = [
    "精密仪器",
    "电子科技",
    "自动化设备",
    "新能源",
    "生物医药",
    "物流",
    "食品",
    "信息技术",
    "环保工程",
    "医疗器械",
    "半导体",
    "机械制造",
]
CHINESE_COMPANY_NAMES = [
    "海岚",
    "华远",
    "天成",
    "博瑞",
    "鼎盛",
    "恒信",
    "瑞丰",
    "中科",
    "金桥",
    "東升",
    "蓝海",
    "星河",
    "云帆",
    "启明",
    "国泰",
    "安和",
    "远景",
    "凌云",
    "百川",
    "正大",
]
FOREIGN_CITIES = (
    "US|Boston|02110|State Street|+1 617 555 0,US|San José|95113|Market Street|+1 408 555 0,GB|London|EC2A 4NE|Curtain Road|+44 20 7946 0,GB|Leeds|LS1 4AP|Park Row|+44 113 496 0,"
    "DE|München|80331|Sendlinger Straße|+49 89 5550 0,DE|Köln|50667|Hohe Straße|+49 221 5550 0,FR|Lyon|69002|Rue de la République|+33 4 55 50 0,NL|Utrecht|3511 LX|Oudegracht|+31 30 555 0,"
    "ES|Málaga|29015|Calle Larios|+34 952 55 0,SE|Göteborg|411 06|Drottninggatan|+46 31 555 0,JP|Ōsaka|530-0001|Umeda|+81 6 5550 0,SG|Singapore|048619|Raffles Place|+65 6555 0,"
    "AU|Melbourne|3000|Collins Street|+61 3 5550 0,CH|Zürich|8001|Bahnhofstrasse|+41 44 555 0"
)
FOREIGN_COMPANY_NAMES = [
    "Northwind",
    "Alder",
    "Brightwater",
    "Cobalt",
    "Dunmore",
    "Eastgate",
    "Fairview",
    "Granite",
    "Harbour",
    "Ironbridge",
    "Juniper",
    "Kestrel",
    "Larkspur",
    "Meridian",
    "Norwood",
    "Oakfield",
    "Pinnacle",
    "Quarry",
    "Redwood",
    "Silverline",
    "Thornton",
    "Umbra",
    "Vantage",
    "Westmark",
    "Zephyr",
]
FOREIGN_TRADES = [
    "Instruments",
    "Logistics",
    "Foods",
    "Medical",
    "Automation",
    "Energy",
    "Textiles",
    "Robotics",
    "Optics",
    "Chemicals",
    "Software",
    "Bearings",
]
FOREIGN_FORMS = {
    "US": "Inc.",
    "GB": "Ltd",
    "DE": "GmbH",
    "FR": "SARL",
    "NL": "B.V.",
    "ES": "S.L.",
    "SE": "AB",
    "JP": "K.K.",
    "SG": "Pte Ltd",
    "AU": "Pty Ltd",
    "CH": "AG",
}

_FAMILY = [entry.split(" ") for entry in FAMILY_NAMES.split("|")]
_GIVEN = [entry.split(" ") for entry in GIVEN_NAMES.split("|")]
_CHINESE_CITIES = [entry.split(" ") for entry in CHINESE_CITIES.split("|")]
_FOREIGN_CITIES = [entry.split("|") for entry in FOREIGN_CITIES.split(",")]
_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015
_USCC_WEIGHTS = [pow(3, place, 31) for place in range(17)]


@dataclass(frozen=True, slots=True)
class Address:
    street: str
    city: str
    province: str
    postal_code: str
    country: str
    phone: str


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    short_name: str
    domain: str
    tax_number: str
    industry: str
    address: Address


@dataclass(frozen=True, slots=True)
class Person:
    """`name` as it is written at home (Chinese: family name first, no blank); `first` and `last` in Latin letters for e-mail addresses."""

    name: str
    given: str
    family: str
    english_name: str
    mailbox: str
    mobile: str
    is_chinese: bool


def dice(seed: int, kind: str, number: int) -> random.Random:
    """The chance that belongs to this record and no other: neither the order nor the count of records matters."""
    return random.Random((seed << 64) | (zlib.crc32(kind.encode()) << 32) | number)


def tax_number(chance: random.Random) -> str:
    """A Chinese Unified Social Credit Code: 18 characters, the last a check digit. Source: GB 32100-2015."""
    body = "91" + f"{chance.randrange(110000, 660000)}" + "".join(chance.choices(_USCC, k=9))
    check = (31 - sum(_USCC.index(c) * w for c, w in zip(body, _USCC_WEIGHTS, strict=True)) % 31) % 31
    return body + _USCC[check]


def address(chance: random.Random, *, chinese: bool) -> Address:
    if chinese:
        city, _, area, postal_code, province = chance.choice(_CHINESE_CITIES)
        street = f"{chance.choice(CHINESE_STREETS)}{chance.randrange(1, 980)}号"
        if chance.random() < 0.5:
            street += f"{chance.randrange(1, 20)}号楼{chance.randrange(101, 2999)}室"
        return Address(street, city, province, postal_code, "CN", f"+86 {area.lstrip('0')} {chance.randrange(5000_0000, 8999_9999)}")
    country, city, postal_code, street, phone = chance.choice(_FOREIGN_CITIES)
    return Address(f"{chance.randrange(1, 240)} {street}", city, "", postal_code, country, f"{phone}{chance.randrange(100, 999)}")


@lru_cache(maxsize=4096)
def company(seed: int, number: int) -> Company:
    chance = dice(seed, "company", number)
    chinese = chance.random() < 0.55
    where = address(chance, chinese=chinese)
    if chinese:
        brand, trade = chance.choice(CHINESE_COMPANY_NAMES), chance.choice(CHINESE_TRADES)
        form = "股份有限公司" if chance.random() < 0.2 else "有限公司"
        return Company(f"{where.city}{brand}{trade}{form}", brand + trade, f"c{number}.cn.example", tax_number(chance), trade, where)
    brand, trade = chance.choice(FOREIGN_COMPANY_NAMES), chance.choice(FOREIGN_TRADES)
    name = f"{brand} {trade} {FOREIGN_FORMS[where.country]}"
    return Company(name, f"{brand} {trade}", f"{brand.lower()}{number}.example", f"{where.country}{chance.randrange(10**8, 10**9)}", trade, where)


def person(chance: random.Random, number: int, *, chinese: float = 0.6) -> Person:
    """`chinese` is the share of Chinese names; `number` makes the mailbox unique."""
    if chance.random() < chinese:
        family, family_latin = chance.choice(_FAMILY)
        given, given_latin = chance.choice(_GIVEN)
        mobile = f"+86 1{chance.choice('3456789')}{chance.randrange(10**8, 10**9)}"
        return Person(family + given, given, family, f"{given_latin} {family_latin}", f"{given_latin}.{family_latin}{number}".lower(), mobile, True)
    given, family = chance.choice(ENGLISH_GIVEN), chance.choice(ENGLISH_FAMILY)
    plain = f"{given}.{family}".lower().translate(_PLAIN)
    return Person(f"{given} {family}", given, family, f"{given} {family}", f"{plain}{number}", f"+44 7700 900{chance.randrange(100, 999)}", False)


_PLAIN = str.maketrans({"ü": "ue", "ö": "oe", "ø": "oe", "ë": "e", "é": "e", "á": "a", "ï": "i", "'": "", "-": ""})
