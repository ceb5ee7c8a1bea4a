"""The CRM: OAuth 2, snake_case, nested objects, ISO 8601 with Z, a cursor in the body and a Link header, RFC 9457 errors."""

from __future__ import annotations

from typing import Any

import orjson

from sandbox.entities import Entity
from sandbox.fields import Problem
from sandbox.http import Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, or_null, ref, shape
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object, invalid, read_cursor, write_cursor
from sandbox.systems.crm_entities import ACCOUNTS, CONTACTS, OPPORTUNITIES, USERS
from sandbox.systems.oauth import OAuth
from sandbox.times import ISO_Z

PARAMETERS = ("limit", "cursor", "updated_since", "updated_before", "fields")
PROBLEM_JSON = (b"content-type", b"application/problem+json")
BATCH_LIMIT = 200


class Crm(System):
    name = "crm"
    title = "Sandbox CRM"
    about = "OAuth 2 (client credentials or authorization code), cursor in the body and Link header, snake_case, ISO 8601 with Z"
    credentials = {"client_id": "hub", "client_secret": "crm-demo-secret", "token_url": "/crm/oauth/token", "authorize_url": "/crm/oauth/authorize"}
    times = ISO_Z
    entities = (ACCOUNTS, CONTACTS, OPPORTUNITIES, USERS)
    max_page_size = 500
    token_lasts = 3600

    def __init__(self, **kept: Any) -> None:
        super().__init__(**kept)
        self.oauth = OAuth(self.credentials["client_id"], self.credentials["client_secret"], self.memory, self.clock)

    def open_door(self, request: Request) -> Answer | None:
        if request.parts == ["oauth", "token"] and request.method == "POST":
            request.what = "token"
            return self.oauth.token(request, self.token_seconds)
        if request.parts == ["oauth", "authorize"] and request.method in ("GET", "POST"):
            request.what = "authorize"
            return self.oauth.authorize(request)
        return None

    def authenticate(self, request: Request) -> None:
        scheme, _, token = request.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not self.oauth.is_valid(token):
            raise Refused(
                401, "unauthorized", "The access token is missing, unknown or expired.", (), (b"www-authenticate", b'Bearer error="invalid_token"')
            )

    def expire_tokens(self, *, refresh: bool) -> int:
        return self.oauth.expire_all() + (self.oauth.revoke_refresh_tokens() if refresh else 0)

    def error(self, refused: Refused) -> Answer:
        body: dict[str, Any] = {
            "type": f"https://crm.example/problems/{refused.code}",
            "title": refused.code.replace("_", " ").capitalize(),
            "status": refused.status,
            "detail": refused.message,
        }
        if refused.problems:
            body["errors"] = [problem._asdict() for problem in refused.problems]
        return Answer(refused.status, orjson.dumps(body), [PROBLEM_JSON, *refused.headers, *self._limits()])

    def _limits(self) -> list[tuple[bytes, bytes]]:
        if not self.per_minute:
            return []
        reset = str(60 - self.clock.now() // 1000 % 60).encode()
        return [
            (b"x-ratelimit-limit", str(self.per_minute).encode()),
            (b"x-ratelimit-remaining", str(self.remaining).encode()),
            (b"x-ratelimit-reset", reset),
        ]

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["v1", "me"]:
                request.what = "me"
                return json_answer({"client_id": "hub", "organization": "Hailan Instruments 海岚仪器"}, 200, *self._limits())
            case "GET", ["v1", name]:
                return self._list(request, self.entity(name))
            case "POST", ["v1", name]:
                request.what = f"create {name}"
                return self._one(self.create(self.entity(name), request.json()), 201)
            case "GET", ["v1", name, "count"]:
                return self._count(request, self.entity(name))
            case "POST", ["v1", name, "batch"]:
                return self._batch(request, self.entity(name))
            case "PUT", ["v1", name, "external", external_id]:
                request.what = f"upsert {name}"
                record, is_new = self.upsert(self.entity(name), "external_id", {**as_object(request.json()), "external_id": external_id})
                return self._one(record, 201 if is_new else 200)
            case "GET", ["v1", name, key]:
                request.what = f"get {name}"
                return self._one(self.record(self.entity(name), key))
            case "PATCH", ["v1", name, key]:
                request.what = f"update {name}"
                return self._one(self.update(self.entity(name), key, request.json()))
            case "DELETE", ["v1", name, key]:
                request.what = f"delete {name}"
                self.delete(self.entity(name), key)
                return Answer(204, b"", self._limits())
        raise Refused(404, "not_found", f"There is no {request.method} {request.path}.")

    def _one(self, record: Record, status: int = 200) -> Answer:
        return json_answer(record, status, *self._limits())

    def _count(self, request: Request, entity: Entity) -> Answer:
        request.what = f"count {entity.name}"
        table = self.tables[entity.name]
        since = request.query.get("updated_since")
        return json_answer({"count": len(table.keys_since(self.moment(since, "updated_since"))) if since else len(table)}, 200, *self._limits())

    def defaults(self, entity: Entity, record: Record) -> None:
        if entity is USERS and record["is_active"] is None:
            record["is_active"] = True

    def _list(self, request: Request, entity: Entity) -> Answer:
        request.what = f"list {entity.name}"
        query = request.query
        limit = self.number(query.get("limit"), self.page_size, "limit", least=1, most=self.max_page_size)
        found = self.lookup_keys(entity, query, PARAMETERS)
        if found is not None:
            request.what = f"lookup {entity.name}"
            keys, following = found[: self.max_page_size], None
        else:
            keys, following = self._page(request, entity, limit)
        rows = self.tables[entity.name].rows
        records = self.faulty_page(request, [rows[key] for key in keys])
        if "fields" in query:
            chosen = [name for name in query["fields"].split(",") if name in entity.checker.fields]
            records = [{name: record.get(name) for name in chosen} for record in records]
        headers = self._limits()
        if following is not None:
            headers.append((b"link", f'<{request.url(cursor=following)}>; rel="next"'.encode()))
        return json_answer({"data": records, "next_cursor": following}, 200, *headers)

    def _page(self, request: Request, entity: Entity, limit: int) -> tuple[list[Key], str | None]:
        """In the order (updated_at, id), behind the cursor."""
        query = request.query
        table = self.tables[entity.name]
        stamp, key = 0, None
        if "updated_since" in query:
            stamp = self.moment(query["updated_since"], "updated_since")
        if query.get("cursor"):
            stamp, key = read_cursor(query["cursor"], str)
        before = self.moment(query["updated_before"], "updated_before") if "updated_before" in query else None
        keys = table.changed_after(stamp, key, limit + 1, before)
        if len(keys) <= limit:
            return keys, None
        keys.pop()
        following = write_cursor(table.stamps[keys[-1]], keys[-1])
        return keys, self.faulty_next(request, following, query.get("cursor") or write_cursor(stamp, key or ""))

    def _batch(self, request: Request, entity: Entity) -> Answer:
        """Several writes at once, each with a result of its own: {"operations": [{"method": "create|update|upsert|delete", "id"?, "record"?}]}."""
        request.what = f"batch {entity.name}"
        operations = as_object(request.json()).get("operations")
        if not isinstance(operations, list) or len(operations) > BATCH_LIMIT:
            raise invalid([Problem("operations", "invalid", f"operations must be a list of at most {BATCH_LIMIT}.")])
        results = [self._operation(request, entity, number, operation) for number, operation in enumerate(operations)]
        return json_answer({"results": results}, 207 if any(r["status"] >= 400 for r in results) else 200, *self._limits())

    def _operation(self, request: Request, entity: Entity, number: int, operation: Any) -> dict[str, Any]:
        operation = as_object(operation)
        record = operation.get("record")
        try:
            self.faulty_row(request, number)
            match operation.get("method"):
                case "create":
                    return {"index": number, "status": 201, "id": self.create(entity, record)["id"]}
                case "update":
                    return {"index": number, "status": 200, "id": self.update(entity, operation.get("id", ""), record)["id"]}
                case "upsert":
                    made, is_new = self.upsert(entity, "external_id", record)
                    return {"index": number, "status": 201 if is_new else 200, "id": made["id"]}
                case "delete":
                    self.delete(entity, operation.get("id", ""))
                    return {"index": number, "status": 204, "id": operation.get("id", "")}
            raise invalid([Problem("method", "not_allowed", "method must be create, update, upsert or delete.")])
        except Refused as refused:
            errors = [problem._asdict() for problem in refused.problems]
            return {"index": number, "status": refused.status, "detail": refused.message, "errors": errors}

    def openapi(self, origin: str) -> dict[str, Any]:
        error = shape(
            "type title status detail",
            type=TEXT,
            title=TEXT,
            status=WHOLE,
            detail=TEXT,
            errors=listed(shape("*", field=TEXT, code=TEXT, message=TEXT)),
        )
        flows = {
            "clientCredentials": {"tokenUrl": "/crm/oauth/token", "scopes": {}},
            "authorizationCode": {
                "authorizationUrl": "/crm/oauth/authorize",
                "tokenUrl": "/crm/oauth/token",
                "refreshUrl": "/crm/oauth/token",
                "scopes": {},
            },
        }
        document = Document(self, origin, security={"oauth": {"type": "oauth2", "flows": flows}}, error=error)
        problem: dict[str, Any] = {"error_media": "application/problem+json"}
        token = shape("access_token token_type expires_in", access_token=TEXT, token_type=TEXT, expires_in=WHOLE, scope=TEXT, refresh_token=TEXT)
        document.schemas["TokenError"] = shape("*", error=TEXT, error_description=TEXT)
        form = shape(
            "grant_type",
            **dict.fromkeys(("grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token"), TEXT),
        )
        document.add(
            "POST", "/oauth/token", "Get tokens", {200: token, 400: ref("TokenError"), 401: ref("TokenError")},
            body=form, media="application/x-www-form-urlencoded", errors="", is_open=True,
        )  # fmt: skip
        document.add("GET", "/v1/me", "Who am I", {200: shape("*", client_id=TEXT, organization=TEXT)}, **problem)
        for entity in self.entities:
            name, path = model_name(entity), f"/v1/{entity.name}"
            one, write = ref(name), ref(f"{name}Write")
            paging = {"limit": WHOLE, "cursor": TEXT, "updated_since": TEXT, "updated_before": TEXT, "fields": TEXT}
            query = {**paging, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            document.add(
                "GET",
                path,
                f"List {entity.name}",
                {200: shape("*", data=listed({"anyOf": [one, {"type": "object"}]}), next_cursor=or_null(TEXT))},
                query=query,
                **problem,
            )
            document.add("POST", path, f"Create one of {entity.name}", {201: one}, body=ref(f"{name}Create"), **problem)
            document.add("GET", f"{path}/count", f"Count {entity.name}", {200: shape("*", count=WHOLE)}, query={"updated_since": TEXT}, **problem)
            operation = shape("method", method={"enum": ["create", "update", "upsert", "delete"]}, id=TEXT, record={"type": "object"})
            result = shape("index status", index=WHOLE, status=WHOLE, id=TEXT, detail=TEXT, errors=listed({"type": "object"}))
            results = shape("*", results=listed(result))
            document.add(
                "POST",
                f"{path}/batch",
                "Several writes at once",
                {200: results, 207: results},
                body=shape("*", operations=listed(operation)),
                **problem,
            )
            document.add("PUT", f"{path}/external/{{external_id}}", "Create or update by external id", {200: one, 201: one}, body=write, **problem)
            document.add("GET", f"{path}/{{id}}", f"Get one of {entity.name}", {200: one}, **problem)
            document.add("PATCH", f"{path}/{{id}}", f"Update one of {entity.name}", {200: one}, body=write, **problem)
            document.add("DELETE", f"{path}/{{id}}", f"Delete one of {entity.name}", {204: None}, **problem)
        return document.done()
