from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.core.pages import HubPage, sentence_of
from integration_hub.core.parts import Link
from integration_hub.syncs.forms import SpanField
from integration_hub.syncs.together import create_together, offers
from integration_hub.systems.models import Entity, System


class SystemsForm(forms.Form):
    """Between which two systems."""

    source = forms.ModelChoiceField(System.objects.none(), label=gettext_lazy("Source system"), empty_label=gettext_lazy("Choose a system"))
    target = forms.ModelChoiceField(System.objects.none(), label=gettext_lazy("Target system"), empty_label=gettext_lazy("Choose a system"))

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        kwargs["use_required_attribute"] = False
        super().__init__(*args, **kwargs)
        for name in ("source", "target"):
            self.fields[name].queryset = System.objects.visible_to(by).order_by("name")  # type: ignore[attr-defined]


class GroupForm(forms.Form):
    """What the syncs of the group have in common."""

    group = forms.CharField(label=gettext_lazy("Group"), max_length=200, help_text=gettext_lazy("Syncs of one group are run and paused together."))
    interval_seconds = SpanField(label=gettext_lazy("Every"), help_text=gettext_lazy("Empty: they are run by hand."))
    publish = forms.BooleanField(
        label=gettext_lazy("Publish the suggested mappings"),
        required=False,
        help_text=gettext_lazy("Otherwise they stay drafts: look through each, publish it, and its sync can run."),
    )


class TogetherPage(HubPage):
    """First which two systems, then which of their entities belong together."""

    permission = "syncs.change"
    nav = "syncs"
    title = gettext_lazy("Several syncs at once")
    template_name = "syncs/together.html"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list"))]

    @cached_property
    def systems(self) -> SystemsForm:
        given = self.request.POST or self.request.GET
        return SystemsForm(given if "source" in given else None, by=self.by)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs) | {"form": self.systems, "may_publish": self.by.allows("mappings.publish")}
        if not self.systems.is_valid():
            return context
        source, target = self.systems.cleaned_data["source"], self.systems.cleaned_data["target"]
        offered = offers(source, target, by=self.by)
        posted = self.request.POST
        rows = [
            {"offer": each, "taken": str(each.source.pk) in posted.getlist("take") if posted else each.target is not None and each.sync is None,
             "target": posted.get(f"target-{each.source.pk}", each.target and str(each.target.pk)) or ""}
            for each in offered
        ]  # fmt: skip
        targets = Entity.objects.selected().filter(system=target).order_by("name")
        context.setdefault("group", GroupForm(initial={"group": f"{source} → {target}"}, use_required_attribute=False))
        return context | {"source": source, "target": target, "rows": rows, "targets": [(str(each.pk), each.label or each.name) for each in targets]}

    def post(self, request: HttpRequest) -> HttpResponse:
        group = GroupForm(request.POST, use_required_attribute=False)
        if not (self.systems.is_valid() and group.is_valid()):
            return self.render_to_response(self.get_context_data(group=group))
        try:
            made = create_together(self._chosen(), by=self.by, **group.cleaned_data)
        except ValidationError as refusal:
            group.add_error(None, sentence_of(refusal))
            return self.render_to_response(self.get_context_data(group=group))
        messages.success(request, ngettext("{n} sync is made.", "{n} syncs are made.", len(made)).format(n=len(made)))
        return HttpResponseRedirect(f"{reverse('syncs:list')}?{urlencode({'group': made[0].group})}")

    def _chosen(self) -> list[tuple[Entity, Entity]]:
        """The ticked entities with the targets chosen for them; one without a target is told of."""
        source, target = self.systems.cleaned_data["source"], self.systems.cleaned_data["target"]
        entities = {str(each.pk): each for each in Entity.objects.selected().filter(system__in=(source, target)).select_related("system")}
        chosen = []
        for pk in self.request.POST.getlist("take"):
            taken, into = entities.get(pk), entities.get(self.request.POST.get(f"target-{pk}", ""))
            if taken is None or taken.system_id != source.pk:
                continue
            if into is None or into.system_id != target.pk:
                raise ValidationError(_("Choose what {entity} goes into.").format(entity=taken.label or taken.name))
            chosen.append((taken, into))
        return chosen
