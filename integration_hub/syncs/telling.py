"""Syncs and runs in sentences: verdicts with their next step, balances, schedules. What the pages, the overview and the mails say alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from integration_hub.core import texts
from integration_hub.core.parts import Balance, Bar, Bars, Count, Fact, Link, Sum, Verdict
from integration_hub.core.templatetags.hub import ago_text, capped, clock, duration, interval, number
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs.books import books_of
from integration_hub.syncs.freshness import Standing
from integration_hub.syncs.models import Partition, Run, Sync
from integration_hub.syncs.progress import Headway, compares_first
from integration_hub.syncs.states import ENDED_WHOLE, Freshness, Mode, PartitionState, RunState, Trigger
from integration_hub.systems.models import Entity

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
MISSED = ("rejected", "refused", "parked", "moved", "unknown")


def run_state(run: Run) -> str:
    """As core.parts colours it: a run whose books do not balance is red, however it ended."""
    return "bad" if run.balanced is False else RUN_STATES[RunState(run.state)]


def href(name: str, *args: Any) -> str:
    """The address of a page of another app; "" where it has none."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


# --- names ------------------------------------------------------------------------------------------------------------


def entity_name(entity: Entity) -> str:
    return _("{entity} of {system}").format(entity=entity.label or entity.name, system=entity.system.name)


def from_to(thing: Sync | Run) -> str:
    return f"{entity_name(thing.source)} → {entity_name(thing.target)}"


def schedule_words(sync: Sync) -> str:
    if sync.interval_seconds:
        return interval(sync.interval_seconds)
    if sync.crontab:
        return _("by crontab {crontab} ({zone})").format(crontab=sync.crontab, zone=sync.time_zone)
    return _("by hand only")


def mode_words(mode: str) -> str:
    return _("changes only") if mode == Mode.INCREMENTAL else _("everything each time")


def version_words(version: MappingVersion) -> str:
    return _("{mapping} v{number}").format(mapping=version.mapping.name, number=version.number)


def started_by(run: Run) -> str:
    if run.trigger == Trigger.SCHEDULE:
        return _("by schedule")
    if run.trigger == Trigger.REPLAY:
        return _("replay by {name}").format(name=run.actor_name)
    return _("by {name}").format(name=run.actor_name)


# --- a sync -----------------------------------------------------------------------------------------------------------


def sync_words(sync: Sync) -> list[str | Link]:
    """The sync as a sentence, with its mapping as a link."""
    said = _("{what}, {schedule}, {mode}, by mapping ").format(what=from_to(sync), schedule=schedule_words(sync), mode=mode_words(sync.mode))
    latest = sync.mapping.latest
    name = version_words(latest) if latest else _("{mapping}, not published yet").format(mapping=sync.mapping.name)
    where = href("mappings:detail", sync.mapping_id)
    return [said, Link(name, where) if where else name]


def sync_verdict(standing: Standing, acts: Sequence[Any] = ()) -> Verdict:
    """Is the target right and fresh?"""
    sentence, following, asks = _TELL_SYNC[standing.freshness](standing)
    if standing.live is not None:
        following = [*following, " " if following else "", *_going_words(standing.live)]
    return Verdict(
        standing.state,
        str(standing.freshness.label),
        sentence,
        icon=standing.icon,
        since=sync_words(standing.sync),
        next=following,
        asks=asks,
        acts=acts,
    )


def _going_words(run: Run) -> list[str | Link]:
    before, __, after = _("{run} is going on now.").partition("{run}")
    return [before, Link(_("Run {number}").format(number=number(run.pk)), run.get_absolute_url()), after]


Words = tuple[str, list[str | Link], bool]


def _tell_fresh(standing: Standing) -> Words:
    sync = standing.sync
    said = _("{target} holds what {source} had {when}.").format(
        target=sync.target.system.name, source=sync.source.system.name, when=ago_text(sync.last_success_at)
    )
    return said, [_("Nothing needs you now.")], False


def _missing(standing: Standing) -> str:
    return ngettext("{n} record has not arrived", "{n} records have not arrived", standing.open_count).format(n=capped(standing.open_count))


def _look_at_rejects(standing: Standing) -> list[str | Link]:
    return [Link(_("look at what was left, by cause."), f"{reverse('rejects:list')}?sync={standing.sync.pk}")]


