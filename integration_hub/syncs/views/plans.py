"""A plan: what it would change, record by record; approving it and applying it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.core.pages import Filter, read_filters
from integration_hub.core.parts import Act, Fact, Link
from integration_hub.core.templatetags.hub import number
from integration_hub.syncs import agreed, plans
from integration_hub.syncs.forms import ApprovalForm
from integration_hub.syncs.journal import changes_of
from integration_hub.syncs.models import Run
from integration_hub.syncs.services import NotPossible, PairBusy
from integration_hub.syncs.telling.plans import plan_verdict
from integration_hub.syncs.views.runs import OfRun, OnRun
from integration_hub.syncs.views.syncs import reconcile_act

FIELDS_SHOWN = 10
KEPT_SHOWN = 8


class OfPlan(OfRun):
    """A page about one plan."""

    permission = "records.view"

    def get_run(self) -> Run:
        run = super().get_run()
        if not plans.is_plan(run):
            raise Http404
        return run


class PlanPage(OfPlan):
    named = gettext_lazy("Plan")
    template_name = "plans/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        plan, fields = self.get_run(), plans.fields_of(self.get_run())
        approval = plans.approval_of(plan)
        run = plans.applied_by(approval) if approval is not None else None
        filters = read_filters(
            self.request,
            Filter("operation", _("Change"), [(name, PLANNED[name]) for name in plans.kinds_of(plan)]),
            Filter("field", _("Field"), [(field.name, field.name) for field in fields]),
            Filter("key", _("Key"), placeholder=_("of source or target")),
        )
        operation, field, key = (each.value for each in filters)
        return context | {
            "run": plan,
            "verdict": plan_verdict(plan, approval, run, self.acts(plan, approval, run)),
            "facts": self.facts(plan),
            "fields": fields[:FIELDS_SHOWN],
            "filters": filters,
            "narrowed": bool(operation or field or key),
            "page": changes_of(plan, operation=operation, field=field, key=key, after=self.request.GET.get("after", "")),
            "export": reverse("runs:changes_export", args=[plan.pk]),
            "applying": run,
            "kept": changes_of(plan, operation="keep", size=KEPT_SHOWN) if plan.undoes is not None else None,
            "lost": lost_words(plan),
        }

    def facts(self, plan: Run) -> list[Fact]:
        planned, kinds, here = plans.planned_of(plan), plans.kinds_of(plan), reverse("runs:plan", args=[plan.pk])
        gone = "mark" if "mark" in kinds else "delete"
        named = [("creates", "create", _("To create")), ("updates", "update", _("To update")), ("deletes", gone, _("To delete"))]
        named.append(("links", "adopt", _("To link")) if plan.undoes is None else ("links", "keep", _("Cannot be undone")))
        named += [("unlinks", "unlink", _("Links to end"))] if planned["unlinks"] else []
        return [Fact(label, number(planned[name]), href=f"{here}?operation={kind}" if kind in kinds else "") for name, kind, label in named]

    def acts(self, plan: Run, approval: Any, run: Run | None) -> list[Act]:
        try:
            plans.refuse_unless_good(plan)
        except NotPossible:
            return self.again(plan)
        if run is not None or not plans.count_of(plan):
            return []
        acts = []
        if approval is not None and self.by.allows("plans.apply"):
            note = _("What has moved on either side since is left and named. The cursor stays where it is.")
            sure = _("Write all changes that fit to {target}?")
            if approval.is_counted:
                sure = ngettext("Write {n} change to {target}?", "Write {n} changes to {target}?", approval.approved_count)
            sure = sure.format(n=number(approval.approved_count), target=plan.target.system.name)
            acts.append(Act(_("Apply"), post=reverse("runs:apply", args=[plan.pk]), primary=True, icon="play_arrow", confirm=sure, note=note))
        if self.by.allows("plans.approve") and not (approval is not None and approval.runs.exists()):
            word = _("Approve") if approval is None else _("Approve otherwise")
            acts.append(Act(word, href=reverse("runs:approve", args=[plan.pk]), primary=approval is None))
        return acts

    def again(self, plan: Run) -> list[Act]:
        if plan.sync_id is None or plan.undoes is not None or not self.by.allows("syncs.run"):
            return []
        if plan.reconciles and plan.sync is not None:
            return [reconcile_act(plan.sync, primary=True, quiet=False)] if agreed.refusal(plan.sync) is None else []
        return [Act(_("Dry run"), post=reverse("syncs:run", args=[plan.sync_id]), values={"dry": "1"}, primary=True)]


def lost_words(plan: Run) -> str:
    """What does not come back with records that an undo creates again; "" where it creates none."""
    n = plans.planned_of(plan)["creates"] if plan.undoes is not None else 0
    said = ngettext(
        "{n} record that was deleted is created again, as a new one and with the fields of the mapping alone: what else {target} held of it is lost.",
        "{n} records that were deleted are created again, as new ones and with the fields of the mapping alone: what else {target} held of them is lost.",
        n,
    )
    return said.format(n=number(n), target=plan.target.system.name) if n else ""


PLANNED = {
    "create": gettext_lazy("Create"),
    "update": gettext_lazy("Update"),
    "adopt": gettext_lazy("Link records"),
    "delete": gettext_lazy("Delete"),
    "mark": gettext_lazy("Mark as deleted"),
    "unlink": gettext_lazy("End the link"),
    "keep": gettext_lazy("Cannot be undone"),
}


class ApprovePlan(OfPlan):
    permission = "plans.approve"
    named = gettext_lazy("Approve")
    template_name = "plans/approve.html"

    def get_crumbs(self) -> list[Link]:
        plan = self.get_run()
        return [*super().get_crumbs(), Link(_("Plan"), reverse("runs:plan", args=[plan.pk]))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        plan = self.get_run()
        form = kwargs.pop("form", None) or ApprovalForm(plan, initial=approved_before(plan))
        return super().get_context_data(**kwargs) | {
            "run": plan,
            "form": form,
            "count": plans.count_of(plan),
            "names": list(plans.rule_types(plan)),
            "back": reverse("runs:plan", args=[plan.pk]),
        }

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        plan, counts = self.get_run(), "count" in request.POST
        form = ApprovalForm(plan, request.POST)
        form.fields["reason"].required = not counts
        is_valid = form.is_valid()
        form.fields["reason"].required = True
        if is_valid:
            chosen = form.cleaned_data
            reason = chosen.pop("reason")
            try:
                if counts:
                    return self.render_to_response(self.get_context_data(form=form, fitting=plans.draft_approval(plan, **chosen)))
                approval = plans.approve_plan(plan, by=self.by, reason=reason, **chosen)
            except ValidationError as refusal:
                form.add_error(None, refusal)
            except NotPossible as refusal:
                form.add_error(None, str(refusal))
            else:
                said = _("All changes that fit are approved.")
                if approval.is_counted:
                    said = ngettext("{n} change is approved.", "{n} changes are approved.", approval.approved_count)
                messages.success(request, said.format(n=number(approval.approved_count)))
                return HttpResponseRedirect(reverse("runs:plan", args=[plan.pk]))
        return self.render_to_response(self.get_context_data(form=form))


def approved_before(plan: Run) -> dict[str, Any]:
    """What the form of a plan that is approved already begins with: all but the reason, which is another one."""
    approval = plans.approval_of(plan)
    if approval is None:
        return {}
    return {"operations": approval.operations, "rule": approval.rule, "except_keys": "\n".join(approval.except_keys)}


class ApplyPlan(OnRun):
    permission = "plans.apply"
    refusals: tuple[type[Exception], ...] = (NotPossible, PairBusy)

    def act(self, request: HttpRequest, number: int) -> str | None:
        self.applying = plans.apply_plan(plans.approved(self.run), by=self.by)
        return None

    def back(self) -> str:
        return self.applying.get_absolute_url() if hasattr(self, "applying") else super().back()
