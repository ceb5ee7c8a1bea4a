"""Each type in each format: what fits, what does not, and the way back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import orjson
import polars as pl
import pytest

from connectors.base import Field, FieldType
from connectors.canonical import canonical_key, canonical_text, from_canonical, key_parts
from connectors.rest.answers import Answer
from connectors.rest.records import Decoder, encoded
from connectors.rest.settings import FieldSettings, Formats
from connectors.rest.values import Form

UTC = dt.UTC
NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def form(type_: str, format_: str = "", zone: str = "", **more: Any) -> Form:
    declared = FieldSettings(name="x", type=FieldType(type_), format=format_, zone=zone, **more)
    return Form.of(Field(name="x", type=FieldType(type_), scale=declared.scale), declared, Formats(), 100)


def decoded(body: bytes, *forms: Form, path: str = ""):
    return Decoder(forms).decode(Answer(200, {}, body, system="Shop", place="GET /x"), path)


FITS = [
    ("text", "", "", "Grüße 你好 🎉", "Grüße 你好 🎉"),
    ("text", "", "", "nul\0", "nul\0"),
    ("text", "any", "", 5, "5"),
    ("text", "any", "", True, "true"),
    ("integer", "", "", 2**63 - 1, 2**63 - 1),
    ("integer", "", "", 5.0, 5),
    ("integer", "text", "", "-12", -12),
    ("integer", "any", "", "9223372036854775807", 2**63 - 1),
    ("integer", "any", "", -12, -12),
    ("number", "", "", 5, 5.0),
    ("number", "any", "", "1.5e0", 1.5),
    ("number", "any", "", 1.5, 1.5),
    ("number", "text", "", "1.5", 1.5),
    ("decimal", "", "", 12.3, Decimal("12.300000000")),
    ("decimal", "text", "", "12345678901234567890.123456789", Decimal("12345678901234567890.123456789")),
    ("decimal", "", "", 1e-07, Decimal("1E-7")),
    ("boolean", "", "", True, True),
    ("boolean", "1/0", "", 1, True),
    ("boolean", "Y/N", "", "n", False),
    ("boolean", "X/", "", "", False),
    ("date", "", "", "2026-02-28", dt.date(2026, 2, 28)),
    ("date", "%d.%m.%Y", "", "28.02.2026", dt.date(2026, 2, 28)),
    ("date", "%Y%m%d", "", "20260228", dt.date(2026, 2, 28)),
    ("date", "epoch_milliseconds", "Asia/Shanghai", 1795363200000, dt.date(2026, 11, 23)),
    ("time", "", "", "10:30:00", dt.time(10, 30)),
    ("time", "%H:%M", "", "10:30", dt.time(10, 30)),
    ("datetime", "", "", "2026-11-22T12:00:00Z", NOON),
    ("datetime", "", "", "2026-11-22T12:00:00.000000Z", NOON),
    ("datetime", "", "", "2026-11-22T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
    ("datetime", "", "", "2026-11-22T20:00:00+08:00", NOON),
    ("datetime", "", "", "2026-11-22T07:00:00-0500", NOON),
    ("datetime", "", "Asia/Shanghai", "2026-11-22T20:00:00", NOON),
    ("datetime", "", "Asia/Shanghai", "2026-11-22 20:00", NOON),
    ("datetime", "", "", "2026-11-22", dt.datetime(2026, 11, 22, tzinfo=UTC)),
    ("date", "", "", "0001-01-01", dt.date(1, 1, 1)),
    ("date", "%d.%m.%Y", "", "01.01.0001", dt.date(1, 1, 1)),
    ("datetime", "epoch_seconds", "", 1795348800, NOON),
    ("datetime", "epoch_seconds", "", 1795348800.5, NOON.replace(microsecond=500000)),
    ("datetime", "epoch_milliseconds", "", 1795348800000, NOON),
    ("datetime", "epoch_milliseconds", "", "1795348800000", NOON),
    ("datetime", "%Y/%m/%d %H:%M:%S", "Asia/Shanghai", "2026/11/22 20:00:00", NOON),
    ("datetime", "json_date", "", "/Date(1795348800000)/", NOON),
    ("datetime", "json_date", "", "/Date(1795348800000+0480)/", NOON),
    ("datetime", "json_date", "Asia/Shanghai", "/Date(1795377600000)/", NOON),
    ("datetime", "json_date", "", "/Date(-62135596800000)/", dt.datetime(1, 1, 1, tzinfo=UTC)),
    ("date", "json_date", "Asia/Shanghai", "/Date(1795305600000)/", dt.date(2026, 11, 22)),
    ("datetime", "", "Europe/Berlin", "2026-10-25T02:30:00", dt.datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ("json", "", "", {"b": [1, None], "a": 1.5}, '{"a":1.5,"b":[1,null]}'),
    ("json", "", "", "x", '"x"'),
    ("binary", "", "", "aGk=", b"hi"),
    ("binary", "", "", "-_-_", b"\xfb\xff\xbf"),
    ("binary", "", "", "aGk", b"hi"),
]
MISFITS = [
    ("text", "", "", b"5", "is a number, not text"),
    ("text", "", "", b'["a"]', "is a list, not text"),
    ("text", "", "", b'"' + b"x" * 101 + b'"', "is 101 bytes long; the limit is 100"),
    ("text", "", "", b'"\xff\xfe"', "not valid UTF-8"),
    ("text", "", "", b'"\\ud800"', "not valid UTF-8"),
    ("integer", "", "", b"9223372036854775808", "too large"),
    ("integer", "", "", b"1" * 5000, "too large"),
    ("integer", "", "", b"5.5", "is a number, not a whole number"),
    ("integer", "", "", b"true", "is true or false"),
    ("integer", "", "", b'"5"', "is text"),
    ("integer", "text", "", b'"five"', "no whole number"),
    ("integer", "any", "", b'"9223372036854775808"', "too large"),
    ("integer", "any", "", b'"5.5"', "no whole number"),
    ("number", "any", "", b'"INF"', "not finite"),
    ("number", "", "", b"NaN", "not finite"),
    ("number", "", "", b"-Infinity", "not finite"),
    ("number", "", "", b"1e999", "not finite"),
    ("number", "", "", b'"1"', "is text, not a number"),
    ("decimal", "", "", b"NaN", "not finite"),
    ("decimal", "", "", b'"NaN"', "not finite"),
    ("decimal", "", "", b'"1,5"', "is no decimal"),
    ("decimal", "", "", b"1e400", "more digits than a decimal holds"),
    ("decimal", "", "", b"0.0000000001", "more than 9 digits behind the point"),
    ("decimal", "", "", b'"1.00000000000"', None),
    ("boolean", "", "", b"1", "is neither of true/false"),
    ("boolean", "Y/N", "", b'"maybe"', "is neither of Y/N"),
    ("date", "", "", b'"2026-02-30"', "is no date in the format iso"),
    ("date", "", "", b'"2026-02-28T10:00:00"', "is no date"),
    ("date", "", "", b'"26-02-28"', "is no date in the format iso"),
    ("date", "%d.%m.%Y", "", b'"28.02.26"', "is no date in the format %d.%m.%Y"),
    ("datetime", "%d.%m.%Y %H:%M", "", b'"28.02.26 10:00"', "is no date and time in the format %d.%m.%Y %H:%M"),
    ("time", "", "", b'"25:00"', "is no time"),
    ("datetime", "", "", b'"yesterday"', "is no date and time in the format iso"),
    ("datetime", "", "", b"5", "is a number, not a date and time"),
    ("datetime", "", "Europe/Berlin", b'"2026-03-29T02:30:00"', "does not exist in the time zone Europe/Berlin"),
    ("datetime", "epoch_seconds", "", b"1e18", "outside the years 1 to 9999"),
    ("datetime", "epoch_milliseconds", "", b"99999999999999999", "outside the years 1 to 9999"),
    ("datetime", "json_date", "", b'"2026-11-22T12:00:00Z"', "is no date and time in the format /Date(…)/"),
    ("datetime", "json_date", "", b'"/Date(253402300800000)/"', "outside the years 1 to 9999"),
    ("datetime", "json_date", "Europe/Berlin", b'"/Date(1774751400000)/"', "does not exist in the time zone Europe/Berlin"),
    ("json", "", "", b'{"a": NaN}', "not finite"),
    ("json", "", "", b'"' + b"x" * 101 + b'"', "bytes long"),
    ("binary", "", "", b'"?"', "no Base64"),
]


@pytest.mark.parametrize(("type_", "format_", "zone", "sent", "held"), FITS)
def test_what_fits_is_held(type_, format_, zone, sent, held):
    shape = form(type_, format_, zone)

    found = decoded(orjson.dumps([{"x": sent}, {"x": None}]), shape)

    assert found.misfits == []
    assert found.frame["x"].to_list() == [held, None]


@pytest.mark.parametrize(("type_", "format_", "zone", "sent", "reason"), MISFITS)
def test_what_does_not_fit_is_told_and_the_rest_is_kept(type_, format_, zone, sent, reason):
    shape = form(type_, format_, zone)

    found = decoded(b'[{"x": null, "n": 1}, {"x": ' + sent + b', "n": 2}]', shape, form_named("n"))

    assert [(m.row, m.field) for m in found.misfits] == ([(1, "x")] if reason else [])
    assert all(reason in str(m.reason) and len(m.text) <= 200 for m in found.misfits)
    assert found.frame["n"].to_list() == [1, 2]


def form_named(name: str) -> Form:
    return Form.of(Field(name=name, type=FieldType.INTEGER), None, Formats(), 100)


@pytest.mark.parametrize(
    ("type_", "format_", "zone", "held", "sent"),
    [
        ("datetime", "", "", NOON, "2026-11-22T12:00:00Z"),
        ("datetime", "json_date", "", NOON, "/Date(1795348800000)/"),
        ("datetime", "json_date", "Asia/Shanghai", NOON, "/Date(1795377600000)/"),
        ("date", "json_date", "", dt.date(2026, 11, 22), "/Date(1795305600000)/"),
        ("binary", "base64url", "", b"\xfb\xff\xbf", "-_-_"),
        ("integer", "any", "", 5, 5),
        ("datetime", "", "", NOON.replace(microsecond=5), "2026-11-22T12:00:00.000005Z"),
        ("datetime", "%Y-%m-%d %H:%M:%S", "Asia/Shanghai", NOON, "2026-11-22 20:00:00"),
        ("datetime", "epoch_seconds", "", NOON, 1795348800),
        ("datetime", "epoch_milliseconds", "", NOON, 1795348800000),
        ("date", "", "", dt.date(2026, 2, 28), "2026-02-28"),
        ("date", "%Y%m%d", "", dt.date(2026, 2, 28), "20260228"),
        ("date", "epoch_seconds", "Asia/Shanghai", dt.date(2026, 11, 23), 1795363200),
        ("time", "", "", dt.time(10, 30), "10:30:00"),
        ("decimal", "", "", Decimal("12.30"), 12.3),
        ("decimal", "text", "", Decimal("12.30"), "12.3"),
        ("decimal", "text", "", Decimal("100"), "100"),
        ("integer", "text", "", 5, "5"),
        ("boolean", "", "", True, True),
        ("boolean", "1/0", "", False, 0),
        ("boolean", "Y/N", "", True, "Y"),
        ("json", "", "", '{"a":[1,2]}', {"a": [1, 2]}),
        ("binary", "", "", b"hi", "aGk="),
        ("text", "", "", "x", "x"),
    ],
)
def test_a_value_is_written_as_the_system_writes_it(type_, format_, zone, held, sent):
    shape = form(type_, format_, zone)

    written = shape.outgoing(pl.Series([held, None], dtype=shape.dtype))

    assert orjson.loads(orjson.dumps(written)) == [sent, None]
    assert orjson.loads(orjson.dumps(shape.write(held))) == sent


def test_a_declared_text_for_nothing_is_null():
    found = decoded(b'[{"x":"00000000"},{"x":"20260228"}]', form("date", "%Y%m%d", null_values=("00000000",)))

    assert found.misfits == []
    assert found.frame["x"].to_list() == [None, dt.date(2026, 2, 28)]


def test_objects_are_flattened_and_absent_is_not_null():
    names = ["address.city", "address.geo.lat", "name"]
    forms = [Form.of(Field(name=n), None, Formats(), 100) for n in names]
    body = b'[{"name":"a","address":{"city":"K","geo":{"lat":"1"}}},{"address":null},{"name":null,"address":{"geo":null}},{"name":""}]'

    found = decoded(body, *forms)

    assert found.frame.to_dict(as_series=False) == {
        "address.city": ["K", None, None, None],
        "address.geo.lat": ["1", None, None, None],
        "name": ["a", None, None, ""],
    }
    assert found.absent is not None
    assert found.absent.to_dict(as_series=False) == {
        "address.city": [False, False, True, True],
        "address.geo.lat": [False, False, False, True],
        "name": [False, True, False, False],
    }


def test_absence_is_the_same_when_values_are_looked_at_one_by_one():
    forms = [Form.of(Field(name=n), None, Formats(), 100) for n in ("a.b", "c")] + [form_named("n")]
    body = b'[{"a":{"b":"1"},"c":"x","n":1},{"a":null},{"a":{}},{"n":"wrong"},{"a":"text","n":2}, 7]'

    found = decoded(body, *forms)

    assert found.frame["a.b"].to_list() == ["1", None, None, None, None, None]
    assert found.absent is not None
    assert found.absent["a.b"].to_list() == [False, False, True, True, False, False]
    assert [(m.row, m.field, str(m.reason)) for m in found.misfits] == [
        (3, "n", "is text, not a whole number"),
        (4, "a.b", "is not inside an object"),
        (5, "", "is no record: an object with names and values was expected"),
    ]


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        ("007", "text", "007"), (7, "integer", "7"), (True, "boolean", "true"), (Decimal("12.50"), "decimal", "12.5"),
        (Decimal("100"), "decimal", "100"),
        (1.5, "number", "1.5"), (NOON, "datetime", "2026-11-22T12:00:00.000000Z"), (dt.date(2026, 1, 2), "date", "2026-01-02"),
        (dt.time(10, 30), "time", "10:30:00"), (b"hi", "binary", "6869"),
    ],
)  # fmt: skip
def test_a_value_has_one_text_and_the_text_one_value(value, type_, text):
    assert canonical_text(value) == text
    assert from_canonical(text, FieldType(type_)) == value


def test_a_composite_key_is_a_list_of_texts():
    assert canonical_key(["a,b", 7]) == '["a,b","7"]'
    assert key_parts('["a,b","7"]', 2) == ["a,b", "7"]
    assert key_parts("[x", 1) == ["[x"]
    with pytest.raises(ValueError):
        key_parts("a", 2)


@pytest.mark.parametrize(
    ("type_", "format_", "values"),
    [
        ("text", "", ["Grüße 你好 🎉", 'nul\0 \n " \\ / \u2028', "", None]),
        ("integer", "", [2**63 - 1, -(2**63), 0, None]),
        ("number", "", [1e22, 5.0, -0.0, 5e-324, 0.1, None]),
        ("boolean", "", [True, False, None, None]),
        ("datetime", "", [NOON, NOON.replace(microsecond=5), None, None]),
        ("datetime", "%d.%m.%Y %H:%M", [NOON, None, None, None]),
        ("date", "", [dt.date(2026, 2, 28), dt.date(1, 1, 1), None, None]),
        ("decimal", "text", [Decimal("12.30"), Decimal(0), Decimal(100), None]),
    ],
)
def test_records_encoded_at_once_are_the_same_bytes_as_one_by_one(type_: str, format_: str, values: list[Any]):
    one = form(type_, format_)
    column = pl.Series("x", values, dtype=one.dtype)

    plain = one.plain(column)

    assert plain is not None
    at_once = encoded([plain.alias("a.x"), plain.alias("y"), plain.alias("a.z")], len(values))
    assert at_once == [orjson.dumps({"a": {"x": value, "z": value}, "y": value}) for value in one.outgoing(column)]
    assert all(value is None or one.write(value) == sent for value, sent in zip(values, one.outgoing(column), strict=True))


def test_records_without_fields_are_empty_objects():
    assert encoded([], 2) == [b"{}", b"{}"]


@pytest.mark.parametrize(
    ("type_", "format_"), [("date", "DD.MM.YYYY"), ("datetime", "YYYY-MM-DD HH:mm"), ("time", "HH:mm"), ("date", "isodate"), ("boolean", "yes")]
)
def test_a_format_that_would_be_written_into_each_record_as_it_is_is_refused(type_, format_):
    with pytest.raises(ValueError, match=r"is no pattern of a date or time|does not say how yes and no are written"):
        form(type_, format_)
    with pytest.raises(ValueError, match=type_):
        Formats.model_validate({type_: format_})


@pytest.mark.parametrize(
    ("type_", "format_"),
    [("date", "%d.%m.%Y"), ("date", "epoch_seconds"), ("datetime", "json_date"), ("boolean", "X/"), ("text", "any"), ("date", "")],
)
def test_other_formats_are_taken(type_, format_):
    assert form(type_, format_).format == (format_ or "iso")
