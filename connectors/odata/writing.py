"""Writing a portion: a request for each record, or many within one $batch (OData Protocol 4.01, section 11.4), and what became of each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from email.utils import formatdate

import orjson

from connectors.base import BadAnswer, Changes, Entity, Outcome, Result, SettingsError, Text, _
from connectors.canonical import canonical_key
from connectors.odata.entitysets import EntitySet
from connectors.odata.requests import Batch, JsonBatch, MultipartBatch, Request
from connectors.odata.settings import ODataSettings
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client
from connectors.rest.endpoints import Malformed, Row, rows_of
from connectors.rest.records import nested
from connectors.rest.sending import Sending
from connectors.rest.writing import flattened
from connectors.versions import Versions

BATCHES: dict[str, type[JsonBatch] | type[MultipartBatch]] = {"json": JsonBatch, "multipart": MultipartBatch}
GONE = (404, 410)
CHANGED = 412  # a precondition failed
ANY = "*"  # whatever version it is, as long as it is there


class Writing(Sending[Batch | None]):
    """One portion on its way: None is a request of one record."""

    def __init__(self, client: Client, place: EntitySet, settings: ODataSettings, entity: Entity, changes: Changes, versions: Versions) -> None:
        self._place, self._settings, self._entity, self._versions = place, settings, entity, versions
        self._forms = place.forms(entity, [name for name in changes.values.columns if entity.field(name)])
        self._all_forms = place.forms(entity, [f.name for f in entity.fields])
        self._operations: dict[int, str] = {}
        self._own_keys: dict[int, str] = {}  # that records to be created bring along
        super().__init__(client, self._plan(client, changes))

    def _plan(self, client: Client, changes: Changes) -> Iterator[tuple[Batch | None, list[Row]]]:
        rows = []
        for operation, row in rows_of(self._forms, changes):
            if not getattr(self._place.can, operation):
                raise SettingsError(
                    _("{entity} of {system} cannot be written by {operation}: the service does not allow it."),
                    entity=self._entity.name,
                    system=client.host.system,
                    operation=operation,
                )
            self._operations[row.row] = operation
            rows.append(row)
        if self._place.can.upsert and set(self._place.own_key) <= set(changes.values.columns):
            for row, parts in zip(rows, changes.values.select(self._place.own_key).iter_rows(), strict=True):
                if None not in parts:
                    self._own_keys[row.row] = canonical_key(parts)
        form = BATCHES.get(self._settings.batches.format)
        size = self._settings.batches.size if form else 1
        return ((form() if form else None, rows[start : start + size]) for start in range(0, len(rows), size))

    # --- requests ---

    def _call(self, way: Batch | None, rows: list[Row]) -> Call:
        requests = [self._request(row) for row in rows]
        if way is not None:
            return way.call(self.client, requests, self._place.headers)
        request = requests[0]
        call = self.client.call(request.method, request.path, headers=request.headers, body=request.body)
        call.is_quick = True
        return call

    def _request(self, row: Row) -> Request:
        headers = {**self._place.headers, **self._repeatable(row)}
        operation = self._operations[row.row]
        if operation != "delete":
            headers |= {"OData-Version": "4.0", "Content-Type": "application/json", "Accept": "application/json", "Prefer": "return=representation"}
        if operation == "create":
            if not self._place.can.upsert:
                return Request("POST", self._place.path, headers, self._body(row))
            return Request("PATCH", self._address(self._own_key(row)), headers, self._body(row))
        assert row.key is not None  # noqa: S101
        headers["If-Match"] = self._versions.of(self._entity.name, row.key) or ANY
        address = self._address(row.key)
        return Request("DELETE", address, headers) if operation == "delete" else Request("PATCH", address, headers, self._body(row))

    def _repeatable(self, row: Row) -> dict[str, str]:
        """OASIS Repeatable Requests 1.0. A resend says anew when it was sent first, since no one kept that: the id alone tells it."""
        if not self._settings.repeatable:
            return {}
        id_ = uuid.uuid5(uuid.NAMESPACE_URL, f"{self._settings.base_url} {row.idempotency_key}")
        return {"Repeatability-Request-ID": str(id_), "Repeatability-First-Sent": formatdate(usegmt=True)}

    def _body(self, row: Row) -> bytes:
        return row.encoded if row.encoded is not None else orjson.dumps(nested(row.values))

    def _address(self, key: str) -> str:
        try:
            return self._place.address(self._entity, key)
        except ValueError:
            raise Malformed(Text(_("{key} is no key of {entity}"), {"key": key[:200], "entity": self._entity.name})) from None

    def _own_key(self, row: Row) -> str:
        if row.row not in self._own_keys:
            raise Malformed(Text(_("has no {field}, which the address it is written to needs"), {"field": ", ".join(self._place.own_key)}))
        return self._own_keys[row.row]

    # --- outcomes ---

    def _settle(self, way: Batch | None, rows: list[Row], answer: Answer) -> None:
        if way is None:
            self._settle_one(rows[0], answer)
            return
        if not self.client.succeeded(answer):
            self.failed(rows, answer)
            return
        try:
            told = way.answers(answer, [self._request(row) for row in rows])
        except BadAnswer as error:
            self.unknown(rows, error.text)
            return
        for place, row in enumerate(rows):
            if place in told:
                self._settle_one(row, told[place])
            else:
                self.unknown([row], Text(_("{system} did not say what became of this record"), {"system": self.client.host.system}))

    def _settle_one(self, row: Row, answer: Answer) -> None:
        is_delete = self._operations[row.row] == "delete"
        try:
            if self.client.succeeded(answer):
                self._written(row, answer)
            elif self.client.asks_to_wait(answer):
                self.halt([row], self.client.note_wait(answer))
            elif is_delete and (answer.status in GONE or self._is_missing(row, answer)):
                self.outcomes.append(Outcome(row.row, Result.WRITTEN))
            elif answer.status == CHANGED and row.key is not None:
                self._refused_unmatched(row, answer)
            else:
                self.failed([row], answer)
        except BadAnswer as error:  # it said 2xx, but not in JSON: cut short, or a page of something else
            self.unknown([row], error.text)

    def _is_missing(self, row: Row, answer: Answer) -> bool:
        """We asked for no version in particular, so it is not there at all."""
        return answer.status == CHANGED and row.key is not None and self._versions.of(self._entity.name, row.key) is None

    def _refused_unmatched(self, row: Row, answer: Answer) -> None:
        names = {"system": self.client.host.system, "reason": self.client.reason(answer)}
        if self._is_missing(row, answer):
            self.refused([row], Text(_("{system} has no such record: {reason}"), names))
        else:
            self.refused([row], Text(_("{system} has changed the record since it was looked up: {reason}"), names), again=True)

    def _written(self, row: Row, answer: Answer) -> None:
        record = None
        if answer.body and self._operations[row.row] != "delete":
            found = answer.value("")
            record = flattened(found, self._all_forms) if isinstance(found, dict) else None
        if row.key is not None:
            self._versions.forget(self._entity.name, row.key)
            self.outcomes.append(Outcome(row.row, Result.WRITTEN, None, record))
            return
        key = self._told_key(row, answer, record)
        if key is None:
            self.unknown([row], Text(_("{system} accepted the record but did not tell its key"), {"system": self.client.host.system}))
        else:
            self.outcomes.append(Outcome(row.row, Result.WRITTEN, key, record))

    def _told_key(self, row: Row, answer: Answer, record: dict[str, object] | None) -> str | None:
        """The key of what was created: in the record, or in its address where the service sends none back."""
        if record is not None and all(record.get(name) is not None for name in self._entity.key):
            return canonical_key([record[name] for name in self._entity.key])
        address = answer.headers.get("OData-EntityId") or answer.headers.get("Location") or ""
        if self._entity.key == self._place.own_key:
            return self._own_keys.get(row.row) or self._place.key_in(address, self._entity)
        return None
