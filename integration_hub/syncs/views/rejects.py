from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.accounts.models import User
from integration_hub.approvals.models import Decision
from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.exports import csv_answer, excel_answer
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import capped, clock, number
from integration_hub.syncs import mends, services
from integration_hub.syncs.causes import MOST, Cause, causes_of
from integration_hub.syncs.forecast import MOST as FORECAST_MOST
from integration_hub.syncs.forecast import forecast
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import NOBODY, Mend, OpenRow, Run, Sync
from integration_hub.syncs.resolving import missing_entry, why_not_linked, why_not_mended
from integration_hub.syncs.states import Closed, OpenState
from integration_hub.syncs.telling.names import entity_name
from integration_hub.syncs.telling.runs import MISSED, left_since

CLOSED, ME = "closed", "me"
ROW_STATES = {
    OpenState.REJECTED: ("warn", ""),
    OpenState.REFUSED: ("bad", ""),
    OpenState.PARKED: ("idle", "hourglass_empty"),
    OpenState.WITHHELD: ("warn", "front_hand"),
    OpenState.MOVED: ("warn", "swap_horiz"),
    OpenState.UNKNOWN: ("warn", "help"),
}
GO_ON = {OpenState.PARKED, OpenState.MOVED}  # by themselves
SIZE = 25


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


def name_of_person(user: User) -> str:
    return user.get_full_name() or user.username


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


def group_of(cause: Cause) -> dict[str, Any]:
    """A group as its head shows it."""
    row = cause.example
    state, icon = ROW_STATES[OpenState(row.state)]
    name = name_of(unpacked_record(row.record)) or row.key
    detail = []
    if row.field:
        detail.append(_("field {field}").format(field=row.field))
    if row.step and row.state != OpenState.WITHHELD:  # nothing was done with those, and the sentence says what would be
        detail.append(step_words(row.step))
    others = cause.count - 1
    detail.append(ngettext("{name} and {n} more", "{name} and {n} more", others).format(name=name, n=capped(others)) if others else name)
    if row.assigned_to is not None:
        detail.append(_("assigned to {name}").format(name=name_of_person(row.assigned_to)))
    return {
        "cause": cause,
        "id": f"cause-{cause.sync_id}-{cause.cause}",
        "href": cause_href(cause),
        "state": state,
        "icon": icon,
        "sentence": texts.render(row.reason),
        "detail": " · ".join(detail),
        "example": name,
        "others": others,
    }


def narrowing(cause: Cause) -> dict[str, Any]:
    """What only some of a cause's rows are meant by, as addresses and forms say it."""
    return ({"run": cause.run.pk} if cause.run else {}) | ({"assigned": cause.assigned} if cause.assigned else {})


def cause_href(cause: Cause) -> str:
    more = urlencode(narrowing(cause))
    return reverse("rejects:cause", args=[cause.sync_id, cause.cause]) + (f"?{more}" if more else "")


def step_words(step: str) -> str:
    """Where on its way a record stopped."""
    from integration_hub.mappings.transforms import TRANSFORMS

    known = {
        "read": _("when it was read"),
        "match": _("when it was looked up in the target"),
        "write": _("when it was written"),
        "create": _("when it was created"),
        "update": _("when it was updated"),
        "delete": _("when it was deleted"),
        "required": _("required by the target"),
        "max_length": _("length checked"),
        "pattern": _("pattern checked"),
        "allowed": _("allowed values checked"),
        "convert": _("made into the target's type"),
        "formula": _("formula"),
    }
    declared = TRANSFORMS[step] if step in TRANSFORMS else None  # noqa: SIM401  a registry has no get()
    return known.get(step) or _("step {name}").format(name=_(declared.label) if declared else step)


def acts_on(cause: Cause) -> tuple[Act, Act]:
    """What clears the whole group."""
    n = capped(cause.count)
    values = {"sync": cause.sync_id, "cause": cause.cause} | narrowing(cause)
    replay = Act(
        ngettext("Replay {n}", "Replay all {n}", cause.count).format(n=n), post=reverse("rejects:replay"), values=values, icon="replay",
        title=_("The records are read from the source again and take the whole way"), **replay_doubts(cause.example, cause.count),
    )  # fmt: skip
    dismiss = Act(
        ngettext("Dismiss {n}", "Dismiss all {n}", cause.count).format(n=n), post=reverse("rejects:dismiss"), values=values, danger=True, reason="required",
        confirm=ngettext("Dismiss {n} record?", "Dismiss {n} records?", cause.count).format(n=n),
        note=dismiss_words(cause.example, cause.count),
    )  # fmt: skip
    return replay, dismiss


