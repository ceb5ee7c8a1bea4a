"""What a sync may do about deletes: whether its systems can take part in it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from integration_hub.syncs.models import Sync
from integration_hub.syncs.openrows import typed
from integration_hub.syncs.states import DeletePolicy, LeftFilter


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
    return found


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
