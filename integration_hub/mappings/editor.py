"""The mapping editor's rows: a definition as a form shows it, read back from what was posted, and changed by the form's buttons.

Nothing is judged here: what is wrong with a definition says `definition.read_definition` and the engine. A value that cannot be read as its
parameter's type stays as it was typed, so that the sentence about it can name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from functools import cache
from typing import Any

from django.http import QueryDict

from connectors.base import Entity, Field, FieldType

from .forms_schema import transform_form
from .transforms import TRANSFORMS

Json = dict[str, Any]
ORIGINS = ("source", "expression", "constant")
FREE_ROWS = 2  # empty lines offered below a table or a list of fields
MOST_MATCH = 3  # fields of one match key that are offered


@cache
def inputs_of(transform: str) -> list[Json]:
    """The inputs of a transform's form; drawn from its declaration once."""
    inputs: list[Json] = transform_form(TRANSFORMS[transform])["inputs"]
    return inputs


@dataclass
class Step:
    """One transform of a row; `values` by parameter, as the inputs show them: text, bool, list of texts, or list of pairs."""

    transform: str
    values: dict[str, Any] = made(default_factory=dict)

    @property
    def is_known(self) -> bool:
        return self.transform in TRANSFORMS

    @property
    def description(self) -> str:
        return TRANSFORMS[self.transform].description

    @property
    def raw(self) -> str:
        return json.dumps(self.values, ensure_ascii=False)

    def inputs(self) -> list[Json]:
        """What its form shows: the inputs of the transform's declaration, each with its `value` and `lines` to fill in."""
        if not self.is_known:
            return []
        found = []
        for given in inputs_of(self.transform):
            value = self.values.get(given["name"], _shown(given, given["default"]))
            free: dict[str, list[Any]] = {"table": [("", "")] * FREE_ROWS, "fields": [""] * FREE_ROWS}
            found.append({**given, "value": value, "lines": [*value, *free[given["kind"]]] if given["kind"] in free else []})
        return found


@dataclass
class Row:
    """One target field of the editor. `kind` "": nothing is mapped to it. `field` None: the target has it no more."""

    number: int
    name: str
    field: Field | None
    kind: str = ""
    value: str = ""
    steps: list[Step] = made(default_factory=list)
    required: str = ""  # "": as the target says, yes, no
    max_length: str = ""
    pattern: str = ""
    allowed: str = ""  # one a line
    on_null: str = "leave"
    note: str = ""
    is_suggested: bool = False
    is_open: bool = False

    @property
    def is_mapped(self) -> bool:
        return bool(self.kind)

    @property
    def add_id(self) -> str:
        return f"r{self.number}-add"

    @property
    def is_needed(self) -> bool:
        """The target refuses a record without it."""
        return self.required == "yes" or (self.required != "no" and self.field is not None and self.field.required)

    @property
    def is_missing(self) -> bool:
        return self.is_needed and not self.is_mapped

    @property
    def has_rules(self) -> bool:
        return bool(self.required or self.max_length or self.pattern or self.allowed or self.on_null != "leave" or self.note)


@dataclass
class Draft:
    """All of the form: the rows, the match keys (alternatives in order) and the note. `focus`: the id of the input to go on with."""

    rows: list[Row]
    match: list[list[str]] = made(default_factory=list)
    note: str = ""
    focus: str = ""

    def row(self, number: int) -> Row:
        return next(row for row in self.rows if row.number == number)

    @property
    def mapped(self) -> list[Row]:
        return [row for row in self.rows if row.is_mapped]

    @property
    def missing(self) -> list[Row]:
        return [row for row in self.rows if row.is_missing]

    @property
    def match_rows(self) -> list[list[str]]:
        """The match keys with an empty place behind each, up to three fields, and one that is empty as a whole."""
        return [[*names, ""] if len(names) < MOST_MATCH else names for names in [*self.match, []]]


# --- from a definition ------------------------------------------------------------------------------------------------


def draft_of(definition: Json, target: Entity) -> Draft:
    """The editor's rows for a stored definition, right or wrong: the target's required fields first, then the others in the target's order."""
    told = {str(given.get("target", "")): given for given in definition.get("fields") or [] if isinstance(given, dict)}
    writable = [f for f in target.fields if not f.read_only]
    ordered = [f for f in writable if f.required] + [f for f in writable if not f.required]
    gone = [name for name in told if name not in {f.name for f in writable}]
    rows = [_row(number, f.name, f, told.get(f.name)) for number, f in enumerate(ordered)]
    rows += [_row(len(ordered) + number, name, None, told[name]) for number, name in enumerate(gone)]
    match = [[str(name) for name in names] for names in definition.get("match") or [] if isinstance(names, list)]
    return Draft(rows, match, str(definition.get("note") or ""))


