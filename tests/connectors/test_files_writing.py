"""How files are written: whole or not at all, nothing lost and nothing twice, and what is read back is what was written."""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import os
import shutil
import signal
import time
from decimal import Decimal

import polars as pl
import pytest

from connectors.base import BadAnswer, FreeHost, Result, SettingsError, Stopped
from connectors.conformance.frames import by_key, changes, keys_of, whole
from connectors.files import FilesConnector
from tests.connectors.file_places import KINDS, fresh

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name"}, {"name": "price", "type": "decimal"}, {"name": "at", "type": "datetime"}]
FORMATS = ["csv", "jsonl", "parquet"]


@pytest.fixture
def there(tmp_path, file_servers):
    return fresh("folder", tmp_path / "files", file_servers)


@pytest.fixture(params=KINDS)
def anywhere(request, tmp_path, file_servers):
    return fresh(request.param, tmp_path, file_servers)


def target(there, path="out.csv", form="csv", host=None, **more):
    settings = {"format": {"type": form}, "fields": FIELDS, "write": True, **more}
    return FilesConnector(FilesConnector.Settings.model_validate(there.of(path, **settings)), host or FreeHost("Shop"))


def entity_of(there, **more):
    os.makedirs(there.folder, exist_ok=True) if there.folder else None
    with target(there, **more) as connector:
        return connector.discover()[0]


def created(n, **more):
    return ("create", None, {"id": n, "name": f"Name {n}", "price": Decimal("1.50"), **more})


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_is_not_there_yet_is_empty_and_made_by_the_first_write(form, anywhere):
    entity = entity_of(anywhere, form=form, path=f"out.{form}")

    with target(anywhere, form=form, path=f"out.{form}") as connector:
        assert connector.count(entity) == 0
        assert whole(connector.read(entity)).is_empty()
        assert connector.write(entity, changes(entity, [created(1), created(2, name=None)]))[0].result == Result.WRITTEN

    with target(anywhere, form=form, path=f"out.{form}") as connector:
        assert [row["name"] for row in by_key(entity, connector.read(entity)).values()] == ["Name 1", None]
    assert anywhere.names() == {f"out.{form}"}


def test_who_reads_the_file_sees_it_whole_before_and_after(anywhere):
    anywhere.put("out.csv", "id,name,price,at\n1,a,,\n")
    entity = entity_of(anywhere)

    connector = target(anywhere)
    connector.write(entity, changes(entity, [created(2)]))
    before = anywhere.content("out.csv")
    connector.close()

    assert before == b"id,name,price,at\n1,a,,\n"
    assert anywhere.content("out.csv") == b'"id","name","price","at"\n1,"a",,\n2,"Name 2","1.5",\n'


def test_what_is_written_is_seen_at_once_by_other_workers(anywhere):
    entity = entity_of(anywhere)

    with target(anywhere) as one, target(anywhere) as other:
        one.write(entity, changes(entity, [created(1), created(2)]))
        assert other.lookup(entity, "#key", ["1", "2", "3"]).height == 2
        other.write(entity, changes(entity, [("update", "1", {"name": "by the other"}), ("delete", "2", {})]))
        assert whole(one.read(entity)).select("id", "name").rows() == [(1, "by the other")]

    with target(anywhere) as connector:
        assert whole(connector.read(entity)).select("id", "name").rows() == [(1, "by the other")]


def test_workers_that_write_at_the_same_time_lose_nothing(anywhere):
    entity = entity_of(anywhere)
    workers = [target(anywhere) for _number in range(4)]
    for portion in range(3):
        for number, worker in enumerate(workers):
            worker.write(entity, changes(entity, [created(portion * 10 + number)]))

    with contextlib.ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)

    with target(anywhere) as connector:
        assert sorted(map(int, keys_of(entity, connector.read(entity)))) == [p * 10 + n for p in range(3) for n in range(4)]
    assert anywhere.names() == {"out.csv"}


def test_another_program_that_writes_the_file_meanwhile_is_not_overwritten(anywhere):
    anywhere.put("out.csv", "id,name,price,at\n1,a,,\n")
    entity = entity_of(anywhere)
    connector = target(anywhere)
    connector.write(entity, changes(entity, [created(2)]))
    connector.write(entity, changes(entity, [("update", "1", {"price": Decimal(7)})]))
    anywhere.put("out.csv", "id,name,price,at\n1,changed there,,\n5,new there,,\n")

    connector.close()

    with target(anywhere) as again:
        rows = whole(again.read(entity)).select("id", "name", "price").rows()
    assert rows == [(1, "changed there", Decimal(7)), (5, "new there", None), (2, "Name 2", Decimal("1.5"))]


