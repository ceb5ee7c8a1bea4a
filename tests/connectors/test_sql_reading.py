"""How tables come out of a database: their shape, their values, their order."""

from __future__ import annotations

import datetime as dt
import threading
import time
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import AddressRefused, Cursor, FreeHost, SettingsError, Stopped, SystemDown
from connectors.canonical import canonical_text
from connectors.conformance.frames import changes, keys_of, whole
from connectors.sql import SqlConnector, kept
from tests.connectors.sql_places import KINDS
from tests.waiting import wait_until


@pytest.fixture(params=KINDS)
def there(request, sql_places):
    return sql_places(request.param)


@pytest.fixture
def postgres(sql_places):
    return sql_places("postgresql")


@pytest.fixture
def connect():
    opened = []

    def make(there, host=None, **settings):
        opened.append(SqlConnector(SqlConnector.Settings.model_validate(there.settings(**settings)), host or FreeHost("Shop")))
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("postgresql", []),
        ("mysql", []),
        ("sqlserver", ["The hub was never run with SQL Server.", "Only the rights of its user keep the hub from writing while it reads SQL Server."]),
        ("oracle", ["The hub was never run with Oracle.", "Only the rights of its user keep the hub from writing while it reads Oracle."]),
    ],
)
def test_a_database_that_was_never_tried_says_so(type_, said):
    settings = {"database": {"type": type_, "host": "db.example.com", "database": "shop", "user": "hub"}}

    advice = SqlConnector.advice(SqlConnector.Settings.model_validate(settings))

    assert [str(text).partition(". ")[0] + "." for text in advice] == said


def entity_of(connector, name):
    return next(e for e in connector.discover() if e.name == name)


def test_ten_thousand_records_that_share_a_moment_are_all_read_once(there, connect):
    there.run("CREATE TABLE events (id integer PRIMARY KEY, version integer)")
    there.connection.cursor().executemany(f"INSERT INTO events VALUES ({'?' if there.kind == 'sqlite' else '%s'}, 7)", [(n,) for n in range(10_000)])
    there.connection.commit()
    connector = connect(there, tables=[{"name": "events", "cursor_field": "version"}], connection={"page_rows": 999})

    read = keys_of(entity_of(connector, "events"), connector.read(entity_of(connector, "events"), Cursor("7", "")))

    assert read == [str(n) for n in range(10_000)]


def test_a_record_that_moves_while_it_is_paged_is_neither_missed_nor_read_twice(there, connect):
    there.run("CREATE TABLE events (id integer PRIMARY KEY, version integer)", *(f"INSERT INTO events VALUES ({n}, {n})" for n in range(30)))
    connector = connect(there, tables=[{"name": "events", "cursor_field": "version"}])
    entity = entity_of(connector, "events")
    pages = connector.read(entity)

    read = keys_of(entity, [next(pages)])
    there.run("UPDATE events SET version = 100 WHERE id = 3", "UPDATE events SET version = 101 WHERE id = 20")
    read += keys_of(entity, pages)

    assert read == [str(n) for n in range(30)]


def test_names_need_no_care_and_values_are_never_part_of_a_statement(there, connect):
    quote = "`" if there.kind == "mariadb" else '"'
    name = {"mariadb": 'a "b%s; drop', "postgresql": "a `b%s; drop", "sqlite": "a `b%s; drop"}[there.kind]
    there.run(f"CREATE TABLE {quote}{name}{quote} ({quote}order{quote} varchar(60) PRIMARY KEY, {quote}50%{quote} varchar(60))")
    connector = connect(there)
    entity = entity_of(connector, name)
    evil = "'; DROP TABLE x; --%s :p \\' \" ` é 汉"
    outcomes = connector.write(entity, changes(entity, [("create", None, {"order": evil, "50%": evil})]))

    assert [o.key for o in outcomes] == [evil]
    assert connector.lookup(entity, "#key", [evil]).rows() == [(evil, evil)]
    assert connector.write(entity, changes(entity, [("update", evil, {"50%": "x"})]))[0].result == "written"
    assert next(connector.read(entity)).frame.rows() == [(evil, "x")]


