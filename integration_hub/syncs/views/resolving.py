"""Pages and buttons that clear rejects: mend a record's values, say what a value becomes, hand records to somebody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connectors.base import Text
from integration_hub.accounts.models import User
from integration_hub.core import texts
from integration_hub.core.forms import add_refusal
from integration_hub.core.pages import HubAction, HubPage, page_before
from integration_hub.core.parts import Link
from integration_hub.core.templatetags.hub import number
from integration_hub.syncs import mends, resolving
from integration_hub.syncs.journal import name_of
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.telling.names import entity_name
from integration_hub.syncs.trace import origins_of
from integration_hub.syncs.views.reject_acts import chosen_rows


class MendForm(forms.Form):
    """A text for each value of a record that may be mended; an empty one is no value. The one that the record was left for comes first."""

    note = forms.CharField(label=gettext_lazy("Reason"), required=False, max_length=1_000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, row: OpenRow, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        record, mend, first = unpacked_record(row.record), mends.mend_of(row), _decisive(row)
        self.taken: dict[str, str] = {}
        wanted = [field for field in mends.mendable(row.sync.source.as_schema()) if field.name in record]
        for field in sorted(wanted, key=lambda field: field.name not in first):
            told = mends.told_by(row, field.name)
            text = mend.values[field.name][1] if mend and field.name in mend.values else told
            self.taken[field.name] = text or ""
            long = len(text or "") > 80 or "\n" in (text or "")
            self.fields[_name(field.name)] = forms.CharField(
                label=f"{field.label} ({field.name})" if field.label and field.label != field.name else field.name,
                required=False, strip=False, initial=text or "", help_text=_help(texts.type_word(field.type), told, text),
                widget=forms.Textarea(attrs={"rows": 3}) if long else forms.TextInput(),
            )  # fmt: skip
        self.order_fields([*(_name(name) for name in self.taken), "note"])

    def values(self) -> dict[str, str | None]:
        """What was changed: field → text, or None for no value."""
        given = {name: self.cleaned_data[_name(name)].replace("\r\n", "\n") for name in self.taken}
        return {name: text or None for name, text in given.items() if text != self.taken[name].replace("\r\n", "\n")}


def _name(field: str) -> str:
    """Of the form's field, so that a source field called “note” is not its reason."""
    return f"value.{field}"


def _help(type_: str, told: str | None, taken: str | None) -> str:
    if told == taken:
        return type_
    return (
        _("{type} · the source says “{value}”").format(type=type_, value=told) if told else _("{type} · the source has no value").format(type=type_)
    )


def _decisive(row: OpenRow) -> set[str]:
    """The source fields that the value was made of for which the record was left."""
    if row.step == "read":
        return {row.field}
    version = row.sync.mapping.latest
    source, target = row.sync.source.as_schema(), row.sync.target.as_schema()
    origin = origins_of(version, source, target).get(row.field) if version else None
    return {field.name for field in source.fields if origin and (origin.text == field.name or field.name in origin.text)}


class OfRow(HubPage):
    """A page about one open row."""

    nav = "rejects"

    def get_row(self) -> OpenRow:
        if not self.by.allows("records.view"):
            raise Http404
        if not hasattr(self, "_row"):
            rows = OpenRow.objects.visible_to(self.by).select_related("sync__mapping", "sync__pair__a__system", "sync__pair__b__system")
            self._row: OpenRow = get_object_or_404(rows, pk=self.kwargs["pk"])
        return self._row

    def get_crumbs(self) -> list[Link]:
        row = self.get_row()
        name = name_of(unpacked_record(row.record)) or row.key
        return [
            Link(_("Syncs"), reverse("syncs:list")),
            Link(_("Rejects"), f"{reverse('rejects:list')}?sync={row.sync_id}"),
            Link(name, reverse("rejects:detail", args=[row.pk])),
        ]

    def why_not(self, row: OpenRow) -> Text | None:
        """Why what the page is for cannot be done with this row; None where it can."""
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = self.get_row()
        refusal = self.why_not(row)
        return super().get_context_data(**kwargs) | {
            "row": row,
            "sentence": texts.render(row.reason),
            "refusal": texts.render(refusal) if refusal else "",
            "back": reverse("rejects:detail", args=[row.pk]),
        }


class MendPage(OfRow):
    permission = "rejects.mend"
    title = gettext_lazy("Mend values")
    template_name = "rejects/mend.html"

    def why_not(self, row: OpenRow) -> Text | None:
        return resolving.why_not_mended(row)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{"form": MendForm(row=self.get_row())} | kwargs)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        row = self.get_row()
        form = MendForm(request.POST, row=row)
        if form.is_valid():
            try:
                resolving.mend_reject(row, form.values(), by=self.by, note=form.cleaned_data["note"])
            except NotPossible as refusal:
                form.add_error(None, str(refusal))
            except ValidationError as refused:
                by_field = refused.message_dict if hasattr(refused, "error_dict") else None
                add_refusal(form, ValidationError({_name(name): told for name, told in by_field.items()}) if by_field else refused)
            else:
                messages.success(request, _("The values are mended; the record is replayed now."))
                return HttpResponseRedirect(reverse("rejects:detail", args=[row.pk]))
        return self.render_to_response(self.get_context_data(form=form))


