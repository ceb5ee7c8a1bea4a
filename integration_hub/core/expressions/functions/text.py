"""Functions of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.base import FieldType, _, frame_type

from .. import values as v
from ..errors import ExpressionError
from ..patterns import read_replacement
from ..values import Value
from .base import TEXT, Argument, T, declare, written_number, written_pattern, written_text

if TYPE_CHECKING:
    import polars as pl

MAX_WIDTH = 1_000


def _on_text(name: str, build: Callable[[pl.Expr], pl.Expr], text: str, example: str, gives: FieldType = T.TEXT) -> None:
    declare(name, TEXT("text"), make=lambda x: v.strict(gives, [x], build), text=text, example=example)


_on_text("upper", lambda x: x.str.to_uppercase(), _("All letters in upper case."), "upper('Ann') = 'ANN'")
_on_text("lower", lambda x: x.str.to_lowercase(), _("All letters in lower case."), "lower('Ann') = 'ann'")
_on_text("initcap", lambda x: x.str.to_titlecase(), _("Each word with a capital."), "initcap('ann lee') = 'Ann Lee'")
_on_text("length", lambda x: x.str.len_chars().cast(frame_type(T.INTEGER)), _("How many characters."), "length('Ann') = 3", T.INTEGER)
_on_text("reverse", lambda x: x.str.reverse(), _("The text backwards."), "reverse('abc') = 'cba'")


def _strip(side: str) -> Callable[..., Value]:
    def make(text: Value, characters: str | None = None) -> Value:
        return v.strict(T.TEXT, [text], lambda x: getattr(x.str, side)(characters))

    return make


for _name, _side, _text in (
    ("trim", "strip_chars", _("The text without white space, or without these characters, at both ends.")),
    ("ltrim", "strip_chars_start", _("The text without white space, or without these characters, at its start.")),
    ("rtrim", "strip_chars_end", _("The text without white space, or without these characters, at its end.")),
):
    _shown = {"trim": "'a'", "ltrim": "'a '", "rtrim": "' a'"}[_name]
    declare(
        _name, TEXT("text"), Argument("characters", written_text, optional=True), make=_strip(_side), text=_text, example=f"{_name}(' a ') = {_shown}"
    )


def _left(text: Value, count: int) -> Value:
    return v.strict(T.TEXT, [text], lambda x: x.str.head(count))


def _right(text: Value, count: int) -> Value:
    return v.strict(T.TEXT, [text], lambda x: x.str.tail(count))


def _substring(text: Value, start: int, length: int | None = None) -> Value:
    """As in SQL: places before the first count as read."""
    end = None if length is None else max(0, length + min(0, start - 1))
    return v.strict(T.TEXT, [text], lambda x: x.str.slice(max(0, start - 1), end))


_COUNT = written_number(0, 1_000_000)
declare("left", TEXT("text"), Argument("count", _COUNT), make=_left, text=_("The first characters."), example="left('abc', 2) = 'ab'")
declare("right", TEXT("text"), Argument("count", _COUNT), make=_right, text=_("The last characters."), example="right('abc', 2) = 'bc'")
declare(
    "substring", TEXT("text"), Argument("from", written_number(-1_000_000, 1_000_000)), Argument("count", _COUNT, optional=True), make=_substring,
    text=_("Characters from a place on; the first has place 1."), example="substring('abcd', 2, 2) = 'bc'",
)  # fmt: skip


def _replace(text: Value, find: str, by: str) -> Value:
    growth = text.growth * max(1.0, len(by) / len(find)) if find else text.growth
    return v.strict(T.TEXT, [text], lambda x: x.str.replace_all(find, by, literal=True) if find else x, growth=growth)


def _regexp_replace(text: Value, pattern: str, by: str) -> Value:
    longest = 1 + len(by) + by.count("$") * 2
    replacement = read_replacement(by, pattern)
    return v.strict(T.TEXT, [text], lambda x: x.str.replace_all(pattern, replacement), growth=text.growth * (longest if by else 1))


def _regexp_extract(text: Value, pattern: str, group: int = 0) -> Value:
    """Null where nothing fits: that is its answer."""
    return v.lenient(T.TEXT, [text], lambda: text.build().str.extract(pattern, group), text.failed, growth=text.growth)


def _split_part(text: Value, separator: str, part: int) -> Value:
    if not separator or part == 0:
        raise ExpressionError(_("split_part needs a separator, and a part from 1, or from -1 counted from the end."))
    where = part - 1 if part > 0 else part
    return v.strict(T.TEXT, [text], lambda x: _keep_null(x.str.split(separator).list.get(where, null_on_oob=True).fill_null(""), x))


def _keep_null(value: pl.Expr, of: pl.Expr) -> pl.Expr:
    import polars as pl

    return pl.when(of.is_not_null()).then(value)


def _pad(side: str) -> Callable[..., Value]:
    def make(text: Value, width: int, fill: str = " ") -> Value:
        if len(fill) != 1:
            raise ExpressionError(_("Text is filled up with one character."))
        # As in SQL, longer text is cut.
        return v.strict(T.TEXT, [text], lambda x: getattr(x.str, side)(width, fill).str.head(width), growth=text.growth + 1)

    return make


declare(
    "replace", TEXT("text"), Argument("find", written_text), Argument("replacement", written_text), make=_replace,
    text=_("One piece of text in the place of another, wherever it occurs."), example="replace('a/b', '/', '-') = 'a-b'",
)  # fmt: skip
declare(
    "regexp_replace", TEXT("text"), Argument("pattern", written_pattern), Argument("replacement", written_text), make=_regexp_replace,
    text=_("Replaces all that fits a regular expression; $1 is its first group."), example="regexp_replace('a1b22', '[0-9]+', '#') = 'a#b#'",
)  # fmt: skip
declare(
    "regexp_like", TEXT("text"), Argument("pattern", written_pattern), make=lambda x, pattern: v.strict(T.BOOLEAN, [x], lambda e: e.str.contains(pattern)),
    text=_("Whether a part of the text fits a regular expression."), example="regexp_like('ab12', '[0-9]')",
)  # fmt: skip
declare(
    "regexp_extract", TEXT("text"), Argument("pattern", written_pattern), Argument("group", written_number(0, 20), optional=True), make=_regexp_extract,
    text=_("What fits a regular expression, or its group of this number; null where nothing does."),
    example="regexp_extract('No 47', '[0-9]+') = '47'",
)  # fmt: skip
declare(
    "split_part", TEXT("text"), Argument("separator", written_text), Argument("part", written_number(-1000, 1000)), make=_split_part,
    text=_("One part of a text that is split at a separator, empty where it has fewer."), example="split_part('a-b', '-', 2) = 'b'",
)  # fmt: skip
for _name, _side, _shown in (("lpad", "pad_start", "'007'"), ("rpad", "pad_end", "'700'")):
    declare(
        _name, TEXT("text"), Argument("width", written_number(0, MAX_WIDTH)), Argument("fill", written_text, optional=True), make=_pad(_side),
        text=_("The text filled up to a width, or cut to it."), example=f"{_name}('7', 3, '0') = {_shown}",
    )  # fmt: skip
for _name, _method, _text in (
    ("starts_with", "starts_with", _("Whether the text begins with another.")),
    ("ends_with", "ends_with", _("Whether the text ends with another.")),
    ("contains", "contains", _("Whether the text contains another.")),
):
    _part = {"starts_with": "'ab'", "ends_with": "'bc'", "contains": "'b'"}[_name]

    def _make(text: Value, part: Value, method: str = _method) -> Value:
        more = {"literal": True} if method == "contains" else {}
        return v.strict(T.BOOLEAN, [text, part], lambda x, p: getattr(x.str, method)(p, **more), growth=1.0)

    declare(_name, TEXT("text"), TEXT("part"), make=_make, text=_text, example=f"{_name}('abc', {_part})")


def _strpos(text: Value, part: Value) -> Value:
    """Counted in characters, as all places are; Polars counts bytes."""
    import polars as pl

    def build(x: pl.Expr, p: pl.Expr) -> pl.Expr:
        place = x.str.split(p).list.first().str.len_chars().cast(pl.Int64) + 1
        return pl.when(p == "").then(1).when(x.str.contains(p, literal=True)).then(place).when(x.is_not_null() & p.is_not_null()).then(0)

    return v.strict(T.INTEGER, [text, part], build, growth=1.0)


declare(
    "strpos",
    TEXT("text"),
    TEXT("part"),
    make=_strpos,
    text=_("At which place a text occurs in another; 0 if nowhere."),
    example="strpos('abc', 'c') = 3",
)


def _concat(*parts: Value) -> Value:
    import polars as pl

    def build() -> pl.Expr:
        return pl.concat_str([part.build() for part in parts], ignore_nulls=True)

    return v.lenient(T.TEXT, parts, build, v.any_of([part.failed for part in parts]), growth=sum(part.growth for part in parts))


def _concat_ws(separator: str, *parts: Value) -> Value:
    import polars as pl

    def build() -> pl.Expr:
        return pl.concat_str([part.build() for part in parts], separator=separator, ignore_nulls=True)

    return v.lenient(T.TEXT, parts, build, v.any_of([part.failed for part in parts]), growth=sum(part.growth for part in parts) + len(parts))


declare(
    "concat",
    TEXT("value", repeated=True),
    make=_concat,
    text=_("All values as one text; null counts as nothing."),
    example="concat('a', NULL, 1) = 'a1'",
)
declare(
    "concat_ws", Argument("separator", written_text), TEXT("value", repeated=True), make=_concat_ws,
    text=_("All values as one text with a separator between them; null is left out."), example="concat_ws('-', 'a', NULL, 'b') = 'a-b'",
)  # fmt: skip
