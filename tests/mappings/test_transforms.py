"""Every transform by its own examples, and by what none may do."""

import polars as pl
import pytest

from connectors.base import Entity, Field, FieldType, Page, frame_type
from integration_hub.core.expressions.conversions import convert
from integration_hub.mappings.engine import compile_mapping
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

    result = frame.select(transform.apply(pl.col("v"), before, parameters, lambda name: Operand(pl.col(name), T.TEXT)).alias("v")).to_series()

    after = transform.type_after(before, parameters)
    assert result.dtype == frame_type(after)
    assert shown(result, after) == example.result


@pytest.mark.parametrize("transform", [t for _n, t in TRANSFORMS.items()], ids=list(TRANSFORMS))
def test_null_stays_null_but_where_a_transform_fills_it(transform):
    example = transform.examples[0]
    for before in transform.takes:
        parameters = transform.parameters(**example.parameters)
        if transform.name == "default":
            continue
        frame = pl.DataFrame(
            {"v": pl.Series([None], dtype=frame_type(before)), **{name: [None] for name in example.others}},
            schema_overrides=dict.fromkeys(example.others, pl.String),
        )

        result = frame.select(transform.apply(pl.col("v"), before, parameters, lambda name: Operand(pl.col(name), T.TEXT)))

        assert result.item() is None
        assert result.to_series().dtype == frame_type(transform.type_after(before, parameters))


@pytest.mark.parametrize("transform", [t for _n, t in TRANSFORMS.items()], ids=list(TRANSFORMS))
def test_a_transform_explains_itself(transform):
    assert transform.label
    assert transform.description.endswith(".")
    assert transform.examples
    for name, parameter in transform.parameters.model_fields.items():
        assert parameter.title, f"{transform.name}.{name} has no title"
