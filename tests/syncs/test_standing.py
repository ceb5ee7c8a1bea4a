"""What stays as a person decided it, and what says why it stands still."""

import pytest
from django.utils import timezone, translation

from integration_hub.syncs import due, services
from integration_hub.syncs.models import OpenRow, Run, Sync
from integration_hub.systems.models import System

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dismissed_record_is_not_opened_again_until_it_changes(sandbox, users_sync, run_now, by):
    run_now(users_sync)
    row = OpenRow.objects.open().filter(field="email", step="required").first()
    services.dismiss_rejects(OpenRow.objects.filter(pk=row.pk), by=by, note="left the company")

    run_now(users_sync, full=True)
    assert not OpenRow.objects.open().filter(key=row.key).exists()

    sandbox.oa.change("user", row.key, mobile="+86 138 0000 0000")
    run_now(users_sync, full=True)
    assert OpenRow.objects.open().filter(key=row.key).exists()


def test_a_run_cancelled_before_a_worker_took_it_reads_nothing(users_sync, by):
    from tests.syncs.conftest import finish

    run = services.start_run(users_sync, by=by)
    services.cancel_run(run, by=by)

    run = finish(run)

    assert (run.state, run.counts["read"], run.balanced) == ("cancelled", 0, True)


def test_a_due_sync_that_cannot_start_says_why_on_its_page(client, person, users_sync, by):
    System.objects.filter(name="CRM").update(read_only=True)
    Sync.objects.filter(pk=users_sync.pk).update(interval_seconds=60, next_due_at=timezone.now())

    due.start_due_syncs()

    client.force_login(person("operator"))
    assert not Run.objects.exists()
    assert "CRM is read-only here" in client.get(users_sync.get_absolute_url()).content.decode()
    client.cookies["django_language"] = "zh-hans"
    with translation.override("zh-hans"):  # which also puts the language back behind the request
        assert "CRM 在此为只读" in client.get(users_sync.get_absolute_url()).content.decode()
