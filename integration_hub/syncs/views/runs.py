from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from integration_hub.core import texts
from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link, Progress
from integration_hub.core.templatetags.hub import clock, duration, number, percent
from integration_hub.syncs import plans, services, undo
from integration_hub.syncs.causes import Cause, causes_of
from integration_hub.syncs.journal import changes_of
from integration_hub.syncs.models import COUNTS, LogLine, Partition, Run, Sync
from integration_hub.syncs.progress import Headway, compares_first, headway_of, shares_of
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.states import LIVE, OpenState, PartitionState, RunState, Trigger
from integration_hub.syncs.telling.balance import run_balance
from integration_hub.syncs.telling.names import href, mode_words, started_by, version_words
from integration_hub.syncs.telling.runs import MISSED, RUN_ICONS, RUN_STATES, decisions_of, left_since, run_state, run_verdict
from integration_hub.syncs.views.reject_groups import acts_on, decide_act, group_of

LOG_SHOWN = 8
CHANGES_SHOWN = 8
GROUPS_SHOWN = 12
PERIODS = {
    "hour": (gettext_lazy("Last hour"), timedelta(hours=1)),
    "day": (gettext_lazy("Last 24 hours"), timedelta(days=1)),
    "week": (gettext_lazy("Last 7 days"), timedelta(days=7)),
    "month": (gettext_lazy("Last 30 days"), timedelta(days=30)),
}


class RunList(HubPage):
    permission = "syncs.view"
    title = gettext_lazy("Runs")
    nav = "runs"
    template_name = "runs/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        filters = run_filters(self.request, self.by)
        runs = narrowed(Run.objects.visible_to(self.by), *(each.value for each in filters))
        pager = key_page(runs.defer("keys", "settings"), self.request, order=("-pk",))
        shares = shares_of([run for run in pager.items if run.is_live])
        context |= {"filters": filters, "pager": pager, "is_live": any(run.is_live for run in pager.items), "export": reverse("runs:export")}
        context["rows"] = [
            {
                "run": run,
                "state": run_state(run),
                "icon": RUN_ICONS.get(RunState(run.state), ""),
                "share": shares.get(run.pk),
                "by": started_by(run),
                "seconds": _spent(run),
                "missed": sum(run.counts.get(name, 0) for name in MISSED),
                "written": sum(run.counts.get(name, 0) for name in ("created", "updated", "deleted")),
            }
            for run in pager.items
        ]
        return context


def run_filters(request: HttpRequest, by: Any) -> list[Filter]:
    return read_filters(
        request,
        Filter("sync", _("Sync"), Sync.objects.visible_to(by).order_by("name").values_list("pk", "name")[:500]),
        Filter("state", _("State"), RunState.choices),
        Filter("trigger", _("Started"), Trigger.choices),
        Filter("since", _("Time"), [(name, label) for name, (label, __) in PERIODS.items()]),
    )


class RunExport(Door):
    """The runs as chosen, newest first."""

    permission = "syncs.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        runs = narrowed(Run.objects.visible_to(self.by), *(each.value for each in run_filters(request, self.by)))
        head = (
            _("Run"), _("Sync"), _("State"), _("Dry run"), _("Mode"), _("Started by"), _("Asked for"), _("Started"), _("Ended"), _("Balance"), *COUNTS,
        )  # fmt: skip
        return csv_answer("runs", head, map(_cells, runs.defer("keys", "settings").order_by("-pk").iterator(chunk_size=1_000)))


def _cells(run: Run) -> list[Any]:
    times = [moment.isoformat() if moment else "" for moment in (run.made_at, run.started_at, run.ended_at)]
    balance = "" if run.balanced is None else "1" if run.balanced else "0"
    counts = [run.counts.get(name, 0) for name in COUNTS]
    return [run.pk, run.name, run.get_state_display(), "1" if run.dry else "0", run.get_mode_display(), started_by(run), *times, balance, *counts]


def narrowed(runs: Any, sync: str, state: str, trigger: str, since: str) -> Any:
    if sync:
        runs = runs.filter(sync=sync)
    if state:
        runs = runs.filter(state=state)
    if trigger:
        runs = runs.filter(trigger=trigger)
    if since:
        # Runs are numbered in the order of their time: the first number of the period, found in one step, serves every other index.
        first = Run.objects.filter(made_at__gte=timezone.now() - PERIODS[since][1]).order_by("made_at").values_list("pk", flat=True).first()
        runs = runs.filter(pk__gte=first) if first is not None else runs.none()
    return runs


