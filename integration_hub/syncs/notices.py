"""Failed runs, and runs whose books do not balance, are told by e-mail to those who ask for it: of failures the first of a streak, of books each."""

from __future__ import annotations

import logging

from connectors.base import Text, _
from integration_hub.accounts.mail import write_to
from integration_hub.accounts.models import User
from integration_hub.core.models import Message
from integration_hub.syncs.books import books_of, differences_of
from integration_hub.syncs.models import Run
from integration_hub.syncs.states import RunState

log = logging.getLogger(__name__)


def tell_of_failure(message: Message) -> None:
    """Listens to run.failed. Dry runs, applied plans and runs over named records are watched by whoever started them."""
    run = Run.objects.with_names().filter(pk=message.subject.removeprefix("runs/")).first()
    if run is None or run.sync is None or run.dry or run.keys is not None or run.applies_id is not None or is_streak(run):
        return
    people = User.objects.filter(is_active=True, mail_failed_runs=True).exclude(email="")
    reason = Text(run.error["template"], run.error["values"]) if run.error else Text(_("The run ended without saying why."))
    values = {"name": run.name, "number": run.pk, "target": run.target.system.name}
    count = write_to(
        people,
        f"run.failed/{run.pk}",
        Text(_("{name} failed"), values),
        Text(_("Run {number} of {name} failed, so {target} is no longer kept up to date."), values),
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
        Text(_("Not every record of run {number} of {name} is accounted for. The cursor was not moved, so the next run reads them again."), values),
        *differences_of(run, books_of(run)),
        path=run.get_absolute_url(),
    )
    log.info("told of books that do not balance", extra={"run": run.pk, "mails": count})


def is_streak(run: Run) -> bool:
    """Whether the sync's run before this one had failed as well."""
    before = Run.objects.decisive().filter(sync=run.sync_id, pk__lt=run.pk).values_list("state", flat=True).first()
    return before == RunState.FAILED
