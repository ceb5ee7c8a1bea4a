from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, read_filters
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import ABSENT, clock, number
from integration_hub.syncs import undo
from integration_hub.syncs.journal import Change, change_of, changes_of
from integration_hub.syncs.models import ChangeSet, Run
from integration_hub.syncs.telling.names import entity_name, href, version_words
from integration_hub.syncs.trace import origins_of
from integration_hub.syncs.views.runs import OfRun

OPERATIONS = {
    "create": gettext_lazy("Created"),
    "update": gettext_lazy("Updated"),
    "adopt": gettext_lazy("Linked"),
    "delete": gettext_lazy("Deleted"),
    "mark": gettext_lazy("Marked"),
    "unlink": gettext_lazy("Link ended"),
    "keep": gettext_lazy("Cannot be undone"),
}
RESULTS = {
    "written": ("ok", gettext_lazy("written")),
    "linked": ("ok", gettext_lazy("linked")),
    "unlinked": ("ok", gettext_lazy("link ended")),
    "withheld": ("warn", gettext_lazy("withheld")),
    "planned": ("idle", gettext_lazy("planned")),
    "sending": ("run", gettext_lazy("on its way")),
    "not_sent": ("idle", gettext_lazy("not sent")),
    "refused": ("bad", gettext_lazy("refused")),
    "moved": ("warn", gettext_lazy("moved")),
    "kept": ("warn", gettext_lazy("stays as it is")),
    "unknown": ("warn", gettext_lazy("unknown")),
}


def story_address(sync_id: int, key: str) -> str:
    """Where the story of a record is told."""
    return f"{reverse('syncs:story', args=[sync_id])}?{urlencode({'key': key})}"


class ChangeList(OfRun):
    permission = "records.view"
    named = gettext_lazy("Record changes")
    template_name = "runs/changes.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.get_run()
        filters = change_filters(self.request)
        operation, result, key = (each.value for each in filters)
        page = changes_of(run, operation=operation, result=result, key=key, after=self.request.GET.get("after", ""))
        return super().get_context_data(**kwargs) | {
            "run": run,
            "filters": filters,
            "page": page,
            "narrowed": bool(operation or result or key),
            "export": reverse("runs:changes_export", args=[run.pk]),
        }


def change_filters(request: HttpRequest) -> list[Filter]:
    return read_filters(
        request,
        Filter("operation", _("Change"), OPERATIONS.items()),
        Filter("result", _("Result"), [(result, word) for result, (__, word) in RESULTS.items()]),
        Filter("key", _("Key"), placeholder=_("of source or target")),
    )


class ChangeExport(Door):
    """The changes as chosen, a line for each field that changes."""

    permission = "records.view"

    def get(self, request: HttpRequest, number: int) -> HttpResponseBase:
        run: Run = get_object_or_404(Run.objects.visible_to(self.by).with_names(), pk=number)
        operation, result, key = (each.value for each in change_filters(request))
        field = request.GET.get("field", "")[:300]  # a plan's list can be narrowed by it
        with transaction.atomic():
            audit.record("run.exported", run, by=self.by, note=request.GET.urlencode())
        head = (
            _("At"), _("Record"), _("Key of the source"), _("Key of the target"), _("Change"), _("Result"), _("Field"), _("Before"), _("After"), _("Reason"),
        )  # fmt: skip
        return csv_answer(f"run-{run.pk}", head, _lines_of(run, operation=operation, result=result, field=field, key=key))


def _lines_of(run: Run, **chosen: str) -> Iterator[list[Any]]:
    mark = ""
    while True:
        page = changes_of(run, **chosen, after=mark, size=500)
        for change in page.changes:
            about = [
                change.at.isoformat(),
                change.name,
                change.source_key,
                change.target_key,
                OPERATIONS[change.operation],
                RESULTS[change.result][1],
            ]
            fields = [[field.name, _cell(field.before), _cell(field.after)] for field in change.changed]
            for values in fields or [["", "", ""]]:
                yield [*map(str, about), *values, texts.render(change.reason)]
        if not page.after:
            return
        mark = page.after


def _cell(value: Any) -> str:
    return "" if value is None or value is ABSENT else str(value)


