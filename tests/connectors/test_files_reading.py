"""How records come out of files: their dialects and types, what is broken in them, and what happens while they are read."""

from __future__ import annotations

import codecs
import datetime as dt
import io
import json
import os
import uuid
import zipfile
from decimal import Decimal

import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.chart import BarChart, Reference

from connectors.base import AddressRefused, BadAnswer, Cursor, FreeHost, PositionExpired, SettingsError
from connectors.canonical import canonical_text
from connectors.conformance.frames import keys_of, whole
from connectors.files import FilesConnector
from connectors.files.dialects import found_out
from connectors.files.settings import Csv
from connectors.guard import AddressPolicy
from tests.connectors.file_places import fresh


@pytest.fixture
def there(tmp_path, file_servers):
    return fresh("folder", tmp_path / "files", file_servers)


@pytest.fixture
def connect():
    opened = []

    def make(settings, host=None):
        opened.append(FilesConnector(FilesConnector.Settings.model_validate(settings), host or FreeHost("Shop")))
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture
def read(there, connect):
    """A function that writes a file and reads it: read(content, **settings of the file) → (frame without its times, misfits by row and field)."""

    def reads(content, path="in.csv", **more):
        there.put(path, content)
        connector = connect(there.of(path, **more))
        pages = list(connector.read(connector.discover()[0]))
        frame = whole(iter(pages)).drop("file_modified")
        before, told = 0, {}
        for page in pages:
            told |= {(m.row + before, m.field): (m.text, str(m.reason)) for m in page.misfits}
            before += page.frame.height
        return frame, told

    return reads


# --- dialects ----------------------------------------------------------------------------------------------------------

CHINESE = "id,name\n1,王小明\n2,“李”四，上海\n"


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (CHINESE.encode(), {}),
        (codecs.BOM_UTF8 + CHINESE.encode(), {}),
        (CHINESE.encode("gb18030"), {}),
        (CHINESE.encode("gb18030"), {"encoding": "gbk"}),
        (CHINESE.encode("utf-16"), {}),
        (codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be"), {}),
        (CHINESE.encode("utf-16-le"), {"encoding": "utf-16"}),
        (CHINESE.encode("big5", "ignore").replace(b"\xa1\xa7", b""), {"encoding": "big5"}),
        (CHINESE.replace(",", ";").replace("\n", "\r\n").encode(), {}),
        (CHINESE.replace(",", "\t").encode("utf-16"), {}),
        (CHINESE.replace(",", "|").encode("gb18030"), {"separator": "|"}),
        (b"made by hand\n\n" + CHINESE.encode(), {"skip_lines": 2}),
        (("made by hand\n" + CHINESE).encode("utf-16"), {"skip_lines": 1}),
        (CHINESE.replace("\n", "\r").encode(), {}),
    ],
)
def test_encoding_separator_and_line_ends_are_found_out_or_told(content, settings, read):
    frame, told = read(content, format={"type": "csv", **settings})

    assert not told
    assert frame["id"].to_list() == [1, 2]
    assert frame["name"][0] == "王小明"


def test_a_broken_byte_does_not_make_it_another_encoding(read):
    names = "".join(f"{n},王小明\n" for n in range(1, 20))

    frame, told = read(f"id,name\n{names}".encode() + b"20,\xff\n")

    assert frame["name"].to_list() == ["王小明"] * 19 + [None]
    assert list(told) == [(19, "name")]


EASTERN = (
    "張學友 劉德華 郭富城 黎明 張國榮 梅豔芳 朱镕基 镕基 陶喆 李昇基 王喆 张堃 王珺 臺灣積體電路製造股份有限公司 国泰航空有限公司 上海 “李”四，上海 A股 T恤 "
    "iPhone手机壳 李明Tom 中 第A组 X光 鎔基 廣東省 華為 龍騰 鄧麗君 €价格 ㈱公司 㐀㐁 𠮷野家 訂單編號 國華 赵 "
)
WESTERN = (
    "Müller Größe Café été étés Hélène Hämäläinen Jyväskylä Sää Übung für Öl naïve Noël Zoë "
    "façade Niño São João informações Smørrebrød Ærø Århus Æøå Þórður créée Müßig Strauß MÜLLER "
    "GRÖSSE £100 €100 25°C µm ½in don’t “Hello” A–B ©Acme Acme®Pro cœur Žižek Šárka ¿Qué? "
    "¡Hola! Mª n° Ñandú ÑANDÚ Él ÉCOLE Île Björk Süßwasser Weiß Curaçao déjà 10×20 a·b •Item "
    "x…y Malmö "
)


