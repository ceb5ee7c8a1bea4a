"""Drift of records in sentences: how far have the two systems drifted apart, where, and is it getting better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.core import texts
from integration_hub.core.parts import Bar, Bars, Fact, Link, Verdict
from integration_hub.core.templatetags.hub import clock, number
from integration_hub.syncs import agreed, plans
from integration_hub.syncs.models import RecordDrift, Run, Sync
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.states import Mode, RunState


@dataclass(frozen=True)
class DriftOf:
    """What is known of a sync's drift: what its reconcile runs found, the newest first, and its last reconcile run, however that ended."""

    sync: Sync
    found: Sequence[RecordDrift]
    last: Run | None

    @property
    def newest(self) -> RecordDrift | None:
        return self.found[0] if self.found else None

    @property
    def before(self) -> RecordDrift | None:
        return self.found[1] if len(self.found) > 1 else None


def drift_of(sync: Sync, *, count: int = 2) -> DriftOf:
    """The last so many findings of a sync, in two queries."""
    found = list(RecordDrift.objects.of(sync).select_related("run__pair__a__system", "run__pair__b__system")[:count])
    return DriftOf(sync, found, Run.objects.filter(sync=sync, mode=Mode.RECONCILE).order_by("-pk").first())


def records_apart(drift: RecordDrift, run: Run) -> str:
    """How many records are to be mended, or that none is; once some are, how many are left."""
    n, source, target = drift.total, run.source.system.name, run.target.system.name
    compared = run.sums()["produced"]
    if not n and drift.due:
        said = ngettext(
            "{n} of {all} records differs, and the next run brings it.", "{n} of {all} records differ, and the next run brings them.", drift.due
        )
        return said.format(n=number(drift.due), all=number(compared))
    if not n:
        said = ngettext("The {n} record that was compared is as agreed.", "All {n} records that were compared are as agreed.", compared)
        return said.format(n=number(compared))
    if drift.mended and drift.left:
        said = ngettext(
            "{left} of {n} record of {target} is still not as {source} has it.",
            "{left} of {n} records of {target} are still not as {source} has them.",
            n,
        )
        return said.format(left=number(drift.left), n=number(n), source=source, target=target)
    if drift.mended:
        said = ngettext("{n} record of {target} was not as {source} has it.", "{n} records of {target} were not as {source} has them.", n)
        return said.format(n=number(n), source=source, target=target)
    said = ngettext("{n} record of {target} is not as {source} has it.", "{n} records of {target} are not as {source} has them.", n)
    return said.format(n=number(n), source=source, target=target)


def drift_verdict(known: DriftOf, acts: Sequence[Any] = ()) -> Verdict:
    """How far have they drifted apart, and what is to be done?"""
    sync, newest = known.sync, known.newest
    going = _going(known)
    if newest is None:
        why = agreed.refusal(sync)
        if why is not None:
            return Verdict("idle", _("Cannot reconcile"), texts.render(why))
        said = _("{source} and {target} have not been compared field by field yet.")
        following = going or [_("reconcile. Nothing is written; what differs becomes a plan.")]
        names = {"source": sync.source.system.name, "target": sync.target.system.name}
        return Verdict("idle", _("Never reconciled"), said.format(**names), next=following, asks=not going, acts=acts)
    since = [_("compared {when}").format(when=clock(newest.run.ended_at)), *([" · ", trend] if (trend := trend_words(known)) else [])]
    said = records_apart(newest, newest.run)
    if not newest.total:
        return Verdict("ok", _("No drift"), said, since=since, next=going or [_("Nothing needs you now.")], acts=acts)
    if newest.is_mended:
        mended = _("Its plan is written. Reconcile again to see whether anything differs by now.")
        return Verdict("ok", _("Mended"), said, since=since, next=going or [mended], acts=acts)
    return Verdict("warn", _("Drift"), said, since=since, next=going or _what_next(newest), asks=not going, acts=acts)


