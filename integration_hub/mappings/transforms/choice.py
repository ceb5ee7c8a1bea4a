"""Transforms that choose: words for values, tables, and what stands in for a missing value."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from connectors.base import FieldType, _, frame_type
from integration_hub.core.expressions.conversions import convert
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.expressions.values import read_literal

from .base import ANY, Example, Operand, Parameter, SourceField, T, operands, transform

if TYPE_CHECKING:
    import polars as pl

GROUP = _("Choice and missing values")
Words = list[Annotated[str, Parameter(max_length=100)]]
VALUED = ANY - {T.BINARY}
MAX_TABLE = 10_000


@transform(
    _("Boolean words"),
    _("Reads words for yes and no, in upper or lower case."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.BOOLEAN,
    reason=_("“{value}” is neither one of {true} nor one of {false}."),
    examples=[Example("Yes", True), Example("0", False), Example("是", True)],
)
def parse_boolean(
    value: "pl.Expr",
    true: Annotated[Words, Parameter(title=_("Words for yes"), min_length=1, max_length=50)] = ["true", "yes", "y", "1", "on", "是"],  # noqa: B006
    false: Annotated[Words, Parameter(title=_("Words for no"), min_length=1, max_length=50)] = ["false", "no", "n", "0", "off", "否"],  # noqa: B006
) -> "pl.Expr":
    import polars as pl

    lower = value.str.to_lowercase()
    yes, no = ([word.lower() for word in words] for words in (true, false))
    return pl.when(lower.is_in(yes)).then(pl.lit(True)).when(lower.is_in(no)).then(pl.lit(False))


@transform(
    _("Words for boolean"),
    _("Writes yes and no in words."),
    group=GROUP,
    takes=T.BOOLEAN,
    gives=T.TEXT,
    examples=[Example(True, "yes"), Example(False, "N", {"true": "Y", "false": "N"})],
)
def format_boolean(
    value: "pl.Expr",
    true: Annotated[str, Parameter(title=_("For yes"), max_length=100)] = "yes",
    false: Annotated[str, Parameter(title=_("For no"), max_length=100)] = "no",
) -> "pl.Expr":
    import polars as pl

    return pl.when(value).then(pl.lit(true)).when(~value).then(pl.lit(false))


@transform(_("Not"), _("Makes true of false and false of true."), group=GROUP, takes=T.BOOLEAN, examples=[Example(True, False)])
def negate(value: "pl.Expr") -> "pl.Expr":
    return ~value


def _check_table(parameters: Any) -> None:
    if parameters.otherwise == "default" and parameters.default is None:
        raise ExpressionError(_("Say which value stands for all others."))
    if parameters.ignore_case and len({key.lower() for key in parameters.table}) < len(parameters.table):
        raise ExpressionError(_("Two values of the table differ in upper and lower case only."))


@transform(
    _("Value map"),
    _("Looks the value up in a table. What is not in it is refused, kept, left empty or given a value of its own."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.TEXT,
    check=_check_table,
    reason=_("“{value}” is not in the value map."),
    null_is_an_answer=lambda parameters: parameters.otherwise == "null",
    examples=[
        Example("open", "NEW", {"table": {"open": "NEW", "won": "CLOSED"}}),
        Example("lost", "lost", {"table": {"open": "NEW"}, "otherwise": "keep"}),
        Example("lost", "OTHER", {"table": {"open": "NEW"}, "otherwise": "default", "default": "OTHER"}),
        Example("lost", None, {"table": {"open": "NEW"}, "otherwise": "null"}),
    ],
)
def value_map(
    value: "pl.Expr",
    table: Annotated[dict[str, str], Parameter(title=_("Table"), min_length=1, max_length=MAX_TABLE)],
    otherwise: Annotated[Literal["reject", "keep", "default", "null"], Parameter(title=_("All others"))] = "reject",
    default: Annotated[str | None, Parameter(title=_("Value for all others"), max_length=1000)] = None,
    ignore_case: Annotated[bool, Parameter(title=_("Upper and lower case are the same"))] = False,
) -> "pl.Expr":
    import polars as pl

    keys = [key.lower() for key in table] if ignore_case else list(table)
    looked_up = (value.str.to_lowercase() if ignore_case else value).replace_strict(keys, list(table.values()), default=None, return_dtype=pl.String)
    if otherwise == "keep":
        return pl.coalesce(looked_up, value)
    if otherwise == "default":
        return pl.when(value.is_not_null()).then(looked_up.fill_null(pl.lit(default)))
    return looked_up


@transform(
    _("Empty to null"),
    _("Takes empty text, spaces alone and these words for a missing value."),
    group=GROUP,
    takes=T.TEXT,
    null_is_an_answer=True,
    examples=[Example("  ", None), Example("N/A", None, {"words": ["N/A", "-"]}), Example("Ann", "Ann")],
)
def empty_to_null(value: "pl.Expr", words: Annotated[Words, Parameter(title=_("Also these words"), max_length=50)] = []) -> "pl.Expr":  # noqa: B006
    import polars as pl

    bare = value.str.strip_chars()
    return pl.when(~bare.is_in(["", *words])).then(value)


@transform(
    _("Default"),
    _("Puts a fixed value where there is none."),
    group=GROUP,
    takes=VALUED,
    fills_nulls=True,
    reason=None,
    examples=[
        Example(None, "unknown", {"value": "unknown"}, type=T.TEXT),
        Example("Ann", "Ann", {"value": "unknown"}),
        Example(None, 0, {"value": 0}, type=T.INTEGER),
    ],
)
def default(current: "pl.Expr", of: FieldType, value: Annotated[str | bool | int | float, Parameter(title=_("Value"))]) -> "pl.Expr":
    import json

    import polars as pl

    text = json.dumps(value) if isinstance(value, bool) else str(value)
    fixed = text if of in (T.TEXT, T.JSON) else read_literal(text, of)
    return current.fill_null(pl.lit(fixed, frame_type(of)))


@transform(
    _("Other field"),
    _("Takes the first of these other source fields that has a value, where there is none."),
    group=GROUP,
    takes=VALUED,
    fills_nulls=True,
    examples=[
        Example(None, "030", {"fields": ["phone"]}, type=T.TEXT, others={"phone": "030"}),
        Example("1", "1", {"fields": ["phone"]}, others={"phone": "030"}),
    ],
)
def other_field(
    value: "pl.Expr",
    of: FieldType,
    fields: Annotated[list[str], Parameter(title=_("Fields"), min_length=1, max_length=20), SourceField()],
) -> "pl.Expr":
    import polars as pl

    return pl.coalesce([value, *[_as(operand, of) for operand in operands(fields)]])


def _as(operand: Operand, wanted: FieldType) -> "pl.Expr":
    """Only what cannot lose a value may stand in for one."""
    from integration_hub.core.expressions.conversions import conversion

    way = conversion(operand.type, wanted)
    if way is None or (way.can_fail and operand.type is not wanted):
        raise ExpressionError(_("A field of type {type} cannot stand in for {wanted}."), type=operand.type, wanted=wanted)
    return convert(operand.value, operand.type, wanted)


@transform(
    _("Join with fields"),
    _("Joins the value and other source fields with a separator; what is missing or empty is left out."),
    group=GROUP,
    takes=T.TEXT,
    gives=T.TEXT,
    fills_nulls=True,
    examples=[
        Example("Ann", "Ann Lee", {"fields": ["last"]}, others={"last": "Lee"}),
        Example(None, "Lee", {"fields": ["last"]}, type=T.TEXT, others={"last": "Lee"}),
    ],
)
def join_fields(
    value: "pl.Expr",
    fields: Annotated[list[str], Parameter(title=_("Fields"), min_length=1, max_length=20), SourceField()],
    separator: Annotated[str, Parameter(title=_("Separator"), max_length=50)] = " ",
) -> "pl.Expr":
    import polars as pl

    parts = [value, *[convert(operand.value, operand.type, T.TEXT) for operand in operands(fields)]]
    present = [pl.when(part != "").then(part) for part in parts]
    joined = pl.concat_str(present, separator=separator, ignore_nulls=True)
    return pl.when(pl.any_horizontal(part.is_not_null() for part in present)).then(joined).otherwise(value)


@transform(
    _("Replace by constant"),
    _("Puts one fixed value in the place of every value that is there."),
    group=GROUP,
    takes=VALUED,
    gives=T.TEXT,
    examples=[Example("anything", "imported", {"value": "imported"})],
)
def constant(current: "pl.Expr", value: Annotated[str, Parameter(title=_("Value"), max_length=1000)]) -> "pl.Expr":
    import polars as pl

    return pl.when(current.is_not_null()).then(pl.lit(value))
