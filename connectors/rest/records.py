"""Records: from the bytes of a page to a frame, and from a frame's rows to the objects that are sent.

A page is decoded straight into typed structs that hold the wanted fields and nothing else, then turned into columns. Only where that fails
(a value of another type, a record that is no object) is it decoded again with patience and looked at value by value.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from connectors.base import BadAnswer, Misfit, Text, _
from connectors.rest.answers import ABSENT, Answer, Path, at
from connectors.rest.values import Form, shown

Tree = dict[str, Any]  # name → Form of a leaf, or a Tree
_astuple = msgspec.structs.astuple


@dataclass(slots=True)
class Records:
    """The records of one answer as a frame, as `connectors.base.Page` has them."""

    frame: pl.DataFrame
    misfits: list[Misfit] = field(default_factory=list)
    absent: pl.DataFrame | None = None


class Decoder:
    """Reads records with these fields. `columns` names the places of records that are lists of values; `none_is_empty`: null may stand for no records."""

    def __init__(self, forms: Sequence[Form], columns: Sequence[str] = (), columns_path: str = "", *, none_is_empty: bool = False) -> None:
        self.forms, self.none_is_empty = list(forms), none_is_empty
        self.columns, self.columns_path = list(columns), columns_path
        self._strict: msgspec.json.Decoder[Any] | None = None
        self._lenient: msgspec.json.Decoder[Any] | None = None
        self._some_absent = False  # once a page lacked a field, the next ones are expected to
        if not (columns or columns_path):
            tree = _tree(self.forms)
            self._strict = msgspec.json.Decoder(list[_struct(tree, absent=False)])  # type: ignore[misc]
            self._lenient = msgspec.json.Decoder(list[_struct(tree, absent=True)])  # type: ignore[misc]
            self._walk = _walker(tree, [form.field.name for form in self.forms])
        self._smallest = min((form.max_bytes for form in self.forms), default=0)
        self._order = {form.field.name: number for number, form in enumerate(self.forms)}

    def decode(self, answer: Answer, path: Path, *, single: bool = False) -> Records:
        """The records at a path of the answer. Raises BadAnswer where there is no list of records."""
        raw = answer.raw(path)
        if raw is not None and self._strict and not single:
            columns = self._typed(raw)
            if columns is not None:
                return self._frame(columns, [], trusted=len(answer.body) <= self._smallest)
        return self.of(_rows(answer, path, single=single, none_is_empty=self.none_is_empty), answer)

    def of(self, rows: list[Any], answer: Answer) -> Records:
        """Records of this answer that are decoded already."""
        return self._frame(*self._patient(rows, answer))

    def _typed(self, raw: bytes | msgspec.Raw) -> list[Sequence[Any]] | None:
        for decoder in (self._lenient,) if self._some_absent else (self._strict, self._lenient):
            assert decoder is not None  # noqa: S101
            try:
                rows = decoder.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            self._some_absent = decoder is self._lenient
            return self._walk(rows)
        return None

    def _patient(self, rows: list[Any], answer: Answer) -> tuple[list[Sequence[Any]], list[Misfit]]:
        names = self._column_names(answer) if any(isinstance(row, list) for row in rows) else None
        misfits, records = [], []
        for number, row in enumerate(rows):
            if names is not None and isinstance(row, list) and len(row) <= len(names):
                row = dict(zip(names, row, strict=False))
            elif not isinstance(row, dict):
                misfits.append(Misfit(number, "", shown(row), Text(_("is no record: an object with names and values was expected"))))
                row = {}
            records.append(row)
        whole = {m.row for m in misfits}
        columns: list[Sequence[Any]] = []
        for form in self.forms:
            name = form.field.name
            column = [row[name] if name in row else at(row, name) for row in records]
            if "." in name:
                column = [_through_null(row, name) if v is ABSENT else v for row, v in zip(records, column, strict=True)]
                for number, row in enumerate(records):
                    if column[number] is ABSENT and (wrong := _not_an_object(row, name)) is not ABSENT:
                        column[number] = None
                        misfits.append(Misfit(number, name, shown(wrong), Text(_("is not inside an object"))))
            columns.append([None if n in whole else v for n, v in enumerate(column)] if whole else column)
        return columns, misfits

    def _column_names(self, answer: Answer) -> list[str] | None:
        if not self.columns_path:
            return self.columns or None
        names = answer.value(self.columns_path)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        values = {"system": answer.system, "place": answer.place, "path": self.columns_path}
        raise BadAnswer(_("{system} answered {place} without the names of its columns at {path}. Correct the columns path."), **values)

    def _frame(self, columns: list[Sequence[Any]], misfits: list[Misfit], *, trusted: bool = False) -> Records:
        series, absent = [], []
        for form, column in zip(self.forms, columns, strict=True):
            if ABSENT in column:
                absent.append(pl.Series(form.field.name, [v is ABSENT for v in column], dtype=pl.Boolean))
                column = [None if v is ABSENT else v for v in column]
            made, unfit = form.series(column, trusted=trusted)
            series.append(made)
            misfits.extend(unfit)
        if misfits:
            misfits.sort(key=lambda m: (m.row, self._order.get(m.field, -1)))
        return Records(pl.DataFrame(series), misfits, pl.DataFrame(absent) if absent else None)


def _rows(answer: Answer, path: Path, *, single: bool = False, none_is_empty: bool = False) -> list[Any]:
    tree = answer.value(path)
    if isinstance(tree, list):
        return tree
    if single and isinstance(tree, dict):
        return [tree]
    if (tree is None and (single or none_is_empty)) or (tree is ABSENT and none_is_empty):
        return []
    values = {"system": answer.system, "place": answer.place, "path": path or "the top"}
    found = ", ".join(_lists(answer.value(""))) or "nowhere"
    raise BadAnswer(
        _("{system} answered {place} without a list of records at {path}. Correct the record path; there are lists at: {found}."),
        found=found,
        **values,
    )


def _lists(tree: Any, prefix: str = "", depth: int = 2) -> Iterator[str]:
    """Where a list is, to be named in an error."""
    if isinstance(tree, dict):
        for name, value in list(tree.items())[:50]:
            if isinstance(value, list):
                yield prefix + name
            elif depth:
                yield from _lists(value, f"{prefix}{name}.", depth - 1)


def _tree(forms: Sequence[Form]) -> Tree:
    root: Tree = {}
    for form in forms:
        *above, last = form.field.name.split(".")
        node = root
        for name in above:
            node = node.setdefault(name, {})
        node[last] = form
    return root


def _struct(tree: Tree, *, absent: bool) -> type[msgspec.Struct]:
    """A struct with the tree's names; `absent` allows each to be missing."""
    fields: list[Any] = []
    for number, node in enumerate(tree.values()):
        wire = node.wire_type if isinstance(node, Form) else _struct(node, absent=absent)
        fields.append((f"f{number}", wire | None | msgspec.UnsetType, ABSENT) if absent else (f"f{number}", wire | None))
    rename = {f"f{number}": name for number, name in enumerate(tree)}
    return msgspec.defstruct("Record", fields, rename=rename, gc=False)


