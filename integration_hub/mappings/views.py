"""The pages of mappings: a new one, and the editor with its preview on real records. The list is in lists.py, publishing and versions in publishing.py."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integration_hub.core.pages import HubAction, HubPage, sentence_of
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.registry import uses_of
from integration_hub.core.templatetags.hub import ABSENT, ago_text
from integration_hub.mappings import drafts, editor, services
from integration_hub.mappings.differences import differences, step_words
from integration_hub.mappings.forms import PairForm
from integration_hub.mappings.look import Look, look
from integration_hub.mappings.models import Mapping
from integration_hub.mappings.samples import Samples, samples_of
from integration_hub.mappings.suggest import suggest_fields
from integration_hub.systems.models import Entity

Json = dict[str, Any]


# --- a new one --------------------------------------------------------------------------------------------------------


class AddMapping(HubPage):
    """First which entities, then which of the suggestions to begin with."""

    permission = "mappings.change"
    title = gettext_lazy("Make a mapping")
    nav = "mappings"
    template_name = "mappings/add.html"

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Mappings"), reverse("mappings:list"))]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = "source" in request.GET and "target" in request.GET
        form = PairForm(request.GET if asked else None, by=self.by, initial=request.GET.dict())
        if not asked or not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        return self._suggest(form.cleaned_data["source"], form.cleaned_data["target"])

    def post(self, request: HttpRequest) -> HttpResponse:
        form = PairForm(request.POST, by=self.by)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        source, target = form.cleaned_data["source"], form.cleaned_data["target"]
        found = {s.target: s for s in _suggestions(source, target, samples_of(source, by=self.by))}
        taken = [found[name] for name in request.POST.getlist("take") if name in found]
        draft = editor.draft_of({}, target.as_schema())
        editor.take_suggestions(draft, taken)
        offered = services.suggest_mapping(source, target, by=self.by).get("match", [])
        draft.match = [names for names in offered if set(names) <= {s.target for s in taken}]
        try:
            made = services.create_mapping(
                name=request.POST.get("name", ""), source=source, target=target, definition=editor.definition_of(draft), by=self.by
            )
        except ValidationError as refused:
            return self._suggest(source, target, refused=sentence_of(refused))
        said = ngettext("{name} is made, with {n} field.", "{name} is made, with {n} fields.", len(taken)).format(name=made.name, n=len(taken))
        messages.success(request, said)
        return HttpResponseRedirect(made.get_absolute_url())

    def _suggest(self, source: Entity, target: Entity, refused: str = "") -> HttpResponse:
        samples = samples_of(source, by=self.by)
        found = {s.target: s for s in _suggestions(source, target, samples)}
        schema, first = target.as_schema(), (samples.records or [{}])[0]
        rows = [
            {
                "field": f,
                "found": found.get(f.name),
                "steps": [step_words(step) for step in found[f.name].steps] if f.name in found else [],
                "share": round(found[f.name].score * 100) if f.name in found else 0,
                "sample": first.get(found[f.name].source, ABSENT) if f.name in found else ABSENT,
                "checked": self.request.method != "POST" or f.name in self.request.POST.getlist("take"),
            }
            for f in sorted(schema.fields, key=lambda f: not f.required)
            if not f.read_only
        ]
        name = self.request.POST.get("name") or _free_name(f"{source} → {target}")
        context = {"source": source, "target": target, "rows": rows, "found": len(found), "name": name, "refused": refused, "samples": samples}
        return self.render_to_response(self.get_context_data(**context))


def _suggestions(source: Entity, target: Entity, samples: Samples) -> list[Any]:
    return suggest_fields(source.as_schema(), target.as_schema(), samples.records[:20])


def _free_name(wanted: str) -> str:
    """The name, or with a number behind it where there is one already."""
    wanted = wanted[:180]
    taken = set(Mapping.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    return next(name for name in (wanted, *(f"{wanted} ({n})" for n in range(2, 1_000))) if name not in taken)


# --- one mapping ------------------------------------------------------------------------------------------------------


class OfMapping(HubPage):
    """A page about one mapping, whose number is in the address."""

    permission = "mappings.view"
    nav = "mappings"

    @property
    def mapping(self) -> Mapping:
        if not hasattr(self, "_mapping"):
            rows = Mapping.objects.visible_to(self.by).select_related("source__system", "target__system")
            self._mapping = get_object_or_404(rows, pk=self.kwargs["pk"])
        return self._mapping

    def get_title(self) -> str:
        return self.mapping.name

    def get_crumbs(self) -> list[Link]:
        return [Link(_("Mappings"), reverse("mappings:list"))]

    def url(self, name: str, *more: Any) -> str:
        return reverse(f"mappings:{name}", args=[self.mapping.pk, *more])


class UnderMapping(OfMapping):
    """A page below a mapping's own."""

    def get_crumbs(self) -> list[Link]:
        return [*super().get_crumbs(), Link(self.mapping.name, self.url("detail"))]


