"""Many rows at once. With the connectors, the only place that asks which database it is: COPY and arrays on PostgreSQL, executemany and
json_each on SQLite. Values are what the database stores (text, numbers, bytes); times come as datetimes and are adapted here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection, models

if TYPE_CHECKING:
    import polars as pl


def insert(model: type[models.Model], frame: pl.DataFrame) -> None:
    """Insert rows, all or none; the frame's columns are named after the model's fields. A broken constraint raises IntegrityError."""
    names = ", ".join(_quoted(model, frame.columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {_table(model)} ({names}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(_csv(frame))
        else:
            adapted = [_adapted(model, name, frame[name].to_list()) for name in frame.columns]
            rows: Any = zip(*adapted, strict=True)  # any iterable will do, whatever the stubs say
            cursor.executemany(f"INSERT INTO {_table(model)} ({names}) VALUES ({_marks(frame.columns)})", rows)  # noqa: S608


def _csv(frame: pl.DataFrame) -> bytes:
    """As COPY reads it: null is nothing, an empty text "", bytes are hexadecimal."""
    import polars as pl

    binary = [name for name, dtype in frame.schema.items() if dtype == pl.Binary]
    plain = frame.with_columns((pl.lit("\\x") + pl.col(name).bin.encode("hex")).alias(name) for name in binary)
    return plain.write_csv(include_header=False, quote_style="non_numeric").encode()


def update(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Set `columns`, none of them a time, on many rows; the last value of each tuple is the primary key."""
    sets = ", ".join(f"{name} = %s" for name in _quoted(model, columns))
    with connection.cursor() as cursor:
        key = connection.ops.quote_name(str(model._meta.pk.column))
        cursor.executemany(f"UPDATE {_table(model)} SET {sets} WHERE {key} = %s", list(rows))  # noqa: S608


def fetch(
    model: type[models.Model], columns: Sequence[str], *, key: str, values: Sequence[str], where: str = "", **equal: Any
) -> list[tuple[Any, ...]]:
    """`columns` of the rows whose text field `key` is one of `values` and whose other columns are as in `equal`; `where` is a constant piece of SQL.

    One statement whatever the number of values.
    """
    return list(zip(*fetch_columns(model, columns, key=key, values=values, where=where, **equal), strict=True))


def fetch_columns(
    model: type[models.Model], columns: Sequence[str], *, key: str, values: Sequence[str], where: str = "", **equal: Any
) -> list[Sequence[Any]]:
    """The same, column by column: no object is made for each row."""
    names = _quoted(model, columns)
    (quoted_key,) = _quoted(model, [key])
    conditions = [f"{name} = %s" for name in _quoted(model, list(equal))]
    if where:
        conditions.append(where)
    if connection.vendor == "postgresql":
        # Value by value, each by the index (OFFSET 0 keeps this order): without statistics the planner would compare every row of the table with
        # every value. The rows come as one, in binary.
        conditions.append(f"{quoted_key} = asked.value")
        row = f"SELECT {', '.join(dict.fromkeys(names))} FROM {_table(model)} WHERE {' AND '.join(conditions)} OFFSET 0"  # noqa: S608
        statement = (
            f"SELECT {', '.join(f'array_agg(found.{name})' for name in names)} "  # noqa: S608
            f"FROM jsonb_array_elements_text(%s::jsonb) AS asked(value) CROSS JOIN LATERAL ({row}) AS found"
        )
        connection.ensure_connection()
        from psycopg import Cursor  # Django's own binds on the client, which allows no binary

        with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
            asked = [json.dumps(list(dict.fromkeys(values))), *equal.values()]
            return [column or () for column in cursor.execute(statement, asked, prepare=False, binary=True).fetchone() or ()]
    conditions.append(f"{quoted_key} IN (SELECT value FROM json_each(%s))")  # noqa: S608
    with connection.cursor() as cursor:
        statement = f"SELECT {', '.join(names)} FROM {_table(model)} WHERE {' AND '.join(conditions)}"  # noqa: S608
        cursor.execute(statement, [*equal.values(), json.dumps(list(values))])
        return list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)


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
