"""Whether this code and the database are of one release.

Both must know the same migrations. Code that meets fewer than it brings, or one that it does not know, would read rows wrongly, so that during
an upgrade it takes up no work (core/takeup.py). A release that changes what stored things mean without changing a table brings an empty migration.
"""

from __future__ import annotations

from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

Names = frozenset[tuple[str, str]]  # (app, migration)


def misfit() -> str:
    """Why this code must not work on this database; "" where it may. Raises DatabaseError."""
    if missing := missing_migrations():
        return f"The database lacks {len(missing)} migrations of this release: run manage.py setup."
    if unknown := unknown_migrations():
        return f"The database is of a newer release ({unknown[-1]} is not known here): bring this machine to that release."
    return ""


def missing_migrations() -> list[str]:
    """What this code brings and the database has not seen, as app.name."""
    brought, _known = _code()
    return sorted(map(".".join, brought - _applied()))


def unknown_migrations() -> list[str]:
    """What the database has seen and this code does not know, as app.name."""
    _brought, known = _code()
    return sorted(map(".".join, _applied() - known))


def known_migrations() -> Names:
    """Every migration that this code knows."""
    _brought, known = _code()
    return known


@cache
def _code() -> tuple[Names, Names]:
    """(what this code brings, what it knows: also what one that it brings stands for)."""
    brought = MigrationLoader(None).disk_migrations
    return frozenset(brought), frozenset(brought).union(*(migration.replaces for migration in brought.values()))


def _applied() -> Names:
    return frozenset(MigrationRecorder(connection).applied_migrations())
