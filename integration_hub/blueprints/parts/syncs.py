from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration_hub.blueprints.document import SyncPart
from integration_hub.mappings.models import Mapping
from integration_hub.syncs import services
from integration_hub.syncs.models import Sync

from .base import AtPath, Context, Json, Part, without_defaults

SETTINGS = tuple(name for name in SyncPart.model_fields if name not in ("mapping", "after", "paused"))
DEFAULTS = {name: SyncPart.model_fields[name].get_default() for name in SETTINGS if name != "mode"}


class SyncsPart(Part[SyncPart]):
    section: ClassVar[str] = "syncs"
    title: ClassVar[Any] = gettext_lazy("sync")

    def all(self) -> list[Any]:
        return list(Sync.objects.order_by("name").select_related("mapping").prefetch_related("after"))

    def find(self, name: str) -> Sync | None:
        return Sync.objects.filter(name=name).select_related("mapping").first()

    def needs(self, subject: Sync) -> list[tuple[str, str]]:
        return [("mappings", subject.mapping.name), *(("syncs", other.name) for other in subject.after.all())]

    def asks_for(self, said: SyncPart) -> list[tuple[str, str]]:
        return [("mappings", said.mapping), *(("syncs", other) for other in said.after)]

    def export(self, subject: Sync, *, warn: Callable[[str], None]) -> Json | None:
        if subject.mapping.latest is None:
            warn(_("The sync {name} is left out, for its mapping {mapping} has no published version.").format(name=subject, mapping=subject.mapping))
            return None
        settings = without_defaults({name: getattr(subject, name) for name in SETTINGS}, DEFAULTS)
        after = sorted(other.name for other in subject.after.all())
        return {"mapping": subject.mapping.name, **settings, **({"after": after} if after else {}), **({"paused": True} if subject.paused_at else {})}

    def apply(self, name: str, said: SyncPart, context: Context) -> None:
        mapping = Mapping.objects.filter(name=said.mapping).select_related("source__system", "target__system").first()
        if mapping is None:
            raise AtPath(("mapping",), _("There is no mapping {name}.").format(name=said.mapping))
        settings = {setting: getattr(said, setting) for setting in SETTINGS}
        settings["after"] = list(_named(said.after))
        sync = self.find(name)
        if sync is None:
            sync = services.create_sync(by=context.by, source=mapping.source, target=mapping.target, name=name, mapping=mapping, **settings)
        else:
            sync = services.change_sync(sync, by=context.by, mapping=mapping, **settings)
        if said.paused is True and sync.paused_at is None:
            services.pause_sync(sync, by=context.by)
        elif said.paused is False and sync.paused_at is not None:
            services.resume_sync(sync, by=context.by)


def _named(names: Sequence[str]) -> Iterator[Sync]:
    for place, name in enumerate(names):
        found = Sync.objects.filter(name=name).first()
        if found is None:
            raise AtPath(("after", place), _("There is no sync {name}.").format(name=name))
        yield found
