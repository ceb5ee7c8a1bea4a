"""The engine: what arrives, what is rejected and why, what is sent."""

import datetime as dt
import json

import polars as pl
import pytest

from connectors.base import Misfit, Page, Text
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.match import first_match
from tests.mappings.mapped import arrived, entity, one, reasons

# --- failures ---------------------------------------------------------------------------------------------------------


def test_only_the_record_that_fails_is_rejected():
    mapped = one(target_type="integer", values=["1", "x", None, "3"], steps=[{"transform": "trim"}])

    assert mapped.frame["row"].to_list() == [0, 2, 3]
    assert arrived(mapped) == [1, None, 3]
    assert reasons(mapped) == [(1, 2, "convert", "x", "“x” is not a whole number.")]


def test_the_step_that_lost_the_value_is_named():
    steps = [{"transform": "split", "separator": "-", "part": 2}, {"transform": "parse_date", "formats": ["DD.MM.YYYY"]}, {"transform": "to_epoch"}]
    mapped = one(target_type="integer", values=["a-01.02.2026", "a", "a-soon"], steps=steps)

    assert arrived(mapped) == [1769904000]
    assert reasons(mapped) == [
        (1, 1, "split", "a", "“a” has no part 2 when split at “-”."),
        (2, 2, "parse_date", "soon", "“soon” is not a date in the format DD.MM.YYYY."),
    ]


def test_a_default_does_not_hide_a_failure_before_it():
    steps = [{"transform": "parse_number"}, {"transform": "default", "value": 0}]
    mapped = one(target_type="number", values=["5", "many", None], steps=steps)

    assert arrived(mapped) == [5.0, 0.0]
    assert [reason[1:3] for reason in reasons(mapped)] == [(1, "parse_number")]


def test_null_may_be_an_answer():
    mapped = one(values=["", "N/A", "x"], steps=[{"transform": "empty_to_null", "words": ["N/A"]}, {"transform": "upper"}])

    assert arrived(mapped) == [None, None, "X"]
    assert mapped.rejected.is_empty()


def test_a_formula_that_fails_rejects_its_record():
    source = entity({"name": "n", "type": "integer"}, {"name": "m", "type": "integer"})
    mapping = compile_mapping({"fields": [{"target": "z", "expression": "n / m"}]}, source, entity({"name": "z", "type": "number"}))

    mapped = mapping.apply(Page(pl.DataFrame({"n": [6, 1, None], "m": [3, 0, 1]}), None))

    assert arrived(mapped) == [2.0, None]
    assert reasons(mapped) == [(1, 0, "formula", "n = 1, m = 0", "The formula has no result for n = 1, m = 0.")]


def test_a_date_beyond_the_calendar_rejects_its_record_alone():
    """Polars goes on to the year 262,143, which nothing behind it can hold: neither a file of changes nor the target."""
    first, some = dt.date(1, 1, 1), dt.date(2026, 11, 24)

    added = one(source_type="date", target_type="date", values=[some, dt.date(9999, 12, 31)], steps=[{"transform": "add_time"}])
    began = one(source_type="date", target_type="datetime", values=[some, first], steps=[{"transform": "start_of_day", "zone": "Asia/Shanghai"}])

    assert arrived(added) == [dt.date(2026, 11, 25)]
    assert reasons(added) == [(1, 1, "add_time", "9999-12-31", "9999-12-31 would come to lie outside the years 1 to 9999.")]
    assert arrived(began) == [dt.datetime(2026, 11, 23, 16, tzinfo=dt.UTC)]
    assert [(row, name) for row, _step, name, _value, _reason in reasons(began)] == [(1, "calendar")]