class EditorPage(OfMapping):
    """What will my real record become?"""

    template_name = "mappings/editor.html"
    moved: Mapping | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._draw(editor.draft_of(self.mapping.draft, self.mapping.target.as_schema()), drafts.mark_of(self.mapping.draft))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.by.require("mappings.change")
        schema = self.mapping.target.as_schema()
        draft = editor.read_draft(request.POST, self.mapping.draft, schema)
        do, seen = request.POST.get("do", "save"), request.POST.get("seen", "")
        if do in ("save", "publish", "overwrite"):
            return self._save(draft, drafts.mark_of(self.mapping.draft) if do == "overwrite" else seen, do)
        if do == "suggest":
            samples = samples_of(self.mapping.source, by=self.by)
            n = editor.take_suggestions(draft, _suggestions(self.mapping.source, self.mapping.target, samples))
            said = ngettext("{n} field is suggested. Look through it, then save.", "{n} fields are suggested. Look through them, then save.", n)
            messages.info(request, said.format(n=n) if n else _("There is nothing to suggest for the fields that are left."))
        else:
            editor.change(draft, do, request.POST.get(f"r{do.partition(':')[2].partition(':')[0]}.add", ""))
        response = self._draw_part(draft, do) if request.headers.get("HX-Request") else self._draw(draft, seen, changed=True)
        response["HX-Trigger-After-Settle"] = "previewAgain"
        return response

    def _draw_part(self, draft: editor.Draft, do: str) -> HttpResponse:
        """Only what a button changed: its row, or the match keys. What is wrong with it tells the preview, which is asked again."""
        context = self._parts(draft)
        if do.startswith("match"):
            return render(self.request, "mappings/_match.html", context)
        rows = [row for row in draft.rows if str(row.number) == do.partition(":")[2].partition(":")[0]]
        return render(self.request, "mappings/_row.html", context | drawn_row(rows[0], Look())) if rows else HttpResponse()

    def _parts(self, draft: editor.Draft) -> Json:
        """What the rows and the match keys are drawn with."""
        return {
            "mapping": self.mapping,
            "draft": draft,
            "target": self.mapping.target.as_schema(),
            "transform_options": render_to_string("mappings/_transforms.html", {"groups": editor.groups_of_transforms()}),
            "match_options": [row.name for row in draft.mapped],
            "may_change": self.by.allows("mappings.change"),
        }

    def _save(self, draft: editor.Draft, seen: str, do: str) -> HttpResponse:
        try:
            with transaction.atomic():
                drafts.rename_mapping(self.mapping, name=self.request.POST.get("name", self.mapping.name), by=self.by)
                drafts.save_draft(self.mapping, definition=editor.definition_of(draft), seen=seen, by=self.by)
        except drafts.DraftMoved as moved:
            self.moved = moved.mapping
            return self._draw(draft, seen, changed=True)
        except ValidationError as refused:
            messages.error(self.request, sentence_of(refused))
            return self._draw(draft, seen, changed=True)
        if do == "publish":
            return HttpResponseRedirect(self.url("publish"))
        messages.success(self.request, _("The draft is saved. Syncs go on with the published version."))
        return HttpResponseRedirect(self.url("detail"))

    def _draw(self, draft: editor.Draft, seen: str, *, changed: bool = False) -> HttpResponse:
        mapping = self.mapping
        definition = editor.definition_of(draft)
        found = look(mapping, definition, by=self.by)
        context = self._parts(draft) | {
            "seen": seen,
            "changed": changed,
            "moved": self.moved,
            "source": mapping.source.as_schema(),
            "source_entities": mapping.source.system.entities.selected().order_by("name").values_list("name", flat=True),
            "target_entities": mapping.target.system.entities.selected().order_by("name").values_list("name", flat=True),
            "own": [f.name for f in mapping.target.as_schema().fields if f.read_only],
            "uses": uses_of(mapping),
            "verdict": verdict_of(mapping, draft, found, self.by),
            "rows": [drawn_row(row, found) for row in draft.rows],
            "look": found,
            "remove": self._remove(),
        }
        return self.render_to_response(self.get_context_data(**context))

    def _remove(self) -> Act | None:
        if not self.by.allows("mappings.delete"):
            return None
        ask, note = _("Delete {name}?").format(name=self.mapping.name), _("Its versions go with it.")
        return Act(_("Delete"), post=self.url("delete"), danger=True, confirm=ask, note=note)


