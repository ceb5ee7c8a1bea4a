"""Reading a table page by page, each page a query of its own behind the last one's last record (keyset pagination).

A full reading goes by the key: an index serves it, and a record that changes meanwhile keeps its place, so none is missed or seen twice.
What changed since a cursor is read by (cursor, key), so that records which share a moment are all met. Nothing is held between two pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import BadAnswer, Cursor, Entity, Misfit, Page, Position, SettingsError, Text, _
from connectors.canonical import canonical_text
from connectors.sql.columns import Column, Unfit
from connectors.sql.databases import Database
from connectors.sql.tables import Table

UNINDEXED_PAGES = 10  # of one query, where no index gives its order and each has to sort what is left
MOST_WITHOUT_KEY = 10_000
MOST_OF_A_KEY = 10_000


class Reading:
    """One pass. A position is {"after": the order's values of the last record read, "above" and "upto": the keys a part lies between}."""

    def __init__(
        self,
        database: Database,
        table: Table,
        entity: Entity,
        *,
        since: Cursor | None,
        until: str | None,
        fields: Sequence[str] | None,
        keys_only: bool,
    ) -> None:
        self._database, self._table, self._entity = database, table, entity
        wanted = set(entity.key) if keys_only else {f.name for f in entity.fields} if fields is None else set(fields)
        self._wanted = [f.name for f in entity.fields if f.name in wanted]
        self._key = [column_of(table, entity, name, database.system) for name in entity.key]
        self._cursor = column_of(table, entity, entity.cursor_field, database.system) if entity.cursor_field else None
        if (since is not None or until is not None) and self._cursor is None:
            raise SettingsError(
                _("{entity} of {system} has no cursor field. Choose one under Tables in the settings."), entity=entity.name, system=database.system
            )
        self._order = list(dict.fromkeys([*([self._cursor] if since is not None and self._cursor else []), *self._key], None))
        self._columns = [column_of(table, entity, name, database.system) for name in dict.fromkeys([*self._wanted, *(c.name for c in self._order)])]
        self._bounds = self._bounded(since, until)
        rows = database.settings.connection.page_rows
        self._page_rows = rows
        self._query_rows = rows if self._order[0].name in table.indexed else rows * UNINDEXED_PAGES

    def _bounded(self, since: Cursor | None, until: str | None) -> list[sa.ColumnElement[bool]]:
        bounds: list[sa.ColumnElement[bool]] = []
        if self._cursor is None:
            return bounds
        try:
            if since is not None:
                bounds.append(self._database.lower(self._cursor, since.value))
            if until is not None:
                upper = self._database.upper(self._cursor, until)
                bounds.append(upper if since is not None else sa.or_(upper, self._cursor.sql.is_(None)))  # what never changed is part of the whole
        except Unfit as unfit:
            raise SettingsError(
                _("The cursor {value} is no value of {field} in {entity} of {system}. Set the cursor of the sync back."),
                value=str(unfit),
                field=self._cursor.name,
                entity=self._entity.name,
                system=self._database.system,
            ) from None
        return bounds

    def pages(self, position: Position | None) -> Iterator[Page]:
        place = dict(position or {})
        while True:
            if place.get("keyless"):
                yield self._without_key()
                return
            raw, is_last = self._rows(place)
            after = None if is_last else {**place, "after": self._marks(raw, raw.height - 1)}
            if after is None and self._table.has_nullable_key and "upto" not in place and self._keyless_count():
                after = {"keyless": True}
            start = 0
            while not start or start < raw.height:
                end = self._end(raw, start)
                part = raw[start:end]
                yield self._page(part, after if end >= raw.height else {**place, "after": self._marks(part, part.height - 1)})
                start = max(end, 1)
            if after is None:
                return
            place = after

    def _rows(self, place: dict[str, Any]) -> tuple[pl.DataFrame, bool]:
        """(the rows of one query, whether they are the last). Those that share a key, which only a view or a key of one's own choice can have,
        stay together: the next query begins behind the key."""
        count = self._query_rows
        if self._table.is_key_sure:
            raw = self._fetch(place, count)
            return raw, raw.height < count
        raw = self._fetch(place, count + 1)
        if raw.height <= count:
            return raw, True
        if self._marks(raw, count) != (edge := self._marks(raw, count - 1)):
            return raw[:count], False
        while count and self._marks(raw, count - 1) == edge:
            count -= 1
        return pl.concat([raw[:count], self._twins(edge)], how="vertical_relaxed"), False

    def _twins(self, marks: Sequence[str]) -> pl.DataFrame:
        values = self._unmarked(self._order, marks)
        select = self._select().where(*self._bounds, self._database.among(self._order, [values])).limit(sa.literal_column(str(MOST_OF_A_KEY + 1)))
        with self._database.request():
            raw = self._database.fetch(select, self._columns)
        if raw.height > MOST_OF_A_KEY:
            raise SettingsError(
                _("{entity} of {system} has more than {count} records with one key. Choose another key under Tables in the settings."),
                entity=self._entity.name,
                system=self._database.system,
                count=MOST_OF_A_KEY,
            )
        return raw

    def _end(self, raw: pl.DataFrame, start: int) -> int:
        """Where the page that starts at this row ends."""
        end = min(start + self._page_rows, raw.height)
        while not self._table.is_key_sure and start < end < raw.height and self._marks(raw, end) == self._marks(raw, end - 1):
            end += 1
        return end

    def _fetch(self, place: dict[str, Any], rows: int) -> pl.DataFrame:
        select = self._select().where(*self._bounds, *self._have_key())
        for name, columns in (("after", self._order), ("above", self._key)):
            if name in place:
                select = select.where(self._database.after(columns, self._unmarked(columns, place[name])))
        if "upto" in place:
            select = select.where(sa.not_(self._database.after(self._key, self._unmarked(self._key, place["upto"]))))
        select = select.order_by(*(c.sql for c in self._order)).limit(sa.literal_column(str(rows)))
        with self._database.request():
            return self._database.fetch(select, self._columns)

    def _select(self) -> sa.Select[Any]:
        return sa.select(*(self._database.shown(column).label(column.name) for column in self._columns)).select_from(self._table.sql)

    def _unmarked(self, columns: Sequence[Column], marks: Sequence[str]) -> list[Any]:
        return [self._database.unmark(column, mark) for column, mark in zip(columns, marks, strict=True)]

    def _marks(self, raw: pl.DataFrame, row: int, columns: Sequence[Column] | None = None) -> list[str]:
        columns = columns or self._order
        marks = [self._database.mark(column, raw[column.name], row) for column in columns]
        if None in marks:
            column = columns[marks.index(None)]
            raise BadAnswer(
                _("{system} has a record in {entity} whose {field} is {value}: reading cannot go on behind it. Correct it there."),
                system=self._database.system,
                entity=self._entity.name,
                field=column.name,
                value=column.shown(raw[column.name], row),
            )
        return [mark for mark in marks if mark is not None]

    def _page(self, raw: pl.DataFrame, position: Position | None) -> Page:
        frame, misfits = fitted(raw, [c for c in self._columns if c.name in set(self._wanted)])
        return Page(frame.select(self._wanted), position, misfits)

    def split(self, parts: int) -> list[Position]:
        """Ranges of keys with about as many records each. The last has no end, and so also takes the records without a key."""
        shown = [self._database.shown(column).label(column.name) for column in self._key]
        keys = sa.select(*shown).select_from(self._table.sql).order_by(*(c.sql for c in self._key))
        with self._database.request():
            count = int(self._database.reader.execute(sa.select(sa.func.count()).select_from(self._table.sql)).scalar_one())
        parts = min(parts, count)
        edges: list[list[str]] = []
        for number in range(1, parts):  # each from the last one on, so that all of them together go through the keys once
            behind = [self._database.after(self._key, self._unmarked(self._key, edges[-1]))] if edges else []
            at: sa.ColumnElement[Any] = sa.literal_column(str(count * number // parts - count * (number - 1) // parts - 1))
            with self._database.request():
                raw = self._database.fetch(keys.where(*self._have_key(), *behind).limit(sa.literal_column("1")).offset(at), self._key)
            if not raw.height:  # records were deleted meanwhile
                break
            edges.append(self._marks(raw, 0, self._key))
        lows = [{}, *({"above": edge} for edge in edges)]
        highs = [*({"upto": edge} for edge in edges), {}]
        return [{**low, **high} for low, high in zip(lows, highs, strict=True)]

    # --- records without a key, which only a view or a key of one's own choice can have ---

    def _have_key(self) -> list[sa.ColumnElement[bool]]:
        return [c.sql.is_not(None) for c in self._key] if self._table.has_nullable_key else []

    def _no_key(self) -> sa.ColumnElement[bool]:
        return sa.or_(*(c.sql.is_(None) for c in self._key))

    def _keyless_count(self) -> int:
        asked = sa.select(sa.func.count()).select_from(self._table.sql).where(self._no_key(), *self._bounds)
        with self._database.request():
            return int(self._database.reader.execute(asked).scalar_one())

    def _without_key(self) -> Page:
        select = self._select().where(self._no_key(), *self._bounds).limit(sa.literal_column(str(MOST_WITHOUT_KEY)))
        with self._database.request():
            raw = self._database.fetch(select, self._columns)
        page = self._page(raw, None)
        told = {(m.row, m.field) for m in page.misfits}
        for column in self._key:
            if column.name in page.frame.columns:
                empty = page.frame[column.name].is_null().arg_true().to_list()
                page.misfits += [
                    Misfit(row, column.name, "", Text(_("is empty, so the record has no key"))) for row in empty if (row, column.name) not in told
                ]
        return page


def newest_cursor(database: Database, table: Table, entity: Entity) -> str | None:
    """The greatest value of the cursor field, in canonical text."""
    if entity.cursor_field is None:
        return None
    column = column_of(table, entity, entity.cursor_field, database.system)
    select = sa.select(database.shown(column).label(column.name)).select_from(table.sql).where(column.sql.is_not(None))
    with database.request():
        raw = database.fetch(select.order_by(column.sql.desc()).limit(sa.literal_column("1")), [column])
    fitted, __ = column.fitted(raw[column.name])
    return canonical_text(fitted[0]) if fitted.len() and fitted[0] is not None else None


def column_of(table: Table, entity: Entity, name: str, system: str) -> Column:
    """Raises SettingsError where the table no longer has it."""
    column = table.columns.get(name)
    field = entity.field(name)
    if column is None or field is None or field.type != column.field.type:
        raise SettingsError(
            _("{entity} of {system} no longer has the field {field} as it was accepted. Look again what the system holds."),
            entity=entity.name,
            system=system,
            field=name,
        )
    return column


def fitted(raw: pl.DataFrame, columns: Sequence[Column]) -> tuple[pl.DataFrame, list[Misfit]]:
    """A query's frame in the entity's schema, and what of it does not fit."""
    made, misfits = [], []
    for column in columns:
        series, wrong = column.fitted(raw[column.name])
        made.append(series)
        misfits += wrong
    return pl.DataFrame(made), misfits
