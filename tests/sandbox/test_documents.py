"""Every answer, good or bad, is as the system's own OpenAPI document says."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_spec_validator import validate
from werkzeug.datastructures import Headers, ImmutableMultiDict

from sandbox.control import ORDERS
from sandbox.faults import KINDS
from sandbox.fields import Field
from sandbox.systems import SYSTEMS
from sandbox.testing import ROOT
from tests.sandbox.dialects import DIALECTS, Dialect, Reply, path_of


class Asked:
    """A request as openapi-core wants to see it."""

    def __init__(self, host: str, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> None:
        parts = urlsplit(target)
        self.host_url, self.path, self.method, self.body = host, parts.path, method.lower(), body
        self.content_type = headers.get("content-type", "application/json")
        self.parameters = RequestParameters(query=ImmutableMultiDict(parse_qsl(parts.query)), header=Headers(headers), cookie=ImmutableMultiDict())


class Answered:
    def __init__(self, reply: Reply) -> None:
        self.status_code, self.data, self.headers = reply.status, reply.body, Headers(reply.headers)
        self.content_type = reply.headers.get("content-type", "")


@cache
def document(text: str) -> OpenAPI:
    return OpenAPI.from_dict(json.loads(text), Config(extra_media_type_deserializers={"application/problem+json": json.loads}))


class Watched:
    """A dialect of which every answer is held against the document."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.document = document(dialect.ask("GET", "/openapi.json").body.decode())
        self.seen: set[tuple[str, str]] = set()
        ask = dialect.ask

        def watched(method: str, path: str, body: Any = None, **headers: str) -> Reply:
            reply = ask(method, path, body, **headers)
            asked = Asked(f"http://{dialect.address}", method, f"/{dialect.system}{path}", None, headers)
            result = self.document.unmarshal_response(asked, Answered(reply))
            assert not result.errors, (method, path, reply.status, reply.body[:300], result.errors)
            return reply

        dialect.ask = watched  # type: ignore[method-assign]


@pytest.mark.parametrize("system", DIALECTS)
def test_the_document_is_valid_openapi_3_1(speak, system):
    found = speak(system).ask("GET", "/openapi.json").json

    validate(found)
    assert found["openapi"] == "3.1.0"


@pytest.mark.parametrize("system", DIALECTS)
def test_every_page_is_as_its_document_says(sandbox, speak, system):
    dialect = Watched(speak(system)).dialect

    for entity in dialect.entities:
        sandbox.control("has", system=system, entity=entity, count=110)
        assert len(dialect.records(entity)) == 110
    dialect.say("GET", dialect.ping)
    dialect.ask("GET", dialect.ping)


