"""Lists page by key, forwards and back, without losing or repeating a row."""

import pytest
from django.test import RequestFactory

from integration_hub.audit.models import Entry
from integration_hub.core.paging import key_page

pytestmark = pytest.mark.django_db


@pytest.fixture
def entries():
    Entry.objects.bulk_create(Entry(event=f"e{n % 3}", actor_kind="hub", actor_name="hub", subject_type="x", subject_id=str(n)) for n in range(23))


def page(**params):
    return key_page(Entry.objects.all(), RequestFactory().get("/", params), order=("event", "-pk"), size=5)


def test_walking_to_the_end_and_back_shows_every_row_once(entries):
    wanted = list(Entry.objects.order_by("event", "-pk"))

    pages = [page()]
    while pages[-1].older:
        pages.append(page(after=pages[-1].older))
    back = [pages[-1]]
    while back[-1].newer:
        back.append(page(before=back[-1].newer))

    assert [row for each in pages for row in each.items] == wanted
    assert [row for each in reversed(back) for row in each.items] == wanted
    assert not pages[0].newer
    assert pages[0].count == 23


@pytest.mark.parametrize("mark", ["rubbish", "W10", "bnVsbA", "WzFd", "W251bGwsIG51bGxd", "é"])
def test_a_mark_that_cannot_be_read_gives_the_first_page(entries, mark):
    assert page(after=mark).items == page().items


def test_rows_with_equal_times_are_paged_too(entries):
    first = key_page(Entry.objects.all(), RequestFactory().get("/"), order=("-at", "-pk"), size=10)
    second = key_page(Entry.objects.all(), RequestFactory().get("/", {"after": first.older}), order=("-at", "-pk"), size=10)

    assert not {row.pk for row in first.items} & {row.pk for row in second.items}
    assert len(second.items) == 10
