"""A group of rejects with one cause: what is wrong, what clears them together, and the list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.accounts.models import User
from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.core.pages import HubPage
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link
from integration_hub.core.templatetags.hub import capped, number
from integration_hub.syncs.causes import Cause, causes_of
from integration_hub.syncs.forecast import MOST as FORECAST_MOST
from integration_hub.syncs.forecast import forecast
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import NOBODY, Mend, OpenRow, Run, Sync
from integration_hub.syncs.resolving import missing_entry, why_not_linked, why_not_mended
from integration_hub.syncs.states import OpenState
from integration_hub.syncs.telling.names import entity_name

ROW_STATES = {
    OpenState.REJECTED: ("warn", ""),
    OpenState.REFUSED: ("bad", ""),
    OpenState.PARKED: ("idle", "hourglass_empty"),
    OpenState.WITHHELD: ("warn", "front_hand"),
    OpenState.MOVED: ("warn", "swap_horiz"),
    OpenState.UNKNOWN: ("warn", "help"),
}
SIZE = 25


def name_of_person(user: User) -> str:
    return user.get_full_name() or user.username


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
        "doubts": replay_doubts(cause.example),
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


def row_number(text: str) -> str:
    """The text, where it is the number of a row; else ""."""
    return text if text.isascii() and text.isdigit() and len(text) < 18 else ""


def whose(text: str) -> str:
    """A person's number or "nobody", as the query set takes it."""
    return text if text == NOBODY else row_number(text)


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
        assigned = whose(self.request.GET.get("assigned", ""))
        cause = next((each for each in causes_of(sync, found, assigned=assigned) if each.cause == self.kwargs["cause"]), None)
        if cause is None:
            return context | {"group": None, "sync": sync}
        return context | {"group": group_of(cause) | opened(cause, self.request, self.by), "sync": sync}
