"""All systems, and one: can we talk to it, and what stops if we can't?"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from integration_hub.audit import texts as audit_texts
from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.core.exports import csv_answer
from integration_hub.core.pages import Door, Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Fact, Verdict
from integration_hub.core.registry import uses_of
from integration_hub.core.templatetags.hub import ago_text, capped, clock, interval, number
from integration_hub.systems import consent, services
from integration_hub.systems.charts import latency_of
from integration_hub.systems.console import HUB_STATES, ICONS, State
from integration_hub.systems.forms import MaintenanceForm
from integration_hub.systems.models import Credential, Entity, System
from integration_hub.systems.permits import quota_left
from integration_hub.systems.views.base import OfSystem, UnderSystem, kind_of_credential, title_of


class SystemsPage(HubPage):
    permission = "systems.view"
    title = gettext_lazy("Systems")
    nav = "systems"
    template_name = "systems/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters, systems = chosen_systems(self.request, self.by)
        pager = key_page(systems, self.request, order=("name", "pk"))
        add = Act(_("Register a system"), href=reverse("systems:add"), primary=True, icon="add") if self.by.allows("systems.change") else None
        context = {"filters": filters, "export": reverse("systems:export"), "pager": pager, "rows": [_row(s) for s in pager.items], "add": add}
        return super().get_context_data(**kwargs) | context


def chosen_systems(request: HttpRequest, by: Any) -> tuple[list[Filter], QuerySet[System]]:
    """The filters of the list, and the systems that fit them."""
    filters = read_filters(request, Filter("q", _("Name begins with")), Filter("state", _("State"), State.choices))
    named, in_state = (each.value for each in filters)
    rows = System.objects.visible_to(by).select_related("owner").prefetch_related("entities")
    rows = rows.filter(name__istartswith=named) if named else rows
    return filters, rows.filter(state=in_state) if in_state else rows


def _row(system: System) -> dict[str, Any]:
    entities = [entity for entity in system.entities.all() if entity.selected]
    return {
        "system": system,
        "state": HUB_STATES[State(system.state)],
        "icon": ICONS.get(State(system.state), ""),
        "connector": title_of(system),
        "entities": len(entities),
        "drifted": sum(entity.has_drift for entity in entities),
    }


class SystemExport(Door):
    """The systems as chosen, by name."""

    permission = "systems.view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        _filters, systems = chosen_systems(request, self.by)
        head = (
            _("System"), _("State"), pgettext("of a state", "Since"), _("Last error"), _("Connector"), _("Read-only"), _("Latency, ms"), _("Entities"),
            _("Changed entities"), _("Last answer"), _("Owner"),
        )  # fmt: skip
        return csv_answer("systems", head, map(_cells, systems.order_by("name", "pk").iterator(chunk_size=200)))


def _cells(system: System) -> list[Any]:
    row = _row(system)
    since, answered = (moment.isoformat() if moment else "" for moment in (system.state_since, system.last_answer_at))
    return [
        system.name, system.get_state_display(), since, system.error_text, row["connector"], "1" if system.read_only else "0",
        system.latency_ms, row["entities"], row["drifted"], answered, str(system.owner or ""),
    ]  # fmt: skip


class SystemPage(OfSystem):
    """Can we talk to it, and what stops if we can't?"""

    template_name = "systems/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        system = self.system
        entities = list(system.entities.all())
        selected = [entity for entity in entities if entity.selected]
        uses = uses_of(system)
        latency = latency_of(system)
        context = {
            "system": system,
            "verdict": self._verdict(len(uses)),
            "facts": self._facts(latency),
            "latency": latency,
            "uses": uses,
            "entities": [
                {"entity": entity, "uses": sum(entity.pk in use.parts for use in uses), "changes": services.changes_found(entity)}
                for entity in selected
            ],
            "others": len(entities) - len(selected),
            "sampled": selected[0] if selected and self.by.allows("records.view") else None,
            "changes": [
                {"entry": entry, "what": audit_texts.sentence(entry), "how": audit_texts.details(entry)} for entry in _entries(system, selected)
            ],
            "may_change": self.by.allows("systems.change"),
        }
        return super().get_context_data(**kwargs) | context

    @cached_property
    def awaits_a_person(self) -> bool:
        return consent.awaits_a_person(self.system)

    def _verdict(self, uses: int) -> Verdict:
        system = self.system
        depends = ngettext("{n} thing depends on it.", "{n} things depend on it.", uses).format(n=uses) if uses else _("Nothing depends on it yet.")
        since = [_("since {time}").format(time=f"{clock(system.state_since)}, {ago_text(system.state_since)}")] if system.state_since else []
        every = _("It is asked again {every}.").format(every=interval(system.check_interval_seconds))
        match State(system.state):
            case State.REACHABLE:
                sentence, following, asks = _("{system} answers.").format(system=system.name), [depends, " ", every], False
            case State.UNREACHABLE:
                sentence = _("{system} cannot be reached.").format(system=system.name)
                following, asks = [system.error_text or every, " ", depends], False
            case State.RECONNECT:
                sentence = _("{system} waits for a person to connect it.").format(system=system.name)
                following, asks = [system.error_text, " ", depends], False
            case State.MAINTENANCE:
                sentence = _("{system} is in maintenance.").format(system=system.name)
                until = system.maintenance_until
                ends = _("It ends by itself at {time}.").format(time=clock(until)) if until else _("It lasts until somebody ends it.")
                following, asks = [ends, " ", _("Syncs wait, and nobody is alarmed.")], False
            case _ if self.awaits_a_person:
                sentence = _("{system} waits for a person to connect it.").format(system=system.name)
                following, asks = [_("Press Connect: you are asked there whether the hub may use it."), " ", depends], False
            case _:
                sentence, following, asks = _("{system} has not been asked yet.").format(system=system.name), [depends], False
        state = HUB_STATES[State(system.state)]
        icon = ICONS.get(State(system.state), "")
        return Verdict(state, str(system.get_state_display()), sentence, icon=icon, since=since, next=following, asks=asks, acts=self._acts())

    def _acts(self) -> list[Act]:
        system, acts = self.system, []
        reconnect = system.state == State.RECONNECT or self.awaits_a_person
        if self.by.allows("systems.check"):
            acts.append(Act(_("Test connection"), post=self.url("check"), primary=not reconnect, icon="network_check"))
        if self.by.allows("systems.change") and consent.asks_a_person(system):
            acts.insert(0, Act(_("Connect"), post=self.url("connect"), primary=reconnect, icon="link"))
        if self.by.allows("systems.check"):
            if system.state == State.MAINTENANCE:
                acts.append(Act(_("End maintenance"), post=self.url("end_maintenance")))
            else:
                acts.append(Act(_("Maintenance…"), href=self.url("maintenance")))
        if self.by.allows("systems.change"):
            acts.append(Act(_("Edit"), href=self.url("change")))
        return acts

    def _facts(self, latency: Any) -> list[Fact]:
        system = self.system
        answered = _("in {ms} ms").format(ms=number(system.latency_ms)) if system.latency_ms is not None else ""
        slowest = _("slowest of {count}: {ms} ms").format(count=capped(latency.count), ms=number(latency.slowest_ms)) if latency.count else ""
        middle = _("{ms} ms").format(ms=number(latency.median_ms)) if latency.count else "—"
        pace = _("at most {n} requests/s").format(n=f"{system.requests_per_second:g}") if system.requests_per_second else _("no limit per second")
        return [
            Fact(_("Last answer"), clock(system.last_answer_at) or "—", answered),
            Fact(_("Latency, median of 24 h"), middle, slowest),
            self._quota(),
            self._credential(),
            Fact(_("Connector"), title_of(system), pace),
        ]

    def _quota(self) -> Fact:
        left = quota_left(self.system)
        if not left:
            return Fact(_("Quota left"), "—", _("no limit"))
        name, remaining, limit = min(left, key=lambda each: each[1] / each[2])
        of = _("of {limit} requests this minute") if name == "minute" else _("of {limit} requests today")
        return Fact(_("Quota left"), number(remaining), of.format(limit=number(limit)))

    def _credential(self) -> Fact:
        system = self.system
        token = Credential.objects.filter(system=system, sealed__isnull=False).first()
        if token is not None:
            ends = _("token until {time}").format(time=clock(token.expires_at)) if token.expires_at else _("token without an end")
            return Fact(_("Credential"), _("Token"), _("not accepted any more") if system.state == State.RECONNECT else ends)
        kind = kind_of_credential(system)
        return Fact(_("Credential"), kind or _("None"), _("stored encrypted") if kind else "")


