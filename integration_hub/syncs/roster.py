"""Rosters: which keys a run saw, one file a page, so that what it did not see can be told from what is gone.

A file has a row a key, its 64-bit hash alone; beside it the key itself and the reason where the source told it as deleted, where the filter left it out
and that is taken for deleted, or where it could not be read. Two keys with one hash would keep a record from being deleted, and never cause it. The
files live as long as their run: nobody asks for them later.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from integration_hub.syncs.models import PageRow, Run
from integration_hub.syncs.states import DeletePolicy, LeftFilter, Mode

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from integration_hub.syncs.work import Work


BUCKET_KEYS = 4_000_000  # whose hashes are in memory at once: 32 MiB
SEEN, TOLD, LEFT, UNREADABLE = "", "deleted", "filtered", "unreadable"


def follows(run: Run) -> bool:
    """Whether this run looks for deletes. What a first load does not meet, it has not written either."""
    policy = run.settings.get("deletes", {}).get("policy", DeletePolicy.IGNORE)
    return policy != DeletePolicy.IGNORE and not run.first_load and run.applies_id is None


def reads_all(run: Run) -> bool:
    """Whether what the run does not meet is missing."""
    return run.mode in (Mode.FULL, Mode.RECONCILE) and run.keys is None and run.applies_id is None and not run.since_value


def read_nothing(run: Run) -> bool:
    """Whether a run that reads all was told that there is nothing, or writes what such a run withheld."""
    if run.applies is not None and run.applies.decision is not None:
        return bool(run.applies.decision.about.get("nothing"))
    return reads_all(run) and not run.sums()["read"]


def may_tell_deletes(run: Run) -> bool:
    """Whether something may be gone, now that the run has read what it was to read."""
    return follows(run) and (reads_all(run) or PageRow.objects.filter(partition__run=run).exclude(roster="").exists())


def of_page(work: Work, keys: pl.Series, filtered: Sequence[str], deleted: Sequence[str], *, wanted: bool) -> pl.DataFrame | None:
    """The roster of a page; None where there is nothing to keep. What was asked for by name, and found, says nothing of the rest."""
    import polars as pl

    run = work.run
    if not follows(run):
        return None
    taken_for_deleted = run.settings["deletes"]["left_filter"] == LeftFilter.DELETE
    parts = [_rows(pl.Series(sorted(set(deleted)), dtype=pl.String), TOLD)]
    if not wanted:
        readable = keys.drop_nulls().filter(keys.drop_nulls() != "")
        parts += [_rows(readable, SEEN), _rows(pl.Series([""], dtype=pl.String), UNREADABLE).head(len(keys) - len(readable))]
    if taken_for_deleted:
        parts.append(_rows(pl.Series(sorted(set(filtered)), dtype=pl.String), LEFT))
    whole, can = pl.concat(parts), work.source.capabilities
    needs_all = reads_all(run) or (not can.lookup_by_key and (can.tombstones or taken_for_deleted))  # to see what was met behind what was told
    return whole if whole.height and (needs_all or whole["why"].is_in([TOLD, LEFT]).any()) else None


def _rows(keys: pl.Series, why: str) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"hash": hashes_of(keys), "key": keys if why else pl.Series([None] * len(keys), dtype=pl.String)}).with_columns(
        why=pl.lit(why)
    )


def hashes_of(keys: pl.Series) -> pl.Series:
    import polars as pl
    import polars_hash as plh

    if not len(keys):
        return pl.Series([], dtype=pl.UInt64)
    return pl.DataFrame({"key": keys}).select(plh.col("key").nchash.xxhash64()).to_series()


def placed(frame: pl.DataFrame, run_id: int) -> str:
    """The file that holds it, which is on the disk now. It is swept with its run's orphans once that has ended."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed", statistics=False)  # hashes, which nothing makes smaller
    return default_storage.save(f"runs/{run_id}/{uuid.uuid4().hex}.parquet", ContentFile(buffer.getvalue()))


def pages_of(run: Run) -> list[str]:
    """The files of a run, in the order in which each of its parts was read."""
    rows = PageRow.objects.filter(partition__run=run).exclude(roster="").order_by("partition__number", "number")
    return list(rows.values_list("roster", flat=True))


def frame_of(file: str, columns: Sequence[str] = ("hash", "key", "why")) -> pl.DataFrame:
    import polars as pl

    with default_storage.open(file) as opened:
        return pl.read_parquet(io.BytesIO(opened.read()), columns=list(columns))


def told_in(file: str) -> dict[str, str]:
    """The keys that a page told as gone, with why."""
    frame = frame_of(file)
    return dict(frame.filter(frame["why"].is_in([TOLD, LEFT])).select("key", "why").iter_rows())


def without_seen(told: dict[str, str], file: str) -> dict[str, str]:
    """Less those that were met on this page."""
    if not told:
        return told
    import polars as pl

    frame = frame_of(file, ["hash", "why"])
    met = hashes_of(pl.Series(list(told), dtype=pl.String)).is_in(frame.filter(frame["why"] == SEEN)["hash"].to_list())
    return {key: why for (key, why), is_met in zip(told.items(), met, strict=True) if not is_met or why == LEFT}


def buckets_of(run: Run) -> int:
    """Into how many buckets its hashes are divided, so that one is in memory at a time."""
    return 1 + sum(run.partitions.values_list("read_count", flat=True)) // BUCKET_KEYS


def bucket(files: Iterable[str], number: int, count: int) -> np.ndarray:
    """The hashes of one of `count` buckets, sorted."""
    import numpy as np

    found = [hashes[hashes % np.uint64(count) == number] for hashes in (frame_of(file, ["hash"])["hash"].to_numpy() for file in files)]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)


def unseen(keys: Sequence[str], seen: np.ndarray, number: int, count: int) -> list[str]:
    """Which of these keys belong to the bucket and were not seen."""
    import numpy as np
    import polars as pl

    hashes = hashes_of(pl.Series(keys, dtype=pl.String)).to_numpy()
    places = np.searchsorted(seen, hashes)
    met = seen[np.minimum(places, len(seen) - 1)] == hashes if len(seen) else np.zeros(len(hashes), dtype=bool)
    gone = (hashes % np.uint64(count) == number) & ~met
    return [key for key, is_gone in zip(keys, gone.tolist(), strict=True) if is_gone]
