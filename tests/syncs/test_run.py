import pytest

from integration_hub.syncs.models import Link, OpenRow

pytestmark = pytest.mark.django_db(transaction=True)


def mapped(users):
    return {u["userId"]: (u["name"].strip(), u["email"].strip().lower()) for u in users if u["name"].strip() and u["email"] and "@" in u["email"]}


def test_a_first_run_brings_every_record_that_can_be_mapped(sandbox, users_sync, run_now):
    run = run_now(users_sync)

    expected = mapped(sandbox.records("oa", "user"))
    arrived = {u["employee_id"]: (u["full_name"], u["email"]) for u in sandbox.records("crm", "users") if u["employee_id"] in expected}
    assert run.state == "with_rejects", [line.text for line in run.log.all()]
    assert arrived == expected
    assert run.balanced
    assert Link.objects.count() == len(expected)
    assert OpenRow.objects.open().count() == run.counts["rejected"] + run.counts["refused"]


def test_a_second_run_writes_nothing(sandbox, users_sync, run_now):
    run_now(users_sync)
    before = sandbox.crm.applied()

    run = run_now(users_sync, full=True)

    assert sandbox.crm.applied() == before
    assert run.counts["unchanged"] == Link.objects.count()
    assert run.balanced
