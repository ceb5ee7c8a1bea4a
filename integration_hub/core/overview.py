"""The overview: what needs me now. Its sections are filled by the apps; a section nobody fills is not there.

Every provider is given the actor and answers only what this actor may see, in a few queries that do not grow with the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.core.pages import Actor, HubPage, StrOrPromise, entries_for
from integration_hub.core.parts import Act, Link, UpDown, Verdict
from integration_hub.core.registry import Registry
from integration_hub.core.tour import tour_for


@dataclass(frozen=True)
class Problem:
    """Something that stands still or will: cause, what it holds up, since when, who has it, the next step."""

    state: str  # bad: it stands still; warn: soon, or a person is needed
    cause: str  # short, "MRP cannot be reached"
    detail: str
    since: datetime
    act: Act
    holds: str = ""
    holds_note: str = ""
    who: str = ""
    take: Act | None = None  # "Take it", where nobody has it


@dataclass(frozen=True)
class StripItem:
    """One system in the strip of states."""

    name: str
    href: str
    state: str
    word: str
    note: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Late:
    """A sync that is behind its objective."""

    name: str
    href: str
    behind_seconds: float
    objective_seconds: float
    because: str
    state: str = "warn"


@dataclass(frozen=True)
class Running:
    """A run that goes on now."""

    name: str
    href: str
    stage: str
    share: float | None = None
    rate: str = ""
    left_seconds: float | None = None


@dataclass(frozen=True)
class Day:
    """The last 24 hours: the chart, and its sum as a sentence."""

    chart: UpDown
    sum: str


@dataclass(frozen=True)
class Change:
    """Somebody changed the configuration."""

    at: datetime
    who: str
    what: str
    href: str = ""


@dataclass(frozen=True)
class Step:
    """One of the steps to a first sync."""

    order: int
    title: StrOrPromise
    text: StrOrPromise
    act: Act | None  # None: this person may not do it
    is_done: bool


T = TypeVar("T")
Provider = Callable[[Actor], Sequence[T]]

problems: Registry[Provider[Problem]] = Registry("problem providers")
strip: Registry[Provider[StripItem]] = Registry("strip providers")
late: Registry[Provider[Late]] = Registry("late providers")
running: Registry[Provider[Running]] = Registry("running providers")
day: Registry[Provider[Day]] = Registry("day providers")  # answers none or one
changes: Registry[Provider[Change]] = Registry("change providers")  # newest first, at most ten
notes: Registry[Provider[str]] = Registry("note providers")  # sentences under the verdict: "38 of 41 syncs are on time."
steps: Registry[Provider[Step]] = Registry("step providers")
offers: Registry[Provider[Act]] = Registry("offers to an empty hub")  # "Load the demo"


@dataclass(frozen=True)
class Section:
    """A section a provider has registered for: its rows, and how many more there are."""

    rows: Sequence[Any]
    more: Link | None = None


# Where "All …" of a section leads: the navigation entry of that name, where it exists.
LEADS_TO = {
    "strip": ("systems", gettext_lazy("All systems")),
    "late": ("syncs", gettext_lazy("All syncs")),
    "running": ("runs", gettext_lazy("All runs")),
    "changes": ("audit", gettext_lazy("Audit log")),
}


def gather(registry: Registry[Provider[T]], by: Actor) -> list[T] | None:
    """What all providers say; None where there is no provider, so that the section is left out."""
    providers = list(registry.values())
    return list(chain.from_iterable(provider(by) for provider in providers)) if providers else None


def verdict_of(found: Sequence[Problem], said: Sequence[str]) -> Verdict:
    """The worst problem as a sentence, or that nothing needs anyone."""
    since = (f"{timezone.localtime():%H:%M:%S} · {_('updates by itself')}",)
    if not found:
        return Verdict("ok", _("All is well"), _("Nothing needs you now."), since=since, next=[" ".join(said)] if said else ())
    word = ngettext("{n} problem open", "{n} problems open", len(found)).format(n=len(found))
    worst = found[0]
    others = len(found) - 1
    sentence = _("{cause}.").format(cause=worst.cause)
    if others:
        sentence = ngettext("{cause}, and {n} more problem is open.", "{cause}, and {n} more problems are open.", others)
        sentence = sentence.format(cause=worst.cause, n=others)
    return Verdict(worst.state, word, sentence, since=since, next=[" ".join(said)] if said else ())


class OverviewPage(HubPage):
    title = gettext_lazy("Overview")
    nav = "overview"

    def get_template_names(self) -> list[str]:
        return ["hub/overview_empty.html" if self.is_empty else "hub/overview.html"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        to_do = sorted(gather(steps, self.by) or [], key=lambda step: step.order)
        self.is_empty = bool(to_do) and not any(step.is_done for step in to_do)
        context = super().get_context_data(**kwargs)
        first = next((step for step in to_do if not step.is_done), None)
        context |= {"steps": to_do if first else [], "first": first, "offers": gather(offers, self.by) or []}
        if self.is_empty:
            return context
        context["tour"] = [] if first else tour_for(self.request, self.by)
        open_now = gather(problems, self.by)
        found = sorted(open_now or [], key=lambda problem: (problem.state != "bad", problem.since))
        context |= {"problems": None if open_now is None else found, "verdict": verdict_of(found, gather(notes, self.by) or [])}
        sections: dict[str, Registry[Any]] = {"strip": strip, "late": late, "running": running, "changes": changes}
        for name, registry in sections.items():
            rows = gather(registry, self.by)
            context[name] = None if rows is None else Section(rows, self._leads_to(name))
        context["days"] = gather(day, self.by)
        return context

    def _leads_to(self, section: str) -> Link | None:
        name, text = LEADS_TO[section]
        entry = dict(entries_for(self.by)).get(name)
        return Link(str(text), entry.href) if entry else None
