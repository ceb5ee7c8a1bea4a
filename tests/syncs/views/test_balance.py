"""The numbers of a run's books lead to exactly the records they count; books that do not come out say where, and are told."""

import re

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils.html import escape

from integration_hub.accounts.models import Mail
from integration_hub.core import outbox
from integration_hub.core.models import Message
from integration_hub.syncs import carrying, services, stages
from integration_hub.syncs.models import OpenRow, PageRow, Partition, Run
from tests.syncs.linked import company
from tests.syncs.shops import add, shop, shops
from tests.syncs.views.conftest import press, shown

__all__ = ["company", "shop", "shops"]
pytestmark = pytest.mark.django_db(transaction=True)


def leads(client, run, word):
    """The address behind a number of the run's balance, and the number."""
    page = client.get(reverse("runs:detail", args=[run.pk])).content.decode()
    found = re.search(rf'<a href="([^"]+)"[^>]*><b>(\d+)</b><small>{word}</small>', page)
    assert found, word
    return found[1].replace("&amp;", "&"), int(found[2])


def test_each_number_leads_to_the_records_it_counts(enter, shop, shops, run_now):
    client = enter("operator")
    add(shop, (1, "One", "Germany", 1), (2, "Two", "Germany", 2), (3, "", "Germany", 3), (4, "Four", "Germany", 4))
    shop.run("ERP", "INSERT INTO stores (crm_id, name, country, staff) VALUES (?, ?, ?, ?)", ("1", "One", "DE", 1), ("2", "Zwei", "DE", 2))

    run = run_now(shops)

    assert run.balanced
    for word, name in (("created", "Four"), ("updated", "Two"), ("linked", "One"), ("rejected", "must not be empty")):
        address, count = leads(client, run, word)
        page = client.get(address).content.decode()
        assert count == 1
        assert [each for each in ("One", "Two", "Four", "must not be empty") if each in page] == [name], word
    assert client.get(f"/api/v1/runs/{run.pk}/changes/?result=linked").json()["items"][0]["source_key"] == "1"
    assert client.get(f"/api/v1/runs/{run.pk}/changes/?result=x").status_code == 400
    export = reverse("runs:changes_export", args=[run.pk])
    lines = b"".join(client.get(export, {"result": "linked"}).streaming_content).decode().splitlines()
    assert len(lines) == 2


def test_the_number_of_deleted_records_leads_to_none_that_the_target_refused_to_delete(enter, shop, shops, run_now, by):
    add(shop, *((pk, f"Shop {pk}", "Germany", pk) for pk in range(1, 10)))
    sync = services.change_sync(shops, by=by, deletes="delete", most_deletes_percent=None)
    run_now(sync)
    shop.run("ERP", "CREATE TRIGGER kept BEFORE DELETE ON stores WHEN OLD.crm_id = '2' BEGIN SELECT RAISE(ABORT, 'is in use'); END")
    shop.run("CRM", "DELETE FROM shops WHERE id < 3")

    run = run_now(sync)

    assert (run.counts["deleted"], run.counts["refused"]) == (1, 1)
    client = enter("operator")
    address, count = leads(client, run, "deleted")
    page = client.get(address).content.decode()
    assert (count, "Shop 1" in page, "Shop 2" in page) == (1, True, False)


def test_what_the_list_of_a_run_s_rejects_no_longer_shows_is_said(enter, shop, shops, run_now):
    client = enter("operator")
    add(shop, (1, "", "Germany", 1), (2, "", "Germany", 2))
    run = run_now(shops)
    press(client, "rejects:dismiss", ids=OpenRow.objects.get(key="1").pk, reason="x")

    page = shown(client, "rejects:list", run=run.pk, state="rejected")

    assert "1 more record was left; it has been replayed, dismissed or met by a later run since. Closed" in page


def test_books_that_do_not_balance_say_where_and_are_told(enter, person, shop, shops, by, monkeypatch):
    client = enter("viewer")
    person("operator", mail_failed_runs=True)
    add(shop, (1, "One", "Germany", 1), (2, "Two", "Germany", 2))
    run = services.start_run(shops, by=by)
    partition = Partition.objects.get(run=run)
    with monkeypatch.context() as before:
        before.setattr(stages, "advance", lambda run_id: None)
        carrying.carry_partition(partition.pk)
    PageRow.objects.filter(partition=partition, number=1).update(read=F("read") + 3)

    stages.advance(run.pk)
    for message in Message.objects.filter(type="run.unbalanced"):
        outbox.tell(message.pk)

    run.refresh_from_db()
    assert run.balanced is False
    page = shown(client, "runs:detail", run.pk)
    assert "Books do not balance" in page
    assert "3 records are not accounted for. In differs by 3; the counter of read differs by 3; page 1 of part 1: In by 3, Out by 0." in page
    assert 'data-state="bad"' in client.get(run.get_absolute_url()).content.decode()
    log = [line["template"].format(**line["values"]) for line in run.log.values_list("text", flat=True)]
    assert "page 1 of part 1: In by 3, Out by 0" in log
    mail = Mail.objects.get()
    assert (mail.person.username, mail.about, mail.path) == ("operator", f"run.unbalanced/{run.pk}", run.get_absolute_url())
    assert escape("In differs by {n}") in [line["template"] for line in mail.lines]
    assert not Run.objects.filter(pk=run.pk, sync__last_success_at__isnull=False).exists()


def test_out_says_its_page_too(enter, shop, shops, run_now):
    add(shop, (1, "One", "Germany", 1), (2, "Two", "Germany", 2))
    run = run_now(shops)
    run.change_sets.update(created=F("created") - 1)
    Run.objects.filter(pk=run.pk).update(balanced=False)

    assert "Out differs by 1; the counter of created differs by -1; page 1 of part 1: In by 0, Out by 1" in shown(
        enter("viewer"), "runs:detail", run.pk
    )