def replay_doubts(row: OpenRow, count: int = 1) -> dict[str, Any]:
    """What is asked before so many records like this one are replayed: nothing, but where the target may have them by now."""
    if row.state != OpenState.UNKNOWN:
        return {}
    sure = ngettext("Replay {n} record?", "Replay {n} records?", count).format(n=capped(count))
    note = _("What {target} has already and cannot be asked for by its match key, it then has twice. Link that by hand instead.")
    return {"confirm": sure, "note": note.format(target=row.sync.target.system.name)}


def dismiss_words(row: OpenRow, count: int = 1) -> str:
    """What becomes of so many records like this one once they are dismissed."""
    if row.state == OpenState.UNKNOWN:
        return _("Runs then take it that the target has the record, and leave it alone until it changes in the source. The reason is kept.")
    return ngettext(
        "Nothing more is asked of you about it until it changes in the source, or fails for another cause. The reason is kept.",
        "Nothing more is asked of you about them until they change in the source, or fail for another cause. The reason is kept.",
        count,
    )


def decide_act(row: OpenRow) -> Act | None:
    """Where it is decided about a withheld record: it is neither replayed nor dismissed."""
    if row.state != OpenState.WITHHELD:
        return None
    decision = Decision.objects.open().about(row.sync).filter(part=row.step).first()
    return Act(_("Decide"), href=decision.get_absolute_url(), icon="front_hand") if decision is not None else None


def assigning(cause: Cause) -> Act:
    """Leads to the form that says who looks after the group."""
    return Act(_("Assign…"), post=reverse("rejects:assign"), values={"sync": cause.sync_id, "cause": cause.cause} | narrowing(cause))


def opened(cause: Cause, request: HttpRequest, by: Any) -> dict[str, Any]:
    """What an opened group shows: the act that clears all with its forecast, one record on its way, the list."""
    shared = ("sync__mapping", "sync__pair__a__system", "sync__pair__b__system", "waits_pair__a__system", "waits_pair__b__system")
    rows = cause.rows.select_related("assigned_to").prefetch_related(*shared)  # else the schemas of both entities are read anew for each row
    pager = key_page(rows, request, order=("pk",), size=SIZE, counted=False)
    tested = list(cause.rows.order_by("pk")[:FORECAST_MOST])
    page_href = cause_href(cause) + ("&" if narrowing(cause) else "?")
    told = forecast(tested) if by.allows("records.view") else None
    state = cause.example.state
    first = tested[0] if tested else None
    may_resolve = by.allows("rejects.resolve") and state != OpenState.WITHHELD
    mended = set(Mend.objects.filter(sync=cause.sync_id, key__in=[row.key for row in pager.items]).values_list("key", flat=True))
    return {
        "is_open": True,
        "acts": acts_on(cause) if may_resolve else (),
        "forecast": told,
        "forecast_words": forecast_words(cause, told) if told and state not in (OpenState.WITHHELD, OpenState.UNKNOWN) else None,
        "first": row_of(first) if first else None,
        "first_sync": first.sync if first else None,
        "pager": pager,
        "page_href": page_href,
        "rows": [row_of(row) | {"is_mended": row.key in mended} for row in pager.items],
        "may_resolve": may_resolve,
        "decide": decide_act(cause.example),
        "may_mend": may_resolve and by.allows("rejects.mend") and by.allows("records.view") and first is not None and why_not_mended(first) is None,
        "may_link": may_resolve and first is not None and why_not_linked(first) is None,
        "assign": assigning(cause) if by.allows("rejects.assign") else None,
        "missing": missing_entry(first) if first and by.allows("mappings.change") and by.allows("rejects.resolve") else None,
        "may_publish": by.allows("mappings.publish"),
        "waits": any(row.waits_pair_id for row in pager.items),
    }