def work_until_killed(settings, entity, first):
    """A worker's process: portions one after the other; every fifth time it closes and begins anew."""
    from connectors.conformance.frames import changes

    connector, number = FilesConnector(FilesConnector.Settings.model_validate(settings), FreeHost("Shop")), first
    while True:
        outcomes = connector.write(entity, changes(entity, [created(n) for n in range(number, number + 20)]))
        assert all(o.result == Result.WRITTEN for o in outcomes)
        number += 20
        with open(f"{settings['place']['folder']}/../told", "a") as told:  # what the hub has been told is written
            told.write(f"{number}\n")
        if number % 100 == 0:
            connector.close()
            connector = FilesConnector(FilesConnector.Settings.model_validate(settings), FreeHost("Shop"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_worker_that_is_killed_at_any_instant_loses_nothing_and_writes_nothing_twice(form, there):
    settings = {"format": {"type": form}, "fields": FIELDS, "write": True}
    entity = entity_of(there, form=form, path="out.file")
    told = there.folder / "../told"
    spawn, first = multiprocessing.get_context("spawn"), 0
    for kill in range(3):
        worker = spawn.Process(target=work_until_killed, args=(there.of("out.file", **settings), entity, first))
        worker.start()
        lines = len(told.read_text().splitlines()) if told.exists() else 0
        while not told.exists() or len(told.read_text().splitlines()) < lines + 7:
            assert worker.is_alive()
            time.sleep(0.002)
        time.sleep(kill * 0.007)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        first = int(told.read_text().splitlines()[-1])

        with target(there, form=form, path="out.file") as connector:
            outcomes = connector.write(
                entity, changes(entity, [created(n) for n in range(first, first + 20)])
            )  # nobody was told of these: sent again
            assert all(o.result == Result.WRITTEN for o in outcomes)
        first += 20

    with target(there, form=form, path="out.file") as connector:
        keys = [int(key) for key in keys_of(entity, connector.read(entity))]
    assert sorted(keys) == list(range(first))
    assert {name for name in there.names() if not name.endswith(".draft")} == {"out.file"}


def test_what_a_killed_worker_left_is_brought_in_by_a_check(there):
    entity = entity_of(there)
    left = target(there)
    left.write(entity, changes(entity, [created(1)]))  # and is never closed

    with target(there) as connector:
        connector.check()

    assert there.names() == {"out.csv"}
    assert b"Name 1" in there.content("out.csv")


def test_bringing_in_twice_changes_nothing(there):
    entity = entity_of(there)
    connector = target(there)
    connector.write(entity, changes(entity, [created(1), created(2)]))
    connector.write(entity, changes(entity, [("update", "1", {"name": "x"}), ("delete", "2", {}), created(3)]))
    connector.write(entity, changes(entity, [("delete", "3", {}), created(2, name="again")]))
    parts = there.folder / ".out.csv.parts"
    segments = {p: p.read_bytes() for p in parts.iterdir() if p.name != ".lock"}
    connector.close()
    once = there.content("out.csv")
    for path, content in sorted(segments.items())[1:]:  # as if it had been killed after the first removal
        path.write_bytes(content)

    with target(there) as again:
        again.check()

    assert there.content("out.csv") == once
    assert there.names() == {"out.csv"}


def test_the_drafts_of_those_who_were_killed_go_in_time(there):
    entity = entity_of(there)
    there.put(".out.csv.parts/.old.draft", b"half")
    there.put(".out.csv.parts/.new.draft", b"half")
    os.utime(there.folder / ".out.csv.parts/.old.draft", (1_700_000_000, 1_700_000_000))

    with target(there) as connector:
        connector.write(entity, changes(entity, [created(1)]))

    assert there.names() == {"out.csv", ".out.csv.parts/.new.draft"}


class Late(FreeHost):
    """Its time is over as soon as it is said to be."""

    over = False

    def deadline(self):
        return time.monotonic() - 1 if self.over else float("inf")


def test_whose_time_is_over_leaves_what_was_written_to_the_next(there):
    entity, host = entity_of(there), Late("Shop")
    connector = target(there, host=host)
    connector.write(entity, changes(entity, [created(1)]))
    host.over = True

    with pytest.raises(Stopped):
        connector.close()

    with target(there) as connector:
        assert keys_of(entity, connector.read(entity)) == ["1"]


# --- what is written is what is read -----------------------------------------------------------------------------------

VALUES = [
    "", " ", "plain", "a, b", 'say "hi"', "two\nlines", "two\r\nlines", "=SUM(A1)", "+43 1 234", "-5", "@here", "\tx", "'=quoted", "''-5", "'plain",
    "\n=1", "\r-1", "＝1", "＠here", "汉字 é 🙂", "NULL", "true", "007", "x" * 5000, ",", '"', "'",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("formulas", ["neutralise", "as they are"])
def test_texts_come_back_as_they_were_sent(form, formulas, there):
    style = {"type": form, **({"formulas": formulas} if form == "csv" else {})}
    entity = entity_of(there, format=style)
    with target(there, format=style) as connector:
        outcomes = connector.write(entity, changes(entity, [created(n, name=v) for n, v in enumerate([*VALUES, None])]))
        assert not [o for o in outcomes if o.result != Result.WRITTEN]

    with target(there, format=style) as connector:
        read = whole(connector.read(entity)).sort("id")["name"].to_list()

    assert read == [*VALUES, None]


def test_folders_on_the_way_to_the_file_are_made(anywhere):
    path = "exports/2026/out.csv"
    entity = entity_of(anywhere, path=path)

    with target(anywhere, path=path) as connector:
        assert connector.write(entity, changes(entity, [created(1)]))[0].result == Result.WRITTEN

    assert anywhere.content(path).decode().splitlines()[1].startswith("1,")


def test_a_folder_that_is_gone_is_named_and_not_made(there):
    entity = entity_of(there, path="exports/out.csv")
    os.rmdir(there.folder)

    with pytest.raises(SettingsError, match=f"Shop: there is no folder {there.folder}"), target(there, path="exports/out.csv") as connector:
        connector.write(entity, changes(entity, [created(1)]))

    assert not there.folder.exists()


@pytest.mark.parametrize("more", [{"path": "in-*.csv"}, {"path": "in/in-*.csv"}, {"path": "out.csv", "write": True, "fields": FIELDS}])
def test_a_folder_that_is_gone_does_not_look_like_one_without_files(more, there):
    for path in ("in-1.csv", "in/in-1.csv", "out.csv"):
        there.put(path, "id,name,price,at\n1,a,,\n")
    with FilesConnector(FilesConnector.Settings.model_validate(there.of(**more)), FreeHost("Shop")) as connector:
        entity = connector.discover()[0]
    shutil.rmtree(there.folder)

    connector = FilesConnector(FilesConnector.Settings.model_validate(there.of(**more)), FreeHost("Shop"))
    with connector, pytest.raises(SettingsError, match=f"Shop: there is no folder {there.folder}"):
        list(connector.read(entity))


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_written_on_whatever_its_json_is_and_after_its_last_record_is_gone(form, there):
    settings = {"form": form, "path": f"out.{form}", "fields": [{"name": "id", "type": "integer"}, {"name": "tags", "type": "json"}]}
    entity = entity_of(there, **settings)
    stored: dict[str, str | None] = {}
    for number, value in enumerate(['{"a":1}', '{"a":{"b":[]}}', "{}", "[1]", None]):
        with target(there, **settings) as connector:
            assert connector.discover() == [entity]
            portion = changes(entity, [("create", None, {"id": number, "tags": value})])
            assert [o.result for o in connector.write(entity, portion)] == [Result.WRITTEN]
        stored[str(number)] = value

        with target(there, **settings) as connector:
            assert {key: row["tags"] for key, row in by_key(entity, connector.read(entity)).items()} == stored

    with target(there, **settings) as connector:
        connector.write(entity, changes(entity, [("delete", key, {}) for key in stored]))
    with target(there, **settings) as connector:
        assert connector.discover() == [entity]
        connector.check()
        assert connector.count(entity) == 0
        assert [o.result for o in connector.write(entity, changes(entity, [("create", None, {"id": 9, "tags": "[]"})]))] == [Result.WRITTEN]
    with target(there, **settings) as connector:
        assert list(by_key(entity, connector.read(entity))) == ["9"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_could_not_be_read_again_is_refused_and_the_file_stays_as_it_is(form, there):
    settings = {"form": form, "path": f"out.{form}", "fields": [*FIELDS, {"name": "share", "type": "number"}, {"name": "tags", "type": "json"}]}
    entity = entity_of(there, **settings)
    values = [
        {"name": "fine", "share": 0.5, "tags": "[1]"},
        {"name": "x" * (1024 * 1024 + 1)},
        {"share": float("nan")},
        {"share": float("-inf")},
        {"tags": "{no"},
        {"name": "a\0b"},
    ]
    with target(there, **settings) as connector:
        outcomes = connector.write(entity, changes(entity, [("create", None, {"id": n, **value}) for n, value in enumerate(values)]))

    holds_nul = form == "jsonl"
    assert {o.row for o in outcomes if o.result == Result.WRITTEN} == ({0, 5} if holds_nul else {0})
    told = {o.row: str(o.reason) for o in outcomes if o.reason}
    assert told[2] == "share = nan cannot be written in the format and encoding of the file without being altered"
    with target(there, **settings) as connector:
        assert [row["name"] for row in by_key(entity, connector.read(entity)).values()] == (["fine", "a\0b"] if holds_nul else ["fine"])


def test_an_empty_file_of_lines_asks_for_its_fields(there):
    there.put("out.jsonl", "")

    with target(there, path="out.jsonl", form="jsonl", fields=[]) as connector, pytest.raises(BadAnswer, match="fields have to be declared"):
        connector.discover()


def test_no_text_and_no_name_in_a_csv_file_is_run_by_a_spreadsheet(there):
    fields = [*FIELDS, {"name": "=cmd"}, {"name": "'@x"}]
    entity = entity_of(there, fields=fields)
    for number in range(2):  # a new file, then one that was there
        with target(there, fields=fields) as connector:
            connector.write(entity, changes(entity, [created(number * 100 + n, name=v) for n, v in enumerate(VALUES)]))

    frame = pl.read_csv(there.content("out.csv"), infer_schema=False)
    cells = frame["name"].to_list()

    assert not [cell for cell in cells if cell and cell[0] in "=+-@\t\r\n＝＋－＠"]
    assert "'=SUM(A1)" in cells
    assert frame.columns == ["id", "name", "price", "at", "'=cmd", "''@x"]
    with target(there, fields=fields) as connector:
        assert [f.name for f in connector.discover()[0].fields] == ["id", "name", "price", "at", "=cmd", "'@x", "file_modified"]


@pytest.mark.parametrize(
    ("style", "values", "field"),
    [
        ({}, {"name": "a\0b"}, "name"),
        ({}, {"name": "x" * 1_100_000}, "name"),
        ({"null_values": ["NULL"]}, {"name": "NULL"}, "name"),
        ({"encoding": "cp1252"}, {"name": "汉字"}, "name"),
        ({"datetime": "%d.%m.%Y %H:%M"}, {"at": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)}, "at"),
        ({"zone": "Europe/Vienna", "datetime": "%d.%m.%Y %H:%M:%S"}, {"at": dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC)}, "at"),
    ],
)
def test_what_the_file_cannot_hold_is_refused_and_not_altered(style, values, field, there):
    style = {"type": "csv", **style}
    entity = entity_of(there, format=style)

    with target(there, format=style) as connector:
        outcomes = connector.write(entity, changes(entity, [created(1, at=None), created(2, **{"at": None, **values})]))

    assert {o.row: o.result for o in outcomes} == {0: Result.WRITTEN, 1: Result.REFUSED}
    assert f"{field} = " in str(next(o.reason for o in outcomes if o.row == 1))


@pytest.mark.parametrize(
    "style",
    [
        {"encoding": "gb18030", "separator": ";"},
        {"encoding": "utf-16", "separator": "\\t"},
        {"decimal_mark": ","},
        {"quote": "'"},
        {"quote": "|", "encoding": "utf-16"},
        {"quote": "%", "separator": '"'},
    ],
)
def test_a_file_keeps_its_dialect(style, there):
    style = {"type": "csv", "zone": "Asia/Shanghai", "date": "%Y/%m/%d", **style}
    entity = entity_of(there, format=style)
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    for number in range(2):
        with target(there, format=style) as connector:
            connector.write(entity, changes(entity, [created(number, name="王", at=moment, price=Decimal("1234.5"))]))

    with target(there, format=style) as connector:
        rows = whole(connector.read(entity)).drop("file_modified").rows()

    assert rows == [(n, "王", Decimal("1234.5"), moment) for n in range(2)]
    assert "王".join(style.get("quote", '"') * 2) in there.content("out.csv").decode(style.get("encoding", "utf-8"))


@pytest.mark.parametrize("quote", ["'", "|", "`"])
def test_texts_and_names_come_back_whatever_the_quote(quote, there):
    style, fields = {"type": "csv", "quote": quote}, [*FIELDS, {"name": f'its "{quote}name{quote}'}]
    values = [*VALUES, quote, f"{quote}a{quote}", f'"{quote}{quote}, "']
    entity = entity_of(there, format=style, fields=fields)
    for number in range(2):  # a new file, then one that was there
        with target(there, format=style, fields=fields) as connector:
            rows = [created(number * 100 + n, name=v) for n, v in enumerate(values)]
            assert not [o for o in connector.write(entity, changes(entity, rows)) if o.result != Result.WRITTEN]

    with target(there, format=style, fields=fields) as connector:
        read = whole(connector.read(entity)).sort("id")["name"].to_list()

    assert read == values * 2
    assert there.content("out.csv").startswith(quote.encode())


def test_a_file_whose_encoding_shows_late_keeps_it(there):
    plain = "".join(f"{n},plain name {n},,\n" for n in range(80_000))
    there.put("out.csv", f"id,name,price,at\n{plain}80000,王小明,,\n".encode("gb18030"))
    entity = entity_of(there)
    with target(there) as connector:
        connector.write(entity, changes(entity, [created(80_001, name="李四")]))

    assert '80000,"王小明",,\n80001,"李四","1.5",\n' in there.content("out.csv").decode("gb18030")


def test_a_mark_at_the_start_of_the_file_is_kept(there):
    there.put("out.csv", b"\xef\xbb\xbfid;name;price;at\n1;a;;\n")
    entity = entity_of(there)
    with target(there) as connector:
        connector.write(entity, changes(entity, [created(2)]))

    assert there.content("out.csv") == b'\xef\xbb\xbf"id";"name";"price";"at"\n1;"a";;\n2;"Name 2";"1.5";\n'


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("create", None, {"id": None, "name": "x"})], "out.csv takes no record without id, its key"),
        ([("create", None, {"id": 1, "name": "other"})], "out.csv already has a record whose id is 1"),
        ([("update", "9", {"name": "x"})], "out.csv no longer has a record whose id is 9"),
        ([("update", "1", {"id": 7})], "the key id of a record in out.csv cannot be changed"),
    ],
)
def test_a_record_that_is_not_taken_says_why(rows, said, there):
    there.put("out.csv", "id,name,price,at\n1,a,,\n")
    entity = entity_of(there)

    with target(there) as connector:
        outcomes = connector.write(entity, changes(entity, rows))

    assert [(o.result, str(o.reason)) for o in outcomes] == [(Result.REFUSED, said)]
    assert there.content("out.csv") == b"id,name,price,at\n1,a,,\n"


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("id,name,price,at\n1,a,,\n2,b\n", BadAnswer, "line 3 of out.csv has 2 columns instead of 4"),
        ("id,name,price,at\n1,a,much,\n", BadAnswer, "price much is no decimal"),
        ("id,name,price,at,more\n1,a,,,x\n", SettingsError, "has other columns than were accepted: more"),
        ("id,name,price,at\n1,a,,\n1,b,,\n", SettingsError, "has a key twice"),
    ],
)
def test_a_file_that_would_lose_something_is_not_written(content, error, said, there):
    entity = entity_of(there)
    there.put("out.csv", content)

    with pytest.raises(error, match=said), target(there) as connector:
        connector.write(entity, changes(entity, [created(5)]))

    assert there.content("out.csv").decode() == content


