"""A definition into the editor's form and back: nothing is lost, and what cannot be read stays as it was typed."""

import pytest
from django.http import QueryDict

from connectors.base import Entity, Field, FieldType
from integration_hub.mappings.differences import describe, differences
from integration_hub.mappings.editor import change, constant_of, definition_of, draft_of, read_draft
from integration_hub.mappings.transforms import TRANSFORMS

T = FieldType
TARGET = Entity(
    name="users",
    key=("id",),
    fields=(
        Field(name="id", read_only=True),
        Field(name="phone"),
        Field(name="email", required=True, max_length=80),
        Field(name="active", type=T.BOOLEAN),
        Field(name="level", type=T.INTEGER),
    ),
)
CASES = [(name, example.parameters) for name, transform in TRANSFORMS.items() for example in transform.examples]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_a_step_of_any_transform_survives_the_form(name, parameters):
    definition = {"fields": [{"target": "phone", "source": "tel", "steps": [{"transform": name, **parameters}]}]}

    again = definition_of(draft_of(definition, TARGET))

    assert differences(definition, again) == []
    assert describe(again["fields"][0])


def test_everything_else_survives_too():
    definition = {
        "fields": [
            {"target": "email", "expression": "lower(mail)", "required": False, "max_length": 40, "pattern": ".+@.+", "on_null": "clear"},
            {"target": "phone", "constant": "0", "allowed": ["0", "1"], "note": "for now"},
            {"target": "active", "constant": True},
            {"target": "level", "constant": 3},
            {"target": "gone", "source": "tags[0].name"},
        ],
        "match": [["email", "phone"], ["level"]],
        "note": "Agreed with sales.",
    }

    assert definition_of(draft_of(definition, TARGET)) == definition


def test_required_fields_come_first_and_what_the_target_sets_itself_is_not_offered():
    draft = draft_of({}, TARGET)
    assert [row.name for row in draft.rows] == ["email", "phone", "active", "level"]
    assert [row.name for row in draft.missing] == ["email"]


@pytest.mark.parametrize(
    ("typed", "field", "meant"),
    [
        ("5", "level", 5),
        ("five", "level", "five"),
        ("yes", "active", True),
        ("perhaps", "active", "perhaps"),
        ("007", "phone", "007"),
    ],
)
def test_a_constant_is_of_the_targets_type_where_it_can_be(typed, field, meant):
    assert constant_of(typed, TARGET.field(field)) == meant


def test_what_cannot_be_read_stays_as_it_was_typed():
    posted = QueryDict(
        "r0.target=phone&r0.kind=source&r0.value=tel&r0.s0.transform=pad&r0.s0.p.width=wide&r0.s0.p.fill=0&r0.s0.p.side=left&r0.max_length=many"
    )
    (told,) = definition_of(read_draft(posted, {}, TARGET))["fields"]
    assert told["steps"] == [{"transform": "pad", "width": "wide"}]
    assert told["max_length"] == "many"


@pytest.mark.parametrize(
    "do", ["", "add:99", "add:x", "remove:1:7", "up:1:0", "down:1:1", "match-up:5", "match-remove:-1", "nonsense:1:1", "up:1:99999999"]
)
def test_a_button_that_cannot_be_meant_does_nothing(do):
    definition = {"fields": [{"target": "phone", "source": "tel", "steps": [{"transform": "trim"}, {"transform": "lower"}]}], "match": [["phone"]]}
    draft = draft_of(definition, TARGET)

    change(draft, do, "no such transform")

    assert definition_of(draft) == definition


def test_a_transform_that_is_not_installed_any_more_is_kept():
    definition = {"fields": [{"target": "phone", "source": "tel", "steps": [{"transform": "theirs", "level": 3}]}]}
    assert definition_of(draft_of(definition, TARGET)) == definition