@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.parametrize(("encoding", "names"), [("gb18030", EASTERN), ("cp1252", WESTERN)])
def test_chinese_and_western_letters_are_told_apart_however_few(encoding, names, count):
    files = {name: "id;name\n" + "".join(f"{n};{name}\n" for n in range(count)) for name in names.split()}

    found = {name: found_out(text.encode(encoding), Csv()).encoding for name, text in files.items()}

    assert {name: other for name, other in found.items() if other != encoding} == {}


@pytest.mark.parametrize(("encoding", "names"), [("gb18030", EASTERN), ("cp1252", WESTERN)])
def test_a_file_with_many_names_is_read_in_its_encoding(encoding, names, read):
    frame, told = read(("id;name\n" + "".join(f"{n};{name}\n" for n, name in enumerate(names.split()))).encode(encoding))

    assert frame["name"].to_list() == names.split()
    assert not told


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp1252"])
@pytest.mark.parametrize("plain", [10_000, 200_000], ids=["in the first block", "behind the first block"])
def test_the_first_letters_that_are_not_ascii_tell_the_encoding_wherever_they_stand(encoding, plain, there, connect):
    names = (WESTERN if encoding == "cp1252" else EASTERN).split()
    rows = "".join(f"{n},plain name {n}\n" for n in range(plain)) + "".join(f"{plain + n},{name}\n" for n, name in enumerate(names))
    there.put("in.csv", f"id,name\n{rows}".encode(encoding))
    connector = connect({**there.of("in.csv"), "connection": {"page_rows": 40_000}})

    pages = list(connector.read(connector.discover()[0]))

    assert not [m for page in pages for m in page.misfits]
    assert whole(iter(pages))["name"].to_list()[plain:] == names


def test_who_goes_on_reading_keeps_to_the_encoding_that_was_found_out(there, connect):
    """車 alone is a letter in UTF-8 too."""
    plain = "".join(f"{n},plain name {n}\n" for n in range(100_000))
    content = f"id,name\n{plain}100000,{'王小明' * 5}\n{plain}200000,車\n".encode("gb18030")
    there.put("in.csv", content)
    connector = connect({**there.of("in.csv"), "connection": {"page_rows": 50_000}})
    entity = connector.discover()[0]

    pages = list(connector.read(entity))

    assert pages[-2].position["at"]["encoding"] == "gb18030"
    assert whole(connector.read(entity, position=pages[-2].position))["name"].to_list()[-1] == "車"


def test_bytes_that_are_no_text_in_the_encoding_that_was_found_out_say_what_to_do(read):
    names = "".join(f"{n},王小明\n" for n in range(1, 20))

    _frame, told = read(f"id,name\n{names}".encode() + b"20,\xff\n")

    assert told[19, "name"][1].endswith("encoding utf-8, which was found out. Set the encoding of the file in the system's settings")


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        (["1", "-20", "+0"], "text"),
        (["1", "-20", "0"], "integer"),
        (["9223372036854775807"], "integer"),
        (["9223372036854775808"], "decimal"),
        (["1", "2.50"], "decimal"),
        (["1.5e3", "2"], "number"),
        (["01234", "5"], "text"),
        (["true", "FALSE"], "boolean"),
        (["0", "1"], "integer"),
        (["2026-01-02", ""], "date"),
        (["2026-01-02T03:04:05Z", "2026-01-02 03:04:05.5", "2026-01-02 03:04"], "datetime"),
        (["08:30", "08:30:15"], "time"),
        (["", ""], "text"),
        (["1", "x"], "text"),
        (["2026-02-31"], "text"),
    ],
)
def test_types_are_found_out_from_the_first_records_and_doubtful_ones_are_texts(texts, type_, there, connect):
    there.put("in.csv", "id,value\n" + "".join(f"r{n},{text}\n" for n, text in enumerate(texts)))

    entity = connect(there.of("in.csv")).discover()[0]

    assert entity.field("value").type == type_


