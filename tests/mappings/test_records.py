"""Records as JSON on their way into a page and out again."""

import pytest

from integration_hub.mappings.records import page_of, plain_records
from tests.mappings.mapped import entity


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


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "a"),
        ("integer", 5),
        ("number", 2.5),
        ("decimal", "12.5"),
        ("boolean", True),
        ("date", "2026-11-24"),
        ("time", "10:42:00"),
        ("datetime", "2026-11-24T10:42:00Z"),
        ("json", {"a": [1]}),
        ("binary", "aGk="),
    ],
)
def test_fields_of_every_type_keep_their_names_and_values(type_, value):
    source = entity({"name": "one", "type": type_}, {"name": "other.one", "type": type_})
    record = {"one": value, "other.one": value}

    page = page_of([record], source)

    assert page.frame.columns == ["one", "other.one"]
    assert plain_records(page.frame, source.fields) == [record]