def _tell_incomplete(standing: Standing) -> Words:
    said = _("{target} is fresh, but {missing}.").format(target=standing.sync.target.system.name, missing=_missing(standing))
    return said, _look_at_rejects(standing), True


def _tell_late(standing: Standing) -> Words:
    sync = standing.sync
    if standing.behind is None:
        said = _("{target} has not been brought up to date once; its objective is {objective}.").format(
            target=sync.target.system.name, objective=duration(sync.objective_seconds)
        )
    else:
        said = _("{target} is {behind} behind {source}; its objective is {objective}.").format(
            target=sync.target.system.name,
            source=sync.source.system.name,
            behind=duration(standing.behind),
            objective=duration(sync.objective_seconds),
        )
    if standing.live is not None:
        return said, [], False
    return said, [late_because(standing)], False


def late_because(standing: Standing) -> str:
    """Why a late sync is late, as far as its own rows tell."""
    sync = standing.sync
    if standing.live is not None:
        return _("A run is going on.")
    if standing.last is not None and standing.last.state == RunState.FAILED:
        return _("The last run failed.")
    if sync.next_due_at is None:
        return _("It runs by hand only.")
    if sync.next_due_at < timezone.now():
        return _("It was due {when} and has not started: another run of the pair holds it up, or the scheduler is not running.").format(
            when=ago_text(sync.next_due_at)
        )
    return _("It runs too seldom for its objective.")


def _tell_failed(standing: Standing) -> Words:
    sync, run = standing.sync, standing.last
    as_of = (
        _("{target} is as of {when}.").format(target=sync.target.system.name, when=clock(sync.last_success_at))
        if sync.last_success_at
        else _("Nothing complete has come to {target} yet.").format(target=sync.target.system.name)
    )
    said = _("The last run failed; {as_of}").format(as_of=_lower_first(as_of) if sync.last_success_at is None else as_of)
    following: list[str | Link] = []
    if run is not None:
        following = [Link(_("see why run {number} failed.").format(number=number(run.pk)), run.get_absolute_url())]
    return said, following, True


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _tell_stuck(standing: Standing) -> Words:
    sync = standing.sync
    return _("{target} is not kept fresh: this sync could not start.").format(target=sync.target.system.name), [sync.refusal], True


def _tell_paused(standing: Standing) -> Words:
    sync = standing.sync
    said = _("{target} is not kept fresh: this sync was paused {when}.").format(target=sync.target.system.name, when=ago_text(sync.paused_at))
    return said, [_("resume it; however many times it was due, it then runs once.")], True


def _tell_first_run(standing: Standing) -> Words:
    sync = standing.sync
    return _("{target} is being filled for the first time.").format(target=sync.target.system.name), [], False


def _tell_never_ran(standing: Standing) -> Words:
    sync = standing.sync
    if sync.mapping.latest is None:
        where = href("mappings:detail", sync.mapping_id)
        return (
            _("Nothing has been brought to {target} yet: the mapping is not published.").format(target=sync.target.system.name),
            [Link(_("publish {mapping}.").format(mapping=sync.mapping.name), where)],
            True,
        )
    return (
        _("Nothing has been brought to {target} yet.").format(target=sync.target.system.name),
        [_("make a dry run, which writes nothing, and look at what it would do.")],
        True,
    )


_TELL_SYNC = {
    Freshness.FRESH: _tell_fresh,
    Freshness.INCOMPLETE: _tell_incomplete,
    Freshness.LATE: _tell_late,
    Freshness.FAILED: _tell_failed,
    Freshness.STUCK: _tell_stuck,
    Freshness.PAUSED: _tell_paused,
    Freshness.FIRST_RUN: _tell_first_run,
    Freshness.NEVER_RAN: _tell_never_ran,
}


def sync_facts(standing: Standing, last_success: Run | None, linked: int, linked_cap: int) -> list[Fact]:
    sync = standing.sync
    note = ago_text(sync.last_success_at) if sync.last_success_at else _("no run has succeeded yet")
    if last_success is not None:
        note = _("{ago}, run {number}").format(ago=note, number=number(last_success.pk))
    objective = _("objective {time}").format(time=duration(sync.objective_seconds)) if sync.objective_seconds else _("no objective set")
    if sync.paused_at:
        due, due_note = "—", _("paused")
    elif sync.next_due_at is None:
        due, due_note = "—", _("by hand only")
    elif sync.next_due_at < timezone.now():
        due, due_note = clock(sync.next_due_at), _("due now")
    else:
        due, due_note = clock(sync.next_due_at), ago_text(sync.next_due_at)
    return [
        Fact(_("Last success"), clock(sync.last_success_at), note, last_success.get_absolute_url() if last_success else ""),
        Fact(_("Behind"), duration(standing.behind), objective),
        Fact(_("Next due"), due, due_note),
        Fact(_("Linked records"), capped(linked, linked_cap), _("known on both sides")),
        Fact(_("Deletes"), _("Not seen"), _("deletes in {system} are not followed yet").format(system=sync.source.system.name)),
    ]


