"""What cuts a run short in the middle, and that it goes on from there: a kill, two starts at once, a lost database connection, a source or target that fails."""

import gc
import threading
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from integration_hub.accounts.models import Mail
from integration_hub.core import texts
from integration_hub.syncs import carrying, openrows, reading, record, services
from integration_hub.syncs.models import Link, PageRow, Partition, Run, SyncCursor
from integration_hub.systems import health
from integration_hub.systems import services as systems
from integration_hub.systems.models import Circuit
from tests.syncs.conftest import finish, published
from tests.syncs.equal import assert_books, assert_equal
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
LIST, USERS = "/api/user/list", "/v1/users"
BACK = {"fields": [{"target": "name", "source": "full_name"}], "match": [["userId"]]}


def pages_asked(sandbox):
    """The numbers of the pages of users that the OA was asked for, in order."""
    return [int(r["path"].partition("pageNo=")[2].partition("&")[0]) for r in sandbox.oa.log() if "pageNo=" in r["path"]]


@pytest.fixture
def many(few, monkeypatch):
    """A thousand users, whose twenty pages of fifty are taken one by one."""
    monkeypatch.setattr(reading, "PAGE_SECONDS", 0.0)
    few.oa.has(user=1000)
    return few


# --- workers ------------------------------------------------------------------------------------------------------------


def test_a_worker_killed_after_a_page_is_resumed_at_the_next_and_the_totals_are_those_of_an_undisturbed_run(few, users_sync, run_now, by):
    few.oa.has(user=5000)
    undisturbed = run_now(users_sync)
    few.crm.has(users=5)
    Link.objects.all().delete()
    SyncCursor.objects.all().delete()

    run = services.start_run(users_sync, by=by, full=True)
    partition = run.partitions.get()
    assert carry_until_killed(partition, "after commit", at=1)
    partition.refresh_from_db()
    assert 0 < partition.read_count < 5000
    let_the_lease_run_out(partition)
    few.forget()
    finish(run)

    assert min(pages_asked(few)) == partition.read_count // 50 + 1
    assert (run.state, run.counts) == ("succeeded", undisturbed.counts)
    assert_books(run)
    assert_equal(few)


def test_of_two_runs_started_at_once_one_is_refused_with_the_other_named(few, users_sync, by):
    def start():
        try:
            return services.start_run(users_sync, by=by)
        except services.PairBusy as busy:
            return busy

    one, other = at_once(start, start)

    run, refusal = (one, other) if isinstance(one, Run) else (other, one)
    assert isinstance(refusal, services.PairBusy)
    assert (refusal.run, Run.objects.get()) == (run, run)


# --- the database -------------------------------------------------------------------------------------------------------


def cut_the_connection():
    """Of this thread to the database, as when the server or the network goes away in the middle of a transaction."""
    assert connection.in_atomic_block
    if connection.vendor == "sqlite":
        connection.connection.close()
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    way = connection.settings_dict
    with psycopg.connect(host=way["HOST"], port=way["PORT"], user=way["USER"], password=way["PASSWORD"], dbname=way["NAME"]) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


def steps_under_way():
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


@pytest.mark.parametrize("fault", ["error", "unavailable", "cut", "login_page"])
@pytest.mark.parametrize("system", ["oa", "crm"])
@pytest.mark.parametrize("skip", [0, 3])
def test_a_step_that_fails_ends_those_before_it_at_once(many, users_sync, by, monkeypatch, system, fault, skip):
    """Not when its error is forgotten: what the garbage collector would end, it ends on any thread, in the middle of any transaction."""
    monkeypatch.setattr(reading, "FIRST_ROWS", 20)
    monkeypatch.setattr(reading, "PAGE_ROWS", 20)
    run = services.start_run(users_sync, by=by)
    many.fault(system, fault, times=200, skip=skip)
    gc.disable()
    try:
        carrying.carry_partition(run.partitions.get().pk)
        assert steps_under_way() == []
    finally:
        gc.enable()
    assert run.partitions.get().failures


@pytest.mark.parametrize(
    ("module", "step"), [(openrows, "leave"), (record, "_write_links")], ids=["while a page is planned", "while its outcome is recorded"]
)
def test_a_database_connection_that_drops_in_a_transaction_leaves_no_half_counted_page(many, users_sync, by, monkeypatch, module, step):
    original, dropped = getattr(module, step), []

    def dropping(*args, **kwargs):
        result = original(*args, **kwargs)
        if not dropped and PageRow.objects.exists():
            dropped.append(True)
            with suppress(DatabaseError):
                cut_the_connection()
        return result

    monkeypatch.setattr(module, step, dropping)
    run = services.start_run(users_sync, by=by)
    gc.disable()
    try:
        carrying.carry_partition(run.partitions.get().pk)
        assert dropped
        assert steps_under_way() == []
    finally:
        gc.enable()
    finish(run)

    assert (run.state, run.counts["read"]) == ("succeeded", 1000)
    assert sum(PageRow.objects.values_list("read", flat=True)) == 1000
    assert_books(run)
    assert_equal(many)
    assert many.crm.applied()["users.create"] == len(many.crm.records("users")) - 5


# --- the source ---------------------------------------------------------------------------------------------------------


