"""A run in sentences: did all of it arrive, and if not, what next?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.core.parts import Link, Verdict
from integration_hub.core.templatetags.hub import ago_text, clock, duration, number
from integration_hub.syncs import guards, plans
from integration_hub.syncs.books import books_of, differences_of
from integration_hub.syncs.models import OpenRow, Partition, RecordDrift, Run
from integration_hub.syncs.progress import Headway, compares_first
from integration_hub.syncs.states import ENDED_WHOLE, Closed, Mode, OpenState, PartitionState, RunState, Trigger
from integration_hub.syncs.telling.drift import records_apart
from integration_hub.syncs.telling.names import Words, started_by

RUN_STATES = {
    RunState.QUEUED: "idle",
    RunState.COMPARING: "run",
    RunState.WRITING: "run",
    RunState.CLOSING: "run",
    RunState.PAUSED: "idle",
    RunState.SUCCEEDED: "ok",
    RunState.WITH_REJECTS: "warn",
    RunState.AWAITING_DECISION: "warn",
    RunState.FAILED: "bad",
    RunState.CANCELLED: "idle",
}
RUN_ICONS = {RunState.PAUSED: "pause_circle", RunState.CANCELLED: "cancel"}
MISSED = ("rejected", "refused", "moved", "unknown")


def run_state(run: Run) -> str:
    """As core.parts colours it: a run whose books do not balance is red, however it ended."""
    return "bad" if run.balanced is False else RUN_STATES[RunState(run.state)]


def run_word(run: Run) -> str:
    """How it stands or ended, in a word."""
    return _("Books do not balance") if run.balanced is False else _state_word(run)


def run_verdict(run: Run, counts: dict[str, int], headway: Headway | None, partitions: Sequence[Partition], acts: Sequence[Any] = ()) -> Verdict:
    """Did all of it arrive; if not, what do I do?"""
    state, icon = run_state(run), RUN_ICONS.get(RunState(run.state), "")
    if run.is_live and headway is not None:
        sentence, following, asks = _tell_live(run, counts, headway, partitions)
        if _waiting_on(partitions) is not None and run.state != RunState.PAUSED:
            state = "warn"
    elif run.balanced is False:
        sentence, following, asks = _tell_unbalanced(run)
    else:
        sentence, following, asks = _TELL_ENDED[RunState(run.state)](run, counts)
        if state == "ok" and absent_words(run, counts):
            state = "warn"
    return Verdict(state, run_word(run), sentence, icon=icon, since=[_run_times(run)], next=following, asks=asks, acts=acts)


def _state_word(run: Run) -> str:
    if run.cancel_at and run.is_live:
        return _("Being cancelled")
    if run.dry and run.state in (*ENDED_WHOLE, RunState.COMPARING):
        words = _("Reconcile: {state}") if run.reconciles else _("Dry run: {state}")
        return words.format(state=run.get_state_display())
    return str(run.get_state_display())


def _run_times(run: Run) -> str:
    if run.ended_at is not None:
        spent = duration(run.ended_at - (run.started_at or run.made_at))
        return _("ended {when} after {time} · started {by}").format(when=clock(run.ended_at), time=spent, by=started_by(run))
    if run.started_at is not None:
        return _("started {when} {by} · {ago}").format(when=clock(run.started_at), by=started_by(run), ago=ago_text(run.started_at))
    return _("asked for {when} {by}").format(when=clock(run.made_at), by=started_by(run))


def _waiting_on(partitions: Sequence[Partition]) -> Partition | None:
    """The partition whose last try failed and that waits for its next one."""
    return next((p for p in partitions if p.state == PartitionState.WAITING and p.error and p.not_before), None)


def _tell_live(run: Run, counts: dict[str, int], headway: Headway, partitions: Sequence[Partition]) -> Words:
    so_far = _done_words(run, headway)
    if run.state == RunState.PAUSED:
        return _("Paused: {so_far}").format(so_far=so_far), [_("resume it, and it goes on from there.")], True
    waiting = _waiting_on(partitions)
    if waiting is not None:
        again = _("It tries again {when} by itself.").format(when=_moment_words(waiting.not_before))
        return texts.render(waiting.error), [again], False
    if run.state == RunState.QUEUED:
        return _("It waits for a worker."), [_("Workers take it within seconds; where none is running, it stays here.")], False
    if headway.left_seconds is not None and headway.expected and headway.done < headway.expected:
        sentence = _("{so_far}; about {left} left.").format(so_far=so_far, left=duration(max(1, round(headway.left_seconds))))
    else:
        sentence = _("{so_far}.").format(so_far=so_far)
    missed = sum(counts[name] for name in MISSED)
    following: list[str | Link] = [_("Nothing needs you now.")]
    if missed:
        so_far_rejects = ngettext("{n} reject so far", "{n} rejects so far", missed).format(n=number(missed))
        before, __, after = _("{rejects} can be looked at already.").partition("{rejects}")
        following += [" ", before, Link(so_far_rejects, f"{reverse('rejects:list')}?run={run.pk}"), after]
    return sentence, following, False


def _moment_words(moment: datetime | None) -> str:
    return ago_text(moment) if moment and moment > timezone.now() else _("now")


def _done_words(run: Run, headway: Headway) -> str:
    done = number(headway.done)
    if run.keys_only and RunState.COMPARING in (run.state, run.paused_from):
        return ngettext("{n} key read", "{n} keys read", headway.done).format(n=done)
    if headway.expected is None:
        if run.state == RunState.COMPARING or run.paused_from == RunState.COMPARING:
            return ngettext("{n} record compared", "{n} records compared", headway.done).format(n=done)
        return ngettext("{n} record done", "{n} records done", headway.done).format(n=done)
    of = number(headway.expected)
    stage = run.paused_from or run.state
    if stage == RunState.COMPARING:
        return ngettext("{n} of {of} record compared", "{n} of {of} records compared", headway.expected).format(n=done, of=of)
    if stage == RunState.WRITING and compares_first(run):
        return ngettext("{n} of {of} change written", "{n} of {of} changes written", headway.expected).format(n=done, of=of)
    return ngettext("{n} of {of} record done", "{n} of {of} records done", headway.expected).format(n=done, of=of)


def _tell_unbalanced(run: Run) -> Words:
    books = books_of(run)
    off = max(abs(books.in_difference), abs(books.out_difference), *map(abs, books.counter_differences.values() or [0]))
    said = ngettext("{n} record is not accounted for.", "{n} records are not accounted for.", off).format(n=number(off))
    where = pgettext("between clauses", "; ").join(texts.render(told) for told in differences_of(run, books))
    if where:
        said = _("{records} {where}.").format(records=said, where=where)
    if run.moves_cursor:
        return said, [_("tell whoever looks after the hub. The log of the workers has the details; the next run reads these records again.")], True
    return said, [_("tell whoever looks after the hub. The log of the workers has the details; a full run compares all records again.")], True


def left_since(run: Run, left: int, still_open: int) -> str:
    """What became of the records that the run left and that it no longer has an open row of."""
    gone = left - still_open
    if gone <= 0 or run.is_live:
        return ""
    return ngettext(
        "{n} more record was left; it has been replayed, dismissed or met by a later run since.",
        "{n} more records were left; they have been replayed, dismissed or met by a later run since.",
        gone,
    ).format(n=number(gone))


def absent_words(run: Run, counts: dict[str, int]) -> str:
    """That some of the records a person named are not in the source; "" where all were found. Replayed records may be read as they were kept."""
    absent = counts["absent"] if run.keys is not None and run.trigger != Trigger.REPLAY else 0
    if not absent:
        return ""
    said = ngettext("{n} of the records that were named is not in {source}.", "{n} of the records that were named are not in {source}.", absent)
    return said.format(n=number(absent), source=run.source.system.name)


def _tell_succeeded(run: Run, counts: dict[str, int]) -> Words:
    if run.dry:
        return _tell_dry(run, counts)
    target, source = run.target.system.name, run.source.system.name
    if run.keys_only:
        return _tell_keys(run, counts)
    absent = absent_words(run, counts)
    if not counts["read"]:
        if absent:
            return absent, [_("see whether their keys are right.")], True
        if run.mode == Mode.INCREMENTAL:
            return _("Nothing had changed in {source}.").format(source=source), [_("Nothing needs you now.")], False
        return _("{source} has no records, so nothing was written.").format(source=source), [_("See whether that is right.")], False
    right = _right(run, counts)
    said = ngettext("The record that was taken is right in {target}.", "All {n} records that were taken are right in {target}.", right).format(
        n=number(right), target=target
    )
    if not right and counts["withheld"] + counts["parked"]:
        said = _("Nothing was written to {target}.").format(target=target)
    elif not right:
        said = _("Every record was left out by the filter, so nothing was written.")
    following = [absent, *([" "] if absent and counts["withheld"] else []), _refused_words(counts["withheld"]), *_waiting_words(run, counts)]
    return said, following if any(following) else [_("Nothing needs you now.")], False


def _tell_keys(run: Run, counts: dict[str, int]) -> Words:
    """A run over the keys alone: what was gone."""
    read = ngettext("{n} key of {source} was read", "{n} keys of {source} were read", counts["read"])
    read = read.format(n=number(counts["read"]), source=run.source.system.name)
    gone = counts["missing"] - counts["kept"] - counts["withheld"]
    following: list[str | Link] = [_refused_words(counts["withheld"]) or _("Nothing needs you now.")]
    if not gone:
        said = _("{keys}, and nothing was to be done in {target}.") if counts["withheld"] else _("{keys}, and no linked record is gone.")
        return said.format(keys=read, target=run.target.system.name), following, False
    said = ngettext(
        "{keys}; {n} linked record is gone, and so it is in {target}.", "{keys}; {n} linked records are gone, and so they are in {target}.", gone
    )
    return said.format(keys=read, n=number(gone), target=run.target.system.name), following, False


def _right(run: Run, counts: dict[str, int]) -> int:
    """How many records are right in the target now, as far as the run has looked at them."""
    return counts["created"] + counts["updated"] + counts["deleted"] + (0 if run.keys_only else counts["unchanged"])


def _refused_words(n: int) -> str:
    """How many changes a run has left out because somebody had refused them: all that it withheld, where none of it waits for a decision."""
    said = ngettext("{n} change was left out, for somebody has refused it.", "{n} changes were left out, for somebody has refused them.", n)
    return said.format(n=number(n)) if n else ""


def _waiting_words(run: Run, counts: dict[str, int]) -> list[str | Link]:
    """How many of the records that this run parked still wait for another one."""
    waiting = OpenRow.objects.open().filter(run=run, state=OpenState.PARKED).count() if counts["parked"] else 0
    if not waiting:
        return []
    said = ngettext("{n} record waits for another one’s link", "{n} records wait for another one’s link", waiting).format(n=number(waiting))
    return [Link(said, f"{reverse('rejects:list')}?run={run.pk}&state=parked"), _(". Parked records go on by themselves. ")]


def _tell_undo(run: Run) -> Words:
    """A plan that undoes: how much of what was written can be set back."""
    count = plans.count_of(run)
    said = ngettext(
        "{n} record of {target} would be as it was before; nothing was written.",
        "{n} records of {target} would be as they were before; nothing was written.",
        count,
    ).format(n=number(count), target=run.target.system.name)
    if not count:
        said = _("There is nothing to undo in {target}.").format(target=run.target.system.name)
    return said, [_("open the plan; it tells what cannot be undone as well.")] if plans.is_plan(run) else [], bool(count)


def planned_by(run: Run) -> tuple[int, int]:
    """How many records a dry run would write, and of how many others it would only make or end the link; once its changes are gone, all as one."""
    if not run.changes_kept:
        return run.sums()["not_sent"], 0
    planned = plans.planned_of(run)
    writes = planned["creates"] + planned["updates"] + planned["deletes"]
    return writes, planned["rows"] - writes


def link_words(n: int) -> str:
    return ngettext("Of {n} record only the link would change.", "Of {n} records only the link would change.", n).format(n=number(n))


def _tell_dry(run: Run, counts: dict[str, int]) -> Words:
    if run.undoes is not None:
        return _tell_undo(run)
    if run.reconciles:
        return _tell_reconcile(run, counts)
    target = run.target.system.name
    would = counts["not_sent"]
    missed = sum(counts[name] for name in (*MISSED, "parked"))
    writes, links = planned_by(run)
    said = ngettext("{n} record would be written to {target}; nothing was.", "{n} records would be written to {target}; nothing was.", writes)
    said = said.format(n=number(writes), target=target) if writes else _("Nothing would be written to {target}.").format(target=target)
    said = f"{said} {link_words(links)}" if links else said
    following: list[str | Link] = [_("open the plan; what is right of it can be approved and applied.")] if would else []
    if absent := absent_words(run, counts):
        following += [" " if following else "", absent]
    for beyond in guards.beyond_of([run]).get(run.pk, ()):
        following += [" " if following else "", texts.render(beyond.sentence)]
    if missed:
        rejects = ngettext("{n} would be left.", "{n} would be left.", missed).format(n=number(missed))
        following += [" " if following else "", Link(rejects, f"{reverse('rejects:list')}?run={run.pk}")]
    return said, following, bool(would)


def _tell_reconcile(run: Run, counts: dict[str, int]) -> Words:
    """How many records are to be mended, and where they can be seen."""
    drift = RecordDrift.objects.filter(run=run).first()
    if drift is None:  # it has ended as it was before it counted
        return _("Both sides were compared, and nothing was counted."), [], False
    following: list[str | Link] = []
    if drift.left:
        before, __, after = _("look at {drift}; what is right of the plan can be approved and applied.").partition("{drift}")
        where: list[str | Link] = [Link(_("the drift by field and record"), reverse("syncs:drift", args=[run.sync_id]))] if run.sync_id else []
        following = [before, *where, after] if where else []
    if missed := sum(counts[name] for name in MISSED):
        left = ngettext("{n} could not be compared.", "{n} could not be compared.", missed).format(n=number(missed))
        following += [" " if following else "", Link(left, f"{reverse('rejects:list')}?run={run.pk}")]
    return records_apart(drift, run), following, bool(drift.left)


def _tell_with_rejects(run: Run, counts: dict[str, int]) -> Words:
    if run.dry:
        return _tell_dry(run, counts)
    right = _right(run, counts)
    missed = sum(counts[name] for name in MISSED)
    left = ngettext("{n} did not arrive", "{n} did not arrive", missed).format(n=number(missed))
    said = ngettext(
        "{right} of {all} record is right in {target}; {left}.", "{right} of {all} records are right in {target}; {left}.", right + missed
    )
    said = said.format(right=number(right), all=number(right + missed), target=run.target.system.name, left=left)
    some_open = OpenRow.objects.open().filter(run=run, state__in=MISSED).exists()
    following = _none_open_words(run, missed)
    if some_open:
        following = [Link(_("clear them by cause"), f"{reverse('rejects:list')}?run={run.pk}"), _(". The next runs of this sync go on meanwhile.")]
    following += [" ", *waiting] if (waiting := _waiting_words(run, counts)) else []
    following += [" ", told] if (told := _refused_words(counts["withheld"])) else []
    if absent := absent_words(run, counts):
        following += [" ", absent]
    return said, following, some_open


def _none_open_words(run: Run, missed: int) -> list[str | Link]:
    """What became of the records that did not arrive, where no open row of the run is left."""
    closed = f"{reverse('rejects:list')}?run={run.pk}&state=closed"
    if OpenRow.objects.filter(run=run, state__in=MISSED, closed_as=Closed.DISMISSED).count() < missed:
        return [left_since(run, missed, 0), " ", Link(_("Closed"), closed)]
    before, __, after = _("nothing needs you now, for {dismissed}.").partition("{dismissed}")
    return [before, Link(_("all of them were dismissed"), closed), after]


def _tell_awaiting(run: Run, counts: dict[str, int]) -> Words:
    """What is withheld, and where it is decided."""
    decisions, n = decisions_of(run), counts["withheld"]
    if decisions:  # some of what was withheld may have been refused before
        n = min(n, sum(decision.count for decision in decisions))
    said = ngettext("{n} change waits for a decision; the rest went through.", "{n} changes wait for a decision; the rest went through.", n)
    missed, left = sum(counts[name] for name in MISSED), ""
    if not missed and not _right(run, counts):
        said = ngettext("{n} change waits for a decision.", "{n} changes wait for a decision.", n)
    if missed:
        left = ngettext("{n} record did not arrive", "{n} records did not arrive", missed).format(n=number(missed))
        said = ngettext("{n} change waits for a decision, and {left}.", "{n} changes wait for a decision, and {left}.", n)
    said = said.format(n=number(n), left=left)
    following: list[str | Link] = []
    for decision in decisions:
        following += [" · " if following else "", Link(decision.sentence, decision.get_absolute_url())]
    if not following:
        following = [_("It was decided since, or a later run found nothing left to decide.")]
    if missed:
        following += [" · ", Link(_("clear by cause what did not arrive"), f"{reverse('rejects:list')}?run={run.pk}")]
    if refused := guards.refused_of(run):
        following += [" · ", _refused_words(refused)]
    return said, following, True


def decisions_of(run: Run) -> list[Decision]:
    """The open decisions about what this run withheld."""
    if run.sync is None or not run.withheld:
        return []
    return list(Decision.objects.open().about(run.sync).filter(part__in=run.withheld).order_by("pk"))


def _tell_failed_run(run: Run, counts: dict[str, int]) -> Words:
    said = texts.render(run.error) or _("The run failed without saying why; its log has what it did last.")
    written = counts["created"] + counts["updated"] + counts["deleted"]
    kept = ngettext(
        "{n} record was written and stays; the next run goes on from where the cursor stands.",
        "{n} records were written and stay; the next run goes on from where the cursor stands.",
        written,
    ).format(n=number(written))
    if not written:
        kept = _("Nothing was written. Once the cause is gone, run the sync again, or leave it to its schedule.")
    return said, [kept], False


def _tell_cancelled(run: Run, counts: dict[str, int]) -> Words:
    written = counts["created"] + counts["updated"] + counts["deleted"]
    said = ngettext("Cancelled after {n} record was written; it stays.", "Cancelled after {n} records were written; they stay.", written).format(
        n=number(written)
    )
    if not written:
        said = _("Cancelled before anything was written.")
    return said, [_("The next run reads again from where the cursor stands; nothing is missed.")], False


_TELL_ENDED = {
    RunState.SUCCEEDED: _tell_succeeded,
    RunState.WITH_REJECTS: _tell_with_rejects,
    RunState.AWAITING_DECISION: _tell_awaiting,
    RunState.FAILED: _tell_failed_run,
    RunState.CANCELLED: _tell_cancelled,
}
