"""The REST connector against every entity of the six sandbox systems, over real HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.conformance import Conformance, Prepared
from connectors.rest import RestConnector
from integration_hub.blueprints.demo import SECRETS
from sandbox.testing import Sandbox, running
from tests import demo

DAY = dt.datetime(2026, 11, 22, 10, 30, tzinfo=dt.UTC)

# (system of the demo, entity) → a record that may be created, what may be changed, and a text field that may be null
CASES: dict[tuple[str, str], tuple[Any, dict[str, Any], str]] = {
    ("CRM", "users"): (lambda n: {"full_name": f"New 新 {n}", "email": f"n{n}@x.example", "external_id": f"ext-{n}"}, {"title": "Chief"}, "phone"),
    ("CRM", "accounts"): (
        lambda n: {"name": f"Acme {n}", "annual_revenue.amount": Decimal("1234.50"), "tags": '["oem"]'},
        {"phone": "+49 1"},
        "website",
    ),
    ("CRM", "contacts"): (lambda n: {"name.last": f"Li {n}", "birthday": dt.date(1990, 1, 31), "score": 1.5}, {"name.first": "Wei"}, "mobile"),
    ("CRM", "opportunities"): (lambda n: {"account_id": "acc_000001", "name": f"Deal {n}", "amount": Decimal("9.99")}, {"stage": "won"}, "owner_id"),
    ("OA", "users"): (
        lambda n: {"name": f"王{n}", "email": f"w{n}@x.example", "status": 1, "hireDate": dt.date(2020, 2, 29)},
        {"position": "CEO"},
        "mobile",
    ),
    ("OA", "departments"): (lambda n: {"name": f"部门{n}"}, {"name": "改名"}, "parentCode"),
    ("OA", "approvals"): (lambda n: {"title": f"T{n}", "type": "LEAVE", "applicantId": "U000001", "finishTime": DAY}, {"status": "COMPLETED"}, ""),
    ("ERP", "customers"): (
        lambda n: {"NAME": f"Customer {n}", "COUNTRY": "DE", "CREDIT_LIMIT": Decimal("1500.50"), "BLOCKED": True},
        {"CITY": "Bremen", "BLOCKED": True},
        "PHONE",
    ),
    ("ERP", "products"): (lambda n: {"NAME": f"Sensor {n}", "PRICE": Decimal("12.30"), "ACTIVE": False}, {"PRICE": Decimal("13.00")}, "NAME_ZH"),
    ("ERP", "sales_orders"): (
        lambda n: {"CUSTOMER_NO": "0000000001", "PO_NUMBER": f"P{n}", "ORDER_DATE": dt.date(2026, 11, 22), "LINES": '[{"LINE_NO":10}]'},
        {"QUANTITY": Decimal("2.500")},
        "CUSTOMER_NAME",
    ),
    ("MRP", "production-orders"): (lambda n: {"ItemCode": f"I{n}", "Quantity": 2.5, "DueDate": DAY, "Priority": 1}, {"Priority": 3}, "Remark"),
    ("Help desk", "tickets"): (lambda n: {"subject": f"Help {n}", "tags": '["a"]', "due-at": DAY}, {"priority": "urgent"}, "assignee"),
    ("Marketing", "subscribers"): (lambda n: {"email": f"new+{n}@x.example", "merge.FNAME": "Ada", "country": "GB"}, {"status": "pending"}, "source"),
    ("Marketing", "lists"): (lambda n: {"name": f"List {n}", "public": True}, {"name": "Renamed"}, ""),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as started:
        yield started


class TestSandbox(Conformance):
    @pytest.fixture(params=list(CASES), ids="-".join)
    def prepared(self, request: pytest.FixtureRequest, sandbox: Sandbox) -> Prepared:
        name, entity = request.param
        new, changed, nullable = CASES[request.param]
        whole = demo.systems(sandbox.url)[name]
        system = sandbox.system(whole["base_url"].rpartition("/")[2])
        stored = entity.removesuffix("s") if name == "OA" else entity
        sandbox.clear_faults()
        system.has(**{stored: 23})
        text = next(n for n, v in new(0).items() if isinstance(v, str) and n not in ("external_id", "account_id", "CUSTOMER_NO", "tags", "COUNTRY"))

        def refused() -> dict[str, Any]:
            record = new(77)
            top, _dot, inner = text.partition(".")
            if not inner:
                system.refuses(stored, because="VAT number", field=top, value=record[text])
                return record
            return {**record, text: "x" * 5000}  # longer than the field takes

        for one in whole["entities"]:
            if "size" in one["list"]["pagination"]:
                one["list"]["pagination"]["size"] = 10
        whole["connection"]["tries"] = 1
        field = next(
            f["name"] for f in reversed(next(e for e in whole["entities"] if e["name"] == entity)["fields"]) if f.get("type") in ("datetime", "date")
        )

        def misfit() -> str:
            system.add(stored, **{field: "soon"})
            return field

        return Prepared(
            connector=RestConnector,
            settings=whole,
            entity=entity,
            count=23,
            new=new,
            changed=changed,
            refused=refused,
            cut=lambda: system.fault("drop_after", times=1, method="PUT" if entity == "subscribers" else "POST", path=stored),
            misfit=misfit,
            three_field=nullable,
            secrets=[value for value in SECRETS.values() if value != "hub"],
        )
