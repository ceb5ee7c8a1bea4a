"""Pairs, which own the links, and the places of their fields in the prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q

from integration_hub.core import bulk
from integration_hub.syncs.states import Direction, Side
from integration_hub.systems.models import Entity, System

if TYPE_CHECKING:
    import numpy as np


class PairQuerySet(models.QuerySet[Any]):
    def between(self, one: System, other: System) -> Self:
        return self.filter(Q(a__system=one, b__system=other) | Q(a__system=other, b__system=one)).select_related("a", "b")


class Pair(models.Model):
    """Two entities that hold the same things. It owns the links; all syncs over it share them."""

    a = models.ForeignKey(Entity, models.PROTECT, related_name="pairs_as_a")
    b = models.ForeignKey(Entity, models.PROTECT, related_name="pairs_as_b")

    objects = PairQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["a", "b"], name="pair_once")]

    def __str__(self) -> str:
        return f"{self.a} ↔ {self.b}"

    def side(self, side: str) -> Entity:
        return self.a if side == Side.A else self.b


class Directed:
    """What works over a pair in a direction, and so has a source and a target."""

    pair: Any
    direction: Any

    @property
    def source_side(self) -> str:
        return Side.A if self.direction == Direction.A_TO_B else Side.B

    @property
    def target_side(self) -> str:
        return Side.B if self.direction == Direction.A_TO_B else Side.A

    @property
    def source(self) -> Entity:
        entity: Entity = self.pair.side(self.source_side)
        return entity

    @property
    def target(self) -> Entity:
        entity: Entity = self.pair.side(self.target_side)
        return entity


class Slot(models.Model):
    """The place of a field in the prints of its pair and side; given once and kept when the field goes."""

    pair = models.ForeignKey(Pair, models.CASCADE, related_name="slots")
    side = models.CharField(max_length=1, choices=Side)
    field = models.CharField(max_length=300)
    number = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair", "side", "field"], name="slot_of_a_field"),
            models.UniqueConstraint(fields=["pair", "side", "number"], name="slot_number"),
        ]

    def __str__(self) -> str:
        return f"{self.field} {self.number}"


# By the key they are asked for: the condition of the constraint that has its index, and of no other, else the planner may take that one.
_LIVE_LINKS = {"a_key": "ended_at IS NULL AND NOT a_many", "b_key": "ended_at IS NULL AND NOT b_many"}


class LinkQuerySet(models.QuerySet["Link"]):
    def live(self, pair: Any) -> Self:
        """Those of a pair that have not ended, found by the index over a's keys."""
        return self.filter(pair=pair, ended_at=None, a_many=False)

    def columns(self, *names: str, pair: int, keys: Iterable[str], **equal: Any) -> list[Sequence[Any]]:
        """These fields of a pair's live links whose first, a_key or b_key, is one of `keys`: column by column, in one statement however many they are."""
        wanted = list(keys)
        if not wanted:
            return [() for __ in names]
        return bulk.fetch_columns(self.model, names, key=names[0], values=wanted, where=_LIVE_LINKS[names[0]], pair=pair, **equal)

    def stored(self, name: str, *, key: str, pair: int, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray, bytes]:
        """Of the live links with one of these keys (a_key or b_key) the bytes of this field, as one piece; see `bulk.fetch_bytes`."""
        return bulk.fetch_bytes(self.model, name, key=key, values=keys, where=_LIVE_LINKS[key], pair=pair)

    def by_key(self, *names: str, pair: int, keys: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        """The same, key → the other fields of its link."""
        found, *others = self.columns(*names, pair=pair, keys=keys)
        return dict(zip(found, zip(*others, strict=True), strict=True))


class Link(models.Model):
    """This record there is that record here. A delete ends it, never removes it.

    Prints are eight bytes a slot: what was last agreed (`a_print`, `b_print`, for two-way) and last written to the target (`sent_print`).
    """

    # Without a constraint of the database, which would be checked by a query for each of the links that a portion makes; and without an index of its
    # own, which the planner would take for keys, too.
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="links", db_constraint=False, db_index=False)
    # On PostgreSQL the three are of collation "C" (migration 0024), which whoever alters one of them says again.
    a_key = models.CharField(max_length=500)
    b_key = models.CharField(max_length=500)
    part = models.CharField(max_length=200, default="")  # the declared key of an element, where one record becomes several
    a_many = models.BooleanField(default=False)  # the mapping's declared cardinality: one a may have several b
    b_many = models.BooleanField(default=False)
    a_print = models.BinaryField(null=True)
    b_print = models.BinaryField(null=True)
    sent_print = models.BinaryField(null=True)
    print_version = models.PositiveSmallIntegerField()
    change_set_id = models.BigIntegerField(null=True)  # its newest change; no constraint, for change sets age out
    change_row = models.PositiveIntegerField(null=True)
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = LinkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair", "a_key", "part"], condition=Q(ended_at=None, a_many=False), name="link_of_an_a"),
            models.UniqueConstraint(fields=["pair", "b_key", "part"], condition=Q(ended_at=None, b_many=False), name="link_of_a_b"),
        ]
        indexes = [
            models.Index(fields=["pair", "a_key"], name="links_by_a", condition=Q(ended_at=None, a_many=True)),
            models.Index(fields=["pair", "b_key"], name="links_by_b", condition=Q(ended_at=None, b_many=True)),
            models.Index(fields=["pair", "a_key"], name="links_ended_of_a", condition=Q(ended_at__isnull=False)),  # of a record's story
            models.Index(fields=["pair", "b_key"], name="links_ended_of_b", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.a_key} ↔ {self.b_key}"