def test_types_of_postgresql(postgres, connect):
    postgres.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        """CREATE TABLE things (id uuid PRIMARY KEY, price numeric(12, 2), ratio numeric, at timestamptz, local_at timestamp, day date, wakes time,
        data bytea, extra json, extrab jsonb, tags integer[], words text[], mood mood, single real, big bigint, flag boolean, net inet)""",
        """INSERT INTO things VALUES ('6b86b273-ff34-4ce1-9d6b-804eff5a3f57', 12.50, 0.123456789, '2026-01-02 03:04:05.123456+02', '2026-07-02 03:04:05',
        '2026-01-02', '23:59:59.5', '\\x00ff', '{"b": 1, "a": [1, 2]}', '{"b": 1.50}', '{1,2}', '{"x y",NULL}', 'happy', 1.1, 9223372036854775807, true, '10.0.0.1')""",
    )
    connector = connect(postgres, zone="Europe/Vienna")
    entity = entity_of(connector, "things")

    page = next(connector.read(entity))

    assert not page.misfits
    assert page.frame.row(0) == (
        "6b86b273-ff34-4ce1-9d6b-804eff5a3f57", Decimal("12.50"), Decimal("0.123456789"), dt.datetime(2026, 1, 2, 1, 4, 5, 123456, dt.UTC),
        dt.datetime(2026, 7, 2, 1, 4, 5, tzinfo=dt.UTC), dt.date(2026, 1, 2), dt.time(23, 59, 59, 500000), b"\x00\xff", '{"a":[1,2],"b":1}', '{"b":1.5}',
        "[1,2]", '["x y",null]', "happy", 1.1, 2**63 - 1, True, "10.0.0.1/32",
    )  # fmt: skip
    assert entity.field("mood").choices == ("sad", "happy")
    copied = {f.name: page.frame[f.name][0] for f in entity.fields} | {"id": "7c222fb2-927d-4828-8f22-f592134e8932"}
    assert connector.write(entity, changes(entity, [("create", None, copied)]))[0].result == "written"
    both = [row[1:] for row in connector.lookup(entity, "#key", [copied["id"], str(page.frame["id"][0])]).rows()]
    assert both[0] == both[1]


def test_domains_of_postgresql_are_what_they_are_made_of(postgres, connect):
    postgres.run(
        "CREATE DOMAIN whole AS integer CHECK (value > 0)",
        "CREATE DOMAIN number AS whole NOT NULL",
        "CREATE DOMAIN email AS varchar(20) CHECK (value LIKE '%@%')",
        "CREATE DOMAIN moment AS timestamptz",
        "CREATE TABLE people (id number PRIMARY KEY, email email, updated_at moment)",
        "INSERT INTO people VALUES (1, 'a@b', '2026-01-02 03:04:05+00')",
    )
    connector = connect(postgres)
    entity = entity_of(connector, "people")

    assert [(f.name, f.type.value) for f in entity.fields] == [("id", "integer"), ("email", "text"), ("updated_at", "datetime")]
    assert entity.cursor_field == "updated_at"
    assert next(connector.read(entity, Cursor("2026-01-02T03:04:05Z", "1"))).frame.rows() == [
        (1, "a@b", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    ]
    assert connector.lookup(entity, "#key", ["0", "1"]).height == 1
    assert connector.lookup(entity, "email", ["none", "a@b"]).height == 1
    made = connector.write(
        entity, changes(entity, [("create", None, {"id": n, "email": email, "updated_at": None}) for n, email in ((2, "c@d"), (3, "none"))])
    )
    assert {o.row: str(o.reason or "").partition(":")[0] for o in made} == {0: "", 1: "Shop refused email = none"}


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("inet", "10.0.0.1/32"),
        ("macaddr", "08:00:2b:01:02:03"),
        ("interval", "1 day"),
        ("bit(3)", "101"),
        ("int4range", "[1,3)"),
        ("oid", "5"),
        ("xml", "<a/>"),
    ],
)
@pytest.mark.filterwarnings("ignore:Did not recognize type:sqlalchemy.exc.SAWarning")
def test_a_text_that_is_no_value_of_its_column_is_no_record(type_, text, postgres, connect):
    postgres.run(f"CREATE TABLE devices (id integer PRIMARY KEY, at {type_})")
    connector = connect(postgres)
    entity = entity_of(connector, "devices")
    portion = changes(entity, [("create", None, {"id": n, "at": text}) for n in (1, 2)])
    connector.write(entity, portion)

    again = connector.write(entity, portion)

    assert {o.result for o in again} == {"written"}
    assert connector.lookup(entity, "at", [text, "garbage"])["id"].to_list() == [1, 2]
    assert connector.lookup(entity, "at", ["garbage"]).height == 0


