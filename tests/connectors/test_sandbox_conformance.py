"""The REST connector against every entity of the six sandbox systems, over real HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.conformance import Conformance, Prepared
from connectors.rest import RestConnector
from sandbox.testing import Sandbox, running
from tests.connectors.sandbox_settings import settings

DAY = dt.datetime(2026, 11, 22, 10, 30, tzinfo=dt.UTC)

# (system, entity) → a record that may be created, what may be changed, and a text field that may be null
CASES: dict[tuple[str, str], tuple[Any, dict[str, Any], str]] = {
    ("crm", "users"): (lambda n: {"full_name": f"New 新 {n}", "email": f"n{n}@x.example", "external_id": f"ext-{n}"}, {"title": "Chief"}, "phone"),
    ("crm", "accounts"): (
        lambda n: {"name": f"Acme {n}", "annual_revenue.amount": Decimal("1234.50"), "tags": '["oem"]'},
        {"phone": "+49 1"},
        "website",
    ),
    ("crm", "contacts"): (lambda n: {"name.last": f"Li {n}", "birthday": dt.date(1990, 1, 31), "score": 1.5}, {"name.first": "Wei"}, "mobile"),
    ("crm", "opportunities"): (lambda n: {"account_id": "acc_000001", "name": f"Deal {n}", "amount": Decimal("9.99")}, {"stage": "won"}, "owner_id"),
    ("oa", "user"): (
        lambda n: {"name": f"王{n}", "email": f"w{n}@x.example", "status": 1, "hireDate": dt.date(2020, 2, 29)},
        {"position": "CEO"},
        "mobile",
    ),
    ("oa", "department"): (lambda n: {"name": f"部门{n}"}, {"name": "改名"}, "parentCode"),
    ("oa", "approval"): (lambda n: {"title": f"T{n}", "type": "LEAVE", "applicantId": "U000001", "finishTime": DAY}, {"status": "COMPLETED"}, ""),
    ("erp", "customers"): (
        lambda n: {"NAME": f"Customer {n}", "COUNTRY": "DE", "CREDIT_LIMIT": Decimal("1500.50"), "BLOCKED": True},
        {"CITY": "Bremen", "BLOCKED": True},
        "PHONE",
    ),
    ("erp", "products"): (lambda n: {"NAME": f"Sensor {n}", "PRICE": Decimal("12.30"), "ACTIVE": False}, {"PRICE": Decimal("13.00")}, "NAME_ZH"),
    ("erp", "sales_orders"): (
        lambda n: {"CUSTOMER_NO": "0000000001", "PO_NUMBER": f"P{n}", "ORDER_DATE": dt.date(2026, 11, 22), "LINES": '[{"LINE_NO":10}]'},
        {"QUANTITY": Decimal("2.500")},
        "CUSTOMER_NAME",
    ),
    ("mrp", "production-orders"): (lambda n: {"ItemCode": f"I{n}", "Quantity": 2.5, "DueDate": DAY, "Priority": 1}, {"Priority": 3}, "Remark"),
    ("helpdesk", "tickets"): (lambda n: {"subject": f"Help {n}", "tags": '["a"]', "due-at": DAY}, {"priority": "urgent"}, "assignee"),
    ("marketing", "subscribers"): (lambda n: {"email": f"new+{n}@x.example", "merge.FNAME": "Ada", "country": "GB"}, {"status": "pending"}, "source"),
    ("marketing", "lists"): (lambda n: {"name": f"List {n}", "public": True}, {"name": "Renamed"}, ""),
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
        system = sandbox.system(name)
        sandbox.clear_faults()
        system.has(**{entity: 23})
        text = next(n for n, v in new(0).items() if isinstance(v, str) and n not in ("external_id", "account_id", "CUSTOMER_NO", "tags", "COUNTRY"))

        def refused() -> dict[str, Any]:
            record = new(77)
            top, _dot, inner = text.partition(".")
            if not inner:
                system.refuses(entity, because="VAT number", field=top, value=record[text])
                return record
            return {**record, text: "x" * 5000}  # longer than the field takes

        whole = settings(name, sandbox.url)
        for one in whole["entities"]:
            if "size" in one["list"]["pagination"]:
                one["list"]["pagination"]["size"] = 10
        whole.setdefault("connection", {})["tries"] = 1
        field = next(
            f["name"] for f in reversed(next(e for e in whole["entities"] if e["name"] == entity)["fields"]) if f.get("type") in ("datetime", "date")
        )

        def misfit() -> str:
            system.add(entity, **{field: "soon"})
            return field

        return Prepared(
            connector=RestConnector,
            settings=whole,
            entity=entity,
            count=23,
            new=new,
            changed=changed,
            refused=refused,
            cut=lambda: system.fault("drop_after", times=1, method="PUT" if entity == "subscribers" else "POST", path=entity),
            misfit=misfit,
            three_field=nullable,
            secrets=["crm-demo-secret", "oa-demo-secret", "erp-demo-key", "mrp-demo-secret", "helpdesk-demo-password", "marketing-demo-token"],
        )