def _walker(tree: Tree, names: Sequence[str]) -> Callable[[Sequence[Any]], list[Sequence[Any]]]:
    """A function from decoded structs to columns, in the order of these field names."""
    place = {name: number for number, name in enumerate(_leaves(tree))}
    order = [place[name] for name in names]

    def walk(rows: Sequence[Any], node: Tree) -> Iterator[Sequence[Any]]:
        columns: Sequence[Sequence[Any]] = list(zip(*map(_astuple, rows), strict=True)) if rows else [()] * len(node)
        for child, column in zip(node.values(), columns, strict=True):
            if isinstance(child, Form):
                yield column
            elif None in column or ABSENT in column:
                present = [v for v in column if v is not None and v is not ABSENT]
                for inner in walk(present, child):
                    values = iter(inner)
                    yield [v if v is None or v is ABSENT else next(values) for v in column]
            else:
                yield from walk(column, child)

    def columns(rows: Sequence[Any]) -> list[Sequence[Any]]:
        found = list(walk(rows, tree))
        return [found[number] for number in order]

    return columns


def _leaves(tree: Tree) -> Iterator[str]:
    for child in tree.values():
        if isinstance(child, Form):
            yield child.field.name
        else:
            yield from _leaves(child)


def _through_null(record: Any, name: str) -> Any:
    """None where an object on the way to the value is null, else ABSENT."""
    for part in name.split(".")[:-1]:
        record = record.get(part, ABSENT) if isinstance(record, dict) else ABSENT
        if record is None:
            return None
    return ABSENT


def _not_an_object(record: Any, name: str) -> Any:
    """What stands where an object was expected on the way to the value, else ABSENT."""
    for part in name.split(".")[:-1]:
        record = record.get(part, ABSENT)
        if record is ABSENT:
            return ABSENT
        if not isinstance(record, dict):
            return record
    return ABSENT


def encoded(columns: Sequence[pl.Series], count: int) -> list[bytes]:
    """Columns under dotted names as one JSON object a record: `address.city` is `city` of the object `address`."""
    if not columns:
        return [b"{}"] * count
    lines = io.BytesIO()
    pl.DataFrame(_within_objects(columns)).write_ndjson(lines)
    return lines.getvalue().splitlines()


def _within_objects(columns: Sequence[pl.Series]) -> list[pl.Series]:
    found: dict[str, pl.Series | list[pl.Series]] = {}
    for column in columns:
        first, _dot, rest = column.name.partition(".")
        if not rest:
            found[first] = column
            continue
        inside = found.get(first)
        found[first] = [*(inside if isinstance(inside, list) else ()), column.alias(rest)]
    return [pl.DataFrame(_within_objects(column)).to_struct(name) if isinstance(column, list) else column for name, column in found.items()]


def nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """{"address.city": …} as {"address": {"city": …}}."""
    whole: dict[str, Any] = {}
    for name, value in record.items():
        *above, last = name.split(".")
        node = whole
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return whole
