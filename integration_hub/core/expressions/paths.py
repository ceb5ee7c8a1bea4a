"""Where a value lies in a record: a field by its name, or a place inside a JSON field (`lines[0].sku`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from connectors.base import FieldType, _

from .errors import ExpressionError, did_you_mean
from .reading import shown

if TYPE_CHECKING:
    import polars as pl

Segment = str | int
MAX_SEGMENTS = 32
# Names with a backslash or a control character cannot be asked for: the JSONPath reader has no escape for them.
_SEGMENT = re.compile(r"""(?:^|\.)([^.\[\]"\\\x00-\x1f]+)|\.?"((?:[^"\\\x00-\x1f]|"")+)"|\[(-?\d{1,9})\]|\['((?:[^'\\\x00-\x1f]|'')*)'\]""")


@dataclass(frozen=True, slots=True)
class Path:
    """A field, and the way into its JSON (empty for the field itself)."""

    field: str
    inside: tuple[Segment, ...]
    type: FieldType

    def to_polars(self) -> pl.Expr:
        """The value; from inside JSON the scalar's text, or for a list or an object its JSON."""
        import polars as pl

        column = pl.col(self.field)
        return json_at(column, self.inside) if self.inside else column


def json_at(value: pl.Expr, inside: Sequence[Segment]) -> pl.Expr:
    return value.str.json_path_match(json_path(inside))


def json_path(inside: Sequence[Segment]) -> str:
    """The way as JSONPath; names are quoted, so that no character in them means anything."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f"[{_quote(part)}]" for part in inside)


def _quote(name: str) -> str:
    return "'" + name.replace("'", "\\'") + "'"


def read_segments(text: str) -> tuple[Segment, ...]:
    """`lines[0].sku` → ("lines", 0, "sku"); a name with a dot or a bracket in it is written in double quotes."""
    segments: list[Segment] = []
    place = 0
    while place < len(text):
        found = _SEGMENT.match(text, place)
        if found is None or len(segments) >= MAX_SEGMENTS:
            raise ExpressionError(_("“{path}” is not a path. Write it like address.city or lines[0].sku."), path=text[:200], line=1, column=place + 1)
        plain, quoted, index, key = found.groups()
        if index is not None:
            segments.append(int(index))
        else:
            segments.append(plain if plain is not None else quoted.replace('""', '"') if quoted is not None else key.replace("''", "'"))
        place = found.end()
    return tuple(segments)


def find_path(text: str, fields: Mapping[str, FieldType]) -> Path:
    """The path that `text` means among these fields. A field's own name wins over every other reading."""
    if text in fields:
        return Path(text, (), fields[text])
    return resolve(read_segments(text), fields, shown=text)


def resolve(segments: Sequence[Segment], fields: Mapping[str, FieldType], *, shown: str, line: int | None = None, column: int | None = None) -> Path:
    """The field with the longest name that the segments begin with; what is left over must lie inside its JSON."""
    for length in range(len(segments), 0, -1):
        head = segments[:length]
        if any(isinstance(part, int) for part in head):
            continue
        name = ".".join(map(str, head))
        if name in fields:
            inside = tuple(segments[length:])
            if inside and fields[name] is not FieldType.JSON:
                raise ExpressionError(
                    _("{field} is {type}, not JSON: there is nothing inside it."), field=name, type=fields[name], line=line, column=column
                )
            return Path(name, inside, FieldType.TEXT if inside else fields[name])
    raise unknown_field(shown, fields, line=line, column=column)


def unknown_field(name: str, fields: Collection[str], *, line: int | None = None, column: int | None = None) -> ExpressionError:
    if suggestion := did_you_mean(name, fields):
        return ExpressionError(
            _("There is no field {field}. Did you mean {suggestion}?"), field=name[:200], suggestion=suggestion, line=line, column=column
        )
    return ExpressionError(_("There is no field {field}."), field=name[:200], line=line, column=column)


def segments_of(node: exp.Expr) -> list[Segment]:
    """`a.b[0].c` as it hangs in the tree → its segments."""
    if isinstance(node, exp.Column):
        parts = [node.args.get(part) for part in ("catalog", "db", "table", "this")]
        if any(isinstance(part, exp.Star) for part in parts):
            raise ExpressionError(_("“{what}” is not allowed in an expression."), what="*")
        return [str(part.this) for part in parts if part is not None]
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return [*segments_of(node.this), str(node.expression.this)]
    if isinstance(node, exp.Bracket) and len(node.expressions) == 1:
        return [*segments_of(node.this), _index(node.expressions[0])]
    raise ExpressionError(_("“{what}” is not a path. Write it like address.city or lines[0].sku."), what=shown(node))


def _index(node: exp.Expr) -> Segment:
    if isinstance(node, exp.Literal):
        text = str(node.this)
        if node.args["is_string"]:
            return text
        if text.isdigit() and len(text) <= 9:
            return int(text)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and isinstance(index := _index(node.this), int):
        return -index
    raise ExpressionError(_("In brackets comes a whole number or a name in quotes."))


def json_segments_of(path: exp.Expr) -> list[Segment]:
    if not isinstance(path, exp.JSONPath):
        raise ExpressionError(_("After -> comes a name in quotes or a whole number."))
    segments: list[Segment] = []
    for part in path.expressions:
        if isinstance(part, exp.JSONPathRoot):
            continue
        if (
            not isinstance(part, exp.JSONPathKey | exp.JSONPathSubscript)
            or not isinstance(part.this, str | int)
            or re.search(r"[\\\x00-\x1f]", str(part.this))
        ):
            raise ExpressionError(_("After -> comes a name in quotes or a whole number."))
        segments.append(part.this)
    return segments