@pytest.mark.parametrize(
    ("type_", "style", "text", "value"),
    [
        ("decimal", {"decimal_mark": ","}, '"1.234,50"', Decimal("1234.5")),
        ("decimal", {"decimal_mark": ","}, "1.5", None),
        ("decimal", {}, "1.0000000001", None),
        ("number", {}, "NaN", None),
        ("number", {}, "1e400", None),
        ("integer", {}, "1.0", None),
        ("integer", {}, "9223372036854775808", None),
        ("boolean", {"boolean": "Y/N"}, "y", True),
        ("boolean", {"boolean": "Y/N"}, "true", None),
        ("date", {"date": "%d.%m.%Y"}, "31.01.2026", dt.date(2026, 1, 31)),
        ("date", {}, "31.01.2026", None),
        ("date", {"date": "%d.%m.%Y"}, "31.01.26", None),
        ("date", {"date": "%d.%m.%Y"}, "01.01.0001", dt.date(1, 1, 1)),
        ("date", {}, "12026-01-01", None),
        ("datetime", {"zone": "Asia/Shanghai"}, "2026-01-02 08:00:00", dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        ("datetime", {"zone": "Asia/Shanghai"}, "2026-01-02T08:00:00+02:00", dt.datetime(2026, 1, 2, 6, tzinfo=dt.UTC)),
        ("datetime", {"datetime": "%d.%m.%Y %H:%M"}, "31.01.26 08:00", None),
        ("datetime", {"zone": "Europe/Vienna"}, "2026-03-29 02:30:00", None),
        ("time", {"time": "%H.%M"}, "08.30", dt.time(8, 30)),
        ("json", {}, '"{""b"": 1, ""a"": [1]}"', '{"a":[1],"b":1}'),
        ("json", {}, "{oops", None),
        ("binary", {}, "AP8=", b"\x00\xff"),
        ("binary", {}, "!!", None),
        ("text", {}, "a\0b", None),
    ],
)
def test_what_fits_its_type_is_read_and_what_does_not_is_told_with_its_text(type_, style, text, value, read):
    fields = [{"name": "value", "type": type_}]

    frame, told = read(f"id,value\n7,{text}\n8,\n", fields=fields, format={"type": "csv", "separator": ",", **style})

    assert frame["value"].to_list() == [value, None]
    assert (told.get((0, "value"), ("", ""))[0] == "") == (value is not None)
    assert (1, "value") not in told


def test_empty_quoted_and_missing_are_told_apart(read):
    frame, told = read('id,name\n1,""\n2,\n3,NULL\n4,"NULL "\n', format={"type": "csv", "null_values": ["NULL"]})

    assert frame["name"].to_list() == ["", None, None, "NULL "]
    assert not told


def test_a_file_without_header_has_numbered_columns_or_the_declared_ones(read):
    told = read("1,a\n2,b\n", format={"type": "csv", "header": False}, key=["column_1"])
    declared = read("1,a\n2,b\n", format={"type": "csv", "header": False}, fields=[{"name": "id", "type": "integer"}, {"name": "name"}])

    assert told[0].columns == ["column_1", "column_2"]
    assert declared[0].rows() == [(1, "a"), (2, "b")]


# --- what is broken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "good", "broken"),
    [
        (b"id,name\n1,a\n2\n3,c\n", [1, 3], ["line 3 of in.csv has 1 columns instead of 2"]),
        (b"id,name\n1,a\n2,b,x,y\n3,c\n", [1, 3], ["line 3 of in.csv has 4 columns instead of 2"]),
        (b'id,name\n1,"a\nb"\n2\n3,c\n', [1, 3], ["line 4 of in.csv has 1 columns instead of 2"]),
        (b'id,name\n1,a\n2,"open\n3,c\n', [1, 3], ["line 3 of in.csv opens a quote that is not closed"]),
        (b'id,name\n1,19" screen\n2,"say ""hi"", please\nnow"\n3,5" x 7"\n', [1, 2, 3], []),
        (b'id,name\n1,19"\n2,b\n3,"c\nd"\n', [1, 2, 3], []),
        (b"id,name\n1,a\n\n\n2,b", [1, 2], []),
        (b"id,name\n", [], []),
        (b"id,name", [], []),
    ],
)
def test_a_broken_line_is_told_and_the_others_are_read(content, good, broken, read):
    frame, told = read(content, fields=[{"name": "id", "type": "integer"}])

    assert [n for n in frame["id"].to_list() if n is not None] == good
    assert [reason for _text, reason in told.values()] == broken
    assert frame.height == len(good) + len(broken)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le"])
