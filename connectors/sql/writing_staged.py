"""Writing a portion through a temporary table, by one statement for all rows of an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import Changes, Entity, Outcome, Result, SettingsError, _
from connectors.canonical import canonical_text
from connectors.sql.databases import Failure, Verdict
from connectors.sql.staging import ROW, Staged, Staging, sent_name
from connectors.sql.tables import Table
from connectors.sql.writing import Batch, Conflict, Writing


class StagedWriting(Writing):
    def __init__(self, database: Staged, table: Table, entity: Entity, changes: Changes) -> None:
        super().__init__(database, table, entity, changes)
        self._staged_by = database

    def _prepare(self, connection: sa.Connection, batch: Batch) -> None:
        self._staging(connection, batch)  # made outside of any savepoint, else it would go with one

    def _create(self, connection: sa.Connection, batch: Batch) -> None:
        knows_keys = self._knows_keys(batch)
        if knows_keys and batch.frame.height > 1 and self._copied_straight(connection, batch):
            return
        staging = self._staged(connection, batch)
        columns = [self._table.columns[n] for n in batch.names]
        rows = sa.select(*(self._staged_by.stored(c, staging.sql.c[c.name]) for c in columns)).order_by(staging.row)
        inner = connection.begin_nested()
        try:
            keys = self._inserted(connection, batch, staging, rows, knows_keys=knows_keys)
        except self._database.errors as error:
            inner.rollback()
            failure = self._database.failure(error)
            if failure.verdict is not Verdict.UNIQUE:
                raise
            self._create_again(connection, batch, staging, failure)
            return
        if keys is None and batch.frame.height == 1 and knows_keys and self._is_there(connection, staging):
            keys = self._sent_keys(batch.frame)  # a trigger has put it elsewhere, such as into a child of the table
        if keys is None:
            inner.rollback()
            self._create_again(connection, batch, staging, None)
            return
        inner.commit()
        self._written(batch.frame[ROW], keys)

    def _copied_straight(self, connection: sa.Connection, batch: Batch) -> bool:
        """As most portions hold nothing but new records, try that first: half the work, and lost on none but those that do not."""
        inner = connection.begin_nested()
        try:
            if not self._staged_by.copy_straight(connection, self._table, batch.frame.select(batch.names)):
                inner.rollback()
                return False
        except self._database.errors as error:
            inner.rollback()
            if self._database.failure(error).verdict in (Verdict.BUSY, Verdict.DOWN):
                raise
            return False
        inner.commit()
        self._written(batch.frame[ROW], self._sent_keys(batch.frame))
        return True

    def _inserted(self, connection: sa.Connection, batch: Batch, staging: Staging, rows: sa.Select[Any], *, knows_keys: bool) -> pl.Series | None:
        """The keys of the rows, all of which are now there; None where uniqueness passed over some."""
        database, table, names = self._staged_by, self._table.sql, list(batch.names)
        told = {"preserve_rowcount": True}
        single = sa.insert(table).from_select(names, rows)  # here uniqueness speaks for itself
        if knows_keys or (not database.returns_keys and self._brings_keys(batch)):
            result = connection.execute(single if batch.frame.height == 1 else database.insert(table, names, rows), execution_options=told)
            if result.rowcount != batch.frame.height:
                return None
            return self._sent_keys(batch.frame) if knows_keys else self._staged_keys(connection, staging)
        if database.returns_keys:
            insert = single if batch.frame.height == 1 else database.insert(table, names, rows)
            keys = [self._key_of(row) for row in connection.execute(insert.returning(*(c.sql for c in self._key)))]
            return pl.Series(keys, dtype=pl.String) if len(keys) == batch.frame.height else None
        one = sa.insert(table).from_select(names, rows.where(staging.row == sa.bindparam("number")))
        if connection.dialect.insert_returning:
            one = one.returning(*(c.sql for c in self._key))
            made = [self._key_of(connection.execute(one, {"number": number}).one()) for number in batch.frame[ROW]]
        else:
            made = [
                self._numbered(connection, staging, batch.names, number, connection.execute(one, {"number": number}).lastrowid)
                for number in batch.frame[ROW]
            ]
        return pl.Series(made, dtype=pl.String)

    def _is_there(self, connection: sa.Connection, staging: Staging) -> bool:
        """Whether the table holds a record with the key of the one that was put into it."""
        same = sa.and_(*(c.sql == staging.sql.c[c.name] for c in self._key))
        return connection.execute(sa.select(staging.row).select_from(staging.sql.join(self._table.sql, same))).first() is not None

    def _staged_keys(self, connection: sa.Connection, staging: Staging) -> pl.Series:
        """The keys that the rows brought along, as the types of their columns made them."""
        asked = sa.select(*(staging.sql.c[c.name] for c in self._key)).order_by(staging.row)
        return pl.Series([self._key_of(row) for row in connection.execute(asked)], dtype=pl.String)

    def _numbered(self, connection: sa.Connection, staging: Staging, names: Sequence[str], row: int, number: int) -> str:
        """The key of a row of which the database tells no more than the number that it gave it."""
        asked = sa.select(*(staging.sql.c[c.name] if c.name in names else sa.null() for c in self._key)).where(staging.row == row)
        parts = connection.execute(asked).one()
        if None in parts and not number:
            raise SettingsError(
                _("{system} makes the key of {entity} by itself and does not tell it. Map a value to {field}."),
                system=self._database.system,
                entity=self._entity.name,
                field=self._key[list(parts).index(None)].name,
            )
        return self._key_of([number if part is None else part for part in parts])

    def _create_again(self, connection: sa.Connection, batch: Batch, staging: Staging, failure: Failure | None) -> None:
        """Some of these records are there already. One that is just as it was sent came before: it is written. Any other is refused."""
        sure = self._table.sure_key
        if sure is None or not set(sure) <= set(batch.names):
            if failure is not None and batch.frame.height == 1:
                self._refused(batch.frame[ROW][0], self._refusal(failure, batch))
                return
            raise Conflict
        columns = [self._table.columns[n] for n in batch.names]
        same = sa.and_(*(self._staged_by.equal(c, staging.sql.c[c.name]) for c in columns))
        there = sa.and_(*(self._table.columns[n].sql == staging.sql.c[n] for n in sure))
        asked = sa.select(staging.row, same, *(c.sql for c in self._key)).select_from(staging.sql.join(self._table.sql, there))
        found = connection.execute(asked).all()
        if not found:
            if failure is not None and batch.frame.height == 1:
                self._refused(batch.frame[ROW][0], self._refusal(failure, batch))
                return
            raise Conflict
        sent = dict(zip(batch.frame[ROW].to_list(), batch.frame.select(sure).iter_rows(), strict=True))
        for row, is_same, *key in found:
            if is_same:
                self._outcomes.append(Outcome(row, Result.WRITTEN, self._key_of(key)))
            else:
                value = ", ".join(canonical_text(part) for part in sent[row])
                self._refused(row, self._database.refusal(Failure(Verdict.UNIQUE, "", ", ".join(sure), value)))
        rest = batch.frame.filter(~batch.frame[ROW].is_in([row for row, *_more in found]))
        self._write(connection, batch.of(rest))

    def _update(self, connection: sa.Connection, batch: Batch) -> None:
        staging, updated = self._staged(connection, batch), 0
        if batch.names:
            new: dict[str, Any] = {}
            for name in batch.names:
                column = self._table.columns[name]
                value = self._staged_by.stored(column, staging.sql.c[name])
                new[name] = sa.case((staging.sql.c[sent_name(name)], value), else_=column.sql) if name in batch.masked else value
            update = sa.update(self._table.sql).values(new).where(staging.same_key())
            updated = connection.execute(update).rowcount
            if updated == batch.frame.height:
                self._written(batch.frame[ROW], None)
                return
        missing = sa.select(staging.row).select_from(staging.sql.outerjoin(self._table.sql, staging.same_key())).where(self._key[0].sql.is_(None))
        gone: set[int] = set(connection.execute(missing).scalars())
        if batch.names and self._staged_by.counts_matches and updated + len(gone) < batch.frame.height:
            raise Conflict  # a trigger passes over some of them without a word
        for row in batch.frame[ROW]:
            if row in gone:
                self._gone(row)
            else:
                self._outcomes.append(Outcome(row, Result.WRITTEN))

    def _delete(self, connection: sa.Connection, batch: Batch) -> None:
        staging = self._staged(connection, batch)
        connection.execute(self._staged_by.delete(staging))
        self._written(batch.frame[ROW], None)  # what is gone already is as it should be

    def _staging(self, connection: sa.Connection, batch: Batch) -> Staging:
        keys = () if batch.operation == "create" else self._entity.key
        return self._staged_by.staging(connection, self._table, keys=keys, names=batch.names, masked=batch.masked)

    def _staged(self, connection: sa.Connection, batch: Batch) -> Staging:
        staging = self._staging(connection, batch)
        self._staged_by.empty(connection, staging)
        self._staged_by.fill(connection, staging, batch.frame)
        return staging