def test_a_view_that_fails_behind_its_first_rows_is_no_server_that_is_down(postgres, connect):
    postgres.run(
        "CREATE TABLE parts (id integer PRIMARY KEY)",
        "INSERT INTO parts VALUES (1), (0)",
        "CREATE VIEW shares AS SELECT id, 10 / id AS share FROM parts",
    )
    connector = connect(postgres, tables=[{"name": "shares", "key": ["id"]}])

    with pytest.raises(SettingsError, match="Shop refuses what it is asked: division by zero"):
        list(connector.read(entity_of(connector, "shares")))


def test_types_of_mariadb(sql_places, connect):
    there = sql_places("mariadb")
    there.run(
        "CREATE TABLE things (id integer PRIMARY KEY, updated_at timestamp(6) NULL, local_at datetime, on_sale bit(1), flags bit(8), big bigint unsigned)",
        "SET time_zone = '+00:00'",
        "INSERT INTO things VALUES (1, '2026-07-02 03:04:05.5', '2026-07-02 03:04:05', b'0', b'101', 18446744073709551615)",
        "INSERT INTO things VALUES (2, '2026-07-03 03:04:05', NULL, b'1', NULL, 5)",
    )
    connector = connect(there, zone="Europe/Vienna")
    entity = entity_of(connector, "things")

    page = next(connector.read(entity))

    assert not page.misfits
    assert [row[1:] for row in page.frame.rows()] == [
        (dt.datetime(2026, 7, 2, 3, 4, 5, 500000, dt.UTC), dt.datetime(2026, 7, 2, 1, 4, 5, tzinfo=dt.UTC), False, 5, Decimal(2**64 - 1)),
        (dt.datetime(2026, 7, 3, 3, 4, 5, tzinfo=dt.UTC), None, True, None, Decimal(5)),
    ]
    cursor = Cursor(canonical_text(page.frame["updated_at"][1]), "2")
    assert (connector.newest(entity), keys_of(entity, connector.read(entity, cursor))) == (cursor.value, ["2"])
    copied = dict(zip(page.frame.columns[1:], page.frame.row(0)[1:], strict=True))
    portion = changes(entity, [("create", None, {"id": 3, **copied}), ("update", "2", copied)])
    portion.send = pl.DataFrame({"id": [True, False], "on_sale": [True, True], "flags": [True, False]})
    assert {outcome.result for outcome in connector.write(entity, portion)} == {"written"}
    written = connector.lookup(entity, "#key", ["2", "3"]).sort("id").rows()
    assert written == [(2, *page.frame.row(0)[1:4], None, Decimal(2**64 - 1)), (3, *page.frame.row(0)[1:])]
    assert connector.lookup(entity, "on_sale", ["true"]).height == 0
    assert connector.lookup(entity, "flags", ["5"])["id"].to_list() == [1, 3]


def test_what_does_not_fit_is_told_with_its_value(postgres, connect):
    postgres.run(
        "CREATE TABLE things (id integer PRIMARY KEY, day date, at timestamptz, amount numeric, ratio double precision, local_at timestamp, wakes time)",
        "INSERT INTO things VALUES (1, 'infinity', '-infinity', 'NaN', 'Infinity', '2026-03-29 02:30:00', '24:00')",
        "INSERT INTO things VALUES (2, '0044-03-15 BC', '12000-01-01', 1.0000000001, 1, '2026-01-01', '01:00')",
    )
    connector = connect(postgres, zone="Europe/Vienna")

    page = next(connector.read(entity_of(connector, "things")))

    told = {(m.row, m.field): (m.text, str(m.reason)) for m in page.misfits}
    assert told[0, "day"] == ("infinity", "is not within the years 1 to 9999")
    assert told[0, "at"][0] == "-infinity"
    assert told[0, "amount"][0] == "NaN"
    assert told[0, "ratio"][0] == "inf"
    assert told[0, "local_at"][1] == "does not exist in the time zone Europe/Vienna"
    assert told[0, "wakes"][0] == "24:00:00"
    assert told[1, "amount"] == ("1.0000000001", "is no decimal of at most 38 digits, 9 of them behind the point")
    assert {field for row, field in told if row == 1} == {"day", "at", "amount"}
    assert page.frame["id"].to_list() == [1, 2]


