from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.approvals import services
from integration_hub.approvals.kinds import kinds
from integration_hub.approvals.models import Decision, DecisionState
from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import clock, number

STATES = {
    DecisionState.OPEN: ("warn", "front_hand"),
    DecisionState.ACCEPTED: ("ok", ""),
    DecisionState.REFUSED: ("idle", "block"),
    DecisionState.LAPSED: ("idle", ""),
}


def decision_filters(request: HttpRequest) -> list[Filter]:
    return read_filters(
        request,
        Filter("state", _("State"), DecisionState.choices),
        Filter("subject", _("About"), placeholder=_("begins with …")),
    )


def chosen(request: HttpRequest, by: Any) -> tuple[list[Filter], Any]:
    """The filters as they stand in the address, and the decisions that they leave."""
    filters = decision_filters(request)
    state, subject = (each.value for each in filters)
    found = Decision.objects.visible_to(by)
    if state:
        found = found.filter(state=state)
    return filters, found.filter(subject_name__startswith=subject) if subject else found


class DecisionList(HubPage):
    permission = "decisions.view"
    title = gettext_lazy("Decisions")
    nav = "decisions"
    template_name = "decisions/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters, found = chosen(self.request, self.by)
        pager = key_page(found, self.request)
        waiting = Decision.objects.visible_to(self.by).open().count()
        return super().get_context_data(**kwargs) | {
            "filters": filters,
            "pager": pager,
            "rows": [row_of(decision) for decision in pager.items],
            "verdict": list_verdict(waiting),
            "export": reverse("decisions:export"),
        }


def list_verdict(waiting: int) -> Verdict:
    if not waiting:
        return Verdict("ok", _("Nothing waits"), _("No decision is open."), next=[_("What a guard holds back appears here.")])
    said = ngettext("{n} decision is open.", "{n} decisions are open.", waiting).format(n=number(waiting))
    return Verdict("warn", _("Waiting"), said, next=[_("look at what each would change, then accept or refuse it.")], asks=True, icon="front_hand")


def row_of(decision: Decision) -> dict[str, Any]:
    state, icon = STATES[DecisionState(decision.state)]
    return {"decision": decision, "state": state, "icon": icon, "kind": str(kinds[decision.kind].label)}


class DecisionExport(Door):
    """The decisions as chosen, newest first."""

    permission = "decisions.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        __, found = chosen(request, self.by)
        head = (_("Decision"), _("About"), _("Records"), _("State"), _("Asked"), _("Decided"), _("By"), _("Reason"))
        return csv_answer("decisions", head, map(_cells, found.order_by("-pk").iterator(chunk_size=500)))


def _cells(decision: Decision) -> list[Any]:
    decided = decision.decided_at.isoformat() if decision.decided_at else ""
    return [
        decision.sentence, decision.subject_name, decision.count, decision.get_state_display(), decision.asked_at.isoformat(), decided,
        decision.decided_by, decision.reason,
    ]  # fmt: skip


class DecisionPage(HubPage):
    """What is asked, what it would change, and the answers."""

    permission = "decisions.view"
    nav = "decisions"
    template_name = "decisions/detail.html"

    def get_decision(self) -> Decision:
        if not hasattr(self, "_decision"):
            self._decision: Decision = get_object_or_404(Decision.objects.visible_to(self.by), pk=self.kwargs["pk"])
        return self._decision

    def get_title(self) -> str:
        return self.get_decision().subject_name

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Decisions"), reverse("decisions:list"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        decision = self.get_decision()
        kind = kinds[decision.kind]
        told = {"decision": decision, "verdict": self.verdict(decision), "template": kind.template}
        return super().get_context_data(**kwargs) | told | kind.shown(decision, self.by)

    def verdict(self, decision: Decision) -> Verdict:
        state, icon = STATES[DecisionState(decision.state)]
        word, sentence = str(decision.get_state_display()), decision.sentence
        since = [_("asked {when}").format(when=clock(decision.asked_at))]
        if decision.asked_again_at != decision.asked_at:
            since.append(_(" · brought up to date {when}").format(when=clock(decision.asked_again_at)))
        if decision.is_open:
            acts = self.acts(decision)
            following = [_("look at the records below, then accept or refuse.")] if acts else [_("An approver, operator or administrator decides.")]
            return Verdict(state, word, sentence, icon=icon, since=since, next=following, asks=bool(acts), acts=acts)
        if decision.state == DecisionState.LAPSED:
            how = [_("A later run found nothing left to decide, {when}.").format(when=clock(decision.decided_at))]
        else:
            how = [_("{name}, {when}: {reason}").format(name=decision.decided_by, when=clock(decision.decided_at), reason=decision.reason)]
        return Verdict(state, word, sentence, icon=icon, since=since, next=how)

    def acts(self, decision: Decision) -> list[Act]:
        if not self.by.allows("decisions.decide"):
            return []
        return [
            Act(
                str(answer.label),
                post=reverse("decisions:answer", args=[decision.pk]),
                values={"answer": name, "seen": str(decision.count)},
                primary=answer.primary,
                danger=answer.danger,
                confirm=decision.sentence if answer.state == DecisionState.ACCEPTED else _("Refuse: {question}").format(question=decision.sentence),
                note=str(answer.note),
                reason="required",
            )
            for name, answer in kinds[decision.kind].answers(decision).items()
            if not answer.permission or self.by.allows(answer.permission)
        ]


class AnswerDecision(HubAction):
    permission = "decisions.decide"

    @property
    def refusals(self) -> tuple[type[Exception], ...]:  # type: ignore[override]
        return (services.NotOpen, services.Otherwise, *(refusal for kind in kinds.values() for refusal in kind.refusals))

    def act(self, request: HttpRequest, pk: int) -> str | None:
        decision = get_object_or_404(Decision.objects.visible_to(self.by), pk=pk)
        answer, seen, reason = (request.POST.get(name, "") for name in ("answer", "seen", "reason"))
        is_told = seen.isascii() and seen.isdecimal() and len(seen) < 19
        services.decide(decision, answer, by=self.by, reason=reason, seen=int(seen) if is_told else None)
        decision.refresh_from_db()
        return str(decision.get_state_display())