def test_bytes_that_are_no_text_are_told_and_the_rest_of_the_record_is_read(encoding, read):
    content = "id,name,city\n1,王,Wien\n2,X,Graz\n".encode(encoding).replace("X".encode(encoding), b"\xff\xdc" if "16" in encoding else b"\xff")
    head = codecs.BOM_UTF16_LE if "16" in encoding else b""

    frame, told = read(head + content, format={"type": "csv", "encoding": encoding})

    assert told[1, "name"][1] == f"holds bytes that are no text in the encoding {encoding}"
    assert frame.rows() == [(1, "王", "Wien"), (2, None, "Graz")]


def test_a_value_of_ten_megabytes_is_told_and_the_others_are_read(read):
    huge = "x" * 10_000_000

    frame, told = read(f'id,name\n1,a\n2,"{huge}\n{huge[:100]}"\n3,c\n')

    assert frame["id"].to_list() == [1, 2, 3]
    assert told[1, "name"] == (huge[:200], "is larger than a value may be (1048576 bytes)")


def test_quotes_and_line_ends_at_the_edges_of_blocks_are_met_once(there, connect):
    rows = [(n, f'text {n}, "quoted"\nsecond line' + "." * (n % 97)) for n in range(40_000)]
    out = pl.DataFrame(rows, schema=["id", "name"], orient="row")
    there.put("in.csv", out.write_csv().encode())
    connector = connect({**there.of("in.csv"), "connection": {"page_rows": 999}})
    entity = connector.discover()[0]

    pages = list(connector.read(entity))

    assert whole(iter(pages)).select("id", "name").equals(out)
    assert not [m for page in pages for m in page.misfits]
    middle = len(pages) // 2
    assert keys_of(entity, connector.read(entity, position=pages[middle].position)) == keys_of(entity, pages[middle + 1 :])


def test_a_record_without_a_key_is_told(read):
    _frame, told = read("id,name\n1,a\n,b\n")

    assert told == {(1, "id"): ("", "is empty, so the record has no key")}


def test_two_records_with_one_key_are_both_read(read):
    frame, told = read("id,name\n1,a\n1,b\n")

    assert (frame.rows(), told) == ([(1, "a"), (1, "b")], {})