WRITES: dict[str, list[tuple[str, str, Any]]] = {
    "crm": [
        ("POST", "/v1/users", {"full_name": "A", "email": "a@b.example"}),
        ("POST", "/v1/users", {"full_name": ""}),
        ("PATCH", "/v1/users/usr_000002", {"title": None}),
        ("PUT", "/v1/accounts/external/X-1", {"name": "X", "address": {"country": "DE"}}),
        ("PUT", "/v1/accounts/external/X-1", {"name": "Y"}),
        (
            "POST",
            "/v1/contacts/batch",
            {"operations": [{"method": "create", "record": {"email": "a@b.example"}}, {"method": "create", "record": {"email": "a"}}]},
        ),
        ("POST", "/v1/opportunities", {"name": "A", "account_id": "acc_000001", "amount": 12.5}),
        ("GET", "/v1/users/usr_000002", None),
        ("GET", "/v1/users/nobody", None),
        ("GET", "/v1/users/count", None),
        ("GET", "/v1/users?nonsense=1", None),
        ("GET", "/v1/users?fields=id,email", None),
        ("DELETE", "/v1/users/usr_000002", None),
    ],
    "oa": [
        ("POST", "/api/user/create", {"name": "A"}),
        ("POST", "/api/user/create", {"name": 7}),
        ("POST", "/api/user/update", {"userId": "U000001", "position": "B"}),
        ("POST", "/api/approval/create", {"title": "A", "type": "LEAVE", "applicantId": "U000001", "formValues": [{"name": "a", "value": "b"}]}),
        ("GET", "/api/department/get?deptCode=001", None),
        ("GET", "/api/department/get?deptCode=x", None),
        ("GET", "/api/user/list?pageNo=0", None),
        ("POST", "/api/user/delete", {"userId": "U000001"}),
    ],
    "erp": [
        ("POST", "/api/customers", {"NAME": "A", "COUNTRY": "CN", "CREDIT_LIMIT": "12.50"}),
        ("POST", "/api/customers", {"NAME": "A", "COUNTRY": "XX", "CREDIT_LIMIT": 12.5}),
        ("POST", "/api/customers/bulk", {"KEY": "EXT_REF", "ITEMS": [{"EXT_REF": "n", "NAME": "A", "COUNTRY": "CN"}, {"EXT_REF": "m"}]}),
        ("POST", "/api/customers/bulk", {"MODE": "CREATE", "ITEMS": [{"NAME": "A", "COUNTRY": "CN"}]}),
        ("POST", "/api/customers/bulk", {"ITEMS": 7}),
        ("PATCH", "/api/products/HL-00001", {"PRICE": "7.00"}),
        ("PUT", "/api/sales_orders/4500000001", {"STATUS": "CLOSED"}),
        ("GET", "/api/sales_orders/4500000001", None),
        ("GET", "/api/sales_orders/1", None),
        ("DELETE", "/api/sales_orders/4500000001", None),
    ],
    "mrp": [
        ("POST", "/v2/production-orders", {"ItemCode": "HL-00001", "Quantity": 1, "DueDate": "01/02/2027 10:00"}),
        ("POST", "/v2/production-orders", {"ItemCode": "HL-00001"}),
        ("PUT", "/v2/production-orders/MO-000001", {"Priority": 3}),
        ("GET", "/v2/production-orders/MO-000001", None),
        ("GET", "/v2/production-orders/none", None),
        ("DELETE", "/v2/production-orders/MO-000001", None),
    ],
    "helpdesk": [
        ("POST", "/api/tickets", {"ticket": {"subject": "A", "tags": ["a"], "due-at": 1800000000}}),
        ("POST", "/api/tickets", {"subject": "A"}),
        ("PUT", "/api/tickets/100001", {"ticket": {"priority": "high"}}),
        ("GET", "/api/tickets/100001", None),
        ("GET", "/api/tickets/7", None),
        ("DELETE", "/api/tickets/100001", None),
    ],
    "marketing": [
        ("POST", "/v3/subscribers", {"email": "a@b.example"}),
        ("POST", "/v3/subscribers", {"email": "a@b.example"}),
        ("PUT", f"/v3/subscribers/{path_of('b@b.example')}", {"merge": {"FNAME": "B"}}),
        ("PUT", f"/v3/subscribers/{path_of('b@b.example')}", {"country": "XX"}),
        ("PATCH", f"/v3/subscribers/{path_of('b@b.example')}", {"tags": ["vip"]}),
        ("POST", "/v3/lists", {"name": "A"}),
        ("PATCH", "/v3/lists/l001", {"public": True}),
        ("GET", "/v3/lists/l001", None),
        ("GET", "/v3/lists/l999", None),
        ("DELETE", "/v3/lists/l001", None),
    ],
}


@pytest.mark.parametrize("system", WRITES)
def test_every_answer_to_a_write_is_as_its_document_says(speak, system):
    watched = Watched(speak(system))

    for method, path, body in WRITES[system]:
        watched.dialect.say(method, path, body)


def test_a_token_call_is_as_the_document_says(speak):
    crm, oa = Watched(speak("crm")).dialect, Watched(speak("oa")).dialect

    crm.call_token(grant_type="client_credentials")
    crm.call_token(grant_type="nonsense")
    oa.ask("GET", "/gettoken?appkey=hub&appsecret=oa-demo-secret")
    oa.ask("GET", "/gettoken")


def test_the_index_page_names_every_system_and_how_to_sign_in(sandbox, speak):
    import urllib.request

    with urllib.request.urlopen(sandbox.url) as answer:
        page = answer.read().decode()

    for system in DIALECTS:
        assert f"/{system}/openapi.json" in page
    for credential in ("crm-demo-secret", "oa-demo-secret", "erp-demo-key", "mrp-demo-secret", "helpdesk-demo-password", "marketing-demo-token"):
        assert credential in page
    assert "<script" not in page


def test_the_readme_names_every_field_option_and_order():
    readme = (ROOT / "sandbox" / "README.md").read_text("utf-8")

    def names(fields: tuple[Field, ...], prefix: str = "") -> list[str]:
        return [name for field in fields for name in (names(field.within, f"{field.name}.") if field.within else [prefix + field.name])]

    for system in SYSTEMS:
        part = readme.split(f"`/{system.name}`\n")[1].split("\n## ")[0]
        for entity in system.entities:
            section = part.split(f"### {entity.name}\n")[1].split("\n### ")[0]
            assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == names(entity.fields)
        assert all(value in part for value in (*system.credentials.values(),) if "demo" in value)
    for word in (*KINDS, *ORDERS):
        assert f"`{word}`" in readme, word
