import datetime as dt
from decimal import Decimal

import pytest

from connectors.base import FieldType, frame_type
from integration_hub.syncs.kept import packed_record, unpacked_record
from integration_hub.syncs.openrows import typed


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (FieldType.TEXT, "海岚"),
        (FieldType.INTEGER, 7),
        (FieldType.NUMBER, 1.5),
        (FieldType.DECIMAL, Decimal("12.300000000")),
        (FieldType.BOOLEAN, True),
        (FieldType.DATE, dt.date(2026, 11, 24)),
        (FieldType.TIME, dt.time(10, 42, 8, 250)),
        (FieldType.TIME, dt.time(10, 42)),
        (FieldType.DATETIME, dt.datetime(2026, 11, 24, 10, 42, 8, 250, tzinfo=dt.UTC)),
        (FieldType.DATETIME, dt.datetime(2026, 11, 24, 10, 42, tzinfo=dt.UTC)),
        (FieldType.JSON, '["a"]'),
    ],
)
def test_a_kept_record_comes_back_in_the_types_of_its_fields(type_, value):
    import polars as pl

    kept = unpacked_record(packed_record({"field": value}))["field"]

    assert typed(pl.Series([str(kept)], dtype=pl.String), frame_type(type_)).to_list() == [value]
