"""What Ctrl+K finds: pages by their titles, and whatever apps register."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """The kind with the nearest hit first, in it what is called so before what begins so; pages first among equals. Without a text, all pages."""
    found = []
    for _name, entry in entries_for(by):
        names = [*_names(entry.title), *entry.words.split()]
        if any(text.casefold() in name.casefold() for name in names):
            hit = Hit(str(entry.title), pgettext("of the console", "Pages"), entry.href, entry.icon)
            found.append((_distance(text, names), hit))
    if text:
        for search in searches.values():
            found += [(_distance(text, [hit.title]), hit) for hit in search(by, text)[:MOST]]
    nearest: dict[str, int] = {}
    for distance, hit in found:
        nearest[hit.kind] = min(distance, nearest.get(hit.kind, distance))
    kinds = sorted(nearest, key=nearest.__getitem__)
    return [hit for __, hit in sorted(found, key=lambda pair: (kinds.index(pair[1].kind), pair[0]))]


def _names(title: StrOrPromise) -> list[str]:
    """As the reader knows it, and in English."""
    with override("en"):
        english = str(title)
    return [str(title), english]


def _distance(text: str, names: Iterable[str]) -> int:
    """0: one of the names is the text, 1: one begins with it, 2: it stands elsewhere."""
    wanted = text.casefold()
    return min(0 if name == wanted else 1 if name.startswith(wanted) else 2 for name in map(str.casefold, names))


class PalettePage(Door):
    """The list under the search field, as a piece of HTML."""

    def get(self, request: Any) -> Any:
        text = request.GET.get("s", "").strip()[:100]
        hits = find(self.by, text)
        groups = [(kind, list(some)) for kind, some in groupby(hits, key=lambda hit: hit.kind)]
        said = ngettext("{n} result", "{n} results", len(hits)).format(n=len(hits))
        return render(request, "hub/_palette_results.html", {"groups": groups, "said": said, "text": text})
