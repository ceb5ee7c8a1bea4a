"""Looking up by key and by match fields."""

from __future__ import annotations

import polars as pl
import pytest

from connectors.base import KEY, Connector, Entity
from connectors.canonical import canonical_key, canonical_text
from connectors.conformance.frames import missing_key, whole
from connectors.conformance.kit import Kit


class LookingUp(Kit):
    def test_records_are_found_by_their_keys(self, connector: Connector, entity: Entity) -> None:
        if not entity.capabilities.lookup_by_key:
            pytest.skip("declares no lookup by key")
        everything = whole(connector.read(entity))
        keys = [canonical_key(row) for row in everything.select(entity.key).rows()][:7]

        found = connector.lookup(entity, KEY, [*keys, missing_key(entity)])

        assert dict(found.schema) == entity.frame_schema()
        assert sorted(canonical_key(row) for row in found.select(entity.key).rows()) == sorted(keys)

    def test_records_are_found_by_match_fields(self, connector: Connector, entity: Entity) -> None:
        if not entity.capabilities.lookup_by:
            pytest.skip("declares no lookup by a match field")
        everything = whole(connector.read(entity))
        for by in entity.capabilities.lookup_by:
            column = everything[by].drop_nulls()
            values = [canonical_text(v) for v in column.unique(maintain_order=True) if v != ""][:3]
            expected = (
                everything.filter(pl.col(by).is_in([v for v in column.unique(maintain_order=True) if v != ""][:3])) if values else everything.clear()
            )

            found = connector.lookup(entity, by, [*values, "no-such-value-98217"], [*entity.key, by])

            assert sorted(found.select(entity.key).rows()) == sorted(expected.select(entity.key).rows()), by
            assert set(found.columns) == {*entity.key, by}

    def test_looking_nothing_up_finds_nothing(self, connector: Connector, entity: Entity) -> None:
        ways = [KEY] if entity.capabilities.lookup_by_key else list(entity.capabilities.lookup_by)[:1]
        if not ways:
            pytest.skip("declares no lookup")

        found = connector.lookup(entity, ways[0], [])

        assert found.is_empty()
        assert dict(found.schema) == entity.frame_schema()
