from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from integration_hub.core import texts
from integration_hub.core.pages import Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import ABSENT, clock
from integration_hub.syncs import schedule, services
from integration_hub.syncs.causes import causes_of
from integration_hub.syncs.forms import CursorForm, RecordsForm, SyncForm
from integration_hub.syncs.freshness import Standing, last_runs, standing, standings_of
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.models import Link as RecordLink
from integration_hub.syncs.models import OpenRow, Run, Sync, SyncCursor
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.syncs.states import ENDED_WHOLE, Freshness, Mode
from integration_hub.syncs.telling import (
    bars_legend,
    entity_name,
    from_to,
    href,
    mode_words,
    run_bars,
    schedule_words,
    sync_facts,
    sync_verdict,
    version_words,
    written_twice,
)
from integration_hub.syncs.trace import Trace, trace_record
from integration_hub.syncs.views.rejects import group_of
from integration_hub.systems.models import System

LINKS_COUNTED = 1_000_000
GROUPS_SHOWN = 12


class SyncList(HubPage):
    permission = "syncs.view"
    title = gettext_lazy("Syncs")
    nav = "syncs"
    template_name = "syncs/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        systems: Any = System.objects.visible_to(self.by).order_by("name").values_list("pk", "name")[:500]
        filters = read_filters(
            self.request,
            Filter("q", _("Name contains")),
            Filter("system", _("System"), systems),
            Filter("state", _("State"), STATE_FILTERS),
        )
        syncs = narrowed(Sync.objects.visible_to(self.by), *(each.value for each in filters))
        pager = key_page(syncs.with_names(), self.request, order=("name",))
        rows = standings_of(pager.items)
        context |= {"filters": filters, "pager": pager, "is_live": any(row.live for row in rows), "filtered": any(each.value for each in filters)}
        context["rows"] = [
            {"standing": row, "what": from_to(row.sync), "when": schedule_words(row.sync), "bars": run_bars(row.runs), "due": _due(row.sync)}
            for row in rows
        ]
        if self.by.allows("syncs.change"):
            context["new"] = Act(_("New sync"), href=reverse("syncs:new"), primary=True, icon="add")
        return context


def _due(sync: Sync) -> datetime | None:
    return None if sync.paused_at else sync.next_due_at


STATE_FILTERS = [
    ("running", gettext_lazy("Running now")),
    ("failed", Freshness.FAILED.label),
    ("late", Freshness.LATE.label),
    ("open", gettext_lazy("With open rows")),
    ("paused", Freshness.PAUSED.label),
    ("never", Freshness.NEVER_RAN.label),
]


def narrowed(syncs: Any, text: str, system: str, state: str) -> Any:
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
        linked = RecordLink.objects.filter(pair=sync.pair_id, ended_at=None)[: LINKS_COUNTED + 1].count()
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
            acts.append(Act(_("Run these records…"), href=reverse("syncs:records", args=[sync.pk]), quiet=True))
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
        return acts

    def policies(self, sync: Sync) -> list[dict[str, Any]]:
        cursor = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
        schema, latest = sync.source.as_schema(), sync.mapping.latest
        if cursor:
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
            {"name": _("Writes"), "value": _("after everything is compared") if sync.compare_first else _("each page as soon as it is compared")},
            {"name": _("Written twice"), "value": written_twice(sync)},
        ]
        if sync.mode == Mode.INCREMENTAL and sync.lookback_seconds:
            again = ngettext("the last {n} second before the cursor", "the last {n} seconds before the cursor", sync.lookback_seconds)
            rows.insert(2, {"name": _("Reads again"), "value": again.format(n=sync.lookback_seconds)})
        return rows


def _decisive(sync: Sync) -> list[Run]:
    """The run that says how the sync stands, where it is not among the last thirty."""
    run = Run.objects.decisive().filter(sync=sync).first()
    if run is None:
        return []
    run.last_is_whole = True
    return [run]


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
        run = services.start_run(self.sync, by=self.by, dry="dry" in request.POST, full="full" in request.POST)
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


class DeleteSync(OnSync):
    permission = "syncs.delete"

    def act(self, request: HttpRequest, pk: int) -> str | None:
        sync = self.sync
        services.delete_sync(sync, by=self.by)
        self.to = reverse("syncs:list")
        return _("{name} is deleted.").format(name=sync.name)


# --- forms ------------------------------------------------------------------------------------------------------------


