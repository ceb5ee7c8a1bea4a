"""A value arrives as the type of its target, exactly or not at all."""

import datetime as dt

import polars as pl
import pytest

from connectors.base import FieldType, frame_type
from integration_hub.core.expressions.conversions import CONVERSIONS
from integration_hub.mappings.definition import DefinitionError
from tests.mappings.mapped import one

BIG = 2**63 - 1


@pytest.mark.parametrize(
    ("source", "target", "good", "bad"),
    [
        ("text", "integer", {"12": 12, "-3": -3, "007": 7}, ["1.0", "x", "", " 1", "9" * 30]),
        ("text", "number", {"1.5": 1.5, "1e3": 1000.0}, ["nan", "inf", "-Infinity", "1e999", "x", ""]),
        ("text", "decimal", {"12.34": "12.34", "1.500000000000": "1.5"}, ["0.0000000001", "x", "1e400", "9" * 40, "", "."]),
        ("text", "boolean", {"true": True, "FALSE": False}, ["yes", "1", ""]),
        ("text", "date", {"2026-11-24": dt.date(2026, 11, 24)}, ["2026-02-30", "24.11.2026", ""]),
        ("text", "time", {"10:42:00": dt.time(10, 42)}, ["25:00:00", ""]),
        (
            "text",
            "datetime",
            {
                "2026-11-24T10:42:00+08:00": dt.datetime(2026, 11, 24, 2, 42, tzinfo=dt.UTC),
                "2026-11-24 10:42:00Z": dt.datetime(2026, 11, 24, 10, 42, tzinfo=dt.UTC),
            },
            ["2026-11-24T10:42:00", "soon", ""],
        ),
        ("integer", "text", {5: "5"}, []),
        ("integer", "number", {5: 5.0, 2**53: 2.0**53}, [2**53 + 1, BIG]),
        ("integer", "decimal", {BIG: str(BIG)}, []),
        ("number", "integer", {2.0: 2}, [2.5, 1e300, float("nan"), float("inf")]),
        ("number", "number", {2.5: 2.5}, [float("nan"), float("inf"), float("-inf")]),
        ("number", "text", {12.0: "12", 0.1: "0.1", 1e20: "1e+20"}, [float("nan")]),
        ("number", "decimal", {0.1: "0.1"}, [1e300, 0.12345678901, float("nan")]),
        ("boolean", "text", {True: "true", False: "false"}, []),
        ("date", "text", {dt.date(2026, 11, 24): "2026-11-24"}, []),
        ("date", "datetime", {dt.date(2026, 11, 24): dt.datetime(2026, 11, 24, tzinfo=dt.UTC)}, []),
        ("datetime", "text", {dt.datetime(2026, 11, 24, 10, 42, tzinfo=dt.UTC): "2026-11-24T10:42:00Z"}, []),
        ("json", "text", {'"a"': "a", "[1,2]": "[1,2]", "12": "12"}, ["{", "null"]),
        ("json", "integer", {"12": 12, '"12"': 12}, ['"x"', "[]"]),
        ("boolean", "json", {True: "true"}, []),
        ("date", "json", {dt.date(2026, 11, 24): '"2026-11-24"'}, []),
    ],
)
def test_a_value_arrives_exactly_or_not_at_all(source, target, good, bad):
    mapped = one(source, target, [*good, None, *bad])

    result = mapped.frame["z"]
    assert result.dtype == frame_type(FieldType(target))
    shown = [str(v.normalize()) if target == "decimal" and v is not None and "." in str(v.normalize()) else v for v in result.to_list()]
    wanted = [*good.values(), None]
    assert [str(int(v)) if target == "decimal" and v is not None and not isinstance(v, str) else v for v in shown] == wanted
    assert mapped.rejected["row"].to_list() == list(range(len(good) + 1, len(good) + 1 + len(bad)))
    assert set(mapped.rejected["transform"]) <= {"convert"}


def test_decimals_keep_the_targets_scale():
    mapped = one("text", "decimal", ["12.34", "12.345"], scale=2)
    assert mapped.frame["z"].dtype == pl.Decimal(38, 2)
    assert mapped.rejected["row"].to_list() == [1]


@pytest.mark.parametrize("pair", [(a, b) for a in FieldType for b in FieldType if (a, b) not in CONVERSIONS], ids=str)
def test_what_would_need_a_guess_is_refused_when_the_mapping_is_made(pair):
    with pytest.raises(DefinitionError, match="Add a step that makes one of the other"):
        one(str(pair[0]), str(pair[1]))
