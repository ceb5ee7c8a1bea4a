"""Planning an undo: of a run, of some of its records, or of all runs by a version of the mapping."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy

from integration_hub.core.templatetags.hub import number
from integration_hub.syncs import undo
from integration_hub.syncs.forms import UndoForm, UndoVersionForm
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.syncs.views.runs import OfRun
from integration_hub.syncs.views.syncs import OfSync


class UndoRun(OfRun):
    permission = "plans.undo"
    named = gettext_lazy("Undo")
    template_name = "plans/undo.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.get_run()
        kwargs.setdefault("form", UndoForm(initial={"keys": self.request.GET.get("key", "")}))
        written = sum(run.counts.get(name, 0) for name in ("created", "updated", "deleted"))
        return super().get_context_data(**kwargs) | {"run": run, "written": number(written), "count": written, "back": run.get_absolute_url()}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = UndoForm(request.POST)
        if form.is_valid():
            try:
                plan = undo.plan_undo(self.get_run(), by=self.by, keys=form.cleaned_data["keys"])
            except (PairBusy, NotPossible) as refusal:
                form.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(plan.get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))


class UndoVersion(OfSync):
    permission = "plans.undo"
    named = gettext_lazy("Undo a version")
    template_name = "plans/undo.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sync = self.get_sync()
        kwargs.setdefault("form", UndoVersionForm(sync=sync))
        return super().get_context_data(**kwargs) | {"sync": sync, "back": sync.get_absolute_url()}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        sync, form = self.get_sync(), UndoVersionForm(request.POST, sync=self.get_sync())
        if form.is_valid():
            try:
                plan = undo.plan_undo_of_version(sync, form.cleaned_data["version"], since=form.cleaned_data["since"], by=self.by)
            except (PairBusy, NotPossible) as refusal:
                form.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(plan.get_absolute_url())
        return self.render_to_response(self.get_context_data(form=form))
