"""A sync in sentences: is its target right and fresh, and what next?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.core.parts import Bar, Bars, Fact, Link, Verdict
from integration_hub.core.templatetags.hub import ago_text, capped, clock, duration, number
from integration_hub.syncs import guards, order, schedule
from integration_hub.syncs.freshness import Standing
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.policies import sees_deletes
from integration_hub.syncs.states import DeletePolicy, Freshness, LeftFilter, Mode, RunState
from integration_hub.syncs.telling.names import Words, from_to, href, mode_words, schedule_words, version_words
from integration_hub.syncs.telling.runs import run_state, run_word


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
    if standing.sync.restored_at is not None:
        following = [*following, " " if following else "", restored_words(standing.sync)]
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


def restored_words(sync: Sync) -> str:
    """That a backup was put back, until a run over everything went through."""
    return _(
        "The hub was restored from a backup {when}, so the next run reads everything and looks for each record that has no link by its match keys "
        "before it creates it."
    ).format(when=clock(sync.restored_at))


def _going_words(run: Run) -> list[str | Link]:
    before, __, after = _("{run} is going on now.").partition("{run}")
    return [before, Link(_("Run {number}").format(number=number(run.pk)), run.get_absolute_url()), after]


def _tell_fresh(standing: Standing) -> Words:
    sync = standing.sync
    said = _("{target} holds what {source} had {when}.").format(
        target=sync.target.system.name, source=sync.source.system.name, when=ago_text(sync.last_success_at)
    )
    return said, [_("Nothing needs you now.")], False


def _missing(standing: Standing) -> str:
    return ngettext("{n} record has not arrived", "{n} records have not arrived", standing.open_count).format(n=capped(standing.open_count))


def _look_at_rejects(standing: Standing) -> list[str | Link]:
    decisions = [Link(decision.sentence, decision.get_absolute_url()) for decision in Decision.objects.open().about(standing.sync)[:3]]
    if decisions:
        return [part for link in decisions for part in (link, " · ")][:-1]
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
        if names := order.held_up_by(sync):
            return _("It was due {when} and waits for {names}, which it runs after.").format(
                when=ago_text(sync.next_due_at), names=texts.listed(names)
            )
        return _("It was due {when} and has not started: another run of the pair holds it up, or the scheduler is not running.").format(
            when=ago_text(sync.next_due_at)
        )
    return _("It runs too seldom for its objective.")


def _tell_unbalanced(standing: Standing) -> Words:
    run = standing.last
    said = _("It is not known whether all of it has come to {target}: the books of the last run do not balance.").format(
        target=standing.sync.target.system.name
    )
    return said, [Link(_("see which sum of run {number} differs.").format(number=number(run.pk)), run.get_absolute_url())] if run else [], True


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
    return _("{target} is not kept fresh: this sync could not start.").format(target=sync.target.system.name), [texts.render(sync.refusal)], True


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
    Freshness.UNBALANCED: _tell_unbalanced,
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
        Fact(_("Deletes"), *deletes_told(sync)),
    ]


def deletes_told(sync: Sync) -> tuple[str, str]:
    """Whether deletes in the source are followed, and how they are seen."""
    system = sync.source.system.name
    if sync.deletes == DeletePolicy.IGNORE:
        return _("Not followed"), _("what is deleted in {system} stays in {target}").format(system=system, target=sync.target.system.name)
    said = str(sync.get_deletes_display())
    tells = sync.source.as_schema().capabilities.tombstones
    if not sees_deletes(sync):
        return (
            (said, _("seen where {system} tells them").format(system=system))
            if tells
            else (
                _("Not seen"),
                _("{system} cannot be asked for single records, and its order is not stable").format(system=system),
            )
        )
    if sync.mode == Mode.FULL:
        return said, _("seen by every run")
    if schedule.is_set(sync, schedule.ROSTER):
        keys = _("seen by reading all keys, {schedule}").format(schedule=schedule_words(sync, schedule.ROSTER))
        return said, _("{keys}, and by every run, for {system} tells them").format(keys=keys, system=system) if tells else keys
    if tells:
        return said, _("seen by every run, for {system} tells them, and by full runs").format(system=system)
    return said, _("seen by full runs only, which are started by hand")


def rosters_told(sync: Sync) -> str:
    """When the keys were read last, and will be next."""
    last = clock(sync.roster_read_at) if sync.roster_read_at else _("not yet")
    due = _("when it is resumed") if sync.paused_at else clock(sync.roster_due_at)
    said = _("all keys are read {schedule}; last {last}, next {due}")
    return said.format(schedule=schedule_words(sync, schedule.ROSTER), last=last, due=due)


def deletes_policy(sync: Sync) -> str:
    """What becomes of deleted records, and of those that leave the filter."""
    said = str(sync.get_deletes_display())
    if sync.deletes == DeletePolicy.MARK:
        said = _("{policy}: {field} becomes {value}").format(policy=said, field=sync.mark_field, value=sync.mark_value)
    if sync.left_filter == LeftFilter.DELETE:
        said = _("{policy}; so is what leaves the filter").format(policy=said)
    return said


def limits_told(sync: Sync) -> str:
    """What a run may do without asking."""
    words = {"create": _("creates"), "update": _("updates"), "delete": _("deletes")}
    told = []
    for operation, (most, percent) in guards.limits_of(sync).items():
        each = [number(most)] if most is not None else []
        each += [_("{n} % of the linked records").format(n=number(percent))] if percent is not None else []
        told.append(_("{changes}: {limits}").format(changes=words[operation], limits=_(" or ").join(each)))
    return pgettext("between clauses", "; ").join(told) or _("any number of changes")


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
            number=number(run.pk), when=clock(run.made_at), state=run_word(run), duration=duration(seconds)
        )
        ticked = place == len(oldest_first) - 1 or (place % 6 == 0 and place < len(oldest_first) - 3)
        bars.append(Bar(max(0.0, seconds), run_state(run), title, run.get_absolute_url(), clock(run.made_at) if ticked else ""))
    return Bars(_("Last {n} runs: how long each took and how it ended").format(n=len(runs)), bars)


def bars_legend(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Colour and sentence for each outcome that occurs, and what the height means."""
    groups = (  # a run whose books do not balance is red, however it ended
        ("ok", _("Succeeded"), (RunState.SUCCEEDED,)),
        ("warn", _("With rejects"), (RunState.WITH_REJECTS,)),
        ("warn", _("Awaiting decision"), (RunState.AWAITING_DECISION,)),
        ("bad", _("Failed"), (RunState.FAILED,)),
        ("idle", _("Cancelled"), (RunState.CANCELLED,)),
    )
    found = [
        (state, f"{word} {n}") for state, word, states in groups if (n := sum(run.state in states and run.balanced is not False for run in runs))
    ]
    if unbalanced := sum(run.balanced is False for run in runs):
        found.append(("bad", f"{_('Books do not balance')} {unbalanced}"))
    longest = max((run.ended_at - run.started_at for run in runs if run.ended_at and run.started_at), default=None)
    return [*found, ("", _("Height: duration, longest {time}").format(time=duration(longest)))] if longest is not None else found
