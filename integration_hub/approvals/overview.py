"""What waits for a decision, as the shell and the overview tell it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.approvals.kinds import kinds
from integration_hub.approvals.models import Decision
from integration_hub.core.overview import Problem
from integration_hub.core.pages import Badge
from integration_hub.core.parts import Act
from integration_hub.core.templatetags.hub import capped, number

CAP = 10_000
SHOWN = 20


def badge(by: Any) -> Badge | None:
    n = Decision.objects.visible_to(by).open()[: CAP + 1].count()
    return Badge(capped(n), "warn") if n else None


def problems(by: Any) -> list[Problem]:
    """The decisions that wait, oldest first."""
    may = by.allows("decisions.decide")
    return [
        Problem(
            "warn",
            _("{name} waits for a decision").format(name=decision.subject_name),
            _("{kind}: {question}").format(kind=kinds[decision.kind].label, question=decision.sentence),
            decision.asked_at,
            Act(_("Decide") if may else _("Look at it"), href=decision.get_absolute_url()),
            holds=ngettext("{n} record", "{n} records", decision.count).format(n=number(decision.count)),
        )
        for decision in Decision.objects.visible_to(by).open().order_by("asked_at")[:SHOWN]
    ]
