from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from connectors.base import FieldType
from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link
from integration_hub.core.templatetags.hub import capped, clock
from integration_hub.mappings.references import entities_pointed_to
from integration_hub.syncs import agreed, groups, guards, policies, schedule, services
from integration_hub.syncs.causes import causes_of
from integration_hub.syncs.freshness import CAP, Standing, last_runs, standing, standings_of
from integration_hub.syncs.models import Link as RecordLink
from integration_hub.syncs.models import OpenRow, Run, Sync, SyncCursor
from integration_hub.syncs.schedule import NUMBERS
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.syncs.states import ENDED_WHOLE, Freshness, Mode
from integration_hub.syncs.telling.drift import drift_of, drift_verdict
from integration_hub.syncs.telling.names import from_to, mode_words, schedule_words
from integration_hub.syncs.telling.syncs import (
    bars_legend,
    deletes_policy,
    limits_told,
    rosters_told,
    run_bars,
    sync_facts,
    sync_verdict,
    written_twice,
)
from integration_hub.syncs.views.reject_groups import group_of
from integration_hub.systems.models import System

LINKS_COUNTED = 1_000_000
GROUPS_SHOWN = 12
PAGE = 50


class SyncList(HubPage):
    permission = "syncs.view"
    title = gettext_lazy("Syncs")
    nav = "syncs"
    template_name = "syncs/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        filters = sync_filters(self.request, self.by)
        syncs = narrowed(Sync.objects.visible_to(self.by), *(each.value for each in filters))
        pager = key_page(syncs.with_names(), self.request, order=("name",))
        rows = standings_of(pager.items)
        context |= {"filters": filters, "pager": pager, "is_live": any(row.live for row in rows), "filtered": any(each.value for each in filters)}
        context["export"] = reverse("syncs:export")
        context["rows"] = [
            {"standing": row, "what": from_to(row.sync), "when": schedule_words(row.sync), "bars": run_bars(row.runs), "due": _due(row.sync)}
            for row in rows
        ]
        chosen = next((each.value for each in filters if each.name == "group"), "")
        context["group_acts"] = self._group_acts(group) if (group := groups.group_named(chosen, self.by) if chosen else None) else []
        if self.by.allows("syncs.change"):
            context["new"] = Act(_("New sync"), href=reverse("syncs:new"), primary=True, icon="add")
            context["several"] = Act(_("Several at once"), href=reverse("syncs:together"), icon="library_add")
        return context

    def _group_acts(self, group: groups.Group) -> list[Act]:
        values, acts = {"name": group.name}, []
        if self.by.allows("syncs.run") and not group.is_paused:
            acts.append(Act(_("Run all"), post=reverse("syncs:group_run"), values=values, icon="play_arrow"))
        if self.by.allows("syncs.cancel"):
            if not group.is_paused:
                note = _("No more runs by schedule of any of them. Runs that are going go on.")
                ask = _("Pause all of {name}?").format(name=group.name)
                acts.append(Act(_("Pause all"), post=reverse("syncs:group_pause"), values=values, confirm=ask, note=note))
            if any(sync.paused_at for sync in group.syncs):
                acts.append(Act(_("Resume all"), post=reverse("syncs:group_resume"), values=values))
        return acts


def group_names() -> list[str]:
    return list(Sync.objects.exclude(group="").order_by("group").values_list("group", flat=True).distinct()[:500])


def sync_filters(request: HttpRequest, by: Any) -> list[Filter]:
    systems: Any = System.objects.visible_to(by).order_by("name").values_list("pk", "name")[:500]
    return read_filters(
        request,
        Filter("q", _("Name contains")),
        Filter("system", _("System"), systems),
        Filter("state", _("State"), STATE_FILTERS),
        *([Filter("group", _("Group"), [(name, name) for name in names])] if (names := group_names()) else []),
    )


def _due(sync: Sync) -> datetime | None:
    return None if sync.paused_at else sync.next_due_at


class SyncExport(Door):
    """The syncs as chosen, by name."""

    permission = "syncs.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        syncs = narrowed(Sync.objects.visible_to(self.by), *(each.value for each in sync_filters(request, self.by)))
        head = (
            _("Sync"), _("Source"), _("Target"), _("Mapping"), _("Mode"), _("Schedule"), _("State"), _("Records that have not arrived"),
            _("Last success"), _("Behind, s"), _("Next due"), _("Last run"), _("Owner"),
        )  # fmt: skip
        return csv_answer("syncs", head, map(_cells, _standings(syncs.with_names().order_by("name"))))


def _standings(syncs: Any) -> Iterator[Standing]:
    """Of a page of syncs at a time, for each page costs the same few queries."""
    rest = syncs.iterator(chunk_size=PAGE)
    while page := list(islice(rest, PAGE)):
        yield from standings_of(page)


