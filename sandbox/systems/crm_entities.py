"""Accounts, contacts, opportunities and users of the CRM."""

from __future__ import annotations

from typing import Any

from sandbox.entities import Entity, Making
from sandbox.fields import BOOLEAN, COUNTRY, CURRENCY, DATE, EMAIL, INTEGER, NUMBER, TEXTS, Field, moment
from sandbox.people import company, person
from sandbox.store import Record
from sandbox.systems.oa import employee
from sandbox.times import ISO_Z

INDUSTRIES = ("Manufacturing", "Electronics", "Energy", "Life sciences", "Logistics", "Food", "Software", "Other")
OFFERS = ("pressure sensors", "flow meters", "温度变送器", "calibration service", "年度维保")

_TIMES = (Field("created_at", moment(ISO_Z), read_only=True), Field("updated_at", moment(ISO_Z), read_only=True))
_ADDRESS = Field(
    "address",
    within=(
        Field("street", max_length=120),
        Field("city", max_length=60),
        Field("postal_code", max_length=12),
        Field("country", COUNTRY, note="ISO 3166-1 alpha-2"),
    ),
)


def _address(of: Any, flaw: str = "") -> Record:
    return {"street": of.street, "city": of.city, "postal_code": of.postal_code, "country": "Atlantis" if flaw == "country" else of.country}


def make_user(m: Making) -> Record:
    """The first users are the first employees of the OA; some still lack their employee number."""
    who = employee(m.seed, m.number)
    return {
        "id": f"usr_{m.number:06}",
        "external_id": None,
        "employee_id": f"U{m.number:06}" if m.number % 3 else None,
        "full_name": who.name,
        "email": f"{who.mailbox}@hailan.example",
        "phone": who.mobile,
        "title": m.chance.choice(("Account manager", "Sales director", "客户经理", "Support engineer")),
        "locale": "zh-CN" if who.is_chinese else "en-GB",
        "is_active": True,
        "created_at": ISO_Z.write(m.created),
        "updated_at": ISO_Z.write(m.changed),
    }


def make_account(m: Making) -> Record:
    of = company(m.seed, m.number)
    flaw = m.flaw("country", "phone", "tax_id", "name")
    return {
        "id": f"acc_{m.number:06}",
        "external_id": None,
        "name": f"  {of.name}  " if flaw == "name" else of.name,
        "industry": m.chance.choice(INDUSTRIES),
        "tax_id": None if flaw == "tax_id" else of.tax_number,
        "website": f"https://www.{of.domain}",
        "phone": "n/a" if flaw == "phone" else of.address.phone,
        "address": _address(of.address, flaw),
        "annual_revenue": {"amount": round(m.chance.lognormvariate(15, 1.2), 2), "currency": "CNY" if of.address.country == "CN" else "EUR"},
        "employee_count": m.chance.randrange(5, 4000),
        "status": m.chance.choice(("prospect", "customer", "customer", "customer", "former")),
        "owner_id": f"usr_{m.chance.randrange(1, 13):06}",
        "tags": m.chance.sample(("key account", "export", "oem", "重点客户", "reseller"), m.chance.randrange(3)),
        "created_at": ISO_Z.write(m.created),
        "updated_at": ISO_Z.write(m.changed),
    }


def make_contact(m: Making) -> Record:
    number = m.chance.randrange(1, 181)
    of = company(m.seed, number)
    who = person(m.chance, m.number, chinese=0.9 if of.address.country == "CN" else 0.05)
    flaw = m.flaw("email", "no email", "country", "mobile")
    return {
        "id": f"con_{m.number:06}",
        "external_id": None,
        "account_id": f"acc_{number:06}",
        "name": {"first": who.given, "last": who.family},
        "email": None if flaw == "no email" else f"{who.mailbox}.{of.domain}" if flaw == "email" else f"{who.mailbox}@{of.domain}",
        "mobile": "13O-not-a-number" if flaw == "mobile" else who.mobile,
        "job_title": m.chance.choice(("Buyer", "采购经理", "Head of production", "CEO", "总经理", "Engineer", None)),
        "language": "zh" if who.is_chinese else "en",
        "marketing_consent": m.chance.random() < 0.8,
        "score": round(m.chance.random() * 100, 1),
        "birthday": f"{m.chance.randrange(1958, 2003)}-{m.chance.randrange(1, 13):02}-{m.chance.randrange(1, 29):02}"
        if m.chance.random() < 0.6
        else None,
        "address": _address(of.address, flaw),
        "created_at": ISO_Z.write(m.created),
        "updated_at": ISO_Z.write(m.changed),
    }


