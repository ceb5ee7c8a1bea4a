"""Change sets as column files: what a page would change or did change, record by record, with before and after.

One Parquet file a page, compressed; under 64 KiB it lies in its index row, else in the storage, where it is on the disk before the row is
committed. A file has a row a changed record:

    row, operation (create, update, adopt, delete, mark, unlink), source_key, part, target_key (null for a create), match (a struct: alternative of
    match fields → value), found_by (the alternative by which a record was found that has no link, or whose linked record is gone), link_id and
    the link's newest change when it was compared, print (what `sent_print` becomes), source_print (of all that the source sends, where that is another),
    and the structs after, before (null where not known), send (which fields are sent) and source (the source record)

"adopt" writes nothing: the target already is as it should be, and only the link or its print changes. "delete" and "mark" (an update of one field) are of
a record that is gone in the source, and end its link; "unlink" too, where the target no longer has it either. Of those, source holds the key alone, and
found_by says how it was missed (see `roster`). Of a create that undoes a delete, found_by is the key that the record had in the target. Those of a reconcile
run have due, too: the next run brings it anyway (see `agreed`); and so have those of a run that applies its plan.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from integration_hub.core import storage
from integration_hub.syncs import roster
from integration_hub.syncs.models import ChangeSet, OutcomeFile, PageRow, Run

if TYPE_CHECKING:
    import polars as pl

INLINE_BYTES = 64 * 1024
WRITE_NOTHING = ("adopt", "unlink")
DELETES = ("delete", "mark")  # what a guard counts as one
END_LINKS = (*DELETES, "unlink")


def written(frame: pl.DataFrame) -> bytes:
    """The frame as a compressed column file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    return buffer.getvalue()


def placed(content: bytes, run_id: int) -> dict[str, Any]:
    """Where the bytes go: {"content": …} for a few, {"file": …} for many, which are then on the disk. A file whose row is never committed is swept."""
    if len(content) < INLINE_BYTES:
        return {"content": content}
    return {"file": default_storage.save(f"runs/{run_id}/{uuid.uuid4().hex}.parquet", ContentFile(content))}


def told_of_plan(frame: pl.DataFrame, content: bytes) -> dict[str, Any]:
    """What the index row of a plan's change set says of it, so that its page and its approval need not read it."""
    sends: dict[str, dict[str, int]] = {}
    for operation in ("create", "update"):
        sent = frame.filter(frame["operation"] == operation)["send"].struct.unnest()
        sends[operation] = {column.name: int(column.sum()) for column in sent if column.any()}
    return {"digest": digest_of(content), "sends": sends, "key_hashes": roster.hashes_of(frame["source_key"]).to_numpy().tobytes()}


def without_change(run: Run, keys: Sequence[str]) -> list[str]:
    """Which of these keys of the source no change of a plan has: 8 MB are read for a million changes."""
    import numpy as np
    import polars as pl

    asked = roster.hashes_of(pl.Series(keys, dtype=pl.String)).to_numpy()
    met = np.zeros(len(asked), dtype=bool)
    for hashes in ChangeSet.objects.filter(run=run, key_hashes__isnull=False).values_list("key_hashes", flat=True).iterator(chunk_size=50):
        met |= np.isin(asked, np.frombuffer(hashes or b"", dtype=asked.dtype))
    for older in ChangeSet.objects.filter(run=run, key_hashes=None):  # planned before they were put down
        met |= np.isin(asked, roster.hashes_of(frame_of(older, columns=["source_key"])["source_key"]).to_numpy())
    return [key for key, is_met in zip(keys, met.tolist(), strict=True) if not is_met]


