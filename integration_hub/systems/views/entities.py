"""What a system holds: picked, looked at, and accepted when it changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connectors.base import ConnectorError
from integration_hub.core import texts
from integration_hub.core.pages import HubAction, sentence_of
from integration_hub.core.parts import Act, Fact, Verdict
from integration_hub.core.registry import Effect, uses_of
from integration_hub.core.templatetags.hub import capped, clock, number
from integration_hub.systems import services
from integration_hub.systems.models import Entity, System
from integration_hub.systems.views.base import UnderSystem


class EntitiesPage(UnderSystem):
    """Step 3 of 3, and again whenever one likes: what the system holds, and which of it mappings may use."""

    permission = "systems.change"
    template_name = "systems/entities.html"

    def get_title(self) -> str:
        return _("Entities of {system}").format(system=self.system.name)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("look") and not self.system.entities.exists():
            self._discover()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        if request.POST.get("do") == "discover":
            if self._discover() and self.system.entities.exists():
                messages.success(request, _("Looked what {system} holds now.").format(system=self.system.name))
            return HttpResponseRedirect(self.url("entities"))
        try:
            picked = services.select_entities(self.system, request.POST.getlist("entity"), by=self.by)
        except ValidationError as refused:
            messages.error(request, sentence_of(refused))
            return HttpResponseRedirect(self.url("entities"))
        messages.success(request, ngettext("{n} entity can be used.", "{n} entities can be used.", len(picked)).format(n=len(picked)))
        return HttpResponseRedirect(self.url("detail"))

    def _discover(self) -> bool:
        try:
            found = services.discover_entities(self.system, by=self.by)
        except ConnectorError as error:
            messages.error(self.request, texts.render(error.text))
            return False
        if not found:
            said = _("{system} does not tell what it holds. Add its entities in its settings, then discover again.")
            messages.warning(self.request, said.format(system=self.system.name))
        return True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        entities = list(self.system.entities.all())
        fresh = not any(entity.selected for entity in entities)
        rows = [
            {
                "entity": e,
                "schema": e.as_schema(),
                "checked": e.selected or fresh,
                "changes": services.changes_found(e),
                "writes": texts.listed(writes_of(e.as_schema())),
            }
            for e in entities
        ]
        return super().get_context_data(**kwargs) | {"system": self.system, "rows": rows, "back": self.url("detail"), "settings": self.url("change")}


class OfEntity(UnderSystem):
    @property
    def entity(self) -> Entity:
        if not hasattr(self, "_entity"):
            self._entity = get_object_or_404(Entity.objects.visible_to(self.by), system=self.system, name=self.kwargs["name"])
        return self._entity

    def entity_url(self, name: str) -> str:
        return reverse(f"systems:{name}", args=[self.system.slug, self.entity.name])


class EntityPage(OfEntity):
    """What its records look like, and what changed since that was accepted."""

    template_name = "systems/entity.html"

    def get_title(self) -> str:
        return self.entity.label or self.entity.name

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        entity = self.entity
        changes, effects = services.changes_found(entity), services.effects_found(entity)
        schema = entity.as_schema()
        context = {
            "system": self.system,
            "entity": entity,
            "schema": schema,
            "changes": [{"kind": change.kind, "text": texts.render(change.text)} for change in changes],
            "effects": effects,
            "verdict": self._verdict(len(changes), effects),
            "facts": self._facts(schema),
            "uses": uses_of(entity),
            "may_sample": self.by.allows("records.view"),
        }
        return super().get_context_data(**kwargs) | context

    def _verdict(self, changes: int, effects: Sequence[Effect]) -> Verdict:
        entity, system = self.entity, self.system.name
        since = [_("looked at {time}").format(time=clock(entity.found_at))] if entity.found_at else []
        acts = []
        if self.by.allows("systems.change"):
            acts.append(Act(_("Discover again"), post=self.url("discover"), icon="travel_explore", primary=not changes))
        if entity.is_missing:
            sentence = _("{system} does not show this entity any more.").format(system=system)
            return Verdict("bad", _("Gone"), sentence, since=since, next=[_("What was mapped stays as it is; syncs over it will fail.")], acts=acts)
        if changes:
            sentence = ngettext("{n} thing changed in {system}.", "{n} things changed in {system}.", changes).format(n=changes, system=system)
            breaking = sum(bool(effect.breaks) for effect in effects)
            if self.by.allows("systems.change"):
                note = _("Nothing that works with it breaks.")
                if breaking:
                    note = ngettext("{n} mapping or sync breaks, as told below.", "{n} mappings and syncs break, as told below.", breaking)
                    note = note.format(n=breaking)
                acts.insert(
                    0,
                    Act(_("Accept the changes"), post=self.entity_url("accept"), primary=True, confirm=_("Work with the changed fields?"), note=note),
                )
            following = [_("The hub goes on with the fields as they were until somebody accepts the changes.")]
            return Verdict("bad" if breaking else "warn", _("Changed"), sentence, since=since, next=following, acts=acts)
        return Verdict("ok", _("As accepted"), _("The fields are as they were accepted."), since=since, acts=acts)

    def _facts(self, schema: Any) -> list[Fact]:
        can = schema.capabilities
        writes = writes_of(schema)
        since = _("a cursor of the system's own") if can.own_cursor else _("always read in full")
        return [
            Fact(_("Records"), capped(self.entity.record_count, 10**9) if self.entity.record_count is not None else "—"),
            Fact(_("Fields"), number(len(schema.fields))),
            Fact(_("Key"), texts.listed(schema.key)),
            Fact(_("Changes since"), schema.cursor_field or "—", "" if schema.cursor_field else since),
            Fact(_("Can be written"), texts.listed(writes) or _("no"), _("{n} a request").format(n=can.bulk) if can.bulk else ""),
        ]


class SamplePart(OfEntity):
    """A few records as they are now: loaded by the page once it stands, for the system may be slow."""

    permission = "records.view"
    template_name = "systems/_sample.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"entity": self.entity}
        try:
            sample = services.read_sample(self.entity, by=self.by)
        except ConnectorError as error:
            return context | {"failed": texts.render(error.text)}
        misfits = {(misfit.row, misfit.field): misfit for misfit in sample.misfits}
        rows = [[_cell(row.get(name), misfits.get((place, name))) for name in sample.fields] for place, row in enumerate(sample.rows)]
        return context | {"sample": sample, "rows": rows}


def _cell(value: Any, misfit: Any) -> dict[str, Any]:
    return {"value": misfit.text if misfit else value, "misfit": texts.render(misfit.reason) if misfit else ""}


class DiscoverSystem(HubAction):
    refusals = (ConnectorError,)

    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        try:
            services.discover_entities(system, by=self.by)
        except ConnectorError as error:
            raise ValidationError(texts.render(error.text)) from None
        return _("Looked what {system} holds now.").format(system=system.name)


class AcceptSchema(HubAction):
    def act(self, request: HttpRequest, slug: str, name: str) -> str:
        entity = get_object_or_404(Entity.objects.visible_to(self.by), system__slug=slug, name=name)
        services.accept_schema(entity, by=self.by)
        return _("Accepted.")


def writes_of(schema: Any) -> list[str]:
    """What can be written to it, in words."""
    can = schema.capabilities
    words = ((can.create, _("create")), (can.update, _("update")), (can.upsert, _("upsert")), (can.delete, _("delete")))
    return [word for able, word in words if able]
