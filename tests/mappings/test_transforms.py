"""Every transform by its own examples, and by what none may do."""

import polars as pl
import pytest

from connectors.base import FieldType, frame_type
from integration_hub.core.expressions.conversions import convert
from integration_hub.mappings.transforms import TRANSFORMS
from integration_hub.mappings.transforms.base import Operand

T = FieldType
EXAMPLES = [(transform, example) for _name, transform in TRANSFORMS.items() for example in transform.examples]


def type_of(transform, example):
    natural = {bool: T.BOOLEAN, int: T.INTEGER, float: T.NUMBER, str: T.TEXT}.get(type(example.value), T.TEXT)
    return example.type or natural


def typed(value, type_):
    """A column of one value, as a source of this type would hold it."""
    if isinstance(value, str) and type_ not in (T.TEXT, T.JSON):
        return pl.DataFrame({"v": [value]}).select(convert(pl.col("v"), T.TEXT, type_)).to_series()
    return pl.Series("v", [value], frame_type(type_))


def shown(series, type_):
    """As the reference page shows it."""
    value = series.item()
    if value is None or type_ in (T.INTEGER, T.NUMBER, T.BOOLEAN):
        return value
    return series.to_frame("v").select(convert(pl.col("v"), type_, T.TEXT) if type_ is not T.JSON else pl.col("v")).item()


@pytest.mark.parametrize(("transform", "example"), EXAMPLES, ids=[f"{t.name}-{n}" for n, (t, _e) in enumerate(EXAMPLES)])
def test_a_transform_does_what_its_example_says(transform, example):
    before = type_of(transform, example)
    parameters = transform.parameters(**example.parameters)
    frame = pl.DataFrame({"v": typed(example.value, before), **{name: [value] for name, value in example.others.items()}})

    step = transform.apply(pl.col("v"), before, parameters, lambda name: Operand(pl.col(name), T.TEXT), example.linked)
    result = frame.select(step.alias("v")).to_series()

    after = transform.type_after(before, parameters)
    assert result.dtype == frame_type(after)
    assert shown(result, after) == example.result


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [("parse_date", {"formats": ["DD.MM.YYYY"]}, "24.11.26"), ("parse_datetime", {"formats": ["DD.MM.YYYY HH:mm"]}, "24.11.26 10:42")],
)
def test_a_year_of_two_digits_is_not_taken_for_one_of_four(name, parameters, text):
    """24.11.26 is no day of the year 26."""
    transform = TRANSFORMS[name]

    step = transform.apply(pl.col("v"), T.TEXT, transform.parameters(**parameters), lambda name: Operand(pl.col(name), T.TEXT))

    assert pl.DataFrame({"v": [text]}).select(step.alias("v")).item() is None


@pytest.mark.parametrize("transform", [t for _n, t in TRANSFORMS.items()], ids=list(TRANSFORMS))
def test_null_stays_null_but_where_a_transform_fills_it(transform):
    example = transform.examples[0]
    for before in transform.takes:
        parameters = transform.parameters(**example.parameters)
        if transform.name == "default":
            continue
        frame = pl.DataFrame(
            {"v": pl.Series([None], dtype=frame_type(before)), **{name: [None] for name in example.others}},
            schema_overrides=dict.fromkeys(example.others, frame_type(before)),
        )

        result = frame.select(transform.apply(pl.col("v"), before, parameters, lambda name, before=before: Operand(pl.col(name), before)))

        assert result.item() is None
        assert result.to_series().dtype == frame_type(transform.type_after(before, parameters))


@pytest.mark.parametrize("transform", [t for _n, t in TRANSFORMS.items()], ids=list(TRANSFORMS))
def test_a_transform_explains_itself(transform):
    assert transform.label
    assert transform.description.endswith(".")
    assert transform.examples
    for name, parameter in transform.parameters.model_fields.items():
        assert parameter.title, f"{transform.name}.{name} has no title"


# Values that broke some function of Polars, or might.
ODD = {
    T.TEXT: [
        "", " ", "\x00", "é", "e\u0301", "上海", "😀", "ß", "İ", "a" * 5000, "0", "-1", "1e400", "nan", "inf", "9" * 60, "0." + "1" * 60, "true", "null",
        "[", "]", "{}", "[]", "[[", '["a"', '{"a": {"b": 1}}', '["a", null, 1.5, true, "x\\"y", "\\u0000"]', "[" * 3000, '"\\ud800"', "(", "\\", "$1", "${x}",
        "2026-02-30", "2026-11-24", "0000-00-00", "9999-12-31", "10000-01-01", "99999999999-01-01", "-262145-01-01", "2026-11-24T24:00:00Z", "24:60:60",
        "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-11-24T10:42:00+99:99", "1.234,56", "+", "-", ".", ",", "@", "a@b", "<", "<p", "&amp;lt;", "+49", "00",
    ],
    T.INTEGER: [0, 1, -1, 2**63 - 1, -(2**63), 10**18, 253402300799, 2**53 + 1],
    T.NUMBER: [0.0, -0.0, 0.1, 1e308, -1e308, 5e-324, 2.0**53, 1e18, float("inf"), float("nan"), -2.5],
    T.DECIMAL: ["0", "1.000000001", "9" * 29, "-" + "9" * 29, "0.000000001", "99999999999999999999999999999.999999999"],
    T.BOOLEAN: [True, False],
    T.DATE: ["0001-01-01", "1970-01-01", "9999-12-31", "2024-02-29"],
    T.TIME: ["00:00:00", "23:59:59.999999"],
    T.DATETIME: ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59Z", "2026-10-25T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"],
}  # fmt: skip
ODD[T.JSON] = ODD[T.TEXT]
ODD[T.BINARY] = [b"", b"\x00\xff"]


@pytest.mark.parametrize("transform", [t for _n, t in TRANSFORMS.items()], ids=list(TRANSFORMS))
def test_no_value_stops_a_page_and_none_changes_what_becomes_of_another(transform):
    for example in transform.examples:
        parameters = transform.parameters(**example.parameters)
        for before in transform.takes if transform.name != "default" else [type_of(transform, example) if example.type is None else example.type]:
            values = ODD[before]
            column = pl.concat([typed(value, before) for value in values]) if before is not T.BINARY else pl.Series("v", values)
            frame = pl.DataFrame({"v": column}).with_columns(pl.col("v").alias(name) for name in example.others)
            step = transform.apply(pl.col("v"), before, parameters, lambda name, before=before: Operand(pl.col(name), before)).alias("v")

            together = frame.select(step).to_series()

            one_by_one = pl.concat([frame.slice(row, 1).select(step).to_series() for row in range(frame.height)])
            assert together.equals(one_by_one, null_equal=True), transform.name
            if transform.reason is None and not transform.null_is_an_answer(parameters):
                assert together.null_count() <= column.null_count(), f"{transform.name} lost a value of type {before} without a reason"
