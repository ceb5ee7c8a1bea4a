"""The one text form of a value: keys, cursors and lookups travel in it. Reversible for each type; a composite key is a JSON array of its parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from connectors.base import FieldType

_json = msgspec.json.Encoder(order="sorted", decimal_format="number")


def canonical_text(value: Any) -> str:
    """A value as a frame holds it, in its one text form: True → true, 12.50 → 12.5, a moment → 2026-11-22T10:00:00.000000Z."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return repr(value) if isinstance(value, float) else str(value)


def _plain_decimal(value: Decimal) -> str:
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def from_canonical(text: str, type_: FieldType) -> Any:
    """The value again. Raises ValueError."""
    match type_:
        case FieldType.INTEGER:
            return int(text)
        case FieldType.NUMBER:
            return float(text)
        case FieldType.DECIMAL:
            return Decimal(text)
        case FieldType.BOOLEAN:
            return {"true": True, "false": False}[text]
        case FieldType.DATE:
            return dt.date.fromisoformat(text)
        case FieldType.TIME:
            return dt.time.fromisoformat(text)
        case FieldType.DATETIME:
            moment = dt.datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        case FieldType.BINARY:
            return bytes.fromhex(text)
    return text


def canonical_key(parts: Sequence[Any]) -> str:
    """One field: its text. Several: a JSON array of their texts."""
    texts = [canonical_text(p) for p in parts]
    return texts[0] if len(texts) == 1 else orjson.dumps(texts).decode()


def key_parts(key: str, count: int) -> list[str]:
    """The texts a key of `count` fields was made of. Raises ValueError."""
    if count == 1:
        return [key]
    parts = orjson.loads(key)
    if not isinstance(parts, list) or len(parts) != count:
        raise ValueError(f"a key of {count} fields is a JSON array of {count} texts")
    return [p if isinstance(p, str) else canonical_text(p) for p in parts]


def canonical_json(raw: str | bytes | msgspec.Raw) -> str:
    """JSON text with sorted names and no blanks. Raises ValueError for what is no JSON, RecursionError for what is nested too deep."""
    return _json.encode(msgspec.json.decode(raw)).decode()
