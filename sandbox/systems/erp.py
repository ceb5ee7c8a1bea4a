"""The ERP: an API key, UPPER_SNAKE names, offset and limit with a total, dates as YYYYMMDD, amounts as text, "X" for yes.

It takes many records at once and answers each for itself; a write that comes again under its idempotency key takes effect once.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from sandbox.entities import BASE_TIME, DAY, Entity, Making
from sandbox.fields import ANY_LIST, COMPACT_DATE, COUNTRY, CURRENCY, DECIMAL, EMAIL, FLAG, Field, Problem, moment
from sandbox.http import JSON, Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, or_null, ref, shape
from sandbox.people import company, dice
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object, invalid
from sandbox.times import COMPACT

PARAMETERS = ("OFFSET", "LIMIT", "CHANGED_SINCE")
BULK_LIMIT = 500
SKU_COUNT = 120
CUSTOMER_COUNT = 40
STATUSES = ("OPEN", "CONFIRMED", "SHIPPED", "CLOSED")
GOODS = (
    ("Pressure sensor", "压力传感器", "SENSORS"),
    ("Flow meter", "流量计", "METERS"),
    ("Temperature transmitter", "温度变送器", "SENSORS"),
    ("Level gauge", "液位计", "METERS"),
    ("Control valve", "调节阀", "VALVES"),
    ("Signal isolator", "信号隔离器", "ELECTRONICS"),
    ("Calibration kit", "校准套件", "SERVICE"),
    ("Mounting flange", "安装法兰", "PARTS"),
)


def compact_date(ms: int) -> str:
    return COMPACT.write(ms)[:8]


@lru_cache(maxsize=1024)
def price(seed: int, sku_number: int) -> int:
    """Of a product, in cents."""
    return dice(seed, "price", sku_number).randrange(1990, 899_900)


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def make_customer(m: Making) -> Record:
    """The first accounts of the CRM, entered by hand: most without a reference to it, so they are to be found by tax number."""
    of = company(m.seed, m.number)
    return {
        "CUSTOMER_NO": f"{m.number:010}",
        "EXT_REF": f"acc_{m.number:06}" if m.number % 4 == 0 else None,
        "NAME": of.name,
        "TAX_NO": of.tax_number,
        "STREET": of.address.street,
        "CITY": of.address.city,
        "POSTAL_CODE": of.address.postal_code,
        "COUNTRY": of.address.country,
        "PHONE": of.address.phone,
        "EMAIL": f"ap@{of.domain}",
        "CURRENCY": "CNY" if of.address.country == "CN" else "EUR",
        "CREDIT_LIMIT": f"{m.chance.randrange(10, 500) * 1000}.00",
        "PAYMENT_TERMS": m.chance.choice(("N030", "N060", "PREP")),
        "BLOCKED": "X" if m.chance.random() < 0.05 else "",
        "CREATED_ON": compact_date(m.created),
        "CHANGED_AT": COMPACT.write(m.changed),
    }


def make_product(m: Making) -> Record:
    name, chinese, category = m.chance.choice(GOODS)
    size = m.chance.choice(("DN15", "DN25", "DN50", "0-10 bar", "4-20 mA", "PT100"))
    return {
        "SKU": f"HL-{m.number:05}",
        "NAME": f"{name} {size}",
        "NAME_ZH": f"{chinese} {size}",
        "CATEGORY": category,
        "UNIT": "EA",
        "PRICE": money(price(m.seed, m.number)),
        "CURRENCY": "CNY",
        "WEIGHT_KG": f"{m.chance.randrange(50, 25000) / 1000:.3f}",
        "ACTIVE": "X" if m.chance.random() < 0.95 else "",
        "CREATED_ON": compact_date(m.created),
        "CHANGED_AT": COMPACT.write(m.changed),
    }


def make_order(m: Making) -> Record:
    """The first line stands in the head too, as it is what production is planned by."""
    lines, net = [], 0
    for number in range(1, m.chance.choice((2, 2, 2, 3, 4))):
        item = m.chance.randrange(1, SKU_COUNT + 1)
        quantity = m.chance.randrange(1, 60)
        lines.append({"LINE_NO": number * 10, "SKU": f"HL-{item:05}", "QUANTITY": f"{quantity}.000", "PRICE": money(price(m.seed, item))})
        net += quantity * price(m.seed, item)
    customer = m.chance.randrange(1, CUSTOMER_COUNT + 1)
    flaw = m.flaw("no sku", "no date", "quantity")
    return {
        "ORDER_NO": f"{4500000000 + m.number}",
        "CUSTOMER_NO": f"{customer:010}",
        "CUSTOMER_NAME": company(m.seed, customer).name,
        "PO_NUMBER": f"PO-{m.chance.randrange(10_000, 99_999)}",
        "ORDER_DATE": compact_date(m.created),
        "DELIVERY_DATE": "00000000" if flaw == "no date" else compact_date(m.created + m.chance.randrange(7, 90) * DAY),
        "STATUS": m.chance.choices(STATUSES, (3, 3, 2, 2))[0],
        "SKU": None if flaw == "no sku" else lines[0]["SKU"],
        "QUANTITY": "-1.000" if flaw == "quantity" else lines[0]["QUANTITY"],
        "CURRENCY": "CNY",
        "NET_AMOUNT": money(net),
        "TAX_AMOUNT": money(net * 13 // 100),
        "PRIORITY": m.chance.choice(("1", "2", "2", "3")),
        "LINES": lines,
        "CREATED_ON": compact_date(m.created),
        "CHANGED_AT": COMPACT.write(m.changed),
    }


_TIMES = (Field("CREATED_ON", COMPACT_DATE, read_only=True), Field("CHANGED_AT", moment(COMPACT), read_only=True))

CUSTOMERS = Entity(
    name="customers",
    key="CUSTOMER_NO",
    changed="CHANGED_AT",
    created="CREATED_ON",
    new_key=lambda n: f"{n:010}",
    base_count=CUSTOMER_COUNT,
    make=make_customer,
    lookups=("EXT_REF", "TAX_NO", "NAME"),
    unique=("EXT_REF",),
    fields=(
        Field("CUSTOMER_NO", read_only=True, note="ten digits, with leading zeros"),
        Field("EXT_REF", max_length=40, note="key in another system; unique"),
        Field("NAME", required=True, max_length=80),
        Field("TAX_NO", max_length=20),
        Field("STREET", max_length=80),
        Field("CITY", max_length=40),
        Field("POSTAL_CODE", max_length=10),
        Field("COUNTRY", COUNTRY, required=True, note="ISO 3166-1 alpha-2"),
        Field("PHONE", max_length=30),
        Field("EMAIL", EMAIL, max_length=120),
        Field("CURRENCY", CURRENCY),
        Field("CREDIT_LIMIT", DECIMAL),
        Field("PAYMENT_TERMS", choices=("N030", "N060", "PREP")),
        Field("BLOCKED", FLAG),
        *_TIMES,
    ),
)
PRODUCTS = Entity(
    name="products",
    key="SKU",
    changed="CHANGED_AT",
    created="CREATED_ON",
    new_key=lambda n: f"HL-{n:05}",
    base_count=SKU_COUNT,
    make=make_product,
    lookups=("CATEGORY",),
    fields=(
        Field("SKU", read_only=True),
        Field("NAME", required=True, max_length=80),
        Field("NAME_ZH", max_length=80),
        Field("CATEGORY", choices=("SENSORS", "METERS", "VALVES", "ELECTRONICS", "SERVICE", "PARTS")),
        Field("UNIT", max_length=3),
        Field("PRICE", DECIMAL, required=True),
        Field("CURRENCY", CURRENCY),
        Field("WEIGHT_KG", DECIMAL),
        Field("ACTIVE", FLAG),
        *_TIMES,
    ),
)
SALES_ORDERS = Entity(
    name="sales_orders",
    key="ORDER_NO",
    changed="CHANGED_AT",
    created="CREATED_ON",
    new_key=lambda n: f"{4500000000 + n}",
    base_count=300,
    make=make_order,
    dirt=0.04,
    grows=True,
    lookups=("CUSTOMER_NO", "PO_NUMBER", "STATUS"),
    edits={
        "STATUS": lambda chance: chance.choice(STATUSES),
        "DELIVERY_DATE": lambda chance: compact_date(BASE_TIME + chance.randrange(330, 500) * DAY),
        "QUANTITY": lambda chance: f"{chance.randrange(1, 60)}.000",
        "PRIORITY": lambda chance: chance.choice(("1", "2", "3")),
    },
    fields=(
        Field("ORDER_NO", read_only=True),
        Field("CUSTOMER_NO", required=True),
        Field("CUSTOMER_NAME", max_length=120),
        Field("PO_NUMBER", max_length=40, note="the customer's own number"),
        Field("ORDER_DATE", COMPACT_DATE),
        Field("DELIVERY_DATE", COMPACT_DATE, note="00000000: none"),
        Field("STATUS", choices=STATUSES),
        Field("SKU", note="of the first line"),
        Field("QUANTITY", DECIMAL, note="of the first line"),
        Field("CURRENCY", CURRENCY),
        Field("NET_AMOUNT", DECIMAL),
        Field("TAX_AMOUNT", DECIMAL),
        Field("PRIORITY", choices=("1", "2", "3")),
        Field("LINES", ANY_LIST, note="[{LINE_NO, SKU, QUANTITY, PRICE}]"),
        *_TIMES,
    ),
)


class Erp(System):
    name = "erp"
    title = "Sandbox ERP"
    about = "API key in a header, offset and limit with a total, UPPER_SNAKE, dates YYYYMMDD, decimals as text, bulk writes, idempotency keys"
    credentials = {"header": "X-API-Key", "api_key": "erp-demo-key"}
    times = COMPACT
    entities = (CUSTOMERS, PRODUCTS, SALES_ORDERS)

    def authenticate(self, request: Request) -> None:
        if request.header(b"x-api-key") != "erp-demo-key":
            raise Refused(401, "unauthorized", "The header X-API-Key is missing or wrong.")

    def error(self, refused: Refused) -> Answer:
        return json_answer({"ERROR": _error(refused)}, refused.status, *refused.headers)

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["api", "ping"]:
                request.what = "ping"
                return json_answer({"SYSTEM": "HLERP", "CLIENT": "100", "USER": "HUB"})
            case "GET", ["api", name]:
                return self._list(request, self.entity(name))
            case "POST", ["api", name]:
                request.what = f"create {name}"
                return self._once(request, lambda: self._created(self.entity(name), request.json()))
            case "POST", ["api", name, "bulk"]:
                request.what = f"bulk {name}"
                return self._once(request, lambda: self._bulk(request, self.entity(name)))
            case "GET", ["api", name, key]:
                request.what = f"get {name}"
                return json_answer(self.record(self.entity(name), key))
            case (("PATCH" | "PUT"), ["api", name, key]):
                request.what = f"update {name}"
                return json_answer(self.update(self.entity(name), key, request.json()))
            case "DELETE", ["api", name, key]:
                request.what = f"delete {name}"
                self.delete(self.entity(name), key)
                return Answer(204, b"", [])
        raise Refused(404, "not_found", f"There is no {request.method} {request.path}.")

    def defaults(self, entity: Entity, record: Record) -> None:
        if entity is CUSTOMERS:
            record["BLOCKED"] = record["BLOCKED"] or ""

    def stamp_created(self, entity: Entity, record: Record, stamp: int) -> None:
        record[entity.created] = compact_date(stamp)

    def _list(self, request: Request, entity: Entity) -> Answer:
        """Several filters must all hold; the order is that of creation, so that nothing moves between pages while records change."""
        request.what = f"list {entity.name}"
        query = request.query
        offset = self.number(query.get("OFFSET"), 0, "OFFSET")
        limit = self.number(query.get("LIMIT"), self.page_size, "LIMIT", least=1, most=self.max_page_size)
        table = self.tables[entity.name]
        keys: list[Key] | None = self.lookup_keys(entity, query, PARAMETERS)
        since = self.moment(query["CHANGED_SINCE"], "CHANGED_SINCE") if query.get("CHANGED_SINCE") else 0
        if keys is not None:
            request.what = f"lookup {entity.name}"
            keys = [key for key in keys if table.stamps[key] >= since]
        else:
            keys = table.keys_since(since) if since else table.keys()
        records = self.faulty_page(request, [table.rows[key] for key in keys[offset : offset + limit]])
        total = 0 if request.fault and request.fault["kind"] == "empty" else len(keys)
        return json_answer({"TOTAL": total, "OFFSET": offset, "LIMIT": limit, "ITEMS": records})

    def _created(self, entity: Entity, values: Any) -> Answer:
        return json_answer(self.create(entity, values), 201)

    def _once(self, request: Request, act: Any) -> Answer:
        """The answer that was given under this Idempotency-Key before, else a new one, which is kept unless the request was refused."""
        key = request.header(b"idempotency-key")
        if not key:
            return act()
        digest = hashlib.sha256(request.path.encode() + request.body).hexdigest()[:24]
        known = self.memory.get(f"answer:{key}")
        if known is None:
            answer: Answer = act()
            self.memory.put(f"answer:{key}", [digest, answer.status, answer.body.decode()])
            return answer
        if known[0] != digest:
            raise Refused(422, "idempotency_key_reused", f"The Idempotency-Key {key} came before with another request.")
        return Answer(known[1], known[2].encode(), [JSON, (b"idempotency-replayed", b"true")])

    def _bulk(self, request: Request, entity: Entity) -> Answer:
        """{"MODE": "CREATE|UPDATE|UPSERT", "KEY"?: the field records are found by, "ITEMS": [...]}; an item may carry its own IDEMPOTENCY_KEY."""
        asked = as_object(request.json())
        items, mode, by = asked.get("ITEMS"), asked.get("MODE", "UPSERT"), asked.get("KEY", entity.key)
        if mode not in ("CREATE", "UPDATE", "UPSERT"):
            raise invalid([Problem("MODE", "not_allowed", "MODE must be CREATE, UPDATE or UPSERT.")])
        if by != entity.key and by not in entity.lookups:
            raise invalid([Problem("KEY", "not_allowed", f"KEY must be one of {', '.join((entity.key, *entity.lookups))}.")])
        if not isinstance(items, list) or len(items) > BULK_LIMIT:
            raise invalid([Problem("ITEMS", "invalid", f"ITEMS must be a list of at most {BULK_LIMIT}.")])
        results = [self._item(request, entity, mode, by, number, item) for number, item in enumerate(items)]
        return json_answer({"RESULTS": results}, 207 if any("ERROR" in result for result in results) else 200)

    def _item(self, request: Request, entity: Entity, mode: str, by: str, number: int, item: Any) -> dict[str, Any]:
        try:
            values = dict(as_object(item))
            once = values.pop("IDEMPOTENCY_KEY", None)
            known = self.memory.get(f"item:{once}") if once else None
            if known is not None:
                return {"INDEX": number, "STATUS": known[0], entity.key: known[1], "REPLAYED": "X"}
            self.faulty_row(request, number)
            status, record = self._write(entity, mode, by, values)
            if once:
                self.memory.put(f"item:{once}", [status, record[entity.key]])
            return {"INDEX": number, "STATUS": status, entity.key: record[entity.key]}
        except Refused as refused:
            return {"INDEX": number, "STATUS": "REJECTED", "ERROR": _error(refused)}

    def _write(self, entity: Entity, mode: str, by: str, values: Record) -> tuple[str, Record]:
        if mode == "CREATE":
            return "CREATED", self.create(entity, values)
        if mode == "UPSERT" and by != entity.key:
            record, is_new = self.upsert(entity, by, values)
            return "CREATED" if is_new else "UPDATED", record
        value = values.get(by)
        keys = [value] if by == entity.key else self.tables[entity.name].find(by, [value]) if isinstance(value, str) else []
        if len(keys) > 1:
            raise Refused(409, "ambiguous", f"{len(keys)} {entity.name} have {by} {value}.", [Problem(by, "ambiguous", "Not unique.")])
        if not keys or not isinstance(keys[0], str):
            raise Refused(404, "not_found", f"There is none of {entity.name} with {by} {value}.")
        return "UPDATED", self.update(entity, keys[0], values)

    def openapi(self, origin: str) -> dict[str, Any]:
        detail = shape("*", FIELD=TEXT, CODE=TEXT, MESSAGE=TEXT)
        fault = shape("CODE MESSAGE", CODE=TEXT, MESSAGE=TEXT, DETAILS=listed(detail))
        document = Document(self, origin, security={"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}, error=shape("*", ERROR=fault))
        once = {"Idempotency-Key": TEXT}
        document.add("GET", "/api/ping", "Who am I", {200: shape("*", SYSTEM=TEXT, CLIENT=TEXT, USER=TEXT)})
        for entity in self.entities:
            name, path = model_name(entity), f"/api/{entity.name}"
            one, write = ref(name), ref(f"{name}Write")
            query = {"OFFSET": WHOLE, "LIMIT": WHOLE, "CHANGED_SINCE": TEXT, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            page = shape("*", TOTAL=WHOLE, OFFSET=WHOLE, LIMIT=WHOLE, ITEMS=listed(one))
            document.add("GET", path, f"List {entity.name}", {200: page}, query=query)
            document.add("POST", path, f"Create one of {entity.name}", {201: one}, body=ref(f"{name}Create"), headers=once)
            bulk = shape(
                "ITEMS", MODE={"enum": ["CREATE", "UPDATE", "UPSERT"]}, KEY=TEXT, ITEMS={**listed({"type": "object"}), "maxItems": BULK_LIMIT}
            )
            status = {"enum": ["CREATED", "UPDATED", "REJECTED"]}
            result = shape("INDEX STATUS", INDEX=WHOLE, STATUS=status, ERROR=fault, REPLAYED={"const": "X"}, **{entity.key: or_null(TEXT)})
            results = shape("*", RESULTS=listed(result))
            document.add("POST", f"{path}/bulk", "Write many records", {200: results, 207: results}, body=bulk, headers=once)
            document.add("GET", f"{path}/{{key}}", f"Get one of {entity.name}", {200: one})
            document.add("PATCH", f"{path}/{{key}}", f"Update one of {entity.name}", {200: one}, body=write)
            document.add("PUT", f"{path}/{{key}}", f"Update one of {entity.name}, the same as PATCH", {200: one}, body=write)
            document.add("DELETE", f"{path}/{{key}}", f"Delete one of {entity.name}", {204: None})
        return document.done()


def _error(refused: Refused) -> dict[str, Any]:
    error: dict[str, Any] = {"CODE": refused.code.upper(), "MESSAGE": refused.message}
    if refused.problems:
        error["DETAILS"] = [{"FIELD": p.field, "CODE": p.code.upper(), "MESSAGE": p.message} for p in refused.problems]
    return error