class SyncFormPage(HubPage):
    """The form of a sync; its parts that follow from others are drawn again as they are chosen."""

    permission = "syncs.change"
    nav = "syncs"
    template_name = "syncs/form.html"
    sync: Sync | None = None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        chosen = {name: self.request.GET[name] for name in ("name", "source", "target", "mapping") if self.request.GET.get(name)}
        context.setdefault("form", SyncForm(sync=self.sync, chosen=chosen, by=self.by))
        return context | {"sync": self.sync, "systems_href": href("systems:list"), "mappings_href": href("mappings:list")}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = SyncForm(request.POST, sync=self.sync, by=self.by)
        if form.is_valid():
            try:
                saved = self.save(form.settings())
            except ValidationError as error:
                form.refuse(error)
            else:
                messages.success(request, _("Saved."))
                return HttpResponseRedirect(saved.get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))

    def save(self, settings: dict[str, Any]) -> Sync:
        raise NotImplementedError


class NewSync(SyncFormPage):
    title = gettext_lazy("New sync")

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list"))]

    def save(self, settings: dict[str, Any]) -> Sync:
        return services.create_sync(by=self.by, **settings)


class EditSync(SyncFormPage):
    @cached_property
    def sync(self) -> Sync:  # type: ignore[override]
        sync: Sync = get_object_or_404(Sync.objects.visible_to(self.by).with_names(), pk=self.kwargs["pk"])
        return sync

    def get_title(self) -> str:
        return _("Edit {name}").format(name=self.sync)

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list")), Link(self.sync.name, self.sync.get_absolute_url())]

    def save(self, settings: dict[str, Any]) -> Sync:
        return services.change_sync(self.sync, by=self.by, **settings)


class DueTimes(HubPage):
    """The next five times a schedule is due, while it is being written."""

    permission = "syncs.view"
    template_name = "syncs/due.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = SyncForm(self.request.GET, by=self.by)
        form.is_valid()
        sync = form.scheduled()
        problem = next(iter(schedule.problems(sync).values()), "")
        times: list[datetime] = []
        if not problem and (sync.interval_seconds or sync.crontab):
            times = list(islice(_due_times(sync), 5))
        zone = sync.time_zone
        return super().get_context_data(**kwargs) | {"times": [clock(time) for time in times], "problem": problem, "zone": zone, "sync": sync}


def _due_times(sync: Sync) -> Any:
    moment = timezone.now()
    while (due := schedule.next_due(sync, after=moment)) is not None:
        yield due
        moment = due


class RunRecords(OfSync):
    permission = "syncs.run"
    named = gettext_lazy("Run these records")
    template_name = "syncs/records.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context.setdefault("form", RecordsForm(initial={"keys": self.request.GET.get("key", "")}))
        return context | {"sync": self.get_sync()}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = RecordsForm(request.POST)
        if form.is_valid():
            try:
                run = services.start_run(self.get_sync(), by=self.by, keys=form.cleaned_data["keys"], dry=form.cleaned_data["dry"])
            except (PairBusy, NotPossible) as refusal:
                form.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(run.get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))


class CursorPage(OfSync):
    permission = "syncs.change"
    named = gettext_lazy("Set the cursor")
    template_name = "syncs/cursor.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        sync = self.get_sync()
        known = SyncCursor.objects.filter(sync=sync, side=sync.source_side).first()
        context.setdefault("form", CursorForm(initial={"value": known.value if known else ""}))
        return context | {"sync": sync, "cursor": known, "field": sync.source.as_schema().cursor_field}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = CursorForm(request.POST)
        if form.is_valid():
            try:
                services.set_cursor(self.get_sync(), by=self.by, value=form.cleaned_data["value"], note=form.cleaned_data["note"])
            except ValidationError as error:
                form.add_error("value", error.messages[0])
            except PairBusy as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("The cursor is set; the next run reads from there."))
                return HttpResponseRedirect(self.get_sync().get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))


# --- the trace of one record ------------------------------------------------------------------------------------------