def _spent(run: Run) -> timedelta | None:
    return (run.ended_at or timezone.now()) - run.started_at if run.started_at else None


# --- one run ----------------------------------------------------------------------------------------------------------


class OfRun(HubPage):
    """A page about one run."""

    permission = "syncs.view"
    nav = "runs"
    named: Any = ""

    def get_run(self) -> Run:
        if not hasattr(self, "_run"):
            self._run: Run = get_object_or_404(Run.objects.visible_to(self.by).with_names(), pk=self.kwargs["number"])
        return self._run

    def run_title(self) -> str:
        return _("Run {number}").format(number=number(self.get_run().pk))

    def get_title(self) -> str:
        return str(self.named) or self.run_title()

    def get_crumbs(self) -> list[Link]:
        run = self.get_run()
        crumbs = [Link(_("Syncs"), reverse("syncs:list"))]
        if run.sync:
            crumbs.append(Link(run.name, run.sync.get_absolute_url()))
        crumbs.append(Link(_("Runs"), f"{reverse('runs:list')}?sync={run.sync_id}" if run.sync_id else reverse("runs:list")))
        return [*crumbs, Link(self.run_title(), run.get_absolute_url())] if self.named else crumbs


class RunPage(OfRun):
    template_name = "runs/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        run = self.get_run()
        counts, partitions = run.sums(), list(run.partitions.order_by("number")[:200])
        headway = headway_of(run, counts) if run.is_live else None
        causes = causes_of(run=run)
        planned = plans.planned_of(run)
        log = list(LogLine.objects.filter(run=run).order_by("-pk")[: LOG_SHOWN + 1])
        context |= {
            "run": run,
            "verdict": run_verdict(run, counts, headway, partitions, self.acts(run, counts)),
            "progress": progress_of(run, headway) if headway else None,
            "balance": run_balance(run, counts, planned),
            "groups": [group_of(cause) | {"acts": self.acts_on(cause)} for cause in causes[:GROUPS_SHOWN]],
            "left_since": left_since(run, sum(counts[name] for name in MISSED), sum(cause.count for cause in causes)),
            "problem_count": sum(cause.count for cause in causes),
            "partitions": [partition_row(run, partition) for partition in partitions],
            "log": log[:LOG_SHOWN],
            "has_more_log": len(log) > LOG_SHOWN,
            "about": self.about(run),
            "now": timezone.now(),
            "decisions": decisions_of(run) if self.by.allows("decisions.view") else [],
        }
        if self.by.allows("records.view"):
            changes = changes_of(run, size=CHANGES_SHOWN).changes if planned["rows"] else ()
            context |= {"changes": changes, "change_count": planned["rows"]}
        return context

    def acts(self, run: Run, counts: dict[str, int]) -> list[Act]:
        acts = []
        if run.is_live:
            if not self.by.allows("syncs.cancel") or run.cancel_at:
                return []
            if run.state == RunState.PAUSED:
                acts.append(Act(_("Resume"), post=reverse("runs:resume", args=[run.pk]), primary=True, icon="play_arrow"))
            else:
                note = _("It stops at its next safe point and goes on from there when it is resumed. The pair stays busy meanwhile.")
                acts.append(Act(_("Pause"), post=reverse("runs:pause", args=[run.pk]), confirm=_("Pause this run?"), note=note))
            note = _("It stops at its next safe point. What is written stays; the next run goes on from where the cursor stands.")
            acts.append(Act(_("Cancel"), post=reverse("runs:cancel", args=[run.pk]), confirm=_("Cancel this run?"), note=note, danger=True))
            return acts
        if undo.may_undo(run) and self.by.allows("plans.undo"):
            acts.append(Act(_("Undo…"), href=reverse("runs:undo", args=[run.pk])))
        plan = run if plans.is_plan(run) else run.applies.plan if run.applies is not None else None
        if plan is not None and self.by.allows("records.view"):
            acts.append(Act(_("Open the plan"), href=reverse("runs:plan", args=[plan.pk]), primary=plan == run))
        if run.reconciles and run.sync_id and self.by.allows("records.view"):
            acts.append(Act(_("Drift"), href=reverse("syncs:drift", args=[run.sync_id])))
        if run.sync_id and self.by.allows("syncs.run"):
            again = reverse("syncs:run", args=[run.sync_id])
            if run.dry and run.undoes is None and not run.reconciles and counts["not_sent"]:
                note = _("The run compares everything anew and writes what it finds then.")
                acts.append(Act(_("Run now"), post=again, icon="play_arrow", confirm=_("Run {name}?").format(name=run.name), note=note))
            elif run.state in (RunState.FAILED, RunState.CANCELLED) and not run.dry and run.applies is None:
                acts.append(Act(_("Run again"), post=again, primary=True, icon="play_arrow"))
        return acts

    def acts_on(self, cause: Cause) -> list[Act]:
        """Replay and dismiss, the second a quiet link."""
        if cause.example.state == OpenState.WITHHELD:
            decide = decide_act(cause.example)
            return [decide] if decide is not None else []
        if not self.by.allows("rejects.resolve"):
            return []
        replay, dismiss = acts_on(cause)
        return [replay, replace(dismiss, quiet=True)]

    def about(self, run: Run) -> list[dict[str, Any]]:
        version = run.mapping_version
        mode = _("the keys alone") if run.keys_only else mode_words(run.mode) if run.keys is None else _("named records only")
        mapping = _("{version}, published {when}").format(version=version_words(version), when=clock(version.published_at))
        rows: list[dict[str, Any]] = [
            {
                "name": _("Started by"),
                "value": texts.listed([run.actor_name, run.get_trigger_display()]) if run.trigger != Trigger.SCHEDULE else _("Schedule"),
            },
            {"name": _("Mode"), "value": texts.listed([mode, _("compared before writing")]) if compares_first(run) and not run.dry else mode},
            {"name": _("Mapping"), "value": mapping, "href": href("mappings:detail", version.mapping_id)},
        ]
        if run.dry:
            word = _("Reconcile") if run.reconciles else _("Dry run")
            rows.insert(1, {"name": word, "value": _("writes nothing, moves no cursor")})
        if (undoes := run.applies.plan.undoes if run.applies is not None and run.applies.plan is not None else run.undoes) is not None:
            undone = [Link(_("run {number}").format(number=number(pk)), reverse("runs:detail", args=[pk])) for pk in undoes["runs"][:1]]
            more = len(undoes["runs"]) - 1
            words = undone[0].text if not more else _("{run} and {n} more").format(run=undone[0].text, n=number(more))
            rows.insert(1, {"name": _("Undoes"), "value": words, "href": undone[0].href})
        if run.applies is not None and run.applies.decision is not None:
            rows.insert(1, {"name": _("Decision"), "value": run.applies.decision.sentence, "href": run.applies.decision.get_absolute_url()})
        elif run.applies is not None:
            words = _("of run {number}").format(number=number(run.applies.plan_id))
            rows.insert(1, {"name": _("Plan"), "value": words, "href": reverse("runs:plan", args=[run.applies.plan_id])})
        if run.keys is not None:
            rows.append({"name": _("Records"), "value": ", ".join(run.keys[:10]) + (" …" if len(run.keys) > 10 else "")})
        if run.first_load:
            rows.append({"name": _("First load"), "value": _("nothing was linked and the target was empty")})
        if run.settings.get("filter"):
            rows.append({"name": pgettext("of a sync", "Filter"), "value": run.settings["filter"], "mono": True})
        if run.applies is not None or run.undoes is not None:
            return rows
        since = f"{run.since_value}, {run.since_key}".strip(", ") if run.since_value else _("the beginning")
        if run.since_value and run.source.as_schema().capabilities.own_cursor:
            since = _("a cursor of the system's own")
        rows.append({"name": _("Read from"), "value": since})
        if run.read_until and run.since_value:
            rows.append({"name": _("Read up to"), "value": run.read_until})
        return rows


