"""A reject whose record is deleted in the source is met by no run again: it is closed by the next full one that can tell that it is gone, and by no other."""

import pytest

from integration_hub.core import texts
from integration_hub.syncs import deletes, services
from integration_hub.syncs.models import OpenRow, PageRow
from integration_hub.syncs.work import Work
from tests.syncs.linked import company
from tests.syncs.shops import add, shop, shops, stores

__all__ = ["company", "shop", "shops"]

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "The source no longer has this record."


def delete(shop, *ids):
    for pk in ids:
        shop.run("CRM", f"DELETE FROM shops WHERE id = {pk}")


def closed():
    return dict(OpenRow.objects.filter(closed_as="later_pass").values_list("key", "closed_note"))


def still_open():
    return set(OpenRow.objects.open().values_list("key", flat=True))


def not_askable(sync):
    source = sync.source
    source.schema["capabilities"]["lookup_by_key"] = False
    source.save()
    return services.Sync.objects.get(pk=sync.pk)


def looked_for_deletes(run):
    return any("looks for what was deleted" in texts.render(line.text) for line in run.log.all())


def test_it_is_closed_by_the_next_full_run_also_where_deletes_are_ignored(shop, shops, run_now):
    add(shop, (1, "", "Germany", 5), (2, "", "Germany", 6), (3, "Three", "Germany", 7))
    run_now(shops)
    delete(shop, 1, 3)

    run = run_now(shops)

    assert (run.state, run.balanced, run.sums()["rejected"]) == ("with_rejects", True, 1)
    assert (closed(), still_open()) == ({"1": NOTE}, {"2"})
    assert set(stores(shop)) == {"3"}, "the delete itself is ignored, as the sync says"
    assert not PageRow.objects.exclude(roster="").exists(), "no roster is written for it"


def test_where_every_open_row_was_met_nothing_is_looked_for(shop, shops, run_now):
    add(shop, (1, "", "Germany", 5), (2, "Two", "Germany", 6))
    assert not looked_for_deletes(run_now(shops))

    assert not looked_for_deletes(run_now(shops))


def test_it_is_closed_beside_the_deletes_of_a_sync_that_follows_them(shop, shops, run_now, by):
    sync = services.change_sync(shops, by=by, deletes="delete", most_deletes_percent=None)
    add(shop, (1, "", "Germany", 5), (2, "Two", "Germany", 6), (3, "Three", "Germany", 7))
    run_now(sync)
    delete(shop, 1, 2)

    run = run_now(sync)

    assert (run.state, run.balanced, run.sums()["deleted"]) == ("succeeded", True, 1)
    assert (closed(), set(stores(shop))) == ({"1": NOTE}, {"3"})


def test_where_the_source_cannot_be_asked_the_roster_tells(shop, shops, run_now, by):
    sync = not_askable(services.change_sync(shops, by=by, deletes="delete", most_deletes_percent=None))
    add(shop, (1, "", "Germany", 5), (2, "", "Germany", 6), (3, "Three", "Germany", 7))
    run_now(sync)
    delete(shop, 1)

    run = run_now(sync)

    assert run.balanced
    assert (closed(), still_open()) == ({"1": NOTE}, {"2"})


def test_where_nobody_can_tell_it_stays_open(shop, shops, run_now):
    sync = not_askable(shops)
    add(shop, (1, "", "Germany", 5), (3, "Three", "Germany", 7))
    run_now(sync)
    delete(shop, 1)

    run_now(sync)

    assert still_open() == {"1"}


def test_a_dry_run_closes_none(shop, shops, run_now):
    add(shop, (1, "", "Germany", 5), (3, "Three", "Germany", 7))
    run_now(shops)
    delete(shop, 1)

    run_now(shops, dry=True)

    assert still_open() == {"1"}


def test_that_a_source_holds_nothing_at_all_is_not_believed_while_some_is_linked(shop, shops, run_now):
    add(shop, (1, "", "Germany", 5), (3, "Three", "Germany", 7))
    run_now(shops)
    delete(shop, 1, 3)

    run = run_now(shops)

    assert (run.state, run.balanced, run.counts["read"]) == ("succeeded", True, 0)
    assert still_open() == {"1"}


def test_what_nobody_can_tell_of_waits_for_a_person_although_its_record_is_gone(shop, shops, run_now):
    add(shop, (1, "", "Germany", 5), (2, "", "Germany", 6), (3, "Three", "Germany", 7))
    run_now(shops)
    OpenRow.objects.filter(key="1").update(state="unknown")
    delete(shop, 1, 2)

    run_now(shops)

    assert (closed(), still_open()) == ({"2": NOTE}, {"1"})


def test_what_the_list_lacks_but_the_source_still_finds_stays_open(few, users_sync, run_now, by):
    sync = services.change_sync(users_sync, by=by, mode="full")
    spoilt = few.records("oa", "user")[60]["userId"]
    few.oa.change("user", spoilt, email="not an address")
    run_now(sync)
    few.oa.fault("empty", path="pageNo=2", times=2)

    run = run_now(sync)

    assert (run.balanced, run.counts["read"]) == (True, 50)
    assert still_open() == {spoilt}


def test_many_are_asked_for_part_by_part_and_turn_by_turn(shop, shops, run_now, monkeypatch):
    ends = Work.turn_is_over
    monkeypatch.setattr(Work, "turn_is_over", lambda work: (work.run.state == "closing" and not work.partition.read_done) or ends(work))
    monkeypatch.setattr(deletes, "ROWS_AT_ONCE", 2)
    add(shop, *((pk, "", "Germany", 5) for pk in range(1, 8)), (9, "Nine", "Germany", 7))
    run_now(shops)
    delete(shop, 1, 2, 3, 5, 7)
    OpenRow.objects.filter(key__in=("4", "6")).update(state="refused", run=None)

    run = run_now(shops)

    assert run.balanced
    assert set(closed()) == {"1", "2", "3", "5", "7"}
    assert still_open() == {"4", "6"}
