"""The demo: demo.yaml, installed and taken away again without touching what people made of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from connectors.base import ConnectorError
from integration_hub.accounts.actor import Actor
from integration_hub.blueprints import services
from integration_hub.blueprints.models import Placed
from integration_hub.blueprints.parts import PARTS
from integration_hub.core import texts
from integration_hub.mappings import services as mappings
from integration_hub.syncs import services as syncs
from integration_hub.syncs.models import Pair, Sync
from integration_hub.systems import services as systems
from integration_hub.systems.models import System

NAME = "demo"
FILE = Path(__file__).with_name("demo.yaml")
SECRETS = {  # of the sandbox, which shows them on its first page
    "DEMO_CRM_SECRET": "crm-demo-secret",
    "DEMO_OA_KEY": "hub",
    "DEMO_OA_SECRET": "oa-demo-secret",
    "DEMO_ERP_KEY": "erp-demo-key",
    "DEMO_MRP_SECRET": "mrp-demo-secret",
    "DEMO_HELPDESK_PASSWORD": "helpdesk-demo-password",
    "DEMO_MARKETING_TOKEN": "marketing-demo-token",
}
BY_SECTION = {part.section: part for part in PARTS}
Tell = Callable[[str], None]


class NotPossible(Exception):
    """The demo cannot be installed as things are; the text says why."""


# --- install ----------------------------------------------------------------------------------------------------------


def install_demo(*, by: Actor, url: str, tell: Tell, again: bool = False) -> services.Result:
    """Install the demo, whose systems answer under `url`, or bring it up to date. What people changed or deleted since stays as they left it;
    `again` brings back what was deleted. Raises NotPossible where other objects have the demo's names."""
    if again:
        _forget_deleted()
    only = _to_apply(tell)
    files = [(FILE.name, FILE.read_bytes())]
    with transaction.atomic():
        result = services.apply_config(files, by=by, environ={**os.environ, **SECRETS, "SANDBOX_URL": url}, only=only)
        for section, name in only:
            _note(section, name)
        new = [change.name for change in result.changes if change.is_new and change.section == "syncs"]
        Sync.objects.filter(name__in=new).update(next_due_at=timezone.now())
    return result


def _to_apply(tell: Tell) -> set[services.Name]:
    """What is not here yet, and what is here as the demo left it."""
    placed = {(row.section, row.name): row for row in Placed.objects.filter(blueprint=NAME)}
    only: set[services.Name] = set()
    absent: set[services.Name] = set()
    taken: list[str] = []
    for said in services.load([(FILE.name, FILE.read_bytes())]):
        key = (said.part.section, said.name)
        row = placed.get(key)
        if row is None and said.part.find(said.name) is not None:
            taken.append(said.name)
        elif absent & set(said.part.asks_for(said.spec)) or (row is not None and _object(row) is None):
            absent.add(key)
        elif row is not None and _is_changed(row):
            tell(_("{name} was changed and stays as it is.").format(name=_object(row)))
        else:
            only.add(key)
    if taken:
        told = _("The demo cannot be installed: {names} are here already and not of the demo. Rename them, or do without it.")
        raise NotPossible(told.format(names=", ".join(taken)))
    if absent:
        names = ", ".join(sorted(name for _section, name in absent))
        tell(_("Deleted since, and not installed again: {names}. With --again they come back.").format(names=names))
    return only


def _note(section: str, name: str) -> None:
    subject = BY_SECTION[section].find(name)
    if subject is not None:
        now = {"object_id": subject.pk, "state_hash": _hash(section, subject)}
        Placed.objects.update_or_create(blueprint=NAME, section=section, name=name, defaults=now)


def _forget_deleted() -> None:
    for row in Placed.objects.filter(blueprint=NAME):
        if _object(row) is None:
            row.delete()


def _object(row: Placed) -> Model | None:
    return next((subject for subject in BY_SECTION[row.section].all() if subject.pk == row.object_id), None)


def _is_changed(row: Placed) -> bool:
    subject = _object(row)
    return subject is None or str(subject) != row.name or _hash(row.section, subject) != row.state_hash


def _hash(section: str, subject: Model) -> str:
    said = BY_SECTION[section].export(subject, warn=lambda text: None)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def look_around(*, by: Actor, tell: Tell) -> None:
    """Check the demo's systems and count their records, so that the pages have something to show. One that is away is left to its next check."""
    mine = Placed.objects.filter(blueprint=NAME, section="systems").values_list("object_id", flat=True)
    for system in System.objects.filter(pk__in=list(mine)):
        try:
            if system.state == System.State.UNKNOWN:
                systems.check_system(system, by=by)
            if not system.entities.exclude(found_at=None).exists():
                systems.discover_entities(system, by=by)
            for entity in system.entities.filter(record_count=None, read_last_at=None):
                systems.read_sample(entity, by=by, count=1)
        except ConnectorError as error:
            tell(texts.render(error.text))


# --- remove -----------------------------------------------------------------------------------------------------------


def remove_demo(*, by: Actor, tell: Tell) -> list[str]:
    """Take the demo away with the history of its syncs; returns the names. What was changed, runs just now or is used elsewhere stays; says so."""
    rows = list(Placed.objects.filter(blueprint=NAME))
    removed: list[str] = []
    for section, remove in (("syncs", _remove_sync), ("mappings", _remove_mapping), ("systems", _remove_system)):
        for row in sorted((row for row in rows if row.section == section), key=lambda row: row.name):
            subject = _object(row)
            if subject is None:
                continue
            if _is_changed(row):
                tell(_("{name} was changed and stays.").format(name=subject))
                continue
            with _kept(str(subject), tell), transaction.atomic():
                name = str(subject)
                remove(subject, by)
                removed.append(name)
    return removed


@contextmanager
def _kept(name: str, tell: Tell) -> Iterator[None]:
    try:
        yield
    except syncs.PairBusy as busy:
        tell(_("{name} stays: {reason}").format(name=name, reason=busy))
    except ValidationError as error:
        tell(_("{name} stays: {reason}").format(name=name, reason=" ".join(error.messages)))
    except ProtectedError as error:
        users = ", ".join(sorted({str(user) for user in error.protected_objects})[:5])
        tell(_("{name} stays, for it is used by {users}.").format(name=name, users=users))


def _remove_sync(sync: Any, by: Actor) -> None:
    pair = sync.pair
    syncs.delete_sync(sync, by=by)
    if not pair.syncs.exists():
        syncs.delete_pair(pair, by=by)


def _remove_mapping(mapping: Any, by: Actor) -> None:
    mappings.delete_mapping(mapping, by=by)


def _remove_system(system: Any, by: Actor) -> None:
    for pair in Pair.objects.filter(a__system=system, syncs=None) | Pair.objects.filter(b__system=system, syncs=None):
        syncs.delete_pair(pair, by=by)
    systems.delete_system(system, by=by)
