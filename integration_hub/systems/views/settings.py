"""Registering a system in three steps, changing one, and connecting it by a person's consent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connectors.base import Connector, ConnectorError
from connectors.registry import UnknownConnector, connector_class
from integration_hub.core import texts
from integration_hub.core.pages import HubPage, sentence_of
from integration_hub.core.parts import Act, Link
from integration_hub.systems import consent, services, settings_form
from integration_hub.systems.connection import installed, revealed
from integration_hub.systems.forms import SystemForm
from integration_hub.systems.models import System
from integration_hub.systems.views.base import OfSystem, UnderSystem


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
            if do == "test" and not errors:
                again["tested"] = self._test(settings)
            elif do == "save" and not errors and form.is_valid():
                return self.save(form, settings)
            else:  # one answer tells all that is wrong
                raise ValidationError(services.problems_of_settings(connector=self.kind.kind, settings=settings, system=self.system) | errors)
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

    def advise(self, system: System) -> None:
        """Tell what was saved and will give trouble."""
        for said in services.advice_on(system):
            messages.warning(self.request, said)


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
        self.advise(made)
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
        changed = services.change_system(self.system, name=form.cleaned_data["name"], settings=settings, by=self.by, **form.options())
        self.advise(changed)
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
