"""Reading the list of an entity, page by page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import polars as pl
from yarl import URL

from connectors.base import Cursor, Entity, Field, FieldType, Page, SettingsError, _
from connectors.canonical import from_canonical
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client
from connectors.rest.pages import Pages, without
from connectors.rest.pagination import Parameters, Step, next_step, parameters
from connectors.rest.parsing import EPOCHS
from connectors.rest.records import Decoder
from connectors.rest.settings import ByCursor, ByLastRecord, ByLinkHeader, ByNextAddress, ChangedSince, EntitySettings
from connectors.rest.templates import TextTemplate
from connectors.rest.values import Form, zone_of


def forms_of(client: Client, declared: EntitySettings, entity: Entity, names: Sequence[str] | None = None) -> dict[str, Form]:
    """How each of these fields (all by default) is written, in the entity's order."""
    by_name = {f.name: f for f in declared.fields}
    formats, limit = client.settings.formats, client.answers.max_field_bytes
    return {f.name: Form.of(f, by_name.get(f.name), formats, limit) for f in entity.fields if names is None or f.name in names}


class Reading(Pages):
    """One pass over a list, by the settings of its entity."""

    repeats = _("{system} answered two pages of {entity} with the same records. Check the page parameter in its settings.")

    def __init__(
        self,
        client: Client,
        declared: EntitySettings,
        entity: Entity,
        *,
        since: Cursor | None,
        until: str | None,
        fields: Sequence[str] | None,
        keys_only: bool,
    ) -> None:
        super().__init__(client, entity, fields, keys_only=keys_only)
        self._declared, self._list = declared, declared.list
        way = self._list.pagination
        extra = [way.field] if isinstance(way, ByLastRecord) else []
        if self._list.deleted_field:
            extra += [self._list.deleted_field, *entity.key]
        self._read = list(dict.fromkeys([*self._wanted, *(n for n in extra if entity.field(n))]))
        self._forms = forms_of(client, declared, entity, self._read)
        self._decoder = Decoder(
            [self._forms[n] for n in self._forms], self._list.columns, self._list.columns_path, none_is_empty=self._list.none_is_empty
        )
        self._path = self._list.keys_path if keys_only and self._list.keys_path else self._list.path
        self._base = self._base_parameters(since, until)
        self._asks_for_all = since is None and (until is None or not (self._list.changed_since and self._list.changed_since.until_parameter))

    @classmethod
    async def first_answer(cls, client: Client, declared: EntitySettings) -> Answer:
        """The answer that begins the list, undecoded."""
        key = tuple(Field(name=name) for name in declared.key)
        reading = cls(client, declared, Entity(name=declared.name, fields=key, key=declared.key), since=None, until=None, fields=[], keys_only=False)
        reading._base.query.pop(declared.list.fields_parameter, None)
        return await client.ask(reading._call(None))

    async def _taken(self, answer: Answer, call: Call, step: Step | None) -> tuple[Page, Step | None]:
        records = self._decoder.decode(answer, self._list.record_path)
        page = Page(records.frame, None, records.misfits, records.absent)
        way, count = self._list.pagination, self._different(page.frame)
        following = next_step(way, step, answer, count=count, last=self._last(page.frame), asks_for_all=self._asks_for_all)
        if following is not None and "url" in following:
            following = {"url": str(self._client.follow(following["url"], call.url, {}).url)}
        return (self._without_deleted(page) if self._list.deleted_field else page), following

    def _was_promised(self, step: Step | None) -> bool:
        way = self._list.pagination
        told = [getattr(way, name, "") for name in ("more_path", "pages_path", "total_path")]
        return step is not None and (isinstance(way, ByCursor | ByNextAddress | ByLinkHeader) or any(told))

    def _different(self, frame: pl.DataFrame) -> int:
        """How many records a page has: of one that it holds twice, the second would make the next page begin behind a record that nobody has read."""
        keys = frame.select(name for name in self._entity.key if name in frame.columns).drop_nulls()
        return frame.height - keys.height + keys.n_unique() if keys.width else frame.height

    def _call(self, step: Step | None) -> Call:
        page = parameters(self._list.pagination, step)
        headers = dict(self._list.headers)
        if page.url:
            return self._client.follow(page.url, URL(self._client.settings.base_url), {**self._client.settings.connection.headers, **headers})
        body = self._list.body
        if body is not None or page.body or self._base.body:
            whole = {**(body if isinstance(body, dict) else {}), **self._base.body, **page.body} if not isinstance(body, list) else body
            encoded = orjson.dumps(whole)
        else:
            encoded = None
        return self._client.call(
            self._list.method, self._path, query={**self._list.query, **self._base.query, **page.query}, headers=headers, body=encoded
        )

    def _base_parameters(self, since: Cursor | None, until: str | None) -> Parameters:
        found = Parameters()
        if self._list.fields_parameter:
            found.query[self._list.fields_parameter] = ",".join(self._read)
        changed = self._list.changed_since
        if changed is None:
            if since is not None:
                raise SettingsError(
                    _("{system} cannot be asked for what changed in {entity}: there is no parameter for it in its settings."), **self._names()
                )
            return found
        target = found.body if changed.send_in == "body" else found.query
        if since is not None:
            value = self._moment(changed, since.value, back=not changed.includes_equal)
            target[changed.parameter] = TextTemplate(changed.template).fill(lambda _name: value) if changed.template != "{value}" else value
        if until is not None and changed.until_parameter:
            value = self._moment(changed, until, forth=True)
            target[changed.until_parameter] = (
                TextTemplate(changed.until_template).fill(lambda _name: value) if changed.until_template != "{value}" else value
            )
        return found

    def _moment(self, changed: ChangedSince, text: str, *, back: bool = False, forth: bool = False) -> Any:
        """A cursor's value as the system writes it, rounded outwards to what its format can say."""
        name = self._entity.cursor_field or ""
        form = forms_of(self._client, self._declared, self._entity, [name]).get(name)
        if form is None:
            raise SettingsError(_("{entity} of {system} has no cursor field. Choose one in its settings."), **self._names())
        if changed.format or changed.zone:
            form = replace(form, format=changed.format or form.format, zone=zone_of(changed.zone, form.field.name) if changed.zone else form.zone)
        value = from_canonical(text, form.field.type)
        if form.field.type is FieldType.INTEGER:
            return form.write(value - 1 if back else value)
        if form.field.type is not FieldType.DATETIME:
            return form.write(value)
        unit = _unit(form.format)
        if forth and (rest := value.replace(tzinfo=dt.UTC).timestamp() * 1_000_000 % (unit // dt.timedelta(microseconds=1))):
            value += unit - dt.timedelta(microseconds=rest)
        return form.write(value - unit if back else value)

    def _last(self, frame: pl.DataFrame) -> Any:
        way = self._list.pagination
        if not isinstance(way, ByLastRecord) or not frame.height:
            return None
        if way.field not in frame.columns:
            raise SettingsError(_("{entity} of {system} is paged by {field}, which is none of its fields."), field=way.field, **self._names())
        return self._forms[way.field].outgoing(frame[way.field].tail(1))[0]

    def _without_deleted(self, page: Page) -> Page:
        flag = page.frame[self._list.deleted_field]
        return without(page, (flag if flag.dtype == pl.Boolean else flag.is_not_null()).fill_null(value=False), self._entity.key)


def _unit(format_: str) -> dt.timedelta:
    """The smallest step a format can say."""
    if format_ == "iso" or "%f" in format_ or "%.f" in format_ or "%.6f" in format_:
        return dt.timedelta(microseconds=1)
    if format_ in EPOCHS:
        return dt.timedelta(microseconds=EPOCHS[format_])
    if format_ == "json_date":
        return dt.timedelta(milliseconds=1)
    return dt.timedelta(seconds=1) if "%S" in format_ else dt.timedelta(minutes=1) if "%M" in format_ else dt.timedelta(days=1)