def _cells(stands: Standing) -> list[Any]:
    sync, behind = stands.sync, stands.behind
    success, due = (moment.isoformat() if moment else "" for moment in (sync.last_success_at, _due(sync)))
    left = stands.open_count if stands.open_count <= CAP else capped(stands.open_count)
    return [
        sync.name, str(sync.source), str(sync.target), sync.mapping.name, sync.get_mode_display(), schedule_words(sync), str(stands.freshness.label),
        left, success, round(behind.total_seconds()) if behind else "", due, stands.runs[0].pk if stands.runs else "", str(sync.owner or ""),
    ]  # fmt: skip


STATE_FILTERS = [
    ("running", gettext_lazy("Running now")),
    ("failed", Freshness.FAILED.label),
    ("late", Freshness.LATE.label),
    ("open", gettext_lazy("With open rows")),
    ("paused", Freshness.PAUSED.label),
    ("never", Freshness.NEVER_RAN.label),
]


def narrowed(syncs: Any, text: str, system: str, state: str, group: str = "") -> Any:
    if group:
        syncs = syncs.filter(group=group)
    if text:
        syncs = syncs.filter(name__icontains=text)
    if system:
        syncs = syncs.filter(Q(pair__a__system=system) | Q(pair__b__system=system))
    if state == "running":
        syncs = syncs.filter(Exists(Run.objects.live().filter(sync=OuterRef("pk"), dry=False)))
    elif state == "failed":
        syncs = syncs.failing()
    elif state == "late":
        syncs = syncs.late()
    elif state == "open":
        syncs = syncs.filter(Exists(OpenRow.objects.open().filter(sync=OuterRef("pk"))))
    elif state == "paused":
        syncs = syncs.filter(paused_at__isnull=False)
    elif state == "never":
        syncs = syncs.filter(~Exists(Run.objects.filter(sync=OuterRef("pk"))))
    return syncs


# --- one sync ---------------------------------------------------------------------------------------------------------


class OfSync(HubPage):
    """A page about one sync."""

    permission = "syncs.view"
    nav = "syncs"
    named: Any = ""  # the page's own name; "": the sync's

    def get_sync(self) -> Sync:
        if not hasattr(self, "_sync"):
            self._sync: Sync = get_object_or_404(Sync.objects.visible_to(self.by).with_names(), pk=self.kwargs["pk"])
        return self._sync

    def get_title(self) -> str:
        return str(self.named) or self.get_sync().name

    def get_crumbs(self) -> list[Link]:
        crumbs = [Link(_("Syncs"), reverse("syncs:list"))]
        return [*crumbs, Link(self.get_sync().name, self.get_sync().get_absolute_url())] if self.named else crumbs


