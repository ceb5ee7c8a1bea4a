"""What stays as a person decided it, and what says why it stands still."""

import pytest
from django.utils import timezone, translation

from integration_hub.core import texts
from integration_hub.syncs import due, services
from integration_hub.syncs.models import OpenRow, Run, Sync
from integration_hub.systems.models import System
from tests.syncs.conftest import finish

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


@pytest.fixture
def unasked(few, users_sync, run_now, by):
    """A full sync into a target that cannot be asked for anything, whose three creates were taken and never answered."""
    entity = users_sync.target
    entity.schema["capabilities"] |= {"lookup_by": [], "upsert": False, "idempotency_key": False}
    entity.save()
    few.oa.has(user=3)
    few.crm.has(users=0)
    few.crm.fault("drop_after", method="POST", path="/users", times=3)
    sync = services.change_sync(users_sync, by=by, mode="full")
    run = run_now(sync)
    assert (run.counts["unknown"], len(few.records("crm", "users"))) == (3, 3)
    return sync


def test_what_nobody_could_tell_of_and_somebody_dismissed_is_never_created_again(few, unasked, run_now, by):
    services.dismiss_rejects(OpenRow.objects.open(), by=by, note="They are there")

    run = run_now(unasked)

    assert (run.counts["unknown"], run.counts["created"], run.balanced) == (3, 0, True)
    assert len(few.records("crm", "users")) == 3
    assert not OpenRow.objects.open().exists()


@pytest.fixture
def beside(unasked, by):
    """Another sync of the same pair."""
    ends = {"source": unasked.source, "target": unasked.target, "mapping": unasked.mapping}
    return services.create_sync(by=by, name="Every night", mode="full", **ends)


def test_what_nobody_can_tell_of_is_not_created_by_another_sync_of_the_pair_either(few, unasked, beside, run_now, by):
    run = run_now(beside)

    assert (run.state, run.balanced, run.counts["moved"], run.counts["created"]) == ("with_rejects", True, 3, 0)
    assert len(few.records("crm", "users")) == 3
    left = OpenRow.objects.open().filter(sync=beside)
    assert unasked.name in texts.render(left[0].reason)

    services.replay_rejects(OpenRow.objects.open().filter(sync=unasked), by=by)
    finish(Run.objects.get(trigger="replay"))
    run = run_now(beside)

    assert (run.state, run.balanced, run.counts["created"], run.counts["moved"]) == ("succeeded", True, 0, 0)
    assert not OpenRow.objects.open().exists()


def test_what_somebody_dismissed_of_it_is_never_created_by_another_sync_of_the_pair(few, unasked, beside, run_now, by):
    services.dismiss_rejects(OpenRow.objects.open(), by=by, note="They are there")

    run = run_now(beside)

    assert (run.counts["unknown"], run.counts["created"], run.balanced) == (3, 0, True)
    assert len(few.records("crm", "users")) == 3


def test_once_such_a_record_changes_it_is_asked_about_again_and_created_only_by_who_replays_it(few, unasked, run_now, by):
    services.dismiss_rejects(OpenRow.objects.open(), by=by, note="They are there")
    (user, *_rest) = few.oa.records("user")
    few.oa.change("user", user["userId"], name="Somebody Else")

    run_now(unasked)

    row = OpenRow.objects.open().get()
    assert (row.key, row.state, len(few.records("crm", "users"))) == (user["userId"], "unknown", 3)
    services.replay_rejects(OpenRow.objects.open(), by=by)
    assert finish(Run.objects.live().get()).counts["created"] == 1
    assert run_now(unasked).counts["unknown"] == 2
