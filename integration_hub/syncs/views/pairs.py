"""A pair that no sync is left of: what is still kept of it, and the way to let it go."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.core.pages import HubAction, HubPage
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import capped
from integration_hub.syncs import services
from integration_hub.syncs.freshness import CAP
from integration_hub.syncs.models import Link as RecordLink
from integration_hub.syncs.models import Pair, Run
from integration_hub.syncs.services import NotPossible, PairBusy


def pair_of(pk: int) -> Pair:
    found: Pair = get_object_or_404(Pair.objects.select_related("a__system", "b__system"), pk=pk)
    return found


class PairPage(HubPage):
    permission = "syncs.view"
    nav = "syncs"
    template_name = "syncs/pair.html"

    def get_title(self) -> str:
        return str(pair_of(self.kwargs["pk"]))

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        pair = pair_of(self.kwargs["pk"])
        syncs = list(pair.syncs.order_by("name"))
        links = RecordLink.objects.live(pair)[: CAP + 1].count()
        runs = Run.objects.filter(pair=pair)[: CAP + 1].count()
        kept = ngettext("{n} link and ", "{n} links and ", links).format(n=capped(links))
        kept += ngettext("{n} run are kept of it.", "{n} runs are kept of it.", runs).format(n=capped(runs))
        said = _("No sync is left between the two entities.")
        if syncs:
            said = ngettext("{n} sync keeps the two entities in step.", "{n} syncs keep the two entities in step.", len(syncs)).format(n=len(syncs))
        acts = []
        if not syncs and self.by.allows("syncs.delete"):
            note = _("A sync made later looks for each record by its match keys again. This cannot be taken back.")
            confirm = _("Delete the links and the history of {pair}?").format(pair=pair)
            acts = [Act(_("Delete links and history"), post=reverse("syncs:delete_pair", args=[pair.pk]), confirm=confirm, note=note, danger=True)]
        verdict = Verdict("idle", _("Pair"), said, next=[kept], acts=acts)
        return super().get_context_data(**kwargs) | {"verdict": verdict, "syncs": syncs}


class DeletePair(HubAction):
    permission = "syncs.delete"
    refusals = (PairBusy, NotPossible)
    is_gone = False

    def act(self, request: HttpRequest, pk: int) -> str:
        pair = pair_of(pk)
        services.delete_pair(pair, by=self.by)
        self.is_gone = True
        return _("The links and the history of {pair} are deleted.").format(pair=pair)

    def back(self) -> str:
        return reverse("syncs:list") if self.is_gone else super().back()
