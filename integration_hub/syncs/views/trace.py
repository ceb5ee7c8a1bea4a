from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from integration_hub.core import texts
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import ABSENT, clock
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.models import Sync
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.telling.names import entity_name, version_words
from integration_hub.syncs.trace import Trace, trace_record
from integration_hub.syncs.views.syncs import OfSync


class TracePage(OfSync):
    permission = "records.view"
    named = gettext_lazy("Trace a record")
    template_name = "syncs/trace.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        key = self.request.GET.get("key", "").strip()[:500]
        context |= {"sync": self.get_sync(), "key": key}
        if key:
            try:
                told = trace_record(self.get_sync(), key, by=self.by)
            except NotPossible as refusal:
                context["refusal"] = str(refusal)
            else:
                context |= {
                    "trace": told,
                    "verdict": trace_verdict(self.get_sync(), told),
                    "way": trace_way(self.get_sync(), told),
                    "version": version_words(told.version),
                    "source_name": entity_name(self.get_sync().source),
                    "absent": ABSENT,
                }
        return context


ENDINGS = {
    "create": ("run", gettext_lazy("Would be created")),
    "update": ("run", gettext_lazy("Would be updated")),
    "adopt": ("ok", gettext_lazy("Would be linked")),
    "unchanged": ("ok", gettext_lazy("Nothing to do")),
    "filtered": ("idle", gettext_lazy("Filtered")),
    "left": ("bad", gettext_lazy("Would not arrive")),
}


def trace_verdict(sync: Sync, told: Trace) -> Verdict:
    """What the next run would do with this record."""
    state, word = ENDINGS[told.ending]
    name, target = name_of(told.source) or told.key, sync.target.system.name
    n = len(told.writes)
    sentence = {
        "create": _("{name} would be created in {target}."),
        "update": ngettext("{name} would be updated in {target}: {n} field.", "{name} would be updated in {target}: {n} fields.", n),
        "adopt": _("{name} is in {target} already; the two would be linked."),
        "unchanged": _("{name} is in {target} as it was last written; nothing would be written."),
        "filtered": _("{name} is left out by the filter."),
        "left": told.reason,
    }[told.ending].format(name=name, target=target, n=n)
    if told.ending == "left":
        sentence = told.reason
    following: list[str | Link] = []
    if told.differs:
        following = [
            ngettext(
                "{target} holds something else in {fields} now. This sync does not look there while the source stays the same.",
                "{target} holds something else in {fields} now. This sync does not look there while the source stays the same.",
                len(told.differs),
            ).format(target=target, fields=texts.listed(told.differs))
        ]
    if told.open_row:
        before, __, after = _("It has an {open_row}.").partition("{open_row}")
        following += [" ", before, Link(_("open row"), reverse("rejects:detail", args=[told.open_row.pk])), after]
    if told.differs and state == "ok":
        state = "warn"
    acts = [Act(_("Its story"), href=f"{reverse('syncs:story', args=[sync.pk])}?{urlencode({'key': told.key})}")]
    return Verdict(
        state, str(word), sentence, acts=acts, since=[_("read {when}, nothing was written").format(when=clock(timezone.now()))], next=following
    )


def trace_way(sync: Sync, told: Trace) -> list[dict[str, str]]:
    """The steps between reading and writing, each with what came out."""
    source, target = entity_name(sync.source), entity_name(sync.target)
    rows = [{"name": _("Source"), "value": _("{entity} {key}, found").format(entity=source, key=told.key), "state": "ok", "note": ""}]
    if told.mended:
        put = texts.listed(f"{name} = {'—' if value is None else value}" for name, value in told.mended)
        rows.append(
            {"name": _("Mended"), "value": put, "state": "ok", "note": _("taken instead of what the source says, until the record changes there")}
        )
    if told.filter:
        passes = ("ok", _("lets it through")) if told.passes else ("idle", _("leaves it out"))
        rows.append({"name": pgettext("of a sync", "Filter"), "value": passes[1], "state": passes[0], "note": told.filter})
    if told.passes:
        wrong = next((field for field in told.fields if field.problem), None)
        mapped = ("bad", _("rejected at {field}").format(field=wrong.field)) if wrong else ("ok", _("all fields pass"))
        rows.append({"name": _("Mapping"), "value": mapped[1], "state": mapped[0], "note": version_words(told.version)})
    by_match = "; ".join(", ".join(fields) for fields in told.matched_by)
    if told.link:
        note = _("since {when}").format(when=clock(told.link.made_at))
        rows.append({"name": _("Link"), "value": _("linked to {key}").format(key=told.target_key), "state": "ok", "note": note})
    elif told.target_key:
        found = _("none yet; found by match key: {key}").format(key=told.target_key)
        rows.append({"name": _("Link"), "value": found, "state": "ok", "note": by_match})
    else:
        note = _("looked for by {fields}").format(fields=by_match) if by_match else ""
        rows.append({"name": _("Link"), "value": _("none yet"), "state": "idle", "note": note})
    if told.target_known:
        there = (
            ("ok", _("{entity} {key}, found").format(entity=target, key=told.target_key))
            if told.target
            else ("bad", _("gone from {system}").format(system=sync.target.system.name))
        )
        rows.append({"name": _("Target"), "value": there[1], "state": there[0], "note": ""})
    rows.append({"name": _("Result"), "value": str(ENDINGS[told.ending][1]), "state": ENDINGS[told.ending][0], "note": told.reason})
    return rows
