"""Every service asks whether its actor may. The services are found, not listed: whatever of ours takes an Actor as `by` either asks by itself or
hands it on to what does; and who may do nothing is refused by each that asks, before anything is read or written.
"""

import ast
import importlib
import inspect
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import integration_hub
from integration_hub.accounts.actor import NOBODY, Forbidden
from integration_hub.audit.models import Entry

ROOT = Path(integration_hub.__file__).parent
# Those that neither ask nor hand it on to what does, each with its reason.
EXEMPT = {
    "accounts.services.change_password": "one's own alone, which it checks",
    "audit.services.record": "writes down what its caller was allowed",
    "blueprints.demo.remove_demo": "removes by functions of its own, each of which hands it on",
    "core.overview.gather": "each part of the overview asks by itself",
    "core.pages.entries_for": "each entry says what it asks for",
    "core.palette.find": "each kind of what is found asks by itself",
    "syncs.decisions.accept": "the answer to a decision, called by approvals.services.decide, which asks",
    "syncs.decisions.refuse": "the answer to a decision, called by approvals.services.decide, which asks",
    "syncs.notices.tell_assigned": "writes to whom its caller, which asks, has assigned rejects",
    "syncs.plans.write_approved": "the one way to write what was approved, of those that approve, which ask",
    "syncs.services.create_run": "the one way to a run of those that launch one, which ask",
}
# Those that show nothing, or less, to who may not.
SHOWS_LESS = {
    "mappings.console.steps",
    "mappings.samples.samples_of",
    "syncs.decisions.shown",
    "syncs.groups.groups",
    "syncs.groups.group_named",
    "syncs.together.offers",
}
# Those that have to look before they can ask, and so are tried with real things elsewhere.
LOOKS_FIRST = {
    "blueprints.demo.look_around": "asks for each system of the demo",
    "syncs.decisions.raise_limit": "called by approvals.services.decide, which asks",
    "syncs.groups.pause_group": "asks for each sync of the group",
    "syncs.groups.resume_group": "asks for each sync of the group",
    "systems.consent.finish_consent": "asks once it knows which system the answer is about",
}


def services():
    """Name → the syntax tree of each public function at the top of a module that takes an Actor as `by`."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if {"migrations", "management"} & set(path.parts):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(
                given.arg == "by" and given.annotation is not None and ast.unparse(given.annotation) == "Actor"
                for given in (*node.args.args, *node.args.kwonlyargs)
            ):
                found[f"{module}.{node.name}"] = node
    return found


SERVICES = services()


def calls(node):
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def name_of(call):
    return call.func.id if isinstance(call.func, ast.Name) else call.func.attr if isinstance(call.func, ast.Attribute) else ""


def is_by(node):
    return isinstance(node, ast.Name) and node.id == "by"


def asks(node):
    for call in calls(node):
        if isinstance(call.func, ast.Attribute) and is_by(call.func.value) and call.func.attr in ("require", "allows"):
            return True
        if name_of(call) == "visible_to" and any(map(is_by, call.args)):
            return True
    return False


def handed_to(node):
    """The names of the functions that get its `by`, and of those that are named beside it: handed on to be called with it."""
    given = [call for call in calls(node) if any(map(is_by, call.args)) or any(is_by(word.value) for word in call.keywords)]
    beside = [part.attr for call in given for part in call.args if isinstance(part, ast.Attribute)]
    return {*map(name_of, given), *beside}


def those_that_ask():
    """Grows from those that ask by themselves to those that hand their actor on to one of these, until there is none more."""
    asking = {name for name, node in SERVICES.items() if asks(node)}
    while True:
        known = {name.rpartition(".")[2] for name in asking}
        more = {name for name, node in SERVICES.items() if name not in asking and handed_to(node) & known}
        if not more:
            return asking
        asking |= more


def test_every_service_asks_or_hands_its_actor_on_to_one_that_does():
    public = {name for name in SERVICES if not name.rpartition(".")[2].startswith("_")}

    assert public - those_that_ask() - EXEMPT.keys() == set()
    assert EXEMPT.keys() - SERVICES.keys() == set()
    assert EXEMPT.keys() & those_that_ask() == set()


ASKING = sorted(name for name in those_that_ask() - SHOWS_LESS - LOOKS_FIRST.keys() if not name.rpartition(".")[2].startswith("_"))


@pytest.mark.django_db
@pytest.mark.parametrize("name", ASKING)
def test_who_may_do_nothing_is_refused_before_anything_is_done(name):
    module, _dot, function = name.rpartition(".")
    service = getattr(importlib.import_module(f"integration_hub.{module}"), function)
    given = {  # stand-ins, none of which may be looked at before the right to
        parameter.name: MagicMock(name=parameter.name)
        for parameter in inspect.signature(service).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }

    with pytest.raises(Forbidden):
        service(**given | {"by": NOBODY})

    assert not Entry.objects.exists()
