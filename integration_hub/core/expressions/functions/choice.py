"""Functions that choose among values, and null."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.base import _

from .. import values as v
from ..errors import ExpressionError
from ..sharing import let_all
from ..values import Value
from .base import ANYTHING, T, declare

if TYPE_CHECKING:
    import polars as pl


def _nullif(value: Value, other: Value) -> Value:
    a, b = v.same_type(value, other)

    def build() -> pl.Expr:
        import polars as pl

        return let_all([a.build(), b.build()], lambda x, y: pl.when((x != y).fill_null(True)).then(x))

    return v.lenient(a.type, [a, b], build, v.any_of([a.failed, b.failed]), growth=a.growth)


def _extreme(which: str) -> Callable[..., Value]:
    def make(*given: Value) -> Value:
        import polars as pl

        type_ = v.common_type(given) or T.TEXT
        typed = [v.as_type(value, type_) for value in given]
        if type_ in (T.TEXT, T.JSON, T.BOOLEAN):
            raise ExpressionError(_("{function} compares numbers, dates and times."), function=which)
        horizontal = pl.max_horizontal if which == "greatest" else pl.min_horizontal
        return v.lenient(type_, typed, lambda: horizontal([value.build() for value in typed]), v.any_of([value.failed for value in typed]))

    return make


declare(
    "coalesce", ANYTHING("value", repeated=True), make=lambda *given: v.first_present(given), text=_("The first value that is not null."),
    example="coalesce(NULL, 'a') = 'a'",
)  # fmt: skip
declare(
    "nullif", ANYTHING("value"), ANYTHING("other"), make=_nullif, text=_("Null if both are equal, else the first."), example="nullif('', '') IS NULL"
)
declare(
    "greatest",
    ANYTHING("value", repeated=True),
    make=_extreme("greatest"),
    text=_("The greatest value; null is left out."),
    example="greatest(1, 3, 2) = 3",
)
declare("least", ANYTHING("value", repeated=True), make=_extreme("least"), text=_("The least value; null is left out."), example="least(1, 3, 2) = 1")
