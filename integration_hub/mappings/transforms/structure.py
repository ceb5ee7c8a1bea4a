"""Transforms of JSON and lists, and of text into keys and prints."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from connectors.base import FieldType, _
from integration_hub.core.expressions.conversions import convert, json_scalar_text, json_string
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.expressions.paths import json_at, read_segments

from .base import ANY, Example, Parameter, T, transform

if TYPE_CHECKING:
    import polars as pl

GROUP = _("JSON and lists")
IfMissing = Annotated[Literal["reject", "null"], Parameter(title=_("If there is none"))]
LIST = frozenset({T.JSON, T.TEXT})
# One scalar of JSON; a list of nothing but scalars.
_SCALAR = r'(?:"(?:[^"\\]|\\.)*"|[^\s,\[\]{}"]+)'
_FLAT = rf"^\s*\[\s*(?:{_SCALAR}\s*(?:,\s*{_SCALAR}\s*)*)?\]\s*$"
_DEEPEST = 8


def _missing_is_an_answer(parameters: Any) -> bool:
    return bool(parameters.if_missing == "null")


def _check_path(parameters: Any) -> None:
    if not read_segments(parameters.path):
        raise ExpressionError(_("The path is empty."))


def flat_items(value: "pl.Expr") -> "pl.Expr":
    """The items of a JSON list of plain values as a list of texts (JSON's null as null); null for anything else."""
    import polars as pl

    items = value.str.extract_all(_SCALAR).list.eval(json_scalar_text(pl.element()))
    return pl.when(value.str.contains(_FLAT)).then(items)


@transform(
    _("Pick from JSON"),
    _("Takes the value at a path inside JSON; a list or object stays JSON."),
    group=GROUP,
    takes=LIST,
    gives=T.TEXT,
    check=_check_path,
    reason=_("There is nothing at {path} in “{value}”."),
    null_is_an_answer=_missing_is_an_answer,
    examples=[
        Example('{"city": {"name": "Rom"}}', "Rom", {"path": "city.name"}, type=T.JSON),
        Example('[{"sku": "A1"}]', "A1", {"path": "[0].sku"}, type=T.JSON),
        Example("{}", None, {"path": "city", "if_missing": "null"}, type=T.JSON),
    ],
)
def json_get(
    value: "pl.Expr",
    path: Annotated[str, Parameter(title=_("Path"), min_length=1, max_length=500)],
    if_missing: IfMissing = "null",
) -> "pl.Expr":
    return json_at(value, read_segments(path))


@transform(
    _("Read JSON"),
    _("Takes text that holds JSON for what it says."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.JSON,
    reason=_("“{value}” is not JSON."),
    examples=[Example('{"a": 1}', '{"a":1}'), Example("[1, 2]", "[1,2]")],
)
def parse_json(value: "pl.Expr") -> "pl.Expr":
    import polars as pl

    # Read inside a list, so that a text keeps its quotes: the reader hands out a scalar bare, a list as it is.
    boxed = json_at(pl.concat_str(pl.lit("[["), value, pl.lit("]]")), (0,))
    return pl.when(json_at(value, ()).is_not_null()).then(boxed.str.slice(1, boxed.str.len_chars() - 2))


@transform(
    _("Write JSON"),
    _("Writes a value as JSON: text in quotes, numbers and booleans as they are."),
    group=GROUP,
    takes=ANY - {T.BINARY, T.TIME},
    gives=T.JSON,
    reason=_("“{value}” cannot be written as JSON."),
    examples=[Example("Ann", '"Ann"'), Example(12, "12"), Example(True, "true")],
)
def to_json(value: "pl.Expr", of: FieldType) -> "pl.Expr":
    return json_string(value) if of is T.TEXT else convert(value, of, T.JSON)


@transform(
    _("Split into list"),
    _("Splits text at a separator into a JSON list; spaces around the parts go."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.JSON,
    examples=[Example("a, b", '["a","b"]'), Example("", "[]")],
)
def split_list(value: "pl.Expr", separator: Annotated[str, Parameter(title=_("Separator"), min_length=1, max_length=50)] = ",") -> "pl.Expr":
    import polars as pl

    parts = value.str.split(separator).list.eval(json_string(pl.element().str.strip_chars())).list.join(",")
    return pl.when(value.str.strip_chars() == "").then(pl.lit("[]")).otherwise(pl.concat_str(pl.lit("["), parts, pl.lit("]")))


@transform(
    _("Item of a list"),
    _("Takes one item of a JSON list; the first is 1, the last -1."),
    group=GROUP,
    takes=LIST,
    gives=T.TEXT,
    reason=_("“{value}” has no item {position}."),
    null_is_an_answer=_missing_is_an_answer,
    examples=[
        Example('["a","b"]', "a", type=T.JSON),
        Example('["a","b"]', "b", {"position": -1}, type=T.JSON),
        Example("[]", None, type=T.JSON),
    ],
)
def list_item(
    value: "pl.Expr",
    position: Annotated[int, Parameter(title=_("Position"), ge=-1000, le=1000)] = 1,
    if_missing: IfMissing = "null",
) -> "pl.Expr":
    return json_at(value, (position - 1 if position > 0 else position,))


@transform(
    _("Join list"),
    _("Writes the items of a JSON list one after the other. A list that holds lists or objects is refused."),
    group=GROUP,
    takes=LIST,
    gives=T.TEXT,
    reason=_("“{value}” is not a list of plain values."),
    examples=[Example('["a","b",3]', "a, b, 3", type=T.JSON), Example("[]", "", type=T.JSON)],
)
def list_join(value: "pl.Expr", separator: Annotated[str, Parameter(title=_("Separator"), max_length=50)] = ", ") -> "pl.Expr":
    return flat_items(value).list.drop_nulls().list.join(separator)


@transform(
    _("Count list"),
    _("How many items a JSON list has."),
    group=GROUP,
    takes=LIST,
    gives=T.INTEGER,
    reason=_("“{value}” is not a list, or nested too deeply."),
    examples=[Example('["a","b"]', 2, type=T.JSON), Example('[{"a":[1,2]},{}]', 2, type=T.JSON), Example("[]", 0, type=T.JSON)],
)
def list_count(value: "pl.Expr") -> "pl.Expr":
    import polars as pl

    # Texts become 0, then what lies innermost does, until only the outer list is left.
    bare = value.str.replace_all(r'"(?:[^"\\]|\\.)*"', "0").str.strip_chars()
    items: pl.Expr = pl.when(bare.str.starts_with("[") & bare.str.ends_with("]")).then(
        bare.str.strip_prefix("[").str.strip_suffix("]").str.strip_chars()
    )
    for _level in range(_DEEPEST):
        items = items.str.replace_all(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}", "0")
    plain = pl.when(~items.str.contains(r"[\[\]{}]")).then(items)
    return pl.when(plain == "").then(0).otherwise(plain.str.count_matches(",", literal=True) + 1).cast(pl.Int64)


@transform(
    _("List contains"),
    _("Whether a JSON list of plain values has this one among them."),
    group=GROUP,
    takes=LIST,
    gives=T.BOOLEAN,
    reason=_("“{value}” is not a list of plain values."),
    examples=[Example('["a","b"]', True, {"item": "a"}, type=T.JSON), Example("[]", False, {"item": "a"}, type=T.JSON)],
)
def list_contains(value: "pl.Expr", item: Annotated[str, Parameter(title=_("Value"), max_length=1000)]) -> "pl.Expr":
    return flat_items(value).list.contains(item)


@transform(
    _("Hash"),
    _("A print of the value, always the same for the same text. It cannot be turned back, but short values can be guessed."),
    group=_("Text"),
    takes=T.TEXT,
    gives=T.TEXT,
    examples=[
        Example("ann", "49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1"),
        Example("ann", "811139115053772478", {"method": "xxhash64"}),
    ],
)
def hash_(
    value: "pl.Expr",
    method: Annotated[Literal["sha256", "xxhash64"], Parameter(title=_("Method"))] = "sha256",
    salt: Annotated[str, Parameter(title=_("Put before the text"), max_length=200)] = "",
) -> "pl.Expr":
    import polars as pl
    import polars_hash  # noqa: F401  gives expressions their hashes

    salted = pl.concat_str(pl.lit(salt), value) if salt else value
    if method == "sha256":
        return salted.chash.sha2_256()  # type: ignore[attr-defined, no-any-return]
    return salted.nchash.xxhash64().cast(pl.String)  # type: ignore[attr-defined, no-any-return]


@transform(
    _("As text"),
    _("Writes any value as text."),
    group=_("Text"),
    takes=ANY,
    gives=T.TEXT,
    reason=_("“{value}” cannot be written as text."),
    examples=[Example(12, "12"), Example(True, "true"), Example("2026-11-24", "2026-11-24", type=T.DATE)],
)
def to_text(value: "pl.Expr", of: FieldType) -> "pl.Expr":
    return convert(value, of, T.TEXT)
