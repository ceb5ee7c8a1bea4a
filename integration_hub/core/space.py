"""Room on the disk. A hub that fills it stops in the middle of things, also in those that would make room again.

So below LEAST_FREE_MB nothing new is taken in: runs wait and say why, /readyz and the overview tell. What is left free is for what goes on: settling
what was sent, signing in, removing what is old. As soon as there is room, runs go on by themselves.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from connectors.base import Text, _
from integration_hub.core import texts
from integration_hub.core.overview import Problem
from integration_hub.core.parts import Act

MEGABYTE = 10**6
IS_FULL = _("A disk of the hub is full. Runs go on by themselves once there is room.")


def free_bytes(folder: Path) -> int:
    """What a plain user may still write there."""
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize


def shortage() -> Text | None:
    """Why nothing may be taken in now; None where there is room."""
    for folder in folders():
        if free_bytes(folder) < settings.LEAST_FREE_MB * MEGABYTE:
            return Text(
                _("Less than {least} MB are free for {folder}. Runs go on by themselves once there is room."),
                {"folder": str(folder), "least": settings.LEAST_FREE_MB},
            )
    return None


def folders() -> list[Path]:
    """Where this hub writes; of a folder that is not there yet, the one above it."""
    wanted = [settings.DATA_DIR, Path(default_storage.path(""))]
    if connection.vendor == "sqlite":
        wanted.append(Path(connection.settings_dict["NAME"]).parent)
    there = (next(path for path in (folder, *folder.parents) if path.is_dir()) for folder in wanted)
    return list(dict.fromkeys(there))


def is_full(error: BaseException) -> bool:
    """Whether it, or what caused it, says that a disk is full: of the storage, or of the database (SQLite, PostgreSQL's class 53100)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(seen, "sqlstate", None) == "53100" or "database or disk is full" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def problems(by: Any) -> list[Problem]:
    """For the overview: runs wait for room."""
    why = shortage()
    if why is None:
        return []
    more = Act(gettext("Make room"), href=reverse("help:topic", args=["upkeep"]))
    return [Problem("bad", gettext("The disk is full"), texts.render(why), timezone.now(), more, holds=gettext("all runs"))]
