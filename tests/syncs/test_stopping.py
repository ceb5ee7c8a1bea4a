"""Runs that are cancelled, paused, taken over or met twice: they stop at a safe point, what is counted adds up, and the next one goes on."""

import sys
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from integration_hub.core import leases, texts
from integration_hub.core.leases import LeaseLost
from integration_hub.core.models import Heartbeat
from integration_hub.syncs import carrying, pipeline, reading, record, services, stages, write
from integration_hub.syncs.models import SEND_AGAIN_AFTER, ChangeSet, Link, Partition, Run, SyncCursor
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_books, assert_equal, told
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out, stopped_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def portions(monkeypatch):
    """Pages of twenty records, portions of ten; a function that has something happen once so many are recorded."""
    monkeypatch.setattr(reading, "PAGE_ROWS", 20)
    monkeypatch.setattr(write, "PORTION_ROWS", 10)
    recorded, original = [], pipeline.record

    def after(count, happens):
        def recording(work, lease, portion):
            original(work, lease, portion)
            recorded.append(portion)
            if len(recorded) == count:
                happens()
                work._asked = 0.0

        monkeypatch.setattr(pipeline, "record", recording)

    return after


def test_a_cancelled_run_stops_at_a_safe_point_and_the_next_one_goes_on(few, users_sync, run_now, portions, by):
    portions(2, lambda: services.cancel_run(Run.objects.get(), by=by))

    run = run_now(users_sync)

    assert run.state == "cancelled"
    assert 20 <= run.counts["created"] + run.counts["updated"] + run.counts["unchanged"] < 80
    assert_books(run)
    assert not SyncCursor.objects.exists()
    assert run_now(users_sync).state == "succeeded"
    assert_equal(few)


def test_a_cancelled_run_that_compares_first_writes_nothing_and_says_how_much(few, users_sync, by):
    users_sync = services.change_sync(users_sync, by=by, compare_first=True)
    run = services.start_run(users_sync, by=by)
    carrying.carry_partition(run.partitions.get().pk)
    services.cancel_run(run, by=by)

    finish(run)

    assert (run.state, run.counts["not_sent"]) == ("cancelled", 80)
    assert_books(run)
    assert few.crm.applied() == {}
    assert set(ChangeSet.objects.values_list("state", flat=True)) == {"dropped"}


def test_a_paused_run_rests_until_it_is_resumed(few, users_sync, portions, by):
    run = services.start_run(users_sync, by=by)
    portions(2, lambda: services.pause_run(run, by=by))

    carrying.carry_partition(run.partitions.get().pk)
    written = few.crm.applied()
    carrying.carry_partition(run.partitions.get().pk)
    stages.sweep()

    run.refresh_from_db()
    assert (run.state, run.partitions.get().state) == ("paused", "waiting")
    assert few.crm.applied() == written
    with pytest.raises(services.PairBusy, match=f"Run {run.pk} of Users of OA → Users of CRM is still going on this pair"):
        services.start_run(users_sync, by=by)
    services.resume_run(run, by=by)
    assert finish(run).state == "succeeded"
    assert_books(run)
    assert_equal(few)


def test_a_paused_run_can_be_cancelled(few, users_sync, portions, by):
    run = services.start_run(users_sync, by=by)
    portions(1, lambda: services.pause_run(run, by=by))
    carrying.carry_partition(run.partitions.get().pk)

    services.cancel_run(run, by=by)
    finish(run)

    assert run.state == "cancelled"
    assert_books(run)


def test_two_starts_at_once_make_one_run(few, users_sync, by):
    run = services.start_run(users_sync, by=by)

    with pytest.raises(services.PairBusy) as refusal:
        services.start_run(users_sync, by=by)

    assert refusal.value.run == run
    assert Run.objects.count() == 1


def test_a_message_delivered_twice_or_late_has_no_effect_but_one_log_line(few, users_sync, run_now, by, caplog):
    def said_by(partition):
        caplog.clear()
        carrying.carry_partition(partition)
        return [record.getMessage() for record in caplog.records if record.name.startswith("integration_hub")]

    caplog.set_level("INFO")
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()
    with leases.take(partition):
        assert said_by(partition.pk) == ["nothing to carry"]
    assert few.crm.applied() == {}
    finish(run)
    before, requests = few.crm.applied(), len(few.crm.log())

    assert said_by(partition.pk) == ["nothing to carry"]
    assert said_by(10**9) == ["nothing to carry"]

    assert (few.crm.applied(), len(few.crm.log())) == (before, requests)
    assert_books(run)


def test_the_sweep_sends_again_what_lost_its_message_or_its_worker(few, users_sync, by):
    Heartbeat.objects.create(name="bulk@here", kind="worker", host="here", queues=["bulk"], slots=2, version="1", seen_at=Now())
    partition = services.start_run(users_sync, by=by).partitions.get()
    mine = Partition.objects.filter(pk=partition.pk)
    assert not Partition.objects.to_send().exists()  # just sent

    mine.update(sent_at=timezone.now() - SEND_AGAIN_AFTER - timedelta(seconds=1))
    assert Partition.objects.to_send().get() == partition
    stages.sweep()
    assert not Partition.objects.to_send().exists()

    mine.update(state="leased", lease_until=Now() + timedelta(seconds=20), sent_at=timezone.now() - timedelta(seconds=100))
    assert not Partition.objects.to_send().exists()  # somebody works on it
    mine.update(lease_until=Now() - timedelta(seconds=1))
    assert Partition.objects.to_send().get() == partition
    mine.update(lease_until=None, sent_at=timezone.now())  # given back before its work was
    assert Partition.objects.to_send().get() == partition
    stages.sweep()
    assert not Partition.objects.to_send().exists()