def test_sqlite_columns_hold_anything_and_what_does_not_fit_is_told(sql_places, connect):
    there = sql_places("sqlite")
    there.run(
        "CREATE TABLE things (id integer PRIMARY KEY, amount integer, name text, at datetime)",
        "INSERT INTO things VALUES (1, 'many', CAST(x'41ff' AS TEXT), 'once'), (2, 5, 'a' || char(0) || 'b', '2026-01-02T03:04:05'), (3, 6, 'fine', '2026-01-02 03:04:05.5')",
    )
    connector = connect(there)

    page = next(connector.read(entity_of(connector, "things")))

    assert {(m.row, m.field) for m in page.misfits} == {(0, "amount"), (0, "name"), (0, "at"), (1, "name")}
    assert page.frame["amount"].to_list() == [None, 5, 6]
    assert page.frame["at"].to_list()[1:] == [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, 3, 4, 5, 500000, dt.UTC)]


def test_the_hour_that_comes_twice_is_read_from_its_start(there, connect):
    type_ = {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "datetime"}[there.kind]
    there.run(
        f"CREATE TABLE events (id integer PRIMARY KEY, updated_at {type_})",
        "INSERT INTO events VALUES (1, '2026-10-25 02:50:00'), (2, '2026-10-25 02:10:00'), (3, '2026-10-25 01:10:00')",
    )
    connector = connect(there, zone="Europe/Vienna")
    entity = entity_of(connector, "events")

    read = keys_of(entity, connector.read(entity, Cursor("2026-10-25T00:50:00.000000Z", "1")))

    assert "2" in read
    assert "1" in read


@pytest.mark.parametrize(("day", "first_hour"), [("2025-10-25", 22), ("2025-03-29", 23)], ids=["put back", "put forward"])
def test_nothing_is_missed_while_clocks_are_put_back_or_forward(there, connect, day, first_hour):
    type_ = {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "datetime"}[there.kind]
    there.run(f"CREATE TABLE events (id integer PRIMARY KEY, updated_at {type_})")
    connector, vienna = connect(there, zone="Europe/Vienna"), ZoneInfo("Europe/Vienna")
    entity = entity_of(connector, "events")
    begins, cursor = dt.datetime.fromisoformat(f"{day}T{first_hour}:30:00+00:00"), Cursor("2025-01-01T00:00:00.000000Z", "")

    for number in range(25):
        local = (begins + dt.timedelta(minutes=10 * number)).astimezone(vienna).strftime("%Y-%m-%d %H:%M:%S")
        there.run(f"INSERT INTO events VALUES ({number}, '{local}')")
        frame = whole(connector.read(entity, cursor))
        cursor = max(cursor, Cursor(canonical_text(frame["updated_at"].max()), ""), key=lambda one: one.value)
        assert number in frame["id"].to_list(), local


def test_a_time_that_the_clocks_passed_over_is_told_and_does_not_stop_the_reading(there, connect):
    type_ = {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "datetime"}[there.kind]
    there.run(f"CREATE TABLE events (id integer PRIMARY KEY, updated_at {type_})", "CREATE INDEX by_change ON events (updated_at)")
    there.run(*(f"INSERT INTO events VALUES ({n}, '2026-03-29 02:30:{n:02}')" for n in range(25)))
    connector = connect(there, zone="Europe/Vienna")
    entity = entity_of(connector, "events")

    pages = list(connector.read(entity, Cursor("2026-03-29T00:00:00.000000Z", "")))

    assert [page.frame.height for page in pages] == [10, 10, 5]
    assert keys_of(entity, pages) == [str(n) for n in range(25)]
    assert {str(m.reason) for page in pages for m in page.misfits} == {"does not exist in the time zone Europe/Vienna"}