def drift_in(frame: pl.DataFrame) -> pl.DataFrame:
    """Of each row of a reconcile run's change set, or of one that applies its plan, in which way its record has drifted, if it has; and whether it is due."""
    import polars as pl

    frame = frame if "due" in frame.columns else frame.with_columns(due=pl.lit(value=False))  # what is gone in the source
    kind, due = pl.col("operation"), pl.col("due")
    is_new, lost = kind == "create", pl.col("link_id").is_not_null() & ((kind == "create") | pl.col("found_by").is_not_null())
    return frame.select(
        due=due & kind.is_in(["create", "update"]),
        surplus=kind.is_in(DELETES),
        gone=lost & ~kind.is_in(END_LINKS),
        missing=is_new & ~lost & ~due,
        differing=(kind == "update") & ~lost & ~due,
    )


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_of(row: ChangeSet | OutcomeFile) -> bytes:
    """The bytes of a change set or of its outcomes, wherever they are."""
    if row.content is not None:
        return bytes(row.content)
    with default_storage.open(row.file) as file:
        content: bytes = file.read()
        return content


def frame_of(row: ChangeSet | OutcomeFile, columns: list[str] | None = None) -> pl.DataFrame:
    """The frame of a change set or of its outcomes; only these columns of it, where they are given."""
    import polars as pl

    return pl.read_parquet(io.BytesIO(content_of(row)), columns=columns)


def outcomes_of(change_set: ChangeSet) -> pl.DataFrame:
    """Its outcome files as one frame; a settled row that is in none went as planned."""
    import polars as pl

    schema = {"row": pl.UInt32, "result": pl.String, "target_key": pl.String, "record": pl.String, "reason": pl.String}
    files = [frame_of(file) for file in OutcomeFile.objects.filter(change_set=change_set).order_by("first")]
    return pl.concat([pl.DataFrame(schema=schema), *files])


def match_column(match: Mapping[str, Sequence[str | None]], height: int) -> pl.Series:
    """Match keys as a change set's column; nulls where the mapping has none."""
    import polars as pl

    columns = [pl.Series(fields, values, dtype=pl.String) for fields, values in match.items()]
    return pl.DataFrame(columns).to_struct("match") if columns else pl.Series("match", [None] * height, dtype=pl.Null)


def match_of(changes: pl.DataFrame) -> dict[str, pl.Series]:
    """The match keys of a change set's rows: alternative → values."""
    import polars as pl

    return {} if changes.schema["match"] == pl.Null else {column.name: column for column in changes["match"].struct.unnest()}


def held(match: Mapping[str, Iterable[str | None]]) -> Iterator[str]:
    """Match keys in the form in which they are held (see work.InFlight)."""
    return (f"m{fields}{value}" for fields, values in match.items() for value in values if value is not None)


def touched(changes: pl.DataFrame) -> set[str]:
    """What writing these rows touches, in the form in which it is held: source keys, target keys and match keys."""
    keys = chain((f"s{key}" for key in changes["source_key"]), (f"t{key}" for key in changes["target_key"] if key is not None))
    return {*keys, *held(match_of(changes))}


def sweep_orphans(run_id: int, *, before: datetime | None = None) -> int:
    """Remove the files of an ended run that no row names: their commit never came, or the rows are gone. Returns how many.

    With `before`, the run may be going, and only files that are older are removed.
    """
    folder = f"runs/{run_id}"
    try:
        __, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return 0
    sets = ChangeSet.objects.filter(run_id=run_id).exclude(file="").values_list("file", flat=True)
    outcomes = OutcomeFile.objects.filter(change_set__run_id=run_id).exclude(file="").values_list("file", flat=True)
    pages = chain.from_iterable(PageRow.objects.filter(partition__run_id=run_id).values_list("roster", "agreed"))
    orphans = {f"{folder}/{name}" for name in names}.difference(sets, outcomes, pages)
    if before is not None:
        orphans = {name for name in orphans if _is_older(name, before)}
    storage.remove(orphans)
    if len(orphans) == len(names):
        with suppress(OSError):  # a backup keeps the files
            default_storage.delete(folder)
    return len(orphans)


def _is_older(name: str, moment: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < moment
    except FileNotFoundError:  # another sweep was first
        return False