def test_a_misfit_of_a_used_field_rejects_with_its_own_reason_and_one_of_another_does_not_matter():
    source, target = entity("a", "b"), entity("z")
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a"}]}, source, target)
    frame = pl.DataFrame({"a": [None, "x", "y"], "b": [None, None, None]}, schema_overrides={"a": pl.String, "b": pl.String})
    misfits = [Misfit(0, "a", "\\ud800", Text("“{value}” is broken.", {"value": "\\ud800"})), Misfit(1, "b", "?", Text("no matter"))]

    mapped = mapping.apply(Page(frame, None, [*misfits, Misfit(2, "", "{", Text("cut short"))]))

    assert arrived(mapped) == ["x"]
    assert reasons(mapped) == [(0, 0, "read", "\\ud800", "“\\ud800” is broken."), (2, 0, "read", "{", "cut short")]


def test_a_record_with_several_faults_is_one_reject_for_the_first():
    source, target = entity("a", "b"), entity({"name": "y", "type": "integer"}, {"name": "z", "type": "integer"})
    mapping = compile_mapping({"fields": [{"target": "z", "source": "b"}, {"target": "y", "source": "a"}]}, source, target)

    mapped = mapping.apply(Page(pl.DataFrame({"a": ["x", "1"], "b": ["y", "q"]}), None))

    assert [(r["row"], r["field"]) for r in mapped.rejected.to_dicts()] == [(0, "z"), (1, "z")]
    assert mapped.frame.is_empty()


def test_a_value_is_cut_in_its_reject():
    mapped = one(target_type="integer", values=["x" * 1000])
    assert mapped.rejected["value"].item() == "x" * 200


# --- validation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "values", "good", "name"),
    [
        ({"required": True}, ["a", None, "", " "], ["a", " "], "required"),
        ({"max_length": 2}, ["ab", "abc", "上海", "上海市", None], ["ab", "上海", None], "max_length"),
        ({"pattern": "[a-z]+"}, ["ab", "a1", None, ""], ["ab", None], "pattern"),
        ({"allowed": ["a", "b"]}, ["a", "c", None], ["a", None], "allowed"),
        ({"choices": ("a", "b")}, ["a", "c", None], ["a", None], "allowed"),
        ({}, ["a", "a\0b", None], ["a", None], "text"),
    ],
)
def test_what_must_hold_of_a_value(field, values, good, name):
    mapped = one(values=values, **field)
    assert arrived(mapped) == good
    assert set(mapped.rejected["transform"]) == {name}


def test_allowed_values_are_of_the_targets_type():
    mapped = one("text", "integer", ["1", "3"], allowed=[1, 2])
    assert arrived(mapped) == [1]
    with pytest.raises(DefinitionError, match=r"The allowed value “x” is not integer, as z is\."):
        one("text", "integer", ["1"], allowed=["x"])


def test_the_targets_schema_counts_too():
    source, target = entity("a"), entity({"name": "z", "required": True, "max_length": 3})
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a", "max_length": 5}]}, source, target)

    mapped = mapping.apply(Page(pl.DataFrame({"a": ["abc", "abcd", None]}), None))

    assert [r["transform"] for r in mapped.rejected.to_dicts()] == ["max_length", "required"]
    relaxed = compile_mapping({"fields": [{"target": "z", "source": "a", "required": False}]}, source, target)
    assert relaxed.apply(Page(pl.DataFrame({"a": [None]}, schema={"a": pl.String}), None)).rejected.is_empty()


# --- null, absent, empty ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_null", "sent"), [("leave", [True, False, False, True]), ("clear", [True, True, False, True])])
def test_null_absent_and_empty_are_three_things(on_null, sent):
    mapping = compile_mapping(
        {"fields": [{"target": "z", "source": "a", "on_null": on_null}, {"target": "id", "source": "b"}]}, entity("a", "b"), entity("z", "id")
    )
    frame = pl.DataFrame({"a": ["x", None, None, ""], "b": ["1", "2", "3", "4"]})

    mapped = mapping.apply(Page(frame, None, absent=pl.DataFrame({"a": [False, False, True, False]})))

    assert mapped.send is not None
    assert mapped.send.columns == ["z"]
    assert mapped.send["z"].to_list() == sent


