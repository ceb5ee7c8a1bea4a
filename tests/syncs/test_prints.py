"""Prints must be the same on every machine and with every release of a library: golden values hold them there."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as some

from integration_hub.syncs.prints import NULL_HASH, field_hashes, packed, unpacked

GOLDEN = {
    "text": ("Ada", pl.String, 0x834DA1FC48835E61),
    "empty text": ("", pl.String, 0xEF46DB3751D8E999),  # xxHash's own reference value of nothing, seed 0
    "chinese": ("海岚", pl.String, 0xFA7C8C02910E8580),
    "whole number": (42, pl.Int64, 0x6DE6F5D076D742B9),
    "decimal": (Decimal("1.50"), pl.Decimal(38, 9), 0x7599CF6A858394DD),
    "yes": (True, pl.Boolean, 0xD7C9B97948142E4A),
    "day": (dt.date(2026, 11, 22), pl.Date, 0x2988889D8529B8AE),
    "moment": (dt.datetime(2026, 11, 22, 12, 30, 0, 5, tzinfo=dt.UTC), pl.Datetime("us", "UTC"), 0x171E8443025017EE),
    "nothing": (None, pl.String, NULL_HASH),
}


def print_of(value, dtype):
    return int(field_hashes(pl.DataFrame({"f": pl.Series([value], dtype=dtype)}), ["f"])[0, 0])


def test_golden_values():
    assert {name: hex(print_of(value, dtype)) for name, (value, dtype, _golden) in GOLDEN.items()} == {
        name: hex(golden) for name, (_value, _dtype, golden) in GOLDEN.items()
    }


def test_equal_values_have_equal_prints_however_they_are_written():
    assert print_of(Decimal("1.5"), pl.Decimal(38, 2)) == print_of(Decimal("1.500"), pl.Decimal(38, 9))
    assert print_of(None, pl.String) != print_of("", pl.String)


prints = some.integers(0, 5).flatmap(lambda width: some.lists(some.lists(some.integers(0, 2**64 - 1), min_size=width, max_size=width), max_size=5))


@given(prints, some.integers(0, 3))
def test_what_is_packed_is_unpacked_and_slots_that_came_later_are_not_known(rows, later):
    width = len(rows[0]) if rows else 0
    whole = np.array(rows, dtype="<u8").reshape(len(rows), width)

    stored = [*packed(whole), b""]
    back = unpacked([len(one) for one in stored], b"".join(stored), width + later)

    assert back.shape == (len(rows) + 1, width + later)
    assert (back[: len(rows), :width] == whole).all()
    assert not back[: len(rows), width:].any()
    assert not back[len(rows)].any()
