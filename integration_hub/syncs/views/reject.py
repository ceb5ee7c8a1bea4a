"""The page of one reject."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.core.pages import HubPage
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import clock, number
from integration_hub.syncs import mends
from integration_hub.syncs.forecast import forecast
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.resolving import why_not_linked, why_not_mended
from integration_hub.syncs.states import Closed, OpenState
from integration_hub.syncs.telling.names import entity_name
from integration_hub.syncs.views.reject_groups import decide_act, dismiss_words, replay_doubts, row_of


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
            Act(_("Trace"), href=f"{reverse('syncs:trace', args=[row.sync_id])}?{urlencode({'key': row.key})}"),
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
        if self.by.allows("rejects.mend") and why_not_mended(row) is None:
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
