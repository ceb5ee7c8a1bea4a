"""What a sync may do about deletes: whether its systems can take part in it."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import Text
from integration_hub.core import texts
from integration_hub.syncs import schedule
from integration_hub.syncs.models import Sync
from integration_hub.syncs.openrows import typed
from integration_hub.syncs.states import DeletePolicy, LeftFilter, Mode


def problems(sync: Sync) -> dict[str, str]:
    """What is wrong with how a sync handles deletes, by field."""
    found: dict[str, str] = {}
    can = sync.target.as_schema().capabilities
    if sync.deletes == DeletePolicy.DELETE and not can.delete:
        found["deletes"] = _("Records of {entity} cannot be deleted through its connector; mark them, or leave them.").format(entity=sync.target)
    if sync.deletes == DeletePolicy.MARK and not can.update:
        found["deletes"] = _("Records of {entity} cannot be changed through its connector; leave them.").format(entity=sync.target)
    elif sync.deletes == DeletePolicy.MARK:
        found |= _problems_with_mark(sync)
    if sync.left_filter == LeftFilter.DELETE and sync.deletes == DeletePolicy.IGNORE:
        found["left_filter"] = _("Deleted records are left as they are, so choose first what becomes of them.")
    if schedule.is_set(sync, schedule.ROSTER) and (why := why_no_rosters(sync)) is not None:
        found["roster_interval_seconds" if sync.roster_interval_seconds else "roster_crontab"] = texts.render(why)
    return found


def why_no_rosters(sync: Sync) -> Text | None:
    """Why there is no use in reading the keys of the source alone; None where what is gone is seen by it."""
    if sync.mode == Mode.FULL:
        return Text(gettext_noop("Every run of this sync reads everything, and so sees what is gone."))
    if sync.deletes == DeletePolicy.IGNORE:
        return Text(gettext_noop("Deleted records are left as they are, so choose first what becomes of them."))
    if not sees_deletes(sync):
        unseen = gettext_noop("{entity} cannot be asked for single records, and its order is not stable, so nobody can tell what is gone.")
        return Text(unseen, {"entity": str(sync.source)})
    return None


def _problems_with_mark(sync: Sync) -> dict[str, str]:
    import polars as pl

    field = sync.target.as_schema().field(sync.mark_field)
    if field is None or field.read_only:
        return {"mark_field": _("Name a field of {entity} that can be written, by its technical name.").format(entity=sync.target)}
    value = typed(pl.Series([sync.mark_value], dtype=pl.String), sync.target.as_schema().frame_schema([field.name])[field.name])
    if not sync.mark_value or value[0] is None or (field.choices and sync.mark_value not in field.choices):
        return {"mark_value": _("“{value}” is no value of the field {field}.").format(value=sync.mark_value, field=field.name)}
    return {}


def sees_deletes(sync: Sync) -> bool:
    """Whether a full run can tell what is gone: by looking it up, or by a list whose order is stable."""
    can = sync.source.as_schema().capabilities
    return can.lookup_by_key or can.stable_order
