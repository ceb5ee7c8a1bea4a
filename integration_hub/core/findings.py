"""What pydantic finds wrong, as sentences that can be translated: with mappings, configuration files and the settings of connectors."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from connectors.base import REFUSED, Text, _

_SENTENCES = {
    "missing": _("{name} is missing."),
    "extra_forbidden": _("{name} is not known here."),
    "string_type": _("{name} must be text."),
    "int_type": _("{name} must be a whole number."),
    "int_parsing": _("{name} must be a whole number."),
    "int_from_float": _("{name} must be a whole number."),
    "float_type": _("{name} must be a number."),
    "float_parsing": _("{name} must be a number."),
    "finite_number": _("{name} must be a number."),
    "bool_type": _("{name} must be true or false."),
    "bool_parsing": _("{name} must be true or false."),
    "literal_error": _("{name} must be one of {expected}."),
    "enum": _("{name} must be one of {expected}."),
    "greater_than_equal": _("{name} must be at least {ge}."),
    "less_than_equal": _("{name} must be at most {le}."),
    "greater_than": _("{name} must be more than {gt}."),
    "string_too_short": _("{name} must not be empty."),
    "string_too_long": _("{name} is too long; {max_length} characters are allowed."),
    "too_short": _("{name} must not be empty."),
    "too_long": _("{name} has too many entries; {max_length} are allowed."),
    "list_type": _("{name} must be a list."),
    "tuple_type": _("{name} must be a list."),
    "dict_type": _("{name} must be an object."),
    "model_type": _("{name} must be an object."),
    "model_attributes_type": _("{name} must be an object."),
}

_WORDS = re.compile(r"'([^']*)'")


def findings(error: ValidationError) -> list[Any]:
    """What is wrong, each with its place: of a list with a bad entry only the entry, though pydantic calls the list too short as well."""
    found = error.errors(include_input=False, include_url=False)
    places = [detail["loc"] for detail in found]
    return [d for d in found if d["type"] != "too_short" or not any(len(p) > len(d["loc"]) and p[: len(d["loc"])] == d["loc"] for p in places)]


def sentence(detail: Any, *, skip: int) -> Text:
    """One of pydantic's findings; `skip` leaves out what the place already says."""
    context = detail.get("ctx") or {}
    if detail["type"] == REFUSED:
        return Text(context["template"], context["values"])
    name = ".".join(str(part + 1 if isinstance(part, int) else part) for part in detail["loc"][skip:]) or "definition"
    template = _SENTENCES.get(detail["type"])
    if template is None:
        return Text(_("{name}: {problem}"), {"name": name, "problem": detail["msg"].removeprefix("Value error, ")})
    values = {key: value for key, value in context.items() if isinstance(value, str | int | float)}
    if "expected" in values:  # pydantic's "'full' or 'incremental'", which no other language says so
        said = str(values["expected"])
        values["expected"] = ", ".join(_WORDS.findall(said)) or said
    return Text(template, {"name": name, **values})
