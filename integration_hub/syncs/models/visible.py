"""What every list of this app is narrowed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models

if TYPE_CHECKING:
    from integration_hub.accounts.actor import Actor


class VisibleQuerySet(models.QuerySet[Any]):
    permission = "syncs.view"

    def visible_to(self, by: Actor) -> Self:
        return self if by.allows(self.permission) else self.none()
