"""Syncs from every kind of source to every kind of target, on real servers: a first load, a repeat without change, a repeat with one in a hundred changed."""

from contextlib import ExitStack

import pytest

from integration_hub.mappings import services as mappings
from integration_hub.syncs import journal, services
from tests.connectors.odata_service import ODataServer
from tests.connectors.sql_places import place
from tests.syncs.ends import COUNT, Crm, Erp, File, Service, Table
from tests.syncs.equal import assert_books

pytestmark = pytest.mark.django_db(transaction=True)

CASES = [
    ("crm", "postgresql"),
    ("postgresql", "erp"),
    ("sqlite", "sqlite"),
    ("mariadb", "sqlite"),
    ("mariadb", "parquet"),
    ("csv", "mariadb"),
    ("odata", "postgresql"),
]


@pytest.fixture(scope="module")
def odata_server():
    running = ODataServer()
    yield running
    running.close()


@pytest.fixture
def end(sandbox, odata_server, by, settings, tmp_path):
    """A function that makes an end of a kind: end("source", "mariadb")."""
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    with ExitStack() as stack:

        def make(side, kind):
            if kind in ("crm", "erp"):
                return {"crm": Crm, "erp": Erp}[kind](sandbox, by)
            if kind == "odata":
                return Service(odata_server.shop, by)
            folder = tmp_path.resolve() / side
            folder.mkdir()
            if kind in ("csv", "parquet"):
                return File(folder, kind, by)
            return Table(stack.enter_context(place(kind, folder)), f"{kind} {side}", by)

        yield make


def definition(source, target):
    pairs = zip((source.key, *source.fields), (target.key, *target.fields), strict=True)
    fields = [{"target": to, "source": of} if of else {"target": to, "expression": "status = 'former'"} for of, to in pairs]
    return {"fields": fields, "match": [[target.key]]}


@pytest.mark.parametrize(("source_kind", "target_kind"), CASES, ids=[" to ".join(case) for case in CASES])
def test_a_target_is_loaded_left_alone_and_then_given_just_what_changed(end, source_kind, target_kind, run_now, by):
    source, target = end("source", source_kind), end("target", target_kind)
    source.fill()
    mapping = mappings.create_mapping(name="Customers", source=source.entity, target=target.entity, definition=definition(source, target), by=by)
    mappings.publish_mapping(mapping, by=by)
    sync = services.create_sync(by=by, source=source.entity, target=target.entity, name="Customers", mapping=mapping, mode="incremental")

    first = run_now(sync)

    assert (first.state, first.counts["created"]) == ("succeeded", COUNT)
    assert target.customers() == source.customers()
    assert target.written() == {"insert": COUNT}

    repeats = [run_now(sync), run_now(sync, full=True)]

    assert [run.counts["unchanged"] == run.counts["read"] for run in repeats] == [True, True]
    assert repeats[1].counts["read"] == COUNT
    assert target.written() == {"insert": COUNT}

    before = source.customers()
    renamed = {key: (before[key][0], f"{before[key][0]} (moved)") for key in sorted(before)[:: COUNT // 2]}
    for key, (__, name) in renamed.items():
        source.rename(key, name)
    changed = run_now(sync)

    assert (changed.state, changed.counts["updated"]) == ("succeeded", len(renamed))
    assert target.customers() == source.customers()
    assert target.written() == {"insert": COUNT, "update": len(renamed)}
    changes = journal.changes_of(changed).changes
    assert {c.source_key: [(f.name, f.known, f.before, f.after) for f in c.changed] for c in changes} == {
        key: [(target.fields[0], True, *names)] for key, names in renamed.items()
    }
    for run in (first, *repeats, changed):
        assert_books(run)
