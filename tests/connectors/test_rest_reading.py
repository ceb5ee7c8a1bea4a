"""Reading: how lists end, what never ends, and answers that are not what was promised."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest

from connectors.base import KEY, BadAnswer, ConnectorError, Cursor, FreeHost, PositionExpired, SettingsError, SystemBusy, SystemDown
from tests.connectors.conftest import contacts
from tests.connectors.shop import Shop, answer, contact, fails, raw

LIST = {"pagination": {"type": "offset", "size": 10}}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def listing(**more):
    return {"entity": {"list": {**LIST, **more}}}


def read(connector, **how):
    entity = connector.discover()[0]
    return [page for page in connector.read(entity, **how)]  # noqa: C416


def names(pages):
    return [name for page in pages for name in page.frame["name"]]


# --- how a list ends ---


def test_an_empty_source_is_one_empty_page(shop: Shop, connect):
    pages = read(connect())

    assert [page.frame.height for page in pages] == [0]
    assert pages[0].position is None


def test_a_short_page_does_not_end_a_list_whose_size_the_system_caps(shop: Shop, connect):
    """Asked for 500 a page, the system grants 10: the records behind the first page must not be lost."""
    shop.has(25)
    granted = {"pagination": {"type": "offset", "size": 500, "size_parameter": ""}, "query": {"limit": "10"}}

    assert len(names(read(connect(**listing(**granted))))) == 25


@pytest.mark.parametrize("end", [{"total_path": "total"}, {"more_path": "more"}, {"short_page_ends": True}])
@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_told_end_saves_the_last_request(shop: Shop, connect, kind, end):
    shop.has(25)
    way = {"type": kind, "size": 10, "size_parameter": "limit", **end}

    assert len(names(read(connect(**listing(pagination=way))))) == 25
    assert len(shop.asked) == 3


def test_a_total_is_compared_with_what_was_read_and_not_with_what_was_asked_for(shop: Shop, connect):
    shop.has(25)
    granted = {"pagination": {"type": "page", "size": 20, "size_parameter": "", "total_path": "total"}, "query": {"limit": "10"}}

    assert len(names(read(connect(**listing(**granted))))) == 25


@pytest.mark.parametrize("end", [{}, {"total_path": "total"}])
@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_record_that_a_page_holds_twice_is_counted_once_where_the_next_begins(shop: Shop, connect, kind, end):
    shop.has(25)
    way = {"type": kind, "size": 10, "size_parameter": "limit", **end}

    found = names(read(connect(**listing(pagination=way, query={"twice": "yes"}))))

    assert (len(set(found)), len(found)) == (25, 28)


def test_the_page_count_ends_a_list(shop: Shop, connect):
    shop.has(20)

    pages = read(connect(**listing(pagination={"type": "page", "size": 10, "size_parameter": "limit", "pages_path": "pages"})))

    assert [page.position and page.position["page"] for page in pages] == [2, None]


def test_a_missing_total_is_an_error_and_no_early_end(shop: Shop, connect):
    shop.has(25)

    with pytest.raises(BadAnswer, match="without a number at count, by which the last page is known"):
        read(connect(**listing(pagination={"type": "offset", "size": 10, "total_path": "count"}), connection={"tries": 1}))


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_list_that_ends_before_its_total_is_an_error_where_all_is_asked_for(shop: Shop, connect, kind):
    """As systems do that show the first ten thousand records alone. What changed may be fewer: many totals count all."""
    connector = connect(**listing(pagination={"type": kind, "total_path": "total"}), connection={"tries": 1})
    shop.answers["/contacts"] = (200, {"items": [], "total": 50})

    with pytest.raises(BadAnswer, match="that there are 50 records, but its pages end after 0"):
        read(connector)

    assert names(read(connector, since=Cursor("2026-11-22T10:00:00.000000Z", ""))) == []


def test_parameters_can_travel_in_the_body(shop: Shop, connect):
    shop.answers["/search"] = (200, {"items": [contact(1)], "next_cursor": None})
    way = {"path": "/search", "method": "POST", "body": {"filter": "x"}, "pagination": {"type": "cursor", "size": 7, "send_in": "body"}}

    read(connect(**listing(**way, changed_since={"parameter": "from", "send_in": "body"})), since=Cursor("2026-11-22T10:00:00.000000Z", ""))

    assert shop.bodies[-1] == b'{"filter":"x","from":"2026-11-22T10:00:00Z","limit":7}'


@pytest.mark.parametrize(
    ("how", "sent"),
    [
        ({}, "2026-11-22T10:00:00Z"),
        ({"includes_equal": False}, "2026-11-22T09:59:59.999999Z"),
        ({"format": "epoch_seconds"}, "1795341600"),
        ({"format": "epoch_seconds", "includes_equal": False}, "1795341599"),
        ({"format": "epoch_milliseconds"}, "1795341600000"),
        ({"format": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"}, "2026-11-22 18:00:00"),
        ({"format": "%d/%m/%Y %H:%M", "includes_equal": False}, "22/11/2026 09:59"),
        ({"template": "updated_at ge '{value}'"}, "updated_at ge '2026-11-22T10:00:00Z'"),
    ],
)
def test_the_moment_is_sent_as_the_system_writes_it(shop: Shop, connect, how, sent):
    read(connect(**listing(changed_since={"parameter": "from", **how})), since=Cursor("2026-11-22T10:00:00.000000Z", "5"))

    assert shop.asked[-1].query["from"] == sent


def test_the_upper_bound_is_rounded_up(shop: Shop, connect):
    way = {"parameter": "from", "until_parameter": "to", "format": "epoch_seconds"}

    read(connect(**listing(changed_since=way)), until="2026-11-22T10:00:00.000001Z")

    assert shop.asked[-1].query["to"] == "1795341601"


def test_tombstones_are_told_apart(shop: Shop, connect):
    shop.has(5)
    shop.contacts[2]["deleted"] = True
    shop.contacts[4]["amount"] = "wrong"
    fields = [*contacts()["fields"], {"name": "deleted", "type": "boolean"}]

    page = read(connect(entity={"fields": fields, "list": {"deleted_field": "deleted"}}))[0]

    assert page.deleted == ["2"]
    assert page.frame["id"].to_list() == [1, 3, 4, 5]
    assert [(m.row, m.field) for m in page.misfits] == [(2, "amount")]


# --- what never ends ---


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ({"type": "cursor", "size": 10}, {"next_cursor": "again"}),
        ({"type": "next_url", "path": "next"}, {"next": "/loop?cursor=again"}),
        ({"type": "next_url", "path": "next"}, {"next": "/loop"}),
    ],
)
def test_a_next_page_that_was_there_before_is_an_error(shop: Shop, connect, way, body):
    shop.answers["/loop"] = (200, {"items": [], **body})

    with pytest.raises(BadAnswer, match="next page was read before: the list has no end"):
        read(connect(**listing(path="/loop", pagination=way)))


def test_a_system_that_ignores_the_page_parameter_is_found_out(shop: Shop, connect):
    shop.answers["/loop"] = (200, {"items": [contact(1)]})

    with pytest.raises(BadAnswer, match=r"two pages of contacts with the same records\. Check the page parameter"):
        read(connect(**listing(path="/loop", pagination={"type": "page"})))


def test_a_position_that_expired_is_named(shop: Shop, connect):
    connector = connect(**listing())
    shop.faults.append(fails(410, {"message": "cursor expired"}))

    with pytest.raises(PositionExpired, match="no longer knows the page of contacts"):
        read(connector, position={"offset": 10})


def test_a_first_page_that_is_gone_is_no_expired_position(shop: Shop, connect):
    shop.faults.append(fails(410))

    with pytest.raises(SettingsError):
        read(connect(**listing()))


# --- answers that are not what was promised ---

BAD_ANSWERS = {
    "a web page": (answer(b"<!doctype html><p>Sign in"), "a web page instead of JSON, perhaps a sign-in page. Check its address and credentials"),
    "an empty body": (answer(b""), "an empty body where JSON was expected"),
    "cut in the middle": (answer(b'{"items": [{"id": 1, "name": "x"'), "JSON that ends in the middle, after 32 bytes"),
    "no JSON": (answer(b'{"items": [}, 1]}'), "something that is not JSON"),
    "nested too deeply": (answer(b'{"items": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "another shape": (answer({"data": {"rows": []}}), "without a list of records at items. Correct the record path; there are lists at: data.rows"),
    "an error inside": (answer({"items": None}), "without a list of records at items"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_an_answer_that_is_no_list_of_records_is_one_clear_sentence(shop: Shop, connect, what):
    response, sentence = BAD_ANSWERS[what]
    connector = connect(**listing(), connection={"tries": 1})

    shop.answers["/contacts"] = (200, response.body)
    with pytest.raises(BadAnswer) as caught:
        read(connector)

    assert sentence in str(caught.value)
    assert "Shop answered GET /contacts" in str(caught.value)


@pytest.mark.parametrize("body", [{"items": None}, {"errcode": 0}])
def test_null_is_no_records_where_the_settings_say_so(shop: Shop, connect, body):
    """As systems write it whose language has no empty list."""
    connector = connect(**listing(none_is_empty=True), connection={"tries": 1})
    shop.answers["/contacts"] = (200, body)

    assert names(read(connector)) == []
    assert connector.lookup(connector.discover()[0], "email", ["c2@example.com"]).height == 0

    shop.answers["/contacts"] = (200, {"items": "none"})
    with pytest.raises(BadAnswer, match="without a list of records at items"):
        read(connector)


@pytest.mark.parametrize(
    ("bytes_", "error", "sentence"),
    [
        (OK + b'Content-Length: 100\r\n\r\n{"items": [', BadAnswer, "The answer of Shop to GET /contacts was cut short"),
        (OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"ite', BadAnswer, "was cut short"),
        (b"", SystemDown, "closed the connection before it answered GET /contacts"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", BadAnswer, "something that is not HTTP"),
    ],
)
def test_an_answer_that_breaks_off_is_tried_again(shop: Shop, connect, bytes_, error, sentence):
    shop.has(3)
    connector = connect(**listing(), connection={"tries": 2})

    shop.faults.extend([raw(bytes_)] * 4)
    with pytest.raises(error, match=sentence):
        read(connector)
    shop.faults.clear()
    shop.faults.append(raw(bytes_))

    assert len(names(read(connector))) == 3


def test_a_passing_failure_is_tried_again(shop: Shop, connect):
    shop.has(3)
    shop.faults.extend([fails(500), fails(502)])

    assert len(names(read(connect(**listing())))) == 3


def test_too_large_an_answer_is_refused_and_not_asked_for_again(shop: Shop, connect):
    shop.contacts = {1: contact(1, name="x" * 5000)}

    for more in ({}, {"Content-Encoding": "identity"}):
        shop.asked.clear()
        with pytest.raises(BadAnswer, match=r"more than 2000 bytes\. Ask for smaller pages"):
            read(connect(**listing(), answers={"max_bytes": 2000}, connection={"headers": more}))
        assert len(shop.asked) == 1


def test_a_huge_value_is_a_misfit_of_its_record_alone(shop: Shop, connect):
    shop.has(3)
    shop.contacts[2]["name"] = "ä" * 6_000_000

    page = read(connect(**listing()))[0]

    assert page.frame["name"].to_list() == ["Contact 1", None, "Contact 3"]
    assert [(m.row, m.field, str(m.reason), len(m.text)) for m in page.misfits] == [
        (1, "name", "is 12000000 bytes long; the limit is 1048576", 200),
    ]


def test_broken_utf8_is_a_misfit_of_its_record_alone(shop: Shop, connect):
    shop.answers["/contacts"] = (200, b'{"total":2,"items":[{"id":1,"name":"ok"},{"id":2,"name":"M\xfcller"}]}')

    page = read(connect(**listing(pagination={"type": "none"})))[0]

    assert page.frame["name"].to_list() == ["ok", None]
    assert [(m.row, m.field, m.text) for m in page.misfits] == [(1, "name", "M?ller")]


def test_another_encoding_is_understood_if_it_is_named(shop: Shop, connect):
    shop.answers["/contacts"] = (200, '{"items":[{"id":1,"name":"王芳"}]}'.encode("gb18030"), {"Content-Type": "application/json; charset=gb18030"})

    assert names(read(connect(**listing(pagination={"type": "none"})))) == ["王芳"]


def test_duplicate_keys_and_nul_characters_pass(shop: Shop, connect):
    shop.contacts = {1: contact(1, name="a\0b"), 2: contact(1)}

    page = read(connect(**listing()))[0]

    assert page.frame["id"].to_list() == [1, 1]
    assert page.frame["name"][0] == "a\0b"


@pytest.mark.parametrize(
    ("status", "body", "error", "sentence"),
    [
        (
            401,
            {"message": "bad token"},
            SettingsError,
            "credentials for GET /contacts: bad token. Enter them again under Systems, Shop.",
        ),
        (403, {"error": {"message": "no scope"}}, SettingsError, "does not accept our credentials for GET /contacts: no scope"),
        (404, {"detail": "nope"}, SettingsError, "Shop knows no GET /contacts. Correct the path"),
        (400, {"errors": [{"detail": "limit too large"}]}, SettingsError, "refused GET /contacts with status 400: limit too large"),
        (500, b"<html>oops", SystemDown, "failed at GET /contacts with status 500: HTTP 500"),
        (301, b"", SettingsError, "sends GET /contacts on to"),
    ],
)
def test_a_status_is_told_in_one_sentence(shop: Shop, connect, status, body, error, sentence):
    shop.answers["/contacts"] = (status, body, {"Location": "/login"})

    with pytest.raises(error) as caught:
        read(connect(**listing(), connection={"tries": 1}))

    assert sentence in str(caught.value)


def test_an_error_inside_a_200_is_an_error(shop: Shop, connect):
    shop.answers["/contacts"] = (200, {"code": 50001, "msg": "internal", "items": []})

    with pytest.raises(BadAnswer, match=r"answered GET /contacts with an error: \[50001\] internal"):
        read(connect(**listing(), answers={"success_path": "code", "success_values": ["0"]}, connection={"tries": 1}))


# --- waiting ---


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date", "none", "nonsense"])
def test_a_short_wait_is_waited_and_a_long_one_handed_on(shop: Shop, connect, monkeypatch, status, form):
    monkeypatch.setattr("random.uniform", lambda least, most: 0.01)  # the jitter

    def header(seconds: float) -> dict[str, str]:
        moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        return {
            "seconds": {"Retry_After": str(seconds)},
            "date": {"Retry_After": format_datetime(moment, usegmt=True)},
            "nonsense": {"Retry_After": "soon"},
        }.get(form, {})

    shop.has(3)
    connector = connect(**listing())
    shop.faults.append(fails(status, **header(0)))
    assert len(names(read(connector))) == 3

    shop.faults.extend([fails(status, **header(120))] * 3)
    with pytest.raises(SystemBusy, match=f"asks us to wait .status {status}") as caught:
        read(connector)

    assert caught.value.retry_after is not None
    if form in ("seconds", "date"):
        assert 110 < caught.value.retry_after <= 120
        asked = len(shop.asked)
        with pytest.raises(SystemBusy, match="has asked us to wait"):  # and nobody asks before that
            read(connector)
        assert len(shop.asked) == asked


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("120", [120]),
        ("1", []),
        ("1e9", [86_400]),
        ("Fri, 31 Dec 9999 23:59:59 GMT", [86_400]),
        ("-5", []),
        ("inf", []),
        ("nan", []),
        ("1e400", []),
        ("soon", []),
    ],
)
def test_a_wait_is_told_to_the_hub_once_and_is_a_day_at_most(shop: Shop, connect, header, told):
    class Host(FreeHost):
        def asked_to_wait(self, seconds):
            self.told.append(seconds)

    host = Host("Shop")
    host.told = []
    shop.answers["/contacts"] = (429, {}, {"Retry-After": header})

    with pytest.raises(SystemBusy):
        read(connect(**listing(), connection={"tries": 1}, host=host))

    assert host.told == pytest.approx(told, abs=2)


def test_a_code_in_the_body_can_mean_wait(shop: Shop, connect):
    shop.answers["/contacts"] = (200, {"errcode": 45009, "errmsg": "freq"}, {"Retry-After": "60"})
    rules = {"success_path": "errcode", "success_values": ["0"], "wait_codes": ["45009"]}

    with pytest.raises(SystemBusy) as caught:
        read(connect(**listing(), answers=rules))

    assert caught.value.retry_after == pytest.approx(60)


# --- looking up ---


def test_a_lookup_that_is_ignored_is_no_not_found(shop: Shop, connect):
    """A system that does not know the parameter answers with any records; taken for "not there", that would make twins."""
    shop.has(5)
    ways = [{"by": "email", "path": "/contacts", "query": {"mail": "{value}"}, "record_path": "items"}]
    connector = connect(entity={"lookups": ways})

    with pytest.raises(BadAnswer, match=r"with records other than those looked up by email\. Check the lookup's parameters"):
        connector.lookup(connector.discover()[0], "email", ["c1@example.com"])


def test_many_are_looked_up_in_few_requests_and_twice_the_same_is_found_twice(shop: Shop, connect):
    shop.has(40)
    shop.contacts[7]["email"] = "c8@example.com"
    ways = [{"by": "email", "path": "/contacts", "query": {"email": "{values}"}, "values_per_request": 20, "record_path": "items"}]
    connector = connect(entity={"lookups": ways})

    found = connector.lookup(connector.discover()[0], "email", [f"c{n}@example.com" for n in range(1, 41)], ["id"])

    assert len(shop.asked) == 2
    assert sorted(found["id"]) == sorted([*range(1, 41)])


def test_a_text_that_is_no_value_of_the_field_does_not_hide_the_others(shop: Shop, connect):
    shop.has(3)
    ways = [{"by": "#key", "path": "/contacts", "query": {"ids": "{values}"}, "values_per_request": 20, "record_path": "items"}]
    connector = connect(entity={"lookups": ways})

    found = connector.lookup(connector.discover()[0], "#key", ["1", "no number", "3"], ["id"])

    assert sorted(found["id"]) == [1, 3]


def test_a_value_that_cannot_stand_in_the_path_of_a_lookup_is_nobodys_and_asks_for_nothing_else(shop: Shop, connect):
    connector = connect(entity={"fields": [{"name": "id"}, {"name": "name"}], "cursor_field": None})

    assert connector.lookup(connector.discover()[0], KEY, ["", ".", ".."]).height == 0
    assert shop.asked == []


def test_a_lookup_whose_answer_has_no_records_where_expected_is_an_error(shop: Shop, connect):
    shop.has(1)
    ways = [{"by": "email", "path": "/contacts", "query": {"email": "{value}"}, "record_path": "data"}]
    connector = connect(entity={"lookups": ways})

    with pytest.raises(ConnectorError, match="without a list of records at data"):
        connector.lookup(connector.discover()[0], "email", ["c1@example.com"])


# --- learning fields ---


def test_fields_are_learnt_from_the_first_records(shop: Shop, connect):
    shop.contacts = {
        1: {
            "id": 1,
            "name": None,
            "a": {"b": 1, "c": {"d": "2026-01-31"}},
            "at": "2026-11-22T10:00:00Z",
            "mixed": 1,
            "tags": [1],
            "n": 1,
            "o": {"x": 1},
        },
        2: {"id": 2, "name": "x", "a": None, "at": None, "mixed": "x", "tags": [], "n": 1.5, "o": "plain", "late": True, "empty": {}},
    }

    entity = connect(entity={"fields": [], "cursor_field": None}).discover()[0]

    assert [(f.name, f.type) for f in entity.fields] == [
        ("id", "integer"), ("name", "text"), ("a.b", "integer"), ("a.c.d", "date"), ("at", "datetime"), ("mixed", "json"), ("tags", "json"),
        ("n", "number"), ("o", "json"), ("late", "boolean"), ("empty", "json"),
    ]  # fmt: skip


def test_what_is_learnt_can_be_read(shop: Shop, connect):
    shop.has(25)
    connector = connect(entity={"fields": [{"name": "price", "type": "decimal", "format": "text"}], "learn_fields": True})

    entity = connector.discover()[0]
    pages = list(connector.read(entity))

    assert entity.fields[0].name == "price"
    assert not [m for page in pages for m in page.misfits]
    assert sum(page.frame.height for page in pages) == 25


def test_an_empty_source_cannot_be_learnt_from(shop: Shop, connect):
    with pytest.raises(SettingsError, match=r"has no records to learn its fields from\. Declare its fields"):
        connect(entity={"fields": []}).discover()


def test_a_key_that_is_no_field_is_named(shop: Shop, connect):
    shop.has(1)

    with pytest.raises(SettingsError, match=r"has no field uuid, which is its key or cursor. .* there are: active, address\.city"):
        connect(entity={"fields": [], "key": ["uuid"]}).discover()