@pytest.mark.parametrize(("view", "since"), [(True, None), (False, None), (False, Cursor("5", ""))])
def test_records_that_share_a_key_are_all_read_wherever_a_page_ends(view, since, there, connect):
    there.run("CREATE TABLE visits (id integer PRIMARY KEY, customer varchar(5), version integer)")
    there.run(*(f"INSERT INTO visits VALUES ({n}, 'c{n // 7:02}', 5)" for n in range(90)))
    there.run("INSERT INTO visits VALUES (90, 'c30', 5)", "CREATE VIEW seen AS SELECT * FROM visits")
    name = "seen" if view else "visits"
    connector = connect(there, tables=[{"name": name, "key": ["customer"], "cursor_field": "version"}], connection={"page_rows": 3})
    entity = entity_of(connector, name)
    pages = list(connector.read(entity, since))

    assert sorted(n for page in pages for n in page.frame["id"]) == list(range(91))
    for number, page in enumerate(pages[:-1]):  # whoever goes on from there meets the rest
        rest = [n for later in connector.read(entity, since, position=page.position) for n in later.frame["id"]]
        assert sorted(rest) == sorted(n for later in pages[number + 1 :] for n in later.frame["id"])
    assert len(pages) > 10


def test_a_key_that_is_none_is_named(there, connect, monkeypatch):
    monkeypatch.setattr("connectors.sql.reading.MOST_OF_A_KEY", 20)
    there.run("CREATE TABLE visits (id integer PRIMARY KEY, customer varchar(5))", *(f"INSERT INTO visits VALUES ({n}, 'c')" for n in range(30)))
    connector = connect(there, tables=[{"name": "visits", "key": ["customer"]}], connection={"page_rows": 2})

    with pytest.raises(SettingsError, match="visits of Shop has more than 20 records with one key"):
        list(connector.read(entity_of(connector, "visits")))


def test_a_view_shows_records_without_a_key_as_such(there, connect):
    there.run("CREATE TABLE things (id integer PRIMARY KEY, code varchar(9))", "INSERT INTO things VALUES (1, 'x'), (2, NULL)")
    there.run("CREATE VIEW seen AS SELECT * FROM things")
    connector = connect(there, tables=[{"name": "seen", "key": ["code"]}])

    pages = list(connector.read(entity_of(connector, "seen")))

    assert [page.frame["code"].to_list() for page in pages] == [["x"], [None]]
    assert [str(m.reason) for m in pages[1].misfits] == ["is empty, so the record has no key"]


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "gbk", "utf8mb4"])
def test_a_text_that_the_column_has_no_characters_for_is_no_record(charset, sql_places, connect):
    there = sql_places("mariadb")
    there.run(
        f"CREATE TABLE people (id integer, name varchar(20), PRIMARY KEY (id, name)) CHARACTER SET {charset}", "INSERT INTO people VALUES (1, 'Ana')"
    )
    there.run("CREATE VIEW seen AS SELECT * FROM people")
    connector = connect(there, tables=[{"name": "seen", "key": ["name"]}])
    people, seen = (entity_of(connector, name) for name in ("people", "seen"))

    assert connector.lookup(people, "name", ["Ana", "安娜", "😀"]).rows() == [(1, "Ana")]
    assert connector.lookup(people, "#key", ['["1","Ana"]', '["1","😀"]']).rows() == [(1, "Ana")]
    assert connector.lookup(seen, "#key", ["Ana", "😀"]).rows() == [(1, "Ana")]
    refused = [o for o in connector.write(people, changes(people, [("create", None, {"id": 2, "name": "😀"})])) if o.result == "refused"]
    assert [str(o.reason).partition(":")[0] for o in refused] == (["Shop refused name = 😀"] if charset != "utf8mb4" else [])


@pytest.mark.parametrize(("column", "type_"), [("flag", "boolean"), ("at", "time")])
def test_a_cursor_field_that_cannot_rise_is_refused(column, type_, there, connect):
    there.run("CREATE TABLE people (id integer PRIMARY KEY, flag boolean, at time)")

    with pytest.raises(SettingsError, match=f"{column} in people of Shop is of type {type_}, by which no change can be told"):
        connect(there, tables=[{"name": "people", "cursor_field": column}]).discover()


