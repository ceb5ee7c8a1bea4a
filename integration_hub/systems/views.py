from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.base import Connector, ConnectorError
from connectors.registry import UnknownConnector, connector_class
from integration_hub.audit import texts as audit_texts
from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.core.pages import Filter, HubAction, HubPage, read_filters, sentence_of
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Fact, Link, Verdict
from integration_hub.core.registry import uses_of
from integration_hub.core.templatetags.hub import ago_text, capped, clock, interval, number
from integration_hub.systems import consent, services, settings_form
from integration_hub.systems.charts import latency_of
from integration_hub.systems.connection import installed, revealed
from integration_hub.systems.console import HUB_STATES, ICONS, State
from integration_hub.systems.forms import MaintenanceForm, SystemForm
from integration_hub.systems.models import Credential, Entity, System
from integration_hub.systems.permits import quota_left


class SystemsPage(HubPage):
    permission = "systems.view"
    title = gettext_lazy("Systems")
    nav = "systems"
    template_name = "systems/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filters = read_filters(self.request, Filter("q", _("Name begins with")), Filter("state", _("State"), State.choices))
        named, in_state = (each.value for each in filters)
        rows = System.objects.visible_to(self.by).select_related("owner").prefetch_related("entities")
        rows = rows.filter(name__istartswith=named) if named else rows
        rows = rows.filter(state=in_state) if in_state else rows
        pager = key_page(rows, self.request, order=("name", "pk"))
        add = Act(_("Register a system"), href=reverse("systems:add"), primary=True, icon="add") if self.by.allows("systems.change") else None
        return super().get_context_data(**kwargs) | {"filters": filters, "pager": pager, "rows": [_row(s) for s in pager.items], "add": add}


def _row(system: System) -> dict[str, Any]:
    entities = [entity for entity in system.entities.all() if entity.selected]
    return {
        "system": system,
        "state": HUB_STATES[State(system.state)],
        "icon": ICONS.get(State(system.state), ""),
        "connector": _title_of(system),
        "entities": len(entities),
        "drifted": sum(entity.has_drift for entity in entities),
    }


def _title_of(system: System) -> str:
    try:
        return _(connector_class(system.connector).title)
    except (UnknownConnector, ImportError):
        return system.connector


# --- one system -------------------------------------------------------------------------------------------------------


class OfSystem(HubPage):
    """A page about one system, whose slug is in the address."""

    permission = "systems.view"
    nav = "systems"

    @property
    def system(self) -> System:
        if not hasattr(self, "_system"):
            self._system = get_object_or_404(System.objects.visible_to(self.by).select_related("owner"), slug=self.kwargs["slug"])
        return self._system

    def get_title(self) -> str:
        return self.system.name

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Systems"), reverse("systems:list"))]

    def url(self, name: str) -> str:
        return reverse(f"systems:{name}", args=[self.system.slug])


class UnderSystem(OfSystem):
    """A page below a system's own."""

    def get_crumbs(self) -> list[Link]:
        return [*super().get_crumbs(), Link(self.system.name, self.url("detail"))]


