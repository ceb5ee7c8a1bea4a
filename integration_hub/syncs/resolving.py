"""What people do about open rows besides replaying and dismissing them: mend a record's values, say what a value becomes, say where the target has a
record, hand rows to somebody."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors.base import SettingsError, Text
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import User
from integration_hub.audit import services as audit
from integration_hub.core import texts
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.keys import canonical_key
from integration_hub.mappings import valuemaps
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import mends, notices, services, story
from integration_hub.syncs.models import Link, Mend, OpenRow, Sync
from integration_hub.syncs.openrows import VALUE_IS_THE_CAUSE
from integration_hub.syncs.prints import VERSION
from integration_hub.syncs.reading import kept_page
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.states import OpenState, Side
from integration_hub.syncs.trace import rehearsal
from integration_hub.syncs.work import NO_KEY
from integration_hub.systems.models import Entity

# --- mend -------------------------------------------------------------------------------------------------------------


def why_not_mended(row: OpenRow) -> Text | None:
    """Why no value of this record can be mended; None where some can."""
    if row.closed_at is not None:
        return Text(gettext_noop("It is not open any more."))
    if re.match(NO_KEY, row.key):
        return Text(gettext_noop("The record has no key by which it could be known again. Correct it in the source."))
    if row.state == OpenState.WITHHELD:
        return Text(gettext_noop("It waits for a decision. Accept or refuse that first."))
    if row.state == OpenState.UNKNOWN:
        return Text(gettext_noop("Nobody can tell whether it was written. See in the target, then replay or dismiss it."))
    if row.step == "read" and not row.field:
        return Text(gettext_noop("The record as a whole could not be read. Correct it in the source."))
    return None


def mend_reject(row: OpenRow, values: Mapping[str, str | None], *, by: Actor, note: str = "") -> None:
    """Put these values (texts; null: no value) in the place of the source record's, and replay it.

    They are taken by every run until the record changes in the source; what was mended before stays so unless it is named again. A value that is what
    the source says takes the mend of its field back. Raises ValidationError by field, before anything is changed; NotPossible where no value of this
    record can be mended.
    """
    by.require("rejects.mend", row.sync)
    by.require("rejects.resolve", row.sync)
    with transaction.atomic():
        row = OpenRow.objects.select_for_update(of=("self",)).select_related("sync__pair__a__system", "sync__pair__b__system").get(pk=row.pk)
        if (refusal := why_not_mended(row)) is not None:
            raise NotPossible(refusal.template)
        _check_values(row, values)
        before = mend.values if (mend := mends.mend_of(row)) else {}
        changes = _changes(row, before, values)
        if not changes:
            raise ValidationError(_("No value was changed."))
        now = {**before, **{name: [before[name][0] if name in before else was, put] for name, (was, put) in changes.items()}}
        now = {name: pair for name, pair in now.items() if pair[0] != pair[1]}
        place: dict[str, Any] = {"sync": row.sync, "side": row.side, "key": row.key}
        if now:
            Mend.objects.update_or_create(**place, defaults={"values": now, "record": bytes(row.record), "by": by.name})
        else:
            Mend.objects.filter(**place).delete()
        audit.record("reject.mended", row.sync, by=by, changes={f"{row.key} {name}": pair for name, pair in changes.items()}, note=note)
    services.replay_rejects(OpenRow.objects.filter(pk=row.pk), by=by)


def _check_values(row: OpenRow, values: Mapping[str, str | None]) -> None:
    """Raises ValidationError for fields that cannot be mended, and values that are not of their field's type."""
    fields = {field.name: field for field in mends.mendable(row.sync.source.as_schema())}
    problems = {}
    for name, text in values.items():
        if name not in fields:
            problems[name] = _("{field} is no field whose values can be mended.").format(field=name)
            continue
        try:
            mends.value_of(text, fields[name])
        except ExpressionError as error:
            problems[name] = texts.render(error.text)
    if problems:
        raise ValidationError(problems)


def _changes(row: OpenRow, mended: mends.Values, values: Mapping[str, str | None]) -> dict[str, list[str | None]]:
    """Field → [before, after], where these values are others than what is taken now."""
    taken = {name: mended[name][1] if name in mended else mends.told_by(row, name) for name in values}
    return {name: [taken[name], text] for name, text in values.items() if text != taken[name]}


def forget_mend(row: OpenRow, *, by: Actor) -> None:
    """Take the values of the source again: with the next run that reads the record, or, where it is open still, when it is replayed."""
    by.require("rejects.mend", row.sync)
    with transaction.atomic():
        mend = mends.mend_of(row)
        if mend is None:
            raise NotPossible(gettext_noop("No value of this record is mended."))
        mend.delete()
        changes = {f"{row.key} {name}": [put, was] for name, (was, put) in mend.values.items()}
        audit.record("reject.mend_forgotten", row.sync, by=by, changes=changes)