def _going(known: DriftOf) -> list[str | Link]:
    """That a reconcile run goes on now, or that the last one came to nothing."""
    last = known.last
    if last is None or (not last.is_live and last.state not in (RunState.FAILED, RunState.CANCELLED)):
        return []
    link = Link(_("Run {number}").format(number=number(last.pk)), last.get_absolute_url())
    words = _("{run} is comparing both sides now.") if last.is_live else _("{run}, a newer one, did not get to its end.")
    before, __, after = words.partition("{run}")
    return [before, link, after]


def _what_next(drift: RecordDrift) -> list[str | Link]:
    if plans.was_applied(drift.run):
        return [_("reconcile again: a plan is applied once, and what is still apart becomes a new one.")]
    try:
        plans.refuse_unless_good(drift.run)
    except NotPossible as refusal:
        return [_("reconcile again. {refusal}").format(refusal=refusal)]
    return [_("open the plan, and approve what is right of it.")]


def trend_words(known: DriftOf) -> str:
    """Whether it is getting better; "" where there is nothing to compare with."""
    newest, before = known.newest, known.before
    if newest is None or before is None:
        return ""
    n = newest.total - before.total
    if not n:
        return _("as many as the time before")
    said = ngettext("{n} more than the time before", "{n} more than the time before", n)
    if n < 0:
        said = ngettext("{n} fewer than the time before", "{n} fewer than the time before", -n)
    return said.format(n=number(abs(n)))


def drift_facts(drift: RecordDrift) -> list[Fact]:
    run, plan = drift.run, f"{reverse('syncs:drift', args=[drift.run.sync_id])}?operation="
    source, target = run.source.system.name, run.target.system.name
    note = ngettext("{n} more differs, which the next run brings", "{n} more differ, which the next run brings", drift.due)
    unlinked = "—" if drift.unlinked is None else number(drift.unlinked)
    told = _("not known: {target} could not be listed").format(target=target) if drift.unlinked is None else _("no link knows them; left alone")
    return [
        Fact(_("Differ"), number(drift.differing), note.format(n=number(drift.due)) if drift.due else "", f"{plan}update"),
        Fact(_("Gone"), number(drift.gone), _("linked, and {target} no longer has them").format(target=target), f"{plan}create"),
        Fact(_("Never arrived"), number(drift.missing), _("only {source} has them").format(source=source), f"{plan}create"),
        Fact(_("Deleted in the source"), number(drift.surplus), _("{target} still has them").format(target=target), f"{plan}delete"),
        Fact(_("Only in the target"), unlinked, told, "#h-unlinked" if drift.unlinked else ""),
    ]


def drift_fields(known: DriftOf) -> list[dict[str, Any]]:
    """The fields of the target by how many records differ in them, now and the time before."""
    now = known.newest.fields if known.newest else {}
    then = known.before.fields if known.before else {}
    rows = [{"name": name, "count": now.get(name, 0), "before": then.get(name, 0) if known.before else None} for name in {**now, **then}]
    return sorted(rows, key=lambda row: (-row["count"], -(row["before"] or 0), row["name"]))


def drift_bars(found: Sequence[RecordDrift]) -> Bars:
    """The last findings, oldest first, for hub/_bars.html."""
    bars = []
    for place, drift in enumerate(reversed(found)):
        when = clock(drift.run.ended_at)
        words = ngettext("Run {number}, {when}: {n} record to mend", "Run {number}, {when}: {n} records to mend", drift.total)
        title = words.format(number=number(drift.run_id), when=when, n=number(drift.total))
        ticked = place == len(found) - 1 or (place % 6 == 0 and place < len(found) - 3)
        bars.append(Bar(drift.total, "warn" if drift.total else "ok", title, drift.run.get_absolute_url(), when if ticked else ""))
    return Bars(_("Last {n} reconcile runs: how many records each found to mend").format(n=len(found)), bars)


def drift_legend(found: Sequence[RecordDrift]) -> list[tuple[str, str]]:
    """Colour and sentence for what occurs, and what the height means."""
    some, none = sum(bool(drift.total) for drift in found), sum(not drift.total for drift in found)
    words = [("warn", f"{_('Drift')} {some}")] if some else []
    words += [("ok", f"{_('No drift')} {none}")] if none else []
    most = max((drift.total for drift in found), default=0)
    return [*words, ("", _("Height: records to mend, at most {n}").format(n=number(most)))] if most else words