class SystemPage(OfSystem):
    """Can we talk to it, and what stops if we can't?"""

    template_name = "systems/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        system = self.system
        entities = list(system.entities.all())
        selected = [entity for entity in entities if entity.selected]
        uses = uses_of(system, *entities)
        latency = latency_of(system)
        context = {
            "system": system,
            "verdict": self._verdict(len(uses)),
            "facts": self._facts(latency),
            "latency": latency,
            "uses": uses,
            "entities": [{"entity": entity, "uses": len(uses_of(entity)), "changes": services.changes_found(entity)} for entity in selected],
            "others": len(entities) - len(selected),
            "sampled": selected[0] if selected and self.by.allows("records.view") else None,
            "changes": [
                {"entry": entry, "what": audit_texts.sentence(entry), "how": audit_texts.details(entry)} for entry in _entries(system, selected)
            ],
            "may_change": self.by.allows("systems.change"),
        }
        return super().get_context_data(**kwargs) | context

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
            case _:
                sentence, following, asks = _("{system} has not been asked yet.").format(system=system.name), [depends], False
        state = HUB_STATES[State(system.state)]
        icon = ICONS.get(State(system.state), "")
        return Verdict(state, str(system.get_state_display()), sentence, icon=icon, since=since, next=following, asks=asks, acts=self._acts())

    def _acts(self) -> list[Act]:
        system, acts = self.system, []
        reconnect = system.state == State.RECONNECT
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
            acts.append(Act(_("Change"), href=self.url("change")))
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
            Fact(_("Connector"), _title_of(system), pace),
        ]

    def _quota(self) -> Fact:
        left = quota_left(self.system)
        if not left:
            return Fact(_("Quota left"), "—", _("no limit"))
        name, remaining, limit = min(left, key=lambda each: each[1] / each[2])
        of = _("of {limit} requests this minute") if name == "minute" else _("of {limit} requests today")
        return Fact(_("Quota left"), number(remaining), of.format(limit=number(limit)))

    def _credential(self) -> Fact:
        auth = self.system.settings.get("auth")
        kind = str(auth.get("type", "")).replace("_", " ") if isinstance(auth, dict) else ""
        token = Credential.objects.filter(system=self.system, sealed__isnull=False).first()
        if token is not None:
            ends = _("token until {time}").format(time=clock(token.expires_at)) if token.expires_at else _("token without an end")
            return Fact(_("Credential"), _("Token"), ends)
        return Fact(_("Credential"), kind.capitalize() or _("None"), _("stored encrypted") if kind not in ("", "none") else "")


def _entries(system: System, entities: list[Entity]) -> list[Entry]:
    return list(Entry.objects.filter(subject_type="systems.system", subject_id=str(system.pk)).order_by("-pk")[:10])


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


class DeleteSystem(HubAction):
    def act(self, request: HttpRequest, slug: str) -> str:
        system = get_object_or_404(System.objects.visible_to(self.by), slug=slug)
        services.delete_system(system, by=self.by)
        self.is_gone = True
        return _("{system} was deleted.").format(system=system.name)

    def back(self) -> str:
        return reverse("systems:list") if getattr(self, "is_gone", False) else super().back()


# --- registering and changing -----------------------------------------------------------------------------------------


class ChooseConnector(HubPage):
    """Step 1 of 3: which kind of system it is."""

    permission = "systems.change"
    title = gettext_lazy("Register a system")
    nav = "systems"
    template_name = "systems/choose.html"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Systems"), reverse("systems:list"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kinds = [{"kind": c.kind, "title": _(c.title), "description": _(c.description) if c.description else ""} for c in installed()]
        return super().get_context_data(**kwargs) | {"kinds": kinds}


class SettingsPage(HubPage):
    """A form drawn from a connector's settings, which can be tried before it is saved."""

    permission = "systems.change"
    nav = "systems"
    template_name = "systems/settings.html"
    system: Any = None

    @property
    def kind(self) -> type[Connector]:
        raise NotImplementedError

    def draw(self, form: SystemForm, settings: Any, **more: Any) -> HttpResponse:
        stored = revealed(self.system) if self.system else {}
        drawn = settings_form.draw(self.kind.Settings, settings, stored=stored, errors=more.pop("errors", None), typed=more.pop("typed", None))
        response = self.render_to_response(self.get_context_data(form=form, settings=drawn, kind=self.kind, system=self.system, **more))
        response["Cache-Control"] = "no-store"
        return response

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        change = request.POST.get("change", "")
        settings, errors = settings_form.read(self.kind.Settings, request.POST.dict(), change=change)
        form = SystemForm(request.POST, instance=System.objects.get(pk=self.system.pk) if self.system else None)
        again: dict[str, Any] = {"typed": request.POST.dict(), "errors": errors}
        do = request.POST.get("do", "")
        if do not in ("test", "save"):  # a part was added, removed or exchanged
            return self.draw(SystemForm(initial=_typed(form), instance=form.instance), settings, typed=again["typed"])
        try:
            if errors:
                raise ValidationError(errors)
            if do == "test":
                again["tested"] = self._test(settings)
            elif form.is_valid():
                return self.save(form, settings)
        except ValidationError as refused:
            again["errors"] = _by_place(refused)
            for message in again["errors"].pop("", []):
                messages.error(request, message)
            for name, said in again["errors"].items():
                if name in form.fields:
                    form.add_error(name, said)
        return self.draw(form, settings, **again)

    def _test(self, settings: Any) -> dict[str, str]:
        name = self.request.POST.get("name", "")
        try:
            said = services.try_settings(connector=self.kind.kind, settings=settings, system=self.system, name=name, by=self.by)
        except ConnectorError as error:
            return {"state": "bad", "text": texts.render(error.text)}
        return {"state": "ok", "text": texts.render(said)}

    def save(self, form: SystemForm, settings: Any) -> HttpResponse:
        raise NotImplementedError


