"""A table of people in a database of each kind, and its sync into another."""

from contextlib import ExitStack

import pytest

from integration_hub.syncs import services
from tests.connectors.sql_places import KINDS, place
from tests.syncs.conftest import published, registered

MAPPING = {"fields": [{"target": "id", "source": "id"}, {"target": "name", "source": "name", "required": True}], "match": [["id"]]}
MOMENT = {
    "postgresql": {"micros": "timestamptz", "seconds": "timestamptz(0)", "naive": "timestamp"},
    "mariadb": {"micros": "datetime(6)", "seconds": "datetime", "naive": "datetime(6)"},
    "sqlite": {"micros": "datetime", "seconds": "datetime", "naive": "datetime"},
}


class People:
    """A table of people (id, name, changed) in a database of its own, read in pages of ten."""

    def __init__(self, place, name, by, type_, **settings):
        self.place, self.zoned = place, type_.startswith("timestamptz")
        place.run(f"CREATE TABLE people (id integer PRIMARY KEY, name varchar(60) NOT NULL, changed {type_})")
        tables = [{"name": "people", "cursor_field": "changed"}]
        settings = {"connection": {"page_rows": 10}, **settings}
        self.entity = registered(name, place.settings(tables=tables, **settings), by, connector="sql").entities.get(name="people")

    def put(self, at, *numbers, name="Person"):
        """These people, new or changed, stamped so."""
        mark = "?" if self.place.kind == "sqlite" else "%s"
        at = f"{at}+00" if self.zoned and at is not None else at
        cursor = self.place.connection.cursor()
        cursor.executemany(f"DELETE FROM people WHERE id = {mark}", [(n,) for n in numbers])
        cursor.executemany(f"INSERT INTO people VALUES ({mark}, {mark}, {mark})", [(n, f"{name} {n}", at) for n in numbers])
        self.place.connection.commit()

    @property
    def people(self):
        return dict(self.place.run("SELECT id, name FROM people"))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def people(db, by, settings, tmp_path):
    """A function that makes a sync of people out of a database of a kind into another: (source, target, sync)."""
    settings.ALLOWED_FOLDERS = [tmp_path.resolve()]
    with ExitStack() as stack:

        def make(kind, type_, *, lookback_seconds=60, **more):
            ends = []
            for side, of, column in (("source", kind, type_), ("target", "sqlite", "integer")):
                folder = tmp_path.resolve() / side
                folder.mkdir()
                ends.append(People(stack.enter_context(place(of, folder)), side, by, column, **(more if side == "source" else {})))
            source, target = ends
            mapping = published("People", source.entity, target.entity, MAPPING)
            sync = services.create_sync(
                by=by,
                source=source.entity,
                target=target.entity,
                name="People",
                mapping=mapping,
                mode="incremental",
                lookback_seconds=lookback_seconds,
            )
            return source, target, sync

        yield make
