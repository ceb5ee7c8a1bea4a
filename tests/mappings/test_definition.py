"""Definitions: what is refused, and in which words."""

import json

import pytest

from integration_hub.mappings.definition import DefinitionError, read_definition
from integration_hub.mappings.engine import compile_mapping
from tests.mappings.mapped import WIDE, entity


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
        ({"fields": [{"target": "z", "source": "a", "on_null": "drop"}]}, ["z: on_null must be one of leave, clear."]),
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
        (
            {"target": "z", "source": "a", "steps": [{"transform": "regex_replace", "pattern": "(a)", "replacement": "$first"}]},
            "z, step 1: The pattern has no group first. A $ itself is written $$.",
        ),
        (
            {"target": "z", "source": "a", "steps": [{"transform": "parse_number", "decimal": ","}]},
            "z, step 1: The same sign cannot stand between groups and before decimals.",
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
