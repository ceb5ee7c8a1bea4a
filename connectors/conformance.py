"""The kit by which a connector, also a third party's, proves that it does what `connectors.base` promises and what it declares.

Use: make a test class of `Conformance` with a fixture `prepared` that yields a fresh system for each test, really spoken to:

    from connectors.conformance import Conformance, Prepared

    class TestAcme(Conformance):
        @pytest.fixture
        def prepared(self, acme_server):
            acme_server.fill(contacts=25)
            yield Prepared(
                connector=AcmeConnector,
                settings={"base_url": acme_server.url, "token": "s3cret-token"},
                entity="contacts",
                count=25,
                new=lambda n: {"name": f"New {n}", "email": f"new{n}@example.com"},
                changed={"name": "Changed"},
            )

Every capability that the discovered entity declares is exercised; what is not declared is skipped and says so. What `Prepared` leaves out (a
refused record, a cut connection, a value that does not fit) is skipped too: give as much as the system can be made to do.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel

from connectors.base import (
    CHANGE_COLUMNS,
    KEY,
    AddressRefused,
    Changes,
    Connector,
    Cursor,
    Entity,
    FreeHost,
    Host,
    Operation,
    Outcome,
    Page,
    Result,
    Stopped,
    SystemBusy,
    _,
)
from connectors.canonical import canonical_key, canonical_text

Values = Mapping[str, Any]


@dataclass
class Prepared:
    """A connector and the system prepared for it. Values are those of a frame: dates as dates, decimals as Decimal."""

    connector: type[Connector]
    settings: Mapping[str, Any]
    entity: str
    count: int  # records the entity holds
    new: Callable[[int], dict[str, Any]] | None = None  # the n-th record that may be created
    changed: Values | None = None  # fields to set in an existing record
    refused: Callable[[], dict[str, Any]] | None = None  # a record that may be created by its looks, but the system refuses it
    cut: Callable[[], None] | None = None  # order: the next write takes effect, but its answer never comes
    misfit: Callable[[], str] | None = None  # put a record into the system whose value does not fit; returns the field's name
    three: Callable[[str], Mapping[str, str]] | None = None  # {"absent" | "null" | "empty": key} of three records, by the given text field
    three_field: str = ""
    is_remote: bool = True  # opens network connections
    secrets: Sequence[str] = ()  # must never show
    at_least: bool = False  # `count` is the least: the system fills itself


class Full(FreeHost):
    """A host whose permits are used up."""

    def permit(self, wanted: int = 1) -> tuple[int, float]:
        return 0, 60.0


class Late(FreeHost):
    """A host whose time is over."""

    def deadline(self) -> float:
        return time.monotonic() - 1

    def before_request(self) -> None:
        raise Stopped(_("The time is over."))


class Closed(FreeHost):
    """A host that allows no address."""

    def allow_address(self, host: str, address: str) -> None:
        raise AddressRefused(_("{host} is not allowed by ALLOWED_NETWORKS."), host=host)


class Conformance:
    """Inherit it and give the fixture `prepared`."""

    @pytest.fixture
    def prepared(self) -> Iterator[Prepared]:
        raise NotImplementedError("Give a fixture “prepared” that yields Prepared(…).")

    @pytest.fixture
    def connect(self, prepared: Prepared) -> Iterator[Callable[..., Connector]]:
        opened: list[Connector] = []

        def make(host: Host | None = None) -> Connector:
            settings = prepared.connector.Settings.model_validate(prepared.settings)
            opened.append(prepared.connector(settings, host or FreeHost("System")))
            return opened[-1]

        yield make
        for connector in opened:
            connector.close()

    @pytest.fixture
    def connector(self, connect: Callable[..., Connector]) -> Connector:
        return connect()

    @pytest.fixture
    def entity(self, connector: Connector, prepared: Prepared) -> Entity:
        found = [e for e in connector.discover() if e.name == prepared.entity]
        assert len(found) == 1, f"discover() names {prepared.entity} {len(found)} times"
        return found[0]

    # --- what it is ---

    def test_it_names_itself(self, prepared: Prepared) -> None:
        kind = prepared.connector

        assert kind.kind
        assert kind.title
        assert issubclass(kind.Settings, BaseModel)

    def test_every_setting_explains_itself(self, prepared: Prepared) -> None:
        schema = prepared.connector.Settings.model_json_schema()
        parts = schema.get("$defs", {})
        forms = [schema, *parts.values()]

        def explained(setting: dict[str, Any]) -> bool:
            setting = {**parts.get(setting.get("$ref", "").removeprefix("#/$defs/"), {}), **setting}  # what equals the part's own is left out
            return bool("const" in setting or (setting.get("title") and setting.get("description")))

        bare = [name for form in forms for name, setting in form.get("properties", {}).items() if not explained(setting)]

        assert not bare, f"settings without title or description: {bare}"

    def test_no_secret_shows_in_the_settings(self, prepared: Prepared) -> None:
        settings = prepared.connector.Settings.model_validate(prepared.settings)

        assert not [s for s in prepared.secrets if s in repr(settings) or s in str(settings)]

    def test_check_says_who_answered(self, connector: Connector) -> None:
        said = connector.check()

        assert "System" in str(said)

    def test_discovery_is_stable(self, connector: Connector) -> None:
        assert connector.discover() == connector.discover()

    def test_an_entity_is_consistent(self, entity: Entity) -> None:
        names = [f.name for f in entity.fields]

        assert len(names) == len(set(names))
        assert set(entity.key) <= set(names)
        assert entity.cursor_field is None or entity.cursor_field in names
        assert set(entity.capabilities.lookup_by) <= set(names)
        assert entity.cursor_field is not None or not entity.capabilities.incremental

    # --- reading ---

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

    def test_the_upper_bound_holds(self, connector: Connector, entity: Entity) -> None:
        if not entity.capabilities.upper_bound or entity.cursor_field is None:
            pytest.skip("declares no upper bound")
        everything = whole(connector.read(entity))
        bound = everything[entity.cursor_field].sort()[everything.height // 2]

        until = whole(connector.read(entity, until=canonical_text(bound)))

        expected = everything.filter(pl.col(entity.cursor_field) < bound)
        assert set(expected.select(entity.key).rows()) <= set(until.select(entity.key).rows())
        assert until.height < everything.height or everything[entity.cursor_field].max() == bound

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

    # --- looking up ---

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

    # --- writing ---

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

    # --- what the host says ---

    def test_used_up_permits_are_a_wait(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")
        started = time.monotonic()

        with pytest.raises(SystemBusy) as caught:
            next(iter(connect(Full("System")).read(entity)))

        assert caught.value.retry_after
        assert time.monotonic() - started < 3

    def test_nothing_is_started_after_the_deadline(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")

        with pytest.raises(Stopped):
            next(iter(connect(Late("System")).read(entity)))
        if entity.capabilities.create and prepared.new is not None:
            with pytest.raises(Stopped):
                connect(Late("System")).write(entity, changes(entity, [("create", None, prepared.new(1))]))

    def test_an_address_that_is_not_allowed_is_not_connected_to(self, connect: Callable[..., Connector], entity: Entity, prepared: Prepared) -> None:
        if not prepared.is_remote:
            pytest.skip("is not remote")

        with pytest.raises(AddressRefused, match="ALLOWED_NETWORKS"):
            connect(Closed("System")).check()


def writable(entity: Entity, prepared: Prepared) -> Callable[[int], dict[str, Any]]:
    if not entity.capabilities.create or prepared.new is None:
        pytest.skip("declares no create, or none is prepared")
    assert prepared.new is not None
    return prepared.new


def changes(entity: Entity, rows: Sequence[tuple[Operation, str | None, Values]]) -> Changes:
    """A portion as the hub makes it; all rows send the fields of the first that has any."""
    names = [f.name for f in entity.fields if any(f.name in values for _operation, _key, values in rows)]
    schema = entity.frame_schema(names)
    values = pl.DataFrame({n: [v.get(n) for _operation, _key, v in rows] for n in names}, schema=schema) if names else pl.DataFrame()
    about = pl.DataFrame(
        [(number, operation, key, f"kit-{uuid.uuid4()}") for number, (operation, key, _values) in enumerate(rows)],
        schema=CHANGE_COLUMNS,
        orient="row",
    )
    return Changes(about, values)


def whole(pages: Iterator[Page]) -> pl.DataFrame:
    return pl.concat([page.frame for page in pages])


def keys_of(entity: Entity, pages: Iterator[Page] | Sequence[Page]) -> list[str]:
    return [canonical_key(row) for page in pages for row in page.frame.select(entity.key).iter_rows()]


def by_key(entity: Entity, pages: Iterator[Page]) -> dict[str, dict[str, Any]]:
    return {canonical_key([row[k] for k in entity.key]): row for page in pages for row in page.frame.iter_rows(named=True)}


def by_row(outcomes: list[Outcome], count: int) -> list[Outcome]:
    """The outcomes by row; each row has exactly one."""
    assert sorted(o.row for o in outcomes) == list(range(count))
    return sorted(outcomes, key=lambda o: o.row)


def holds(record: Values, values: Values) -> bool:
    """The record has these values."""
    return all(record.get(name) == value for name, value in values.items())


def missing_key(entity: Entity) -> str:
    """A key that no record has."""
    texts = {"integer": "987654321", "datetime": "1971-01-01T00:00:00.000000Z", "date": "1971-01-01"}
    return canonical_key([texts.get((entity.field(name) or entity.fields[0]).type, "no-such-key-98217") for name in entity.key])