class SyncPage(OfSync):
    template_name = "syncs/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        sync = self.get_sync()
        runs = last_runs([sync]).get(sync.pk, [])
        causes = causes_of(sync)
        stands = standing(sync, runs, sum(cause.count for cause in causes))
        if stands.last is None:
            stands = standing(sync, [*runs, *_decisive(sync)], stands.open_count)
        success = Run.objects.decisive().filter(sync=sync, state__in=ENDED_WHOLE).with_names().first() if sync.last_success_at else None
        linked = RecordLink.objects.live(sync.pair_id)[: LINKS_COUNTED + 1].count()
        return context | {
            "sync": sync,
            "standing": stands,
            "verdict": sync_verdict(stands, self.acts(stands)),
            "facts": sync_facts(stands, success, linked, LINKS_COUNTED),
            "more_acts": self.more_acts(sync),
            "causes": causes,
            "groups": [group_of(cause) for cause in causes[:GROUPS_SHOWN]],
            "open_count": stands.open_count,
            "runs": runs,
            "bars": run_bars(runs),
            "legend": bars_legend(runs),
            "policies": self.policies(sync),
            "decisions": decisions_about(sync, self.by),
            "drift": drift_verdict(drift_of(sync)),
            "may_change": self.by.allows("syncs.change"),
        }

    def acts(self, stands: Standing) -> list[Act]:
        sync, acts = stands.sync, []
        run = reverse("syncs:run", args=[sync.pk])
        if self.by.allows("syncs.run"):
            acts.append(Act(_("Run now"), post=run, primary=True, icon="play_arrow"))
            acts.append(Act(_("Dry run"), post=run, values={"dry": "1"}, title=_("Compares everything and writes nothing")))
        if self.by.allows("records.view"):
            acts.append(Act(_("Trace a record"), href=reverse("syncs:trace", args=[sync.pk])))
        if self.by.allows("syncs.cancel"):
            if sync.paused_at:
                acts.append(Act(_("Resume"), post=reverse("syncs:resume", args=[sync.pk])))
            else:
                note = _("No more runs by schedule until it is resumed. A run that is going goes on.")
                acts.append(
                    Act(_("Pause"), post=reverse("syncs:pause", args=[sync.pk]), confirm=_("Pause {name}?").format(name=sync.name), note=note)
                )
        return acts

    def more_acts(self, sync: Sync) -> list[Act]:
        acts = []
        if self.by.allows("syncs.run"):
            note = _("Everything is read and compared, not only what changed. What is unchanged is not written again.")
            acts.append(
                Act(
                    _("Full run"), post=reverse("syncs:run", args=[sync.pk]), values={"full": "1"}, quiet=True,
                    confirm=_("Read everything of {source}?").format(source=sync.source.system.name), note=note,
                )
            )  # fmt: skip
            if agreed.refusal(sync) is None:
                acts.append(reconcile_act(sync))
            acts.append(Act(_("Run these records…"), href=reverse("syncs:records", args=[sync.pk]), quiet=True))
            if policies.why_no_rosters(sync) is None:
                note = _("The keys alone are read; each that is missing is looked up once more before its record counts as deleted.")
                acts.append(
                    Act(
                        _("Look for deletes"), post=reverse("syncs:run", args=[sync.pk]), values={"keys_only": "1"}, quiet=True,
                        confirm=_("Read all keys of {source}?").format(source=sync.source.system.name), note=note,
                    )
                )  # fmt: skip
        if self.by.allows("plans.undo"):
            acts.append(Act(_("Undo a version…"), href=reverse("syncs:undo", args=[sync.pk]), quiet=True))
        if self.by.allows("syncs.change"):
            acts.append(Act(_("Edit"), href=reverse("syncs:edit", args=[sync.pk]), quiet=True))
        if self.by.allows("syncs.delete"):
            note = _("Its open rows go with it. Its runs stay readable, and the links between the records stay with the two entities.")
            acts.append(
                Act(
                    _("Delete"), post=reverse("syncs:delete", args=[sync.pk]), quiet=True, danger=True,
                    confirm=_("Delete {name}?").format(name=sync.name), note=note,
                )
            )  # fmt: skip
            if not sync.pair.syncs.exclude(pk=sync.pk).exists():
                note = _(
                    "No other sync works on these two entities, so all that is known of them goes: links, runs and changes. This cannot be taken back."
                )
                acts.append(
                    Act(
                        _("Delete with links and history"), post=reverse("syncs:delete", args=[sync.pk]), values={"forget": "1"}, quiet=True, danger=True,
                        confirm=_("Delete {name} with its links and its history?").format(name=sync.name), note=note,
                    )
                )  # fmt: skip
        return acts

    def policies(self, sync: Sync) -> list[dict[str, Any]]:
        cursor = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
        schema, latest = sync.source.as_schema(), sync.mapping.latest
        if cursor and schema.capabilities.own_cursor:
            place = _("the system's own, of {when}").format(when=clock(cursor.moved_at))
        elif cursor:
            place = _("{field} {value}, key {key}").format(field=schema.cursor_field, value=cursor.value, key=cursor.key or "—")
        elif sync.mode == Mode.INCREMENTAL:
            place = _("none yet: the next run reads everything")
        else:
            place = _("none: every run reads everything")
        match = (latest.definition if latest else sync.mapping.draft).get("match", [])
        rows: list[dict[str, Any]] = [
            {"name": _("Cursor"), "value": place, "href": reverse("syncs:cursor", args=[sync.pk]), "act": _("Set back…")},
            {"name": _("Reads"), "value": mode_words(sync.mode)},
            {"name": pgettext("of a sync", "Filter"), "value": sync.filter or _("none: all records are taken"), "mono": bool(sync.filter)},
            {"name": _("Match"), "value": _(", else ").join(_(" and ").join(fields) for fields in match) or _("none: every new record is created")},
            {
                "name": _("Writes"),
                "value": _("after everything is compared") if guards.compares_first(sync) else _("each page as soon as it is compared"),
            },
            {"name": _("Written twice"), "value": written_twice(sync)},
            {"name": _("Deletes"), "value": deletes_policy(sync)},
            {"name": _("Reconciles"), "value": schedule_words(sync, schedule.RECONCILE)},
            {"name": _("Without asking"), "value": limits_told(sync)},
        ]
        if schedule.is_set(sync, schedule.ROSTER):
            rows.append({"name": _("Looks for deletes"), "value": rosters_told(sync)})
        if sync.mode == Mode.INCREMENTAL and sync.lookback_seconds and (again := _reads_again(sync)):
            rows.insert(2, {"name": _("Reads again"), "value": again})
        if others := [str(other) for other in sync.after.all()]:
            rows.append({"name": _("Runs after"), "value": texts.listed(others)})
        if sync.group:
            rows.append(
                {"name": _("Group"), "value": sync.group, "href": f"{reverse('syncs:list')}?group={quote(sync.group)}", "act": _("All of it")}
            )
        if pointed_to := entities_pointed_to(latest.definition) if latest else []:
            waits = ngettext("{n} day for records of {entities}", "{n} days for records of {entities}", sync.parked_days)
            rows.append({"name": _("Waits for links"), "value": waits.format(n=sync.parked_days, entities=texts.listed(pointed_to))})
        return rows


