"""What is done with rejects that a form names, and their export."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.exports import csv_answer, excel_answer
from integration_hub.core.pages import Door, HubAction
from integration_hub.core.templatetags.hub import number
from integration_hub.syncs import services
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.views.reject_groups import name_of_person, row_number, whose
from integration_hub.syncs.views.rejects import Chosen


def chosen_rows(request: HttpRequest, by: Any) -> Any:
    """The open rows that a form names: some by their ids, or a whole group."""
    rows: Any = OpenRow.objects.visible_to(by).open()
    ids = [pk for pk in request.POST.getlist("ids") if row_number(pk)][:1_000]
    if ids:
        return rows.filter(pk__in=ids)
    given = {name: request.POST.get(name, "") for name in ("sync", "run", "assigned")}
    read = {"sync": row_number(given["sync"]), "run": row_number(given["run"]), "assigned": whose(given["assigned"])}
    if read != given or not read["sync"]:  # what cannot be read must not mean more rows
        return rows.none()
    rows = rows.filter(sync=read["sync"], cause=request.POST.get("cause", "")).assigned_to(read["assigned"])
    return rows.filter(run=read["run"]) if read["run"] else rows


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
