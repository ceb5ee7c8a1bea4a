"""How the console writes things: numbers, durations, times, states, values, differences. `{% load hub %}`"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any

from django import template
from django.middleware.csrf import get_token
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from connectors.base import FieldType
from integration_hub.core import texts
from integration_hub.core.parts import Act, Link, hidden_values

register = template.Library()

ICONS = {"ok": "check_circle", "bad": "error", "warn": "warning", "run": "progress_activity", "idle": "schedule"}
CAP = 10_000
LONGEST = 500  # characters of one value on a page


# --- states -----------------------------------------------------------------------------------------------------------


@register.inclusion_tag("hub/_state.html")
def state(state: str, text: Any, icon: str = "") -> dict[str, Any]:
    """{% state "ok" _("Reachable") %}: icon and word, never colour alone."""
    return {"state": state, "text": text, "icon": icon}


@register.filter
def state_icon(state: str) -> str:
    return ICONS.get(state, "schedule")


# --- buttons ----------------------------------------------------------------------------------------------------------


@register.inclusion_tag("hub/_act.html", takes_context=True)
def act(context: Context, act: Act, size: str = "") -> dict[str, Any]:
    """{% act act %} or {% act act size="xs" %}: a button that leads somewhere or posts."""
    request = context.get("request") or getattr(context, "request", None)  # inside an include with `only` the context has no names of its own
    token = context.get("csrf_token") or (get_token(request) if request else "")
    return {"act": act, "size": size or act.size, "fields": list(hidden_values(act.values)), "csrf_token": token}


@register.simple_tag(takes_context=True)
def live(context: Context, region: str, every: int = 2, on: Any = True) -> str:
    """<div id="h-live" {% live "h-live" on=run.is_live %}>: this region fetches itself again, until it comes without these attributes."""
    if not on:
        return ""
    path = context["request"].get_full_path()
    attributes = 'data-live hx-get="{}" hx-trigger="every {}s" hx-select="#{}" hx-target="#{}" hx-swap="outerHTML" hx-sync="this:drop"'
    return format_html(attributes, path, every, region, region)


# --- numbers ----------------------------------------------------------------------------------------------------------


@register.filter
def type_word(type_: FieldType) -> str:
    """decimal → 小数"""
    return texts.type_word(type_)


@register.filter
def number(value: Any, places: int = 0) -> str:
    """182410 → 182,410; nothing → —."""
    if value is None or value == "":
        return "—"
    return f"{value:,.{places}f}" if isinstance(value, float) or places else f"{value:,}"


@register.filter
def capped(value: int | None, cap: int = CAP) -> str:
    """A count that was stopped one above the cap: 10001 → 10,000+."""
    return f"{cap:,}+" if value is not None and value > cap else number(value)


@register.filter
def percent(value: float | None) -> str:
    """62.5 → 62.5 %; 100.0 → 100 %; short of everything is never shown as everything."""
    if value is None:
        return "—"
    shown = min(value, 99.9) if value < 100 else value
    return f"{shown:.1f}".removesuffix(".0") + " %"


@register.filter
def closed_up(text: str) -> str:
    """Sentences in a row: a full-width stop holds its own space."""
    return text.replace("。 ", "。")


@register.filter
def in_a_row(parts: Iterable[str | Link]) -> Iterator[str | Link]:
    """The same of texts and links."""
    ends = False
    for part in parts:
        if isinstance(part, Link):
            ends = False
            yield part
            continue
        shown = closed_up(part.removeprefix(" ") if ends else part)
        ends = shown.endswith("。")
        yield shown


# --- times ------------------------------------------------------------------------------------------------------------


@register.filter
def duration(value: Any) -> str:
    """Seconds, or a timedelta: 417 → 6 min 57 s; two units at most, below a minute one place where it is short."""
    if value is None or value == "":
        return "—"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 1:
        return _("{n} ms").format(n=round(seconds * 1000))
    if seconds < 10 and seconds != int(seconds):
        return _("{n} s").format(n=f"{seconds:.1f}")
    whole = round(seconds)
    units = [(86_400, _("{n} d")), (3_600, _("{n} h")), (60, _("{n} min")), (1, _("{n} s"))]
    place = next((place for place, (unit, _name) in enumerate(units) if whole >= unit), 3)
    said: list[str] = []
    for unit, name in units[place : place + 2]:
        if whole // unit or not said:
            said.append(name.format(n=whole // unit))
        whole %= unit
    return " ".join(said)


@register.filter
def interval(seconds: int | None) -> str:
    """How often: 60 → every minute; 300 → every 5 minutes."""
    if not seconds:
        return "—"
    for unit, one, many in (
        (86_400, _("every day"), lambda n: ngettext("every {n} day", "every {n} days", n)),
        (3_600, _("every hour"), lambda n: ngettext("every {n} hour", "every {n} hours", n)),
        (60, _("every minute"), lambda n: ngettext("every {n} minute", "every {n} minutes", n)),
        (1, _("every second"), lambda n: ngettext("every {n} second", "every {n} seconds", n)),
    ):
        if seconds % unit == 0:
            n = seconds // unit
            return one if n == 1 else many(n).format(n=n)
    return str(seconds)


@register.filter
def clock(value: datetime | None) -> str:
    """The time as people say it: today 10:42:08, this week Mon 17:52, this year 20 Nov 09:00, else with the year."""
    if value is None:
        return "—"
    local, now = timezone.localtime(value), timezone.localtime()
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    if abs((now - local).days) < 6:
        return f"{date_format(local, 'D')} {local:%H:%M}"
    chinese = pgettext("date of this year, in Django's format", "j M H:i")
    full = pgettext("date with the year, in Django's format", "j M Y H:i")
    return date_format(local, chinese if local.year == now.year else full)


@register.simple_tag
def at(value: datetime | None, empty: str = "—") -> str:
    """<time> with the full time as its title."""
    return _time(value, clock(value), empty)


@register.simple_tag
def ago(value: datetime | None, empty: str = "—") -> str:
    """<time> as "44 min ago" or "in 2 min 52 s", with the full time as its title."""
    return _time(value, ago_text(value), empty)


@register.filter
def ago_text(value: datetime | None) -> str:
    if value is None:
        return "—"
    seconds = round((timezone.now() - value).total_seconds())
    if abs(seconds) < 2:
        return _("just now")
    return _("{duration} ago").format(duration=duration(seconds)) if seconds > 0 else _("in {duration}").format(duration=duration(-seconds))


def _time(value: datetime | None, shown: str, empty: str) -> str:
    if value is None:
        return empty
    local = timezone.localtime(value)
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}", shown)


# --- texts and values -------------------------------------------------------------------------------------------------


@register.filter
def sentence(text: Mapping[str, Any] | None) -> str:
    """A stored text (template and values) in the reader's language."""
    return texts.render(text)


