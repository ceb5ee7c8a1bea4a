"""The list of rejects: groups by cause, or those that are closed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.accounts.models import User
from integration_hub.core.pages import Filter, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Link, Verdict
from integration_hub.core.templatetags.hub import capped, clock, number
from integration_hub.syncs.causes import MOST, Cause, causes_of
from integration_hub.syncs.models import NOBODY, OpenRow, Run, Sync
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.telling.runs import MISSED, left_since
from integration_hub.syncs.views.reject_groups import group_of, name_of_person, opened, row_of

CLOSED, ME = "closed", "me"
GO_ON = {OpenState.PARKED, OpenState.MOVED}  # by themselves


class Chosen:
    """The filters of the rejects, as they stand in the address."""

    def __init__(self, request: HttpRequest, by: Any) -> None:
        run = request.GET.get("run", "")
        found = Run.objects.visible_to(by).filter(pk=run).first() if run.isascii() and run.isdigit() and len(run) < 18 else None
        syncs = Sync.objects.visible_to(by).order_by("name").values_list("pk", "name")[:500]
        self.run: Run | None = found
        self.filters = read_filters(
            request,
            Filter("sync", _("Sync"), syncs),
            Filter("state", _("State"), [*OpenState.choices, (CLOSED, gettext_lazy("Closed"))], any=_("open")),
            Filter("assigned", _("Assigned to"), assignees(by), any=_("anyone")),
            *([Filter("run", _("Run"), [(str(found.pk), _("Run {number}").format(number=number(found.pk)))])] if found else []),
        )
        sync, self.state = self.filters[0].value, self.filters[1].value
        self.sync = Sync.objects.visible_to(by).with_names().filter(pk=sync).first() if sync else None
        assigned = self.filters[2].value
        self.assigned = str(by.user_id or 0) if assigned == ME else assigned
        self.field = request.GET.get("field", "")[:300]

    @property
    def is_closed(self) -> bool:
        return self.state == CLOSED

    def causes(self) -> list[Cause]:
        """The groups by sync, state and run; the field is chosen among theirs."""
        found = causes_of(self.sync, self.run, states=(self.state,) if self.state else (), assigned=self.assigned)
        return [cause for cause in found if self.sync is None or cause.sync_id == self.sync.pk]

    def rows(self, by: Any) -> Any:
        rows: Any = OpenRow.objects.visible_to(by)
        rows = rows.filter(closed_at__isnull=False) if self.is_closed else rows.open()
        if self.sync:
            rows = rows.filter(sync=self.sync)
        if self.run:
            rows = rows.filter(run=self.run)
        if self.state and not self.is_closed:
            rows = rows.filter(state=self.state)
        rows = rows.assigned_to(self.assigned)
        return rows.filter(field=self.field) if self.field else rows


def assignees(by: Any) -> list[tuple[str, Any]]:
    """Whose rejects may be asked for: one's own, nobody's, and those of everyone who has some."""
    with_some = OpenRow.objects.open().filter(assigned_to__isnull=False).order_by().values("assigned_to").distinct()
    people = User.objects.filter(pk__in=with_some).exclude(pk=by.user_id).order_by("username")[:100]
    return [(ME, _("me")), (NOBODY, _("nobody")), *((str(user.pk), name_of_person(user)) for user in people)]


class RejectList(HubPage):
    permission = "rejects.view"
    title = gettext_lazy("Rejects")
    nav = "rejects"
    template_name = "rejects/list.html"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        chosen = Chosen(self.request, self.by)
        context |= {"chosen": chosen, "filters": chosen.filters, "export": reverse("rejects:export"), "export_excel": reverse("rejects:export_excel")}
        if chosen.is_closed:
            rows = chosen.rows(self.by).select_related("sync", "assigned_to")
            context["pager"] = key_page(rows, self.request, order=("-closed_at", "-pk"))
            context["rows"] = [row_of(row) for row in context["pager"].items]
            return context
        causes = chosen.causes()
        fields = sorted({cause.example.field for cause in causes if cause.example.field})
        chosen.filters.append(*read_filters(self.request, Filter("field", _("Field"), [(name, name) for name in fields])))
        if chosen.filters[-1].value:
            causes = [cause for cause in causes if cause.example.field == chosen.filters[-1].value]
        groups = [group_of(cause) for cause in causes[:MOST]]
        if groups:
            groups[0] |= opened(causes[0], self.request, self.by)
        return context | {"groups": groups, "more": max(0, len(causes) - MOST), "verdict": verdict_of(causes, chosen)}


def verdict_of(causes: list[Cause], chosen: Chosen) -> Verdict:
    """What is wrong with these records, and how do I clear them together?"""
    total = sum(cause.count for cause in causes)
    since_then = _since_then(chosen, total)
    if not total:
        if since_then:
            return Verdict("ok", _("No rejects"), _("Nothing is left open here."), next=since_then)
        if any(each.value for each in chosen.filters):
            return Verdict("ok", _("No rejects"), _("Nothing is left open here."), next=[_("Other filters may show more.")])
        return Verdict("ok", _("No rejects"), _("Every record that was read has arrived."), next=[_("Nothing needs you now.")])
    oldest = min(causes, key=lambda cause: cause.oldest.first_at).oldest
    word = ngettext("{n} record left open", "{n} records left open", total).format(n=capped(total))
    first = causes[0]
    sentence = ngettext("{n} record did not arrive", "{n} records did not arrive", total).format(n=capped(total))
    if len(causes) == 1:
        sentence = _("{records}, for one cause.").format(records=sentence)
    else:
        sentence = ngettext(
            "{records}, for {causes} causes; one clears {n} of them.", "{records}, for {causes} causes; one clears {n} of them.", len(causes)
        ).format(records=sentence, causes=number(len(causes)), n=capped(first.count))
    since: list[str | Link] = [_("oldest since {when}").format(when=clock(oldest.first_at))]
    if chosen.run:
        since += [" · ", Link(_("Run {number}").format(number=number(chosen.run.pk)), chosen.run.get_absolute_url())]
    following: list[str | Link] = [next_words(states := {OpenState(cause.example.state) for cause in causes})]
    following += [" ", *since_then] if since_then else []
    state = "bad" if OpenState.REFUSED in states and len(causes) == 1 else "idle" if states <= GO_ON else "warn"
    return Verdict(state, word, sentence, since=since, next=following, asks=not states <= GO_ON)


def next_words(states: set[OpenState]) -> str:
    """What is to be done about records in these states."""
    if states <= GO_ON:
        return _("They go on by themselves, what is parked once the record it waits for is linked.")
    if states == {OpenState.WITHHELD}:
        return _("decide: accept and they are written, refuse and they stay as they are.")
    if states == {OpenState.UNKNOWN}:
        return _("see in the target: link by hand what is there, replay what is not, or dismiss it.")
    return _("mend the values, or correct them in the source or the mapping, then replay; or dismiss what may stay away, with a reason.")


def _since_then(chosen: Chosen, total: int) -> list[str | Link]:
    """What became of the run's records that are not listed, so that the list and the run's books can be told together."""
    run = chosen.run
    if run is None or chosen.assigned or chosen.field:
        return []
    counts = run.sums()
    said = left_since(run, counts[chosen.state] if chosen.state in counts else sum(counts[name] for name in (*MISSED, "parked")), total)
    return [said, " ", Link(_("Closed"), f"{reverse('rejects:list')}?run={run.pk}&state={CLOSED}")] if said else []
