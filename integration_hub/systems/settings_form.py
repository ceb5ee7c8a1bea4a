"""A form drawn from a connector's settings model, whatever it holds: nested parts, lists of parts, and unions told apart by a tag.

`read` takes what was posted and gives settings for the services, which alone decide whether they are valid; `draw` gives the tree that
templates/systems/_setting.html shows. A field is named by its path, `auth/password`. Secrets are never drawn: a stored one is told to be there,
and one typed just now travels on sealed while the form is drawn again.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from integration_hub.core.crypto import CannotDecrypt
from integration_hub.core.fields import Sealed
from integration_hub.systems.consent import return_address
from integration_hub.systems.shape import chosen, is_secret, is_tag, items_of, leads_back, members, tag_of, without_none

Json = dict[str, Any]
Posted = Mapping[str, str]
MOST_ITEMS = 200  # in one list; more are set by file or API


@dataclass
class Setting:
    """One node of the form. `kind` names how it is drawn: text, lines, pairs, json, number, check, choice, secret, group, union, list."""

    kind: str
    path: str
    label: str
    help: str = ""
    value: Any = ""
    choices: Sequence[tuple[str, str]] = ()
    required: bool = False
    errors: list[str] = field(default_factory=list)
    parts: list[Setting] = field(default_factory=list)
    optional: bool = False  # a group that may be absent: `value` tells whether it is there; a text that may be none: `is_open` that it is empty
    is_stored: bool = False  # a secret
    sealed: str = ""  # a secret typed just now
    is_open: bool = False
    summary: str = ""
    return_address: str = ""  # where the system has to send people back to, to be entered there

    @property
    def id(self) -> str:
        return "s-" + self.path.replace("/", "-")

    @property
    def template(self) -> str:
        return f"systems/settings/{self.kind}.html" if self.kind in ("group", "union", "list") else "systems/settings/field.html"


# --- what was posted --------------------------------------------------------------------------------------------------

Errors = dict[str, list[str]]
_ABSENT = object()


def read(model: type[BaseModel], posted: Posted, *, change: str = "") -> tuple[Json, Errors]:
    """(the settings that were filled in, what of them could not be read). `change` is a button of the form: "add:entities", "remove:entities/2"."""
    reading = _Reading(posted)
    settings = reading.model(model, "")
    verb, _colon, path = change.partition(":")
    if verb in ("add", "remove") and path:
        _change_list(settings, verb, path.split("/"))
    return settings, reading.errors


class _Reading:
    def __init__(self, posted: Posted) -> None:
        self.posted, self.errors = posted, Errors()

    def model(self, model: type[BaseModel], way: str) -> Json:
        read: Json = {}
        for name, info in model.model_fields.items():
            value = get_args(info.annotation)[0] if is_tag(info.annotation) else self.field(info, f"{way}{name}")
            if value is not _ABSENT:
                read[name] = value
        return read

    def field(self, info: FieldInfo, path: str) -> Any:
        if is_secret(info):
            return self.secret(info, path)
        kind = kind_of(info)
        if kind in ("group", "union"):
            return None if _is_optional(info) and f"{path}#there" not in self.posted else self.part(info.annotation, path)
        if kind == "list":
            return [self.part(items_of(info.annotation), f"{path}/{number}") for number in range(self.count(path))]
        if path not in self.posted:
            return _ABSENT
        if kind == "check":
            return self.posted[path] == "on"
        try:
            read = _READERS[kind](self.posted[path], info)
            return "" if read is None and kind == "text" and f"{path}#there" in self.posted else read
        except ValidationError as error:
            self.errors["settings." + path.replace("/", ".")] = error.messages
            return _ABSENT

    def part(self, annotation: Any, path: str) -> Any:
        inner = chosen(annotation, {name: self.posted.get(f"{path}#tag", "") for name in _tag_names(annotation)})
        return self.model(inner, f"{path}/") if inner else {}

    def secret(self, info: FieldInfo, path: str) -> Any:
        typed = self.posted.get(path, "")
        if not typed and (kept := self.posted.get(f"{path}#typed", "")):
            try:
                typed = Sealed(kept).reveal()["typed"]
            except (CannotDecrypt, KeyError, TypeError, ValueError):
                typed = ""
        if not typed:
            return _ABSENT
        return _read_pairs(typed, info) if get_origin(without_none(info.annotation)) is dict else typed

    def count(self, path: str) -> int:
        text = self.posted.get(f"{path}#count", "0")
        return min(int(text), MOST_ITEMS) if text.isdecimal() and len(text) < 6 else 0


def _read_text(text: str, info: FieldInfo) -> Any:
    return None if text == "" and _is_optional(info) else text.replace("\r\n", "\n")


def _read_lines(text: str, info: FieldInfo) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read_pairs(text: str, info: FieldInfo) -> Any:
    pairs: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValidationError(_("“{line}” is not of the form name: value.").format(line=line[:80]))
        pairs[name.strip()] = value.strip()
    return pairs


def _read_json(text: str, info: FieldInfo) -> Any:
    """JSON where it looks like it, else a text: {record} is a placeholder, not an object."""
    text = text.strip()
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        if text[0] in '["' or text[:2] == '{"' or (text[:1] == "{" and text[1:2].isspace()):
            raise ValidationError(_("“{text}” is not valid JSON.").format(text=text[:80])) from None
        return text


_READERS = {"text": _read_text, "choice": _read_text, "number": _read_text, "lines": _read_lines, "pairs": _read_pairs, "json": _read_json}


def _change_list(settings: Any, verb: str, way: list[str]) -> None:
    *before, last = way if verb == "remove" else [*way, ""]
    place = settings
    for step in before:
        place = place.get(step) if isinstance(place, dict) else place[int(step)] if isinstance(place, list) and int(step) < len(place) else None
    if not isinstance(place, list):
        return
    if verb == "add":
        place.append({})
    elif last.isdecimal() and int(last) < len(place):
        del place[int(last)]


def title_of_part(model: type[BaseModel], name: str, settings: Mapping[str, Any]) -> str:
    """What the form calls the part that was chosen for the setting `name`: "User and password". "" where there is no such choice."""
    info = model.model_fields.get(name)
    part = chosen(info.annotation, settings.get(name)) if info else None
    tag = tag_of(part) if part else None
    return _said(_title_of(part, tag[1])) if part and tag else ""


# --- what is drawn ----------------------------------------------------------------------------------------------------


def draw(
    model: type[BaseModel],
    settings: Any,
    *,
    stored: Mapping[str, Any] | Sequence[str] = (),
    errors: Mapping[str, list[str]] | None = None,
    typed: Posted | None = None,
) -> list[Setting]:
    """The form for these settings. `stored` names the secrets there are, `errors` are by `settings.path`, `typed` is what was posted before."""
    return list(_Drawing(set(stored), errors or {}, typed or {}).parts(model, settings if isinstance(settings, Mapping) else {}, ""))


class _Drawing:
    def __init__(self, stored: set[str], errors: Mapping[str, list[str]], typed: Posted) -> None:
        self.stored, self.errors, self.typed = stored, errors, typed

    def parts(self, model: type[BaseModel], settings: Mapping[str, Any], way: str) -> Iterator[Setting]:
        for name, info in model.model_fields.items():
            if not is_tag(info.annotation):
                yield self.setting(info, settings.get(name, _ABSENT), f"{way}{name}", name)

    def setting(self, info: FieldInfo, value: Any, path: str, name: str) -> Setting:
        kind = "secret" if is_secret(info) else kind_of(info)
        drawn = Setting(kind, path, _said(info.title) or name.replace("_", " ").capitalize(), _said(info.description))
        drawn.required = info.is_required()
        drawn.return_address = return_address() if leads_back(info) else ""
        drawn.errors = list(self.errors.get("settings." + path.replace("/", "."), ()))
        if value is _ABSENT:
            value = None if info.is_required() else info.get_default(call_default_factory=True)
            value = None if value is PydanticUndefined else value
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        getattr(self, f"_draw_{kind}", self._draw_plain)(drawn, info, value)
        return drawn

    def _draw_plain(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        drawn.optional = drawn.kind == "text" and _is_optional(info)  # then an empty text and none are two things
        drawn.is_open = drawn.optional and value == ""
        wrong = self.typed.get(drawn.path) if drawn.errors else None
        drawn.value = _WRITERS.get(drawn.kind, _plain_text)(value) if wrong is None else wrong

    def _draw_check(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        drawn.value = bool(value)

    def _draw_choice(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        drawn.choices = [(option, option) for option in _options(info.annotation)]
        if _is_optional(info):
            drawn.choices = [("", "—"), *drawn.choices]
        drawn.value = _plain_text(value)

    def _draw_secret(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        drawn.is_stored = drawn.path in self.stored
        drawn.summary = "pairs" if get_origin(without_none(info.annotation)) is dict else ""
        if text := self.typed.get(drawn.path, ""):
            drawn.sealed = Sealed.of({"typed": text}).ciphertext
        else:
            drawn.sealed = self.typed.get(f"{drawn.path}#typed", "")

    def _draw_group(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        drawn.optional = _is_optional(info)
        drawn.value = value is not None or not drawn.optional
        inner = chosen(info.annotation, value)
        if inner and drawn.value:
            drawn.parts = list(self.parts(inner, value or {}, f"{drawn.path}/"))
        drawn.is_open = drawn.required or self._has_errors(drawn.path)

    def _draw_union(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        self._draw_group(drawn, info, value)
        self._tag(drawn, info.annotation, value)
        drawn.is_open = True

    def _tag(self, drawn: Setting, annotation: Any, value: Any) -> None:
        drawn.choices = [(tag[1], _said(_title_of(model, tag[1]))) for model in members(annotation) if (tag := tag_of(model))]
        model = chosen(annotation, value)
        tag = tag_of(model) if model else None
        drawn.summary = tag[1] if tag else ""

    def _draw_list(self, drawn: Setting, info: FieldInfo, value: Any) -> None:
        item = items_of(info.annotation)
        values = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in value or []]
        for number, one in enumerate(values):
            part = Setting("item", f"{drawn.path}/{number}", "")
            inner = chosen(item, one)
            part.parts = list(self.parts(inner, one if isinstance(one, Mapping) else {}, f"{part.path}/")) if inner else []
            if len(members(item)) > 1:
                self._tag(part, item, one)
            said = [str(one[name]) for name in ("label", "name", "by", "operation") if isinstance(one, Mapping) and one.get(name)]
            part.label = said[0] if said else f"{number + 1}"
            part.is_open = one == {} or self._has_errors(part.path)
            drawn.parts.append(part)
        drawn.is_open = self._has_errors(drawn.path) or any(part.is_open for part in drawn.parts)
        drawn.value = len(drawn.parts)

    def _has_errors(self, path: str) -> bool:
        start = "settings." + path.replace("/", ".")
        return any(place == start or place.startswith(start + ".") for place in self.errors)


def kind_of(info: FieldInfo) -> str:
    """How a field that is no secret is drawn."""
    annotation = without_none(info.annotation)
    item = items_of(annotation)
    if item is not None:
        return "list" if members(item) else "lines"
    found = members(annotation)
    if found:
        return "union" if len(found) > 1 else "group"
    if get_origin(annotation) is dict:
        return "pairs"
    if _options(annotation):
        return "choice"
    if annotation is bool:
        return "check"
    if annotation in (int, float):
        return "number"
    return "text" if annotation is str else "json"


def _options(annotation: Any) -> list[str]:
    annotation = without_none(annotation)
    if get_origin(annotation) is Literal:
        return [str(option) for option in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(option.value) for option in annotation]
    return []


def _is_optional(info: FieldInfo) -> bool:
    return type(None) in get_args(info.annotation)


def _tag_names(annotation: Any) -> set[str]:
    return {tag[0] for model in members(annotation) if (tag := tag_of(model))}


def _title_of(model: type[BaseModel], tag: str) -> str:
    return str(model.model_config.get("title") or tag.replace("_", " ").capitalize())


def _said(text: str | None) -> str:
    return _(text) if text else ""


def _plain_text(value: Any) -> str:
    return "" if value is None else str(value.value if isinstance(value, enum.Enum) else value)


def _write_pairs(value: Any) -> str:
    return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, Mapping) else _plain_text(value)


def _write_json(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _write_lines(value: Any) -> str:
    return "\n".join(_plain_text(each) for each in value or ())


_WRITERS = {"pairs": _write_pairs, "json": _write_json, "lines": _write_lines}
