"""Prints: what was last agreed on of a record, eight bytes a field.

A field's print is xxhash64 over its canonical text (core/keys.py), so that it is the same on every machine and with every release of a library;
golden values in a test hold it there. Zero means *not known*, so a hash of zero is stored as one. A field's place, its slot, is given once.
Source of the hash: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, seed 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction

from integration_hub.core.keys import canonical_text
from integration_hub.syncs.models import Pair, Slot

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

VERSION = 1
NULL_HASH = 0x9AE16A3B2F90404F  # stands for null: known to be empty


def field_hashes(values: pl.DataFrame, fields: Sequence[str]) -> np.ndarray:
    """The prints of these fields: one row a record, one column a field, unsigned 64 bit, never zero."""
    import numpy as np
    import polars as pl
    import polars_hash as plh

    if not fields:
        return np.zeros((values.height, 0), dtype="<u8")
    texts = values.select(canonical_text(pl.col(name), values.schema[name]).alias(name) for name in fields)
    hashed = texts.select(plh.col(name).nchash.xxhash64().fill_null(NULL_HASH).clip(1).alias(name) for name in fields)
    return np.column_stack([hashed[name].to_numpy() for name in fields]).astype("<u8", copy=False)


def packed(prints: np.ndarray) -> pl.Series:
    """Each row as bytes, to be stored."""
    import polars as pl

    count, width = prints.shape[0], prints.shape[1] * 8
    whole = pl.lit(prints.astype("<u8", copy=False).tobytes())
    return pl.select(whole.bin.slice(pl.int_range(count) * width, width)).to_series()


def unpacked(lengths: Sequence[int] | np.ndarray, stored: bytes, width: int) -> np.ndarray:
    """Stored prints, given as the bytes that each has and all bytes in a row, as rows of at least `width` slots; what is past a print's end is zero:
    not known."""
    import numpy as np

    slots = np.asarray(lengths, dtype=np.int64) // 8
    width = max(width, int(slots.max(initial=0)))
    whole = np.frombuffer(stored, dtype="<u8")
    if (slots == width).all():
        return whole.reshape(len(slots), width).copy()
    rows = np.zeros((len(slots), width), dtype="<u8")
    rows[np.arange(width) < slots[:, None]] = whole
    return rows


def rows_of(stored: Sequence[bytes | None], width: int) -> np.ndarray:
    """The same of prints that are given one by one; a row of zeros where there is none."""
    known = [bytes(one or b"") for one in stored]
    return unpacked([len(one) for one in known], b"".join(known), width)


def slots_of(pair: Pair, side: str, fields: Sequence[str]) -> list[int]:
    """The slot of each field; new fields get the next free ones, once and for all."""
    with transaction.atomic():
        Pair.objects.select_for_update().get(pk=pair.pk)
        slots = list(pair.slots.values_list("side", "field", "number"))
        known = {field: number for of_side, field, number in slots if of_side == side}
        new = [name for name in fields if name not in known]
        first = max((number for *__, number in slots), default=-1) + 1  # of both sides: syncs of either direction share a link's `sent_print`
        known.update({name: number for number, name in enumerate(new, start=first)})
        Slot.objects.bulk_create(Slot(pair=pair, side=side, field=name, number=known[name]) for name in new)
    return [known[name] for name in fields]