def parquet(names, *columns):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(list(columns), names=names.split()), out)
    return out.getvalue()


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("csv", b"", "is no csv file: it is empty, without even a header"),
        ("csv", b"id,id\n1,2\n", "two of its columns are called id"),
        ("csv", b"\x1f\x8b\x08\x00 packed", "is a gzip file, not csv. .*unpack it first"),
        ("csv", zipped(a="b"), "is a xlsx/zip file, not csv"),
        ("csv", b"PAR1....", "is a Parquet file, not csv"),
        ("jsonl", b'[{"id": 1}]', "begins with a list"),
        ("jsonl", b"1\n2\n", "none of its first lines is an object"),
        ("jsonl", zipped(a="b"), "is a xlsx/zip file, not jsonl"),
        ("parquet", b"id,name\n", "is no parquet file"),
        ("parquet", b"", "is no parquet file"),
        ("parquet", b"PAR1" + b"x" * 100 + b"PAR1", "is no parquet file"),
        ("parquet", parquet("id id", pa.array([1]), pa.array([2])), "two of its columns are called id"),
        ("excel", b"id,name\n", "is no excel file: it is no workbook, or a damaged one"),
        ("excel", b"", "is no excel file: it is no workbook, or a damaged one"),
        ("excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is no excel file: it is an .xls file, or protected by a password. Save it as .xlsx"),
        ("excel", zipped(a="b"), "is no excel file: it is no workbook, or a damaged one"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_named(form, content, said, there, connect):
    there.put("in.file", content)

    with pytest.raises(BadAnswer, match=f"in.file of Shop .*{said}"):
        connect(there.of("in.file", format={"type": form})).discover()


@pytest.mark.parametrize(("inside", "limit"), [("xl/worksheets/sheet1.xml", "LARGEST_INSIDE"), ("xl/sharedStrings.xml", "LARGEST_HELD")])
def test_a_workbook_that_would_fill_the_memory_is_not_opened(inside, limit, there, connect, monkeypatch):
    monkeypatch.setattr(f"connectors.files.excel.{limit}", 10_000_000)
    there.put("in.xlsx", zipped(**{"xl/workbook.xml": "<x/>", inside: b"0" * 20_000_000}))

    with pytest.raises(BadAnswer, match=r"holds more than 9 MiB unpacked\. It is not opened"):
        connect(there.of("in.xlsx", format={"type": "excel"})).discover()


def test_a_sheet_that_is_a_chart_is_passed_over(read):
    workbook = openpyxl.Workbook()
    workbook.active.append(["id"])
    workbook.active.append([1])
    chart = BarChart()
    chart.add_data(Reference(workbook.active, min_col=1, min_row=1, max_row=2))
    workbook.create_chartsheet("Chart", 0).add_chart(chart)
    out = io.BytesIO()
    workbook.save(out)

    assert read(out.getvalue(), "in.xlsx", format={"type": "excel"})[0]["id"].to_list() == [1]
    with pytest.raises(BadAnswer, match="it has no sheet Chart; there are: Sheet"):
        read(out.getvalue(), "in.xlsx", format={"type": "excel", "sheet": "Chart"})


def test_a_workbook_that_trips_its_reader_is_named(there, connect):
    workbook = openpyxl.Workbook()
    workbook.create_chartsheet("Chart")  # with nothing in it, over which openpyxl falls
    out = io.BytesIO()
    workbook.save(out)
    there.put("in.xlsx", out.getvalue())

    with pytest.raises(BadAnswer, match=r"in\.xlsx of Shop is no excel file: it is no workbook, or a damaged one"):
        connect(there.of("in.xlsx", format={"type": "excel"})).discover()


def test_cells_of_excel_keep_their_kinds_and_errors_are_told(read):
    book = openpyxl.Workbook()
    book.active.title = "Other"
    sheet = book.create_sheet("Data")
    for row in (
        ["made by hand"],
        ["id", "name", "amount", "day", "at", "flag", "wakes"],
        [1, "007", 1.5, dt.date(2026, 1, 2), dt.datetime.fromisoformat("2026-01-02T03:04:05"), True, dt.time(8, 30)],
        [2, "=1/0", 2, None, dt.datetime.fromisoformat("2026-01-02"), False, None],
        [],
        [3, "#N/A", 0.1, None, None, None, None],
    ):
        sheet.append(row)
    sheet["B4"] = "#DIV/0!"
    out = io.BytesIO()
    book.save(out)

    frame, told = read(out.getvalue(), "in.xlsx", format={"type": "excel", "sheet": "Data", "skip_lines": 1, "zone": "Europe/Vienna"})

    assert frame.row(0) == (1, "007", Decimal("1.5"), dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 2, 4, 5, tzinfo=dt.UTC), True, dt.time(8, 30))
    assert frame["at"][1] == dt.datetime(2026, 1, 1, 23, tzinfo=dt.UTC)
    assert {(row, text) for (row, _field), (text, _reason) in told.items()} == {(1, "#DIV/0!"), (2, "#N/A")}
    assert frame["id"].to_list() == [1, 2, 3]


def test_lines_that_are_no_json_are_told_with_their_number(read):
    content = b'{"id": 1, "name": "a"}\n\n{"id": 2, "name": \n[1]\n{"id": 3, "name": 5}\n{"id": 4, "name": null}\n{"id": 5}\r\n'

    frame, told = read(content, "in.jsonl", format={"type": "jsonl"}, fields=[{"name": "id", "type": "integer"}, {"name": "name"}])

    assert frame["id"].to_list() == [1, None, None, 3, 4, 5]
    assert told[1, ""] == ('{"id": 2, "name": ', "line 3 of in.jsonl is no valid JSON")
    assert told[2, ""][1] == "is no record: an object with names and values was expected"
    assert told[3, "name"][0] == "5"
    assert len(told) == 3


