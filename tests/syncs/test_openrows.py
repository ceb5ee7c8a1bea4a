import datetime as dt

import polars as pl
import pytest

from integration_hub.syncs import openrows


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Time(), [dt.time(8, 30), dt.time(8, 30, 0, 500_000)]),
        (pl.Datetime("us", "UTC"), [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)]),
        (pl.Date(), [dt.date(2026, 1, 1)]),
        (pl.Boolean(), [True, False]),
        (pl.Binary(), [b"\x00ab"]),
    ],
)
def test_a_kept_record_has_the_values_it_had(dtype, values):
    kept = [openrows.unpacked_record(openrows.packed_record({"value": value}))["value"] for value in values]

    column = openrows.typed(pl.Series("value", [str(value) for value in kept], dtype=pl.String), dtype)

    assert column.to_list() == values