def test_a_page_that_times_out_and_then_fails_is_tried_again_from_its_checkpoint_and_nothing_is_taken_for_deleted(many, users_sync, run_now, by):
    run_now(users_sync)
    before = many.crm.records("users")
    many.oa.fault("slow", ms=4000, path="pageNo=7&", times=1)
    many.oa.fault("error", path="pageNo=7&")
    run = services.start_run(users_sync, by=by, full=True)
    partition = run.partitions.get()

    carrying.carry_partition(partition.pk)

    partition.refresh_from_db()
    assert (partition.state, partition.read_count, partition.read_done) == ("waiting", 300, False)
    many.clear_faults()
    many.forget()
    finish(run)
    assert pages_asked(many)[0] == 7
    assert (run.state, run.counts["read"], run.counts["unchanged"]) == ("succeeded", 1000, 1000)
    assert many.crm.records("users") == before
    assert not Link.objects.exclude(ended_at=None).exists()
    assert_books(run)


@pytest.mark.parametrize(
    ("form", "least", "most"),
    [({"retry_after": 40}, 37, 40), ({"retry_after": 40, "form": "date"}, 37, 40), ({"form": "none"}, 0.5, 60)],
    ids=["in seconds", "until a date", "without saying"],
)
def test_a_429_is_waited_for_as_long_as_it_says(few, users_sync, by, form, least, most):
    few.oa.fault("rate_limit", path=LIST, **form)
    partition = services.start_run(users_sync, by=by).partitions.get()

    carrying.carry_partition(partition.pk)
    partition.refresh_from_db()
    asked = len(pages_asked(few))
    carrying.carry_partition(partition.pk)

    assert least < (partition.not_before - timezone.now()).total_seconds() <= most
    assert len(pages_asked(few)) == asked  # nobody asks before that
    assert partition.state == "waiting"


def test_what_one_sync_is_told_to_wait_the_others_on_the_account_wait_too(few, users_sync, oa, crm, by):
    few.oa.fault("rate_limit", path=LIST, times=1, retry_after=40)
    carrying.carry_partition(services.start_run(users_sync, by=by).partitions.get().pk)
    back = published("Back", crm.entities.get(name="users"), oa.entities.get(name="users"), BACK)
    other = services.create_sync(by=by, source=back.source, target=back.target, name="Back", mapping=back, mode="full")
    few.forget()

    run = services.start_run(other, by=by, dry=True)
    carrying.carry_partition(run.partitions.get().pk)

    partition = run.partitions.get()
    assert 30 < (partition.not_before - timezone.now()).total_seconds() <= 40
    assert few.oa.log() == []
    finish(run)
    assert few.oa.log() != []


# --- the target ---------------------------------------------------------------------------------------------------------


def test_a_503_storm_opens_the_circuit_is_probed_and_told_once(few, users_sync, crm, by, person):
    person("operator", mail_system_down=True)
    systems.check_system(crm, by=by)
    health.tell_state(crm.pk)
    few.crm.fault("unavailable", path="/crm")
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()

    def carry_again():
        """The requests that another try costs the CRM."""
        few.forget()
        Partition.objects.filter(pk=partition.pk).update(not_before=None)
        carrying.carry_partition(partition.pk)
        return len(few.crm.log())

    while not Circuit.objects.filter(openings__gt=0).exists():
        carry_again()
    assert carry_again() == 0  # the circuit is open
    Circuit.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    assert carry_again() == 1  # half open: one probe
    assert Circuit.objects.get().openings == 2
    for _check in range(3):
        systems.check_system(crm, by=by)
        health.tell_state(crm.pk)
    assert [texts.render(mail.subject) for mail in Mail.objects.all()] == ["CRM cannot be reached"]
    few.clear_faults()
    assert finish(run).state == "succeeded"
    assert not Circuit.objects.filter(openings__gt=0).exists()
    assert_equal(few)


def test_a_write_that_was_taken_before_its_connection_died_is_read_back_and_not_sent_again(few, users_sync, run_now):
    few.crm.fault("drop_after", method="POST", path=USERS, skip=20, times=3)

    run = run_now(users_sync)

    log = [r for r in few.crm.log() if r["path"].startswith("/crm/v1/users")]
    dropped = [place for place, request in enumerate(log) if request["fault"] == "drop_after"]
    posts = [request for request in log if request["method"] == "POST"]
    assert len(dropped) == 3
    assert any(request["method"] == "GET" and "employee_id=" in request["path"] for request in log[dropped[-1] :])
    assert len(posts) == few.crm.applied()["users.create"] == len(few.crm.records("users")) - 5
    assert (run.state, run.counts["unknown"]) == ("succeeded", 0)
    assert_books(run)
    assert_equal(few)


@pytest.mark.parametrize("ends", [False, True], ids=["by the same run", "by the next one, after it was cancelled"])
def test_of_what_was_sent_only_that_is_asked_for_which_the_target_did_not_answer(few, users_sync, by, run_now, ends):
    few.crm.fault("drop_after", method="POST", path=USERS, skip=20, times=1)
    run = services.start_run(users_sync, by=by)
    carrying.carry_partition(run.partitions.get().pk)
    few.forget()

    if ends:
        services.cancel_run(run, by=by)
        finish(run)
    run = run_now(users_sync) if ends else finish(run)

    asked = next(r["path"] for r in few.crm.log() if r["method"] == "GET" and "employee_id=" in r["path"])
    assert "%2C" not in asked  # one value
    assert run.state == "succeeded"
    assert_books(run)
    assert_equal(few)
