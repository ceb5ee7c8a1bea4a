"""All mappings, as a page and as a file."""

from __future__ import annotations

from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act
from integration_hub.mappings.differences import differences
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.systems.models import System

STATES = (("draft", gettext_lazy("Draft")), ("published", gettext_lazy("Published")), ("changed", gettext_lazy("Changed since published")))


def with_version(rows: QuerySet[Mapping]) -> QuerySet[Any]:
    """With what is known of the latest version, in one query."""
    latest = MappingVersion.objects.filter(mapping=OuterRef("pk")).order_by("-number")
    return rows.annotate(
        version=Subquery(latest.values("number")[:1]),
        version_at=Subquery(latest.values("published_at")[:1]),
        version_definition=Subquery(latest.values("definition")[:1]),
    )


class MappingsPage(HubPage):
    permission = "mappings.view"
    title = gettext_lazy("Mappings")
    nav = "mappings"
    template_name = "mappings/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters, mappings = chosen_mappings(self.request, self.by)
        pager = key_page(mappings, self.request, order=("name", "pk"))
        add = Act(_("Make a mapping"), href=reverse("mappings:add"), primary=True, icon="add") if self.by.allows("mappings.change") else None
        context = {"filters": filters, "export": reverse("mappings:export"), "pager": pager, "rows": [_row(one) for one in pager.items], "add": add}
        return super().get_context_data(**kwargs) | context


def chosen_mappings(request: HttpRequest, by: Any) -> tuple[list[Filter], QuerySet[Any]]:
    """The filters of the list, and the mappings that fit them."""
    systems = [(system.slug, system.name) for system in System.objects.visible_to(by).order_by("name")[:200]]
    filters = read_filters(request, Filter("q", _("Name begins with")), Filter("system", _("System"), systems), Filter("state", _("State"), STATES))
    named, system, state = (each.value for each in filters)
    rows = with_version(Mapping.objects.visible_to(by)).select_related("source__system", "target__system")
    rows = rows.prefetch_related("syncs")  # by the name of their relation: one query, where asking for each mapping's uses would be one a row
    rows = rows.filter(name__istartswith=named) if named else rows
    rows = rows.filter(Q(source__system__slug=system) | Q(target__system__slug=system)) if system else rows
    match state:
        case "draft":
            rows = rows.filter(version=None)
        case "published":
            rows = rows.filter(version__isnull=False)
        case "changed":
            rows = rows.filter(changed_at__gt=F("version_at"))
    return filters, rows


def _row(mapping: Any) -> dict[str, Any]:
    state, word = "idle", _("Draft")
    if mapping.version is not None:
        changed = bool(differences(mapping.version_definition, mapping.draft))
        word = (_("v{n}, changed since") if changed else _("Published v{n}")).format(n=mapping.version)
        state = "warn" if changed else "ok"
    return {"mapping": mapping, "state": state, "word": word, "fields": len(mapping.draft.get("fields") or ()), "uses": mapping.syncs.all()}


class MappingExport(Door):
    """The mappings as chosen, by name."""

    permission = "mappings.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        _filters, mappings = chosen_mappings(request, self.by)
        head = (_("Mapping"), _("Source"), _("Target"), _("State"), _("Fields"), _("Used by"), _("Changed"), _("Changed by"))
        return csv_answer("mappings", head, map(_cells, mappings.order_by("name", "pk").iterator(chunk_size=100)))


def _cells(mapping: Mapping) -> list[Any]:
    row = _row(mapping)
    uses = ", ".join(use.name for use in row["uses"])
    return [
        mapping.name, str(mapping.source), str(mapping.target), row["word"], row["fields"], uses, mapping.changed_at.isoformat(), mapping.changed_by,
    ]  # fmt: skip
