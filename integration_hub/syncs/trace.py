"""What a sync would make of one record, step by step, with both systems asked now. It goes through the pipeline's own steps and writes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from connectors import base
from connectors.base import KEY, ConnectorError, Page, Text
from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.keys import canonical_key
from integration_hub.core.templatetags.hub import ABSENT
from integration_hub.mappings.definition import DefinitionError, read_definition
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import mends
from integration_hub.syncs.compare import MappedPage, compare
from integration_hub.syncs.mapping import map_page
from integration_hub.syncs.models import Link, OpenRow, Partition, Run, Sync
from integration_hub.syncs.references import References
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.work import Work, filter_of
from integration_hub.systems.connection import connect

if TYPE_CHECKING:
    import polars as pl

SECONDS = 20.0


@dataclass(frozen=True)
class Origin:
    """Where a target field's value comes from, in words: a source field, a formula or a constant; then the names of its steps."""

    text: str
    kind: str  # source, expression, constant
    steps: Sequence[str]


@dataclass(frozen=True)
class FieldSteps:
    """One target field of the traced record: what it began with, the value after each step, what it would be, and why it would not pass."""

    field: str
    label: str
    origin: str
    value: Any
    steps: Sequence[tuple[str, Any]]  # step's name, value after it
    result: Any
    sent: bool
    problem: str = ""


@dataclass(frozen=True)
class Trace:
    """The way of one record. `ending` says in a word what would happen: create, update, unchanged, adopt, filtered, left."""

    key: str
    source: Mapping[str, Any]
    mended: Sequence[tuple[str, Any]]  # field, value that is taken instead of the source's
    filter: str
    passes: bool
    fields: Sequence[FieldSteps]
    version: MappingVersion
    link: Link | None
    target_key: str
    target: Mapping[str, Any] | None  # as it is now, the mapping's fields; None: not there, or nobody can tell
    target_known: bool
    matched_by: Sequence[Sequence[str]]  # the match fields by which the target's record was found; all that it was looked for by, where it was not
    ending: str
    reason: str
    writes: Sequence[tuple[str, Any, Any]]  # field, before (ABSENT: not known), after
    differs: Sequence[str]  # fields in which the target is not as it was last written, where nothing would be written
    open_row: OpenRow | None


def trace_record(sync: Sync, key: str, *, by: Actor) -> Trace:
    """Read this record from the source now and follow it through every step, up to what would be written. Raises NotPossible with a sentence."""
    by.require("records.view", sync)
    version = sync.mapping.latest
    if version is None:
        raise NotPossible(gettext_noop("The mapping {name} has no published version yet. Publish it first."), name=sync.mapping)
    source = sync.source.as_schema()
    if not source.capabilities.lookup_by_key:
        raise NotPossible(gettext_noop("{entity} cannot be asked for single records, so none can be traced."), entity=sync.source)
    try:
        return _traced(sync, version, key)
    except ConnectorError as error:
        raise NotPossible(error.text.template, **error.text.values) from error
    except (DefinitionError, ExpressionError) as error:
        raise NotPossible(gettext_noop("The mapping no longer fits: {problem}"), problem=error.text) from error


def _traced(sync: Sync, version: MappingVersion, key: str) -> Trace:
    work = rehearsal(sync, version)
    ends = time.monotonic() + SECONDS
    with connect(sync.source.system, deadline=lambda: ends) as system:
        frame = system.lookup(work.source, KEY, [key], work.source_fields)
    if not frame.height:
        raise NotPossible(gettext_noop("{system} has no record with the key {key}."), system=sync.source.system.name, key=key)
    read = Page(frame.head(1), None)
    page = mends.mended(work, read, canonical_key(read.frame, work.source.key))
    mapped = map_page(work, read, number=1, asked=1)
    left = mapped.left[0] if mapped.left else None
    fields = steps_of(work, page)
    link = Link.objects.live(sync.pair_id).filter(Q((work.source_key, key))).first()
    changes, now, target_key, known = None, None, "", False
    with connect(sync.target.system, deadline=lambda: ends) as target:
        if mapped.keys:
            compared = compare(work, mapped, target, None)
            changes = compared.changes
            left = compared.page.left[0] if compared.page.left else None
        target_key = (getattr(link, work.target_key) if link else "") or _found_key(changes)
        if target_key and work.target.capabilities.lookup_by_key:
            there = target.lookup(work.target, KEY, [target_key], [f.name for f in work.target.fields if f.name in {*work.fields, *work.target.key}])
            now, known = (there.row(0, named=True) if there.height else None), True
    change = changes.row(0, named=True) if changes is not None and changes.height else None
    ending = change["operation"] if change else "left" if left else "filtered" if mapped.counts.filtered else "unchanged"
    after = mapped.target.row(0, named=True) if mapped.target.height else {}
    return Trace(
        key=key,
        source=read.frame.row(0, named=True),
        mended=[(name, page.frame[name][0]) for name in page.frame.columns if page.frame[name][0] != read.frame[name][0]],
        filter=sync.filter,
        passes=not mapped.counts.filtered,
        fields=fields,
        version=version,
        link=link,
        target_key=target_key,
        target=now,
        target_known=known,
        matched_by=_matched_by(mapped, changes) if link is None else [],
        ending=ending,
        reason=texts.render(left.reason) if left else "",
        writes=_writes(change, ending) if change else (),
        differs=[name for name in work.fields if now is not None and name in after and now.get(name) != after[name]] if ending == "unchanged" else (),
        open_row=OpenRow.objects.open().filter(sync=sync, side=sync.source_side, key=key).first(),
    )