# --- value map --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MissingEntry:
    """That a group was rejected because `value` stands in no value map, or is not allowed, at this step of the target field's mapping."""

    row: OpenRow  # one of the group
    field: str
    step: int
    value: str
    known: tuple[str, ...]  # what it may become: the target's values, else what the map makes of others
    only_known: bool


@dataclass(frozen=True)
class Added:
    """What adding an entry came to: the version that has it (None: the draft alone), whether the draft has it too, how many records are replayed."""

    version: MappingVersion | None
    in_draft: bool
    count: int


def missing_entry(row: OpenRow) -> MissingEntry | None:
    """What entry would clear this rejected record's group, by the mapping as it is published now; None where none would."""
    version = row.sync.mapping.latest
    if (
        version is None
        or row.closed_at is not None
        or row.step not in VALUE_IS_THE_CAUSE
        or row.state != OpenState.REJECTED
        or len(row.value) >= mends.LONGEST
    ):
        return None
    rejected = _rejected_by(row, version)
    if rejected is None or (rejected["field"], rejected["transform"], rejected["value"]) != (row.field, row.step, row.value):
        return None
    target = row.sync.target.as_schema().field(row.field)
    told: dict[str, Any] = next((each for each in version.definition["fields"] if each["target"] == row.field), {})
    allowed = [str(value) for value in told.get("allowed") or (target.choices if target else ())]
    table = valuemaps.table_of(version.definition, field=row.field, step=rejected["step"])
    known = tuple(dict.fromkeys(allowed or table.values()))
    return MissingEntry(row, row.field, rejected["step"], row.value, known[:500], bool(allowed))


def _rejected_by(row: OpenRow, version: MappingVersion) -> dict[str, Any] | None:
    """Where and why this version rejects the kept record, as the mapping tells it; None where it lets it through or cannot be used."""
    try:
        work = rehearsal(row.sync, version)
        page = kept_page(work, [row])
        page = mends.mended(work, page, canonical_key(page.frame, work.source.key))
        rejected = work.mapping.apply(page, work.references).rejected
    except (DefinitionError, ExpressionError, SettingsError):
        return None
    return rejected.row(0, named=True) if rejected.height else None


def add_to_value_map(row: OpenRow, becomes: str, *, by: Actor) -> Added:
    """Have the value that this record and its whole group were rejected for become `becomes`, and replay the group.

    The entry goes into the mapping's value map: a new version is published, or, by one who may not publish, the draft is changed and nothing replayed.
    Raises ValidationError where the record would be rejected still, NotPossible where no such entry is missing; before anything is changed.
    """
    by.require("mappings.change", row.sync.mapping)
    by.require("rejects.resolve", row.sync)
    missing = missing_entry(row)
    if missing is None:
        raise NotPossible(gettext_noop("These records are not held up by a value that a value map lacks."))
    _check_entry(missing, becomes)
    try:
        version, in_draft = valuemaps.add_entry(row.sync.mapping, field=missing.field, step=missing.step, value=missing.value, becomes=becomes, by=by)
    except DefinitionError as error:
        raise ValidationError({"becomes": texts.render(error.text)}) from None
    count = 0
    if version is not None:
        count = services.replay_rejects(OpenRow.objects.open().filter(sync=row.sync_id, cause=row.cause), by=by)
    elif not in_draft:
        raise NotPossible(gettext_noop("The draft of {name} has other steps by now. Add the value there."), name=row.sync.mapping)
    return Added(version, in_draft, count)


def _check_entry(missing: MissingEntry, becomes: str) -> None:
    """Raises ValidationError where the record would be rejected for this field still."""
    mapping, latest = missing.row.sync.mapping, missing.row.sync.mapping.latest
    entry: dict[str, Any] = {"field": missing.field, "step": missing.step, "value": missing.value, "becomes": becomes}
    definition = valuemaps.with_entry(latest.definition, **entry) if latest and becomes else None
    if definition is None:
        raise ValidationError({"becomes": _("Say what “{value}” becomes.").format(value=missing.value)})
    rejected = _rejected_by(missing.row, MappingVersion(mapping=mapping, definition=definition))
    if rejected is not None and rejected["field"] == missing.field:
        told = Text(rejected["template"], json.loads(rejected["values"]))
        raise ValidationError({"becomes": _("It would be rejected still: {reason}").format(reason=texts.render(told))})


# --- link -------------------------------------------------------------------------------------------------------------


