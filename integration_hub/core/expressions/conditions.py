"""Conditions that are put together from rows of a form: field, operator, value. They become the same tree as written ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from sqlglot import exp

from connectors.base import FieldType, _

from .errors import ExpressionError, did_you_mean
from .language import Expression, as_condition, compile_tree
from .paths import find_path

T = FieldType
TEXTUAL = frozenset({T.TEXT, T.JSON})
ORDERED = frozenset({T.INTEGER, T.NUMBER, T.DECIMAL})
TIMES = frozenset({T.DATE, T.TIME, T.DATETIME})
ALL = frozenset(FieldType) - {T.BINARY}


@dataclass(frozen=True, slots=True)
class Operator:
    """`types` it is offered for. `wants`: one value, several or none."""

    name: str
    label: str
    types: frozenset[FieldType]
    build: Callable[[exp.Expr, Any, FieldType], exp.Expr]
    wants: Literal["one", "many", "none"] = "one"


def _compare(node: type[exp.Expr]) -> Callable[[exp.Expr, Any, FieldType], exp.Expr]:
    return lambda field, value, type_: node(this=field, expression=_literal(value))


def _call(name: str) -> Callable[[exp.Expr, Any, FieldType], exp.Expr]:
    return lambda field, value, type_: exp.Anonymous(this=name, expressions=[field, _literal(str(value))])


def _not(build: Callable[[exp.Expr, Any, FieldType], exp.Expr]) -> Callable[[exp.Expr, Any, FieldType], exp.Expr]:
    return lambda field, value, type_: exp.Not(this=build(field, value, type_))


def _in(field: exp.Expr, value: Any, type_: FieldType) -> exp.Expr:
    return exp.In(this=field, expressions=[_literal(v) for v in value])


def _empty(field: exp.Expr, value: Any, type_: FieldType) -> exp.Expr:
    missing: exp.Expr = exp.Is(this=field, expression=exp.Null())
    if type_ is T.TEXT:
        missing = exp.Paren(this=exp.Or(this=missing, expression=exp.EQ(this=field.copy(), expression=exp.Literal.string(""))))
    return missing


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("equals", _("equals"), ALL, _compare(exp.EQ)),
        Operator("not_equals", _("does not equal"), ALL, _compare(exp.NEQ)),
        Operator("contains", _("contains"), TEXTUAL, _call("contains")),
        Operator("not_contains", _("does not contain"), TEXTUAL, _not(_call("contains"))),
        Operator("starts_with", _("starts with"), TEXTUAL, _call("starts_with")),
        Operator("ends_with", _("ends with"), TEXTUAL, _call("ends_with")),
        Operator("in", _("is one of"), ALL, _in, wants="many"),
        Operator("not_in", _("is none of"), ALL, _not(_in), wants="many"),
        Operator("greater", _("is greater than"), ORDERED, _compare(exp.GT)),
        Operator("greater_or_equal", _("is at least"), ORDERED, _compare(exp.GTE)),
        Operator("less", _("is less than"), ORDERED, _compare(exp.LT)),
        Operator("less_or_equal", _("is at most"), ORDERED, _compare(exp.LTE)),
        Operator("before", _("is before"), TIMES, _compare(exp.LT)),
        Operator("after", _("is after"), TIMES, _compare(exp.GT)),
        Operator("is_empty", _("is empty"), frozenset(FieldType), _empty, wants="none"),
        Operator("is_not_empty", _("is not empty"), frozenset(FieldType), _not(_empty), wants="none"),
    )
}


def condition(rows: Sequence[Mapping[str, Any]], all_or_any: Literal["all", "any"], fields: Mapping[str, FieldType]) -> Expression:
    """The condition that all or any of these rows ({field, operator, value}) say. No rows: always true. Raises ExpressionError; `line` is the row."""
    parts: list[exp.Expr] = []
    for number, row in enumerate(rows, 1):
        try:
            part = _row(row, fields)
            compile_tree(part, fields)
            parts.append(part)
        except ExpressionError as error:
            raise ExpressionError(error.text.template, line=number, **error.text.values) from None
    if not parts:
        return compile_tree(exp.Boolean(this=True), fields)
    join = exp.And if all_or_any == "all" else exp.Or
    return as_condition(compile_tree(reduce(lambda left, right: join(this=left, expression=right), parts), fields))


def _row(row: Mapping[str, Any], fields: Mapping[str, FieldType]) -> exp.Expr:
    name = row.get("operator", "")
    operator = OPERATORS.get(name)
    if operator is None:
        suggestion = did_you_mean(str(name), OPERATORS)
        if suggestion:
            raise ExpressionError(_("There is no operator {name}. Did you mean {suggestion}?"), name=str(name), suggestion=suggestion)
        raise ExpressionError(_("There is no operator {name}."), name=str(name))
    path = find_path(str(row.get("field", "")), fields)
    if path.type not in operator.types:
        raise ExpressionError(_("“{operator}” cannot be asked of {field}, which is {type}."), operator=name, field=path.field, type=path.type)
    value = row.get("value")
    if operator.wants == "many" and (not isinstance(value, list | tuple) or not value):
        raise ExpressionError(_("“{operator}” needs a list of values."), operator=name)
    if operator.wants == "one" and (value is None or isinstance(value, list | tuple | dict)):
        raise ExpressionError(_("“{operator}” needs a value."), operator=name)
    return operator.build(_column(path.field, path.inside), value, path.type)


def _column(field: str, inside: Sequence[str | int]) -> exp.Expr:
    node: exp.Expr = exp.Column(this=exp.Identifier(this=field, quoted=True))
    for part in inside:
        node = exp.Bracket(this=node, expressions=[_index(part)])
    return node


def _index(part: str | int) -> exp.Expr:
    if isinstance(part, str):
        return exp.Literal.string(part)
    return exp.Neg(this=exp.Literal.number(-part)) if part < 0 else exp.Literal.number(part)


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float):
        number = exp.Literal.number(abs(value))
        return exp.Neg(this=number) if value < 0 else number
    if isinstance(value, str):
        return exp.Literal.string(value)
    raise ExpressionError(_("“{value}” cannot be compared with."), value=str(value)[:200])