class TracePage(OfSync):
    permission = "records.view"
    named = gettext_lazy("Trace a record")
    template_name = "syncs/trace.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        key = self.request.GET.get("key", "").strip()[:500]
        context |= {"sync": self.get_sync(), "key": key}
        if key:
            try:
                told = trace_record(self.get_sync(), key, by=self.by)
            except NotPossible as refusal:
                context["refusal"] = str(refusal)
            else:
                context |= {
                    "trace": told,
                    "verdict": trace_verdict(self.get_sync(), told),
                    "way": trace_way(self.get_sync(), told),
                    "version": version_words(told.version),
                    "source_name": entity_name(self.get_sync().source),
                    "absent": ABSENT,
                }
        return context


ENDINGS = {
    "create": ("run", gettext_lazy("Would be created")),
    "update": ("run", gettext_lazy("Would be updated")),
    "adopt": ("ok", gettext_lazy("Would be linked")),
    "unchanged": ("ok", gettext_lazy("Nothing to do")),
    "filtered": ("idle", gettext_lazy("Filtered")),
    "left": ("bad", gettext_lazy("Would not arrive")),
}


def trace_verdict(sync: Sync, told: Trace) -> Verdict:
    """What the next run would do with this record."""
    state, word = ENDINGS[told.ending]
    name, target = name_of(told.source) or told.key, sync.target.system.name
    n = len(told.writes)
    sentence = {
        "create": _("{name} would be created in {target}."),
        "update": ngettext("{name} would be updated in {target}: {n} field.", "{name} would be updated in {target}: {n} fields.", n),
        "adopt": _("{name} is in {target} already; the two would be linked."),
        "unchanged": _("{name} is in {target} as it was last written; nothing would be written."),
        "filtered": _("{name} is left out by the filter."),
        "left": told.reason,
    }[told.ending].format(name=name, target=target, n=n)
    if told.ending == "left":
        sentence = told.reason
    following: list[str | Link] = []
    if told.differs:
        following = [
            ngettext(
                "{target} holds something else in {fields} now. This sync does not look there while the source stays the same.",
                "{target} holds something else in {fields} now. This sync does not look there while the source stays the same.",
                len(told.differs),
            ).format(target=target, fields=texts.listed(told.differs))
        ]
    if told.open_row:
        before, __, after = _("It has an {open_row}.").partition("{open_row}")
        following += [" ", before, Link(_("open row"), reverse("rejects:detail", args=[told.open_row.pk])), after]
    if told.differs and state == "ok":
        state = "warn"
    return Verdict(state, str(word), sentence, since=[_("read {when}, nothing was written").format(when=clock(timezone.now()))], next=following)


def trace_way(sync: Sync, told: Trace) -> list[dict[str, str]]:
    """The steps between reading and writing, each with what came out."""
    source, target = entity_name(sync.source), entity_name(sync.target)
    rows = [{"name": _("Source"), "value": _("{entity} {key}, found").format(entity=source, key=told.key), "state": "ok", "note": ""}]
    if told.filter:
        passes = ("ok", _("lets it through")) if told.passes else ("idle", _("leaves it out"))
        rows.append({"name": pgettext("of a sync", "Filter"), "value": passes[1], "state": passes[0], "note": told.filter})
    if told.passes:
        wrong = next((field for field in told.fields if field.problem), None)
        mapped = ("bad", _("rejected at {field}").format(field=wrong.field)) if wrong else ("ok", _("all fields pass"))
        rows.append({"name": _("Mapping"), "value": mapped[1], "state": mapped[0], "note": version_words(told.version)})
    by_match = "; ".join(", ".join(fields) for fields in told.matched_by)
    if told.link:
        note = _("since {when}").format(when=clock(told.link.made_at))
        rows.append({"name": _("Link"), "value": _("linked to {key}").format(key=told.target_key), "state": "ok", "note": note})
    elif told.target_key:
        found = _("none yet; found by match key: {key}").format(key=told.target_key)
        rows.append({"name": _("Link"), "value": found, "state": "ok", "note": by_match})
    else:
        note = _("looked for by {fields}").format(fields=by_match) if by_match else ""
        rows.append({"name": _("Link"), "value": _("none yet"), "state": "idle", "note": note})
    if told.target_known:
        there = (
            ("ok", _("{entity} {key}, found").format(entity=target, key=told.target_key))
            if told.target
            else ("bad", _("gone from {system}").format(system=sync.target.system.name))
        )
        rows.append({"name": _("Target"), "value": there[1], "state": there[0], "note": ""})
    rows.append({"name": _("Result"), "value": str(ENDINGS[told.ending][1]), "state": ENDINGS[told.ending][0], "note": told.reason})
    return rows
