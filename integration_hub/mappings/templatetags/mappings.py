"""How the mapping editor names its inputs and says what parameters may be. `{% load mappings %}`"""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext as _

from integration_hub.mappings.transforms import TRANSFORMS
from integration_hub.mappings.words import choice_word

register = template.Library()

register.filter(choice_word)


@register.filter
def step_label(step: Any) -> str:
    return _(TRANSFORMS[step.transform].label) if step.is_known else step.transform


@register.filter
def step_id(row: Any, number: int) -> str:
    """The id of a step's part in the form; `Draft.focus` is one of these."""
    return f"r{row.number}-s{number}"


@register.simple_tag
def input_name(row: Any, number: int, given: dict[str, Any]) -> str:
    return f"r{row.number}.s{number}.p.{given['name']}"
