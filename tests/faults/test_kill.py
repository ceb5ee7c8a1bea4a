"""kill -9 of workers in the hub as it really runs: it goes on by itself within half a minute, and the target is as after an undisturbed run."""

import os
import random
import statistics
import time

import pytest

from tests.dying import POINTS
from tests.faults.hub import running_hub

SYNC = "OA users → CRM users"
HALF_A_MINUTE = 30.0


@pytest.fixture
def hub():
    with running_hub() as hub:
        hub.sandbox.pause_life()
        hub.order("pause")
        hub.wait_for(lambda: not hub.rows("SELECT 1 FROM syncs_run WHERE ended_at IS NULL"), seconds=120, what="the demo's first runs to end")
        yield hub


def started(hub, users):
    """A run over so many users, most of which the CRM does not have yet."""
    hub.sandbox.oa.has(user=users)
    hub.sandbox.forget()
    return hub.order("run", SYNC, "full")


def progress(hub, run):
    """What only a worker that goes on changes: pages, settled rows, the state."""
    (row,) = hub.rows(
        "SELECT p.page_number, (SELECT COALESCE(SUM(settled), 0) FROM syncs_changeset c WHERE c.run_id = r.id), r.state, r.ended_at IS NOT NULL"
        " FROM syncs_run r JOIN syncs_partition p ON p.run_id = r.id WHERE r.id = ?",
        run["run"],
    )
    return row


def lease_number(hub, run):
    return hub.rows("SELECT lease_number FROM syncs_partition WHERE id = ?", run["partition"])[0][0]


def has_ended(hub, run):
    return bool(progress(hub, run)[3])


def goes_on(hub, run, killed_at, number, before):
    """Wait until another worker has taken over and settled something; the seconds until each."""
    hub.wait_for(lambda: lease_number(hub, run) > number or has_ended(hub, run), seconds=60, what="another worker to take over")
    taken = time.monotonic() - killed_at
    hub.wait_for(lambda: progress(hub, run) != before, seconds=60, what="the work to go on")
    return taken, time.monotonic() - killed_at


def assert_as_undisturbed(hub, run):
    """The target holds what the source says, each record once, and the run's books balance."""
    users = hub.sandbox.records("oa", "user")
    expected = {u["userId"]: (" ".join(u["name"].split()), u["email"].strip().lower()) for u in users}
    found = [u for u in hub.sandbox.records("crm", "users") if u["employee_id"] in expected]
    assert {u["employee_id"]: (u["full_name"], u["email"]) for u in found} == expected
    assert len(found) == len(expected), "there are twins"
    assert hub.rows("SELECT COUNT(*) FROM syncs_link WHERE ended_at IS NULL AND a_key IN (SELECT value FROM json_each(?))", dumps(expected)) == [
        (len(expected),)
    ]
    ((state, balanced, error),) = hub.rows("SELECT state, balanced, error FROM syncs_run WHERE id = ?", run["run"])
    assert (state, balanced) == ("succeeded", 1), (error, hub.rows("SELECT text FROM syncs_logline WHERE run_id = ?", run["run"]))


def dumps(keys):
    import json

    return json.dumps(list(keys))


def kill_at_random(hub, users, kills, seed):
    print(f"\nSEED={seed}")
    chance = random.Random(seed)
    run = started(hub, users)
    hub.wait_for(lambda: progress(hub, run)[0] > 0, seconds=60, what="the first page")
    times = []
    for number in range(kills):
        time.sleep(chance.uniform(0.3, 3.0))
        if has_ended(hub, run):
            break
        lease, before, whole = lease_number(hub, run), progress(hub, run), chance.random() < 0.5
        killed_at = time.monotonic()
        if not whole and not hub.kill_holder(run["partition"]):
            whole = True  # between two turns nobody holds it
        if whole:
            hub.kill_program("bulk")
        before = progress(hub, run)  # a commit may have come in between
        taken, went_on = goes_on(hub, run, killed_at, lease, before)
        times.append(went_on)
        print(f"kill {number + 1} of {'the worker' if whole else 'the child'}: taken over after {taken:.1f} s, went on after {went_on:.1f} s")
    hub.wait_for(lambda: has_ended(hub, run), seconds=600, what="the run to end")
    print(f"{len(times)} kills; went on after {statistics.median(times):.1f} s in the median, {max(times):.1f} s at most")
    assert_as_undisturbed(hub, run)
    assert max(times) <= HALF_A_MINUTE
    return times


def die_at(hub, users, points):
    run = started(hub, users)
    for point in points:
        lease = lease_number(hub, run)
        (hub.dies_at / point).touch()
        hub.wait_for(lambda point=point: not (hub.dies_at / point).exists(), seconds=90, what=f"a worker to die {point}")
        killed_at, before = time.monotonic(), progress(hub, run)
        taken, went_on = goes_on(hub, run, killed_at, max(lease, lease_number(hub, run)), before)
        print(f"died {point}: taken over after {taken:.1f} s, went on after {went_on:.1f} s")
        assert went_on <= HALF_A_MINUTE
    hub.wait_for(lambda: has_ended(hub, run), seconds=300, what="the run to end")
    assert_as_undisturbed(hub, run)


def seed():
    return int(os.environ.get("SEED") or random.randrange(10**6))


@pytest.mark.timeout(300)
def test_a_worker_killed_twice_in_one_run_is_taken_over(hub):
    hub.sandbox.latency(20)
    assert len(kill_at_random(hub, 2000, 2, seed())) == 2


@pytest.mark.timeout(300)
def test_a_run_goes_on_from_the_database_when_its_broker_is_flushed_and_restarted(hub):
    hub.sandbox.latency(20)
    run = started(hub, 2000)
    hub.flush_broker()
    hub.wait_for(lambda: progress(hub, run)[1] > 0, seconds=90, what="the first portion")
    for blow in (hub.flush_broker, lambda: hub.kill_program("broker"), hub.flush_broker):
        hub.wait_for(lambda: hub.program("broker") is not None, seconds=30, what="the broker to be there")
        before = progress(hub, run)
        blow()
        hub.wait_for(lambda before=before: progress(hub, run) != before, seconds=60, what="the work to go on")
    hub.wait_for(lambda: has_ended(hub, run), seconds=150, what="the run to end")
    assert_as_undisturbed(hub, run)


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_a_worker_killed_twenty_times_in_one_run_is_taken_over(hub):
    hub.sandbox.latency(30)  # else the run is over before the twentieth
    assert len(kill_at_random(hub, 20_000, 20, seed())) == 20


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_worker_that_dies_at_each_named_point_is_taken_over(hub):
    die_at(hub, 20_000, POINTS)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_every_program_may_be_killed(hub):
    hub.sandbox.latency(40)
    run = started(hub, 8000)
    for name in ("quick", "scheduler", "broker", "web", "bulk", "sandbox"):
        time.sleep(1)
        before = progress(hub, run)
        hub.kill_program(name)
        killed_at = time.monotonic()
        hub.wait_for(lambda before=before: progress(hub, run) != before, seconds=60, what=f"the work to go on after {name} was killed")
        print(f"{name} killed: went on after {time.monotonic() - killed_at:.1f} s")
    hub.wait_for(lambda: has_ended(hub, run), seconds=600, what="the run to end")
    assert_as_undisturbed(hub, run)
