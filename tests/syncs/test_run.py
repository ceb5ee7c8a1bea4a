import pytest

from integration_hub.syncs.models import Link, OpenRow
from tests.syncs.equal import assert_equal, mapped

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_first_run_brings_every_record_that_can_be_mapped(sandbox, users_sync, run_now):
    run = run_now(users_sync)

    assert run.state == "with_rejects", [line.text for line in run.log.all()]
    assert_equal(sandbox)
    assert run.balanced
    assert Link.objects.count() == len(mapped(sandbox.records("oa", "user")))
    assert OpenRow.objects.open().count() == run.counts["rejected"] + run.counts["refused"]


def test_a_second_run_writes_nothing(sandbox, users_sync, run_now):
    run_now(users_sync)
    before = sandbox.crm.applied()

    run = run_now(users_sync, full=True)

    assert sandbox.crm.applied() == before
    assert run.counts["unchanged"] == Link.objects.count()
    assert run.balanced
