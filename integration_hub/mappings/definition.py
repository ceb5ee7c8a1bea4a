"""What a mapping says, as it is stored, exported and edited; and what is wrong with it, in sentences that name the place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from connectors.base import Text, _, refused
from integration_hub.core.expressions.errors import ExpressionError, did_you_mean
from integration_hub.core.findings import findings, sentence

from .transforms import TRANSFORMS
from .transforms.base import Parameters, Transform

MAX_FIELDS = 500
MAX_STEPS = 30


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: with the target field `field` ("" for the mapping as a whole), in its step `step` (from 1; 0: not in a step)."""

    text: Text
    field: str = ""
    step: int = 0

    def __str__(self) -> str:
        place = f"{self.field}, step {self.step}: " if self.step else f"{self.field}: " if self.field else ""
        return f"{place}{self.text}"

    @property
    def with_place(self) -> Text:
        if self.step:
            return Text(_("{field}, step {step}: {problem}"), {"field": self.field, "step": self.step, "problem": self.text})
        return Text("{field}: {problem}", {"field": self.field, "problem": self.text}) if self.field else self.text


class DefinitionError(ValueError):
    """A definition that cannot be used, with all its problems; `text` is the first of them with its place, and says how many there are more."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))

    @property
    def text(self) -> Text:
        first = self.problems[0].with_place
        if len(self.problems) == 1:
            return first
        return Text(_("{problem} There are {count} more."), {"problem": first, "count": len(self.problems) - 1})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(BaseModel):
    """One transform with its parameters, which stand beside its name: `{"transform": "pad", "width": 8}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    transform: str

    @model_validator(mode="after")
    def _known(self) -> Step:
        if self.transform not in TRANSFORMS:
            suggestion = did_you_mean(self.transform, TRANSFORMS)
            if suggestion:
                raise refused(_("There is no transform {name}. Did you mean {suggestion}?"), name=self.transform, suggestion=suggestion)
            raise refused(_("There is no transform {name}."), name=self.transform)
        declared = TRANSFORMS[self.transform]
        try:
            parameters = declared.parameters.model_validate(self.__pydantic_extra__ or {})
            if declared.check:
                declared.check(parameters)
        except ExpressionError as error:
            raise refused(error.text.template, **error.text.values) from None
        except ValidationError as error:
            text = sentence(findings(error)[0], skip=0)
            raise refused(text.template, **text.values) from None
        return self

    @property
    def declared(self) -> Transform:
        return TRANSFORMS[self.transform]

    @property
    def parameters(self) -> Parameters:
        return self.declared.parameters.model_validate(self.__pydantic_extra__ or {})


class FieldMapping(_Strict):
    """Where the value of one target field comes from, what is done to it, and what must hold of it.

    `required` None: as the target's schema says. `on_null`: a null is not sent ("leave") or is sent and clears the field ("clear").
    """

    target: str = Field(min_length=1, max_length=500)
    source: str | None = Field(default=None, min_length=1, max_length=500)
    expression: str | None = Field(default=None, min_length=1, max_length=2_000)
    constant: Any = None
    steps: tuple[Step, ...] = Field(default=(), max_length=MAX_STEPS)
    required: bool | None = None
    max_length: int | None = Field(default=None, ge=1, le=1_000_000_000)
    pattern: str | None = Field(default=None, min_length=1, max_length=200)
    allowed: tuple[str | bool | int | float, ...] | None = Field(default=None, min_length=1, max_length=10_000)
    on_null: Literal["leave", "clear"] = "leave"
    note: str = Field(default="", max_length=2_000)

    @model_validator(mode="after")
    def _one_origin(self) -> FieldMapping:
        given = [name for name in ("source", "expression", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refused(_("Say where the value comes from: a source field, a formula or a constant, and only one of them."))
        return self


class Definition(_Strict):
    """A mapping from one entity to another. `match`: alternatives in order, each a list of target fields that together find a record."""

    fields: tuple[FieldMapping, ...] = Field(min_length=1, max_length=MAX_FIELDS)
    match: tuple[tuple[str, ...], ...] = Field(default=(), max_length=10)
    note: str = Field(default="", max_length=10_000)

    @field_validator("match")
    @classmethod
    def _match_names_fields(cls, match: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if any(not alternative or len(set(alternative)) < len(alternative) for alternative in match):
            raise refused(_("Each match key is a list of one or more different target fields."))
        return match

    @model_validator(mode="after")
    def _each_target_once(self) -> Definition:
        seen: set[str] = set()
        for mapping in self.fields:
            if mapping.target in seen:
                raise refused(_("{field} is mapped twice."), field=mapping.target)
            seen.add(mapping.target)
        for name in (name for alternative in self.match for name in alternative):
            if name not in seen:
                raise refused(_("The match key {field} is not among the mapped fields."), field=name)
        return self

    def stored(self) -> dict[str, Any]:
        """As JSON for a row: only what differs from the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.stored(), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def read_definition(stored: Any) -> Definition:
    """The definition in JSON from a row, a form or a file. Raises DefinitionError with every problem that can be seen without the schemas."""
    if isinstance(stored, Definition):
        return stored
    try:
        return Definition.model_validate(stored)
    except ValidationError as error:
        raise DefinitionError([_problem(detail, stored) for detail in findings(error)]) from None


def _problem(detail: Any, stored: Any) -> Problem:
    field, step = _field_and_step(list(detail["loc"]), stored)
    return Problem(sentence(detail, skip=4 if step else 2 if field else 0), field, step)


def _field_and_step(place: list[Any], stored: Any) -> tuple[str, int]:
    """fields.2.steps.0.width → (target of the third field mapping, 1)."""
    if len(place) < 2 or place[0] != "fields" or not isinstance(place[1], int):
        return "", 0
    try:
        mapping = stored["fields"][place[1]]
    except (KeyError, IndexError, TypeError):
        mapping = None
    target = mapping.get("target") if isinstance(mapping, Mapping) else None
    field = target if isinstance(target, str) and target else f"#{place[1] + 1}"
    return field, place[3] + 1 if len(place) > 3 and place[2] == "steps" and isinstance(place[3], int) else 0