def _row(number: int, name: str, target: Field | None, told: Json | None) -> Row:
    row = Row(number, name, target)
    if told is None:
        return row
    row.kind = next((kind for kind in ORIGINS if told.get(kind) is not None), "")
    row.value = as_typed(told.get(row.kind)) if row.kind else ""
    row.steps = [_step(step) for step in told.get("steps") or [] if isinstance(step, dict)]
    row.required = "yes" if told.get("required") is True else "no" if told.get("required") is False else ""
    row.max_length = as_typed(told.get("max_length"))
    row.pattern = as_typed(told.get("pattern"))
    row.allowed = "\n".join(as_typed(value) for value in told.get("allowed") or ())
    row.on_null = str(told.get("on_null") or "leave")
    row.note = as_typed(told.get("note"))
    return row


def _step(told: Json) -> Step:
    name = str(told.get("transform", ""))
    if name not in TRANSFORMS:
        return Step(name, {key: value for key, value in told.items() if key != "transform"})
    inputs = {given["name"]: given for given in inputs_of(name)}
    return Step(name, {key: _shown(inputs[key], value) if key in inputs else value for key, value in told.items() if key != "transform"})


def _shown(given: Json, value: Any) -> Any:
    """A parameter's value as its input shows it."""
    match given["kind"]:
        case "boolean":
            return bool(value)
        case "table":
            return [(as_typed(key), as_typed(one)) for key, one in value.items()] if isinstance(value, dict) else []
        case "fields":
            return [as_typed(one) for one in value] if isinstance(value, list | tuple) else []
        case "list":
            return "\n".join(as_typed(one) for one in value) if isinstance(value, list | tuple) else as_typed(value)
        case _:
            return as_typed(value)