def forecast_words(cause: Cause, told: Any) -> tuple[str, str]:
    """Colour and sentence of a forecast. It is a rehearsal with the records as they were kept, and says so."""
    passing, tried = number(told.passing), number(told.tried)
    if not told.decided_here:
        if told.passing == told.tried:
            return "idle", _("Mapping lets them through; whether {system} takes them shows when they are replayed").format(
                system=cause.example.sync.target.system.name
            )
        return "warn", _("Mapping would let {n} of {of} through").format(n=passing, of=tried)
    words = ngettext("{n} of {of} would pass as it was kept", "{n} of {of} would pass as they were kept", told.tried).format(n=passing, of=tried)
    return ("ok" if told.passing == told.tried else "warn" if told.passing else "idle"), words


def row_of(row: OpenRow) -> dict[str, Any]:
    """An open row as lists show it."""
    record = unpacked_record(row.record)
    state, icon = ROW_STATES[OpenState(row.state)]
    return {
        "row": row,
        "name": name_of(record) or row.key,
        "record": record,
        "state": state,
        "icon": icon,
        "sentence": texts.render(row.reason),
        "step": step_words(row.step) if row.step else "",
        "awaited": awaited(row),
        "assignee": name_of_person(row.assigned_to) if row.assigned_to else "",
    }


def awaited(row: OpenRow) -> dict[str, Any] | None:
    """The record that a parked one waits for, and where more about it stands: among the rejects itself, else on its way, else the pair's page."""
    if row.closed_at is not None or row.waits_pair is None:
        return None
    pair, key = row.waits_pair, row.waits_key
    syncs = [sync for sync in pair.syncs.order_by("pk") if sync.source_side == row.waits_side]
    left = OpenRow.objects.open().filter(sync__in=syncs, side=row.waits_side, key=key).first()
    href = reverse("syncs:pair", args=[pair.pk])
    if left is not None:
        href = reverse("rejects:detail", args=[left.pk])
    elif syncs:
        href = f"{reverse('syncs:trace', args=[syncs[0].pk])}?{urlencode({'key': key})}"
    since = row.waits_since
    return {"name": f"{entity_name(pair.side(row.waits_side))} {key}", "pair": str(pair), "href": href, "since": since, "is_left": left is not None}


class CausePage(HubPage):
    """One group, with its list to page through."""

    permission = "rejects.view"
    nav = "rejects"
    title = gettext_lazy("Rejects of one cause")
    template_name = "rejects/cause.html"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list")), Link(_("Rejects"), reverse("rejects:list"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        sync = get_object_or_404(Sync.objects.visible_to(self.by), pk=self.kwargs["sync"])
        run = self.request.GET.get("run", "")
        found = Run.objects.filter(pk=run).first() if run.isascii() and run.isdigit() and len(run) < 18 else None
        assigned = _whose(self.request.GET.get("assigned", ""))
        cause = next((each for each in causes_of(sync, found, assigned=assigned) if each.cause == self.kwargs["cause"]), None)
        if cause is None:
            return context | {"group": None, "sync": sync}
        return context | {"group": group_of(cause) | opened(cause, self.request, self.by), "sync": sync}