@pytest.mark.parametrize("form", ["parquet", "excel"])
def test_a_file_that_is_damaged_inside_is_told(form, there, connect):
    out = io.BytesIO()
    if form == "parquet":
        pl.DataFrame({"id": range(10_000), "name": [f"{n * 7919 % 10_007}" for n in range(10_000)]}).write_parquet(out)
    else:
        book = openpyxl.Workbook()
        for row in [["id", "name"], *([n, f"{n * 7919 % 10_007}"] for n in range(3_000))]:
            book.active.append(row)
        book.save(out)
    content = bytearray(out.getvalue())
    if form == "excel":
        sheet = content.index(b"xl/worksheets/sheet1.xml")
        content[sheet + 9000 : sheet + 9100] = b"\0" * 100
    else:
        content[9000:9100] = b"\0" * 100
    there.put("in.file", bytes(content))
    connector = connect(there.of("in.file", format={"type": form}))

    with pytest.raises(BadAnswer, match=f"in.file of Shop is no {form} file: it .* damaged"):
        list(connector.read(connector.discover()[0]))


def test_a_broken_line_with_bytes_that_are_no_text_is_told(read):
    frame, told = read(b"id,name\n1,a\n2,\xff,x\n3,\xfe\n", format={"type": "csv", "encoding": "utf-8"})

    assert [reason for _text, reason in told.values()] == [
        "holds bytes that are no text in the encoding utf-8",
        "line 3 of in.csv has 3 columns instead of 2",
    ]
    assert frame["id"].to_list() == [1, 3, None]


def test_nested_columns_of_parquet_are_json_and_what_does_not_fit_is_told(read):
    out = io.BytesIO()
    pl.DataFrame(
        {
            "id": [1, 2],
            "tags": [["b", "a"], None],
            "address": [{"city": "Wien", "zip": None}, None],
            "ratio": [float("nan"), 1.5],
            "big": pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
            "at": [dt.datetime.fromisoformat("2026-01-02"), None],
        }
    ).write_parquet(out)

    frame, told = read(out.getvalue(), "in.parquet", format={"type": "parquet", "zone": "Europe/Vienna"})

    assert frame.row(0) == (1, '["b","a"]', '{"city":"Wien","zip":null}', None, None, dt.datetime(2026, 1, 1, 23, tzinfo=dt.UTC))
    assert {(key, text) for key, (text, _reason) in told.items()} == {((0, "ratio"), "nan"), ((0, "big"), str(2**64 - 1))}


NOON = dt.datetime.fromisoformat("2026-01-02T12:00:00")


@pytest.mark.parametrize(
    ("column", "type_", "value"),
    [
        (pa.array([dt.timedelta(hours=30, seconds=1), None]), "text", "P1DT6H1S"),
        (pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()), "text", "00000000-0000-0000-0000-000000000005"),
        (pa.array(['{"b": 1, "a": 2}', None], pa.json_()), "json", '{"a":2,"b":1}'),
        (pa.array([b"\xff", None], pa.binary_view()), "binary", b"\xff"),
        (pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)), "decimal", Decimal("1.5")),
        (pa.array([NOON, None], pa.timestamp("us", tz="+02:00")), "datetime", NOON.replace(tzinfo=dt.UTC)),
        (pa.array([NOON, None], pa.timestamp("ns", tz="Local/Unlisted")), "datetime", NOON.replace(tzinfo=dt.UTC)),
    ],
)
def test_types_of_parquet_that_few_programs_write_are_read_as_what_they_are(column, type_, value, there, connect):
    there.put("in.parquet", parquet("id it", pa.array([1, 2]), column))
    connector = connect(there.of("in.parquet", format={"type": "parquet"}))
    (entity,) = connector.discover()

    (page,) = connector.read(entity, fields=["it"])

    assert entity.field("it").type == type_
    assert (page.frame["it"].to_list(), page.misfits) == ([value, None], [])


def test_a_decimal_of_parquet_that_is_too_long_is_told(read):
    wide = pa.array([Decimal(10) ** 45, Decimal("0.5")], pa.decimal256(60, 2))

    frame, told = read(parquet("id it", pa.array([1, 2]), wide), "in.parquet", format={"type": "parquet"})

    assert frame["it"].to_list() == [None, Decimal("0.5")]
    assert told[0, "it"][0] == f"1{'0' * 45}.00"


