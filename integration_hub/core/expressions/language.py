"""SQL expressions: read by sqlglot, checked against a list of what is allowed, and built into Polars from the tree.

What a person wrote never reaches Polars as an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from connectors.base import FieldType, _

from . import values as v
from .building import Builder
from .errors import ExpressionError
from .reading import HubSQL, check_size, read_tree
from .values import Value

if TYPE_CHECKING:
    import polars as pl

T = FieldType


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was checked against the fields of an entity. `fields`: those it reads. `type` None: it is always null."""

    text: str
    fields: tuple[str, ...]
    type: FieldType | None
    value: Value

    def to_polars(self) -> pl.Expr:
        return self.value.build()

    @property
    def failure(self) -> Callable[[], pl.Expr] | None:
        """Builds what is true for records for which the expression failed (a division by zero, a bad cast); None: it cannot fail."""
        return self.value.failed


def parse(text: str, fields: Mapping[str, FieldType]) -> Expression:
    """Read an expression over these fields. Raises ExpressionError, with the place."""
    tree = read_tree(text)
    return compile_tree(tree, fields, text=text)


def parse_condition(text: str, fields: Mapping[str, FieldType]) -> Expression:
    """An expression that must say true or false."""
    return as_condition(parse(text, fields))


def as_condition(expression: Expression) -> Expression:
    if expression.type is not T.BOOLEAN:
        raise ExpressionError(_("A condition must be true or false, but this is {type}."), type=v.name_of(expression.type), line=1, column=1)
    return expression


def compile_tree(tree: exp.Expr, fields: Mapping[str, FieldType], *, text: str | None = None) -> Expression:
    """An Expression from a tree, however it was made."""
    check_size(tree)
    builder = Builder(fields)
    value = builder.build(tree)
    return Expression(text if text is not None else tree.sql(dialect=HubSQL), tuple(builder.used), value.type, value)
