"""What the choices of a transform's parameters are called."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

# Any other is shown as it is.
CHOICES = {
    "reject": gettext_noop("reject the record"),
    "null": gettext_noop("leave it empty"),
    "park": gettext_noop("wait for the link"),
    "keep": gettext_noop("keep the value"),
    "default": gettext_noop("take the value below"),
    "left": gettext_noop("left"),
    "right": gettext_noop("right"),
    "digits": gettext_noop("digits"),
    "letters": gettext_noop("letters"),
    "letters and digits": gettext_noop("letters and digits"),
    ",": gettext_noop("comma"),
    ".": gettext_noop("point"),
    " ": gettext_noop("space"),
    "'": gettext_noop("apostrophe"),
    "": gettext_noop("nothing"),
    "round": gettext_noop("round"),
    "trunc": gettext_noop("cut off"),
    "exact": gettext_noop("must be none"),
    "floor": gettext_noop("round down"),
    "ceil": gettext_noop("round up"),
    "earliest": gettext_noop("the earlier"),
    "latest": gettext_noop("the later"),
    "microseconds": gettext_noop("microseconds"),
    "milliseconds": gettext_noop("milliseconds"),
    "seconds": gettext_noop("seconds"),
    "minutes": gettext_noop("minutes"),
    "hours": gettext_noop("hours"),
    "days": gettext_noop("days"),
    "weeks": gettext_noop("weeks"),
    "months": gettext_noop("months"),
    "years": gettext_noop("years"),
    "second": gettext_noop("second"),
    "minute": gettext_noop("minute"),
    "hour": gettext_noop("hour"),
    "day": gettext_noop("day"),
    "week": gettext_noop("week"),
    "month": gettext_noop("month"),
    "quarter": gettext_noop("quarter"),
    "year": gettext_noop("year"),
}


def choice_word(choice: Any) -> str:
    return _(CHOICES[choice]) if choice in CHOICES else str(choice)