def _entries(system: System, entities: list[Entity]) -> list[Entry]:
    """The last changes of the system and of the entities that are worked with."""
    own = Q(subject_type="systems.system", subject_id=str(system.pk))
    of_entities = Q(subject_type="systems.entity", subject_id__in=[str(entity.pk) for entity in entities])
    return list(Entry.objects.filter(own | of_entities).order_by("-pk")[:10])


class CheckSystem(HubAction):
    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        check = services.check_system(system, by=self.by)
        if not check.ok:
            raise ValidationError(texts.render(check.error))
        return _("{system} answered in {ms} ms.").format(system=system.name, ms=number(check.latency_ms))


class StartMaintenance(UnderSystem):
    title = gettext_lazy("Maintenance")
    permission = "systems.check"
    template_name = "systems/maintenance.html"

    def get_title(self) -> str:
        return _("Maintenance of {system}").format(system=self.system.name)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{"form": MaintenanceForm(), "back": self.url("detail"), **kwargs})

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        form = MaintenanceForm(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        services.start_maintenance(self.system, until=form.cleaned_data["until"], by=self.by)
        messages.success(request, _("{system} is in maintenance.").format(system=self.system.name))
        return HttpResponseRedirect(self.url("detail"))


class EndMaintenance(HubAction):
    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        services.end_maintenance(system, by=self.by)
        return _("The maintenance of {system} is over.").format(system=system.name)


class TakeSystem(HubAction):
    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        services.take_system(system, by=self.by)
        return _("You have {name} now.").format(name=system.name)


class DeleteSystem(HubAction):
    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        services.delete_system(system, by=self.by)
        self.is_gone = True
        return _("{system} was deleted.").format(system=system.name)

    def back(self) -> str:
        return reverse("systems:list") if getattr(self, "is_gone", False) else super().back()
