"""The OData connector against the conformance kit: version 4 with each way to write, and version 2."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.conformance import Conformance, Prepared
from connectors.odata import ODataConnector
from tests.connectors.odata_service import ODataService, customer, lost

WAYS: dict[str, dict[str, Any]] = {
    "4.01": {},
    "4.0": {"service": {"version": "4.0", "is_silent": True}},
    "numbers as text": {"service": {"numbers_as_text": True}},
    "by skip": {"lists": {"paging": "skip", "page_size": 7}},
    "many pages to a lookup": {"service": {"page_size": 2}, "lists": {"values_per_request": 5}},
    "not filtered": {
        "service": {
            "more": """<Annotations Target="Shop.Container/Customers"><Annotation Term="Capabilities.FilterRestrictions"><Record>
                <PropertyValue Property="Filterable" Bool="false"/></Record></Annotation></Annotations>"""
        }
    },
    "json batch": {"batches": {"format": "json", "size": 3}},
    "multipart batch": {"service": {"version": "4.0"}, "batches": {"format": "multipart", "size": 3}},
    "delta links": {"entities": [{"name": "Customers", "delta": True}]},
    "delta links of 4.0": {"service": {"version": "4.0"}, "entities": [{"name": "Customers", "delta": True}]},
    "repeatable": {"repeatable": True},
    "repeatable batch": {"repeatable": True, "batches": {"format": "json", "size": 3}},
}


def settings(service: ODataService, version: str, **more: Any) -> dict[str, Any]:
    return {"base_url": f"{service.url}/{version}", "auth": {"type": "bearer", "token": "s3cret-token"}, "connection": {"tries": 1}, **more}


class TestVersion4(Conformance):
    @pytest.fixture(params=list(WAYS))
    def prepared(self, request: pytest.FixtureRequest, service: ODataService) -> Prepared:
        way = dict(WAYS[request.param])
        service.__dict__.update(way.pop("service", {}))
        service.has(25)
        service.refuses["bad@example.com"] = "VAT number"

        def misfit() -> str:
            service.sets["Customers"][3,]["Amount"] = "INF"
            return "Amount"

        def three(name: str) -> dict[str, str]:
            del service.sets["Customers"][4,][name]
            service.sets["Customers"][5,][name] = None
            service.sets["Customers"][6,][name] = ""
            return {"absent": "4", "null": "5", "empty": "6"}

        return Prepared(
            connector=ODataConnector,
            settings=settings(service, "v4", **way),
            entity="Customers",
            count=25,
            new=lambda n: {"Name": f"O'New {n}", "Email": f"new{n}@example.com", "Address.City": "Wien", "Big": 2**53 + 1},
            changed={"Name": "Changed", "Tags": '["x"]', "Address.Zip": "1010"},
            refused=lambda: {"Name": "Bad", "Email": "bad@example.com", "Address.City": "Wien"},
            cut=lambda: service.faults.append(lost),
            misfit=misfit,
            three=three,
            three_field="Email",
            secrets=["s3cret-token"],
        )


class TestUpsert(Conformance):
    """Records that bring their key along, one of two parts."""

    @pytest.fixture
    def prepared(self, service: ODataService) -> Prepared:
        for number in range(25):
            service.put("Items", {"Order": number // 5, "Code": f"a'b/{number}", "Quantity": f"{number}.5"})
        return Prepared(
            connector=ODataConnector,
            settings=settings(service, "v4", entities=[{"name": "Items", "create_by_key": True}]),
            entity="Items",
            count=25,
            new=lambda n: {"Order": 77, "Code": f"50 % of 你好/{n}'", "Quantity": None},
            changed={"Quantity": None},
            cut=lambda: service.faults.append(lost),
        )


class TestVersion2(Conformance):
    @pytest.fixture
    def prepared(self, service: ODataService) -> Prepared:
        service.has(25)

        def misfit() -> str:
            service.sets["Customers"][3,] = customer(3, Price="a lot")
            return "Price"

        return Prepared(
            connector=ODataConnector,
            settings=settings(service, "v2", entities=[{"name": "Customers", "cursor_field": "ModifiedAt"}]),
            entity="Customers",
            count=25,
            misfit=misfit,
            secrets=["s3cret-token"],
        )
