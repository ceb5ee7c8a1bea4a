"""Writing: each record has an outcome of its own, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from connectors.base import Connector, Entity, Result
from connectors.conformance.frames import by_key, by_row, changes, holds, keys_of, missing_key
from connectors.conformance.kit import Kit, Prepared


class Writing(Kit):
    def test_what_is_created_is_there(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        new = writable(entity, prepared)
        records = [new(n) for n in range(5)]

        outcomes = connector.write(entity, changes(entity, [("create", None, r) for r in records]))

        assert [o.result for o in by_row(outcomes, 5)] == [Result.WRITTEN] * 5, outcomes
        keys = [o.key for o in by_row(outcomes, 5)]
        assert len({k for k in keys if k is not None}) in (0, 5)
        after = by_key(entity, connector.read(entity))
        for key, record in zip(keys, records, strict=True):
            if key is not None:
                assert holds(after[key], record), (after[key], record)
        if entity.capabilities.returns_record:
            assert all(o.record is not None and holds(o.record, r) for o, r in zip(by_row(outcomes, 5), records, strict=True))

    def test_an_update_changes_its_fields_and_no_others(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if not entity.capabilities.update or prepared.changed is None:
            pytest.skip("declares no update, or none is prepared")
        before = by_key(entity, connector.read(entity))
        key = next(iter(before))

        outcomes = connector.write(entity, changes(entity, [("update", key, prepared.changed)]))

        assert outcomes[0].result == Result.WRITTEN, outcomes
        after = by_key(entity, connector.read(entity))[key]
        assert holds(after, prepared.changed)
        ours = {f.name for f in entity.fields if not f.read_only} - set(prepared.changed)
        assert {n: v for n, v in after.items() if n in ours} == {n: v for n, v in before[key].items() if n in ours}

    def test_an_update_of_what_is_not_there_is_refused(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if not entity.capabilities.update or prepared.changed is None or entity.capabilities.bulk:
            pytest.skip("declares no update of single records, or none is prepared")

        outcomes = connector.write(entity, changes(entity, [("update", missing_key(entity), prepared.changed)]))

        assert outcomes[0].result == Result.REFUSED
        assert str(outcomes[0].reason)

    def test_what_is_deleted_is_gone(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if not entity.capabilities.delete:
            pytest.skip("declares no delete")
        before = keys_of(entity, connector.read(entity))

        outcomes = connector.write(entity, changes(entity, [("delete", before[0], {})]))

        assert outcomes[0].result == Result.WRITTEN, outcomes
        assert sorted(keys_of(entity, connector.read(entity))) == sorted(before[1:])

    def test_a_refused_record_does_not_stop_the_others(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        new = writable(entity, prepared)
        if prepared.refused is None:
            pytest.skip("no refused record prepared")

        outcomes = connector.write(entity, changes(entity, [("create", None, r) for r in (new(1), prepared.refused(), new(2))]))

        assert [o.result for o in by_row(outcomes, 3)] == [Result.WRITTEN, Result.REFUSED, Result.WRITTEN], outcomes
        refusal = by_row(outcomes, 3)[1]
        assert str(refusal.reason)
        assert refusal.sent
        assert not refusal.again

    def test_a_create_sent_twice_under_one_key_takes_effect_once(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        new = writable(entity, prepared)
        if not (entity.capabilities.idempotency_key or entity.capabilities.upsert):
            pytest.skip("declares neither idempotency keys nor upsert")
        portion = changes(entity, [("create", None, new(1))])

        first, second = connector.write(entity, portion), connector.write(entity, portion)

        assert first[0].result == second[0].result == Result.WRITTEN
        assert first[0].key == second[0].key
        assert len(keys_of(entity, connector.read(entity))) == prepared.count + 1

    def test_an_answer_that_never_comes_is_unknown(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        new = writable(entity, prepared)
        if prepared.cut is None:
            pytest.skip("no cut connection prepared")
        portion = changes(entity, [("create", None, new(1))])
        prepared.cut()

        outcomes = connector.write(entity, portion)

        repeatable = entity.capabilities.idempotency_key or entity.capabilities.upsert  # then it may have been sent again already
        assert outcomes[0].result == Result.UNKNOWN or (repeatable and outcomes[0].result == Result.WRITTEN), outcomes
        assert len(keys_of(entity, connector.read(entity))) == prepared.count + 1
        if repeatable:
            assert connector.write(entity, portion)[0].result == Result.WRITTEN
            assert len(keys_of(entity, connector.read(entity))) == prepared.count + 1

    def test_a_null_is_sent_and_what_is_masked_is_not(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if not entity.capabilities.update or prepared.changed is None or not prepared.three_field:
            pytest.skip("declares no update, or none is prepared")
        keys = keys_of(entity, connector.read(entity))[:2]
        before = by_key(entity, connector.read(entity))
        values = {**prepared.changed, prepared.three_field: None}
        portion = changes(entity, [("update", k, values) for k in keys])
        portion.send = pl.DataFrame({prepared.three_field: [True, False]})

        outcomes = connector.write(entity, portion)

        assert [o.result for o in outcomes] == [Result.WRITTEN] * 2, outcomes
        after = by_key(entity, connector.read(entity))
        assert after[keys[0]][prepared.three_field] is None
        assert after[keys[1]][prepared.three_field] == before[keys[1]][prepared.three_field]


def writable(entity: Entity, prepared: Prepared) -> Callable[[int], dict[str, Any]]:
    if not entity.capabilities.create or prepared.new is None:
        pytest.skip("declares no create, or none is prepared")
    assert prepared.new is not None
    return prepared.new