def progress_of(run: Run, headway: Headway) -> Progress:
    stage = run.paused_from or run.state
    numbers = []
    word = {RunState.COMPARING: _("compared"), RunState.WRITING: _("written") if compares_first(run) else _("done")}.get(RunState(stage), _("done"))
    if headway.share is not None:
        numbers.append((percent(headway.share), word))
        numbers.append((number(headway.done), _("of {n} records").format(n=number(headway.expected))))
    else:
        numbers.append((number(headway.done), _("records {done}").format(done=word)))
    if headway.rate and run.state != RunState.PAUSED:
        numbers.append((_("{n}/s").format(n=number(round(headway.rate, 0 if headway.rate >= 10 else 1))), _("over the last 30 s")))
    left = None
    if headway.left_seconds is not None and run.state != RunState.PAUSED and headway.done < (headway.expected or 0):
        text = _("left to compare, then writing") if stage == RunState.COMPARING and not run.dry else pgettext("time still needed", "left")
        left = (duration(max(1, round(headway.left_seconds))), text)
    return Progress(headway.share, numbers, left, _stages(run, stage), "idle" if run.state == RunState.PAUSED else "run")


def _stages(run: Run, now: str) -> list[tuple[str, str]]:
    order = [RunState.QUEUED, RunState.WRITING, RunState.CLOSING]
    if run.dry:
        order = [RunState.QUEUED, RunState.COMPARING, RunState.CLOSING]
    elif compares_first(run):
        order = list(LIVE)
    place = order.index(RunState(now)) if now in order else 0
    return [("done" if n < place else "now" if n == place else "to come", str(stage.label)) for n, stage in enumerate(order)]


