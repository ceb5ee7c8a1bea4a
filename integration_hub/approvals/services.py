from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connectors.base import Text
from integration_hub.accounts.actor import Actor
from integration_hub.approvals.kinds import kinds
from integration_hub.approvals.models import Decision, DecisionState
from integration_hub.audit import services as audit
from integration_hub.core import outbox, texts


class NotOpen(Exception):
    """Somebody was quicker, or nothing waits for it any more."""

    http_status = 409

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(_("This was decided already: {state}.").format(state=decision.get_state_display()))


class Otherwise(Exception):
    """A later run has brought it up to date: it is about other records than whoever answers has seen."""

    http_status = 409

    def __init__(self, decision: Decision, seen: int) -> None:
        self.decision = decision
        told = _("Records that wait for this: {n} by now, {seen} when you looked. Look at them again, then answer.")
        super().__init__(told.format(n=f"{decision.count:,}", seen=f"{seen:,}"))


def ask(kind: str, subject: models.Model, *, question: Text, part: str = "", count: int = 0, about: dict[str, Any] | None = None) -> Decision:
    """Open a decision, or bring the one that is open up to date, in the caller's transaction. `about` None: as it was when this was asked last."""
    now = timezone.now()
    if about is None:
        last = Decision.objects.about(subject).filter(kind=kind, part=part).order_by("-pk").first()
        about = last.about if last is not None else {}
    told = {"question": texts.stored(question), "count": count, "about": about, "asked_again_at": now, "subject_name": str(subject)[:300]}
    decision, is_new = Decision.objects.open().update_or_create(
        kind=kind,
        part=part,
        subject_type=subject._meta.label_lower,
        subject_id=str(subject.pk),
        defaults=told,
        create_defaults={**told, "asked_at": now},
    )
    if is_new:
        outbox.emit("decision.asked", f"decisions/{decision.pk}", kind=kind, about=str(subject))
    return decision


def withdraw(kind: str, subject: models.Model, *, part: str | None = None) -> None:
    """Nothing waits for this any more, in the caller's transaction."""
    found = Decision.objects.open().about(subject).filter(kind=kind)
    if part is not None:
        found = found.filter(part=part)
    found.update(state=DecisionState.LAPSED, decided_at=timezone.now())


def decide(decision: Decision, answer: str, *, by: Actor, reason: str, seen: int | None = None) -> None:
    """Answer a decision; what follows is done in the same transaction. `seen`: how many records it was about when it was looked at.

    Raises NotOpen, Otherwise where it is about another number by now, ValidationError, and what the kind refuses with.
    """
    by.require("decisions.decide", decision)
    said = kinds[decision.kind].answers(decision).get(answer)
    if said is None:
        raise ValidationError(_("“{answer}” is none of the answers to this.").format(answer=answer))
    if said.permission:
        by.require(said.permission, decision)
    if not reason.strip():
        raise ValidationError(_("Say why, for those who ask later."))
    with transaction.atomic():
        told = {"decided_at": timezone.now(), "decided_by": by.name, "decided_by_id": by.user_id, "reason": reason.strip()}
        if not Decision.objects.open().filter(pk=decision.pk).update(state=said.state, **told):
            decision.refresh_from_db()
            raise NotOpen(decision)
        decision.refresh_from_db()
        if seen is not None and decision.count != seen:
            raise Otherwise(decision, seen)
        audit.record(f"decision.{said.state}", decision, by=by, changes={"records": [None, decision.count]}, note=decision.reason)
        said.act(decision, by, decision.reason)
        outbox.emit(f"decision.{said.state}", f"decisions/{decision.pk}", kind=decision.kind, about=decision.subject_name)
