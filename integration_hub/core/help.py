"""The help inside the console. Apps register topics; what can be drawn from a declaration (transforms, settings, permissions) is drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.core import texts
from integration_hub.core.pages import Actor, HubPage, StrOrPromise
from integration_hub.core.palette import MOST, Hit
from integration_hub.core.parts import Link
from integration_hub.core.registry import Registry

GROUPS: dict[str, StrOrPromise] = {
    "begin": gettext_lazy("To begin with"),
    "reference": gettext_lazy("To look up"),
    "around": gettext_lazy("Around the console"),
}


@dataclass(frozen=True)
class Topic:
    """A page of the help. `context` gives what its template draws; `words` find it in the palette, in any language."""

    title: StrOrPromise
    summary: StrOrPromise
    template: str
    group: str = "reference"
    order: int = 100
    context: Callable[[Actor], dict[str, Any]] = field(default=lambda by: {})
    words: str = ""


topics: Registry[Topic] = Registry("help topics")


def in_order() -> list[tuple[str, Topic]]:
    groups = list(GROUPS)
    return sorted(topics.items(), key=lambda pair: (groups.index(pair[1].group), pair[1].order))


def find_topics(by: Any, text: str) -> list[Hit]:
    """For the palette: topics by their title and words."""
    wanted = text.casefold()
    found = [(name, topic) for name, topic in in_order() if wanted in f"{topic.title} {topic.words} {name}".casefold()]
    return [Hit(str(topic.title), _("Help"), reverse("help:topic", args=[name]), "help") for name, topic in found[:MOST]]


class HelpPage(HubPage):
    title = gettext_lazy("Help")
    nav = "help"
    template_name = "help/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        groups = [(GROUPS[group], list(members)) for group, members in groupby(in_order(), key=lambda pair: pair[1].group)]
        return super().get_context_data(**kwargs) | {"groups": groups}


class TopicPage(HubPage):
    nav = "help"

    @property
    def topic(self) -> Topic:
        if self.kwargs["slug"] not in topics:
            raise Http404
        return topics[self.kwargs["slug"]]

    def get_template_names(self) -> list[str]:
        return [self.topic.template]

    def get_title(self) -> str:
        return str(self.topic.title)

    def get_crumbs(self) -> Iterable[Link]:
        return [Link(_("Help"), reverse("help:index"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        others = [(name, topic) for name, topic in in_order() if name != self.kwargs["slug"]]
        return context | {"topic": self.topic, "others": others} | self.topic.context(self.by)


# --- topics of no app of their own ------------------------------------------------------------------------------------


def words(by: Any) -> dict[str, Any]:
    """The words of the hub, as the whole console uses them."""
    return {
        "words": [
            (_("System"), _("A registered external system: a CRM, an ERP, anything with records. A connector is how it is spoken to.")),
            (_("Entity"), _("A kind of record in a system, such as contacts or sales orders, with its fields and their types.")),
            (_("Record"), _("One row of an entity, under its key.")),
            (_("Mapping"), _("From one entity to another: where each target field's value comes from, and what is done to it on the way.")),
            (_("Version"), _("A published mapping. It never changes; a run records the one it used.")),
            (_("Match key"), _("Target fields by which a record that is not linked yet is found, such as an e-mail address.")),
            (_("Pair"), _("Two entities that hold the same things. It owns the links, and all syncs over it share them.")),
            (_("Link"), _("This record there is that record here.")),
            (_("Sync"), _("A pair, a direction, a mapping, a mode and a schedule.")),
            (_("Run"), _("One execution of a sync. A dry run compares everything and writes nothing.")),
            (
                _("Reconcile"),
                _(
                    "A run that reads all of both systems and compares them field by field, instead of trusting what was last written. It writes "
                    "nothing: what differs becomes a plan."
                ),
            ),
            (_("Drift"), _("How far the records of a target have come away from what was agreed, by field and record, as a reconcile run finds it.")),
            (_("Cursor"), _("How far a source has been read, so that the next run reads only what changed since.")),
            (_("Change set"), _("What a run would change or did change, record by record, with before and after.")),
            (
                _("Reject"),
                _(
                    "A record that could not be read, mapped or validated, or that the target refused. It is kept with its reason "
                    "until it is replayed, dismissed or closed by a later run."
                ),
            ),
            (
                _("Parked"),
                _(
                    "A record that refers to another one which the target does not have yet. It waits for that one’s link, and then goes on by itself. "
                    "Records that wait for one another are created without the reference, and then get it."
                ),
            ),
            (
                _("Withheld"),
                _(
                    "A change beyond what a sync may do without asking. It waits for a decision: accepted, it is written; refused, it is dropped. "
                    "The rest of its run goes through."
                ),
            ),
            (
                _("Decision"),
                _("Something that waits for a person's yes or no, with what it would change and, once it is made, who said what and why."),
            ),
            (
                _("Mend"),
                _(
                    "A value that a person puts in the place of a source record's, so that it passes although nobody has corrected it there. "
                    "It is taken by every run until that record changes."
                ),
            ),
            (_("Balance"), _("What was read must come out as what was written, unchanged, rejected or left: every run's books are added up.")),
        ]
    }


def expressions(by: Any) -> dict[str, Any]:
    """Functions and operators of the one expression language, from their own tables."""
    from integration_hub.core.expressions import FUNCTIONS, OPERATORS

    signs = [
        ("+  -  *  /  %", _("Arithmetic. A division by zero has no result, and rejects the record."), "price * quantity"),
        ("||", _("Joins texts. Where one is null, the result is null; concat() leaves nulls out."), "first_name || ' ' || last_name"),
        ("=  <>  <  <=  >  >=", _("Compares. With null the answer is null."), "amount >= 1000"),
        ("AND  OR  NOT", _("Joins conditions."), "active AND NOT deleted"),
        ("IN, BETWEEN, LIKE, ILIKE", _("Lists, ranges, and patterns with % and _."), "country IN ('DE', 'AT')"),
        ("IS NULL, IS NOT NULL", _("Whether there is a value."), "email IS NOT NULL"),
        ("CASE WHEN … THEN … ELSE … END", _("Chooses."), "CASE WHEN amount > 0 THEN 'debit' ELSE 'credit' END"),
        ("CAST(… AS …)", _("Makes another type of a value; what cannot be made of it rejects the record."), "CAST(code AS integer)"),
        ("a.b, a[0]", _("A place inside a JSON field; lists are counted from 0."), "lines[0].sku"),
    ]
    functions = [{"signature": f.signature, "description": f.description, "example": f.example} for f in FUNCTIONS.values()]
    operators = [{"name": o.name, "label": o.label, "types": texts.listed(map(texts.type_word, sorted(o.types)))} for o in OPERATORS.values()]
    return {"signs": signs, "functions": functions, "operators": operators}


def commands(by: Any) -> dict[str, Any]:
    """The hub's commands as their own parsers declare them, and where the API is."""
    return {"commands": list(_commands()), "reference": reverse("api:reference")}