def _typed(form: SystemForm) -> dict[str, Any]:
    return {name: form.data.get(name) for name in form.fields}


def _by_place(refused: ValidationError) -> dict[str, list[str]]:
    """Errors by field; what belongs to none of the form's under ""."""
    if not hasattr(refused, "error_dict"):
        return {"": refused.messages}
    return {("" if name in ("__all__", "slug", "settings", "connector") else name): said for name, said in refused.message_dict.items()}


class RegisterSystem(SettingsPage):
    """Step 2 of 3: its settings."""

    def get_title(self) -> str:
        return _("Register a system: {kind}").format(kind=_(self.kind.title))

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Systems"), reverse("systems:list")), Link(_("Register a system"), reverse("systems:add"))]

    @property
    def kind(self) -> type[Connector]:
        try:
            return connector_class(self.kwargs["kind"])
        except UnknownConnector:
            raise Http404 from None

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.draw(SystemForm(initial={"owner": request.user.pk}), {})

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"step": 2, "back": reverse("systems:add"), "submit": _("Save and pick entities")}

    def save(self, form: SystemForm, settings: Any) -> HttpResponse:
        made = services.register_system(name=form.cleaned_data["name"], connector=self.kind.kind, settings=settings, by=self.by, **form.options())
        if consent.asks_a_person(made):
            messages.success(self.request, _("{system} is registered. Connect it now: you will be asked there.").format(system=made.name))
            return HttpResponseRedirect(reverse("systems:detail", args=[made.slug]))
        messages.success(self.request, _("{system} is registered.").format(system=made.name))
        return HttpResponseRedirect(reverse("systems:entities", args=[made.slug]) + "?look=1")


class ChangeSystem(SettingsPage, UnderSystem):
    permission = "systems.change"

    def get_title(self) -> str:
        return _("Change {system}").format(system=self.system.name)

    @property
    def kind(self) -> type[Connector]:
        try:
            return connector_class(self.system.connector)
        except UnknownConnector:
            raise Http404 from None

    system = UnderSystem.system

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.draw(SystemForm(instance=self.system), self.system.settings)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        delete = Act(
            _("Delete {system}").format(system=self.system.name),
            post=self.url("delete"),
            confirm=_("Delete {system}?").format(system=self.system.name),
            note=_("Its settings, credentials, entities and history go with it. This cannot be taken back."),
            danger=True,
        )
        return super().get_context_data(**kwargs) | {
            "back": self.url("detail"),
            "submit": _("Save"),
            "delete": delete if self.by.allows("systems.delete") else None,
        }

    def save(self, form: SystemForm, settings: Any) -> HttpResponse:
        services.change_system(self.system, name=form.cleaned_data["name"], settings=settings, by=self.by, **form.options())
        messages.success(self.request, _("{system} was changed.").format(system=form.cleaned_data["name"]))
        return HttpResponseRedirect(self.url("detail"))


# --- consent ----------------------------------------------------------------------------------------------------------

SESSION_KEY = "system_consent"


