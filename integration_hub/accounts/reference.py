"""The help's page of roles and permissions, drawn from the one table."""

from __future__ import annotations

from typing import Any

from django.utils.text import capfirst

from integration_hub.accounts.roles import PERMISSION_TEXTS, PERMISSIONS, Role


def roles(by: Any) -> dict[str, Any]:
    """Every permission with the roles that have it; `mine` is the reader's role."""
    rows = [(name, capfirst(PERMISSION_TEXTS[name]), [role in allowed for role in Role]) for name, allowed in PERMISSIONS.items()]
    return {"roles": list(Role), "rows": rows, "mine": by.role}
