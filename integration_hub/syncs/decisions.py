"""What follows when somebody decides about withheld changes: they are written by a run of their own, dropped, or let through with a higher limit."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from integration_hub.accounts.actor import Actor
from integration_hub.approvals.kinds import Answer, Kind
from integration_hub.approvals.models import Decision, DecisionState
from integration_hub.core import texts
from integration_hub.syncs import guards, journal, plans
from integration_hub.syncs.models import ChangeSet, OpenRow, PlanApproval, Run, Sync
from integration_hub.syncs.services import NotPossible, PairBusy, change_sync, settings_of
from integration_hub.syncs.states import Closed, Trigger

EXAMPLES = 20


def answers(decision: Decision) -> dict[str, Answer]:
    """Accept and refuse; and, where a limit is what held the changes back, raise it."""
    found = {
        "accept": Answer(
            _("Accept"),
            DecisionState.ACCEPTED,
            accept,
            note=_("A run writes these changes now. Records that have changed since are left, and compared again by the next run."),
            primary=True,
        ),
        "refuse": Answer(
            _("Refuse"),
            DecisionState.REFUSED,
            refuse,
            note=_(
                "These changes are dropped. Runs leave the records as they are until something else is to be written of them, or a plan is approved."
            ),
            danger=True,
        ),
    }
    sync = Sync.objects.filter(pk=decision.subject_id).first()
    says_nothing = decision.about.get("nothing")  # how many deletes are usual is not learned from a source that says it is empty
    if sync is not None and not says_nothing and raised(sync, decision):
        found["raise"] = Answer(
            _("Accept and raise the limit"),
            DecisionState.ACCEPTED,
            raise_limit,
            note=_("The changes are written, and as many as these go through without asking from now on."),
            permission="syncs.change",
        )
    return found


def raised(sync: Sync, decision: Decision) -> dict[str, int]:
    """The settings of the sync with which these changes would have gone through, of those that held them back."""
    most, percent = f"most_{decision.part}s", f"most_{decision.part}s_percent"
    links = decision.about.get("links") or 0
    share = ceil(decision.count * 100 / links) if links else None
    found = {}
    if (limit := getattr(sync, most)) is not None and decision.count > limit:
        found[most] = decision.count
    if (limit := getattr(sync, percent)) is not None and share is not None and share > limit:
        found[percent] = share
    return found if found.get(percent, 0) <= guards.MOST_PERCENT else {}


def accept(decision: Decision, by: Actor, reason: str) -> None:
    sync = _sync_of(decision)
    planned_by = Run.objects.filter(pk=decision.about.get("run")).select_related("mapping_version").first()
    if planned_by is None or not guards.withheld_of(sync, decision.part).exists():
        raise NotPossible(gettext_noop("These changes are no longer kept. Run {name} in full, which compares the records anew."), name=sync.name)
    if sync.restored_at is not None and planned_by.made_at < sync.restored_at:
        raise NotPossible(
            gettext_noop("A backup was put back after these changes were planned, so they may be written already. Run {name} first."), name=sync.name
        )
    rules = settings_of(sync)
    if planned_by.direction != sync.direction or any(planned_by.settings.get(name) != rules[name] for name in ("filter", "deletes")):
        raise NotPossible(
            gettext_noop("The settings of {name} have changed since. Run it in full, which compares these records anew, or refuse them."),
            name=sync.name,
        )
    others = guards.withheld_of(sync, decision.part).exclude(mapping_version=sync.mapping.latest)
    if decision.part != "delete" and others.exists():  # what is gone is gone by any version
        raise NotPossible(
            gettext_noop(
                "These changes were planned by another version of the mapping than the present one. Run {name} in full, which compares the records anew."
            ),
            name=sync.name,
        )
    who = {"actor_kind": by.kind, "actor_name": by.name, "actor_id": by.user_id}
    approval = PlanApproval.objects.create(decision=decision, approved_count=decision.count, reason=reason, **who)
    run = plans.write_approved(approval, sync, planned_by=planned_by, by=by, trigger=Trigger.DECISION)
    Decision.objects.filter(pk=decision.pk).update(about={**decision.about, "applied_by": run.pk})


def refuse(decision: Decision, by: Actor, reason: str) -> None:
    rows = guards.withheld_of(_sync_of(decision), decision.part)
    rows.update(closed_at=timezone.now(), closed_as=Closed.DISMISSED, closed_by=by.name, closed_note=reason)


def raise_limit(decision: Decision, by: Actor, reason: str) -> None:
    sync = _sync_of(decision)
    limits: dict[str, Any] = raised(sync, decision)
    change_sync(sync, by=by, **limits)
    accept(decision, by, reason)


def _sync_of(decision: Decision) -> Sync:
    sync: Sync | None = Sync.objects.filter(pk=decision.subject_id).first()
    if sync is None:
        raise NotPossible(gettext_noop("The sync {name} was deleted."), name=decision.subject_name)
    return sync


# --- its page ---------------------------------------------------------------------------------------------------------


def shown(decision: Decision, by: Actor) -> dict[str, Any]:
    """What the page of a decision shows of the changes: the run that planned them, the limits, and some of them before and after."""
    sync = Sync.objects.filter(pk=decision.subject_id).first()
    runs = Run.objects.visible_to(by).in_bulk([pk for pk in (decision.about.get("run"), decision.about.get("applied_by")) if pk])
    examples: list[journal.Change] = []
    if sync is not None and decision.is_open and by.allows("records.view"):
        rows = guards.withheld_of(sync, decision.part).order_by("change_set_id", "change_row")
        examples = _changes_of(rows[:EXAMPLES])
    return {
        "sync": sync,
        "run": runs.get(decision.about.get("run")),
        "applied_by": runs.get(decision.about.get("applied_by")),
        "examples": examples,
        "more": max(0, decision.count - len(examples)),
        "limits": _limits_told(runs.get(decision.about.get("run")), decision),
        "because": [texts.render(each) for each in guards.because_of(decision)],
    }


def _changes_of(rows: Iterable[OpenRow]) -> list[journal.Change]:
    wanted: dict[int, list[int]] = {}
    for row in rows:
        if row.change_set_id is not None and row.change_row is not None:
            wanted.setdefault(row.change_set_id, []).append(row.change_row)
    sets = ChangeSet.objects.select_related("run").in_bulk(wanted)
    return [change for pk, places in wanted.items() if pk in sets for change in journal.changes_at(sets[pk], places)]


def _limits_told(run: Run | None, decision: Decision) -> list[tuple[str, str]]:
    """The limits for this kind of change that the run had, as label and value: those of the sync may have been raised since."""
    limits = run.settings.get("guards", {}).get(decision.part, ()) if run is not None else ()
    names = (f"most_{decision.part}s", f"most_{decision.part}s_percent")
    labels = [str(Sync._meta.get_field(name).verbose_name) for name in names]  # type: ignore[union-attr]
    return [(label, str(value)) for label, value in zip(labels, limits, strict=False) if value is not None]


KIND = Kind(gettext_lazy("Withheld changes"), answers, "syncs/_withheld.html", shown, refusals=(PairBusy, NotPossible))
