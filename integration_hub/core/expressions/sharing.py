"""A value that an expression needs more than once, computed once.

Polars copies an expression wherever it is used: `when(x > 0).then(x)` computes x twice, and a chain of twenty such steps a million times. `let`
hands the value on as the field of a struct, which costs nothing and has one place in the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def let(value: pl.Expr, body: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """`body(value)`, with the value computed once however often the body uses it."""
    return let_all([value], body)


def let_all(values: list[pl.Expr], body: Callable[..., pl.Expr]) -> pl.Expr:
    """`body(*values)`. Inside a body, values that another `let` around it named are out of reach."""
    import polars as pl

    names = [f"v{number}" for number in range(len(values))]
    named = pl.struct(value.alias(name) for name, value in zip(names, values, strict=True))
    return named.struct.with_fields(body(*map(pl.field, names)).alias("v0")).struct.field("v0")