def why_not_linked(row: OpenRow) -> Text | None:
    """Why nobody can say under which key the target has this record; None where somebody can."""
    if row.closed_at is not None:
        return Text(gettext_noop("It is not open any more."))
    if row.state != OpenState.UNKNOWN:
        return Text(gettext_noop("Only a record of which nobody can tell whether it was written is linked by hand."))
    link = Link.objects.live(row.sync.pair_id).filter(**{f"{row.side}_key": row.key}).first()
    if link is not None:
        named = {"entity": str(row.sync.target), "key": getattr(link, _target_column(row))}
        return Text(gettext_noop("It is linked to {entity} {key} already. Replay it, so that both are compared."), named)
    return None


def _target_column(row: OpenRow) -> str:
    """Of a link: where it has the target's key."""
    return "b_key" if row.side == Side.A else "a_key"


def link_unknown(row: OpenRow, target_key: str, *, by: Actor, note: str = "") -> None:
    """Say that the target has taken this record, of which nobody could tell, and under which key: both are linked, and it is replayed, which compares
    them.

    The target is asked for the key first, where it can be. Raises ValidationError where it has no such record, or another of the source owns it;
    NotPossible where the record needs no link, or the target could not be asked. Before anything is changed.
    """
    by.require("rejects.resolve", row.sync)
    target_key = target_key.strip()
    if (refusal := why_not_linked(row)) is not None:
        raise NotPossible(refusal.template, **refusal.values)
    if not target_key:
        raise ValidationError({"target_key": _("Say under which key {system} has it.").format(system=row.sync.target.system.name)})
    if row.sync.target.as_schema().capabilities.lookup_by_key:
        _check_there(row.sync.target, target_key)
    try:
        with transaction.atomic():
            row = OpenRow.objects.select_for_update(of=("self",)).select_related("sync__pair__a__system", "sync__pair__b__system").get(pk=row.pk)
            if (refusal := why_not_linked(row)) is not None:
                raise NotPossible(refusal.template, **refusal.values)
            _check_free(row, target_key)
            keys = {f"{row.side}_key": row.key, _target_column(row): target_key}
            Link.objects.create(pair=row.sync.pair, print_version=VERSION, made_at=timezone.now(), **keys)
            audit.record("reject.linked", row.sync, by=by, changes={row.key: [None, target_key]}, note=note)
    except IntegrityError:  # somebody has linked one of them meanwhile
        _check_free(row, target_key)
        raise
    services.replay_rejects(OpenRow.objects.filter(pk=row.pk), by=by)


def _check_there(target: Entity, key: str) -> None:
    there = story.read_record(target, key)
    if there.problem:
        raise NotPossible(gettext_noop("{system} could not be asked for {key}: {problem}"), system=target.system.name, key=key, problem=there.problem)
    if there.record is None:
        said = _("{system} has no record with the key {key}.").format(system=target.system.name, key=key)
        raise ValidationError({"target_key": said})


def _check_free(row: OpenRow, target_key: str) -> None:
    link = Link.objects.live(row.sync.pair_id).filter(**{_target_column(row): target_key}).first()
    if link is not None:
        said = _("{entity} {key} already belongs to record {other} of the source.")
        other = getattr(link, f"{row.side}_key")
        raise ValidationError({"target_key": said.format(entity=row.sync.target, key=target_key, other=other)})


# --- assign -----------------------------------------------------------------------------------------------------------


def assign_rejects(rows: Any, *, to: User | None, by: Actor, note: str = "") -> int:
    """Have these open rows (a queryset) looked after by somebody, with a note of what is asked; None: by nobody. Returns how many.

    Raises ValidationError for one who may not see them or is not active.
    """
    by.require("rejects.assign")
    if to is not None and not (to.is_active and Actor.of(to).allows("rejects.view")):
        raise ValidationError({"to": _("{name} cannot look after rejects.").format(name=to)})
    with transaction.atomic():
        pks = list(rows.open().values_list("pk", "sync_id"))
        for start in range(0, len(pks), 500):
            some = [pk for pk, __ in pks[start : start + 500]]
            OpenRow.objects.filter(pk__in=some).update(assigned_to=to, assigned_note=note.strip() if to else "")
        name = (to.get_full_name() or to.username) if to else ""
        for sync in Sync.objects.filter(pk__in={sync_id for __, sync_id in pks}):
            count = sum(sync_id == sync.pk for __, sync_id in pks)
            audit.record("rejects.assigned", sync, by=by, changes={"assigned_to": [None, name]}, note=f"{count}: {note}" if note else str(count))
        if to is not None and pks:
            notices.tell_assigned(to, count=len(pks), by=by, note=note.strip())
    return len(pks)