def test_a_page_that_costs_three_workers_their_lives_fails_the_run_and_is_named(few, users_sync, by):
    run = services.start_run(users_sync, by=by)
    Partition.objects.update(state="leased", lost_leases=2, lease_until=Now() - timedelta(seconds=1))

    finish(run)

    assert run.state == "failed"
    assert texts.render(run.error) == "Page 1 has cost 3 workers their lives. Look into their memory, or make the pages of Users smaller."
    assert_books(run)


def test_a_worker_that_slept_through_its_lease_commits_nothing(few, users_sync, by, monkeypatch):
    run = services.start_run(users_sync, by=by)
    original, slept = record.commit, []

    def commit(work, lease, portion, settled):
        if not slept:
            slept.append(portion)
            Partition.objects.update(lease_number=lease.number + 1)  # another has taken over meanwhile
            with pytest.raises(LeaseLost):
                original(work, lease, portion, settled)
            assert not Link.objects.exists()
            Partition.objects.update(lease_until=None)
            raise LeaseLost
        original(work, lease, portion, settled)

    monkeypatch.setattr(record, "commit", commit)
    finish(run)

    assert slept
    assert run.state == "succeeded"
    assert_books(run)
    assert_equal(few)


@pytest.fixture
def past_its_lease(few, users_sync, by, tmp_path):
    """A worker that is stopped when it has its answer, and whose lease has run out meanwhile."""
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()
    with stopped_worker(partition, tmp_path / "wake") as wake:
        let_the_lease_run_out(partition)
        yield run, wake


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_stopped_past_its_lease_wakes_and_commits_nothing(few, past_its_lease):
    run, wake = past_its_lease
    finish(run)
    links = list(Link.objects.order_by("pk").values())

    wake()

    assert run.state == "succeeded"
    assert list(Link.objects.order_by("pk").values()) == links
    assert_books(run)
    assert_equal(few)
    assert few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_that_wakes_after_its_run_was_cancelled_changes_nothing(few, users_sync, past_its_lease, run_now, by):
    run, wake = past_its_lease
    services.cancel_run(run, by=by)
    finish(run)
    assert run.counts["unknown"] > 0

    wake()

    assert not Link.objects.exists()
    assert_books(run)
    assert run_now(users_sync).state == "succeeded"
    assert_equal(few)
    assert few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5


@pytest.mark.parametrize("point", ["after send", "after the answer", "before commit"])
def test_what_a_cancelled_run_left_on_its_way_is_found_out_before_anything_else_is_written(few, users_sync, run_now, by, point):
    run = services.start_run(users_sync, by=by)
    assert carry_until_killed(run.partitions.get(), point, at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)
    assert (run.state, run.counts["unknown"] > 0) == ("cancelled", True)
    assert_books(run)

    after = run_now(users_sync)

    assert after.state == "succeeded"
    assert f"records that run {run.pk} had sent" in " ".join(texts.render(line.text) for line in after.log.all())
    assert_equal(few)
    assert few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5
    assert_books(run)
    assert_books(after)


def test_a_portion_of_an_ended_run_is_settled_under_the_mapping_it_was_planned_with(few, users_sync, run_now, by):
    run = services.start_run(users_sync, by=by)
    assert carry_until_killed(run.partitions.get(), "after the answer", at=1)
    let_the_lease_run_out(run.partitions.get())
    services.cancel_run(run, by=by)
    finish(run)
    version = users_sync.mapping.latest
    definition = {**version.definition, "fields": [f for f in version.definition["fields"] if f["target"] != "full_name"]}
    definition["fields"].append({"target": "full_name", "source": "name", "required": True, "steps": [{"transform": "upper"}]})
    definition["fields"].append({"target": "phone", "source": "mobile"})
    type(version).objects.create(
        mapping=version.mapping, number=2, definition=definition, source_schema=version.source_schema, target_schema=version.target_schema,
        published_by="test",
    )  # fmt: skip

    after = run_now(users_sync)

    users = {u["employee_id"]: u for u in few.crm.records("users")}
    assert (after.state, after.balanced) == ("succeeded", True)
    assert [users[u["userId"]]["full_name"] for u in few.oa.records("user")] == [u["name"].strip().upper() for u in few.oa.records("user")]
    assert few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5


def test_a_source_that_breaks_off_after_every_few_pages_is_read_to_its_end(few, users_sync, run_now):
    few.oa.has(user=200)
    for skip in (1, 3, 5):
        few.oa.fault("rate_limit", path="pageNo=", skip=skip, times=1, retry_after=5)

    run = run_now(users_sync)

    assert run.state == "succeeded"
    assert_equal(few)


def test_a_page_position_that_expired_is_read_again_from_the_start(few, users_sync, run_now, monkeypatch):
    monkeypatch.setattr(reading, "PAGE_SECONDS", 0.0)
    few.oa.fault("status", status=410, path="pageNo=2", times=1)

    run = run_now(users_sync)

    assert (run.state, run.counts["read"]) == ("succeeded", 130)
    assert_books(run)
    assert_equal(few)


def test_page_positions_that_always_expire_fail_the_run_after_five_beginnings(few, users_sync, run_now, monkeypatch):
    monkeypatch.setattr(reading, "PAGE_SECONDS", 0.0)
    few.oa.fault("status", status=410, path="pageNo=2")

    run = run_now(users_sync)

    assert run.state == "failed"
    assert "Reading was begun anew 5 times and never ended. Let OA keep its positions longer" in told(run)
    assert_books(run)
