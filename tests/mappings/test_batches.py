"""A batch of n gives what n batches of one give."""

import datetime as dt

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Page
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.trace import trace
from tests.mappings.mapped import WIDE, WIDE_SOURCE, WIDE_TARGET

TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", " A ", "12", "1,000.5", "+49 30 123456", "long long", "!", "\0"]), st.text(max_size=8))
JSONS = st.one_of(st.none(), st.sampled_from(["[]", "{}", '[{"k":"v"}]', "[1,[2]]", "null", "x"]))
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)),
            "x": st.one_of(st.none(), st.floats()),
            "a": TEXTS,
            "b": TEXTS,
            "j": JSONS,
            "t": st.one_of(st.none(), st.datetimes(timezones=st.just(dt.UTC))),
            "absent": st.booleans(),
        }
    ),
    min_size=1,
    max_size=12,
)


def rows_of(mapped, offset=0):
    """Everything that was said of each record, so that two mappings can be compared."""
    told = {}
    sent = mapped.send.to_dicts() if mapped.send is not None else [{}] * mapped.frame.height
    for place, (record, mask) in enumerate(zip(mapped.frame.to_dicts(), sent, strict=True)):
        row = record.pop("row") + offset
        told[row] = (record, {name for name in record if mask.get(name, True)}, {fields: values[place] for fields, values in mapped.match.items()})
    for reject in mapped.rejected.to_dicts():
        told[reject.pop("row") + offset] = reject
    return told


@settings(max_examples=40, deadline=None)
@given(RECORDS)
def test_a_batch_gives_what_its_records_give_alone(records):
    mapping = compile_mapping(WIDE, WIDE_SOURCE, WIDE_TARGET)
    schema = WIDE_SOURCE.frame_schema()
    frame = pl.DataFrame({name: pl.Series([r[name] for r in records], dtype=schema[name]) for name in schema})
    absent = pl.DataFrame({"t": [r["absent"] and r["t"] is None for r in records]})

    together = rows_of(mapping.apply(Page(frame, None, absent=absent)))

    alone = {}
    for row in range(frame.height):
        alone |= rows_of(mapping.apply(Page(frame.slice(row, 1), None, absent=absent.slice(row, 1))), offset=row)
    assert together == alone
    assert len(together) == len(records)

    page = Page(frame, None, absent=absent)
    for row in range(frame.height):
        traced = trace(mapping, page, row)
        problem = next((field for field in traced if field.problem), None)
        said = together[row]
        if isinstance(said, tuple):
            assert problem is None
            assert {field.field for field in traced if field.sent} == said[1]
        else:
            assert problem is not None
            # A reject names the first field that failed; a check after it may come first only in the order of fields.
            assert said["field"] in {field.field for field in traced if field.problem}