def make_opportunity(m: Making) -> Record:
    number = m.chance.randrange(1, 181)
    stage, probability = m.chance.choice((("qualified", 0.2), ("proposal", 0.5), ("negotiation", 0.75), ("won", 1.0), ("lost", 0.0)))
    return {
        "id": f"opp_{m.number:06}",
        "external_id": None,
        "account_id": f"acc_{number:06}",
        "name": f"{company(m.seed, number).short_name}: {m.chance.choice(OFFERS)}",
        "stage": stage,
        "probability": probability,
        "amount": round(m.chance.lognormvariate(11, 1), 2),
        "currency": m.chance.choice(("CNY", "EUR", "USD")),
        "close_date": f"2026-{m.chance.randrange(1, 13):02}-{m.chance.randrange(1, 29):02}",
        "owner_id": f"usr_{m.chance.randrange(1, 13):06}",
        "created_at": ISO_Z.write(m.created),
        "updated_at": ISO_Z.write(m.changed),
    }


def _id(note: str = "") -> tuple[Field, ...]:
    return (
        Field("id", read_only=True, note="given by the CRM"),
        Field("external_id", max_length=64, note="the record's key in another system; unique; key of the upsert"),
    )


USERS = Entity(
    name="users",
    key="id",
    changed="updated_at",
    created="created_at",
    new_key=lambda n: f"usr_{n:06}",
    base_count=12,
    make=make_user,
    lookups=("external_id", "employee_id", "email"),
    unique=("external_id",),
    fields=(
        *_id(),
        Field("employee_id", max_length=32, note="number of the employee in the OA"),
        Field("full_name", required=True, max_length=80),
        Field("email", EMAIL, required=True, max_length=120),
        Field("phone", max_length=40),
        Field("title", max_length=80),
        Field("locale", choices=("zh-CN", "en-GB")),
        Field("is_active", BOOLEAN),
        *_TIMES,
    ),
)
ACCOUNTS = Entity(
    name="accounts",
    key="id",
    changed="updated_at",
    created="created_at",
    new_key=lambda n: f"acc_{n:06}",
    base_count=180,
    make=make_account,
    dirt=0.05,
    grows=True,
    lookups=("external_id", "tax_id", "name", "owner_id"),
    unique=("external_id",),
    edits={
        "phone": lambda chance: f"+86 21 {chance.randrange(5000_0000, 8999_9999)}",
        "employee_count": lambda chance: chance.randrange(5, 4000),
        "status": lambda chance: chance.choice(("prospect", "customer", "former")),
        "address": lambda chance: {"street": f"人民路{chance.randrange(1, 980)}号"},
    },
    fields=(
        *_id(),
        Field("name", required=True, max_length=120),
        Field("industry", choices=INDUSTRIES),
        Field("tax_id", max_length=32),
        Field("website", max_length=200),
        Field("phone", max_length=40),
        _ADDRESS,
        Field("annual_revenue", within=(Field("amount", NUMBER), Field("currency", CURRENCY))),
        Field("employee_count", INTEGER),
        Field("status", choices=("prospect", "customer", "former")),
        Field("owner_id", note="id of a user"),
        Field("tags", TEXTS),
        *_TIMES,
    ),
)
CONTACTS = Entity(
    name="contacts",
    key="id",
    changed="updated_at",
    created="created_at",
    new_key=lambda n: f"con_{n:06}",
    base_count=400,
    make=make_contact,
    dirt=0.05,
    grows=True,
    lookups=("external_id", "email", "account_id"),
    unique=("external_id",),
    edits={
        "job_title": lambda chance: chance.choice(("Buyer", "采购经理", "Plant manager", "总经理")),
        "marketing_consent": lambda chance: chance.random() < 0.7,
        "score": lambda chance: round(chance.random() * 100, 1),
    },
    fields=(
        *_id(),
        Field("account_id", note="id of an account"),
        Field("name", within=(Field("first", max_length=60), Field("last", max_length=60))),
        Field("email", EMAIL, max_length=120),
        Field("mobile", max_length=40),
        Field("job_title", max_length=80),
        Field("language", choices=("zh", "en")),
        Field("marketing_consent", BOOLEAN),
        Field("score", NUMBER),
        Field("birthday", DATE),
        _ADDRESS,
        *_TIMES,
    ),
)
OPPORTUNITIES = Entity(
    name="opportunities",
    key="id",
    changed="updated_at",
    created="created_at",
    new_key=lambda n: f"opp_{n:06}",
    base_count=220,
    make=make_opportunity,
    lookups=("external_id", "account_id"),
    unique=("external_id",),
    fields=(
        *_id(),
        Field("account_id", required=True, note="id of an account"),
        Field("name", required=True, max_length=120),
        Field("stage", choices=("qualified", "proposal", "negotiation", "won", "lost")),
        Field("probability", NUMBER),
        Field("amount", NUMBER),
        Field("currency", CURRENCY),
        Field("close_date", DATE),
        Field("owner_id", note="id of a user"),
        *_TIMES,
    ),
)
