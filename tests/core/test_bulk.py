import datetime as dt

import polars as pl
import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from integration_hub.core import bulk
from integration_hub.core.models import Message
from integration_hub.syncs.models import Link

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_broken_constraint_is_the_same_error_on_every_database():
    Group.objects.create(name="there")

    with pytest.raises(IntegrityError), transaction.atomic():
        bulk.insert(Group, pl.DataFrame({"name": ["new", "there"]}))

    assert list(Group.objects.values_list("name", flat=True)) == ["there"]


def test_what_is_inserted_comes_back_as_it_was():
    at = dt.datetime(2026, 11, 22, 12, 30, 0, 5, tzinfo=dt.UTC)
    names = ["plain", "", 'quoted "and", comma', "two\nlines", "海岚", "\\N"]
    frame = pl.DataFrame({"type": names}).with_columns(
        subject=pl.lit("runs/1"), facts=pl.lit("{}"), at=pl.lit(at), not_before=pl.lit(None, pl.Datetime)
    )

    bulk.insert(Message, frame)

    assert list(Message.objects.order_by("pk").values_list("type", "at", "not_before")) == [(name, at, None) for name in names]


def test_numbers_truths_bytes_and_nulls_come_back_as_they_were():
    now = timezone.now()
    rows = [("a", None, None, False, 0), ("b", b"\0\xff", 2**62, True, 7), ("c", b"", -(2**62), False, 32_767)]
    frame = pl.DataFrame(
        {
            "a_key": [row[0] for row in rows],
            "b_key": "é\t" + pl.Series([row[0] for row in rows]),
            "part": "",
            "sent_print": pl.Series([row[1] for row in rows], dtype=pl.Binary),
            "change_set_id": pl.Series([row[2] for row in rows], dtype=pl.Int64),
            "pair": 3,
            "a_many": [row[3] for row in rows],
            "b_many": False,
            "print_version": [row[4] for row in rows],
            "made_at": now,
            "ended_at": pl.Series([None, now, None], dtype=pl.Datetime("us", "UTC")),
        }
    )

    bulk.insert(Link, frame)

    found = Link.objects.order_by("pk").values_list("a_key", "sent_print", "change_set_id", "a_many", "print_version", "ended_at")
    assert [(key, None if stored is None else bytes(stored), *more) for key, stored, *more in found] == [
        ("a", None, None, False, 0, None),
        ("b", b"\0\xff", 2**62, True, 7, now),
        ("c", b"", -(2**62), False, 32_767, None),
    ]
    assert set(Link.objects.values_list("b_key", "pair", "made_at")) == {(f"é\t{key}", 3, now) for key in "abc"}


def test_more_rows_than_are_put_together_at_once_are_all_inserted():
    count = 2 * bulk.ROWS_AT_ONCE + 1

    bulk.insert(Message, pl.DataFrame({"type": [f"t{n}" for n in range(count)], "subject": "many", "facts": "{}", "at": timezone.now()}))

    assert sorted(Message.objects.values_list("type", flat=True)) == sorted(f"t{n}" for n in range(count))


def test_the_keys_of_links_are_compared_by_their_bytes():
    keys = ["Zoe", "amy", "ämy", "a-b", "ab", "B", "10", "9"]
    bulk.insert(
        Link,
        pl.DataFrame(
            {"a_key": keys, "b_key": keys, "pair": 3, "a_many": False, "print_version": 1, "made_at": timezone.now(), "part": "", "b_many": False}
        ),
    )

    assert list(Link.objects.order_by("a_key").values_list("a_key", flat=True)) == sorted(keys, key=str.encode)


def test_the_rows_of_many_values_are_fetched_by_one_statement():
    Message.objects.bulk_create(Message(type=f"t{n}", subject="even" if n % 2 == 0 else "odd") for n in range(100))
    asked = [f"t{n}" for n in range(50, 5000)]

    rows = bulk.fetch(Message, ["type", "handled_at"], key="type", values=asked, where="handled_at IS NULL", subject="odd")

    assert sorted(rows) == sorted((f"t{n}", None) for n in range(51, 100, 2))
    assert bulk.fetch(Message, ["type"], key="type", values=["nothing"]) == []
    assert bulk.fetch(Message, ["type", "id"], key="type", values=[]) == []


def test_the_bytes_of_many_rows_come_in_one_piece_with_the_place_of_each():
    stored = {"long": b"12345678abcdefgh", "none": None, "empty": b"", "ended": b"12345678"}
    now = timezone.now()
    for key, print_ in stored.items():
        Link.objects.create(
            pair_id=1, a_key=key, b_key=key, sent_print=print_, print_version=1, made_at=now, ended_at=now if key == "ended" else None
        )
    asked = {"key": "a_key", "where": "ended_at IS NULL", "pair": 1}

    places, lengths, found = bulk.fetch_bytes(Link, "sent_print", values=["empty", "no", "ended", "none", "long"], **asked)

    assert dict(zip(places.tolist(), lengths.tolist(), strict=True)) == {0: 0, 3: 0, 4: 16}
    assert found == b"12345678abcdefgh"
    assert [len(part) for part in bulk.fetch_bytes(Link, "sent_print", values=["no"], **asked)] == [0, 0, 0]
