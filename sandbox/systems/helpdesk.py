"""The help desk: basic authentication, kebab-case, Unix seconds, a cursor in the body, records wrapped under their name."""

from __future__ import annotations

from typing import Any

from sandbox.entities import DAY, Entity, Making
from sandbox.fields import EMAIL, INTEGER, TEXTS, Field, Problem, moment
from sandbox.http import Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, or_null, ref, shape
from sandbox.people import company, person
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object, invalid, read_cursor, write_cursor
from sandbox.systems.oauth import basic_credentials
from sandbox.times import EPOCH_SECONDS

PARAMETERS = ("limit", "cursor", "updated-since")
SUBJECTS = (
    "传感器读数漂移",
    "Display stays dark after power-up",
    "发票抬头需要更正",
    "Calibration certificate missing",
    "Wrong flange delivered",
    "报价单有误",
    "How do I reset the password?",
    "交货延期咨询",
)
STATUSES = ("new", "open", "pending", "solved", "closed")


def make_ticket(m: Making) -> Record:
    number = m.chance.randrange(1, 181)
    of = company(m.seed, number)
    who = person(m.chance, m.number, chinese=0.9 if of.address.country == "CN" else 0.05)
    flaw = m.flaw("no email", "subject")
    return {
        "id": 100_000 + m.number,
        "external-id": None,
        "subject": "" if flaw == "subject" else m.chance.choice(SUBJECTS),
        "description": m.chance.choice(("见附件。", "Please call back.\nThank you!", "Since Monday the value is 3 % too high.", "")),
        "status": m.chance.choice(STATUSES),
        "priority": m.chance.choice(("low", "normal", "normal", "high", "urgent")),
        "requester-name": who.name,
        "requester-email": None if flaw == "no email" else f"{who.mailbox}@{of.domain}",
        "organization": of.name,
        "assignee": f"U{m.chance.randrange(1, 241):06}" if m.chance.random() < 0.7 else None,
        "tags": m.chance.sample(("sensor", "billing", "delivery", "投诉"), m.chance.randrange(3)),
        "satisfaction": m.chance.choice((None, None, 1, 3, 4, 5)),
        "due-at": m.created // 1000 + m.chance.randrange(1, 14) * DAY // 1000,
        "created-at": m.created // 1000,
        "updated-at": m.changed // 1000,
    }


TICKETS = Entity(
    name="tickets",
    key="id",
    changed="updated-at",
    created="created-at",
    new_key=lambda n: 100_000 + n,
    base_count=200,
    make=make_ticket,
    dirt=0.03,
    grows=True,
    lookups=("external-id", "requester-email", "status"),
    edits={
        "status": lambda chance: chance.choice(STATUSES),
        "priority": lambda chance: chance.choice(("low", "normal", "high", "urgent")),
        "assignee": lambda chance: f"U{chance.randrange(1, 241):06}",
    },
    fields=(
        Field("id", INTEGER, read_only=True, note="a number"),
        Field("external-id", max_length=64),
        Field("subject", required=True, max_length=150),
        Field("description", max_length=65_535),
        Field("status", choices=STATUSES),
        Field("priority", choices=("low", "normal", "high", "urgent")),
        Field("requester-name", max_length=80),
        Field("requester-email", EMAIL),
        Field("organization", max_length=120),
        Field("assignee", max_length=32),
        Field("tags", TEXTS),
        Field("satisfaction", INTEGER, choices=(1, 2, 3, 4, 5)),
        Field("due-at", moment(EPOCH_SECONDS)),
        Field("created-at", moment(EPOCH_SECONDS), read_only=True),
        Field("updated-at", moment(EPOCH_SECONDS), read_only=True),
    ),
)