def _found_key(changes: pl.DataFrame | None) -> str:
    return (changes["target_key"][0] or "") if changes is not None and changes.height else ""


def _matched_by(mapped: MappedPage, changes: pl.DataFrame | None) -> list[list[str]]:
    found_by = changes["found_by"][0] if changes is not None and changes.height else None
    return [json.loads(fields) for fields, values in mapped.match.items() if len(values) and values[0] is not None and found_by in (None, fields)]


def _writes(change: Mapping[str, Any], ending: str) -> list[tuple[str, Any, Any]]:
    if ending == "adopt":
        return []
    before = change["before"] if change["before_known"] else None
    return [(name, before[name] if before else ABSENT, value) for name, value in change["after"].items() if change["send"][name]]


def rehearsal(sync: Sync, version: MappingVersion) -> Work:
    """What the pipeline's steps share, over a run that is not stored; slots that fields do not have yet are only imagined."""
    source, target = sync.source.as_schema(), sync.target.as_schema()
    mapping = compile_mapping(version.definition, source, target)
    fields = [plan.target.name for plan in mapping.plans]
    slots = list(sync.pair.slots.values_list("side", "field", "number"))
    known = {field: number for side, field, number in slots if side == sync.target_side}
    free = count(max((number for *__, number in slots), default=-1) + 1)
    known |= {name: next(free) for name in fields if name not in known}
    run = Run(sync=sync, pair=sync.pair, name=sync.name, direction=sync.direction, mode=sync.mode, mapping_version=version, dry=True)
    return Work(
        run=run,
        sync=sync,
        partition=Partition(run=run),
        source=source,
        target=target,
        mapping=mapping,
        fields=fields,
        slots=[known[name] for name in fields],
        filter=filter_of(sync.filter, source),
        references=References(sync.source.system, sync.target.system),
        open=lambda which: connect(sync.source.system if which == "source" else sync.target.system),
        ends_at=time.monotonic() + SECONDS,
    )


def steps_of(work: Work, page: Page, row: int = 0) -> list[FieldSteps]:
    """Every target field of one record of a page, with the value after each step."""
    from integration_hub.mappings.trace import trace

    labels = {plan.target.name: plan.target.label for plan in work.mapping.plans}
    found = []
    for told in trace(work.mapping, page, row, work.references):
        steps = [(_step_name(step.label, step.transform), step.value) for step in told.steps]
        began = ABSENT if told.absent else told.value
        problem = texts.render(told.problem)
        found.append(FieldSteps(told.field, labels.get(told.field, ""), told.origin, began, steps, told.result, told.sent, problem))
    return found


def _step_name(label: str, transform: str) -> str:
    return texts.render(Text(label)) if label else _("into the target's type") if transform == "convert" else transform


def origins_of(version: MappingVersion, source: base.Entity, target: base.Entity) -> dict[str, Origin]:
    """Target field → where a version takes it from. Empty where the version can no longer be read."""
    try:
        definition = read_definition(version.definition)
    except DefinitionError:
        return {}
    found = {}
    for each in definition.fields:
        kind = "source" if each.source is not None else "expression" if each.expression is not None else "constant"
        text = each.source or each.expression or str(each.constant)
        found[each.target] = Origin(text, kind, [texts.render(Text(step.declared.label)) for step in each.steps])
    return found
