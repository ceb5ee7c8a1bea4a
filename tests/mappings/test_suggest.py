"""Proposals for field mappings, and the forms and reference that come out of the transforms."""

import json

import pytest

from connectors.base import Capabilities, Entity, Field, FieldType
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.forms_schema import reference
from integration_hub.mappings.suggest import suggest_definition, suggest_fields
from integration_hub.mappings.transforms import TRANSFORMS

T = FieldType
OA = Entity(
    name="users",
    key=("userId",),
    fields=(
        Field(name="userId"),
        Field(name="name"),
        Field(name="email"),
        Field(name="mobile"),
        Field(name="dept.name"),
        Field(name="hiredDate"),
        Field(name="isActive"),
        Field(name="modifiedTime", type=T.DATETIME),
    ),
)
CRM = Entity(
    name="users",
    key=("id",),
    fields=(
        Field(name="id", type=T.INTEGER, read_only=True),
        Field(name="full_name", label="Name", required=True),
        Field(name="email_address"),
        Field(name="phone"),
        Field(name="department"),
        Field(name="hired_on", type=T.DATE),
        Field(name="active", type=T.BOOLEAN),
        Field(name="external_no"),
        Field(name="favourite_colour"),
    ),
    capabilities=Capabilities(lookup_by=("email_address",)),
)
SAMPLES = [
    {"userId": "U1", "name": "Ann", "email": "ann@example.com", "mobile": "+49 30 1234", "hiredDate": "24.11.2026", "isActive": "Y"},
    {"userId": "U2", "name": "李安", "email": "li@example.com", "mobile": "13800138000", "hiredDate": "01.02.2025", "isActive": "N"},
]


def test_fields_are_found_by_name_meaning_and_samples():
    found = {s.target: s.source for s in suggest_fields(OA, CRM, SAMPLES)}

    assert found["full_name"] == "name"
    assert found["email_address"] == "email"
    assert found["phone"] == "mobile"
    assert found["department"] == "dept.name"
    assert found["active"] == "isActive"
    assert "id" not in found
    assert "favourite_colour" not in found


def test_each_source_is_proposed_once():
    found = suggest_fields(OA, CRM, SAMPLES)
    assert len({s.source for s in found}) == len(found)


def test_a_suggestion_is_a_definition_that_runs():
    definition = suggest_definition(OA, CRM, SAMPLES)

    compile_mapping(definition, OA, CRM)
    fields = {field["target"]: field for field in definition["fields"]}
    assert fields["active"]["steps"] == [{"transform": "parse_boolean"}]
    assert definition["match"] == [["email_address"]]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("姓名", "name"), ("邮箱", "email"), ("PostalCode", "zip"), ("first_name", "firstName"), ("客户", "customer")]
)
def test_names_in_other_words_and_scripts_are_known(theirs, ours):
    source = Entity(name="a", key=("x",), fields=(Field(name=theirs), Field(name="zzz")))
    target = Entity(name="b", key=("x",), fields=(Field(name=ours), Field(name="qqq")))
    assert [(s.target, s.source) for s in suggest_fields(source, target)] == [(ours, theirs)]


def test_what_cannot_be_converted_is_not_proposed():
    source = Entity(name="a", key=("x",), fields=(Field(name="photo", type=T.BINARY),))
    target = Entity(name="b", key=("x",), fields=(Field(name="photo", type=T.INTEGER),))
    assert suggest_fields(source, target) == []


def test_every_parameter_of_every_transform_has_an_input_in_its_form():
    forms = {form["name"]: form for form in reference()["transforms"]}

    assert set(forms) == set(TRANSFORMS)
    for name, form in forms.items():
        assert [i["name"] for i in form["inputs"]] == list(TRANSFORMS[name].parameters.model_fields)
        for given in form["inputs"]:
            assert given["kind"] in ("text", "integer", "number", "boolean", "choice", "list", "table", "field", "fields", "value"), name
            assert given["label"] != given["name"]
    (width, fill, side) = forms["pad"]["inputs"]
    assert (width["kind"], width["required"], width["min"], width["max"]) == ("integer", True, 1, 1000)
    assert (fill["default"], side["choices"]) == ("0", ["left", "right"])
    assert forms["value_map"]["inputs"][0]["kind"] == "table"
    assert forms["other_field"]["inputs"][0]["kind"] == "fields"
    assert forms["default"]["inputs"][0]["kind"] == "value"
    assert forms["parse_date"]["inputs"][0]["widget"] == "formats"


def test_the_reference_names_everything_and_is_plain_data():
    told = reference()
    json.dumps(told)
    assert [entry["name"] for entry in told["transforms"]] == list(TRANSFORMS)
    assert all(entry["examples"] for entry in told["transforms"])
    assert {"upper", "coalesce"} <= {entry["name"] for entry in told["functions"]}
    assert {"equals", "is_empty"} <= {entry["name"] for entry in told["operators"]}
