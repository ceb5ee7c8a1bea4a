"""The help's page of transforms, drawn from their declarations."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from integration_hub.core import texts
from integration_hub.core.parts import Link
from integration_hub.mappings.differences import step_words
from integration_hub.mappings.forms_schema import transform_form
from integration_hub.mappings.transforms import TRANSFORMS, Transform
from integration_hub.mappings.words import choice_word


def transforms(by: Any) -> dict[str, Any]:
    """The transforms by group, each with parameters and examples."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for transform in TRANSFORMS.values():
        groups.setdefault(transform.group, []).append(_told(transform))
    return {"groups": list(groups.items()), "index": [Link(_(t.label), f"#{t.name}") for t in TRANSFORMS.values()]}


def _told(transform: Transform) -> dict[str, Any]:
    form = transform_form(transform)
    every = len(form["takes"]) > 6
    return {
        "form": form,
        "takes": _("any value") if every else texts.listed(map(texts.type_word, form["takes"])),
        "gives": texts.type_word(form["gives"]) if form["gives"] else _("the same type"),
        "reason": transform.reason,
        "inputs": [{**given, "says": _said(given), "unset": _unset(given)} for given in form["inputs"]],
        "examples": [
            {
                "value": example.value,
                "result": example.result,
                "with": step_words({"transform": transform.name, **example.parameters}).partition(" (")[2].removesuffix(")"),
                "others": example.others,
                "linked": example.linked,
            }
            for example in transform.examples
        ],
    }


def _said(given: dict[str, Any]) -> str:
    """What a parameter may be, in words."""
    if given["choices"]:
        return ", ".join(choice_word(choice) for choice in given["choices"])
    limits = [_("from {n}").format(n=given["min"])] if "min" in given else []
    limits += [_("to {n}").format(n=given["max"])] if "max" in given else []
    limits += [_("at most {n} characters").format(n=given["max_length"])] if "max_length" in given else []
    return ", ".join(limits)


def _unset(given: dict[str, Any]) -> str:
    """What holds where the parameter is not given, in words; "" where nothing needs saying."""
    default = given["default"]
    if given["required"] or default is None or default == "" or given["kind"] == "boolean":
        return ""
    shown = ", ".join(map(str, default)) if isinstance(default, list) else choice_word(default) if given["choices"] else default
    return _("by default {value}").format(value=shown)