class ChangeDetail(OfRun):
    permission = "records.view"
    template_name = "runs/change.html"
    change: Change

    def get_title(self) -> str:
        return self.change.name

    def get_crumbs(self) -> list[Link]:
        run = self.get_run()
        crumbs = super().get_crumbs()[:-1]
        return [*crumbs, Link(self.run_title(), run.get_absolute_url()), Link(_("Record changes"), reverse("runs:changes", args=[run.pk]))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.get_run()
        change_set = get_object_or_404(ChangeSet, pk=self.kwargs["change_set"], run=run)
        found = change_of(change_set, self.kwargs["row"])
        if found is None:
            raise Http404
        self.change = found
        context = super().get_context_data(**kwargs)
        origins = origins_of(run.mapping_version, run.source.as_schema(), run.target.as_schema())
        labels = {f.name: f.label for f in run.target.as_schema().fields}
        rows: list[dict[str, Any]] = [
            {"field": field, "label": labels.get(field.name, ""), "origin": origins.get(field.name)} for field in found.fields
        ]
        return context | {
            "run": run,
            "change": found,
            "verdict": self.verdict(),
            "changed": [row for row in rows if row["field"].is_changed],
            "unchanged": [row for row in rows if not row["field"].is_changed],
            "target_name": entity_name(run.target),
            "story": story_address(run.sync_id, found.source_key) if run.sync_id else "",
            "source_name": entity_name(run.source),
        }

    def verdict(self) -> Verdict:
        run, change = self.get_run(), self.change
        state, word = RESULTS[change.result]
        if change.result in ("written", "linked", "unlinked"):
            word = OPERATIONS[change.operation]
        sentence = self._sentence()
        linked = _("{source} {key} is linked to {target} {target_key}.").format(
            source=entity_name(run.source), key=change.source_key, target=entity_name(run.target), target_key=change.target_key
        )
        since: list[str | Link] = [f"{clock(change.at)} · ", Link(self.run_title(), run.get_absolute_url()), " · "]
        version, where = version_words(run.mapping_version), href("mappings:detail", run.mapping_version.mapping_id)
        since.append(Link(version, where) if where else version)
        acts = []
        if run.sync_id:
            if undo.may_undo(run) and change.result == "written" and self.by.allows("plans.undo"):
                acts.append(Act(_("Undo…"), href=f"{reverse('runs:undo', args=[run.pk])}?{urlencode({'key': change.source_key})}"))
            acts.append(Act(_("Trace"), href=f"{reverse('syncs:trace', args=[run.sync_id])}?{urlencode({'key': change.source_key})}"))
        following: list[str | Link] = [linked] if change.target_key and change.result in ("written", "linked") else []
        if change.earlier and (earlier := ChangeSet.objects.filter(pk=change.earlier[0]).first()) is not None:
            place = reverse("runs:change", args=[earlier.run_id, *change.earlier])
            following += [" ", Link(_("The change before this one"), place)]
        elif change.earlier:
            following += [" ", _("Its changes before this one were removed, for they are kept for a limited time only.")]
        return Verdict(state, str(word), sentence, since=since, next=following, acts=acts)

    def _sentence(self) -> str:
        run, change = self.get_run(), self.change
        target, n, all_ = run.target.system.name, len(change.changed), len(change.fields)
        values = {"name": change.name, "target": target, "n": number(n), "all": number(all_)}
        if change.result in ("refused", "moved", "kept", "unknown"):
            return texts.render(change.reason) or _("{name} did not arrive in {target}.").format(**values)
        if change.operation == "adopt":
            return _("{name} already was as it should be in {target}; only the link was made.").format(**values)
        if change.operation == "unlink":
            return _("{name} is gone in {target} too; only the link ends.").format(**values)
        if change.operation in _GONE:
            return _(_GONE[change.operation][change.result == "written"]).format(**values)
        if change.result != "written":
            if change.operation == "create":
                return ngettext(
                    "{name} would be created in {target} with {n} field.", "{name} would be created in {target} with {n} fields.", n
                ).format(**values)
            return ngettext(
                "{name} would be updated in {target}: {n} of {all} field.", "{name} would be updated in {target}: {n} of {all} fields.", all_
            ).format(**values)
        if change.operation == "create":
            return ngettext("{name} was created in {target} with {n} field.", "{name} was created in {target} with {n} fields.", n).format(**values)
        return ngettext(
            "{name} was updated in {target}: {n} of {all} field changed.", "{name} was updated in {target}: {n} of {all} fields changed.", all_
        ).format(**values)


_GONE = {  # of records that are deleted in the source: what would be, and what was done
    "delete": (gettext_noop("{name} would be deleted in {target}."), gettext_noop("{name} was deleted in {target}.")),
    "mark": (gettext_noop("{name} would be marked in {target}."), gettext_noop("{name} was marked in {target}.")),
}
