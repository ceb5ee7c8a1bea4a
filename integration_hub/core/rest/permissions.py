"""Who may call a view of the API, before its service asks again."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class MayCall(BasePermission):
    """A view's `permission`, or for some of its actions `permissions`. What may not be seen does not exist; the services ask again."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        wanted = permission_of(view, getattr(view, "action", None) or "")
        if wanted is None or request.actor.allows(wanted):  # type: ignore[attr-defined]
            return True
        if wanted.endswith(".view"):
            raise Http404
        request.actor.require(wanted)  # type: ignore[attr-defined]
        return False


def permission_of(view: Any, action: str) -> str | None:
    """The permission that this view asks for before `action` begins."""
    chosen: str | None = getattr(view, "permissions", {}).get(action, getattr(view, "permission", None))
    return chosen
