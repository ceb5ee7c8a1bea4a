"""Many rows at once. With the connectors, the only place that asks which database it is: COPY and arrays on PostgreSQL, executemany and
json_each on SQLite. Values are what the database stores (text, numbers, bytes); times come as datetimes and are adapted here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection, models


def insert(model: type[models.Model], columns: Mapping[str, Iterable[Any]]) -> None:
    """Insert rows, all or none, given column by column (`repeat(value)` where all rows have the same). A broken constraint raises IntegrityError.

    By columns, because nothing is then done row by row but in the database: the rows are put together by `zip`.
    """
    names = ", ".join(_quoted(model, list(columns)))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {_table(model)} ({names}) FROM STDIN") as copy:
                for row in zip(*columns.values(), strict=False):
                    copy.write_row(row)
        else:
            adapted = [_adapted(model, name, values) for name, values in columns.items()]
            rows: Any = zip(*adapted, strict=False)  # any iterable will do, whatever the stubs say
            cursor.executemany(f"INSERT INTO {_table(model)} ({names}) VALUES ({_marks(columns)})", rows)  # noqa: S608


def update(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Set `columns`, none of them a time, on many rows; the last value of each tuple is the primary key."""
    sets = ", ".join(f"{name} = %s" for name in _quoted(model, columns))
    with connection.cursor() as cursor:
        key = connection.ops.quote_name(str(model._meta.pk.column))
        cursor.executemany(f"UPDATE {_table(model)} SET {sets} WHERE {key} = %s", list(rows))  # noqa: S608


def fetch(
    model: type[models.Model], columns: Sequence[str], *, key: str, values: Sequence[Any], where: str = "", **equal: Any
) -> list[tuple[Any, ...]]:
    """`columns` of the rows whose `key` is one of `values` and whose other columns are as in `equal`; `where` is a constant piece of SQL.

    One statement whatever the number of values.
    """
    names = ", ".join(_quoted(model, columns))
    (quoted_key,) = _quoted(model, [key])
    conditions = [f"{name} = %s" for name in _quoted(model, list(equal))]
    if connection.vendor == "postgresql":
        conditions.append(f"{quoted_key} = ANY(%s)")
        parameter: Any = list(values)
    else:
        conditions.append(f"{quoted_key} IN (SELECT value FROM json_each(%s))")  # noqa: S608
        parameter = json.dumps(list(values))
    if where:
        conditions.append(where)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {_table(model)} WHERE {' AND '.join(conditions)}", [*equal.values(), parameter])  # noqa: S608
        return list(cursor.fetchall())


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _quoted(model: type[models.Model], columns: Sequence[str]) -> list[str]:
    return [connection.ops.quote_name(str(model._meta.get_field(name).column)) for name in columns]  # type: ignore[union-attr]


def _marks(columns: Collection[str]) -> str:
    return ", ".join(["%s"] * len(columns))


def _adapted(model: type[models.Model], name: str, values: Iterable[Any]) -> Iterable[Any]:
    """A column with each datetime as the database stores it; each moment is made once, for the rows of a portion share theirs."""
    if not isinstance(model._meta.get_field(name), models.DateTimeField):
        return values
    return map(lru_cache(maxsize=8)(connection.ops.adapt_datetimefield_value), values)
