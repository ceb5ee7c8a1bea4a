import datetime as dt

import polars as pl
import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from integration_hub.core import bulk
from integration_hub.core.models import Message

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


def test_the_rows_of_many_values_are_fetched_by_one_statement():
    Message.objects.bulk_create(Message(type=f"t{n}", subject="even" if n % 2 == 0 else "odd") for n in range(100))
    asked = [f"t{n}" for n in range(50, 5000)]

    rows = bulk.fetch(Message, ["type", "handled_at"], key="type", values=asked, where="handled_at IS NULL", subject="odd")

    assert sorted(rows) == sorted((f"t{n}", None) for n in range(51, 100, 2))
    assert bulk.fetch(Message, ["type"], key="type", values=["nothing"]) == []
    assert [list(column) for column in bulk.fetch_columns(Message, ["type", "id"], key="type", values=[])] == [[], []]