def upkeep(by: Any) -> dict[str, Any]:
    """How long what is kept here, and the last backup."""
    from django.conf import settings

    from integration_hub.core.models import Backup

    days = {
        "KEEP_CHANGES_DAYS": _("record changes of a run, before and after"),
        "KEEP_LOG_DAYS": _("lines of a run's log"),
        "KEEP_RUNS_DAYS": _("runs, and rejects that are closed; the last run of each sync always, and those with changes that still wait"),
    }
    return {
        "kept": [(name, getattr(settings, name), what) for name, what in days.items()],
        "most": settings.KEEP_CHANGES_GB,
        "least": settings.LEAST_FREE_MB,
        "backup": Backup.objects.exclude(ended_at=None).order_by("-pk").first() if by.allows("accounts.view") else None,
    }


def _commands() -> Iterable[dict[str, str]]:
    import argparse

    from django.core.management import get_commands, load_command_class
    from django.core.management.base import BaseCommand

    common = {action.dest for action in BaseCommand().create_parser("manage.py", "x")._actions}
    for name, app in sorted(get_commands().items()):
        if not str(app).startswith("integration_hub."):
            continue
        command = load_command_class(str(app), name)
        parser = command.create_parser("manage.py", name)
        parts = next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
        if not parts:
            yield {"usage": _usage(name, parser, common), "help": _(command.help)}
            continue
        told = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))._choices_actions
        helps = {action.dest: action.help or "" for action in told}
        for part, inner in parts.items():
            yield {"usage": _usage(f"{name} {part}", inner, common), "help": helps.get(part, "")}


def _usage(name: str, parser: Any, common: set[str]) -> str:
    words = [f"manage.py {name}"]
    for action in parser._actions:
        if action.dest in common or action.dest == "help":
            continue
        shown = max(action.option_strings, key=len) if action.option_strings else action.metavar or action.dest.upper()
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        many = " …" if action.nargs in ("+", "*") else ""
        words.append(f"[{shown}{value}{many}]" if action.option_strings or action.nargs == "*" else f"{shown}{many}")
    return " ".join(words)


def register_topics() -> None:
    begin: tuple[tuple[str, Any, Any, dict[str, Any]], ...] = (
        ("hub", gettext_lazy("What the hub is"), gettext_lazy("What it does for you, what it promises, and how it works inside."), {}),
        ("first-steps", gettext_lazy("First steps"), gettext_lazy("From two systems to a sync that runs by itself."), {}),
        ("words", gettext_lazy("Words"), gettext_lazy("What the words of the console mean."), {"context": words}),
    )
    for order, (name, title, summary, more) in enumerate(begin):
        topics.register(name, Topic(title, summary, f"help/{name}.html", "begin", order, **more))
    topics.register(
        "expressions",
        Topic(
            gettext_lazy("Formulas"),
            gettext_lazy("The expression language of mappings and filters: operators, functions, examples."),
            "help/expressions.html",
            order=20,
            context=expressions,
            words="expression language formula functions operators sql",
        ),
    )
    topics.register(
        "upkeep",
        Topic(
            gettext_lazy("Backup and upkeep"),
            gettext_lazy("What is kept for how long, how to make room, and how to get a lost hub back."),
            "help/upkeep.html",
            "around",
            30,
            context=upkeep,
            words="backup restore retention disk space full delete old history days audit seal verify",
        ),
    )
    topics.register(
        "api",
        Topic(
            gettext_lazy("Commands and API"),
            gettext_lazy("The same things from a terminal, a file or a program."),
            "help/api.html",
            "around",
            20,
            context=commands,
            words="cli command line rest api openapi tokens yaml config",
        ),
    )
