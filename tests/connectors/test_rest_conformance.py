"""The REST connector against the conformance kit, in several dialects of the same shop."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.conformance import Conformance, Prepared
from connectors.rest import RestConnector
from tests.connectors.conftest import contacts
from tests.connectors.shop import Shop, contact, raw

DIALECTS: dict[str, dict[str, Any]] = {
    "offset": {},
    "page": {"list": {"pagination": {"type": "page", "size": 10, "size_parameter": "limit"}}},
    "cursor": {"list": {"pagination": {"type": "cursor", "size": 10, "path": "next_cursor"}}},
    "next address": {"list": {"pagination": {"type": "next_url", "size": 10, "size_parameter": "limit", "path": "next"}}},
    "link header": {
        "list": {
            "pagination": {"type": "link_header", "size": 10, "size_parameter": "limit"},
            "path": "/contacts?shape=list",
            "record_path": "",
            "count": None,
        }
    },
    "last record": {"list": {"pagination": {"type": "last_record", "size": 10, "parameter": "after", "field": "id"}, "stable_order": False}},
    "arrays": {"list": {"path": "/contacts?shape=arrays", "columns_path": "columns", "pagination": {"type": "offset", "size": 10}}},
    "wrapped": {
        "list": {
            "path": "/contacts?shape=wrapped",
            "record_path": "data.items",
            "pagination": {"type": "offset", "size": 10, "total_path": "data.total"},
            "count": {"total_path": "data.total"},
        }
    },
    "bulk": {
        "bulk": [
            {
                "path": "/contacts/bulk?order=mixed",
                "body": {"items": "{records}"},
                "size": 3,
                "results": {
                    "path": "results",
                    "matched_by": "index",
                    "match_path": "index",
                    "success_path": "ok",
                    "key_path": "id",
                    "error_path": "error",
                },
            }
        ]
    },
}


class TestRest(Conformance):
    @pytest.fixture(params=list(DIALECTS))
    def prepared(self, request: pytest.FixtureRequest, shop: Shop) -> Prepared:
        shop.has(25)
        shop.refuses["bad@example.com"] = "VAT number"
        entity = contacts(**{"list": {"pagination": {"type": "offset", "size": 10}}, **DIALECTS[request.param]})

        def misfit() -> str:
            shop.contacts[3] = contact(3, amount="a lot")
            return "amount"

        def three(name: str) -> dict[str, str]:
            del shop.contacts[4][name]
            shop.contacts[5][name] = None
            shop.contacts[6][name] = ""
            return {"absent": "4", "null": "5", "empty": "6"}

        return Prepared(
            connector=RestConnector,
            settings={"base_url": shop.url, "auth": {"type": "bearer", "token": "s3cret-token"}, "entities": [entity], "connection": {"tries": 1}},
            entity="contacts",
            count=25,
            new=lambda n: {"name": f"New {n}", "email": f"new{n}@example.com", "address.city": "Wien"},
            changed={"name": "Changed", "tags": '["x"]'},
            refused=lambda: {"name": "Bad", "email": "bad@example.com", "address.city": "Wien"},
            cut=lambda: shop.faults.append(raw(b"", then="reset", after_work=True)),
            misfit=misfit,
            three=three if request.param != "arrays" else None,
            three_field="email",
            secrets=["s3cret-token"],
        )
