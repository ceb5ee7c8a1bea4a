"""What a draft would make of sample records: what is wrong with it by field and step, and what becomes of the records of all that is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.core.expressions import ExpressionError, parse
from integration_hub.core.expressions.evaluator import EvaluationFailed
from integration_hub.mappings import services
from integration_hub.mappings.models import Mapping

Json = dict[str, Any]
ROUNDS = 3  # a definition with problems is tried again without the fields that have them


@dataclass
class Problem:
    """One thing that is wrong, in the reader's language. `step` from 1; 0: not in a step. `line`, `column`: where in the formula."""

    field: str
    step: int
    text: str
    line: int | None = None
    column: int | None = None


@dataclass
class Cause:
    """Records of the sample that are rejected for the same reason; `first` is the place of one of them."""

    field: str
    step: int
    text: str
    count: int
    first: int
    values: list[str]


@dataclass
class Look:
    problems: list[Problem] = field(default_factory=list)
    records: list[Json] = field(default_factory=list)
    trace: dict[str, Json] = field(default_factory=dict)
    failed: str = ""  # nothing could be computed, and why

    def problems_of(self, name: str) -> list[Problem]:
        return [problem for problem in self.problems if problem.field == name]

    @property
    def rejected(self) -> list[int]:
        return [place for place, record in enumerate(self.records) if "rejected" in record]

    @property
    def passed_count(self) -> int:
        return len(self.records) - len(self.rejected)

    def next_rejected(self, after: int) -> int | None:
        """The next rejected record behind this one, from the first again after the last."""
        return next((place for place in self.rejected if place > after), next(iter(self.rejected), None))

    def causes(self) -> list[Cause]:
        found: dict[tuple[str, int, str], Cause] = {}
        for place in self.rejected:
            told = self.records[place]["rejected"]
            key = (told["field"], told["step"], told["reason"]["template"])
            cause = found.setdefault(key, Cause(told["field"], told["step"], texts.render(told["reason"]), 0, place, []))
            cause.count += 1
            if told["value"] is not None and told["value"] not in cause.values:
                cause.values.append(told["value"])
        return sorted(found.values(), key=lambda cause: -cause.count)


def look(mapping: Mapping, definition: Json, records: Sequence[Json] = (), *, by: Actor, traced: int = 0) -> Look:
    """Try a definition on records, in a bounded process. Fields that cannot run are told of and left out, so that the others can be seen."""
    found = Look()
    tried = definition
    for _round in range(ROUNDS):
        if not tried.get("fields"):
            break
        try:
            told = services.preview_mapping(mapping, list(records), by=by, definition=tried, traced=traced)
        except EvaluationFailed as error:
            found.failed = texts.render(error.text)
            return found
        if not told["problems"]:
            found.records, found.trace = told["records"], {one["field"]: one for one in told["trace"]}
            return found
        found.problems += [_problem(mapping, definition, one) for one in told["problems"]]
        tried = _without(tried, {one["field"] for one in told["problems"]})
    if not found.problems and not definition.get("fields"):
        found.failed = _("Nothing is mapped yet.")
    return found


def _without(definition: Json, names: set[str]) -> Json:
    """The definition less these fields; a problem of no field lies in the match keys, which always name mapped fields only."""
    fields = [one for one in definition["fields"] if one["target"] not in names]
    left = {one["target"] for one in fields}
    match = [] if "" in names else [names for names in definition.get("match", ()) if set(names) <= left]
    return {"fields": fields, "match": match} if match else {"fields": fields}


def _problem(mapping: Mapping, definition: Json, told: Json) -> Problem:
    problem = Problem(told["field"], told["step"], texts.render(told["text"]))
    given = next((one for one in definition["fields"] if one["target"] == problem.field), None)
    if given and not problem.step and isinstance(given.get("expression"), str):
        types = {f.name: f.type for f in mapping.source.as_schema().fields}
        try:
            parse(given["expression"], types)
        except ExpressionError as error:
            problem.line, problem.column = error.line, error.column
    return problem
