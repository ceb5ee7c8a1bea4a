"""The marketing system: a fixed bearer token, bare arrays, page numbers with a Link header, subscribers put under their e-mail address."""

from __future__ import annotations

from typing import Any

import orjson

from sandbox.entities import Entity, Making
from sandbox.fields import BOOLEAN, COUNTRY, EMAIL, TEXTS, Field, Problem, moment
from sandbox.http import JSON, Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, ref, shape
from sandbox.people import dice
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object
from sandbox.systems.crm_entities import CONTACTS
from sandbox.times import ISO_OFFSET

TOKEN = "marketing-demo-token"  # noqa: S105  the demo's, on the index page for all to see
PARAMETERS = ("page", "per_page", "since")
LISTS = ("Newsletter", "产品通讯", "Events 2026", "Service bulletins", "经销商通知")
TAGS = ("customer", "newsletter", "trade fair", "经销商", "vip")


def make_subscriber(m: Making) -> Record:
    """The first contacts of the CRM signed up by themselves."""
    contact = CONTACTS.make(Making(m.seed, m.number, dice(m.seed, "crm.contacts", m.number), m.created, m.changed, is_dirty=False))
    return {
        "email": contact["email"].lower(),
        "status": m.chance.choice(("subscribed", "subscribed", "unsubscribed", "bounced")),
        "merge": {"FNAME": contact["name"]["first"], "LNAME": contact["name"]["last"], "COMPANY": None},
        "language": contact["language"],
        "country": contact["address"]["country"],
        "tags": m.chance.sample(TAGS, m.chance.randrange(3)),
        "lists": [f"l{m.chance.randrange(1, len(LISTS) + 1):03}"],
        "source": "sign-up form",
        "signup": ISO_OFFSET.write(m.created),
        "changed": ISO_OFFSET.write(m.changed),
    }


def make_list(m: Making) -> Record:
    name = LISTS[(m.number - 1) % len(LISTS)]
    return {
        "id": f"l{m.number:03}",
        "name": name if m.number <= len(LISTS) else f"{name} {m.number}",
        "public": m.chance.random() < 0.7,
        "changed": ISO_OFFSET.write(m.changed),
    }


SUBSCRIBERS = Entity(
    name="subscribers",
    key="email",
    changed="changed",
    created="signup",
    new_key=lambda n: f"subscriber{n}@unknown.example",
    base_count=60,
    make=make_subscriber,
    lookups=("status", "language"),
    fields=(
        Field("email", EMAIL, required=True, max_length=120, note="the key, in small letters; cannot be changed"),
        Field("status", choices=("subscribed", "unsubscribed", "bounced", "pending")),
        Field("merge", within=(Field("FNAME", max_length=60), Field("LNAME", max_length=60), Field("COMPANY", max_length=120))),
        Field("language", choices=("zh", "en", "de", "fr")),
        Field("country", COUNTRY),
        Field("tags", TEXTS),
        Field("lists", TEXTS, note="ids of lists"),
        Field("source", max_length=60),
        Field("signup", moment(ISO_OFFSET), read_only=True),
        Field("changed", moment(ISO_OFFSET), read_only=True),
    ),
)
MAILING_LISTS = Entity(
    name="lists",
    key="id",
    changed="changed",
    new_key=lambda n: f"l{n:03}",
    base_count=len(LISTS),
    make=make_list,
    lookups=("name",),
    fields=(
        Field("id", read_only=True),
        Field("name", required=True, max_length=80),
        Field("public", BOOLEAN),
        Field("changed", moment(ISO_OFFSET), read_only=True),
    ),
)


