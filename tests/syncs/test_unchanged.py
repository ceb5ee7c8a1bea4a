"""A full run goes by what the one before agreed on, and only as long as that must still be true."""

import pytest
from django.core.files.storage import default_storage

from integration_hub.core import bulk
from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import gathering, plans, reading, services, undo
from integration_hub.syncs.models import Link, OpenRow, PageRow, SyncCursor
from tests.syncs.conftest import finish
from tests.syncs.linked import accounts_sync, company
from tests.syncs.shops import add, shop, shops

__all__ = ["accounts_sync", "company", "shop", "shops"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(monkeypatch):
    """The source keys that were looked for among the links."""
    keys, fetch = [], bulk.fetch_bytes

    def fetch_bytes(*args, values, **more):
        keys.extend(values)
        return fetch(*args, values=values, **more)

    monkeypatch.setattr(bulk, "fetch_bytes", fetch_bytes)
    return keys


@pytest.fixture
def full(accounts_sync, by, asked):
    """Run all of it; the names that the target has then."""

    def run(**more):
        asked.clear()
        accounts_sync.refresh_from_db()
        run = finish(services.start_run(accounts_sync, by=by, full=True, **more))
        assert run.balanced
        return run

    return run


@pytest.fixture
def customers(company):
    return lambda: dict(company.run("ERP", "SELECT crm_id, name FROM customers WHERE crm_id <> 'old'"))


def rename(company, id, name):
    company.run("CRM", "UPDATE accounts SET name = ? WHERE id = ?", (name, id))


def test_what_is_still_the_same_is_not_looked_for_among_the_links(company, full, asked):
    company.accounts(*range(1, 51))
    full()
    assert len(asked) == 50

    run = full()

    assert asked == []
    assert (run.counts["unchanged"], run.counts["read"]) == (50, 50)
    rename(company, 7, "New")
    company.accounts(99)
    run = full()
    assert sorted(asked) == ["7", "99"]
    assert (run.counts["unchanged"], run.counts["updated"], run.counts["created"]) == (49, 1, 1)


def test_a_record_that_was_changed_and_changed_back_is_written_twice(company, full, customers):
    company.accounts(1, 2)
    full()
    before = customers()
    full()
    rename(company, 1, "New")
    full()
    assert customers()["1"] == "New"

    rename(company, 1, before["1"])
    full()

    assert customers() == before


def test_nothing_is_gone_by_once_another_run_has_written(company, accounts_sync, full, customers, by, asked):
    company.accounts(1, 2)
    full()
    before = customers()
    rename(company, 1, "New")
    finish(services.start_run(accounts_sync, by=by, keys=["1"]))
    rename(company, 1, before["1"])

    full()

    assert sorted(asked) == ["1", "2"]
    assert customers() == before


def test_an_undone_run_is_written_again(company, full, customers, by, asked):
    company.accounts(1, 2)
    first = full()
    before = customers()
    plan = finish(undo.plan_undo(first, by=by))
    finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="Wrong"), by=by))
    assert customers() == {}

    full()

    assert customers() == before


def test_a_dry_run_between_changes_nothing(company, full, asked):
    company.accounts(1, 2)
    full()
    full(dry=True)

    full()

    assert asked == []


def test_what_was_deleted_and_comes_back_is_created_again(company, accounts_sync, full, customers, by):
    services.change_sync(accounts_sync, by=by, deletes="delete", most_deletes_percent=None)
    company.accounts(1, 2)
    full()
    company.run("CRM", "DELETE FROM accounts WHERE id = 1")
    assert full().counts["deleted"] == 1
    assert list(customers()) == ["2"]
    company.accounts(1)

    full()

    assert sorted(customers()) == ["1", "2"]
    assert Link.objects.live(accounts_sync.pair_id).count() == 2


def test_the_files_of_one_run_are_kept_and_those_before_it_are_gone(company, full):
    company.accounts(1, 2)
    files = []
    for _time in range(2):
        run = full()
        files += PageRow.objects.filter(partition__run=run).exclude(agreed="").values_list("agreed", flat=True)

    assert [default_storage.exists(file) for file in files] == [False, True]
    assert PageRow.objects.exclude(agreed="").count() == 1


