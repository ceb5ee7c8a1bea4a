"""The drift of a sync's records: what its reconcile runs have found, by field and by record."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.core.pages import Filter, read_filters
from integration_hub.core.parts import Act
from integration_hub.syncs import agreed, plans
from integration_hub.syncs.freshness import SHOWN_RUNS
from integration_hub.syncs.journal import changes_of
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.telling.drift import DriftOf, drift_bars, drift_facts, drift_fields, drift_legend, drift_of, drift_verdict
from integration_hub.syncs.views.plans import PLANNED
from integration_hub.syncs.views.syncs import OfSync, reconcile_act

FIELDS_SHOWN = 30
KEYS_SHOWN = 50


class DriftPage(OfSync):
    permission = "records.view"
    named = gettext_lazy("Drift")
    template_name = "syncs/drift.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context, known = super().get_context_data(**kwargs), drift_of(self.get_sync(), count=SHOWN_RUNS)
        context |= {"sync": known.sync, "verdict": drift_verdict(known, self.acts(known)), "live": known.last is not None and known.last.is_live}
        newest = known.newest
        if newest is None:
            return context
        fields = drift_fields(known)
        filters = read_filters(
            self.request,
            Filter("operation", _("Change"), [(name, word) for name, word in PLANNED.items() if name != "keep"]),
            Filter("field", _("Field"), [(row["name"], row["name"]) for row in fields]),
            Filter("key", _("Key"), placeholder=_("of source or target")),
        )
        operation, field, key = (each.value for each in filters)
        return context | {
            "run": newest.run,
            "drift": newest,
            "facts": drift_facts(newest),
            "fields": fields[:FIELDS_SHOWN],
            "bars": drift_bars(known.found),
            "legend": drift_legend(known.found),
            "filters": filters,
            "narrowed": bool(operation or field or key),
            "page": changes_of(newest.run, operation=operation, field=field, key=key, after=self.request.GET.get("after", "")),
            "unlinked_keys": newest.unlinked_keys[:KEYS_SHOWN],
        }

    def acts(self, known: DriftOf) -> list[Act]:
        acts, newest = [], known.newest
        if newest is not None and plans.is_plan(newest.run):
            try:
                plans.refuse_unless_good(newest.run)
            except NotPossible:
                pass  # the verdict says why
            else:
                acts.append(
                    Act(
                        _("Open the plan"),
                        href=reverse("runs:plan", args=[newest.run_id]),
                        primary=newest.left > 0 and not plans.was_applied(newest.run),
                    )
                )
        if self.by.allows("syncs.run") and agreed.refusal(known.sync) is None and not (known.last is not None and known.last.is_live):
            acts.append(reconcile_act(known.sync, primary=not any(act.primary for act in acts), quiet=False))
        return acts