def drawn_row(row: editor.Row, found: Look) -> Json:
    """A row with what its head says: its steps in words, and what is wrong with it."""
    words = [editor_words(step) for step in row.steps]
    return {"row": row, "words": words, "problems": found.problems_of(row.name)}


def editor_words(step: editor.Step) -> str:
    from .transforms import TRANSFORMS

    return _(TRANSFORMS[step.transform].label) if step.is_known else step.transform


def verdict_of(mapping: Mapping, draft: editor.Draft, found: Look, by: Any, samples: Samples | None = None) -> Verdict:
    """Draft or published, what is wrong, what is still empty, what the sample records say."""
    latest = mapping.latest
    definition = editor.definition_of(draft)
    changes = len(differences(latest.definition, definition)) if latest else 0
    word, state = _("Draft"), "idle"
    if latest:
        word = _("Published v{n}").format(n=latest.number)
        state = "ok"
        if changes:
            word, state = _("Draft, changed since v{n}").format(n=latest.number), "idle"
    since: list[str | Link] = [f"{mapping.source} → {mapping.target}"]
    since.append(" · " + _("changed {time} by {who}").format(time=ago_text(mapping.changed_at), who=mapping.changed_by or _("the hub")))
    following: list[str | Link] = []
    missing = [row.name for row in draft.missing]
    rejected = len(found.rejected)
    if found.problems:
        n = len(found.problems)
        sentence = ngettext("{n} problem keeps this mapping from being published.", "{n} problems keep this mapping from being published.", n).format(
            n=n
        )
        first = found.problems[0]
        following = [f"{first.field}: {first.text}" if first.field else first.text]
        state = "bad"
    elif not draft.mapped:
        sentence = _("Nothing is mapped yet.")
        following = [_("Say for each target field where its value comes from, or take the suggestions.")]
        state = "warn" if latest else "idle"
    elif missing:
        text = ngettext("{n} required field of {target} is still empty.", "{n} required fields of {target} are still empty.", len(missing))
        sentence = text.format(n=len(missing), target=mapping.target)
        following = [", ".join(missing[:6]), ". ", _("{system} refuses new records without them.").format(system=mapping.target.system.name)]
        state = "warn"
    elif rejected:
        text = ngettext(
            "{rejected} of {n} sample record would be rejected.", "{rejected} of {n} sample records would be rejected.", len(found.records)
        )
        sentence = text.format(rejected=rejected, n=len(found.records))
        following = [found.causes()[0].text]
        state = "warn"
    elif latest and not changes:
        sentence = _("The draft is what runs use now.")
        following = [_("Change it here; nothing reaches a sync before it is published.")]
    else:
        fields = len(draft.mapped)
        sentence = ngettext("{n} field is mapped and ready to publish.", "{n} fields are mapped and ready to publish.", fields).format(n=fields)
        if found.records:
            passed = ngettext("The sample record passes.", "All {n} sample records pass.", len(found.records))
            following = [passed.format(n=len(found.records))]
        elif not draft.match:
            following = [_("Without a match key, records that are in the target already are made again.")]
    acts = [Act(_("Versions"), href=reverse("mappings:versions", args=[mapping.pk]), icon="history")] if latest else []
    return Verdict(state, word, sentence, since=since, next=following, asks=False, acts=acts)


