"""Mends: values that people put in the place of a source record's, so that it passes although nobody has corrected it there.

They are taken wherever the record is mapped: in runs, forecasts and traces. Open rows go on holding the record as the source has it. A record that
has changed in the source since, in any field that is read but its cursor's, is as the source says again, and its mend is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import Entity, Field, FieldType, Misfit, Page, Text, _
from integration_hub.core import bulk
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.core.expressions.values import read_literal
from integration_hub.syncs.kept import packed_record, unpacked_record
from integration_hub.syncs.models import Mend, OpenRow, Sync

if TYPE_CHECKING:
    import polars as pl

    from integration_hub.syncs.work import Left, Work

Values = Mapping[str, Sequence[str | None]]  # field → [as the source has it, as it is taken]
MISREAD = Text(_("It could not be read."))
LONGEST = 200  # characters that an open row keeps of a value that could not be read


def text_of(value: Any) -> str | None:
    """A value of a kept record as text."""
    return value if value is None or isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else str(value)


def value_of(text: str | None, field: Field) -> Any:
    """The text as a value of the field's type. Raises ExpressionError where it is none."""
    if text is None or field.type is FieldType.TEXT:
        return text
    if field.type is FieldType.JSON:
        try:
            json.loads(text)
        except ValueError:
            raise ExpressionError(_("“{value}” is not {type}."), value=text[:LONGEST], type=str(field.type)) from None
        return text
    return read_literal(text.strip(), field.type)


def mendable(source: Entity) -> list[Field]:
    """The fields whose values may be mended: none by which the record is known, or by which it is read, nor bytes."""
    return [f for f in source.fields if f.name not in (*source.key, source.cursor_field) and f.type is not FieldType.BINARY]


def told_by(row: OpenRow, field: str) -> str | None:
    """What the source says in this field, also where it could not be read."""
    if row.step == "read" and row.field == field:
        return row.value
    return text_of(unpacked_record(row.record).get(field))


def mend_of(row: OpenRow) -> Mend | None:
    """The mend of this record, as long as the record is what was mended."""
    mend = Mend.objects.filter(sync=row.sync_id, side=row.side, key=row.key).first()
    if mend is None or not _is_same(unpacked_record(mend.record), unpacked_record(row.record), row.sync.source):
        return None
    return mend


def mended(work: Work, page: Page, keys: pl.Series) -> Page:
    """The page with the values that people put into its records. A mend whose record has changed is over, and goes, but not for a dry run."""
    if not Mend.objects.filter(sync=work.sync, side=work.run.source_side).exists():
        return page
    columns = ["key", "values", "record", "id"]
    found = bulk.fetch(Mend, columns, key="key", values=[k for k in keys if k], sync=work.sync.pk, side=work.run.source_side)
    known = {key: (json.loads(values) if isinstance(values, str) else values, bytes(record), pk) for key, values, record, pk in found}
    if not known:
        return page
    texts = {(m.row, m.field): m.text[:LONGEST] for m in page.misfits}
    taken: dict[int, Values] = {}
    over: list[tuple[int, bytes]] = []
    for row, key in enumerate(keys):
        if key in known:
            values, packed, pk = known[key]
            record = unpacked_record(packed)
            now = unpacked_record(packed_record(page.frame.row(row, named=True)))
            told = {field: texts.get((row, field), text_of(now.get(field))) for field in values}
            if _is_same(record, now, work.source) and all(told[field] == was for field, (was, __) in values.items() if field in now):
                taken[row] = values
            else:
                over.append((pk, packed))
    for pk, packed in over if not work.run.dry else ():
        Mend.objects.filter(pk=pk, record=packed).delete()  # not one that somebody made of the changed record this moment
    return _with_values(work.source, page, taken)


def _is_same(record: Mapping[str, Any], now: Mapping[str, Any], source: Any) -> bool:
    """Whether two kept records say the same in the fields that both have; when the source last touched it does not matter."""
    cursor = source.cursor_field if isinstance(source, Entity) else source.as_schema().cursor_field
    return all(record[name] == now[name] for name in record.keys() & now.keys() if name != cursor)


def _with_values(source: Entity, page: Page, taken: Mapping[int, Values]) -> Page:
    """The page with these rows' values. One that is no longer of its field's type is a misfit, never a null."""
    import polars as pl

    frame, absent = page.frame, page.absent
    misfits = [m for m in page.misfits if not (m.row in taken and m.field in taken[m.row])]
    for name in sorted({field for values in taken.values() for field in values if field in frame.columns}):
        field, new = source.field(name), [None] * frame.height
        rows = [row for row, values in taken.items() if name in values]
        for row in rows:
            text = taken[row][name][1]
            try:
                new[row] = value_of(text, field) if field is not None else None
            except ExpressionError as error:
                misfits.append(Misfit(row, name, text or "", error.text))
        here = pl.Series([row in set(rows) for row in range(frame.height)], dtype=pl.Boolean)
        column = pl.Series(name, new, dtype=frame.schema[name], strict=False)
        frame = frame.with_columns(pl.when(here).then(column).otherwise(pl.col(name)).alias(name))
        if absent is not None and name in absent.columns:
            absent = absent.with_columns(pl.when(here).then(False).otherwise(pl.col(name)).alias(name))
    return Page(frame, page.position, misfits=misfits, absent=absent, deleted=page.deleted, cursor=page.cursor)


def restore(sync: Sync, side: str, lefts: Sequence[Left]) -> None:
    """Give the records that are left the values of the source back in place of mended ones."""
    if not Mend.objects.filter(sync=sync, side=side).exists():
        return
    source = sync.source.as_schema()
    found = {mend.key: mend for mend in Mend.objects.filter(sync=sync, side=side, key__in=[left.key for left in lefts])}
    for left in lefts:
        if left.key in found:
            kept, put = unpacked_record(found[left.key].record), _as_kept(source, found[left.key].values)
            now = unpacked_record(packed_record(left.record))
            left.record = left.record | {name: kept.get(name) for name, value in put.items() if name in now and now[name] == value}


def _as_kept(source: Entity, values: Values) -> dict[str, Any]:
    """The values that a mend puts into a record, as a kept record would hold them."""
    put = {}
    for name, (__, text) in values.items():
        if (field := source.field(name)) is not None:
            try:
                put[name] = value_of(text, field)
            except ExpressionError:
                put[name] = None  # read as a misfit
    return unpacked_record(packed_record(put))


def unread(rows: Sequence[OpenRow]) -> list[Misfit]:
    """Values of kept records that could not be read and that have been mended: misfits still, by their places, that a mend takes the place of."""
    if not rows or not Mend.objects.filter(sync=rows[0].sync_id, side=rows[0].side).exists():
        return []
    by_key = {mend.key: mend for mend in Mend.objects.filter(sync=rows[0].sync_id, side=rows[0].side, key__in=[row.key for row in rows])}
    found = []
    for place, row in enumerate(rows):
        mend, record = by_key.get(row.key), unpacked_record(row.record)
        for name, (was, __) in (mend.values if mend else {}).items():
            if was is not None and record.get(name) is None and not (row.step == "read" and row.field == name):
                found.append(Misfit(place, name, was, MISREAD))
    return found
