import pytest

from integration_hub.core import logs
from integration_hub.syncs.models import Link, OpenRow
from integration_hub.systems.host import SystemHost
from integration_hub.systems.models import System
from integration_hub.systems.permits import Permits
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


@pytest.mark.parametrize("place", [(SystemHost, "before_request"), (Permits, "take"), (Permits, "_draw")], ids=lambda place: place[1])
def test_whatever_thread_of_a_run_logs_a_line_it_names_run_and_partition(few, users_sync, run_now, monkeypatch, place):
    System.objects.update(requests_per_second=1000)
    where, name = place
    goes_on, marks = getattr(where, name), []
    monkeypatch.setattr(where, name, lambda *given: marks.append(logs.current()) or goes_on(*given))

    run = run_now(users_sync)

    assert marks
    assert {(mark.get("run"), mark.get("partition")) for mark in marks} == {(run.pk, pk) for pk in run.partitions.values_list("pk", flat=True)}
    assert logs.current() == {}
