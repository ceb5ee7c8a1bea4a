"""A release is put in place and taken back, with all that a hub holds, and while a run is going."""

import sys
from pathlib import Path

import pytest

from integration_hub.accounts import services as accounts
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core import release, takeup
from integration_hub.syncs import plans, resolving, services, tasks
from integration_hub.syncs.models import Link, OpenRow, PlanApproval, Run, Sync, SyncCursor
from integration_hub.systems.connection import revealed
from integration_hub.systems.models import System
from tests import releases
from tests.syncs.conftest import finish
from tests.syncs.equal import assert_each_once, assert_equal, users_of_crm
from tests.syncs.killing import carry_until_killed, let_the_lease_run_out, stopped_worker

pytestmark = pytest.mark.django_db(transaction=True)
DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"
SINCE = "0013"  # of the app syncs: the older release lacks it, what came behind, and as many of the newest migrations of each other app
OLDER = releases.older_release(without=sum(app == "syncs" and name >= SINCE for app, name in releases.own_migrations()))
FIRST = releases.older_release(without=1000)


@pytest.fixture
def own_database(transactional_db):
    with releases.database_of_its_own():
        yield


@pytest.fixture
def used(own_database, full, sandbox, run_now, by, administrator, person):
    """A sync with all that months of work leave behind; one run, not carried yet, is to write what a decision has accepted."""
    users = [user["userId"] for user in sandbox.records("oa", "user")]
    sandbox.oa.change("user", users[0], email="no address")
    run_now(full)
    reject = OpenRow.objects.open().get(key=users[0])
    resolving.assign_rejects(OpenRow.objects.filter(pk=reject.pk), to=person("operator"), by=by, note="Ask the branch in Lyon")
    resolving.mend_reject(reject, {"email": "mended@example.com"}, by=by)
    finish(Run.objects.get(ended_at=None))
    sandbox.oa.change("user", users[1], email="none either")
    sandbox.oa.change("user", users[2], name="Renamed")
    plan = run_now(full, dry=True)
    finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="Checked with sales"), by=by))
    finish(services.start_run(full, by=by, reconcile=True))
    accounts.create_token(name="monitoring", scopes=["syncs.view"], by=administrator)
    for key in users[20:60]:
        sandbox.oa.delete("user", key)
    run_now(full)
    approvals.decide(Decision.objects.open().get(), "accept", by=by, reason="The branch was closed")
    return full


def test_every_migration_can_be_undone_or_is_named_on_the_page_about_deployment():
    page = DEPLOY.read_text()
    for_good = [node for node, migration in releases.own_migrations().items() if not all(each.reversible for each in migration.operations)]

    assert [f"{app}.{name}" for app, name in for_good if f"`{app}.{name}`" not in page] == []


def test_what_an_older_release_knows_is_kept_when_the_newer_one_is_taken_back_and_put_in_place_again(used, sandbox, run_now, client, person):
    known = releases.kept_rows(OLDER)
    (of_a_decision,) = (row["id"] for row in known["syncs_planapproval"] if row["plan_id"] is None)
    going = Run.objects.get(ended_at=None)
    secrets = {system.name: revealed(system) for system in System.objects.all()}
    there = users_of_crm(sandbox)

    releases.back_to(OLDER)

    assert {*release.missing_migrations()} >= {"syncs.0020_reconcile", "core.0006_backup"}
    older = releases.kept_rows(OLDER)
    assert [row["id"] for row in older["syncs_run"] if row["cancel_at"]] == [going.pk], "it would delete whatever it finds, with no guard"
    known["syncs_planapproval"] = [row for row in known["syncs_planapproval"] if row["id"] != of_a_decision]
    for row, was in zip(older["syncs_run"], known["syncs_run"], strict=True):
        was |= {name: row[name] for name in ("cancel_at", "applies_id") if was["applies_id"] == of_a_decision}
    assert older == known

    releases.forward()

    assert release.misfit() == ""
    assert releases.kept_rows(OLDER) == known
    assert all(secrets.values())
    assert {system.name: revealed(system) for system in System.objects.all()} == secrets
    client.force_login(person("auditor"))
    for page in (
        "/",
        f"/syncs/{used.pk}/",
        "/runs/",
        *(f"/runs/{pk}/" for pk in Run.objects.values_list("pk", flat=True)),
        "/rejects/",
        "/decisions/",
    ):
        assert client.get(page).status_code == 200, page
    assert finish(going).state == "cancelled"
    assert run_now(Sync.objects.get(pk=used.pk)).counts["withheld"] == 40
    assert users_of_crm(sandbox) == there