def test_a_file_that_is_only_read_is_not_written(there):
    there.put("in.csv", "id\n1\n")
    with target(there, path="in.csv", write=False, fields=[]) as connector:
        entity = connector.discover()[0]
        assert not entity.capabilities.create
        with pytest.raises(SettingsError, match="contacts of Shop is only read"):
            connector.write(entity, changes(entity, [("create", None, {"id": 2})]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"path": "out-*.csv"}, "Only a single file may be written"),
        ({"path": "out.xlsx", "format": {"type": "excel"}}, "Excel files are only read"),
        ({"path": "out.csv", "fields": [{"name": "id"}, {"name": "id"}]}, r"Field \{field\} is declared twice"),
        ({"path": "out.csv", "fields": [{"name": "file_modified"}]}, r"Field \{field\} is declared twice, or is one that the hub adds itself"),
        ({"path": "out.csv", "format": {"type": "csv", "encoding": "klingon"}}, r"There is no encoding \{value\}"),
        ({"path": "out.csv", "format": {"type": "csv", "encoding": "base64"}}, r"There is no encoding \{value\}"),
        *(
            ({"path": "out.csv", "format": {"type": "csv", "encoding": encoding}}, r"Files in the encoding \{value\} cannot be taken apart")
            for encoding in ("utf-32", "cp037", "punycode", "unicode_escape")
        ),
        ({"path": "out.csv", "format": {"type": "csv", "quote": "-"}}, "should match pattern"),
        ({"path": "out.csv", "format": {"type": "csv", "zone": "Mars/Base"}}, "There is no such time zone"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, said, there):
    with pytest.raises(ValueError, match=said):
        target(there, **{"fields": [], **settings})