# --- what changes, and when --------------------------------------------------------------------------------------------


def at(there, path, moment):
    os.utime(there.folder / path, (moment.timestamp(), moment.timestamp()))


def test_only_files_that_are_new_or_changed_are_read_again(there, connect):
    for name in ("a", "b", "c"):
        there.put(f"in/{name}.csv", f"id,name\n{name},x\n")
    connector = connect(there.of("in/*.csv"))
    entity = connector.discover()[0]
    newest = whole(connector.read(entity))["file_modified"].max()
    there.put("in/b.csv", "id,name\nb,y\nb2,y\n")
    there.put("in/d.csv", "id,name\nd,y\n")

    since = keys_of(entity, connector.read(entity, Cursor(canonical_text(newest + dt.timedelta(microseconds=1)), "")))

    assert since == ["b", "b2", "d"]


def test_a_file_whose_name_is_no_text_is_named_where_it_is_asked_for(there, connect):
    there.put("orders-1.csv", "id\n1\n")
    with open(os.fsencode(there.folder) + b"/orders-\xb6\xa9.csv", "wb") as file:  # as an archive from Windows may hold them
        file.write(b"id\n2\n")

    with pytest.raises(SettingsError, match=r"Shop: the name of the file orders-\\xb6\\xa9\.csv is not in UTF-8\. Rename it\."):
        connect(there.of("orders-*.csv")).discover()
    assert connect(there.of("orders-[0-9].csv")).discover()


def test_a_file_that_is_moved_in_with_an_old_time_is_new(there, connect):
    there.put("in/a.csv", "id,name\na,x\n")
    there.put("elsewhere/old.csv", "id,name\nold,x\n")
    at(there, "elsewhere/old.csv", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    connector = connect(there.of("in/*.csv"))
    entity = connector.discover()[0]
    newest = whole(connector.read(entity))["file_modified"].max()
    os.rename(there.folder / "elsewhere/old.csv", there.folder / "in/old.csv")

    since = keys_of(entity, connector.read(entity, Cursor(canonical_text(newest), "")))

    assert "old" in since


def replaced(there):
    there.put("in.csv", "id,name\n" + "".join(f"{n},y\n" for n in range(50)))


def grown(there):
    with open(there.folder / "in.csv", "a") as file:
        file.write("51,z\n")


def vanished(there):
    os.unlink(there.folder / "in.csv")


@pytest.mark.parametrize(
    ("happens", "error", "said"),
    [
        (replaced, PositionExpired, "in.csv of Shop was changed while it was read"),
        (grown, PositionExpired, "in.csv of Shop was changed while it was read"),
        (vanished, SettingsError, "Shop has no file in.csv"),
    ],
)
def test_reading_does_not_go_on_in_a_file_that_is_no_longer_the_same(happens, error, said, there, connect):
    there.put("in.csv", "id,name\n" + "".join(f"{n},x\n" for n in range(50)))
    connector = connect(there.of("in.csv"))
    entity = connector.discover()[0]
    page = next(connector.read(entity))
    happens(there)

    with pytest.raises(error, match=said):
        next(connector.read(entity, position=page.position))


def test_a_file_that_changes_in_place_while_it_is_read_is_noticed(there, connect):
    there.put("in.csv", "id,name\n" + "".join(f"{n},{'x' * 1000}\n" for n in range(3000)))
    connector = connect(there.of("in.csv"))
    pages = connector.read(connector.discover()[0])
    next(pages)
    grown(there)

    with pytest.raises(PositionExpired, match="was changed while it was read"):
        list(pages)


def test_a_file_that_is_replaced_while_it_is_read_is_read_to_its_end(there, connect):
    there.put("in.csv", "id,name\n" + "".join(f"{n},{'x' * 1000}\n" for n in range(3000)))
    connector = connect(there.of("in.csv"))
    entity = connector.discover()[0]
    pages = connector.read(entity)
    first = next(pages)
    replaced(there)

    assert len(keys_of(entity, [first, *pages])) == 3000


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_column_that_is_gone_is_named(form, there, connect):
    there.put("in.file", "id,name\n1,a\n" if form == "csv" else json.dumps({"id": 1, "name": "a"}))
    connector = connect(there.of("in.file", format={"type": form}))
    entity = connector.discover()[0]
    there.put("in.file", "id,nom\n1,a\n" if form == "csv" else json.dumps({"id": 1, "nom": "a"}))

    if form == "csv":
        with pytest.raises(SettingsError, match=r"in\.file of Shop has no column name; there are: id, nom"):
            list(connector.read(entity))
    else:  # each object has its own names
        assert next(connector.read(entity)).absent["name"].to_list() == [True]


# --- where the hub may look --------------------------------------------------------------------------------------------


class Guarded(FreeHost):
    def __init__(self, folder):
        super().__init__("Shop")
        self.folder = folder

    def allow_path(self, path):
        if not path.startswith(f"{self.folder}/") and path != str(self.folder):
            raise AddressRefused("{path} is in no allowed folder.", path=path)

    def allow_address(self, host, address):
        AddressPolicy().allow(host, address)


def test_a_link_out_of_the_allowed_folder_is_not_followed(there, connect, tmp_path):
    there.put("in/a.csv", "id,name\n1,a\n")
    (tmp_path / "secret.csv").write_text("id,name\n1,secret\n")
    os.symlink(tmp_path / "secret.csv", there.folder / "in/b.csv")
    os.symlink(tmp_path, there.folder / "out")

    for path in ("in/b.csv", "out/secret.csv", "in/*.csv"):
        with pytest.raises(AddressRefused, match=r"is in no allowed folder"):
            connect(there.of(path), Guarded(there.folder)).discover()


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "in/../../secret.csv", "in\\..\\x", "in/", "*/a.csv"])
def test_a_path_out_of_the_folder_is_refused(path, there):
    with pytest.raises(ValueError, match=r"inside the folder|Only the name"):
        FilesConnector.Settings.model_validate(there.of(path))


