"""Closing a run: what is gone in the source is deleted in the target, marked, or just no longer linked there, and its open row ends.

Gone is what the source told as deleted, what left the filter where that is taken for deleted, and, after a reading of all, the links whose record is in
no roster. Each is looked up once more. What is left becomes change sets like others, one for each part of the links, planned before any of them is
written, so that a guard counts them all. The position says which part comes next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from connectors.base import KEY, Connector, _
from integration_hub.core import bulk
from integration_hub.core.keys import canonical_key
from integration_hub.core.leases import Lease
from integration_hub.syncs import changesets, guards, openrows, pipeline, roster, stages
from integration_hub.syncs.compare import Compared, MappedPage
from integration_hub.syncs.matching import look_up
from integration_hub.syncs.missing import is_complete, second_look
from integration_hub.syncs.models import Link, OpenRow
from integration_hub.syncs.openrows import typed
from integration_hub.syncs.states import DeletePolicy, OpenState
from integration_hub.syncs.work import Counts, Work

if TYPE_CHECKING:
    import polars as pl

LINKS_AT_ONCE = 10_000
ROWS_AT_ONCE = 2_000  # open ones
Gone = dict[str, str]  # source key → why (see `roster`)


def carry(work: Work, lease: Lease) -> bool:
    """Do the closing stage of a run until it is done or the turn is over. True: done."""
    if not work.partition.read_done:
        plan(work, lease)
        work.partition.refresh_from_db()
    if not work.partition.read_done:
        return False
    if work.run.dry:
        return True
    pipeline.write(work, lease, pipeline.taken_up(work))
    return not pipeline.unsettled(work).exists()


def plan(work: Work, lease: Lease) -> None:
    """Plan all deletes, part by part; then the guard counts them."""
    files = roster.pages_of(work.run)
    reads_all = roster.follows(work.run) and roster.reads_all(work.run)
    proven = reads_all and is_complete(work, files)
    if reads_all and not proven and work.partition.position is None:
        text = _("does not follow deletes: {entity} cannot be asked for single records, and its order is not stable or not every key could be read")
        stages.say(work.run, text, "warning", entity=str(work.run.source))
    position = work.partition.position or {"row": 0}
    if "row" in position and openrows.may_be_gone(work.run) and not close_rows(work, lease, files, proven=proven, after=position["row"]):
        return
    with work.open("source") as source, work.open("target") as target:
        for gone, position in missing(work, files, proven=proven):
            plan_part(work, lease, source, target, gone, position)
            if work.turn_is_over():
                return
    with transaction.atomic():
        guards.withhold(work.run, "delete")
        lease.fence(read_done=True)


def close_rows(work: Work, lease: Lease, files: list[str], *, proven: bool, after: int) -> bool:
    """Close the open rows behind the one with this number whose record is gone, part by part, before any delete is planned. False: the turn is over."""
    with work.open("source") as source:
        while rows := list(openrows.unmet(work.run).filter(pk__gt=after).order_by("pk").values_list("pk", "key")[:ROWS_AT_ONCE]):
            gone, after = no_longer_there(work, source, [key for __, key in rows], files, proven=proven), rows[-1][0]
            with transaction.atomic():
                openrows.close_gone(work.run, gone)
                lease.fence(position={"row": after})
            if work.turn_is_over():
                return False
    return True


def no_longer_there(work: Work, source: Connector, keys: list[str], files: list[str], *, proven: bool) -> list[str]:
    """Which of these records the source no longer has. Where it cannot be asked, they are in no roster of a reading that is `proven` complete; where it
    says that it holds nothing although some are linked, that is not believed."""
    if roster.read_nothing(work.run) and Link.objects.live(work.run.pair_id).exists():
        return []
    if work.source.capabilities.lookup_by_key:
        there = set(canonical_key(look_up(work, source, work.source, KEY, keys, []), work.source.key))
        return [key for key in keys if key not in there]
    if not proven:
        return []
    count = roster.buckets_of(work.run)
    return [key for number in range(count) for key in roster.unseen(keys, roster.bucket(files, number, count), number, count)]


def missing(work: Work, files: list[str], *, proven: bool) -> Iterator[tuple[Gone, dict[str, Any]]]:
    """Source keys that are gone, part by part, each with the position behind it: those that were told, and where the reading is `proven` complete, those
    that are in no roster."""
    position = work.partition.position or {}
    if "bucket" not in position:
        for place in range(position.get("page", 0), len(files)):
            if told := _told_on(work, files, place):
                yield told, {"page": place + 1}
    if not proven:
        return
    count, after = roster.buckets_of(work.run), position.get("after", "")
    for number in range(position.get("bucket", 0), count):
        seen = roster.bucket(files, number, count)
        while keys := _linked_keys(work, after):
            after = keys[-1]
            yield dict.fromkeys(roster.unseen(keys, seen, number, count), roster.SEEN), {"bucket": number, "after": after}
        after = ""


def _told_on(work: Work, files: list[str], place: int) -> Gone:
    """What a page told as gone. Where nobody can look again, what was met on it or on a later one is not believed to be."""
    told = roster.told_in(files[place])
    if told and not work.source.capabilities.lookup_by_key:
        for file in files[place:]:
            told = roster.without_seen(told, file)
    return told


def _linked_keys(work: Work, after: str) -> list[str]:
    """The next source keys with a live link, in the order of their index."""
    whole = {"ended_at": None, f"{work.run.source_side}_many": False}
    links = Link.objects.filter(pair=work.run.pair_id, **whole, **{f"{work.source_key}__gt": after})
    return list(links.order_by(work.source_key).values_list(work.source_key, flat=True)[:LINKS_AT_ONCE])


def plan_part(work: Work, lease: Lease, source: Connector, target: Connector, gone: Gone, position: dict[str, Any]) -> None:
    """The change set of these keys, planned: of those that have a link, are gone at the second look too, and that no open row keeps as they are."""
    page = _page(work, position)
    columns = (work.source_key, work.target_key, "id", "sent_print", "change_set_id", "change_row")
    links = Link.objects.by_key(*columns, pair=work.run.pair_id, keys=gone)
    if work.open_keys_exist():
        openrows.close_unlinked_deletes(work.run, gone.keys() - links.keys())
    began, changes = timezone.now(), None
    if links:
        there = second_look(work, source, {key: gone[key] for key in links})
        kept = _left_alone(work, [key for key in links if key not in there])
        page.counts.missing, page.counts.kept = len(links), len(there)
        page.counts.refused = sum(state == OpenState.REFUSED for state in kept.values())
        page.counts.unknown = len(kept) - page.counts.refused
        deleted = {key: link for key, link in links.items() if key not in there and key not in kept}
        changes = frame(work, target, deleted, gone) if deleted else None
    if links:
        pipeline.plan(work, lease, Compared(page, changes), began=began)
    else:
        lease.fence(position=position)


def _page(work: Work, position: dict[str, Any]) -> MappedPage:
    """A page on which nothing was read, with its number."""
    import numpy as np
    import polars as pl

    nothing = pl.DataFrame()
    return MappedPage(work.partition.page_number + 1, position, False, nothing, nothing, np.zeros((0, 0)), [], {}, Counts(), [])


def _left_alone(work: Work, keys: list[str]) -> dict[str, str]:
    """Which of these wait for a person, and as what: the target refused their delete for good, or nobody can tell what became of their last change."""
    if not keys or not work.open_keys_exist():
        return {}
    still = "closed_at IS NULL AND replay_at IS NULL"
    side = work.run.source_side
    rows = bulk.fetch(OpenRow, ["key", "state", "step", "again"], key="key", values=keys, where=still, sync=work.sync.pk, side=side)
    return {
        key: state
        for key, state, step, again in rows
        if state == OpenState.UNKNOWN or (state == OpenState.REFUSED and step == "delete" and not again)
    }


def frame(work: Work, target: Connector, links: dict[str, tuple[Any, ...]], why: Gone) -> pl.DataFrame:
    """The change set of these deletes, as its file holds it; before is as the target has it now."""
    import polars as pl

    policy = work.run.settings["deletes"]
    marks = policy["policy"] == DeletePolicy.MARK
    names = [f.name for f in work.target.fields if f.name in work.fields or (marks and f.name == policy["field"])]
    types = (pl.String, pl.String, pl.Int64, pl.Binary, pl.Int64, pl.Int64)
    schema = dict(zip(_LINK_COLUMNS, types, strict=True))
    rows = pl.DataFrame([(key, *link) for key, link in links.items()], schema=schema, orient="row")
    rows = rows.join(_as_it_is(work, target, rows["target_key"], names), on="target_key", how="left", maintain_order="left")
    known, before = rows["before"].is_not_null(), rows["before"].struct.unnest()
    nothing_left = ~known if work.target.capabilities.lookup_by_key else pl.repeat(value=False, n=rows.height, eager=True)
    after = before.clear(n=rows.height)
    if marks:
        value = typed(pl.Series([policy["value"]], dtype=pl.String), before.schema[policy["field"]])
        after = before.with_columns(pl.repeat(value[0], rows.height, dtype=value.dtype, eager=True).alias(policy["field"]))
        nothing_left |= (before[policy["field"]] == after[policy["field"]]).fill_null(value=False)
    key = work.source.key[0] if len(work.source.key) == 1 else "key"
    return rows.select(
        pl.when(nothing_left).then(pl.lit("unlink")).otherwise(pl.lit(policy["policy"])).alias("operation"),
        "source_key",
        pl.lit("").alias("part"),
        "target_key",
        changesets.match_column({}, rows.height),
        pl.Series("found_by", [why[key] for key in rows["source_key"]], dtype=pl.String),
        "link_id",
        "link_change_set",
        "link_change_row",
        "before",
        known.alias("before_known"),
        "print",
        pl.lit(None, pl.Binary).alias("source_print"),
        after.to_struct("after"),
        pl.DataFrame({name: [marks and name == policy["field"]] * rows.height for name in names}).to_struct("send"),
        rows.select(pl.col("source_key").alias(key)).to_struct("source"),
    ).with_row_index("row")


_LINK_COLUMNS = ("source_key", "target_key", "link_id", "print", "link_change_set", "link_change_row")


def _as_it_is(work: Work, target: Connector, keys: pl.Series, names: list[str]) -> pl.DataFrame:
    """Target key → these fields as the target has them, as a struct; empty where it cannot be asked."""
    import polars as pl

    if work.target.capabilities.lookup_by_key:
        found = look_up(work, target, work.target, KEY, keys, names)
    else:
        found = pl.DataFrame(schema=work.target.frame_schema([*names, *work.target.key]))
    return pl.DataFrame({"target_key": canonical_key(found, work.target.key), "before": found.select(names).to_struct("before")})
