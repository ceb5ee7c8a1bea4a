"""The step that follows a reference: keys of the source become keys of the target, as far as they are linked."""

import json

import polars as pl
import pytest

from connectors.base import FieldType, Page, Text, frame_type
from integration_hub.mappings import references, services
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.models import Mapping
from integration_hub.mappings.trace import trace
from tests.mappings.mapped import entity, reasons

LINKED = {"1": "A-1", "2": "A-2", "2026-11-24": "A-3", "true": "A-4", '["a","1"]': "A-5"}


def links(entity, target, keys):
    assert (entity, target) == ("accounts", "")
    return {key: LINKED[key] for key in keys if key in LINKED}


def linking(source_type="text", target_type="text", before=(), **step):
    source = entity({"name": "a", "type": source_type})
    target = entity({"name": "z", "type": target_type})
    steps = [*before, {"transform": "link", "entity": "accounts", **step}]
    return compile_mapping({"fields": [{"target": "z", "source": "a", "steps": steps}]}, source, target)


def page(values, type_="text"):
    return Page(pl.DataFrame({"a": pl.Series(values, dtype=frame_type(FieldType(type_)), strict=False)}), None)


@pytest.mark.parametrize(
    ("type_", "values", "there"),
    [
        ("text", ["1", "2", None, "1"], ["A-1", "A-2", None, "A-1"]),
        ("integer", [1, 2, None], ["A-1", "A-2", None]),
        ("number", [1.0, 2.0], ["A-1", "A-2"]),
        ("boolean", [True], ["A-4"]),
        ("json", ['["a","1"]'], ["A-5"]),
    ],
)
def test_a_key_of_any_type_becomes_the_key_there(type_, values, there):
    assert linking(type_).apply(page(values, type_), links).frame["z"].to_list() == there


@pytest.mark.parametrize(
    ("missing", "frame", "rejected", "waits_for"),
    [
        ("park", ["A-1"], [(1, 1, "link", "9", "accounts 9 has no record in the target yet.")], ["9"]),
        ("reject", ["A-1"], [(1, 1, "link", "9", "accounts 9 has no record in the target yet.")], [None]),
        ("null", ["A-1", None], [], []),
    ],
)
def test_what_is_not_linked_waits_is_rejected_or_null(missing, frame, rejected, waits_for):
    mapped = linking(missing=missing).apply(page(["1", "9"]), links)

    assert mapped.frame["z"].to_list() == frame
    assert reasons(mapped) == rejected
    assert mapped.rejected["waits_for"].to_list() == waits_for


def test_the_key_that_is_waited_for_is_whole_however_long_it_is():
    mapped = linking().apply(page(["x" * 450]), links)

    assert mapped.rejected["waits_for"].to_list() == ["x" * 450]
    assert len(mapped.rejected["value"].item()) == 200


def test_each_key_of_a_page_is_asked_for_once_and_all_together():
    asked = []

    def counted(entity, target, keys):
        asked.append(keys)
        return {}

    linking(missing="null").apply(page(["1", "2", None, "1", "2"]), counted)

    assert asked == [["1", "2"]]


def test_a_page_without_references_asks_nothing():
    assert linking().apply(page([None, None]), lambda *asked: pytest.fail("asked")).frame["z"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("before", "values", "there"),
    [
        ([{"transform": "trim"}], [" 1 ", "2"], ["A-1", "A-2"]),
        ([{"transform": "default", "value": "2"}], ["1", None], ["A-1", "A-2"]),
        ([{"transform": "empty_to_null"}], ["", "2"], [None, "A-2"]),
    ],
)
def test_a_reference_is_followed_after_other_steps(before, values, there):
    assert linking(before=before).apply(page(values), links).frame["z"].to_list() == there


