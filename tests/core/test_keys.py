import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from connectors.canonical import canonical_text as one
from integration_hub.core.keys import canonical_text

TIMES = [dt.time(8, 30), dt.time(8, 30, 0, 500_000), dt.time(8, 30, 0, 1)]
MOMENTS = [dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), dt.datetime(2026, 11, 22, 10, 0, 0, 1, tzinfo=dt.UTC)]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Time(), TIMES),
        (pl.Datetime("us", "UTC"), MOMENTS),
        (pl.Date(), [dt.date(2026, 1, 2)]),
        (pl.Decimal(38, 9), [Decimal("12.50"), Decimal("100"), Decimal("-0.10")]),
        (pl.Int64(), [0, -5]),
        (pl.Boolean(), [True, False]),
        (pl.String(), ["", "é"]),
    ],
)
def test_a_column_has_the_same_canonical_texts_as_its_values(dtype, values):
    column = pl.DataFrame({"value": pl.Series(values, dtype=dtype)})

    assert column.select(canonical_text(pl.col("value"), dtype)).to_series().to_list() == [one(value) for value in values]