def test_all_migrations_of_a_hub_in_use_can_be_undone_down_to_the_first_of_each_app(used):
    short, long = SyncCursor.objects.get(), "https://odata.example.com/?$deltatoken=" + "x" * 300
    SyncCursor.objects.create(sync=used, side="b", value=long, key="")
    known = {table: len(rows) for table, rows in releases.kept_rows(FIRST).items()}
    known["syncs_synccursor"] -= 1

    releases.back_to(FIRST)

    assert {table: len(rows) for table, rows in releases.kept_rows(FIRST).items()} == known

    releases.forward()

    assert release.misfit() == ""
    assert {table: len(rows) for table, rows in releases.kept_rows(FIRST).items()} == known
    assert SyncCursor.objects.get().value == short.value, "half a cursor is another cursor"


def test_a_run_that_an_older_release_would_take_for_an_ordinary_one_is_cancelled_when_its_migrations_are_undone(own_database, full, run_now, by):
    plan = run_now(full, dry=True)
    approval = PlanApproval.objects.create(plan=plan, approved_count=1, reason="Checked with sales")
    _ordinary, undo, keys, long, lately = (services.start_run(full, by=by, dry=True) for _ in range(5))
    Run.objects.filter(pk=undo.pk).update(undoes={"runs": [plan.pk]})
    Run.objects.filter(pk=keys.pk).update(keys_only=True)
    Run.objects.filter(pk=long.pk).update(since_value="x" * 300)
    lately.partitions.get().pages.create(number=1, read=50, last_value="x" * 300)
    applied = services.start_run(full, by=by)
    Run.objects.filter(pk=applied.pk).update(applies=approval)

    releases.back_to(FIRST)

    cancelled = {row["id"] for row in releases.kept_rows(FIRST)["syncs_run"] if row["cancel_at"]}
    assert cancelled == {undo.pk, keys.pk, long.pk, lately.pk, applied.pk}


@pytest.mark.parametrize("point", ["after the answer", "after commit"])
@pytest.mark.parametrize("other", [releases.newer, lambda: releases.older(OLDER)], ids=["forward and back", "back and forward"])
def test_a_run_whose_worker_died_outlives_a_release_that_comes_and_goes(own_database, few, users_sync, by, other, point, monkeypatch):
    monkeypatch.setattr(takeup, "ASKED_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(takeup, "PAUSE_SECONDS", 0.0)
    run = services.start_run(users_sync, by=by)
    partition = run.partitions.get()
    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    there, held = users_of_crm(few), partition.lease_number + 1

    with other():
        assert release.misfit()
        assert tasks.carry_partition.apply([partition.pk]).state == "REJECTED", "this code is of another release than the database"

    partition.refresh_from_db()
    assert (users_of_crm(few), partition.lease_number) == (there, held)
    assert finish(run).state == "succeeded"
    assert_each_once(users_sync, few.crm, "users", run)
    assert_equal(few)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_under_which_a_newer_release_changes_a_table_leaves_its_work_to_others(own_database, few, users_sync, by, tmp_path):
    run = services.start_run(users_sync, by=by)

    with stopped_worker(run.partitions.get(), tmp_path / "wake") as wake, releases.newer():
        wake()

        run.refresh_from_db()
        assert run.ended_at is None
        assert not Link.objects.exists()

    assert finish(run).state == "succeeded"
    assert_each_once(users_sync, few.crm, "users", run)
    assert_equal(few)