def test_masks_stay_beside_their_records_when_others_are_rejected():
    source, target = entity("a", {"name": "n", "type": "text"}), entity("z", {"name": "n", "type": "integer"})
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a", "on_null": "clear"}, {"target": "n", "source": "n"}]}, source, target)
    frame = pl.DataFrame({"a": [None, None, None], "n": ["1", "x", "3"]}, schema_overrides={"a": pl.String})

    mapped = mapping.apply(Page(frame, None, absent=pl.DataFrame({"a": [False, True, True]})))

    assert mapped.frame["row"].to_list() == [0, 2]
    assert mapped.send["z"].to_list() == [True, False]


def test_all_is_sent_where_nothing_is_missing():
    assert one(values=["a", "b"]).send is None


# --- constants, formulas, paths, match keys ---------------------------------------------------------------------------


def test_constants_formulas_and_paths():
    source = entity({"name": "id", "type": "integer"}, "address.city", {"name": "lines", "type": "json"})
    target = entity("z", "kind", {"name": "count", "type": "integer"}, "sku")
    definition = {
        "fields": [
            {"target": "z", "expression": "address.city || '-' || id"},
            {"target": "kind", "constant": "customer", "steps": [{"transform": "upper"}]},
            {"target": "count", "constant": 3},
            {"target": "sku", "source": "lines[0].sku"},
        ]
    }
    mapping = compile_mapping(definition, source, target)
    frame = pl.DataFrame({"id": [1, 2], "address.city": ["Rom", None], "lines": ['[{"sku":"A"}]', "[]"]})

    mapped = mapping.apply(Page(frame, None))

    assert mapping.sources == ["address.city", "id", "lines"]
    assert mapped.frame.drop("row").rows() == [("Rom-1", "CUSTOMER", 3, "A"), (None, "CUSTOMER", 3, None)]


def test_constants_alone_give_a_record_for_each_of_the_source():
    mapping = compile_mapping({"fields": [{"target": "z", "constant": "x"}]}, entity("a"), entity("z"))
    assert mapping.apply(Page(pl.DataFrame({"a": ["1", "2", "3"]}), None)).frame["z"].to_list() == ["x"] * 3
    assert mapping.apply(Page(pl.DataFrame({"a": []}, schema={"a": pl.String}), None)).frame.height == 0


def test_other_fields_are_read_and_stand_in():
    steps = [{"transform": "other_field", "fields": ["b"]}, {"transform": "join_fields", "fields": ["b"], "separator": "/"}]
    mapped = one(values=["x", None], steps=steps)
    assert arrived(mapped) == ["x/0", "1/1"]


def test_match_keys_are_tried_in_order():
    source, target = entity("mail", "first", "last"), entity("mail", "first", "last")
    fields = [{"target": name, "source": name} for name in ("mail", "first", "last")]
    mapping = compile_mapping({"fields": fields, "match": [["mail"], ["first", "last"]]}, source, target)
    frame = pl.DataFrame({"mail": ["a@b", "", None], "first": ["A", 'B"', None], "last": ["C", "D\\", "E"]})

    match = mapping.apply(Page(frame, None)).match

    assert {fields: values.to_list() for fields, values in match.items()} == {
        '["mail"]': ["a@b", None, None],
        '["first", "last"]': ['["A","C"]', json.dumps(['B"', "D\\"], separators=(",", ":")), None],
    }
    assert [first_match(match, row) for row in range(3)] == [('["mail"]', "a@b"), ('["first", "last"]', '["B\\"","D\\\\"]'), None]


def test_an_empty_page_gives_an_empty_one_of_the_same_shape():
    mapped = one(target_type="integer", values=[], required=True)
    assert mapped.frame.schema == {"row": pl.UInt32, "z": pl.Int64}
    assert mapped.rejected.is_empty()
    assert not mapped.match