def _reads_again(sync: Sync) -> str:
    """What of a source is read again for what was saved late; "" where its cursor is of another kind."""
    schema, n = sync.source.as_schema(), sync.lookback_seconds
    field = schema.field(schema.cursor_field or "")
    if field is None or schema.capabilities.own_cursor:
        return ""
    if field.type == FieldType.DATETIME:
        return ngettext("the last {n} second before the cursor", "the last {n} seconds before the cursor", n).format(n=n)
    if field.type in NUMBERS:
        again = ngettext(
            "what was numbered since {n} second before the last run; everything, where no run is older",
            "what was numbered since {n} seconds before the last run; everything, where no run is older",
            n,
        )
        return again.format(n=n)
    return ""


def decisions_about(sync: Sync, by: Any) -> list[Decision]:
    return list(Decision.objects.visible_to(by).open().about(sync).order_by("pk"))


def _decisive(sync: Sync) -> list[Run]:
    """The run that says how the sync stands, where it is not among the last thirty."""
    run = Run.objects.decisive().filter(sync=sync).first()
    if run is None:
        return []
    run.last_is_whole = True
    return [run]


def reconcile_act(sync: Sync, *, primary: bool = False, quiet: bool = True) -> Act:
    """The button that compares both sides."""
    note = _("All of both systems is read and compared field by field. Nothing is written; what differs becomes a plan.")
    ask = _("Compare {source} and {target} field by field?").format(source=sync.source.system.name, target=sync.target.system.name)
    where = reverse("syncs:run", args=[sync.pk])
    return Act(_("Reconcile"), post=where, values={"reconcile": "1"}, primary=primary, quiet=quiet, confirm=ask, note=note)


class OnSync(HubAction):
    """A button about one sync."""

    refusals = (PairBusy, NotPossible)
    to = ""

    @property
    def sync(self) -> Sync:
        sync: Sync = get_object_or_404(Sync.objects.visible_to(self.by).with_names(), pk=self.kwargs["pk"])
        return sync

    def back(self) -> str:
        return self.to or super().back()


class RunNow(OnSync):
    permission = "syncs.run"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        try:
            how: dict[str, Any] = {name: name in request.POST for name in ("dry", "full", "reconcile", "keys_only")}
            run = services.start_run(self.sync, by=self.by, **how)
        except PairBusy as busy:  # refused on the page of the run that is in the way, where it can be followed or cancelled
            self.to = busy.run.get_absolute_url()
            raise
        self.to = run.get_absolute_url()
        return None


class PauseSync(OnSync):
    permission = "syncs.cancel"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        services.pause_sync(self.sync, by=self.by)
        return _("Paused.")


class ResumeSync(OnSync):
    permission = "syncs.cancel"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        services.resume_sync(self.sync, by=self.by)
        return _("Resumed.")


class TakeSync(OnSync):
    permission = "syncs.run"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        sync = self.sync
        services.take_sync(sync, by=self.by)
        return _("You have {name} now.").format(name=sync.name)


class DeleteSync(OnSync):
    permission = "syncs.delete"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        sync = self.sync
        services.delete_sync(sync, by=self.by, forget="forget" in request.POST)
        self.to = reverse("syncs:list")
        return _("{name} is deleted.").format(name=sync.name)


class OnGroup(HubAction):
    """A button about the syncs of one group."""

    refusals = (PairBusy, NotPossible)

    @property
    def group(self) -> groups.Group:
        group = groups.group_named(self.request.POST.get("name", ""), self.by)
        if group is None:
            raise Http404
        return group


class RunGroup(OnGroup):
    permission = "syncs.run"

    def act(self, request: HttpRequest) -> str | None:
        started = groups.run_group(self.group, by=self.by)
        for sync, refusal in started.refused:
            messages.warning(request, _("{name}: {problem}").format(name=sync.name, problem=refusal))
        said = ngettext("{n} run is started", "{n} runs are started", len(started.runs)).format(n=len(started.runs))
        return _("{runs}; what runs after others follows by itself.").format(runs=said)


class PauseGroup(OnGroup):
    permission = "syncs.cancel"

    def act(self, request: HttpRequest) -> str | None:
        groups.pause_group(self.group, by=self.by)
        return _("Paused.")


class ResumeGroup(OnGroup):
    permission = "syncs.cancel"

    def act(self, request: HttpRequest) -> str | None:
        groups.resume_group(self.group, by=self.by)
        return _("Resumed.")
