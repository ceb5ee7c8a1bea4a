"""The engine: what arrives, what is rejected and why, what is sent; and that the size of a page changes nothing."""

import datetime as dt
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Entity, Field, FieldType, Misfit, Page, Text, frame_type
from integration_hub.core.expressions.conversions import CONVERSIONS
from integration_hub.mappings.definition import DefinitionError, read_definition
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.match import first_match
from integration_hub.mappings.records import page_of, plain_records
from integration_hub.mappings.trace import trace

T = FieldType


def entity(*fields, key="id"):
    return Entity(name="things", fields=tuple(Field(**field) if isinstance(field, dict) else Field(name=field) for field in fields), key=(key,))


def one(source_type="text", target_type="text", values=(), **field):
    """Map one column through one field mapping."""
    source = entity({"name": "a", "type": source_type}, {"name": "b", "type": "text"})
    extra = {name: field.pop(name) for name in ("choices", "scale") if name in field}
    target = entity({"name": "z", "type": target_type, **extra})
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a", **field}]}, source, target)
    frame = pl.DataFrame({"a": pl.Series(values, dtype=frame_type(FieldType(source_type)), strict=False), "b": [str(n) for n in range(len(values))]})
    return mapping.apply(Page(frame, None))


def arrived(mapped):
    return mapped.frame["z"].to_list()


def reasons(mapped):
    return [(r["row"], r["step"], r["transform"], r["value"], str(Text(r["template"], json.loads(r["values"])))) for r in mapped.rejected.to_dicts()]


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


# --- types ------------------------------------------------------------------------------------------------------------

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


# --- a batch of n gives what n batches of one give --------------------------------------------------------------------

WIDE_SOURCE = entity(
    {"name": "n", "type": "integer"}, {"name": "x", "type": "number"}, "a", "b", {"name": "j", "type": "json"}, {"name": "t", "type": "datetime"}
)
WIDE_TARGET = entity(
    {"name": "total", "type": "integer"}, {"name": "name", "required": True, "max_length": 6}, {"name": "score", "type": "number"}, {"name": "day", "type": "date"},
    {"name": "kind", "choices": ("A", "B")}, {"name": "first"}, {"name": "count", "type": "integer"}, {"name": "phone"}, {"name": "note"},
)  # fmt: skip
WIDE = {
    "fields": [
        {"target": "total", "expression": "n * n - 1"},
        {
            "target": "name",
            "source": "a",
            "steps": [{"transform": "empty_to_null"}, {"transform": "other_field", "fields": ["b"]}, {"transform": "trim"}],
        },
        {
            "target": "score",
            "source": "b",
            "steps": [{"transform": "empty_to_null"}, {"transform": "parse_number"}, {"transform": "default", "value": 1}],
        },
        {"target": "day", "source": "t", "steps": [{"transform": "date_of", "zone": "Asia/Shanghai"}], "on_null": "clear"},
        {
            "target": "kind",
            "source": "a",
            "steps": [{"transform": "upper"}, {"transform": "value_map", "table": {"A": "A", "B": "B"}, "otherwise": "null"}],
        },
        {"target": "first", "source": "j[0].k"},
        {"target": "count", "source": "j", "steps": [{"transform": "list_count"}]},
        {"target": "phone", "source": "b", "steps": [{"transform": "phone"}]},
        {"target": "note", "expression": "CASE WHEN x > 1 THEN a || ' ' || x ELSE CAST(n AS text) END", "pattern": r"[^!]*"},
    ],
    "match": [["name", "first"], ["note"]],
}
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


# --- trace, records ---------------------------------------------------------------------------------------------------


def test_a_trace_shows_the_value_after_each_step():
    source, target = entity("a"), entity({"name": "z", "type": "integer", "max_length": None})
    mapping = compile_mapping(
        {"fields": [{"target": "z", "source": "a", "steps": [{"transform": "trim"}, {"transform": "pad", "width": 4}]}]}, source, target
    )

    (good,) = trace(mapping, page_of([{"a": " 42 "}], source))
    (bad,) = trace(mapping, page_of([{"a": "4x"}], source))
    (gone,) = trace(mapping, page_of([{}], source))

    assert (good.value, [(s.number, s.transform, s.value) for s in good.steps], good.result, good.sent) == (
        " 42 ", [(1, "trim", "42"), (2, "pad", "0042"), (3, "convert", "42")], "42", True,
    )  # fmt: skip
    assert (str(bad.problem), bad.problem_step, bad.sent) == ("“004x” is not a whole number.", 3, False)
    assert (gone.value, gone.absent, gone.sent) == (None, True, False)


def test_records_in_json_become_a_page_and_what_does_not_fit_a_misfit():
    source = entity({"name": "n", "type": "integer"}, "s", {"name": "j", "type": "json"}, {"name": "t", "type": "datetime"})
    records = [
        {"n": 1, "s": "a", "j": [1, {"b": 2}], "t": "2026-11-24T10:42:00Z"},
        {"n": "x", "s": "\ud800", "j": None},
        {"n": 2.5, "s": 5, "j": "text", "t": None},
    ]

    page = page_of(records, source)

    assert page.frame["n"].to_list() == [1, None, None]
    assert page.frame["s"].to_list() == ["a", None, "5"]
    assert page.frame["j"].to_list() == ['[1,{"b":2}]', None, '"text"']
    assert page.absent.to_dict(as_series=False) == {"t": [False, True, False]}
    assert [(m.row, m.field, m.text) for m in page.misfits] == [(1, "n", "x"), (2, "n", "2.5"), (1, "s", "\\ud800")]
    assert plain_records(page.frame, source.fields)[0] == records[0]


