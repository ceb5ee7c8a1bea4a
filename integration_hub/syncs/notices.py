"""What is told by e-mail. To those who ask for it: failed runs and drift, of a streak the first; runs whose books do not balance, each; and, where they
may decide, decisions when they open. To one person: rejects that somebody assigns to them."""

from __future__ import annotations

import logging
import uuid

from django.urls import reverse

from connectors.base import Text, _
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.mail import write_to
from integration_hub.accounts.models import User
from integration_hub.accounts.roles import PERMISSIONS
from integration_hub.approvals.models import Decision
from integration_hub.core.models import Message
from integration_hub.syncs import guards
from integration_hub.syncs.books import books_of, differences_of
from integration_hub.syncs.models import RecordDrift, Run, Sync
from integration_hub.syncs.states import Mode, RunState, Trigger

log = logging.getLogger(__name__)


_NOT_FRESH = _("Run {number} of {name} failed, so {target} is no longer kept up to date.")
_KEYS_FAILED = _("Run {number} of {name} failed, so nobody knows what was deleted in {source} meanwhile.")
_NOT_COMPARED = _("Run {number} of {name} was to reconcile and failed, so nobody knows whether {target} has drifted.")


_READ_AGAIN = _("Not every record of run {number} of {name} is accounted for. The cursor was not moved, so the next run reads them again.")
_COMPARED_IN_FULL = _("Not every record of run {number} of {name} is accounted for. A full run compares all records again.")


def tell_of_failure(message: Message) -> None:
    """Listens to run.failed. Dry runs, applied plans and runs over named records are watched by whoever started them; not so a scheduled one that
    reconciles."""
    run = Run.objects.with_names().filter(pk=message.subject.removeprefix("runs/")).first()
    if run is None or run.sync is None or run.keys is not None or run.applies_id is not None:
        return
    if (run.dry and not (run.reconciles and run.trigger == Trigger.SCHEDULE)) or is_streak(run):
        return
    people = User.objects.filter(is_active=True, mail_failed_runs=True).exclude(email="")
    reason = Text(run.error["template"], run.error["values"]) if run.error else Text(_("The run ended without saying why."))
    values = {"name": run.name, "number": run.pk, "target": run.target.system.name, "source": run.source.system.name}
    count = write_to(
        people,
        f"run.failed/{run.pk}",
        Text(_("{name} failed"), values),
        Text(_NOT_COMPARED if run.reconciles else _KEYS_FAILED if run.keys_only else _NOT_FRESH, values),
        reason,
        Text(_("You get no further mail about it until a run has succeeded and another fails.")),
        path=run.get_absolute_url(),
    )
    log.info("told of a failed run", extra={"run": run.pk, "mails": count})


def tell_of_unbalanced(message: Message) -> None:
    """Listens to run.unbalanced: somebody has to find out what became of the records, whatever else became of the run."""
    run = Run.objects.with_names().filter(pk=message.subject.removeprefix("runs/")).first()
    if run is None:
        return
    people = User.objects.filter(is_active=True, mail_failed_runs=True).exclude(email="")
    values = {"name": run.name, "number": run.pk}
    count = write_to(
        people,
        f"run.unbalanced/{run.pk}",
        Text(_("The books of {name} do not balance"), values),
        Text(_READ_AGAIN if run.moves_cursor else _COMPARED_IN_FULL, values),
        *differences_of(run, books_of(run)),
        path=run.get_absolute_url(),
    )
    log.info("told of books that do not balance", extra={"run": run.pk, "mails": count})


def tell_of_decision(message: Message) -> None:
    """Listens to decision.asked. One that is open is brought up to date without another word; where the same is asked again later, it is another one."""
    decision = Decision.objects.open().filter(pk=message.subject.removeprefix("decisions/"), kind=guards.KIND).first()
    sync = Sync.objects.filter(pk=decision.subject_id).first() if decision is not None else None
    if decision is None or sync is None:
        return
    people = User.objects.filter(is_active=True, mail_decisions=True, role__in=PERMISSIONS["decisions.decide"]).exclude(email="")
    count = write_to(
        people,
        f"decision.asked/{decision.pk}",
        Text(_("{name} waits for a decision"), {"name": sync.name}),
        Text(decision.question["template"], decision.question["values"]),
        *guards.because_of(decision),
        Text(_("Until somebody decides, these records stay as they are; the rest of the run went through.")),
        path=decision.get_absolute_url(),
    )
    log.info("told of a decision", extra={"decision": decision.pk, "mails": count})


def tell_assigned(to: User, *, count: int, by: Actor, note: str) -> None:
    """Write to whoever somebody else has assigned rejects to, in the transaction that does so."""
    if to.pk == by.user_id:
        return
    lines = [Text(_("Rejects that {name} assigns to you: {count}."), {"name": by.name, "count": f"{count:,}"})]
    if note:
        lines.append(Text(_("What is asked: {note}"), {"note": note}))
    subject = Text(_("{name} assigns rejects to you"), {"name": by.name})
    write_to([to], f"rejects.assigned/{uuid.uuid4().hex}", subject, *lines, path=f"{reverse('rejects:list')}?assigned=me")


def tell_of_drift(message: Message) -> None:
    """Listens to drift.found: somebody has to look at the plan that mends it."""
    run = Run.objects.with_names().filter(pk=message.subject.removeprefix("runs/")).first()
    found = RecordDrift.objects.filter(run=run).first() if run is not None else None
    if run is None or run.sync is None or found is None or is_known(run):
        return
    people = User.objects.filter(is_active=True, mail_failed_runs=True).exclude(email="")
    values = {"name": run.name, "number": run.pk, "count": found.total, "source": run.source.system.name, "target": run.target.system.name}
    count = write_to(
        people,
        f"drift.found/{run.pk}",
        Text(_("{name}: drift in {target}"), values),
        Text(_("Run {number} has compared both sides field by field: {count} records of {target} are not as {source} has them."), values),
        Text(_("Nothing was written. Its plan mends them once it is approved and applied.")),
        Text(_("You get no further mail about it until the drift is mended, or gone, and another is found.")),
        path=reverse("syncs:drift", args=[run.sync.pk]),
    )
    log.info("told of drift", extra={"run": run.pk, "mails": count})


def is_known(run: Run) -> bool:
    """Whether the reconcile run before this one had found drift as well, and nobody has mended it since."""
    before = RecordDrift.objects.of(run.sync).filter(run__lt=run.pk).first() if run.sync is not None else None
    return before is not None and before.left > 0


def is_streak(run: Run) -> bool:
    """Whether the sync's run before this one, of its kind, had failed as well."""
    if run.reconciles:
        earlier = Run.objects.filter(mode=Mode.RECONCILE).order_by("-pk")
    else:
        earlier = Run.objects.filter(keys_only=True, dry=False).order_by("-pk") if run.keys_only else Run.objects.decisive()
    before = earlier.filter(sync=run.sync_id, pk__lt=run.pk).values_list("state", flat=True).first()
    return before == RunState.FAILED