class HelpDesk(System):
    name = "helpdesk"
    title = "Sandbox help desk"
    about = "Basic authentication, a cursor in the body, kebab-case, Unix seconds, numbers as keys, records wrapped under their name"
    credentials = {"user": "hub@hailan.example", "password": "helpdesk-demo-password"}
    times = EPOCH_SECONDS
    entities = (TICKETS,)
    max_page_size = 200

    def authenticate(self, request: Request) -> None:
        if basic_credentials(request) != ("hub@hailan.example", "helpdesk-demo-password"):
            raise Refused(401, "unauthorized", "User or password is wrong.", (), (b"www-authenticate", b'Basic realm="help desk"'))

    def error(self, refused: Refused) -> Answer:
        """Errors in the manner of JSON:API: one for each field."""
        problems = refused.problems or [Problem("", refused.code, refused.message)]
        errors = [
            {
                "status": str(refused.status),
                "code": problem.code,
                "detail": problem.message,
                **({"source": {"pointer": f"/{problem.field}"}} if problem.field else {}),
            }
            for problem in problems
        ]
        return json_answer({"errors": errors}, refused.status, *refused.headers)

    def key_of(self, entity: Entity, text: str) -> Key:
        return int(text) if text.isdecimal() else text

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["api", "me"]:
                request.what = "me"
                return json_answer({"user": {"email": "hub@hailan.example", "role": "agent"}})
            case "GET", ["api", name]:
                return self._list(request, self.entity(name))
            case "POST", ["api", name]:
                request.what = f"create {name}"
                return _wrapped(self.create(self.entity(name), _unwrapped(request)), 201)
            case "GET", ["api", name, key]:
                request.what = f"get {name}"
                entity = self.entity(name)
                return _wrapped(self.record(entity, self.key_of(entity, key)))
            case "PUT", ["api", name, key]:
                request.what = f"update {name}"
                entity = self.entity(name)
                return _wrapped(self.update(entity, self.key_of(entity, key), _unwrapped(request)))
            case "DELETE", ["api", name, key]:
                request.what = f"delete {name}"
                entity = self.entity(name)
                self.delete(entity, self.key_of(entity, key))
                return Answer(204, b"", [])
        raise Refused(404, "not_found", f"There is no {request.method} {request.path}.")

    def defaults(self, entity: Entity, record: Record) -> None:
        record["status"] = record["status"] or "new"
        record["priority"] = record["priority"] or "normal"

    def _list(self, request: Request, entity: Entity) -> Answer:
        """In the order (updated-at, id)."""
        request.what = f"list {entity.name}"
        query = request.query
        limit = self.number(query.get("limit"), self.page_size, "limit", least=1, most=self.max_page_size)
        table = self.tables[entity.name]
        following: str | None = None
        keys = self.lookup_keys(entity, query, PARAMETERS)
        if keys is not None:
            request.what = f"lookup {entity.name}"
            keys = keys[: self.max_page_size]
        else:
            stamp, key = self._place(query)
            keys = table.changed_after(stamp, key, limit + 1)
            if len(keys) > limit:
                keys.pop()
                following = self.faulty_next(request, write_cursor(table.stamps[keys[-1]], keys[-1]), query.get("cursor", ""))
        records = self.faulty_page(request, [table.rows[key] for key in keys])
        return json_answer({entity.name: records, "meta": {"has-more": following is not None, "next-cursor": following}})

    def _place(self, query: dict[str, str]) -> tuple[int, Key | None]:
        if query.get("cursor"):
            return read_cursor(query["cursor"], int)
        return self.number(query.get("updated-since"), 0, "updated-since") * 1000, None

    def openapi(self, origin: str) -> dict[str, Any]:
        error = shape("*", errors=listed(shape("status code detail", status=TEXT, code=TEXT, detail=TEXT, source={"type": "object"})))
        document = Document(self, origin, security={"basic": {"type": "http", "scheme": "basic"}}, error=error)
        document.add("GET", "/api/me", "Who am I", {200: shape("*", user=shape("*", email=TEXT, role=TEXT))})
        for entity in self.entities:
            name, path, wrapper = model_name(entity), f"/api/{entity.name}", entity.name.removesuffix("s")
            one = shape("*", **{wrapper: ref(name)})
            query = {"limit": WHOLE, "cursor": TEXT, "updated-since": WHOLE, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            meta = shape("*", **{"has-more": {"type": "boolean"}, "next-cursor": or_null(TEXT)})
            document.add("GET", path, f"List {entity.name}", {200: shape("*", **{entity.name: listed(ref(name)), "meta": meta})}, query=query)
            document.add("POST", path, f"Create one of {entity.name}", {201: one}, body=shape("*", **{wrapper: ref(f"{name}Create")}))
            document.add("GET", f"{path}/{{id}}", f"Get one of {entity.name}", {200: one})
            document.add(
                "PUT",
                f"{path}/{{id}}",
                f"Update one of {entity.name}: the fields that are sent",
                {200: one},
                body=shape("*", **{wrapper: ref(f"{name}Write")}),
            )
            document.add("DELETE", f"{path}/{{id}}", f"Delete one of {entity.name}", {204: None})
        return document.done()


def _wrapped(record: Record, status: int = 200) -> Answer:
    return json_answer({"ticket": record}, status)


def _unwrapped(request: Request) -> Any:
    body = as_object(request.json())
    if "ticket" not in body:
        raise invalid([Problem("ticket", "required", 'The record is expected under "ticket".')])
    return body["ticket"]