class _Absent:
    """Stands for a field that a record does not have, where null would say something else."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@register.filter
def value(value: Any) -> str:
    """A value of a record, for people: null, empty, absent and long ones in words, the rest as it is."""
    word = _word(value)
    if word:
        return format_html('<span class="hub-null">{}</span>', word)
    shown = as_text(value)
    if len(shown) > LONGEST:
        more = _("… {n} characters more").format(n=f"{len(shown) - LONGEST:,}")
        return format_html('{} <span class="hub-null">{}</span>', _visible(shown[:LONGEST]), more)
    return _visible(shown)


def _word(value: Any) -> str:
    if value is ABSENT:
        return _("not sent")
    if value is None:
        return pgettext("a value", "null")
    if value == "":
        return pgettext("a value", "empty text")
    if isinstance(value, list | dict) and not value:
        return pgettext("a value", "empty list") if isinstance(value, list) else pgettext("a value", "empty object")
    if isinstance(value, str) and not value.strip():
        return ngettext("{n} space", "{n} spaces", len(value)).format(n=len(value))
    return ""


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _visible(text: str) -> SafeString:
    """The text with spaces at its ends, and characters without a shape, made visible."""
    return format_html_join("", "{}", ((_shape(part),) for part in re.split(r"(^\s+|\s+$|[\x00-\x08\x0b-\x1f\x7f])", text) if part))


def _shape(part: str) -> str:
    if re.fullmatch(r"[\x00-\x08\x0b-\x1f\x7f]", part):
        return format_html('<span class="hub-null">{}</span>', "␀" if part == "\x00" else f"\\x{ord(part):02x}")
    if part.isspace():
        return format_html('<span class="hub-null">{}</span>', "␣" * min(len(part), 8))
    return part


@register.filter
def removed(before: Any, after: Any) -> str:
    """The value before, with what is gone marked: {{ change.before|removed:change.after }}."""
    return _marked(before, after, "del")


@register.filter
def added(after: Any, before: Any) -> str:
    """The value after, with what is new marked: {{ change.after|added:change.before }}."""
    return _marked(after, before, "ins")


def _marked(this: Any, other: Any, tag: str) -> str:
    if _word(this) or _word(other) or type(this) is not type(other) or isinstance(this, bool):
        shown = value(this)
        return shown if _word(this) else mark_safe(f"<{tag}>{shown}</{tag}>")  # noqa: S308  (shown is escaped by value())
    mine, theirs = as_text(this), as_text(other)
    if len(mine) > LONGEST or len(theirs) > LONGEST:
        return mark_safe(f"<{tag}>{value(this)}</{tag}>")  # noqa: S308
    return format_html_join("", "{}", ((_mark(part, tag) if changed else part,) for part, changed in _parts(mine, theirs)))


def _mark(part: str, tag: str) -> str:
    return mark_safe(f"<{tag}>{_visible(part)}</{tag}>")  # noqa: S308


_WORD = re.compile(r"\w+(?:[.@_-]\w+)*|\s+|.", re.S)
_CHINESE = re.compile(r"([\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af])")


def _words(text: str) -> list[str]:
    """Words, or single characters of scripts without spaces, so that marks fall where a reader would put them."""
    return [part for word in _WORD.findall(text) for part in _CHINESE.split(word) if part]


def _parts(mine: str, theirs: str) -> list[tuple[str, bool]]:
    """`mine` in pieces, each with whether it differs; all of it where little is common."""
    words = _words(mine)
    matcher = SequenceMatcher(None, words, _words(theirs), autojunk=False)
    if matcher.ratio() < 0.3:
        return [(mine, True)]
    found = []
    for kind, start, end, _i, _j in matcher.get_opcodes():
        if start < end:
            found.append(("".join(words[start:end]), kind != "equal"))
    return _smoothed(found)


def _smoothed(parts: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The same with a letter or two in common between two differences counted to them: one mark reads better than three."""
    smooth: list[tuple[str, bool]] = []
    for place, (text, differs) in enumerate(parts):
        between = 0 < place < len(parts) - 1 and len(text.strip()) < 3
        if smooth and smooth[-1][1] and (differs or between):
            smooth[-1] = (smooth[-1][0] + text, True)
        else:
            smooth.append((text, differs))
    return smooth


@register.filter
def is_link(part: Any) -> bool:
    return not isinstance(part, str | Promise)


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """This page's query string with some parameters changed; None takes one out. Going to another filter goes back to the first page."""
    params = context["request"].GET.copy()
    for name in ("after", "before"):
        params.pop(name, None)
    for name, new in changes.items():
        if new is None or new == "":
            params.pop(name, None)
        else:
            params[name] = str(new)
    return f"?{params.urlencode()}" if params else "?"