@pytest.mark.parametrize("loss", ["gone", "spoilt"])
def test_without_its_files_the_links_are_asked(company, full, asked, loss):
    company.accounts(1, 2)
    full()
    for file in PageRow.objects.exclude(agreed="").values_list("agreed", flat=True):
        default_storage.delete(file)
        if loss == "spoilt":
            with default_storage.open(file, "wb") as opened:
                opened.write(b"PAR1 but not for long")

    run = full()

    assert sorted(asked) == ["1", "2"]
    assert run.counts["unchanged"] == 2


def test_another_version_of_the_mapping_writes_what_it_changes(company, accounts_sync, full, customers, by):
    company.accounts(1)
    full()
    first = accounts_sync.mapping.latest
    fields = [first.definition["fields"][0], {"target": "name", "source": "name", "steps": [{"transform": "upper"}]}]
    schemas = {"source_schema": first.source_schema, "target_schema": first.target_schema}
    MappingVersion.objects.create(mapping=accounts_sync.mapping, number=2, definition={**first.definition, "fields": fields}, **schemas)

    full()

    assert customers()["1"].isupper()


# --- pages that are gathered ------------------------------------------------------------------------------------------


@pytest.fixture
def tens(company, monkeypatch):
    """The CRM is read in pages of ten; five of them are gathered at most."""
    company.crm.settings["connection"]["page_rows"] = 10
    company.crm.save()
    monkeypatch.setattr(reading, "FIRST_ROWS", 10)
    monkeypatch.setattr(reading, "PAGE_ROWS", 10)
    monkeypatch.setattr(gathering, "PAGES", 5)
    monkeypatch.setattr(gathering, "SECONDS", 60.0)


def pages_of(run):
    return list(PageRow.objects.filter(partition__run=run).order_by("number").values_list("number", "read", "unchanged"))


def test_pages_on_which_hardly_anything_has_changed_are_compared_as_one(company, tens, full, asked, customers):
    company.accounts(*range(1, 101))
    first = full()
    assert len(pages_of(first)) >= 10
    rename(company, 7, "Seven")
    rename(company, 33, "Thirty-three")

    run = full()

    assert pages_of(run)[:2] == [(5, 50, 48), (10, 50, 50)]
    assert (run.counts["read"], run.counts["unchanged"], run.counts["updated"]) == (100, 98, 2)
    assert sorted(asked) == ["33", "7"]
    assert (customers()["7"], customers()["33"], len(customers())) == ("Seven", "Thirty-three", 100)
    again = full()
    assert (again.counts["unchanged"], sorted(asked)) == (100, ["33", "7"]), "what the run before changed is asked for once more"
    assert (full().counts["unchanged"], asked) == (100, [])


def test_a_page_on_which_much_has_changed_is_compared_by_itself_in_its_place(company, tens, full, customers, monkeypatch):
    monkeypatch.setattr(gathering, "ROWS", 3)
    company.accounts(*range(1, 51))
    full()
    for id in range(21, 26):
        rename(company, id, f"New {id}")

    run = full()

    assert [number for number, *__ in pages_of(run)] == [2, 3, 6]
    assert (run.counts["unchanged"], run.counts["updated"]) == (45, 5)
    assert customers()["25"] == "New 25"


def test_what_a_dry_run_has_left_open_is_closed_though_its_record_is_as_agreed(shop, shops, run_now):
    add(shop, (1, "One", "Germany", 1), (2, "Two", "Germany", 2))
    run_now(shops)
    shop.run("CRM", "UPDATE shops SET name = '' WHERE id = 1")
    run_now(shops, dry=True)
    assert OpenRow.objects.open().get().key == "1"
    shop.run("CRM", "UPDATE shops SET name = 'One' WHERE id = 1")

    run = run_now(shops)

    assert run.counts["unchanged"] == 2
    assert OpenRow.objects.get().closed_as == "later_pass"


def test_the_cursor_of_gathered_pages_is_the_greatest_on_any_of_them(sandbox, users_sync, run_now, by, monkeypatch):
    monkeypatch.setattr(reading, "FIRST_ROWS", 20)
    monkeypatch.setattr(reading, "PAGE_ROWS", 20)
    monkeypatch.setattr(gathering, "SECONDS", 60.0)
    sandbox.oa.has(user=150)
    sync = services.change_sync(users_sync, by=by, mode="full")
    run_now(sync)
    before = SyncCursor.objects.get(sync=sync)
    SyncCursor.objects.all().delete()

    run = run_now(sync)

    assert len(pages_of(run)) < 3, "they were gathered"
    assert str(SyncCursor.objects.get(sync=sync)) == str(before)
