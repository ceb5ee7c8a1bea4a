"""Each system as a program that knows nothing but its description speaks to it, on the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Dialect:
    """`records(entity, **query)` reads every page; `create`, `update` return the reply; `key` is the entity's key field."""

    system = ""
    entities: dict[str, str] = {}

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=10)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request without credentials; `path` is behind the system's prefix."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if data is not None and "content-type" not in headers:
            headers["content-type"] = "application/json"
        self.connection.close()
        self.connection.request(method, f"/{self.system}{path}", data, headers)
        answer = self.connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request with credentials."""
        return self.ask(method, path, body, **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        raise NotImplementedError

    def records(self, entity: str, **query: Any) -> list[dict[str, Any]]:
        return [record for page in self.walk(entity, **query) for record in page]

    def refusal(self, reply: Reply) -> bool:
        return reply.status == 401

    def behind(self, url: str) -> str:
        """A whole address as a path behind the prefix."""
        parts = urlsplit(url)
        return f"{parts.path.removeprefix('/' + self.system)}?{parts.query}"


class CrmDialect(Dialect):
    system = "crm"
    entities = {"accounts": "id", "contacts": "id", "opportunities": "id", "users": "id"}
    ping = "/v1/me"
    token = ""

    def call_token(self, **form: str) -> Reply:
        form = {"client_id": "hub", "client_secret": "crm-demo-secret", **form}
        return self.ask("POST", "/oauth/token", urlencode(form).encode(), **{"content-type": "application/x-www-form-urlencoded"})

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        if not self.token:
            self.token = self.call_token(grant_type="client_credentials").json["access_token"]
        return self.ask(method, path, body, authorization=f"Bearer {self.token}", **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages, path = [], f"/v1/{entity}?{urlencode(query)}"
        while path:
            reply = self.say("GET", path)
            pages.append(reply.json["data"])
            link = re.match(r'<(.*)>; rel="next"', reply.headers.get("link", ""))
            assert bool(link) == bool(reply.json["next_cursor"])
            path = self.behind(link[1]) if link else ""
        return pages


class OaDialect(Dialect):
    system = "oa"
    entities = {"user": "userId", "department": "deptCode", "approval": "instanceId"}
    ping = "/api/department/list"
    token = ""

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        if not self.token:
            self.token = self.ask("GET", "/gettoken?appkey=hub&appsecret=oa-demo-secret").json["access_token"]
        return self.ask(method, f"{path}{'&' if '?' in path else '?'}access_token={self.token}", body, **headers)

    def refusal(self, reply: Reply) -> bool:
        return reply.status == 200 and reply.json["errcode"] == 40014

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages: list[list[dict[str, Any]]] = []
        while True:
            result = self.say("GET", f"/api/{entity}/list?{urlencode({**query, 'pageNo': len(pages) + 1})}").json["result"]
            pages.append(result["list"])
            if not result["hasMore"]:
                return pages


class ErpDialect(Dialect):
    system = "erp"
    entities = {"customers": "CUSTOMER_NO", "products": "SKU", "sales_orders": "ORDER_NO"}
    ping = "/api/ping"

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return self.ask(method, path, body, **{"X-API-Key": "erp-demo-key"}, **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages: list[list[dict[str, Any]]] = []
        offset = 0
        while True:
            answer = self.say("GET", f"/api/{entity}?{urlencode({**query, 'OFFSET': offset})}").json
            pages.append(answer["ITEMS"])
            offset += len(answer["ITEMS"])
            if not answer["ITEMS"] or offset >= answer["TOTAL"]:
                return pages


class MrpDialect(Dialect):
    system = "mrp"
    entities = {"production-orders": "OrderNo"}
    ping = "/v2/plant"

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        path = path.removesuffix("?")
        stamp = str(int(time.time()))
        text = f"{stamp}\n{method}\n/mrp{path}\n{hashlib.sha256(data).hexdigest()}"
        signature = hmac.new(b"mrp-demo-secret", text.encode(), hashlib.sha256).hexdigest()
        return self.ask(method, path, data, **{"X-Key-Id": "hub", "X-Timestamp": stamp, "X-Signature": signature}, **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages, path = [], f"/v2/{entity}?{urlencode(query)}"
        while path:
            answer = self.say("GET", path).json
            pages.append([dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]])
            path = self.behind(answer["next"]) if answer["next"] else ""
        return pages


class HelpDeskDialect(Dialect):
    system = "helpdesk"
    entities = {"tickets": "id"}
    ping = "/api/me"

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        credentials = base64.b64encode(b"hub@hailan.example:helpdesk-demo-password").decode()
        return self.ask(method, path, body, authorization=f"Basic {credentials}", **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages = []
        while True:
            answer = self.say("GET", f"/api/{entity}?{urlencode(query)}").json
            pages.append(answer[entity])
            if not answer["meta"]["has-more"]:
                return pages
            query["cursor"] = answer["meta"]["next-cursor"]


class MarketingDialect(Dialect):
    system = "marketing"
    entities = {"subscribers": "email", "lists": "id"}
    ping = "/v3/account"

    def say(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return self.ask(method, path, body, authorization="Bearer marketing-demo-token", **headers)

    def walk(self, entity: str, **query: Any) -> list[list[dict[str, Any]]]:
        pages, path = [], f"/v3/{entity}?{urlencode(query)}"
        while path:
            reply = self.say("GET", path)
            pages.append(reply.json)
            link = re.search(r'<([^>]*)>; rel="next"', reply.headers["link"])
            path = self.behind(link[1]) if link else ""
        return pages


DIALECTS = {dialect.system: dialect for dialect in (CrmDialect, OaDialect, ErpDialect, MrpDialect, HelpDeskDialect, MarketingDialect)}
ENTITIES = [(name, entity) for name, dialect in DIALECTS.items() for entity in dialect.entities]


def path_of(text: str) -> str:
    return quote(text, safe="")
