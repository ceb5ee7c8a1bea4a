"""The MRP of the plant: every request signed, rows as arrays under declared columns, the next page as an address, dates as DD/MM/YYYY HH:mm.

It takes one record at a time and knows neither upsert nor idempotency key: what became of a write whose answer was lost, only a lookup can tell.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from sandbox.entities import DAY, Entity, Making
from sandbox.fields import INTEGER, POSITIVE, Field, moment
from sandbox.http import Answer, Request, json_answer
from sandbox.openapi import TEXT, WHOLE, Document, listed, model_name, or_null, ref, shape
from sandbox.people import company, dice
from sandbox.store import Key, Record
from sandbox.systems.base import Refused, System, as_object
from sandbox.systems.erp import SALES_ORDERS
from sandbox.times import PLANT

KEY_ID = "hub"
SECRET = "mrp-demo-secret"  # noqa: S105  the demo's, on the index page for all to see
LEEWAY_SECONDS = 300
PARAMETERS = ("size", "after", "changedSince")
STATUSES = ("Planned", "Released", "InProgress", "Done")
SIGNED = "{timestamp}\n{method}\n{path and query}\n{hex SHA-256 of the body}"


def make_production_order(m: Making) -> Record:
    """The first sales orders of the ERP were planned by hand."""
    order = SALES_ORDERS.make(Making(m.seed, m.number, dice(m.seed, "erp.sales_orders", m.number), m.created, m.changed, is_dirty=False))
    return {
        "OrderNo": f"MO-{m.number:06}",
        "SalesOrderRef": order["ORDER_NO"],
        "CustomerRef": order["CUSTOMER_NO"],
        "ItemCode": order["SKU"],
        "Quantity": float(order["QUANTITY"]),
        "DueDate": PLANT.write(m.created + 30 * DAY),
        "Priority": int(order["PRIORITY"]),
        "Status": m.chance.choice(STATUSES),
        "WorkCentre": m.chance.choice(("WC-01 装配", "WC-02 Calibration", "WC-03 包装")),
        "Remark": company(m.seed, int(order["CUSTOMER_NO"])).short_name,
        "CreatedAt": PLANT.write(m.created),
        "ChangedAt": PLANT.write(m.changed),
    }


PRODUCTION_ORDERS = Entity(
    name="production-orders",
    key="OrderNo",
    changed="ChangedAt",
    created="CreatedAt",
    new_key=lambda n: f"MO-{n:06}",
    base_count=20,
    make=make_production_order,
    lookups=("SalesOrderRef", "ItemCode", "Status"),
    fields=(
        Field("OrderNo", read_only=True),
        Field("SalesOrderRef", max_length=20, note="ORDER_NO of the ERP; not unique by itself"),
        Field("CustomerRef", max_length=20),
        Field("ItemCode", required=True, max_length=20),
        Field("Quantity", POSITIVE, required=True),
        Field("DueDate", moment(PLANT), required=True),
        Field("Priority", INTEGER, choices=(1, 2, 3)),
        Field("Status", choices=STATUSES),
        Field("WorkCentre", max_length=40),
        Field("Remark", max_length=200),
        Field("CreatedAt", moment(PLANT), read_only=True),
        Field("ChangedAt", moment(PLANT), read_only=True),
    ),
)
COLUMNS = [field.name for field in PRODUCTION_ORDERS.fields]


class Mrp(System):
    name = "mrp"
    title = "Sandbox MRP"
    about = "HMAC-signed requests, rows as arrays with declared columns, the next page as an address, PascalCase, DD/MM/YYYY HH:mm (UTC)"
    credentials = {
        "key_id": KEY_ID,
        "secret": SECRET,
        "headers": "X-Key-Id, X-Timestamp (Unix seconds), X-Signature (hex HMAC-SHA256)",
        "signed text": SIGNED.replace("\n", "\\n"),
    }
    times = PLANT
    entities = (PRODUCTION_ORDERS,)
    page_size = 50
    max_page_size = 500

    def authenticate(self, request: Request) -> None:
        timestamp = request.header(b"x-timestamp")
        if request.header(b"x-key-id") != KEY_ID or not timestamp.isdecimal():
            raise Refused(401, "unauthorized", "X-Key-Id or X-Timestamp is missing or wrong.")
        if abs(int(timestamp) - self.clock.now() // 1000) > LEEWAY_SECONDS:
            raise Refused(401, "unauthorized", f"X-Timestamp is more than {LEEWAY_SECONDS} seconds off.")
        if not hmac.compare_digest(signature(SECRET, timestamp, request.method, request.target, request.body), request.header(b"x-signature")):
            raise Refused(401, "unauthorized", "X-Signature does not fit this request.")

    def error(self, refused: Refused) -> Answer:
        fields = {problem.field: problem.message for problem in refused.problems}
        return json_answer({"Fault": {"Code": refused.code, "Reason": refused.message, "Fields": fields}}, refused.status, *refused.headers)

    def serve(self, request: Request) -> Answer:
        match request.method, request.parts:
            case "GET", ["v2", "plant"]:
                request.what = "plant"
                return json_answer({"Plant": "HL01", "Name": "Suzhou 苏州工厂", "TimeZone": "UTC"})
            case "GET", ["v2", name]:
                return self._list(request, self.entity(name))
            case "POST", ["v2", name]:
                request.what = f"create {name}"
                return json_answer(self.create(self.entity(name), request.json()), 201)
            case "GET", ["v2", name, key]:
                request.what = f"get {name}"
                return json_answer(self.record(self.entity(name), key))
            case "PUT", ["v2", name, key]:
                request.what = f"update {name}"
                return json_answer(self.update(self.entity(name), key, as_object(request.json())))
            case "DELETE", ["v2", name, key]:
                request.what = f"delete {name}"
                self.delete(self.entity(name), key)
                return Answer(204, b"", [])
        raise Refused(404, "not_found", f"There is no {request.method} {request.path}.")

    def defaults(self, entity: Entity, record: Record) -> None:
        record["Status"] = record["Status"] or "Planned"

    def _list(self, request: Request, entity: Entity) -> Answer:
        """In the order (ChangedAt, OrderNo); `next` is the whole address of the next page, to be signed as it stands."""
        request.what = f"list {entity.name}"
        query = request.query
        size = self.number(query.get("size"), self.page_size, "size", least=1, most=self.max_page_size)
        table = self.tables[entity.name]
        following: str | None = None
        keys: list[Key] | None = self.lookup_keys(entity, query, PARAMETERS)
        if keys is not None:
            request.what = f"lookup {entity.name}"
            keys = keys[: self.max_page_size]
        else:
            stamp, key = self._place(query)
            keys = table.changed_after(stamp, key, size + 1)
            if len(keys) > size:
                keys.pop()
                place = f"{table.stamps[keys[-1]]}_{keys[-1]}"
                following = self.faulty_next(request, request.url(after=place, changedSince=None), request.url())
        rows = [[record.get(column) for column in COLUMNS] for record in self.faulty_page(request, [table.rows[key] for key in keys])]
        return json_answer({"columns": COLUMNS, "rows": rows, "next": following})

    def _place(self, query: dict[str, str]) -> tuple[int, str | None]:
        if "after" in query:
            stamp, _, key = query["after"].partition("_")
            return self.number(stamp, 0, "after"), key
        return (self.moment(query["changedSince"], "changedSince") if query.get("changedSince") else 0), None

    def openapi(self, origin: str) -> dict[str, Any]:
        fault = shape("*", Code=TEXT, Reason=TEXT, Fields={"type": "object", "additionalProperties": TEXT})
        description = f"X-Signature is the hex HMAC-SHA256, under the secret, of: {SIGNED}"
        security = {"signature": {"type": "apiKey", "in": "header", "name": "X-Signature", "description": description}}
        document = Document(self, origin, security=security, error=shape("*", Fault=fault))
        document.add("GET", "/v2/plant", "Which plant this is", {200: shape("*", Plant=TEXT, Name=TEXT, TimeZone=TEXT)})
        for entity in self.entities:
            name, path = model_name(entity), f"/v2/{entity.name}"
            one, write = ref(name), ref(f"{name}Write")
            query = {"size": WHOLE, "after": TEXT, "changedSince": TEXT, **dict.fromkeys((entity.key, *entity.lookups), TEXT)}
            rows = listed({"type": "array", "minItems": len(COLUMNS), "maxItems": len(COLUMNS)})
            document.add("GET", path, "List production orders", {200: shape("*", columns=listed(TEXT), rows=rows, next=or_null(TEXT))}, query=query)
            document.add("POST", path, "Create a production order", {201: one}, body=ref(f"{name}Create"))
            document.add("GET", f"{path}/{{OrderNo}}", "Get a production order", {200: one})
            document.add("PUT", f"{path}/{{OrderNo}}", "Update a production order: the fields that are sent", {200: one}, body=write)
            document.add("DELETE", f"{path}/{{OrderNo}}", "Delete a production order", {204: None})
        return document.done()


def signature(secret: str, timestamp: str, method: str, target: str, body: bytes) -> str:
    """What X-Signature must hold; `target` is the path with its query as sent."""
    text = f"{timestamp}\n{method}\n{target}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
