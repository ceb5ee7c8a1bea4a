"""Many rows at once. With the connectors, the only place that asks which database it is: COPY and arrays on PostgreSQL, lists of VALUES and JSON on
SQLite. Values are what the database stores (text, numbers, bytes); times come as datetimes and are adapted here.

On SQLite each row that Python steps over, written or read, gives up the interpreter and must get it back from the other steps of a pipeline: up to a
millisecond a row. So a statement carries, and answers, all of its rows as one.
"""

from __future__ import annotations

import json
import operator
import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, reduce
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db import connection, models

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

ROWS_BY_INDEX = 1_000  # of one UPDATE of PostgreSQL: for more it would rather read a table of a million rows than its key's index
ROWS_AT_ONCE = 4_000  # that are put together for COPY: more take as long, and more memory
MOST_VALUES = 32_000  # of one statement of SQLite (SQLITE_MAX_VARIABLE_NUMBER is 32,766)


def insert(model: type[models.Model], frame: pl.DataFrame) -> None:
    """Insert rows, all or none; the frame's columns are named after the model's fields. A broken constraint raises IntegrityError."""
    if not frame.height:
        return
    names = ", ".join(_quoted(model, frame.columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {_table(model)} ({names}) FROM STDIN (FORMAT binary)") as copy:
                copy.write(BINARY_HEADER)
                for some in frame.iter_slices(ROWS_AT_ONCE):
                    copy.write(_binary(model, some))
                copy.write(BINARY_TRAILER)
        else:
            _insert_values(model, frame)


def _insert_values(model: type[models.Model], frame: pl.DataFrame) -> None:
    """As INSERT … SELECT from a list of VALUES; what is the same in all rows is bound once."""
    same = [name for name in frame.columns if frame[name].n_unique() == 1]
    differ = [name for name in frame.columns if name not in same] or [same.pop()]
    into = ", ".join(_quoted(model, [*same, *differ]))
    picked = ", ".join([*(f"?{place}" for place in range(1, len(same) + 1)), *_numbered(len(differ))])
    constants = [one for name in same for one in _adapted(model, name, frame[name].head(1).to_list())]
    for some in frame.select(differ).iter_slices(MOST_VALUES // len(differ)):
        columns = [_adapted(model, name, some[name].to_list()) for name in differ]
        statement = f"INSERT INTO {_table(model)} ({into}) SELECT {picked} FROM ({_values(some.height, len(differ))})"  # noqa: S608
        _execute(statement, [*constants, *chain.from_iterable(zip(*columns, strict=True))])


@lru_cache(maxsize=8)
def _values(rows: int, columns: int) -> str:
    return f"VALUES {', '.join([f'({_marks(columns)})'] * rows)}"


def _numbered(count: int) -> list[str]:
    """The columns of a list of VALUES, as SQLite names them."""
    return [f"column{number}" for number in range(1, count + 1)]


def _execute(statement: str, values: Sequence[Any]) -> None:
    """On SQLite, past Django's search for %s in thousands of marks."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.execute(statement, values)


def _binary(model: type[models.Model], frame: pl.DataFrame) -> bytes:
    """The rows as COPY reads them in its binary form, which costs the server a quarter less than text: of each row the number of its columns, of each
    value its length, or -1 for null, and its bytes. Source: "Binary Format" in https://www.postgresql.org/docs/current/sql-copy.html."""
    import polars as pl

    pieces: list[bytes | pl.Expr] = [struct.pack(">h", frame.width)]  # of a row, in their order; bytes where it is the same in all rows
    for name in frame.columns:
        for piece in _encoded(str(model._meta.get_field(name).db_type(connection)), frame[name]):
            if isinstance(piece, bytes) and isinstance(pieces[-1], bytes):
                pieces[-1] += piece
            else:
                pieces.append(piece)
    row = reduce(operator.add, (pl.lit(piece) if isinstance(piece, bytes) else piece for piece in pieces))
    return b"".join(frame.with_columns(row=row)["row"].to_list())


BINARY_HEADER, BINARY_TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), struct.pack(">h", -1)
NUMBERS = {"smallint": 2, "integer": 4, "bigint": 8, "boolean": 1, "timestamp with time zone": 8}  # how many bytes they have
YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)  # where PostgreSQL counts microseconds from
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # and Polars


def _encoded(type_: str, values: pl.Series) -> Iterator[bytes | pl.Expr]:
    """Of each value its length and its bytes: bytes where they are the same in all rows, else expressions over its frame. Raises TypeError for a type that
    nothing is inserted into, OverflowError for a number out of its range."""
    import numpy as np
    import polars as pl

    column, mark = pl.col(values.name), b"\1" if type_ == "jsonb" else b""
    if type_ not in NUMBERS and type_ not in ("bytea", "text", "jsonb") and not type_.startswith("varchar"):
        raise TypeError(f"Nothing is inserted into columns of type {type_}.")
    if values[0] == values[-1] and values.n_unique() == 1:
        alone = None if values[0] is None else mark + _plain(type_, values[0])
        yield struct.pack(">i", -1) if alone is None else struct.pack(">i", len(alone)) + alone
        return
    if type_ in NUMBERS:
        stored, lengths = _big_endian(values, NUMBERS[type_]), np.full(len(values), NUMBERS[type_])
    else:
        stored, lengths = column.cast(pl.Binary), values.cast(pl.Binary).bin.size().to_numpy() + len(mark)
        stored = pl.lit(mark) + stored if mark else stored
    if values.has_nulls():
        lengths = np.where(values.is_null(), -1, lengths)
        stored = pl.when(column.is_null()).then(pl.lit(b"")).otherwise(stored)
    yield struct.pack(">i", int(lengths[0])) if (lengths == lengths[0]).all() else _big_endian(pl.Series(lengths.astype(np.int32)), 4)
    yield stored


def _plain(type_: str, value: Any) -> bytes:
    """The bytes of one value."""
    if type_ in NUMBERS:
        number = (value - YEAR_2000) // timedelta(microseconds=1) if isinstance(value, datetime) else int(value)
        return number.to_bytes(NUMBERS[type_], "big", signed=True)
    return value.encode() if isinstance(value, str) else bytes(value)


def _big_endian(numbers: pl.Series, width: int) -> pl.Expr:
    """The bytes of each number."""
    import numpy as np
    import polars as pl

    if isinstance(numbers.dtype, pl.Datetime):
        numbers = numbers.dt.epoch("us") - (YEAR_2000 - UNIX_EPOCH) // timedelta(microseconds=1)
    whole, range_ = numbers.cast(pl.Int64).fill_null(0).to_numpy(), np.iinfo(f">i{width}")
    if whole.min() < range_.min or whole.max() > range_.max:
        raise OverflowError(f"{numbers.name} has a number out of range: {whole.min()} … {whole.max()}.")
    raw = whole.astype(range_.dtype).tobytes()
    return pl.lit(raw).bin.slice(pl.int_range(0, len(raw), width), width)


def update(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Set `columns`, none of them a time, on many rows; the last value of each tuple is the primary key."""
    names, listed = _quoted(model, columns), list(rows)
    key = connection.ops.quote_name(str(model._meta.pk.column))
    if connection.vendor == "postgresql":
        fields = [*(model._meta.get_field(name) for name in columns), model._meta.pk]
        given = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields if field is not None)
        sets = ", ".join(f"{name} = new.c{number}" for number, name in enumerate(names))
        renamed = ", ".join([*(f"c{number}" for number in range(len(names))), "key"])
        statement = f"UPDATE {_table(model)} SET {sets} FROM unnest({given}) AS new({renamed}) WHERE {_table(model)}.{key} = new.key"  # noqa: S608
        with connection.cursor() as cursor:
            for start in range(0, len(listed), ROWS_BY_INDEX):
                cursor.execute(statement, [list(values) for values in zip(*listed[start : start + ROWS_BY_INDEX], strict=True)])
        return
    *values, its_key = _numbered(len(columns) + 1)
    sets = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    at_once = MOST_VALUES // (len(columns) + 1)
    for start in range(0, len(listed), at_once):
        some = listed[start : start + at_once]
        statement = f"UPDATE {_table(model)} SET {sets} FROM ({_values(len(some), len(columns) + 1)}) WHERE {key} = {its_key}"  # noqa: S608
        _execute(statement, list(chain.from_iterable(some)))


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
    """The same, column by column."""
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
            found = cursor.execute(statement, asked, prepare=False, binary=True).fetchone()
        return [column or () for column in found or ()]
    conditions.append(f"{quoted_key} IN (SELECT value FROM json_each(%s))")  # noqa: S608
    binary = [isinstance(model._meta.get_field(name), models.BinaryField) for name in columns]
    told = [f"CASE WHEN {name} IS NOT NULL THEN hex({name}) END" if is_bytes else name for name, is_bytes in zip(names, binary, strict=True)]
    statement = f"SELECT {', '.join(f'json_group_array({one})' for one in told)} FROM {_table(model)} WHERE {' AND '.join(conditions)}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [*equal.values(), json.dumps(list(values))])
        found = [json.loads(column) for column in cursor.fetchone()]
    return [_from_hex(column) if is_bytes else column for column, is_bytes in zip(found, binary, strict=True)]


def _from_hex(column: Sequence[str | None]) -> list[bytes | None]:
    return [None if one is None else bytes.fromhex(one) for one in column]


def fetch_bytes(
    model: type[models.Model], column: str, *, key: str, values: Sequence[str], where: str = "", **equal: Any
) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Of the rows that `fetch` would find, one binary column: the place of each among `values`, the length of its bytes, and all bytes in a row.

    No object is made for a row, by the database or here: half of what `fetch` costs.
    """
    import numpy as np

    quoted_key, name = _quoted(model, [key, column])
    conditions = [f"{one} = %s" for one in _quoted(model, list(equal))]
    if where:
        conditions.append(where)
    conditions.append(f"{quoted_key} = asked.value")
    if connection.vendor == "postgresql":
        row = f"SELECT {name} AS stored FROM {_table(model)} WHERE {' AND '.join(conditions)} OFFSET 0"  # noqa: S608  see fetch_columns
        statement = (
            "SELECT string_agg(int4send(asked.place::int4), ''), string_agg(int4send(coalesce(octet_length(found.stored), 0)), ''), "  # noqa: S608
            "coalesce(string_agg(found.stored, ''), '') "
            f"FROM jsonb_array_elements_text(%s::jsonb) WITH ORDINALITY AS asked(value, place) CROSS JOIN LATERAL ({row}) AS found"
        )
        connection.ensure_connection()
        from psycopg import Cursor

        with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
            told = cursor.execute(statement, [json.dumps(list(values)), *equal.values()], prepare=False, binary=True).fetchone()
        places, lengths, stored = told or (b"", b"", b"")
        return np.frombuffer(places or b"", ">i4") - 1, np.frombuffer(lengths or b"", ">i4"), stored
    statement = (
        f"SELECT json_group_array(asked.key), json_group_array(hex({name})) "  # noqa: S608
        f"FROM json_each(%s) AS asked CROSS JOIN {_table(model)} WHERE {' AND '.join(conditions)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(list(values)), *equal.values()])
        found, texts = (json.loads(column) for column in cursor.fetchone())
    return np.array(found, dtype=np.int64), np.array([len(text) // 2 for text in texts], dtype=np.int64), bytes.fromhex("".join(texts))


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _quoted(model: type[models.Model], columns: Sequence[str]) -> list[str]:
    return [connection.ops.quote_name(str(model._meta.get_field(name).column)) for name in columns]  # type: ignore[union-attr]


def _marks(count: int) -> str:
    return ", ".join(["?"] * count)


def _adapted(model: type[models.Model], name: str, values: Iterable[Any]) -> Iterable[Any]:
    """A column with each datetime as the database stores it; each moment is made once, for the rows of a portion share theirs."""
    if not isinstance(model._meta.get_field(name), models.DateTimeField):
        return values
    return map(lru_cache(maxsize=8)(connection.ops.adapt_datetimefield_value), values)
