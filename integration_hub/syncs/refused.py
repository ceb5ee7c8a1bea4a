"""What somebody has refused of withheld changes: runs leave it as it is, however few such changes there are by then.

A refusal is the dismissed row of a withheld change, and means this change: of the same kind, and sending the same. It is over once the source asks for
another one: its record would be written otherwise or not at all or, where its delete was refused, is there again. A plan that somebody approves is
written all the same, for that was said later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q

from integration_hub.core import bulk
from integration_hub.syncs import changesets
from integration_hub.syncs.models import OpenRow, Run
from integration_hub.syncs.states import Closed, OpenState

if TYPE_CHECKING:
    import polars as pl

    from integration_hub.syncs.work import Work

OVER = b""  # instead of the print
_STANDS = "closed_as = 'dismissed' AND state = 'withheld' AND length(source_print) > 0"

Sign = tuple[str, str, bytes]  # source key, kind of change, print of what it would send


def rows_of(run: Run, changes: pl.DataFrame, *, sent_at: datetime | None = None) -> set[int]:
    """Which of these rows of a change set somebody has refused. `sent_at`: they are on their way since then, and what was refused later says nothing
    of them."""
    if run.applies_id is not None or run.undoes is not None or run.first_load or not changes.height or not exist(run.sync_id):
        return set()
    stands = _standing(run, changes["source_key"].to_list())
    if sent_at is not None and stands:
        before = OpenRow.objects.filter(pk__in=stands, closed_at__lt=sent_at).values_list("pk", flat=True)
        stands = {pk: stands[pk] for pk in before}
    refused = set(stands.values())
    return {row for row, sign in _signs(changes) if sign in refused} if refused else set()


def counts_of(run: Run, changes: pl.DataFrame) -> dict[str, int]:
    """How many of these changes somebody has refused, by the names of ChangeSet: a guard does not count them, for they are not done anyway."""
    refused = rows_of(run, changes)
    if not refused:
        return {}
    of_these = changes.filter(changes["row"].is_in(sorted(refused)))["operation"]
    kinds = {"creates": ("create",), "updates": ("update",), "deletes": changesets.DELETES}
    return {f"{name}_refused": int(of_these.is_in(operations).sum()) for name, operations in kinds.items()}


def end(work: Work, keys: Sequence[str], changes: pl.DataFrame | None) -> None:
    """The source has these records, and these changes are all that comes of them: a refusal of anything else is over. Of a run over the keys alone
    nothing comes but that their deletes are no more."""
    if not keys or not exist(work.run.sync_id):
        return
    still = {sign for __, sign in _signs(changes)} if changes is not None else set()
    stands = _standing(work.run, keys).items()
    over = [pk for pk, sign in stands if sign[1] == "delete" or (not work.run.keys_only and sign not in still)]
    OpenRow.objects.filter(pk__in=over).update(source_print=OVER)


def exist(sync_id: int | None) -> bool:
    """Whether somebody has refused withheld changes of the sync."""
    return OpenRow.objects.filter(sync=sync_id, closed_as=Closed.DISMISSED, state=OpenState.WITHHELD).exists()


def standing() -> Q:
    """The rows that are refusals and not over."""
    return Q(closed_as=Closed.DISMISSED, state=OpenState.WITHHELD) & ~Q(source_print=OVER)


def print_of(operation: str, print_: bytes) -> bytes:
    """By which the open row of a withheld change knows it again: what it sends and, of what is gone in the source, whether it is deleted or marked."""
    return operation.encode() + print_ if operation in changesets.DELETES else print_


def _standing(run: Run, keys: Sequence[str]) -> dict[int, Sign]:
    columns = ["id", "key", "step", "source_print"]
    found = bulk.fetch(OpenRow, columns, key="key", values=keys, where=_STANDS, sync=run.sync_id, side=run.source_side)
    return {pk: (key, step, bytes(print_)) for pk, key, step, print_ in found}


def _signs(changes: pl.DataFrame) -> Iterator[tuple[int, Sign]]:
    import polars as pl

    told = changes.select("row", "source_key", "operation", pl.coalesce("source_print", "print").alias("print"))
    for row, key, operation, print_ in told.iter_rows():
        yield row, (key, "delete" if operation in changesets.DELETES else operation, print_of(operation, print_ or b""))
