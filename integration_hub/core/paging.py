"""Lists that page by key: as quick at the last page as at the first, however long the list."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

M = TypeVar("M", bound=Model)
CAP = 10_000


@dataclass(frozen=True)
class KeyPage(Generic[M]):
    """One page of a list, with the marks of its neighbours ("" where there is none). For hub/_pager.html."""

    items: list[M]
    older: str
    newer: str
    count: int | None


def key_page(rows: QuerySet[M], request: HttpRequest, *, order: tuple[str, ...] = ("-pk",), size: int = 50, counted: bool = True) -> KeyPage[M]:
    """The page of `rows` that the address asks for by `after` or `before`. `order` is an index's columns, none of them nullable, the last one unique.

    A mark that cannot be read gives the first page. The count stops above 10,000.
    """
    after, before = (_read(request.GET.get(name, ""), len(order)) for name in ("after", "before"))
    count = rows.order_by()[: CAP + 1].count() if counted else None
    backwards = before is not None
    directed = tuple(_turn(name) for name in order) if backwards else order
    mark = before if backwards else after
    found = list((rows.filter(_beyond(directed, mark)) if mark is not None else rows).order_by(*directed)[: size + 1])
    more, items = len(found) > size, found[:size]
    if backwards:
        items.reverse()
    has_older = more if not backwards else bool(items)
    has_newer = more if backwards else mark is not None
    return KeyPage(
        items,
        _mark(items[-1], order) if items and has_older else "",
        _mark(items[0], order) if items and has_newer else "",
        count,
    )


def _turn(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _beyond(order: tuple[str, ...], mark: list[Any]) -> Q:
    """Rows after the mark: a > x, or a = x and b > y, and so on."""
    beyond, same = Q(), Q()
    for name, value in zip(order, mark, strict=True):
        column, way = (name[1:], "lt") if name.startswith("-") else (name, "gt")
        beyond |= same & Q((f"{column}__{way}", value))
        same &= Q((column, value))
    return beyond


def _mark(row: Model, order: tuple[str, ...]) -> str:
    values = [_attribute(row, name.lstrip("-")) for name in order]
    return base64.urlsafe_b64encode(json.dumps(values, default=_plain).encode()).decode().rstrip("=")


def _attribute(row: Any, name: str) -> Any:
    for part in name.split("__"):
        row = getattr(row, part)
    return row


def _plain(value: Any) -> Any:
    return {"at": value.isoformat()} if hasattr(value, "isoformat") else str(value)


def _read(mark: str, length: int) -> list[Any] | None:
    try:
        values = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
        values = [parse_datetime(value["at"]) if isinstance(value, dict) else value for value in values]
    except (ValueError, TypeError, KeyError):
        return None
    return values if len(values) == length and None not in values else None