class ForgetMend(HubAction):
    permission = "rejects.mend"
    refusals = (NotPossible,)

    def act(self, request: HttpRequest, pk: int) -> str:
        row = get_object_or_404(OpenRow.objects.visible_to(self.by).select_related("sync__pair__a", "sync__pair__b"), pk=pk)
        resolving.forget_mend(row, by=self.by)
        return _("The values of the source are taken again from the next run on that reads this record.")


class LinkForm(forms.Form):
    target_key = forms.CharField(max_length=500, strip=True)
    note = forms.CharField(label=gettext_lazy("Reason"), required=False, max_length=1_000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, row: OpenRow, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target_key"].label = _("Key in {system}").format(system=row.sync.target.system.name)


class LinkPage(OfRow):
    """Where the target has a record of which nobody could tell whether it was written."""

    permission = "rejects.resolve"
    title = gettext_lazy("Link by hand")
    template_name = "rejects/link.html"

    def why_not(self, row: OpenRow) -> Text | None:
        return resolving.why_not_linked(row)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = self.get_row()
        return super().get_context_data(**{"form": LinkForm(row=row)} | kwargs) | {
            "is_asked_for": row.sync.target.as_schema().capabilities.lookup_by_key,
            "record": unpacked_record(row.record),
            "source_name": entity_name(row.sync.source),
        }

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        row = self.get_row()
        form = LinkForm(request.POST, row=row)
        if form.is_valid():
            try:
                resolving.link_unknown(row, form.cleaned_data["target_key"], by=self.by, note=form.cleaned_data["note"])
            except NotPossible as refusal:
                form.add_error(None, str(refusal))
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                messages.success(request, _("The two are linked; they are compared now."))
                return HttpResponseRedirect(reverse("rejects:detail", args=[row.pk]))
        return self.render_to_response(self.get_context_data(form=form))


class AddEntry(HubAction):
    """What a value becomes, for the whole group that it holds up."""

    permission = "mappings.change"
    refusals = (NotPossible,)

    def act(self, request: HttpRequest, pk: int) -> str:
        rows = OpenRow.objects.visible_to(self.by).select_related("sync__mapping", "sync__pair__a__system", "sync__pair__b__system")
        row = get_object_or_404(rows, pk=pk)
        added = resolving.add_to_value_map(row, request.POST.get("becomes", "").strip(), by=self.by)
        if added.version is None:
            return _("The draft of {name} has the value now. Somebody who may publish it has to, then the records can be replayed.").format(
                name=row.sync.mapping
            )
        said = ngettext(
            "{version} is published, and {n} record is replayed now.", "{version} is published, and {n} records are replayed now.", added.count
        ).format(version=added.version, n=number(added.count))
        return said if added.in_draft else f"{said} {_('The draft has other steps by now: add the value there as well.')}"


class AssignForm(forms.Form):
    to = forms.ModelChoiceField(label=gettext_lazy("Assigned to"), queryset=User.objects.none(), required=False, empty_label=gettext_lazy("Nobody"))
    note = forms.CharField(label=gettext_lazy("Note"), required=False, max_length=1_000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = self.fields["to"]
        people.queryset = User.objects.filter(is_active=True).order_by("first_name", "last_name", "username")  # type: ignore[attr-defined]
        people.label_from_instance = lambda user: user.get_full_name() or user.username  # type: ignore[attr-defined]


class AssignPage(HubPage):
    """Who looks after some records, or a whole group: first a form for those that were chosen, then what it says."""

    permission = "rejects.assign"
    nav = "rejects"
    title = gettext_lazy("Assign rejects")
    template_name = "rejects/assign.html"
    http_method_names = ["post"]

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Syncs"), reverse("syncs:list")), Link(_("Rejects"), reverse("rejects:list"))]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        rows = chosen_rows(request, self.by)
        back = page_before(request)
        if not rows.exists():
            messages.error(request, _("Nothing was chosen."))
            return HttpResponseRedirect(back)
        form = AssignForm(request.POST) if "to" in request.POST else AssignForm(initial=self._now(rows))
        if form.is_bound and form.is_valid():
            try:
                count = resolving.assign_rejects(rows, to=form.cleaned_data["to"], by=self.by, note=form.cleaned_data["note"])
            except ValidationError as refused:
                add_refusal(form, refused)
            else:
                messages.success(request, ngettext("{n} record is assigned.", "{n} records are assigned.", count).format(n=number(count)))
                return HttpResponseRedirect(back)
        kept = [(name, value) for name in ("ids", "sync", "cause", "run", "assigned") for value in request.POST.getlist(name)]
        return self.render_to_response(self.get_context_data(form=form, kept=[*kept, ("next", back)], count=rows[:10_001].count(), back=back))

    def _now(self, rows: Any) -> dict[str, Any]:
        to, note = rows.values_list("assigned_to", "assigned_note").first() or (None, "")
        return {"to": to, "note": note}