def test_what_is_no_file_is_not_opened(there, connect):
    there.put("in/a.csv", "id\n1\n")
    os.mkfifo(there.folder / "pipe.csv")

    for path in ("pipe.csv", "in"):
        with pytest.raises(SettingsError, match="is no file"):
            connect(there.of(path)).discover()


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("sftp", {"password": "wrong"}, "Shop does not let hub in"),
        ("sftp", {"host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "shows another host key"),
        ("sftp", {"port": 1}, "does not answer"),
        ("sftp", {"private_key": "no key"}, "private key entered for Shop cannot be read"),
        ("s3", {"bucket": "no-such-bucket"}, "has no bucket no-such-bucket"),
        ("s3", {"endpoint": "http://127.0.0.1:1"}, "does not answer"),
        ("s3", {"endpoint": "https://127.0.0.1:1", "ca_pem": "nonsense"}, "is no PEM text"),
        ("folder", {"folder": "/nowhere/at/all"}, "there is no folder"),
    ],
)
def test_what_is_wrong_with_the_place_is_said(kind, changed, said, tmp_path, file_servers, connect):
    there = fresh(kind, tmp_path, file_servers)
    there.put("in.csv", "id\n1\n")
    settings = there.of("in.csv")

    with pytest.raises(Exception, match=said) as caught:
        connect({**settings, "place": {**settings["place"], **changed}}).check()

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_an_address_that_the_guard_refuses_is_not_connected_to(kind, tmp_path, file_servers, connect):
    there = fresh(kind, tmp_path, file_servers)

    with pytest.raises(AddressRefused, match="this machine itself"):
        connect(there.of("in.csv"), Guarded(tmp_path)).check()


def test_a_server_may_be_known_by_its_fingerprint(tmp_path, file_servers, connect):
    import asyncssh

    there = fresh("sftp", tmp_path, file_servers)
    there.put("in.csv", "id\n1\n")
    there.settings["host_key"] = asyncssh.import_public_key(there.settings["host_key"]).get_fingerprint()

    assert "hub@127.0.0.1" in str(connect(there.of("in.csv")).check())


@pytest.mark.parametrize("name", ["date", "datetime", "time"])
def test_a_format_that_would_be_written_into_each_record_as_it_is_is_refused(name):
    with pytest.raises(ValueError, match="is no pattern of a date or time"):
        Csv.model_validate({name: "DD.MM.YYYY"})