# --- definitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "problems"),
    [
        ({}, ["fields is missing."]),
        ([], ["definition must be an object."]),
        ({"fields": []}, ["fields must not be empty."]),
        ({"fields": [{"target": "z"}]}, ["z: Say where the value comes from: a source field, a formula or a constant, and only one of them."]),
        ({"fields": [{"source": "a"}]}, ["#1: target is missing."]),
        (
            {"fields": [{"target": "z", "source": "a", "constant": 1}]},
            ["z: Say where the value comes from: a source field, a formula or a constant, and only one of them."],
        ),
        ({"fields": [{"target": "z", "source": "a", "sauce": "b"}]}, ["z: sauce is not known here."]),
        ({"fields": [{"target": "z", "source": "a", "on_null": "drop"}]}, ["z: on_null must be one of 'leave' or 'clear'."]),
        ({"fields": [{"target": "z", "source": "a", "max_length": 0}]}, ["z: max_length must be at least 1."]),
        ({"fields": [{"target": "z", "source": "a", "steps": [{}]}]}, ["z, step 1: transform is missing."]),
        (
            {"fields": [{"target": "z", "source": "a", "steps": [{"transform": "trimm"}]}]},
            ["z, step 1: There is no transform trimm. Did you mean trim?"],
        ),
        (
            {"fields": [{"target": "z", "source": "a", "steps": [{"transform": "trim"}, {"transform": "pad", "width": "wide"}]}]},
            ["z, step 2: width must be a whole number."],
        ),
        ({"fields": [{"target": "z", "source": "a", "steps": [{"transform": "pad"}]}]}, ["z, step 1: width is missing."]),
        ({"fields": [{"target": "z", "source": "a", "steps": [{"transform": "trim", "side": "left"}]}]}, ["z, step 1: side is not known here."]),
        (
            {"fields": [{"target": "z", "source": "a", "steps": [{"transform": "regex_replace", "pattern": "("}]}]},
            ["z, step 1: “(” is not a pattern: unclosed group."],
        ),
        (
            {"fields": [{"target": "z", "source": "a", "steps": [{"transform": "parse_datetime", "zone": "Mars"}]}]},
            ["z, step 1: There is no time zone Mars. Write it like Europe/Berlin or Asia/Shanghai."],
        ),
        ({"fields": [{"target": "z", "source": "a"}, {"target": "z", "source": "b"}]}, ["z is mapped twice."]),
        ({"fields": [{"target": "z", "source": "a"}], "match": [["q"]]}, ["The match key q is not among the mapped fields."]),
        ({"fields": [{"target": "z", "source": "a"}], "match": [[]]}, ["Each match key is a list of one or more different target fields."]),
    ],
)
def test_a_definition_is_refused_in_sentences_with_their_place(definition, problems):
    with pytest.raises(DefinitionError) as refused:
        read_definition(definition)
    assert [str(problem) for problem in refused.value.problems] == problems


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ({"target": "y", "source": "a"}, "y: The target has no field y."),
        ({"target": "fixed", "source": "a"}, "fixed: The target sets fixed itself; nothing can be written to it."),
        ({"target": "z", "source": "aa"}, "z: There is no field aa. Did you mean a?"),
        ({"target": "z", "source": "a.b"}, "z: a is text, not JSON: there is nothing inside it."),
        ({"target": "z", "expression": "uper(a)"}, "z: There is no function uper. Did you mean upper?"),
        (
            {"target": "z", "source": "a", "steps": [{"transform": "round"}]},
            "z, step 1: “Round” works on decimal, integer, number, but is given text.",
        ),
        ({"target": "z", "source": "a", "steps": [{"transform": "other_field", "fields": ["q"]}]}, "z, step 1: There is no field q."),
        (
            {"target": "n", "source": "a", "steps": [{"transform": "to_integer"}]},
            "n, step 1: “Whole number” works on decimal, integer, number, but is given text.",
        ),
        ({"target": "n", "source": "a", "pattern": "x"}, "n: Only text can be held against a pattern; n is integer."),
        ({"target": "n", "source": "a", "max_length": 3}, "n: Only text has a greatest length; n is integer."),
        ({"target": "n", "constant": "many"}, "n: “many” is not a whole number."),
        (
            {"target": "n", "source": "a", "steps": [{"transform": "parse_number"}, {"transform": "default", "value": "x"}]},
            "n, step 2: “x” is not decimal.",
        ),
    ],
)
def test_a_mapping_is_held_against_both_schemas(field, problem):
    target = entity("z", {"name": "fixed", "read_only": True}, {"name": "n", "type": "integer"})
    with pytest.raises(DefinitionError) as refused:
        compile_mapping({"fields": [field]}, entity("a"), target)
    assert len(refused.value.problems) == 1
    assert str(refused.value).startswith(problem)


def test_what_is_stored_reads_back_the_same_and_has_one_hash():
    definition = read_definition(WIDE)
    again = read_definition(json.loads(json.dumps(definition.stored())))
    assert again == definition
    assert again.hash() == definition.hash()
    assert read_definition({**WIDE, "note": "changed"}).hash() != definition.hash()
