"""From sqlglot's tree to a Value: only what ALLOWED lists is built, and every call is looked up in our own table of functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from connectors.base import FieldType, _

from . import values as v
from .conversions import conversion, convert, within_calendar
from .errors import ExpressionError, did_you_mean
from .functions import ALIASES, FUNCTIONS
from .paths import Segment, json_at, json_segments_of, resolve, segments_of
from .patterns import check_pattern, like_pattern
from .reading import place_of, shown, too_deep
from .sharing import let
from .values import Value

if TYPE_CHECKING:
    import polars as pl

T = FieldType
MAX_LIKE = 200
CASTS = {
    exp.DType.TEXT: T.TEXT, exp.DType.VARCHAR: T.TEXT, exp.DType.CHAR: T.TEXT, exp.DType.INT: T.INTEGER, exp.DType.BIGINT: T.INTEGER,
    exp.DType.DOUBLE: T.NUMBER, exp.DType.FLOAT: T.NUMBER, exp.DType.DECIMAL: T.DECIMAL, exp.DType.BOOLEAN: T.BOOLEAN, exp.DType.DATE: T.DATE,
    exp.DType.TIME: T.TIME, exp.DType.TIMESTAMP: T.DATETIME, exp.DType.TIMESTAMPTZ: T.DATETIME, exp.DType.JSON: T.JSON, exp.DType.JSONB: T.JSON,
}  # fmt: skip
INTERVALS = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}
MOST = {"s": 10**10, "m": 10**9, "h": 10**7, "d": 400_000, "w": 60_000, "mo": 12_000, "y": 1_000}


class Builder:
    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        self.fields = fields
        self.used: dict[str, None] = {}

    def build(self, node: exp.Expr) -> Value:
        build = ALLOWED.get(type(node))
        try:
            if build is None:
                raise ExpressionError(_("“{what}” is not allowed in an expression."), what=shown(node))
            return build(self, node)
        except ExpressionError as error:
            if error.line is None:
                error.line, error.column = place_of(node)
            raise
        except RecursionError:
            raise too_deep() from None

    def many(self, nodes: Sequence[exp.Expr]) -> list[Value]:
        return [self.build(node) for node in nodes]

    # fields

    def path(self, node: exp.Expr) -> Value:
        segments = segments_of(node)
        line, column = place_of(node)
        path = resolve(segments, self.fields, shown=".".join(str(s) for s in segments), line=line, column=column)
        self.used[path.field] = None
        return v.column(path.to_polars, path.type, plain=not path.inside)

    def json(self, node: exp.Expr) -> Value:
        """`a -> 'b' ->> 'c'`: the text of what lies there."""
        inside: list[Segment] = []
        below: exp.Expr = node
        while isinstance(below, exp.JSONExtract | exp.JSONExtractScalar):
            inside = [*json_segments_of(below.expression), *inside]
            below = _without_parens(below.this)
        value = v.need(self.build(below), T.JSON)
        return v.lenient(T.TEXT, [value], lambda: json_at(value.build(), inside), value.failed)

    # logic

    def comparison(self, sign: str) -> Callable[[exp.Expr], Value]:
        return lambda node: v.compare(sign, self.build(node.this), self.build(node.expression))

    def is_(self, node: exp.Expr) -> Value:
        value, what = self.build(node.this), node.expression
        negate = bool(node.args.get("negate"))
        if isinstance(what, exp.Null):
            return v.lenient(T.BOOLEAN, [value], lambda: value.build().is_not_null() if negate else value.build().is_null(), value.failed)
        if isinstance(what, exp.Boolean):
            wanted = bool(what.this)
            condition = v.need(value, T.BOOLEAN)
            return v.lenient(T.BOOLEAN, [condition], lambda: (condition.build() == wanted).fill_null(False) ^ negate, condition.failed)
        raise ExpressionError(_("After IS comes NULL, TRUE or FALSE."))

    def distinct(self, node: exp.Expr) -> Value:
        left, right = v.same_type(self.build(node.this), self.build(node.expression))
        failed = v.any_of([left.failed, right.failed])
        if isinstance(node, exp.NullSafeNEQ):
            return v.lenient(T.BOOLEAN, [left, right], lambda: left.build().ne_missing(right.build()), failed)
        return v.lenient(T.BOOLEAN, [left, right], lambda: left.build().eq_missing(right.build()), failed)

    def in_(self, node: exp.Expr) -> Value:
        if node.args.get("query") or node.args.get("unnest") or node.args.get("field") or not node.expressions:
            raise ExpressionError(_("After IN comes a list of values: IN ('a', 'b')."))
        value, options = self.build(node.this), self.many(node.expressions)
        type_ = v.common_type([value, *options]) or T.TEXT
        typed, wanted = v.as_type(value, type_), [v.as_type(option, type_) for option in options]
        if not all(option.is_literal for option in wanted):
            found = v.compare("=", typed, wanted[0])
            for option in wanted[1:]:
                found = v.logic(found, v.compare("=", typed, option), lambda a, b: a | b)
            return found
        return v.strict(T.BOOLEAN, [typed], lambda x: _among(x, [option.literal for option in wanted], type_), growth=1.0)

    def between(self, node: exp.Expr) -> Value:
        value = self.build(node.this)
        low, high = v.compare(">=", value, self.build(node.args["low"])), v.compare("<=", value, self.build(node.args["high"]))
        return v.logic(low, high, lambda a, b: a & b)

    def not_(self, node: exp.Expr) -> Value:
        return v.strict(T.BOOLEAN, [v.need(self.build(node.this), T.BOOLEAN)], lambda x: ~x)

    def like(self, node: exp.Expr) -> Value:
        pattern = self.build(node.expression)
        if not pattern.is_literal or not isinstance(pattern.literal, str) or len(pattern.literal) > MAX_LIKE:
            raise ExpressionError(_("After LIKE comes a pattern of at most {limit} characters in quotes, such as 'A%'."), limit=MAX_LIKE)
        written, fold = like_pattern(pattern.literal), "(?is)" if isinstance(node, exp.ILike) else "(?s)"
        return v.strict(T.BOOLEAN, [v.as_text(self.build(node.this))], lambda x: x.str.contains(f"{fold}^{written}$"), growth=1.0)

    def matches(self, node: exp.Expr) -> Value:
        pattern = self.build(node.expression)
        if not pattern.is_literal or not isinstance(pattern.literal, str):
            raise ExpressionError(_("A pattern must be written out in quotes."))
        check_pattern(pattern.literal)
        written = ("(?i)" if isinstance(node, exp.RegexpILike) else "") + pattern.literal
        return v.strict(T.BOOLEAN, [v.as_text(self.build(node.this))], lambda x: x.str.contains(written), growth=1.0)

    def case(self, node: exp.Expr) -> Value:
        branches = node.args["ifs"]
        if node.this is not None:
            subject = self.build(node.this)
            conditions = [v.compare("=", subject, self.build(branch.this)) for branch in branches]
        else:
            conditions = [self.build(branch.this) for branch in branches]
        otherwise = self.build(node.args["default"]) if node.args.get("default") else v.null()
        return v.choose(conditions, [self.build(branch.args["true"]) for branch in branches], otherwise)

    def if_(self, node: exp.Expr) -> Value:
        otherwise = self.build(node.args["false"]) if node.args.get("false") else v.null()
        return v.choose([self.build(node.this)], [self.build(node.args["true"])], otherwise)

    # what deserves a word of its own

    def zoned(self, node: exp.Expr) -> Value:
        raise ExpressionError(_("Write to_datetime(…, format, zone), to_char(…, format, zone) or date(…, zone) instead of AT TIME ZONE."))

    def alias(self, node: exp.Expr) -> Value:
        line, column = place_of(node.args["alias"])
        raise ExpressionError(_("“{near}” is not expected here."), near=node.alias, line=line, column=column)

    # values

    def literal(self, node: exp.Expr) -> Value:
        if node.args["is_string"]:
            return v.literal(str(node.this), T.TEXT)
        text = str(node.this)
        if text.isdigit():
            return v.literal(v.read_literal(text, T.INTEGER), T.INTEGER)
        return v.literal(v.read_literal(text, T.NUMBER), T.NUMBER)

    def negative(self, node: exp.Expr) -> Value:
        inner = node.this
        if isinstance(inner, exp.Literal) and not inner.args["is_string"] and str(inner.this).isdigit():
            return v.literal(v.read_literal(f"-{inner.this}", T.INTEGER), T.INTEGER)
        return v.negative(self.build(inner))

    def arithmetic(self, sign: str) -> Callable[[exp.Expr], Value]:
        def build(node: exp.Expr) -> Value:
            if sign in "+-" and isinstance(node.expression, exp.Interval):
                return self._shifted(node, sign)
            if sign == "+" and isinstance(node.this, exp.Interval):
                return self._shifted(exp.Add(this=node.expression, expression=node.this), sign)
            return v.arithmetic(sign, self.build(node.this), self.build(node.expression))

        return build

    def _shifted(self, node: exp.Expr, sign: str) -> Value:
        value = self.build(node.this)
        if value.is_literal and value.type is T.TEXT:
            value = v.as_type(value, T.DATETIME)
        if value.type not in (T.DATE, T.DATETIME):
            raise ExpressionError(_("An INTERVAL is added to a date or a time, but this is {type}."), type=v.name_of(value.type))
        offset = _interval(node.expression)
        type_ = value.type
        if type_ is T.DATE and offset[-1] in "smh" and not offset.endswith("mo"):
            value, type_ = v.as_type(value, T.DATETIME), T.DATETIME
        by = offset if sign == "+" else f"-{offset}" if offset[0] != "-" else offset[1:]
        return v.strict(type_, [value], lambda x: within_calendar(x.dt.offset_by(by), type_), fallible=True)

    def cast(self, node: exp.Expr) -> Value:
        kind = node.args["to"]
        type_ = CASTS.get(kind.this)
        if type_ is None:
            raise ExpressionError(
                _("There is no type {type}. Use text, integer, double precision, numeric, boolean, date, time, timestamp or json."),
                type=shown(kind).lower(),
            )
        value = self.build(node.this)
        if value.type is None or (value.is_literal and value.type is T.TEXT and type_ is not T.JSON):
            return v.as_type(value, type_)
        from_ = value.type
        if from_ is T.INTEGER and type_ is T.NUMBER:
            return v.as_type(value, type_)
        way = conversion(from_, type_)
        if way is None:
            raise ExpressionError(_("{type} cannot be made {wanted}."), type=from_, wanted=type_)
        if isinstance(node, exp.TryCast):
            return v.lenient(type_, [value], lambda: let(value.build(), lambda x: convert(x, from_, type_)), value.failed, growth=value.growth)
        return v.strict(type_, [value], lambda x: convert(x, from_, type_), fallible=way.can_fail)

    def joined(self, node: exp.Expr) -> Value:
        import polars as pl

        left, right = v.as_text(self.build(node.this)), v.as_text(self.build(node.expression))
        return v.strict(T.TEXT, [left, right], lambda a, b: pl.concat_str(a, b), growth=left.growth + right.growth)

    # functions

    def call(self, node: exp.Expr) -> Value:
        name = str(node.this).lower()
        name = ALIASES.get(name, name)
        return self.function(name, self.many(node.expressions))

    def function(self, name: str, arguments: Sequence[Value]) -> Value:
        if name not in FUNCTIONS:
            suggestion = did_you_mean(name, [*FUNCTIONS, *ALIASES])
            if suggestion:
                raise ExpressionError(_("There is no function {function}. Did you mean {suggestion}?"), function=name, suggestion=suggestion)
            raise ExpressionError(_("There is no function {function}."), function=name)
        return FUNCTIONS[name].call(arguments)

    def trim(self, node: exp.Expr) -> Value:
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or ""), "trim")
        return self.function(name, self.many([node.this, *([node.expression] if node.expression else [])]))

    def substring(self, node: exp.Expr) -> Value:
        start = node.args.get("start") or exp.Literal.number(1)
        return self.function("substring", self.many([node.this, start, *([node.args["length"]] if node.args.get("length") else [])]))

    def extract(self, node: exp.Expr) -> Value:
        return self.function("date_part", [v.literal(str(node.this.this).lower(), T.TEXT), self.build(node.expression)])

    def position(self, node: exp.Expr) -> Value:
        return self.function("strpos", self.many([node.this, node.args["substr"]]))


def _without_parens(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _among(value: pl.Expr, options: list[Any], type_: FieldType) -> pl.Expr:
    """As in SQL: with a null in the list, what is not found is null."""
    import polars as pl

    from connectors.base import frame_type

    known = pl.Series([option for option in options if option is not None], dtype=frame_type(type_))
    found = value.is_in(known.implode())
    return pl.when(found).then(pl.lit(True)) if len(known) < len(options) else found


def _interval(node: exp.Expr) -> str:
    """INTERVAL '3 days' → 3d."""
    amount, unit = node.this, node.args.get("unit")
    text = str(amount.this) if isinstance(amount, exp.Literal) else ""
    name = str(unit.this).lower().rstrip("s") if isinstance(unit, exp.Var) else ""
    short = INTERVALS.get(name)
    if short is None or not re.fullmatch(r"-?\d{1,11}", text) or abs(int(text)) > MOST[short]:
        raise ExpressionError(_("An interval is written INTERVAL '3 days', with second, minute, hour, day, week, month or year."))
    return f"{text}{short}"


_Build = Callable[[Builder, Any], Value]


def _binary(method: str, sign: str) -> _Build:
    def build(builder: Builder, node: Any) -> Value:
        built: Value = getattr(builder, method)(sign)(node)
        return built

    return build


def _logic(operator: Callable[[Any, Any], Any]) -> _Build:
    return lambda builder, node: v.logic(builder.build(node.this), builder.build(node.expression), operator)


ALLOWED: dict[type[exp.Expr], _Build] = {
    exp.Column: Builder.path,
    exp.Dot: Builder.path,
    exp.Bracket: Builder.path,
    exp.JSONExtract: Builder.json,
    exp.JSONExtractScalar: Builder.json,
    exp.Literal: Builder.literal,
    exp.Null: lambda builder, node: v.null(),
    exp.Boolean: lambda builder, node: v.literal(bool(node.this), T.BOOLEAN),
    exp.Paren: lambda builder, node: builder.build(node.this),
    exp.Neg: Builder.negative,
    exp.And: _logic(lambda a, b: a & b),
    exp.Or: _logic(lambda a, b: a | b),
    exp.Not: Builder.not_,
    exp.EQ: _binary("comparison", "="),
    exp.NEQ: _binary("comparison", "<>"),
    exp.LT: _binary("comparison", "<"),
    exp.LTE: _binary("comparison", "<="),
    exp.GT: _binary("comparison", ">"),
    exp.GTE: _binary("comparison", ">="),
    exp.NullSafeEQ: Builder.distinct,
    exp.NullSafeNEQ: Builder.distinct,
    exp.Is: Builder.is_,
    exp.In: Builder.in_,
    exp.Between: Builder.between,
    exp.Like: Builder.like,
    exp.ILike: Builder.like,
    exp.RegexpLike: Builder.matches,
    exp.RegexpILike: Builder.matches,
    exp.Case: Builder.case,
    exp.If: Builder.if_,
    exp.Add: _binary("arithmetic", "+"),
    exp.Sub: _binary("arithmetic", "-"),
    exp.Mul: _binary("arithmetic", "*"),
    exp.Div: _binary("arithmetic", "/"),
    exp.Mod: _binary("arithmetic", "%"),
    exp.DPipe: Builder.joined,
    exp.Cast: Builder.cast,
    exp.TryCast: Builder.cast,
    exp.Anonymous: Builder.call,
    exp.Trim: Builder.trim,
    exp.Substring: Builder.substring,
    exp.Extract: Builder.extract,
    exp.StrPosition: Builder.position,
    exp.AtTimeZone: Builder.zoned,
    exp.Alias: Builder.alias,
    exp.CurrentDate: lambda builder, node: builder.function("today", []),
    exp.CurrentTimestamp: lambda builder, node: builder.function("now", []),
}