def test_steps_go_on_behind_a_link():
    source, target = entity("a"), entity({"name": "z", "type": "integer"})
    steps = [{"transform": "link", "entity": "accounts", "missing": "null"}, {"transform": "regex_replace", "pattern": "A-", "replacement": ""}]
    mapping = compile_mapping({"fields": [{"target": "z", "source": "a", "steps": steps}]}, source, target)
    assert mapping.apply(page(["1", "9", "2"]), links).frame["z"].to_list() == [1, None, 2]


def test_a_formula_and_a_constant_may_be_followed_too():
    source, target = entity("a"), entity("y", "z")
    step = {"transform": "link", "entity": "accounts"}
    fields = [{"target": "z", "expression": "a || ''", "steps": [step]}, {"target": "y", "constant": "2", "steps": [step | {"missing": "null"}]}]
    mapped = compile_mapping({"fields": fields}, source, target).apply(page(["1", "9"]), links)
    assert mapped.frame.select("z", "y").rows() == [("A-1", "A-2")]
    assert mapped.rejected["waits_for"].to_list() == ["9"]


def test_a_key_there_that_does_not_fit_the_targets_field_is_a_reject_that_waits_for_nothing():
    mapped = linking(target_type="integer").apply(page(["1"]), links)

    assert [reason for *__, reason in reasons(mapped)] == ["“A-1” is not a whole number."]
    assert mapped.rejected["waits_for"].to_list() == [None]


def test_a_trace_shows_the_key_there():
    (told,) = trace(linking(), page(["1"]), 0, links)
    assert [step.value for step in told.steps] == ["A-1"]
    (told,) = trace(linking(), page(["9"]), 0, links)
    assert str(told.problem) == "accounts 9 has no record in the target yet."


# --- in the hub -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mapping(db, make_system, administrator):
    ends = []
    for name in ("CRM", "ERP"):
        system = make_system(name)
        system.entities.create(name="accounts", schema=entity("id", "name").model_dump(mode="json"), selected=True)
        ends.append(system.entities.create(name="contacts", schema=entity("id", "owner").model_dump(mode="json"), selected=True))
    steps = [{"transform": "link", "entity": "accounts"}]
    return Mapping.objects.create(
        name="Contacts", source=ends[0], target=ends[1], draft={"fields": [{"target": "owner", "source": "owner", "steps": steps}]}
    )


@pytest.fixture
def kept(monkeypatch):
    """Links as whoever keeps them would tell of them."""
    monkeypatch.setattr(references, "links", {"kept": lambda source, target: links})


def test_a_preview_shows_the_keys_there(mapping, kept, viewer):
    told = services.preview_mapping(mapping, [{"id": "7", "owner": "1"}, {"id": "8", "owner": "9"}], by=viewer)

    assert told["records"][0]["record"] == {"owner": "A-1"}
    assert Text(**told["records"][1]["rejected"]["reason"]).template == "{entity} {value} has no record in the target yet."
    assert [step["value"] for step in told["trace"][0]["steps"]] == ["A-1"]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"entity": "acounts"}, "CRM has no entity acounts. Did you mean accounts?"),
        ({"entity": "zzz"}, "CRM has no entity zzz."),
        ({"entity": "accounts", "target": "acounts"}, "ERP has no entity acounts. Did you mean accounts?"),
    ],
)
def test_a_reference_to_what_the_systems_do_not_have_is_not_published(mapping, integrator, step, problem):
    mapping.draft["fields"][0]["steps"] = [{"transform": "link", **step}]
    mapping.save()

    with pytest.raises(DefinitionError) as refused:
        services.publish_mapping(mapping, by=integrator)

    (told,) = refused.value.problems
    assert (told.field, told.step, str(told.text)) == ("owner", 1, problem)
    (shown,) = services.preview_mapping(mapping, [], by=integrator)["problems"]
    assert (shown["field"], shown["step"], str(Text(**shown["text"]))) == ("owner", 1, problem)


def test_values_of_a_reason_are_plain(mapping):
    rejected = linking().apply(page(["9"]), links).rejected
    assert json.loads(rejected["values"].item())["entity"] == "accounts"