def partition_row(run: Run, partition: Partition) -> dict[str, Any]:
    """A partition as a row: its state in a word, and why it waits where it does."""
    state, word = {
        PartitionState.WAITING: ("idle", _("Waiting")),
        PartitionState.LEASED: ("run", _("Working")),
        PartitionState.COMPARED: ("ok", _("Compared")),
        PartitionState.DONE: ("ok", _("Done")),
        PartitionState.FAILED: ("bad", _("Failed")),
    }[PartitionState(partition.state)]
    note = ""
    if not run.is_live and state in ("idle", "run"):
        state, word = RUN_STATES[RunState(run.state)], str(run.get_state_display())
    elif partition.state == PartitionState.WAITING and partition.error:
        state, note = "warn", texts.render(partition.error)
    elif partition.state == PartitionState.LEASED and partition.lease_until and partition.lease_until < timezone.now():
        state, word, note = "warn", _("Worker lost"), _("another takes it over")
    if partition.lost_leases and run.is_live:
        note = note or _("taken over after a worker was lost")
    share = 100.0 if not run.is_live else 100 * partition.read_count / run.expected_count if run.expected_count else None
    return {
        "name": _("All records") if partition.number == 1 else _("Part {n}").format(n=partition.number),
        "partition": partition,
        "state": state,
        "word": word,
        "note": note,
        "share": min(share, 100.0) if share is not None else None,
        "bar": "run" if state == "run" else "warn" if state == "warn" else "idle",
        "of": run.expected_count if run.applies_id is None else None,  # of a plan these are changes, and a delete reads nothing
        "missed": partition.rejected_count + partition.refused_count,
        "worker": partition.lease_holder,
    }


class LogPage(OfRun):
    named = gettext_lazy("Log")
    template_name = "runs/log.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.get_run()
        pager = key_page(LogLine.objects.filter(run=run), self.request, order=("-pk",), size=200)
        return super().get_context_data(**kwargs) | {"run": run, "pager": pager}


class OnRun(HubAction):
    """A button about one run."""

    permission = "syncs.cancel"

    refusals: tuple[type[Exception], ...] = (NotPossible,)

    @property
    def run(self) -> Run:
        run: Run = get_object_or_404(Run.objects.visible_to(self.by), pk=self.kwargs["number"])
        return run


class CancelRun(OnRun):
    def act(self, request: HttpRequest, number: int) -> str | None:
        services.cancel_run(self.run, by=self.by)
        return _("It stops at its next safe point.")


class PauseRun(OnRun):
    def act(self, request: HttpRequest, number: int) -> str | None:
        services.pause_run(self.run, by=self.by)
        return _("It pauses at its next safe point.")


class ResumeRun(OnRun):
    def act(self, request: HttpRequest, number: int) -> str | None:
        services.resume_run(self.run, by=self.by)
        return _("It goes on.")
