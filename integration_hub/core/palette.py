"""What Ctrl+K finds: pages by their titles, and whatever apps register."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.shortcuts import render
from django.utils.translation import ngettext, override, pgettext

from integration_hub.core.pages import Actor, Door, StrOrPromise, entries_for
from integration_hub.core.registry import Registry

MOST = 8  # of each kind


@dataclass(frozen=True)
class Hit:
    """Something found: what it is called, what it is (a heading), where it is."""

    title: str
    kind: str
    href: str
    icon: str = "tag"
    note: str = ""


Search = Callable[[Actor, str], list[Hit]]
searches: Registry[Search] = Registry("searches")  # (by, text) → at most MOST hits this actor may see, on an indexed prefix; text is never empty


def find(by: Actor, text: str) -> list[Hit]:
    """Pages first, then what the apps know of; without a text, all pages."""
    hits = [
        Hit(str(entry.title), pgettext("of the console", "Pages"), entry.href, entry.icon)
        for _name, entry in entries_for(by)
        if _fits(text, entry.title, entry.words)
    ]
    if text:
        for search in searches.values():
            hits += search(by, text)[:MOST]
    return hits


def _fits(text: str, title: StrOrPromise, words: str) -> bool:
    with override("en"):
        english = str(title)
    return text.casefold() in f"{title}\n{english}\n{words}".casefold()


class PalettePage(Door):
    """The list under the search field, as a piece of HTML."""

    def get(self, request: Any) -> Any:

        text = request.GET.get("s", "").strip()[:100]
        hits = find(self.by, text)
        groups = [(kind, list(some)) for kind, some in groupby(hits, key=lambda hit: hit.kind)]
        said = ngettext("{n} result", "{n} results", len(hits)).format(n=len(hits))
        return render(request, "hub/_palette_results.html", {"groups": groups, "said": said, "text": text})
