"""A record that is deleted in the source is deleted in the target, marked, or left, as its sync says; and only where it is certain that it is gone."""

import pytest

from integration_hub.syncs import services
from integration_hub.syncs.models import Link, OpenRow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def full(few, users_sync, run_now, by):
    """A full sync of eighty users that has run once and deletes what is deleted."""
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    assert run_now(sync).state == "succeeded"
    return sync


def users_of_crm(sandbox):
    return {user["employee_id"] for user in sandbox.records("crm", "users")}


def a_user(sandbox):
    return sandbox.records("oa", "user")[7]["userId"]


def test_a_record_deleted_in_the_source_is_deleted_in_the_target(full, sandbox, run_now):
    gone = a_user(sandbox)
    before = users_of_crm(sandbox)
    sandbox.oa.delete("user", gone)

    run = run_now(full)

    assert (run.state, run.balanced) == ("succeeded", True)
    assert {name: run.counts[name] for name in ("missing", "deleted", "kept", "withheld")} == {"missing": 1, "deleted": 1, "kept": 0, "withheld": 0}
    assert before - users_of_crm(sandbox) == {gone}
    link = Link.objects.get(a_key=gone)
    assert link.ended_at is not None
    assert not OpenRow.objects.open().exists()
