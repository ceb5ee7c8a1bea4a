"""The help's page of roles and permissions, drawn from the one table."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integration_hub.accounts.roles import PERMISSIONS, Role

# What each permission of the table lets people do.
MEANINGS = {
    "systems.view": gettext_noop("See systems, their state and their entities"),
    "systems.check": gettext_noop("Test a connection, start and end maintenance"),
    "systems.change": gettext_noop("Register and change systems, discover and pick entities"),
    "systems.delete": gettext_noop("Delete systems"),
    "mappings.view": gettext_noop("See mappings and their versions"),
    "mappings.change": gettext_noop("Make mappings and change their drafts"),
    "mappings.publish": gettext_noop("Publish a mapping"),
    "mappings.delete": gettext_noop("Delete mappings"),
    "syncs.view": gettext_noop("See syncs and runs"),
    "syncs.run": gettext_noop("Run a sync, also as a dry run"),
    "syncs.cancel": gettext_noop("Pause, resume and cancel"),
    "syncs.change": gettext_noop("Make and change syncs, set cursors back"),
    "syncs.delete": gettext_noop("Delete syncs"),
    "records.view": gettext_noop("See records and their changes"),
    "rejects.view": gettext_noop("See rejects"),
    "rejects.resolve": gettext_noop("Replay and dismiss rejects"),
    "config.export": gettext_noop("Export the configuration"),
    "config.apply": gettext_noop("Apply a configuration file"),
    "decisions.decide": gettext_noop("Decide what a guard holds back"),
    "audit.view": gettext_noop("Read the audit log"),
    "accounts.view": gettext_noop("See people and their roles"),
    "accounts.change": gettext_noop("Add people and give them roles"),
    "tokens.own": gettext_noop("Make API tokens of one's own"),
}


def roles(by: Any) -> dict[str, Any]:
    """Every permission with the roles that have it; `mine` is the reader's role."""
    rows = [(name, _(MEANINGS[name]) if name in MEANINGS else name, [role in allowed for role in Role]) for name, allowed in PERMISSIONS.items()]
    return {"roles": list(Role), "rows": rows, "mine": by.role}
