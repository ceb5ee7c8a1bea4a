"""The closing stage of a reconcile run: what only the target can tell, and how far both sides have drifted apart.

All that the source has is compared by then, as in any run, but with the target's own records. What is gone in the source is planned as other runs plan
it. Then the target's keys are listed, and looked for among the links: what no link knows, and the plan would not link, is told and left alone, for nobody
knows whose it is. At last the change sets are counted. The position says how far the listing is, so that another worker goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q

from connectors.base import SettingsError, _
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs import agreed, changesets, deletes, roster, stages
from integration_hub.syncs.models import ChangeSet, Link, Pair, Partition, RecordDrift, Run
from integration_hub.syncs.reading import joined
from integration_hub.syncs.work import Work

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

KEYS_KEPT = 200  # of the records that no link knows


def refuse_unless_possible(run: Run) -> None:
    """Raises SettingsError where the target, as it is described by now, cannot be compared field by field."""
    if run.reconciles and run.sync is not None and (why := agreed.refusal(run.sync)) is not None:
        raise SettingsError(why.template, **why.values)


def start_of(partition: Partition) -> Any:
    """The position from which a partition reads anew when a system no longer knows where it stood: in the closing stage, that of the listing."""
    return _listing() if is_listing(partition.position) else partition.start


def carry(work: Work, lease: Lease) -> bool:
    """Do the closing stage until it is done or the turn is over. True: done."""
    if not is_listing(work.partition.position):
        if roster.may_tell_deletes(work.run) and not deletes.carry(work, lease):
            return False
        lease.fence(position=_listing(), read_done=False)
        work.partition.refresh_from_db()
    if work.partition.read_done:
        return True
    try:
        listed = list_target(work, lease)
    except SettingsError as error:  # what was compared stands all the same
        stages.say(work.run, _("does not tell which records only {system} has: {problem}"), "warning", system=work.system, problem=error.text)
        listed = _listing(unlinked=None)
    if listed is None:
        return False
    put_down(work, lease, listed)
    return True


def _listing(target: Any = None, unlinked: int | None = 0, keys: Sequence[str] = ()) -> dict[str, Any]:
    """A position within the listing: the connector's own behind the last page, and what was found so far."""
    return {"target": target, "unlinked": unlinked, "keys": list(keys)}


def is_listing(position: Any) -> bool:
    """Whether a position is one within the listing of the target."""
    return isinstance(position, dict) and "unlinked" in position


def list_target(work: Work, lease: Lease) -> dict[str, Any] | None:
    """Count the target's records that no link knows, page by page. What was found once all are listed; None: the turn is over."""
    place: dict[str, Any] = work.partition.position or _listing()
    if not work.target.capabilities.stable_order and place["target"] is None:
        text = _("{entity} is listed in no stable order, so the number of records that no link knows may be off")
        stages.say(work.run, text, "warning", entity=str(work.run.target))
    planned = to_be_linked(work.run)
    with (
        work.open("target") as target,
        closing(target.read(work.target, position=place["target"], fields=list(work.target.key), keys_only=True)) as pages,  # type: ignore[type-var]
    ):
        for page in joined(pages):
            unlinked = roster.unseen(without_link(work, canonical_key(page.frame, work.target.key)), planned, 0, 1)
            place = _listing(page.position, place["unlinked"] + len(unlinked), [*place["keys"], *unlinked][:KEYS_KEPT])
            if page.position is None:
                return place
            lease.fence(position=place, failures=0)
            if work.turn_is_over():
                return None
    return place


def to_be_linked(run: Run) -> np.ndarray:
    """The hashes of the target's keys that no link knows but the plan would link, sorted: eight bytes each."""
    import numpy as np

    frames = (
        changesets.frame_of(change_set, columns=["target_key", "found_by"])
        for change_set in ChangeSet.objects.filter(run=run).order_by("pk").iterator(chunk_size=8)
    )
    found = [roster.hashes_of(frame.drop_nulls()["target_key"]).to_numpy() for frame in frames]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)


def without_link(work: Work, keys: pl.Series) -> list[str]:
    """Which of these keys of the target no link knows, in any pair that the entity is a side of."""
    left = list(dict.fromkeys(key for key in keys if key))
    entity = work.run.target.pk
    for pair in Pair.objects.filter(Q(a=entity) | Q(b=entity)):
        column = "a_key" if pair.a_id == entity else "b_key"
        known = set(Link.objects.columns(column, pair=pair.pk, keys=left)[0])
        left = [key for key in left if key not in known]
    return left


def put_down(work: Work, lease: Lease, listed: dict[str, Any]) -> None:
    """One commit: the drift of this run, counted from its change sets, and that it is counted."""
    found = counted(ChangeSet.objects.filter(run=work.run).order_by("pk").iterator(chunk_size=8))
    with transaction.atomic():
        RecordDrift.objects.create(run=work.run, unlinked=listed["unlinked"], unlinked_keys=listed["keys"], **found)
        lease.fence(read_done=True)


def counted(change_sets: Iterable[ChangeSet]) -> dict[str, Any]:
    """How many records differ in which way, and in which fields; by the names of RecordDrift."""
    sums, fields = Counter[str](), Counter[str]()
    for change_set in change_sets:
        frame = changesets.frame_of(change_set)
        told = changesets.drift_in(frame)
        sums.update({column.name: int(column.sum()) for column in told})
        sent = frame.filter(told["differing"])["send"].struct.unnest()
        fields.update({column.name: int(column.sum()) for column in sent if column.any()})
    return {name: sums[name] for name in ("differing", "gone", "missing", "surplus", "due")} | {"fields": dict(fields.most_common())}