def as_typed(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- from what was posted ---------------------------------------------------------------------------------------------


def read_draft(posted: QueryDict, stored: Json, target: Entity) -> Draft:
    """The form as it was posted. Rows that the form did not have (the schema changed meanwhile) are as they are stored."""
    draft = draft_of(stored, target)
    known = {posted[name]: name.removesuffix(".target") for name in posted if name.endswith(".target")}
    for row in draft.rows:
        if row.name in known:
            _read_row(row, posted, known[row.name])
    draft.match = _read_match(posted)
    draft.note = posted.get("note", "").strip()
    return draft


def _read_row(row: Row, posted: QueryDict, way: str) -> None:
    row.kind = kind if (kind := posted.get(f"{way}.kind", "")) in ORIGINS else ""
    row.value = posted.get(f"{way}.value", "").replace("\r\n", "\n")
    row.steps = list(_read_steps(posted, way))
    row.required = posted.get(f"{way}.required", "")
    row.max_length = posted.get(f"{way}.max_length", "").strip()
    row.pattern = posted.get(f"{way}.pattern", "")
    row.allowed = posted.get(f"{way}.allowed", "").replace("\r\n", "\n")
    row.on_null = posted.get(f"{way}.on_null") or "leave"
    row.note = posted.get(f"{way}.note", "").strip()
    row.is_suggested = f"{way}.suggested" in posted


def _read_steps(posted: QueryDict, way: str) -> Iterator[Step]:
    for number in range(100):
        place = f"{way}.s{number}"
        name = posted.get(f"{place}.transform")
        if name is None:
            return
        if name not in TRANSFORMS:
            yield Step(name, _object(posted.get(f"{place}.raw", "")))
            continue
        step = Step(name)
        for given in inputs_of(name):
            step.values[given["name"]] = _posted(given, posted, f"{place}.p.{given['name']}")
        yield step


def _posted(given: Json, posted: QueryDict, name: str) -> Any:
    match given["kind"]:
        case "boolean":
            return name in posted
        case "table":
            return [(a, b) for a, b in zip(posted.getlist(f"{name}.from"), posted.getlist(f"{name}.to"), strict=False) if a or b]
        case "fields":
            return [one.strip() for one in posted.getlist(name) if one.strip()]
        case _:
            return posted.get(name, "").replace("\r\n", "\n")


def _read_match(posted: QueryDict) -> list[list[str]]:
    found = []
    for number in range(20):
        names = list(dict.fromkeys(name for name in posted.getlist(f"match{number}") if name))
        if names:
            found.append(names)
    return found


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# --- back to a definition ---------------------------------------------------------------------------------------------


def definition_of(draft: Draft) -> Json:
    """The definition that the rows say, with no more in it than differs from the defaults."""
    told: Json = {"fields": [_field_mapping(row) for row in draft.mapped]}
    if draft.match:
        told["match"] = [list(names) for names in draft.match]
    if draft.note:
        told["note"] = draft.note
    return told


def _field_mapping(row: Row) -> Json:
    value: Any = row.value if row.kind != "source" else row.value.strip()
    told: Json = {"target": row.name, row.kind: constant_of(row.value, row.field) if row.kind == "constant" else value}
    if row.steps:
        told["steps"] = [_plain_step(step) for step in row.steps]
    if row.required:
        told["required"] = row.required == "yes"
    if row.max_length:
        told["max_length"] = _whole(row.max_length)
    if row.pattern:
        told["pattern"] = row.pattern
    if row.allowed.strip():
        told["allowed"] = [line.strip() for line in row.allowed.split("\n") if line.strip()]
    if row.on_null != "leave":
        told["on_null"] = row.on_null
    if row.note:
        told["note"] = row.note
    return told


def _plain_step(step: Step) -> Json:
    told: Json = {"transform": step.transform}
    if not step.is_known:
        return told | step.values
    for given in inputs_of(step.transform):
        if given["name"] not in step.values:
            continue
        value = _value(given, step.values[given["name"]])
        if value == given["default"] and not given["required"]:
            continue
        if value not in ("", [], {}, None) or given["required"] or given["default"] not in ("", None, [], {}):
            told[given["name"]] = value
    return told


def _value(given: Json, shown: Any) -> Any:
    """What an input's content means, as the parameter's type; as it was typed where it cannot be that."""
    match given["kind"]:
        case "integer":
            return _whole(shown) if shown.strip() else given["default"]
        case "number":
            return _number(shown) if shown.strip() else given["default"]
        case "list":
            return [line for line in shown.split("\n") if line.strip()] or (given["default"] if not given["required"] else [])
        case "table":
            return dict(shown)
        case "field":
            return shown.strip()
        case _:
            return shown


def _whole(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _number(text: str) -> int | float | str:
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def constant_of(text: str, target: Field | None) -> Any:
    """A constant as the target's type, where it can be read so; decimals, dates and times stay text, which is exact."""
    kind = target.type if target else FieldType.TEXT
    if kind in (FieldType.INTEGER, FieldType.NUMBER):
        return _number(text)
    if kind is FieldType.BOOLEAN:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.strip().lower(), text)
    if kind is FieldType.JSON:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


# --- what the buttons do ----------------------------------------------------------------------------------------------


def change(draft: Draft, do: str, added: str = "") -> None:
    """One button: "add:3" (the step `added`), "remove:3:0", "up:3:1", "down:3:0", "redraw:3", "match-up:1", "match-remove:0". Others do nothing."""
    verb, *places = do.split(":")
    numbers = [int(place) for place in places if place.isdecimal() and len(place) < 5]
    if verb.startswith("match-"):
        _change_match(draft, verb, numbers[0] if numbers else -1)
        return
    row = next((row for row in draft.rows if numbers and row.number == numbers[0]), None)
    if row is None:
        return
    step = numbers[1] if len(numbers) > 1 else -1
    row.is_suggested = False
    if verb == "add" and added in TRANSFORMS:
        row.steps.append(Step(added))
        row.is_open, draft.focus = True, f"r{row.number}-s{len(row.steps) - 1}"
    elif verb == "remove" and 0 <= step < len(row.steps):
        row.steps.pop(step)
        row.is_open, draft.focus = True, f"r{row.number}-add"
    elif verb in ("up", "down"):
        other = step - 1 if verb == "up" else step + 1
        if 0 <= step < len(row.steps) and 0 <= other < len(row.steps):
            row.steps[step], row.steps[other] = row.steps[other], row.steps[step]
        row.is_open, draft.focus = True, f"r{row.number}-s{max(other, 0)}-{verb}"
    elif verb == "more":
        row.is_open = True
    elif verb == "redraw":
        draft.focus = f"r{row.number}-value" if row.is_mapped else f"r{row.number}-kind"


def _change_match(draft: Draft, verb: str, place: int) -> None:
    if not 0 <= place < len(draft.match):
        return
    if verb == "match-remove":
        draft.match.pop(place)
    elif verb == "match-up" and place:
        draft.match[place - 1], draft.match[place] = draft.match[place], draft.match[place - 1]
    draft.focus = "match-0"


def take_suggestions(draft: Draft, suggestions: Iterable[Any]) -> int:
    """Fill rows that nothing is mapped to; returns how many."""
    free = {row.name: row for row in draft.rows if not row.is_mapped}
    count = 0
    for suggestion in suggestions:
        row = free.get(suggestion.target)
        if row is not None:
            row.kind, row.value, row.is_suggested = "source", suggestion.source, True
            row.steps = [_step(dict(step)) for step in suggestion.steps]
            count += 1
    return count


def groups_of_transforms() -> list[tuple[str, Sequence[Any]]]:
    """The transforms to choose from, in the order of the reference, by group."""
    groups: dict[str, list[Any]] = {}
    for transform in TRANSFORMS.values():
        groups.setdefault(transform.group, []).append(transform)
    return list(groups.items())
