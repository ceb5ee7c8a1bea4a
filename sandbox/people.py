"""The people and companies of the demo: made from a seed and a number, so that person 17 is the same in every system and on every machine.

All domains end in .example (RFC 2606) and all Chinese tax numbers carry a right check digit but belong to no one.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

NAMES = json.loads(Path(__file__).with_name("names.json").read_text("utf-8"))
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
        town = chance.choice(NAMES["chinese_cities"])
        street = f"{chance.choice(NAMES['chinese_streets'])}{chance.randrange(1, 980)}号"
        if chance.random() < 0.5:
            street += f"{chance.randrange(1, 20)}号楼{chance.randrange(101, 2999)}室"
        return Address(
            street, town["city"], town["province"], town["postal_code"], "CN", f"+86 {town['phone']} {chance.randrange(5000_0000, 8999_9999)}"
        )
    town = chance.choice(NAMES["foreign_cities"])
    phone = f"{town['phone']}{chance.randrange(100, 999)}"
    return Address(f"{chance.randrange(1, 240)} {town['street']}", town["city"], "", town["postal_code"], town["country"], phone)


@lru_cache(maxsize=4096)
def company(seed: int, number: int) -> Company:
    chance = dice(seed, "company", number)
    chinese = chance.random() < 0.55
    where = address(chance, chinese=chinese)
    if chinese:
        brand, trade = chance.choice(NAMES["chinese_companies"]), chance.choice(NAMES["chinese_trades"])
        form = "股份有限公司" if chance.random() < 0.2 else "有限公司"
        return Company(f"{where.city}{brand}{trade}{form}", brand + trade, f"c{number}.cn.example", tax_number(chance), trade, where)
    brand, trade = chance.choice(NAMES["foreign_companies"]), chance.choice(NAMES["foreign_trades"])
    name = f"{brand} {trade} {NAMES['company_forms'][where.country]}"
    return Company(name, f"{brand} {trade}", f"{brand.lower()}{number}.example", f"{where.country}{chance.randrange(10**8, 10**9)}", trade, where)


def person(chance: random.Random, number: int, *, chinese: float = 0.6) -> Person:
    """`chinese` is the share of Chinese names; `number` makes the mailbox unique."""
    if chance.random() < chinese:
        family, family_latin = chance.choice(NAMES["family"])
        given, given_latin = chance.choice(NAMES["given"])
        mobile = f"+86 1{chance.choice('3456789')}{chance.randrange(10**8, 10**9)}"
        return Person(family + given, given, family, f"{given_latin} {family_latin}", f"{given_latin}.{family_latin}{number}".lower(), mobile, True)
    given, family = chance.choice(NAMES["english_given"]), chance.choice(NAMES["english_family"])
    plain = f"{given}.{family}".lower().translate(_PLAIN)
    return Person(f"{given} {family}", given, family, f"{given} {family}", f"{plain}{number}", f"+44 7700 900{chance.randrange(100, 999)}", False)


_PLAIN = str.maketrans({"ü": "ue", "ö": "oe", "ø": "oe", "ë": "e", "é": "e", "á": "a", "ï": "i", "'": "", "-": ""})