class Marketing(System):
    name = "marketing"
    title = "Sandbox marketing"
    about = "Fixed bearer token, bare arrays, page numbers with a Link header, upsert by e-mail address, times with the offset -05:00"
    credentials = {"token": TOKEN}
    times = ISO_OFFSET
    entities = (SUBSCRIBERS, MAILING_LISTS)
    page_size = 50
    max_page_size = 250

    def authenticate(self, request: Request) -> None:
        if request.header(b"authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "unauthorized", "The token is missing or wrong.", (), (b"www-authenticate", b"Bearer"))

    def error(self, refused: Refused) -> Answer:
        errors: dict[str, list[str]] = {}
        for problem in refused.problems:
            errors.setdefault(problem.field, []).append(problem.message)
        return json_answer({"message": refused.message, "code": refused.code, "errors": errors}, refused.status, *refused.headers)

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["v3", "account"]:
                request.what = "account"
                return json_answer({"account": "Hailan Instruments", "plan": "demo"})
            case "GET", ["v3", name]:
                return self._list(request, self.entity(name))
            case "POST", ["v3", name]:
                request.what = f"create {name}"
                return json_answer(self.create(self.entity(name), request.json()), 201)
            case _, ["v3", name, key]:
                entity = self.entity(name)
                return self._one(request, entity, key.lower() if entity is SUBSCRIBERS else key)
        raise Refused(404, "not_found", f"There is no {request.method} {request.path}.")

    def _one(self, request: Request, entity: Entity, key: str) -> Answer:
        match request.method:
            case "GET":
                request.what = f"get {entity.name}"
                return json_answer(self.record(entity, key))
            case "PUT" if entity is SUBSCRIBERS:
                request.what = f"upsert {entity.name}"
                record, is_new = self.upsert(entity, "email", {**as_object(request.json()), "email": key})
                return json_answer(record, 201 if is_new else 200)
            case "PATCH":
                request.what = f"update {entity.name}"
                values = as_object(request.json())
                if entity is SUBSCRIBERS and str(values.get("email", key)).lower() != key:
                    raise Refused(
                        422,
                        "not_allowed",
                        "The e-mail address is the key and cannot be changed.",
                        [Problem("email", "not_allowed", "Cannot be changed.")],
                    )
                return json_answer(self.update(entity, key, {**values, "email": key} if entity is SUBSCRIBERS else values))
            case "DELETE":
                request.what = f"delete {entity.name}"
                self.delete(entity, key)
                return Answer(204, b"", [])
        raise Refused(405, "method_not_allowed", f"{request.method} is not possible here.")

    def new_key(self, entity: Entity, number: int, values: Record) -> Key:
        if entity is not SUBSCRIBERS or "email" not in values:
            return entity.new_key(number)
        email: str = values["email"].lower()
        if email in self.tables[entity.name].rows:
            raise Refused(409, "not_unique", f"{email} is subscribed already.", [Problem("email", "not_unique", "Taken.")])
        return email

    def defaults(self, entity: Entity, record: Record) -> None:
        if entity is SUBSCRIBERS:
            record.update(status=record["status"] or "pending", tags=record["tags"] or [], lists=record["lists"] or [])

    def _list(self, request: Request, entity: Entity) -> Answer:
        """A bare array; the Link header leads to first, prev, next and last, X-Total-Count says how many there are."""
        request.what = f"list {entity.name}"
        query = request.query
        size = self.number(query.get("per_page"), self.page_size, "per_page", least=1, most=self.max_page_size)
        page = self.number(query.get("page"), 1, "page", least=1)
        table = self.tables[entity.name]
        keys = self.lookup_keys(entity, query, PARAMETERS)
        if keys is not None:
            request.what = f"lookup {entity.name}"
        else:
            keys = table.keys_since(self.moment(query["since"], "since")) if query.get("since") else table.keys()
        records = self.faulty_page(request, [table.rows[key] for key in keys[(page - 1) * size : page * size]])
        last = max(-(-len(keys) // size), 1)
        pages = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
        if request.fault:
            pages["next"] = page if request.fault["kind"] == "stuck_page" else last + 1 if request.fault["kind"] == "empty" else page + 1
        links = ", ".join(f'<{request.url(page=number)}>; rel="{relation}"' for relation, number in pages.items() if 1 <= number <= last)
        return Answer(200, orjson.dumps(records), [JSON, (b"link", links.encode()), (b"x-total-count", str(len(keys)).encode())])

    def openapi(self, origin: str) -> dict[str, Any]:
        error = shape("*", message=TEXT, code=TEXT, errors={"type": "object", "additionalProperties": listed(TEXT)})
        document = Document(self, origin, security={"token": {"type": "http", "scheme": "bearer"}}, error=error)
        document.add("GET", "/v3/account", "Whose account this is", {200: shape("*", account=TEXT, plan=TEXT)})
        for entity in self.entities:
            name, path = model_name(entity), f"/v3/{entity.name}"
            one, write, address = ref(name), ref(f"{name}Write"), f"/v3/{entity.name}/{{{entity.key}}}"
            query = {"page": WHOLE, "per_page": WHOLE, "since": TEXT, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            document.add("GET", path, f"List {entity.name}", {200: listed(one)}, query=query)
            document.add("POST", path, f"Create one of {entity.name}", {201: one}, body=ref(f"{name}Create"))
            document.add("GET", address, f"Get one of {entity.name}", {200: one})
            document.add("PATCH", address, f"Update one of {entity.name}", {200: one}, body=write)
            if entity is SUBSCRIBERS:
                document.add("PUT", address, "Create or update a subscriber", {200: one, 201: one}, body=write)
            document.add("DELETE", address, f"Delete one of {entity.name}", {204: None})
        return document.done()
