"""Proves that this machine sees the files of the hub whose database it uses.

Change sets lie in a folder that all machines share, and the database names them. A machine that wrote into a folder of its own (a forgotten
setting, a mount that is missing) would leave runs that no other can carry on. So `manage.py setup` writes one id into the database and into the
folder, and nobody works where they differ. A copy of the folder has that id too; so the folder that one has without STORAGE_URL, inside the
machine's own data folder, is refused as soon as another machine is seen.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from integration_hub.core.models import Heartbeat, Installation

MARK = "installation"  # the file with the id
RESTORING = "being restored"  # what it holds instead while the database is replaced by that of a backup


def misfit() -> str:
    """Why this machine must not work with its storage; "" where it may. Raises DatabaseError."""
    if _mark() == RESTORING:
        return _not_marked()
    if why := unshared():
        return why
    known = Installation.objects.first()
    is_proven = known is not None and _mark() == str(known)
    return "" if is_proven or not (known or _other_machine()) else _not_marked()


def unshared() -> str:
    """Why this machine's storage, whatever it holds, cannot be that of a hub that works on another machine too; "" where it can."""
    other = _other_machine()
    if other and settings.STORAGE_IS_OWN:
        return f"STORAGE_URL is not set, and {other} works for this hub too: set it to a folder that all machines share."
    return ""


def _other_machine() -> str | None:
    return Heartbeat.objects.working().exclude(host=socket.gethostname()).values_list("host", flat=True).first()


def mark_storage(*, anew: bool) -> None:
    """Give the database and the folder their id, at the first time; with `anew`, the folder takes whatever id the database has.
    Raises ImproperlyConfigured where the folder belongs to another hub, or this hub to another folder.
    """
    with transaction.atomic():
        known, created = Installation.objects.get_or_create(pk=1)  # two first setups at once: only one creates
        mark = _mark()
        if mark == str(known):
            return
        if not anew and not (created and mark is None):
            raise ImproperlyConfigured(_not_marked())
        _write_mark(str(known))


@contextmanager
def being_restored() -> Iterator[None]:
    """Nobody works from here until `mark_storage(anew=True)`, also where this process ends before; but as before, where the block fails."""
    before = _mark()
    _write_mark(RESTORING)
    try:
        yield
    except Exception:
        if before is None:
            default_storage.delete(MARK)
        else:
            _write_mark(before)
        raise


def _write_mark(text: str) -> None:
    default_storage.delete(MARK)
    default_storage.save(MARK, ContentFile(text.encode()))


def _mark() -> str | None:
    try:
        with default_storage.open(MARK) as file:
            return str(file.read(), "ascii", "replace").strip()
    except OSError:  # no such folder, no such file, or one that may not be read: to us it is all one
        return None


def _not_marked() -> str:
    if _mark() == RESTORING:
        return "A backup was being put back, which did not come to its end. Run manage.py restore with its file and --replace again."
    return (
        f"STORAGE_URL: {default_storage.path('')} is not marked as the folder of this hub's files. Set it to the one that all machines share, or "
        "mount that one; where it is lost, or this one shall take its place, run manage.py setup --take-storage."
    )
