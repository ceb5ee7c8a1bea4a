"""What a mapping does with one record, step by step."""

from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.records import page_of
from integration_hub.mappings.trace import trace
from tests.mappings.mapped import entity


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