class ConnectSystem(OfSystem):
    """Sends the person to the system, which asks whether the hub may. By a page of its own: our policy lets no form lead elsewhere."""

    permission = "systems.change"
    template_name = "systems/leave.html"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        system = self.system
        try:
            address, kept = consent.start_consent(system, by=self.by)
        except (ConnectorError, ValidationError) as error:
            messages.error(request, texts.render(error.text) if isinstance(error, ConnectorError) else sentence_of(error))
            return HttpResponseRedirect(reverse("systems:detail", args=[system.slug]))
        request.session[SESSION_KEY] = kept
        return self.render_to_response(self.get_context_data(address=address, host=urlsplit(address).hostname, back=self.url("detail")))


class Connected(HubPage):
    """Where the system sends the person back to."""

    permission = "systems.change"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kept = request.session.pop(SESSION_KEY, None)
        try:
            system = consent.finish_consent(kept, request.GET.dict(), by=self.by)
        except (ConnectorError, ValidationError) as error:
            messages.error(request, texts.render(error.text) if isinstance(error, ConnectorError) else sentence_of(error))
            asked = System.objects.visible_to(self.by).filter(pk=kept["system"]).first() if kept else None
            return HttpResponseRedirect(reverse("systems:detail", args=[asked.slug]) if asked else reverse("systems:list"))
        messages.success(request, _("{system} is connected.").format(system=system.name))
        if system.entities.exists():
            return HttpResponseRedirect(reverse("systems:detail", args=[system.slug]))
        return HttpResponseRedirect(reverse("systems:entities", args=[system.slug]) + "?look=1")


# --- entities ---------------------------------------------------------------------------------------------------------


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
            if self._discover():
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
            services.discover_entities(self.system, by=self.by)
        except ConnectorError as error:
            messages.error(self.request, texts.render(error.text))
            return False
        return True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        entities = list(self.system.entities.all())
        fresh = not any(entity.selected for entity in entities)
        rows = [{"entity": e, "schema": e.as_schema(), "checked": e.selected or fresh, "changes": services.changes_found(e)} for e in entities]
        return super().get_context_data(**kwargs) | {"system": self.system, "rows": rows, "back": self.url("detail")}


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
        changes = services.changes_found(entity)
        schema = entity.as_schema()
        context = {
            "system": self.system,
            "entity": entity,
            "schema": schema,
            "changes": [{"kind": change.kind, "text": texts.render(change.text)} for change in changes],
            "verdict": self._verdict(len(changes)),
            "facts": self._facts(schema),
            "uses": uses_of(entity),
            "may_sample": self.by.allows("records.view"),
        }
        return super().get_context_data(**kwargs) | context

    def _verdict(self, changes: int) -> Verdict:
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
            if self.by.allows("systems.change"):
                note = _("Mappings that need a field that is gone will say so.")
                acts.insert(
                    0,
                    Act(_("Accept the changes"), post=self.entity_url("accept"), primary=True, confirm=_("Work with the changed fields?"), note=note),
                )
            following = [_("The hub goes on with the fields as they were until somebody accepts the changes.")]
            return Verdict("warn", _("Changed"), sentence, since=since, next=following, acts=acts)
        return Verdict("ok", _("As accepted"), _("The fields are as they were accepted."), since=since, acts=acts)

    def _facts(self, schema: Any) -> list[Fact]:
        can = schema.capabilities
        writes = [
            word
            for able, word in ((can.create, _("create")), (can.update, _("update")), (can.upsert, _("upsert")), (can.delete, _("delete")))
            if able
        ]
        return [
            Fact(_("Records"), capped(self.entity.record_count, 10**9) if self.entity.record_count is not None else "—"),
            Fact(_("Fields"), number(len(schema.fields))),
            Fact(_("Key"), ", ".join(schema.key)),
            Fact(_("Changes since"), schema.cursor_field or "—", "" if schema.cursor_field else _("always read in full")),
            Fact(_("Can be written"), ", ".join(writes) or _("no"), _("{n} a request").format(n=can.bulk) if can.bulk else ""),
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
