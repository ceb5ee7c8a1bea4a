from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.core.forms import add_refusal
from integration_hub.core.pages import HubPage
from integration_hub.core.parts import Link
from integration_hub.core.templatetags.hub import clock
from integration_hub.syncs import schedule, services
from integration_hub.syncs.forms import CursorForm, RecordsForm, SyncForm
from integration_hub.syncs.models import Sync, SyncCursor
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.syncs.telling.names import href
from integration_hub.syncs.views.syncs import OfSync


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
                add_refusal(form, error)
            else:
                messages.success(request, _("Saved."))
                return HttpResponseRedirect(saved.get_absolute_url())
        else:
            add_refusal(form, ValidationError(services.problems_of(form.draft())))  # so that one answer tells all that is wrong
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
        context.setdefault("form", CursorForm(sync=sync, initial={"value": known.value if known else ""}))
        return context | {"sync": sync, "cursor": known, "field": sync.source.as_schema().cursor_field}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = CursorForm(request.POST, sync=self.get_sync())
        if form.is_valid():
            try:
                services.set_cursor(self.get_sync(), by=self.by, value=form.cleaned_data["value"], note=form.cleaned_data["note"])
            except PairBusy as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("The cursor is set; the next run reads from there."))
                return HttpResponseRedirect(self.get_sync().get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))
