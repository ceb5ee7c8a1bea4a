"""What differs between two definitions, field by field, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, get_origin

from django.utils.translation import gettext as _

from .transforms import TRANSFORMS
from .words import choice_word

Json = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One field mapping (or the match keys, or the note) that is not the same. `kind`: added, removed, changed."""

    kind: str
    name: str
    before: str
    after: str


def differences(before: Json | None, after: Json) -> list[Difference]:
    """From one definition to the next; from None everything is added."""
    old, new = _by_target(before or {}), _by_target(after)
    found = [Difference("added", name, "", describe(told)) for name, told in new.items() if name not in old]
    found += [
        Difference("changed", name, describe(old[name]), describe(told))
        for name, told in new.items()
        if name in old and normal_field(old[name]) != normal_field(told)
    ]
    found += [Difference("removed", name, describe(told), "") for name, told in old.items() if name not in new]
    for title, was, now in (
        (_("Match keys"), match_words(before or {}), match_words(after)),
        (_("Note"), str((before or {}).get("note") or ""), str(after.get("note") or "")),
    ):
        if was != now:
            found.append(Difference("changed" if was and now else "added" if now else "removed", title, was, now))
    return found


def _by_target(definition: Json) -> dict[str, Json]:
    return {str(told.get("target", "")): told for told in definition.get("fields") or [] if isinstance(told, dict)}


def normal_field(told: Json) -> Json:
    """A field mapping with no more in it than differs from the defaults, so that two ways to write the same are the same."""
    steps = [_normal_step(step) for step in told.get("steps") or []]
    rest = {key: value for key, value in told.items() if key != "steps" and value not in (None, "", [], ()) and (key, value) != ("on_null", "leave")}
    return {**rest, "steps": steps} if steps else rest


def _normal_step(step: Json) -> Json:
    name = str(step.get("transform", ""))
    if name not in TRANSFORMS:
        return step
    transform = TRANSFORMS[name]
    try:
        parameters = transform.parameters.model_validate({key: value for key, value in step.items() if key != "transform"})
    except ValueError:
        return step
    given = parameters.model_dump(mode="json", exclude_defaults=True)
    any_scalar = {key for key, info in transform.parameters.model_fields.items() if get_origin(info.annotation) is UnionType}
    return {"transform": name} | {
        key: json.dumps(value) if key in any_scalar and not isinstance(value, str) else value for key, value in given.items()
    }


def match_words(definition: Json) -> str:
    """The match keys as words: employee_id; else email."""
    ways = [_(" and ").join(map(str, names)) for names in definition.get("match") or []]
    return _("; else ").join(ways)


def describe(told: Json) -> str:
    """A field mapping in one line: name → Trim → Lower case · required."""
    return " · ".join([" → ".join([_origin(told), *(step_words(step) for step in told.get("steps") or [])]), *_rules(told)])


def _origin(told: Json) -> str:
    if told.get("source") is not None:
        return str(told["source"])
    if told.get("expression") is not None:
        return f"= {told['expression']}"
    return _("always “{value}”").format(value=told.get("constant"))


def step_words(step: Json) -> str:
    """A step in words: Pad (width 8, fill 0)."""
    name = str(step.get("transform", ""))
    label = _(TRANSFORMS[name].label) if name in TRANSFORMS else name
    parameters = [f"{_parameter(name, key)} {_value(name, key, value)}" for key, value in _normal_step(step).items() if key != "transform"]
    return f"{label} ({', '.join(parameters)})" if parameters else label


def _parameter(transform: str, name: str) -> str:
    if transform not in TRANSFORMS or name not in TRANSFORMS[transform].parameters.model_fields:
        return name
    return _(TRANSFORMS[transform].parameters.model_fields[name].title or name)


def _value(transform: str, name: str, value: Any) -> str:
    """A choice by its word, anything else as it is."""
    known = transform in TRANSFORMS and name in TRANSFORMS[transform].parameters.model_fields
    is_choice = known and get_origin(TRANSFORMS[transform].parameters.model_fields[name].annotation) is Literal
    return choice_word(value) if is_choice else _short(value)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} → {one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"“{value}”" if isinstance(value, str) else str(value)


def _rules(told: Json) -> Iterator[str]:
    if told.get("required") is not None:
        yield _("required") if told["required"] else _("may be empty")
    if told.get("max_length"):
        yield _("at most {n} characters").format(n=told["max_length"])
    if told.get("pattern"):
        yield _("fits {pattern}").format(pattern=told["pattern"])
    if told.get("allowed"):
        yield _("one of {values}").format(values=", ".join(map(str, told["allowed"])))
    if told.get("on_null") == "clear":
        yield _("an empty value clears the field")
    if told.get("note"):
        yield f"“{told['note']}”"