def written_twice(sync: Sync) -> str:
    """How a create whose answer was lost is kept from being made twice; or that it cannot be told."""
    target = sync.target.as_schema()
    can, system = target.capabilities, sync.target.system.name
    if can.idempotency_key:
        return _("never: {system} takes an idempotency key").format(system=system)
    if can.upsert:
        return _("never: {system} takes an upsert by key").format(system=system)
    latest = sync.mapping.latest
    for fields in (latest.definition if latest else sync.mapping.draft).get("match", []):
        if (tuple(fields) == tuple(target.key) and can.lookup_by_key) or set(fields) & set(can.lookup_by):
            return _("never: {system} is asked by {fields} before a create is sent again").format(system=system, fields=texts.listed(fields))
    return _("{system} offers no upsert, idempotency key or lookup: a create whose answer is lost waits for a person").format(system=system)


def run_bars(runs: Sequence[Run]) -> Bars:
    """The last runs, oldest first, for hub/_bars.html."""
    bars = []
    oldest_first = list(reversed(runs))
    for place, run in enumerate(oldest_first):
        seconds = ((run.ended_at or timezone.now()) - (run.started_at or run.made_at)).total_seconds()
        title = _("Run {number}, {when}: {state}, {duration}").format(
            number=number(run.pk), when=clock(run.made_at), state=run.get_state_display(), duration=duration(seconds)
        )
        ticked = place == len(oldest_first) - 1 or (place % 6 == 0 and place < len(oldest_first) - 3)
        bars.append(Bar(max(0.0, seconds), RUN_STATES[RunState(run.state)], title, run.get_absolute_url(), clock(run.made_at) if ticked else ""))
    return Bars(_("Last {n} runs: how long each took and how it ended").format(n=len(runs)), bars)