class PreviewPart(OfMapping):
    """The sample record beside the rows, what becomes of it after each step, and how all samples fare. Of the form's draft, or the stored one."""

    permission = "records.view"
    template_name = "mappings/_preview.html"
    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._show(editor.draft_of(self.mapping.draft, self.mapping.target.as_schema()))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        schema = self.mapping.target.as_schema()
        if not self.by.allows("mappings.change"):  # their form is locked, and a locked choice is not sent
            return self._show(editor.draft_of(self.mapping.draft, schema))
        return self._show(editor.read_draft(request.POST, self.mapping.draft, schema))

    def _show(self, draft: editor.Draft) -> HttpResponse:
        show = self.request.POST.get("show", "")
        samples = samples_of(self.mapping.source, by=self.by, anew=show == "anew")
        place = self._place(show, len(samples.records))
        definition = editor.definition_of(draft)
        found = look(self.mapping, definition, samples.records, by=self.by, traced=place)
        if show == "rejected" and (other := found.next_rejected(place)) is not None and other != place:
            place = other
            found = look(self.mapping, definition, samples.records, by=self.by, traced=place)
        record = samples.records[place] if samples.records else {}
        schema = self.mapping.source.as_schema()
        key = ", ".join(str(record.get(name, "")) for name in schema.key)
        context = {
            "mapping": self.mapping,
            "samples": samples,
            "place": place,
            "record": record,
            "record_name": _name_of(record, schema.key),
            "record_key": key,
            "look": found,
            "rejected_now": place in found.rejected,
            "rows": [{**drawn_row(row, found), "cell": cell_of(row, found)} for row in draft.rows],
            "verdict": verdict_of(self.mapping, draft, found, self.by, samples),
            "mapping_problems": found.problems_of(""),
        }
        return self.render_to_response(context)

    def _place(self, show: str, count: int) -> int:
        now = self.request.POST.get("record", "0")
        place = int(now) if now.isdecimal() and len(now) < 6 else 0
        if show.startswith("at:") and show[3:].isdecimal():
            place = int(show[3:8])
        place += {"next": 1, "previous": -1}.get(show, 0)
        return place % count if count else 0


def _name_of(record: Json, key: Any) -> str:
    """What people call a record: the first field that is called a name, a title or a subject."""
    for name, value in record.items():
        if isinstance(value, str) and value and name not in key and any(word in name.lower() for word in ("name", "title", "subject")):
            return value[:80]
    return ""


def cell_of(row: editor.Row, found: Look) -> Json | None:
    """What becomes of the record in one field: what it began with, the value after each step, the result or why not."""
    traced = found.trace.get(row.name)
    if traced is None:
        return None
    from integration_hub.core import texts

    steps = [{"label": _(one["label"]) if one["label"] else "", "value": one["value"]} for one in traced["steps"]]
    began = ABSENT if traced["absent"] and traced["value"] is None else traced["value"]
    named = [step for step in steps if step["label"]]
    return {
        "began": began,
        "steps": named,
        "result": traced["result"],
        "same": not named and traced["result"] == traced["value"],
        "sent": traced["sent"],
        "problem": texts.render(traced["problem"]) if traced["problem"] else "",
    }


class DeleteMapping(HubAction):
    permission = "mappings.delete"

    def act(self, request: HttpRequest, pk: int) -> str:
        mapping = get_object_or_404(Mapping.objects.visible_to(self.by), pk=pk)
        name = mapping.name
        services.delete_mapping(mapping, by=self.by)
        self.is_gone = True
        return _("{name} was deleted.").format(name=name)

    def back(self) -> str:
        return reverse("mappings:list") if getattr(self, "is_gone", False) else super().back()