def test_a_schema_that_is_not_there_is_named(there, connect):
    there.run("CREATE TABLE people (id integer PRIMARY KEY)")

    with pytest.raises(SettingsError, match="Shop has no schema sails, or does not show it to this user"):
        connect(there, schemas=["sails"]).discover()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schemas": ["sales", "sales"]}, r"\{name\} is set twice"),
        ({"schemas": [""]}, "at least 1 character"),
        ({"tables": [{"name": "people", "key": ["id", "id"]}]}, r"\{name\} is set twice"),
        ({"tables": [{"name": "people", "key": [""]}]}, "at least 1 character"),
    ],
)
def test_names_that_are_empty_or_there_twice_are_refused_in_the_settings(settings, said, postgres):
    with pytest.raises(ValidationError, match=said) as refusal:
        SqlConnector.Settings.model_validate(postgres.settings(**settings))

    assert refusal.value.error_count() == 1


def test_tables_of_other_schemas_go_by_both_names(postgres, connect):
    postgres.run(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (id integer PRIMARY KEY)",
        "CREATE TABLE orders (id integer PRIMARY KEY)",
        "CREATE TABLE keyless (x integer)",
    )
    postgres.run("INSERT INTO sales.orders VALUES (5)")
    connector = connect(postgres, schemas=["public", "sales"])

    assert [e.name for e in connector.discover()] == ["orders", "sales.orders"]
    assert keys_of(entity_of(connector, "sales.orders"), connector.read(entity_of(connector, "sales.orders"))) == ["5"]


def test_a_column_that_is_gone_is_named(there, connect):
    there.run("CREATE TABLE things (id integer PRIMARY KEY, code varchar(9))")
    entity = entity_of(connect(there), "things")
    there.run("ALTER TABLE things RENAME COLUMN code TO kode")

    with pytest.raises(SettingsError, match="things of Shop no longer has the field code"):
        next(connect(there).read(entity))


class ShortHost(FreeHost):
    """Its time is over soon."""

    def __init__(self):
        super().__init__("Shop")
        self.until = time.monotonic() + 1.0

    def deadline(self):
        return self.until


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_statement_is_cut_at_the_deadline(kind, sql_places, connect):
    there = sql_places(kind)
    sleep = "pg_sleep(30)" if kind == "postgresql" else "SLEEP(30)"
    there.run("CREATE TABLE things (id integer PRIMARY KEY)", "INSERT INTO things VALUES (1)")
    there.run(
        f"CREATE VIEW slow AS SELECT id, CAST({sleep} AS char) AS nap FROM things"
        if kind == "mariadb"
        else f"CREATE VIEW slow AS SELECT id, {sleep}::text AS nap FROM things"
    )
    entity = entity_of(connect(there, tables=[{"name": "slow", "key": ["id"]}]), "slow")
    started = time.monotonic()

    with pytest.raises(Stopped, match="the next worker goes on"):
        next(connect(there, ShortHost(), tables=[{"name": "slow", "key": ["id"]}]).read(entity))

    assert time.monotonic() - started < 8


def test_a_statement_that_takes_too_long_is_cut(postgres, connect):
    postgres.run(
        "CREATE TABLE things (id integer PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
        "CREATE VIEW slow AS SELECT id, pg_sleep(30)::text AS nap FROM things",
    )
    connector = connect(postgres, tables=[{"name": "slow", "key": ["id"]}], connection={"total_seconds": 1})

    with pytest.raises(SystemDown, match="1 s"):
        next(connector.read(entity_of(connector, "slow")))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"port": 1}, "Shop does not answer"),
        ({"user": "nobody_at_all"}, "Shop refuses what it is asked: .*nobody_at_all"),
        ({"database": "no_such_database"}, "Shop refuses what it is asked: .*no_such_database"),
        ({"tls": "verify"}, "Shop refuses what it is asked: .*(SSL|TLS|certificate)"),
        ({"tls": "verify", "ca_pem": "no certificate"}, "is no PEM text"),
    ],
)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_what_is_wrong_with_the_connection_is_said(kind, changed, said, sql_places):
    there = sql_places(kind)

    with pytest.raises((SettingsError, SystemDown), match=said):  # noqa: SIM117
        with SqlConnector(
            SqlConnector.Settings.model_validate(there.settings() | {"database": there.database | changed}), FreeHost("Shop")
        ) as connector:
            connector.check()


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    settings = {"database": {"type": "oracle", "host": "db", "database": "ORCL", "user": "hub"}}
    monkeypatch.setitem(__import__("sys").modules, "oracledb", None)

    with pytest.raises(SettingsError, match="Shop needs the Python package oracledb, which is not installed here"):
        SqlConnector(SqlConnector.Settings.model_validate(settings), FreeHost("Shop"))