class RejectPage(HubPage):
    """One record that was left."""

    permission = "rejects.view"
    nav = "rejects"
    template_name = "rejects/detail.html"

    def get_row(self) -> OpenRow:
        if not hasattr(self, "_row"):
            rows = OpenRow.objects.visible_to(self.by).select_related(
                "sync__mapping",
                "sync__pair__a__system",
                "sync__pair__b__system",
                "waits_pair__a__system",
                "waits_pair__b__system",
                "run",
                "assigned_to",
            )
            self._row: OpenRow = get_object_or_404(rows, pk=self.kwargs["pk"])
        return self._row

    def get_title(self) -> str:
        row = self.get_row()
        return name_of(unpacked_record(row.record)) or row.key

    def get_crumbs(self) -> list[Link]:
        row = self.get_row()
        return [
            Link(_("Syncs"), reverse("syncs:list")),
            Link(row.sync.name, row.sync.get_absolute_url()),
            Link(_("Rejects"), f"{reverse('rejects:list')}?sync={row.sync_id}"),
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = self.get_row()
        if not self.by.allows("records.view"):
            raise Http404
        told = row_of(row)
        return (
            super().get_context_data(**kwargs)
            | told
            | {
                "forecast": forecast([row]) if row.closed_at is None else None,
                "verdict": self.verdict(told),
                "source_name": entity_name(row.sync.source),
                "is_live": row.replay_at is not None and row.closed_at is None,
                "mend": mends.mend_of(row),
                "forget": Act(
                    _("Take the source's values again"),
                    post=reverse("rejects:forget_mend", args=[row.pk]),
                    quiet=True,
                    confirm=_("Take the source's values again?"),
                    note=_("The next run that reads this record takes what the source says; what was rejected before is rejected again."),
                )
                if self.by.allows("rejects.mend")
                else None,
            }
        )

    def verdict(self, told: dict[str, Any]) -> Verdict:
        row = self.get_row()
        since: list[str | Link] = [
            _("{source} {key} · left since {when}").format(source=entity_name(row.sync.source), key=row.key, when=clock(row.first_at)),
            ngettext(" · tried {n} time", " · tried {n} times", row.tries).format(n=row.tries),
        ]
        if row.run_id:
            since += [" · ", Link(_("Run {number}").format(number=number(row.run_id)), reverse("runs:detail", args=[row.run_id]))]
        if row.closed_at is not None:
            told_by = _("{how} {when} {by}.") if row.closed_by else _("{how} {when}.")
            values = {"how": row.get_closed_as_display(), "when": clock(row.closed_at), "by": row.closed_by}
            how = [told_by.format(**values), " ", row.closed_note or self.closing_words(row)]
            return Verdict("idle", str(row.get_closed_as_display()), told["sentence"], since=since, next=how, icon="check_circle")
        following: list[str | Link] = [_("mend its values, or correct it in the source or in the mapping, then replay it.")]
        if (waits := told["awaited"]) is not None:
            before, __, after = _("it goes on by itself once {record} is linked.").partition("{record}")
            following = [before, Link(waits["name"], waits["href"]), after]
            if waits["since"]:
                following += [" ", _("It has waited since {when}.").format(when=clock(waits["since"]))]
        elif row.state == OpenState.MOVED:
            following = [_("The next run compares it again by itself.")]
        if row.replay_at:
            following = [_("A replay was asked for {when}; the next run takes it up.").format(when=clock(row.replay_at))]
        acts = [
            Act(_("Trace"), href=f"{reverse('syncs:trace', args=[row.sync_id])}?key={row.key}"),
            Act(_("Its story"), href=f"{reverse('syncs:story', args=[row.sync_id])}?{urlencode({'key': row.key})}"),
        ]
        if row.state == OpenState.WITHHELD:
            following = [_("it waits for a decision.")]
            acts = [act for act in (decide_act(row),) if act is not None] + acts
        elif self.by.allows("rejects.resolve"):
            acts = [
                Act(_("Replay"), post=reverse("rejects:replay"), values={"ids": row.pk}, primary=True, icon="replay", **replay_doubts(row)),
                Act(
                    _("Dismiss"), post=reverse("rejects:dismiss"), values={"ids": row.pk}, danger=True, reason="required",
                    confirm=_("Dismiss this record?"),
                    note=dismiss_words(row),
                ),
                *acts,
            ]  # fmt: skip
            if why_not_linked(row) is None:
                following = [_("see in the target: link it there, replay it if it is not there, or dismiss it.")]
                link = Act(_("Link by hand"), href=reverse("rejects:link", args=[row.pk]), icon="link", primary=True)
                acts = [link, replace(acts[0], primary=False), *acts[1:]]
        if self.by.allows("rejects.assign"):
            acts.insert(-1, Act(_("Assign…"), post=reverse("rejects:assign"), values={"ids": row.pk}))
        if self.by.allows("rejects.mend") and row.state != OpenState.WITHHELD and why_not_mended(row) is None:
            acts.insert(1, Act(_("Mend values"), href=reverse("rejects:mend", args=[row.pk]), icon="healing"))
        return Verdict(
            told["state"],
            str(row.get_state_display()),
            told["sentence"],
            since=since,
            next=following,
            asks=not row.replay_at and row.state != OpenState.MOVED,
            acts=acts,
            icon=told["icon"],
        )

    @staticmethod
    def closing_words(row: OpenRow) -> str:
        """What happened to a record whose row nobody closed by hand."""
        if row.closed_as == Closed.LATER_PASS:
            return _("A later run met this record again and it went through, or it is no longer among those that the sync takes.")
        return _("It went through when it was replayed.") if row.closed_as == Closed.REPLAYED else ""


# --- acts -------------------------------------------------------------------------------------------------------------


def chosen_rows(request: HttpRequest, by: Any) -> Any:
    """The open rows that a form names: some by their ids, or a whole group."""
    rows: Any = OpenRow.objects.visible_to(by).open()
    ids = [pk for pk in request.POST.getlist("ids") if _number(pk)][:1_000]
    if ids:
        return rows.filter(pk__in=ids)
    given = {name: request.POST.get(name, "") for name in ("sync", "run", "assigned")}
    read = {"sync": _number(given["sync"]), "run": _number(given["run"]), "assigned": _whose(given["assigned"])}
    if read != given or not read["sync"]:  # what cannot be read must not mean more rows
        return rows.none()
    rows = rows.filter(sync=read["sync"], cause=request.POST.get("cause", "")).assigned_to(read["assigned"])
    return rows.filter(run=read["run"]) if read["run"] else rows


def _number(text: str) -> str:
    """The text, where it is the number of a row; else ""."""
    return text if text.isascii() and text.isdigit() and len(text) < 18 else ""


def _whose(text: str) -> str:
    """A person's number or "nobody", as the query set takes it."""
    return text if text == NOBODY else _number(text)


class Replay(HubAction):
    permission = "rejects.resolve"

    def act(self, request: HttpRequest) -> str | None:
        count = services.replay_rejects(chosen_rows(request, self.by), by=self.by)
        if not count:
            return _("Nothing was chosen, or it is being replayed already.")
        return ngettext("{n} record is replayed now.", "{n} records are replayed now.", count).format(n=number(count))


class Dismiss(HubAction):
    permission = "rejects.resolve"

    def act(self, request: HttpRequest) -> str | None:
        count = services.dismiss_rejects(chosen_rows(request, self.by), by=self.by, note=request.POST.get("reason", ""))
        if not count:
            return _("Nothing was chosen.")
        return ngettext("{n} record is dismissed.", "{n} records are dismissed.", count).format(n=number(count))


# --- export -----------------------------------------------------------------------------------------------------------


class Export(Door):
    """The rejects as chosen, as a file for spreadsheets. Values that a spreadsheet would take for a formula are made text."""

    permission = "rejects.view"
    answer = staticmethod(csv_answer)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        self.by.require("records.view")
        chosen = Chosen(request, self.by)
        rows = chosen.rows(self.by).select_related("sync", "assigned_to").order_by("pk")
        with transaction.atomic():
            audit.record("rejects.exported", chosen.sync or request.user, by=self.by, note=request.GET.urlencode())  # type: ignore[arg-type]
        head = (
            _("Sync"), _("State"), _("Key"), _("Name"), _("Reason"), _("Field"), _("Step"), _("Value"), _("First"), _("Last"), _("Tries"), _("Run"),
            _("Record"), _("Assigned to"), _("Note"), _("Closed"), _("How"), _("Closed by"), _("Why"),
        )  # fmt: skip
        return self.answer("rejects", head, map(_cells, rows.iterator(chunk_size=500)))


class ExcelExport(Export):
    answer = staticmethod(excel_answer)


def _cells(row: OpenRow) -> list[Any]:
    record = unpacked_record(row.record)
    return [
        row.sync.name, row.get_state_display(), row.key, name_of(record), texts.render(row.reason), row.field, row.step, row.value,
        row.first_at.isoformat(), row.last_at.isoformat(), row.tries, row.run_id or "", json.dumps(record, ensure_ascii=False),
        name_of_person(row.assigned_to) if row.assigned_to else "", row.assigned_note,
        row.closed_at.isoformat() if row.closed_at else "", row.get_closed_as_display(), row.closed_by, row.closed_note,
    ]  # fmt: skip
