"""The pages around versions: publishing the draft with what it will touch, the versions there are, and taking one over into the draft."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.core.pages import HubAction
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link, Verdict
from integration_hub.core.templatetags.hub import ago_text
from integration_hub.mappings import drafts, editor, services
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.differences import describe, differences, match_words
from integration_hub.mappings.look import Look, look
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.mappings.samples import samples_of
from integration_hub.mappings.touches import touched_by
from integration_hub.mappings.views import UnderMapping


class PublishPage(UnderMapping):
    """What changes, on whom, and whether sample records pass: then it is published."""

    permission = "mappings.publish"
    template_name = "mappings/publish.html"

    def get_title(self) -> str:
        return _("Publish {name}").format(name=self.mapping.name)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.POST.get("seen") != drafts.mark_of(self.mapping.draft):
            messages.error(request, _("The draft was changed since this page was made. Look at it again, then publish."))
            return HttpResponseRedirect(self.url("publish"))
        if self._doubts(self._look()) and "although" not in request.POST:
            messages.error(request, _("Say that you publish it although there are doubts."))
            return HttpResponseRedirect(self.url("publish"))
        try:
            version = services.publish_mapping(self.mapping, by=self.by)
        except DefinitionError:
            return HttpResponseRedirect(self.url("publish"))  # the page tells what is wrong
        messages.success(request, _("{name} v{n} is published. Runs that start from now on use it.").format(name=self.mapping.name, n=version.number))
        return HttpResponseRedirect(self.url("detail"))

    def _look(self) -> Look:
        return look(self.mapping, self.mapping.draft, samples_of(self.mapping.source, by=self.by).records, by=self.by)

    @property
    def _missing(self) -> list[str]:
        return [row.name for row in editor.draft_of(self.mapping.draft, self.mapping.target.as_schema()).missing]

    def _doubts(self, found: Look) -> list[str]:
        doubts = []
        if missing := self._missing:
            text = ngettext(
                "{system} refuses new records without {fields}, which is not mapped.",
                "{system} refuses new records without {fields}, which are not mapped.",
                len(missing),
            )
            doubts.append(text.format(system=self.mapping.target.system.name, fields=", ".join(missing[:6])))
        if rejected := len(found.rejected):
            text = ngettext("{n} of {all} sample records would be rejected.", "{n} of {all} sample records would be rejected.", rejected)
            doubts.append(text.format(n=rejected, all=len(found.records)))
        return doubts

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mapping, found = self.mapping, self._look()
        latest = mapping.latest
        changes = differences(latest.definition if latest else None, mapping.draft)
        touched = touched_by(mapping, self.by)
        doubts = self._doubts(found)
        context = {
            "mapping": mapping,
            "latest": latest,
            "number": latest.number + 1 if latest else 1,
            "changes": changes,
            "touched": touched,
            "look": found,
            "causes": found.causes(),
            "doubts": doubts,
            "seen": drafts.mark_of(mapping.draft),
            "verdict": self._verdict(found, len(changes), len(touched), latest, doubts),
            "back": self.url("detail"),
            "can": bool(changes or not latest) and not found.problems and bool(mapping.draft.get("fields")),
        }
        return super().get_context_data(**kwargs) | context

    def _verdict(self, found: Look, changes: int, touched: int, latest: MappingVersion | None, doubts: list[str]) -> Verdict:
        back: list[Act] = [Act(_("Back to the editor"), href=self.url("detail"))]
        if found.problems or not self.mapping.draft.get("fields"):
            n = len(found.problems)
            sentence = (
                ngettext("{n} problem must be solved first.", "{n} problems must be solved first.", n).format(n=n)
                if n
                else _("Nothing is mapped yet.")
            )
            return Verdict("bad", _("Cannot be published"), sentence, acts=back)
        if latest and not changes:
            return Verdict("ok", _("Published v{n}").format(n=latest.number), _("The draft is what runs use now."), acts=back)
        used = ngettext("{n} sync uses it from its next run on.", "{n} syncs use it from their next run on.", touched).format(n=touched)
        following = [used if touched else _("No sync uses it yet.")]
        if not latest:
            return Verdict("warn" if doubts else "idle", _("Draft"), _("The first version of this mapping."), next=following, acts=back)
        said = ngettext("{n} thing changes from v{old} to v{new}.", "{n} things change from v{old} to v{new}.", changes)
        word = _("Draft, changed since v{n}").format(n=latest.number)
        return Verdict(
            "warn" if doubts else "idle", word, said.format(n=changes, old=latest.number, new=latest.number + 1), next=following, acts=back
        )


class VersionsPage(UnderMapping):
    """Which versions there are, who published them, and what each changed."""

    template_name = "mappings/versions.html"

    def get_title(self) -> str:
        return _("Versions of {name}").format(name=self.mapping.name)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        pager = key_page(self.mapping.versions.all(), self.request, order=("-number",), size=20)
        numbers = [version.number - 1 for version in pager.items]
        before = {version.number: version.definition for version in self.mapping.versions.filter(number__in=numbers)}
        rows = [{"version": each, "changes": differences(before.get(each.number - 1), each.definition)} for each in pager.items]
        return super().get_context_data(**kwargs) | {"mapping": self.mapping, "latest": self.mapping.latest, "pager": pager, "rows": rows}


class OfVersion(UnderMapping):
    @property
    def version(self) -> MappingVersion:
        if not hasattr(self, "_version"):
            self._version = get_object_or_404(self.mapping.versions.all(), number=self.kwargs["number"])
        return self._version

    def get_crumbs(self) -> list[Link]:
        return [*super().get_crumbs(), Link(_("Versions"), self.url("versions"))]


class VersionPage(OfVersion):
    """What one version says, what it changed, and how the draft differs from it."""

    template_name = "mappings/version.html"

    def get_title(self) -> str:
        return f"{self.mapping.name} v{self.version.number}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        version, mapping = self.version, self.mapping
        before = mapping.versions.filter(number__lt=version.number).first()
        ahead = differences(version.definition, mapping.draft)
        context = {
            "mapping": mapping,
            "version": version,
            "before": before,
            "changes": differences(before.definition, version.definition) if before else [],
            "ahead": ahead,
            "fields": [{"name": told["target"], "says": describe(told)} for told in version.definition["fields"]],
            "match": match_words(version.definition),
            "note": version.definition.get("note", ""),
            "verdict": self._verdict(len(ahead)),
        }
        return super().get_context_data(**kwargs) | context

    def _verdict(self, ahead: int) -> Verdict:
        version = self.version
        is_latest = self.mapping.latest == version
        since = [_("published {time} by {who}").format(time=ago_text(version.published_at), who=version.published_by or _("the hub"))]
        sentence = _("Runs use this version now.") if is_latest else _("A later version took its place.")
        n = ngettext("The draft differs from it in {n} thing.", "The draft differs from it in {n} things.", ahead).format(n=ahead)
        following = [n if ahead else _("The draft says the same.")]
        acts = []
        if ahead and self.by.allows("mappings.change"):
            ask = _("Make the draft what v{n} says?").format(n=version.number)
            note = _("What the draft says now is lost. Nothing reaches a sync before you publish.")
            acts.append(Act(_("Take over into the draft"), post=self.url("take_over", version.number), confirm=ask, note=note, icon="undo"))
        return Verdict("ok" if is_latest else "idle", f"v{version.number}", sentence, since=since, next=following, acts=acts)


class TakeOver(HubAction):
    permission = "mappings.change"

    def act(self, request: HttpRequest, pk: int, number: int) -> str:
        rows = MappingVersion.objects.filter(mapping__in=Mapping.objects.visible_to(self.by)).select_related("mapping")
        version = get_object_or_404(rows, mapping=pk, number=number)
        self.mapping = drafts.take_over(version, by=self.by)
        return _("The draft says what v{n} says. Publish it to put it to work.").format(n=number)

    def back(self) -> str:
        return self.mapping.get_absolute_url() if hasattr(self, "mapping") else super().back()