# --- connections that outlive their connector ---------------------------------------------------------------------------


def sessions(there):
    """Our sessions in this database, but for the test's own."""
    there.connection.rollback()
    found = there.connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'integration-hub' ORDER BY pid"
    )
    return {pid for (pid,) in found}


def things(connect, there, **settings):
    connector = connect(there, **settings)
    read = keys_of(entity_of(connector, "things"), connector.read(entity_of(connector, "things")))
    connector.close()
    return read


@pytest.fixture
def kept_seconds(monkeypatch, postgres):
    """Connections are kept until the test says otherwise, and are closed behind it; those of the tests before are gone."""
    wait_until(lambda: not kept._idle and not sessions(postgres), seconds=10)
    monkeypatch.setattr(kept, "IDLE_SECONDS", 0.2)
    yield monkeypatch.setattr
    wait_until(lambda: not kept._idle, seconds=10)


def test_the_next_connector_with_the_same_settings_goes_on_with_the_connections(postgres, connect, kept_seconds):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)", "INSERT INTO things VALUES (1)")
    assert things(connect, postgres) == ["1"]
    before = sessions(postgres)

    assert things(connect, postgres) == ["1"]

    assert before
    assert sessions(postgres) == before
    assert things(connect, postgres, connection={"page_rows": 7}) == ["1"]
    assert sessions(postgres) > before


def test_connections_that_nobody_takes_are_closed(postgres, connect, kept_seconds):
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)")
    things(connect, postgres)

    wait_until(lambda: not sessions(postgres), seconds=10)


def test_however_often_connectors_come_and_go_one_thread_waits_to_close_what_they_leave(postgres, connect, kept_seconds):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)")
    before = threading.active_count()

    for _time in range(5):
        things(connect, postgres)

    assert threading.active_count() <= before + 1


def test_a_test_of_the_connection_is_one_of_a_new_one(postgres, connect, kept_seconds):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)")
    things(connect, postgres)
    before = sessions(postgres)

    connect(postgres).check()

    assert before.isdisjoint(sessions(postgres))


def test_what_the_server_has_closed_is_not_gone_on_with(postgres, connect, kept_seconds):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)", "INSERT INTO things VALUES (1)")
    things(connect, postgres)
    for pid in sessions(postgres):
        postgres.run(f"SELECT pg_terminate_backend({pid})")
    wait_until(lambda: not sessions(postgres), seconds=10)

    assert things(connect, postgres) == ["1"]


def test_an_address_that_is_no_longer_allowed_is_refused_although_a_connection_is_open(postgres, connect, kept_seconds):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)")
    things(connect, postgres)

    class Strict(FreeHost):
        def allow_address(self, host, address):
            raise AddressRefused("{system} may not be spoken to.", system=self.system)

    with pytest.raises(AddressRefused):
        connect(postgres, Strict("Shop"))
    wait_until(lambda: not sessions(postgres), seconds=10)


@pytest.mark.parametrize(
    "change", ["ADD COLUMN name text", "ALTER COLUMN id TYPE text", "ADD COLUMN name text, DROP COLUMN id CASCADE", "ADD UNIQUE (id)"]
)
def test_a_table_that_has_changed_meanwhile_is_learnt_anew(postgres, connect, kept_seconds, change):
    kept_seconds(kept, "IDLE_SECONDS", 2.0)
    postgres.run("CREATE TABLE things (id integer PRIMARY KEY)", "INSERT INTO things VALUES (1)")
    things(connect, postgres)
    fresh = connect(postgres)
    known = fresh._table(entity_of(fresh, "things"))
    fresh.close()
    postgres.run(f"ALTER TABLE things {change}")

    connector = connect(postgres)
    table = connector._table(known.entity())

    assert (table.columns.keys(), table.uniques, table.columns.get("id")) != (known.columns.keys(), known.uniques, known.columns.get("id"))
