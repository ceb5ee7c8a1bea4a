"""The story of a record, and both its sides read now."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import clock, number
from integration_hub.syncs import story
from integration_hub.syncs.journal import Change
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.telling.names import entity_name, started_by, version_words
from integration_hub.syncs.views.changes import OPERATIONS, RESULTS
from integration_hub.syncs.views.syncs import OfSync


class StoryPage(OfSync):
    permission = "records.view"
    named = gettext_lazy("Story of a record")
    template_name = "syncs/story.html"

    @property
    def key(self) -> str:
        return self.request.GET.get("key", "").strip()[:500]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context, sync = super().get_context_data(**kwargs), self.get_sync()
        context |= {"sync": sync, "key": self.key}
        if self.key:
            told = story.story_of(sync, self.key, by=self.by, after=self.request.GET.get("after", ""))
            now = f"{reverse('syncs:story_now', args=[sync.pk])}?{urlencode({'key': self.key})}"
            context |= {"story": told, "moments": [moment_of(change) for change in told.changes], "verdict": self.verdict(told), "now": now}
        return context

    def verdict(self, told: story.Story) -> Verdict:
        sync, link = told.sync, told.link
        acts = [Act(_("Trace"), href=f"{reverse('syncs:trace', args=[sync.pk])}?{urlencode({'key': link_key(sync, link) if link else told.key})}")]
        following: list[str | Link] = []
        if told.open_row is not None:
            before, __, after = _("It has an {open_row}.").partition("{open_row}")
            following = [before, Link(_("open row"), reverse("rejects:detail", args=[told.open_row.pk])), after]
        if not told.links:
            said = _("No record with the key {key} was ever linked here.").format(key=told.key)
            return Verdict("idle", _("Not linked"), said, next=following, acts=acts)
        a, b = entity_name(sync.pair.a), entity_name(sync.pair.b)
        newest = told.links[0]
        words = _("{a} {a_key} is linked to {b} {b_key}.") if link else _("{a} {a_key} was linked to {b} {b_key}.")
        said = words.format(a=a, a_key=newest.a_key, b=b, b_key=newest.b_key)
        since = [_("since {when}").format(when=clock(newest.made_at)) if link else _("until {when}").format(when=clock(newest.ended_at))]
        more = len([each for each in told.links if each.ended_at is None]) - 1
        if more > 0:
            since.append(ngettext(" · and {n} more link", " · and {n} more links", more).format(n=number(more)))
        return Verdict("ok" if link else "idle", _("Linked") if link else _("Link ended"), said, since=since, next=following, acts=acts)


def link_key(sync: Sync, link: Any) -> str:
    """The source's key of a link."""
    return str(link.a_key if sync.source_side == "a" else link.b_key)


def moment_of(change: Change) -> dict[str, Any]:
    """A change as the story tells it."""
    run = change.change_set.run
    state, word = RESULTS[change.result]
    if change.result in ("written", "linked", "unlinked"):
        word = OPERATIONS[change.operation]
    return {
        "change": change,
        "at": change.at,
        "icon": ICONS.get(change.operation, "edit"),
        "state": state,
        "what": word,
        "run": run,
        "run_name": _("Run {number} of {name}").format(number=number(run.pk), name=run.name),
        "version": version_words(run.mapping_version),
        "by": began(run),
    }


def began(run: Run) -> str:
    """Who or what started a run, and whether it undoes others."""
    said, undoes = started_by(run), run.applies.plan.undoes if run.applies is not None and run.applies.plan is not None else None
    if undoes is None:
        return said
    words = ngettext("{by}, undoing run {number}", "{by}, undoing {n} runs", len(undoes["runs"]))
    return words.format(by=said, number=number(undoes["runs"][0]), n=number(len(undoes["runs"])))


ICONS = {"create": "add_circle", "update": "edit", "adopt": "link", "delete": "delete", "mark": "label", "unlink": "link_off"}


class StoryNow(OfSync):
    """Both sides of the present link, read from their systems; a part of the story's page."""

    permission = "records.view"
    named = gettext_lazy("Story of a record")
    template_name = "syncs/story_now.html"

    def get_crumbs(self) -> list[Link]:
        return []

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sync, key = self.get_sync(), self.request.GET.get("key", "").strip()[:500]
        links = story.links_of(sync.pair, sync.source_side, key) or story.links_of(sync.pair, sync.target_side, key)
        sides = [{"now": now, "name": entity_name(now.entity)} for now in story.read_now(sync.pair, links, by=self.by)]
        return super().get_context_data(**kwargs) | {"sides": sides}
