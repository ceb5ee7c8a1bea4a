"""Writing a portion without a temporary table: the driver's own way of many rows for one statement. Halving is the same."""

from __future__ import annotations

from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.base import Outcome, Result
from connectors.sql.databases import Verdict
from connectors.sql.staging import ROW, key_name, sent_name
from connectors.sql.writing import Batch, Writing


class WritingByRows(Writing):
    def _prepare(self, connection: sa.Connection, batch: Batch) -> None:
        """Nothing: rows go straight into their table."""

    def _create(self, connection: sa.Connection, batch: Batch) -> None:
        rows = batch.frame.select(batch.names).to_dicts()
        inner = connection.begin_nested()
        try:
            keys = self._inserted_rows(connection, batch, rows)
        except self._database.errors as error:
            inner.rollback()
            if len(rows) > 1 or self._table.sure_key is None or self._database.failure(error).verdict is not Verdict.UNIQUE:
                raise
            same = (self._table.columns[n].sql == v if v is not None else self._table.columns[n].sql.is_(None) for n, v in rows[0].items())
            there = connection.execute(sa.select(*(c.sql for c in self._key)).where(*same)).first()
            if there is None:
                raise
            self._written(batch.frame[ROW], pl.Series([self._key_of(there)]))  # just as it was sent: it came before
            return
        inner.commit()
        self._written(batch.frame[ROW], keys)

    def _inserted_rows(self, connection: sa.Connection, batch: Batch, rows: list[dict[str, Any]]) -> pl.Series:
        insert = sa.insert(self._table.sql)
        if self._knows_keys(batch):
            connection.execute(insert, rows)
            return self._sent_keys(batch.frame)
        told = insert.returning(*(c.sql for c in self._key))
        return pl.Series([self._key_of(connection.execute(told, row).one()) for row in rows], dtype=pl.String)

    def _update(self, connection: sa.Connection, batch: Batch) -> None:
        for row in batch.frame.iter_rows(named=True):
            same = self._same_key(row)
            sent = {name: row[name] for name in batch.names if row.get(sent_name(name), True)}
            if sent:
                found = connection.execute(sa.update(self._table.sql).where(same).values(sent)).rowcount
            else:
                found = connection.execute(sa.select(sa.func.count()).select_from(self._table.sql).where(same)).scalar_one()
            if found:
                self._outcomes.append(Outcome(row[ROW], Result.WRITTEN))
            else:
                self._gone(row[ROW])

    def _delete(self, connection: sa.Connection, batch: Batch) -> None:
        for row in batch.frame.iter_rows(named=True):
            connection.execute(sa.delete(self._table.sql).where(self._same_key(row)))
        self._written(batch.frame[ROW], None)

    def _same_key(self, row: dict[str, Any]) -> sa.ColumnElement[bool]:
        return sa.and_(*(column.sql == row[key_name(n)] for n, column in enumerate(self._key)))
