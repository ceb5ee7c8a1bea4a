"""The OA, as Chinese office systems are: a token call with app key and secret, the token in the query, always HTTP 200 with errcode and errmsg,
pages by number, camelCase, moments of Asia/Shanghai without a zone."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

from sandbox.entities import Entity, Making
from sandbox.fields import ANY_LIST, DATE, EMAIL, INTEGER, Field, moment
from sandbox.http import Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, ref, shape
from sandbox.people import Person, dice, person
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object
from sandbox.times import EPOCH_MILLISECONDS, LOCAL

PARAMETERS = ("access_token", "pageNo", "pageSize", "modifiedSince")
ERRORS = {
    "unauthorized": 40014,
    "expired": 42001,
    "validation_failed": 40035,
    "not_found": 60121,
    "not_unique": 60102,
    "rate_limited": 45009,
    "not_json": 47001,
}
POSITIONS = ("工程师", "销售经理", "采购专员", "财务主管", "Software engineer", "HR manager", "生产主管", "质检员", "Project manager", "总经理助理")
DEPARTMENTS = ["总经办", "销售部", "市场部", "研发部", "采购部", "生产部", "质量部", "财务部", "人事行政部", "信息部", "客服部", "仓储物流部"]


@lru_cache(maxsize=1024)
def employee(seed: int, number: int) -> Person:
    """The same people work in the OA and use the CRM."""
    return person(dice(seed, "employee", number), number, chinese=0.75)


def make_user(m: Making) -> Record:
    who = employee(m.seed, m.number)
    flaw = m.flaw("email", "no email", "mobile", "name")
    return {
        "userId": f"U{m.number:06}",
        "name": "" if flaw == "name" else who.name,
        "enName": who.english_name,
        "email": None if flaw == "no email" else f"{who.mailbox}#hailan.example" if flaw == "email" else f"{who.mailbox}@hailan.example",
        "mobile": "待补" if flaw == "mobile" else who.mobile,
        "deptCode": f"{m.chance.randrange(1, 25):03}",
        "position": m.chance.choice(POSITIONS),
        "status": m.chance.choices((1, 2, 3), (92, 4, 4))[0],
        "hireDate": f"{m.chance.randrange(2008, 2026)}-{m.chance.randrange(1, 13):02}-{m.chance.randrange(1, 29):02}",
        "createTime": m.created,
        "modifiedTime": LOCAL.write(m.changed),
    }


def make_department(m: Making) -> Record:
    name = DEPARTMENTS[(m.number - 1) % len(DEPARTMENTS)]
    return {
        "deptCode": f"{m.number:03}",
        "name": name if m.number <= len(DEPARTMENTS) else f"{name}{(m.number - 1) // len(DEPARTMENTS)}组",
        "parentCode": "001" if 1 < m.number <= len(DEPARTMENTS) else f"{(m.number - 1) % len(DEPARTMENTS) + 1:03}" if m.number > 1 else None,
        "managerId": f"U{m.chance.randrange(1, 241):06}",
        "createTime": m.created,
        "modifiedTime": LOCAL.write(m.changed),
    }


def make_approval(m: Making) -> Record:
    kind, label = m.chance.choice((("LEAVE", "请假"), ("EXPENSE", "报销"), ("PURCHASE", "采购"), ("CONTRACT", "合同")))
    status = m.chance.choice(("RUNNING", "COMPLETED", "COMPLETED", "TERMINATED"))
    return {
        "instanceId": f"{m.number:04}-{m.chance.randrange(16**8):08x}",
        "title": f"{employee(m.seed, m.chance.randrange(1, 241)).name}的{label}申请",
        "type": kind,
        "status": status,
        "applicantId": f"U{m.chance.randrange(1, 241):06}",
        "formValues": [
            {"name": "金额", "value": f"{m.chance.randrange(100, 90000)}.00"},
            {"name": "备注", "value": m.chance.choice(("", "加急", "per contract"))},
        ],
        "finishTime": m.changed if status != "RUNNING" else None,
        "createTime": m.created,
        "modifiedTime": LOCAL.write(m.changed),
    }


_TIMES = (Field("createTime", moment(EPOCH_MILLISECONDS), read_only=True), Field("modifiedTime", moment(LOCAL), read_only=True))

USERS = Entity(
    name="user",
    key="userId",
    changed="modifiedTime",
    created="createTime",
    new_key=lambda n: f"U{n:06}",
    base_count=240,
    make=make_user,
    dirt=0.04,
    grows=True,
    lookups=("email", "deptCode"),
    edits={
        "position": lambda chance: chance.choice(POSITIONS),
        "mobile": lambda chance: f"+86 138{chance.randrange(10**7, 10**8)}",
        "status": lambda chance: chance.choices((1, 2), (9, 1))[0],
        "deptCode": lambda chance: f"{chance.randrange(1, 25):03}",
    },
    fields=(
        Field("userId", read_only=True, note="number of the employee, with leading zeros"),
        Field("name", required=True, max_length=40),
        Field("enName", max_length=80),
        Field("email", EMAIL, max_length=120),
        Field("mobile", max_length=40),
        Field("deptCode", note="deptCode of a department, with leading zeros"),
        Field("position", max_length=60),
        Field("status", INTEGER, choices=(1, 2, 3), note="1 at work, 2 on leave, 3 left"),
        Field("hireDate", DATE),
        *_TIMES,
    ),
)
DEPARTMENT = Entity(
    name="department",
    key="deptCode",
    changed="modifiedTime",
    created="createTime",
    new_key=lambda n: f"{n:03}",
    base_count=24,
    make=make_department,
    lookups=("parentCode",),
    fields=(
        Field("deptCode", read_only=True),
        Field("name", required=True, max_length=60),
        Field("parentCode", note="deptCode of the department above"),
        Field("managerId", note="userId"),
        *_TIMES,
    ),
)
APPROVALS = Entity(
    name="approval",
    key="instanceId",
    changed="modifiedTime",
    created="createTime",
    new_key=lambda n: f"{n:04}-{secrets.token_hex(4)}",
    base_count=160,
    make=make_approval,
    lookups=("applicantId", "status"),
    fields=(
        Field("instanceId", read_only=True),
        Field("title", required=True, max_length=120),
        Field("type", required=True, choices=("LEAVE", "EXPENSE", "PURCHASE", "CONTRACT")),
        Field("status", choices=("RUNNING", "COMPLETED", "TERMINATED")),
        Field("applicantId", required=True, note="userId"),
        Field("formValues", ANY_LIST, note="[{name, value}]"),
        Field("finishTime", moment(EPOCH_MILLISECONDS)),
        *_TIMES,
    ),
)


class Oa(System):
    name = "oa"
    title = "Sandbox OA"
    about = "Token call with app key and secret, token in the query, HTTP 200 with errcode, page number and size, camelCase, Asia/Shanghai"
    credentials = {"appkey": "hub", "appsecret": "oa-demo-secret", "token_url": "/oa/gettoken"}
    times = LOCAL
    entities = (USERS, DEPARTMENT, APPROVALS)
    page_size = 50
    max_page_size = 200

    def open_door(self, request: Request) -> Answer | None:
        if request.parts != ["gettoken"] or request.method not in ("GET", "POST"):
            return None
        request.what = "token"
        asked = request.query if request.method == "GET" else as_object(request.json())
        if (asked.get("appkey"), asked.get("appsecret")) != (self.credentials["appkey"], self.credentials["appsecret"]):
            return json_answer({"errcode": 40089, "errmsg": "invalid appkey or appsecret"})
        token = secrets.token_urlsafe(24)
        self.memory.put(f"access:{token}", {"until": self.clock.now() + self.token_seconds * 1000})
        return json_answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": self.token_seconds})

    def authenticate(self, request: Request) -> None:
        known = self.memory.get(f"access:{request.query.get('access_token')}")
        if known is None:
            raise Refused(200, "unauthorized", "invalid access_token")
        if known["until"] <= self.clock.now():
            raise Refused(200, "expired", "access_token expired")

    def expired(self) -> Answer:
        return self.error(Refused(200, "expired", "access_token expired"))

    def expire_tokens(self, *, refresh: bool) -> int:
        return self.memory.drop_where(lambda key, _: key.startswith("access:"))

    def error(self, refused: Refused) -> Answer:
        """Whatever is wrong, the status is 200."""
        return json_answer({"errcode": ERRORS.get(refused.code, 50000), "errmsg": refused.message}, 200, *refused.headers)

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["api", name, "list"]:
                return self._list(request, self.entity(name))
            case "GET", ["api", name, "get"]:
                request.what = f"get {name}"
                entity = self.entity(name)
                return _ok(self.record(entity, request.query.get(entity.key, "")))
            case "POST", ["api", name, "create"]:
                request.what = f"create {name}"
                entity = self.entity(name)
                return _ok({entity.key: self.create(entity, as_object(request.json()))[entity.key]})
            case "POST", ["api", name, "update"]:
                request.what = f"update {name}"
                entity = self.entity(name)
                values = as_object(request.json())
                self.update(entity, values.get(entity.key, ""), values)
                return _ok({})
            case "POST", ["api", name, "delete"]:
                request.what = f"delete {name}"
                entity = self.entity(name)
                self.delete(entity, as_object(request.json()).get(entity.key, ""))
                return _ok({})
        raise Refused(200, "not_found", f"no such interface: {request.method} {request.path}")

    def _list(self, request: Request, entity: Entity) -> Answer:
        """Pages in the order of creation, so that nothing moves between pages while records change."""
        request.what = f"list {entity.name}"
        query = request.query
        size = self.number(query.get("pageSize"), self.page_size, "pageSize", least=1, most=self.max_page_size)
        page = self.number(query.get("pageNo"), 1, "pageNo", least=1)
        table = self.tables[entity.name]
        keys: list[Key] | None = self.lookup_keys(entity, query, PARAMETERS)
        if keys is not None:
            request.what = f"lookup {entity.name}"
        elif query.get("modifiedSince"):
            keys = table.keys_since(self.moment(query["modifiedSince"], "modifiedSince"))
        else:
            keys = table.keys()
        records = self.faulty_page(request, [table.rows[key] for key in keys[(page - 1) * size : page * size]])
        total = 0 if request.fault and request.fault["kind"] == "empty" else len(keys)
        return _ok({"pageNo": page, "pageSize": size, "totalCount": total, "hasMore": page * size < total, "list": records})

    def stamp_created(self, entity: Entity, record: Record, stamp: int) -> None:
        record[entity.created] = stamp

    def openapi(self, origin: str) -> dict[str, Any]:
        error = shape("errcode errmsg", errcode=WHOLE, errmsg=TEXT)
        document = Document(self, origin, security={"token": {"type": "apiKey", "in": "query", "name": "access_token"}}, error=error)

        def ok(result: dict[str, Any]) -> dict[str, Any]:
            return {
                "anyOf": [
                    shape("*", errcode={"const": 0}, errmsg=TEXT, result=result),
                    {**error, "properties": {"errcode": {"not": {"const": 0}}, "errmsg": TEXT}},
                ]
            }

        token = {"anyOf": [shape("*", errcode=WHOLE, errmsg=TEXT, access_token=TEXT, expires_in=WHOLE), error]}
        login = {"appkey": TEXT, "appsecret": TEXT}
        document.add("GET", "/gettoken", "Get a token", {200: token}, query=login, errors="", is_open=True)
        document.add("POST", "/gettoken", "Get a token", {200: token}, body=shape("*", **login), errors="", is_open=True)
        for entity in self.entities:
            name, path = model_name(entity), f"/api/{entity.name}"
            key = shape("*", **{entity.key: TEXT})
            page = shape("*", pageNo=WHOLE, pageSize=WHOLE, totalCount=WHOLE, hasMore={"type": "boolean"}, list=listed(ref(name)))
            query = {"pageNo": WHOLE, "pageSize": WHOLE, "modifiedSince": TEXT, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            changed = {"allOf": [{**ref(f"{name}Write")}, key]}
            document.add("GET", f"{path}/list", f"List {entity.name}s", {200: ok(page)}, query=query, errors="")
            document.add("GET", f"{path}/get", f"Get one {entity.name}", {200: ok(ref(name))}, query={entity.key: TEXT}, errors="")
            document.add("POST", f"{path}/create", f"Create one {entity.name}", {200: ok(key)}, body=ref(f"{name}Create"), errors="")
            document.add("POST", f"{path}/update", f"Update one {entity.name}", {200: ok({"type": "object"})}, body=changed, errors="")
            document.add("POST", f"{path}/delete", f"Delete one {entity.name}", {200: ok({"type": "object"})}, body=key, errors="")
        return document.done()


def _ok(result: Any) -> Answer:
    return json_answer({"errcode": 0, "errmsg": "ok", "result": result})
