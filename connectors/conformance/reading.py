"""Reading: everything once, from any position, only what is asked for, and nothing lost in silence."""

from __future__ import annotations

import json
from collections.abc import Callable

import polars as pl
import pytest

from connectors.base import Connector, Cursor, Entity
from connectors.canonical import canonical_text
from connectors.conformance.frames import changes, keys_of, whole
from connectors.conformance.kit import Kit, Prepared


class Reading(Kit):
    def test_it_counts(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        counted = connector.count(entity)

        if not entity.capabilities.count:
            assert counted is None
        elif not prepared.at_least:
            assert counted == prepared.count

    def test_everything_is_read_once(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        pages = list(connector.read(entity))

        keys = keys_of(entity, pages)
        assert len(set(keys)) == len(keys)
        assert len(keys) >= prepared.count if prepared.at_least else len(keys) == prepared.count
        assert pages[-1].position is None
        assert all(page.position is not None for page in pages[:-1])
        for page in pages:
            assert dict(page.frame.schema) == entity.frame_schema()
            assert page.absent is None or set(page.absent.columns) <= set(page.frame.columns)
            assert all(m.row < page.frame.height and (not m.field or page.frame[m.field][m.row] is None) for m in page.misfits)

    def test_an_empty_value_of_the_frame_is_an_empty_value_or_told(self, connector: Connector, entity: Entity) -> None:
        for page in connector.read(entity):
            told = {(m.row, m.field) for m in page.misfits}
            for name in entity.key:
                assert all((row, name) in told or (row, "") in told for row in page.frame[name].is_null().arg_true())

    def test_reading_goes_on_from_every_position(self, connect: Callable[..., Connector], entity: Entity) -> None:
        pages = list(connect().read(entity))

        for number, page in list(enumerate(pages[:-1]))[:5]:
            position = json.loads(json.dumps(dict(page.position or {})))  # it is stored as JSON and comes back in another process
            rest = keys_of(entity, connect().read(entity, position=position))
            assert rest == keys_of(entity, pages[number + 1 :])

    def test_parts_are_the_whole(self, connect: Callable[..., Connector], entity: Entity) -> None:
        if not entity.capabilities.partitions:
            pytest.skip("declares no partitions")

        parts = [json.loads(json.dumps(dict(position))) for position in connect().split(entity, 3)]

        read = [keys_of(entity, connect().read(entity, position=part)) for part in parts]
        assert len(parts) == 3
        assert all(read)
        assert sorted(key for keys in read for key in keys) == sorted(keys_of(entity, connect().read(entity)))

    def test_a_reading_may_be_left(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        next(iter(connector.read(entity)))

        assert len(keys_of(entity, connector.read(entity))) >= prepared.count

    def test_keys_alone_are_the_same_keys(self, connector: Connector, entity: Entity) -> None:
        pages = list(connector.read(entity, keys_only=True))

        assert all(page.frame.columns == [f.name for f in entity.fields if f.name in entity.key] for page in pages)
        assert sorted(keys_of(entity, pages)) == sorted(keys_of(entity, connector.read(entity)))

    def test_chosen_fields_come_alone(self, connector: Connector, entity: Entity) -> None:
        chosen = [entity.fields[-1].name, *entity.key]

        page = next(iter(connector.read(entity, fields=chosen)))

        assert page.frame.columns == [f.name for f in entity.fields if f.name in chosen]

    def test_only_what_changed_since_is_read(self, connector: Connector, entity: Entity) -> None:
        if not entity.capabilities.incremental or entity.cursor_field is None:
            pytest.skip("declares no incremental reading")
        everything = whole(connector.read(entity))
        bound = everything[entity.cursor_field].sort()[everything.height // 2]

        since = whole(connector.read(entity, Cursor(canonical_text(bound), "")))

        expected = everything.filter(pl.col(entity.cursor_field) >= bound)
        assert set(expected.select(entity.key).rows()) <= set(since.select(entity.key).rows())
        assert since.height < everything.height or everything[entity.cursor_field].min() == bound

    def test_the_newest_is_the_greatest_that_is_read(self, connector: Connector, entity: Entity) -> None:
        newest = connector.newest(entity)
        if newest is None or entity.cursor_field is None:
            pytest.skip("tells no newest value of its cursor")

        assert newest == canonical_text(whole(connector.read(entity))[entity.cursor_field].max())

    def test_the_upper_bound_holds(self, connector: Connector, entity: Entity) -> None:
        if not entity.capabilities.upper_bound or entity.cursor_field is None:
            pytest.skip("declares no upper bound")
        everything = whole(connector.read(entity))
        bound = everything[entity.cursor_field].sort()[everything.height // 2]

        until = whole(connector.read(entity, until=canonical_text(bound)))

        expected = everything.filter(pl.col(entity.cursor_field) < bound)
        assert set(expected.select(entity.key).rows()) <= set(until.select(entity.key).rows())
        assert until.height < everything.height or everything[entity.cursor_field].max() == bound

    def test_what_changed_since_a_cursor_of_its_own_is_read(
        self, connect: Callable[..., Connector], connector: Connector, entity: Entity, prepared: Prepared
    ) -> None:
        if not entity.capabilities.own_cursor:
            pytest.skip("has no cursor of its own")
        pages = list(connector.read(entity))
        since = Cursor(pages[-1].cursor, "")

        nothing = list(connect().read(entity, since))

        assert since.value
        assert not any(page.cursor for page in [*pages[:-1], *nothing[:-1]])
        assert keys_of(entity, nothing) == []
        if entity.capabilities.create and prepared.new is not None:
            outcomes = connector.write(entity, changes(entity, [("create", None, prepared.new(1))]))
            assert keys_of(entity, connect().read(entity, Cursor(nothing[-1].cursor, ""))) == [outcomes[0].key]

    def test_a_value_that_does_not_fit_is_told_and_never_null_in_silence(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if prepared.misfit is None:
            pytest.skip("no misfit prepared")
        name = prepared.misfit()

        pages = list(connector.read(entity))

        told = [(page, m) for page in pages for m in page.misfits if m.field == name]
        assert told
        assert all(page.frame[name][m.row] is None and str(m.reason) for page, m in told)
        assert sum(page.frame.height for page in pages) >= prepared.count

    def test_absent_null_and_empty_are_three_things(self, connector: Connector, entity: Entity, prepared: Prepared) -> None:
        if prepared.three is None:
            pytest.skip("not prepared")
        keys = prepared.three(prepared.three_field)

        seen = {}
        for page in connector.read(entity):
            gone = page.absent[prepared.three_field] if page.absent is not None and prepared.three_field in page.absent.columns else None
            for row, key in enumerate(keys_of(entity, [page])):
                seen[key] = "absent" if gone is not None and gone[row] else page.frame[prepared.three_field][row]

        assert [seen[keys[kind]] for kind in ("absent", "null", "empty")] == ["absent", None, ""]