def bars_legend(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Colour and sentence for each outcome that occurs, and what the height means."""
    groups = (
        ("ok", _("Succeeded"), (RunState.SUCCEEDED,)),
        ("warn", _("With rejects"), (RunState.WITH_REJECTS, RunState.AWAITING_DECISION)),
        ("bad", _("Failed"), (RunState.FAILED,)),
        ("idle", _("Cancelled"), (RunState.CANCELLED,)),
    )
    found = [(state, f"{word} {n}") for state, word, states in groups if (n := sum(run.state in states for run in runs))]
    longest = max((run.ended_at - run.started_at for run in runs if run.ended_at and run.started_at), default=None)
    return [*found, ("", _("Height: duration, longest {time}").format(time=duration(longest)))] if longest is not None else found


# --- a run ------------------------------------------------------------------------------------------------------------


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
    word = _("Books do not balance") if run.balanced is False else _state_word(run)
    return Verdict(state, word, sentence, icon=icon, since=[_run_times(run)], next=following, asks=asks, acts=acts)


def _state_word(run: Run) -> str:
    if run.cancel_at and run.is_live:
        return _("Being cancelled")
    if run.dry and run.state in (*ENDED_WHOLE, RunState.COMPARING):
        return _("Dry run: {state}").format(state=run.get_state_display())
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
    return said, [_("see below where the books differ, and tell whoever looks after the hub. The log of the workers has the details.")], True


def absent_words(run: Run, counts: dict[str, int]) -> str:
    """That some of the records a person named are not in the source; "" where all were found. Replayed records may be read as they were kept."""
    absent = len(run.keys or ()) - counts["read"] if run.trigger != Trigger.REPLAY else 0
    if absent <= 0:
        return ""
    said = ngettext("{n} of the records that were named is not in {source}.", "{n} of the records that were named are not in {source}.", absent)
    return said.format(n=number(absent), source=run.source.system.name)


def _tell_succeeded(run: Run, counts: dict[str, int]) -> Words:
    if run.dry:
        return _tell_dry(run, counts)
    target, source = run.target.system.name, run.source.system.name
    absent = absent_words(run, counts)
    if not counts["read"]:
        if absent:
            return absent, [_("see whether their keys are right.")], True
        if run.mode == Mode.INCREMENTAL:
            return _("Nothing had changed in {source}.").format(source=source), [_("Nothing needs you now.")], False
        return _("{source} has no records, so nothing was written.").format(source=source), [_("See whether that is right.")], False
    right = counts["created"] + counts["updated"] + counts["unchanged"]
    said = ngettext("The record that was taken is right in {target}.", "All {n} records that were taken are right in {target}.", right).format(
        n=number(right), target=target
    )
    if not right:
        said = _("Every record was left out by the filter, so nothing was written.")
    return said, [absent or _("Nothing needs you now.")], False


def _tell_dry(run: Run, counts: dict[str, int]) -> Words:
    target = run.target.system.name
    would = counts["not_sent"]
    missed = sum(counts[name] for name in MISSED)
    if not would:
        said = _("Nothing would be written to {target}.").format(target=target)
    else:
        said = ngettext("{n} record would be written to {target}; nothing was.", "{n} records would be written to {target}; nothing was.", would)
        said = said.format(n=number(would), target=target)
    following: list[str | Link] = [_("look at the changes below; if they are right, run the sync.")] if would else []
    if absent := absent_words(run, counts):
        following += [" " if following else "", absent]
    if missed:
        rejects = ngettext("{n} would be left.", "{n} would be left.", missed).format(n=number(missed))
        following += [" " if following else "", Link(rejects, f"{reverse('rejects:list')}?run={run.pk}")]
    return said, following, bool(would)


def _tell_with_rejects(run: Run, counts: dict[str, int]) -> Words:
    if run.dry:
        return _tell_dry(run, counts)
    right = counts["created"] + counts["updated"] + counts["unchanged"]
    missed = sum(counts[name] for name in MISSED)
    left = ngettext("{n} did not arrive", "{n} did not arrive", missed).format(n=number(missed))
    said = ngettext(
        "{right} of {all} record is right in {target}; {left}.", "{right} of {all} records are right in {target}; {left}.", right + missed
    )
    said = said.format(right=number(right), all=number(right + missed), target=run.target.system.name, left=left)
    following: list[str | Link] = [
        Link(_("clear them by cause"), f"{reverse('rejects:list')}?run={run.pk}"),
        _(". The next runs of this sync go on meanwhile."),
    ]
    if absent := absent_words(run, counts):
        following += [" ", absent]
    return said, following, True


def _tell_failed_run(run: Run, counts: dict[str, int]) -> Words:
    said = texts.render(run.error) or _("The run failed without saying why; its log has what it did last.")
    written = counts["created"] + counts["updated"]
    kept = ngettext(
        "{n} record was written and stays; the next run goes on from where the cursor stands.",
        "{n} records were written and stay; the next run goes on from where the cursor stands.",
        written,
    ).format(n=number(written))
    if not written:
        kept = _("Nothing was written. Once the cause is gone, run the sync again, or leave it to its schedule.")
    return said, [kept], False


def _tell_cancelled(run: Run, counts: dict[str, int]) -> Words:
    written = counts["created"] + counts["updated"]
    said = ngettext("Cancelled after {n} record was written; it stays.", "Cancelled after {n} records were written; they stay.", written).format(
        n=number(written)
    )
    if not written:
        said = _("Cancelled before anything was written.")
    return said, [_("The next run reads again from where the cursor stands; nothing is missed.")], False


_TELL_ENDED = {
    RunState.SUCCEEDED: _tell_succeeded,
    RunState.WITH_REJECTS: _tell_with_rejects,
    RunState.AWAITING_DECISION: _tell_with_rejects,
    RunState.FAILED: _tell_failed_run,
    RunState.CANCELLED: _tell_cancelled,
}


# --- the balance ------------------------------------------------------------------------------------------------------


def run_balance(run: Run, counts: dict[str, int], planned: dict[str, int]) -> Balance:
    """Two sums, in and out. `planned`: creates, updates and links in change sets that nobody has written."""
    rejects = f"{reverse('rejects:list')}?run={run.pk}"
    changes = reverse("runs:changes", args=[run.pk])
    mapped_from = counts["produced"]
    line_in = Sum(
        _("In"),
        [Count(counts["read"], _("read"), title=_("read from {source}").format(source=entity_name(run.source)))],
        [
            Count(mapped_from, _("mapped"), "=", title=_("made into a record of the target")),
            Count(counts["filtered"], _("filtered"), "+", title=_("left out by the sync's filter")),
            Count(counts["rejected"], _("rejected"), "+", "warn", f"{rejects}&state=rejected" if counts["rejected"] else ""),
            *_rare([("parked", _("parked"), "")], counts, rejects),
            Count(counts["duplicate"], _("duplicate"), "+", title=_("met again later in the same page; the later one counts")),
        ],
    )
    waits = planned["total"] if run.is_live or run.dry else 0
    not_sent = counts["not_sent"] - (planned["total"] if run.dry and not run.is_live else 0)
    ends = [
        Count(counts["created"], _("created"), "=", href=f"{changes}?operation=create" if counts["created"] else ""),
        Count(counts["updated"], _("updated"), "+", href=f"{changes}?operation=update" if counts["updated"] else ""),
    ]
    planning = run.dry or (compares_first(run) and (run.paused_from or run.state) in (RunState.QUEUED, RunState.COMPARING))
    if planning:
        ends = [
            Count(planned["creates"], _("to create"), "=", href=f"{changes}?operation=create" if planned["creates"] else ""),
            Count(planned["updates"], _("to update"), "+", href=f"{changes}?operation=update" if planned["updates"] else ""),
            Count(
                planned["links"],
                _("to link"),
                "+",
                href=f"{changes}?operation=adopt" if planned["links"] else "",
                title=_("already as it should be in the target; only the link is made"),
            ),
        ]
    elif waits:
        ends.append(Count(waits, _("on the way"), "+", title=_("compared, and waiting to be written")))
    rare = [("moved", _("moved"), "moved"), ("unknown", _("unknown"), "unknown")]
    line_out = Sum(
        _("Out"),
        [Count(counts["produced"], _("produced"), title=_("records for {target}").format(target=entity_name(run.target)))],
        [
            *ends,
            Count(counts["unchanged"], _("unchanged"), "+", title=_("the target already was as it should be; nothing is kept of each")),
            Count(counts["refused"], _("refused"), "+", "bad", f"{rejects}&state=refused" if counts["refused"] else ""),
            *_rare(rare, counts, rejects, extra=[(not_sent, _("not sent"), _("planned, and left when the run ended"))]),
        ],
    )
    return Balance([line_in, line_out], *_foot(run, counts, waits, not_sent))


def _rare(kinds: Sequence[tuple[str, str, str]], counts: dict[str, int], rejects: str, *, extra: Sequence[tuple[int, str, str]] = ()) -> list[Count]:
    """States that are almost always zero: one number while they are, each its own when not."""
    shown = [Count(counts[name], word, "+", "warn", f"{rejects}&state={state}" if state else rejects) for name, word, state in kinds if counts[name]]
    shown += [Count(n, word, "+", "warn", title=title) for n, word, title in extra if n]
    quiet = [word for name, word, __ in kinds if not counts[name]] + [word for n, word, __ in extra if not n]
    if len(quiet) == 1:
        shown.append(Count(0, quiet[0], "+"))
    elif quiet:
        shown.append(Count(0, ngettext("{n} other", "{n} others", len(quiet)).format(n=len(quiet)), "+", title=texts.listed(quiet)))
    return shown


def _foot(run: Run, counts: dict[str, int], waits: int, not_sent: int) -> tuple[str, str, str]:
    if run.is_live:
        off = counts["read"] - counts["produced"] - sum(counts[name] for name in ("filtered", "rejected", "parked", "duplicate"))
        if off:
            return "run", _("Being counted"), ""
        return "ok", _("Balances so far"), _("Deletes are not followed yet.")
    if run.balanced:
        return (
            "ok",
            _("The books balance"),
            _("Every record read and every change is accounted for, recounted from the journal at {time}.").format(time=clock(run.ended_at)),
        )
    books = books_of(run)
    where = []
    if books.in_difference:
        where.append(_("In differs by {n}").format(n=number(books.in_difference)))
    if books.out_difference:
        where.append(_("Out differs by {n}").format(n=number(books.out_difference)))
    where += [_("the counter of {name} differs by {n}").format(name=name, n=number(n)) for name, n in books.counter_differences.items()]
    return (
        "bad",
        _("The books do not balance"),
        pgettext("between clauses", "; ").join(where) or _("They did not when the run ended; recounted now they do."),
    )
