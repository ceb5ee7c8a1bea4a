"""A record that is deleted in the source is deleted in the target, marked, or left, as its sync says; and only where it is certain that it is gone."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from integration_hub.approvals.models import Decision
from integration_hub.syncs import carrying, deletes, gathering, reading, roster, services
from integration_hub.syncs.models import Link, OpenRow, PageRow, Run
from integration_hub.syncs.work import Work
from tests.syncs.conftest import finish
from tests.syncs.equal import users_of_crm
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out
from tests.syncs.linked import company

__all__ = ["company"]
pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_delete_that_is_told_by_name_goes_the_way_of_all_deletes(full, sandbox, operator, api):
    """As whoever hears of an event of the source tells it: what is gone is deleted, what is there after all is only read."""
    gone, there = (user["userId"] for user in sandbox.records("oa", "user")[7:9])
    unseen = sandbox.records("oa", "user")[9]["userId"]
    before = users_of_crm(sandbox)
    sandbox.oa.delete("user", gone)
    sandbox.oa.delete("user", unseen)

    launched = api(operator).post(f"/api/v1/syncs/{full.pk}/run/", {"keys": [gone, there, "never there"]}, content_type="application/json")

    run = finish(Run.objects.get(pk=launched.json()["id"]))
    assert (run.state, run.balanced, run.counts["absent"]) == ("succeeded", True, 2)
    assert (run.counts["missing"], run.counts["deleted"]) == (1, 1)
    assert before - users_of_crm(sandbox) == {gone}


def test_deletes_that_are_told_by_name_are_guarded(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, most_deletes=2)
    before = users_of_crm(sandbox)
    gone = [user["userId"] for user in sandbox.records("oa", "user")[:5]]
    for key in gone:
        sandbox.oa.delete("user", key)

    run = run_now(sync, keys=gone)

    assert (run.balanced, run.counts["missing"], run.counts["deleted"], run.counts["withheld"]) == (True, 5, 0, 5)
    assert users_of_crm(sandbox) == before
    assert Decision.objects.open().get().part == "delete"


def test_an_ignored_delete_leaves_the_target_and_the_link_as_they_are(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, deletes="ignore")
    before = users_of_crm(sandbox)
    gone = a_user(sandbox)
    sandbox.oa.delete("user", gone)

    run = run_now(sync)

    assert (run.state, run.counts["missing"], run.counts["deleted"]) == ("succeeded", 0, 0)
    assert users_of_crm(sandbox) == before
    assert Link.objects.get(a_key=gone).ended_at is None


def test_a_deleted_record_is_marked_in_the_target_and_found_again_when_it_comes_back(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, deletes="mark", mark_field="is_active", mark_value="false")
    gone = sandbox.records("oa", "user")[7]
    sandbox.oa.delete("user", gone["userId"])

    run = run_now(sync)

    assert (run.state, run.balanced, run.counts["deleted"]) == ("succeeded", True, 1)
    (marked,) = (user for user in sandbox.records("crm", "users") if user["employee_id"] == gone["userId"])
    assert (marked["is_active"], marked["full_name"]) == (False, gone["name"])
    assert Link.objects.get(a_key=gone["userId"]).ended_at is not None
    assert run_now(sync).counts["missing"] == 0, "it is told once"


def test_what_is_filtered_rejected_or_has_lost_its_place_in_the_list_is_not_deleted(full, sandbox, run_now, by):
    users = sandbox.records("oa", "user")
    sandbox.oa.change("user", users[3]["userId"], email="not an address")
    sync = services.change_sync(full, by=by, filter=f"userId <> '{users[4]['userId']}'")
    before = users_of_crm(sandbox)

    run = run_now(sync)

    assert (run.balanced, run.counts["rejected"], run.counts["filtered"]) == (True, 1, 1)
    assert (run.counts["missing"], run.counts["deleted"]) == (0, 0)
    assert users_of_crm(sandbox) == before


def test_a_record_that_leaves_the_filter_is_deleted_where_the_sync_says_so(full, sandbox, run_now, by):
    left = a_user(sandbox)
    sync = services.change_sync(full, by=by, filter=f"userId <> '{left}'", left_filter="delete")
    before = users_of_crm(sandbox)

    run = run_now(sync)

    assert (run.state, run.balanced, run.counts["filtered"], run.counts["missing"], run.counts["deleted"]) == ("succeeded", True, 1, 1, 1)
    assert before - users_of_crm(sandbox) == {left}


@pytest.fixture
def shared(few, users_sync, by):
    """Two syncs of one pair, each with a part of the users, that delete what leaves their part."""

    def make(one, other):
        options = {"mode": "full", "deletes": "delete", "left_filter": "delete", "most_deletes_percent": None}
        sync = services.change_sync(users_sync, by=by, filter=one, **options)
        ends = {"source": sync.source, "target": sync.target, "mapping": sync.mapping}
        return sync, services.create_sync(by=by, name="The others", filter=other, **ends, **options)

    return make


@pytest.mark.parametrize("is_asked", [True, False])
def test_what_leaves_the_filter_for_that_of_another_sync_of_the_pair_is_not_deleted(sandbox, shared, run_now, is_asked):
    one, other = shared("position = 'HR manager'", "position <> 'HR manager'")
    one.source.schema["capabilities"] |= {"lookup_by_key": is_asked, "stable_order": True}
    one.source.save()
    run_now(one)
    run_now(other)
    before = users_of_crm(sandbox)
    moved = next(user["userId"] for user in sandbox.records("oa", "user") if user["position"] == "HR manager")
    sandbox.oa.change("user", moved, position="Clerk")

    runs = [run_now(sync) for sync in (one, other, one)]

    assert [(run.state, run.balanced, run.counts["deleted"]) for run in runs] == [("succeeded", True, 0)] * 3
    assert users_of_crm(sandbox) == before


def test_what_leaves_the_filters_of_all_syncs_of_the_pair_is_deleted_by_each(sandbox, shared, run_now):
    one, other = shared("position = 'HR manager'", "position <> 'HR manager' AND position <> 'Gone'")
    run_now(one)
    run_now(other)
    before = users_of_crm(sandbox)
    left = next(user["userId"] for user in sandbox.records("oa", "user") if user["position"] == "HR manager")
    sandbox.oa.change("user", left, position="Gone")

    run = run_now(one)

    assert (run.balanced, run.counts["deleted"]) == (True, 1)
    assert before - users_of_crm(sandbox) == {left}


def test_what_the_list_lacks_but_the_source_still_finds_is_kept(full, sandbox, run_now):
    sandbox.oa.fault("empty", path="pageNo=2", times=2)
    before = users_of_crm(sandbox)

    run = run_now(full)

    assert run.balanced
    assert (run.counts["missing"], run.counts["kept"], run.counts["deleted"]) == (30, 30, 0)
    assert users_of_crm(sandbox) == before


def test_a_reading_that_breaks_off_deletes_nothing(full, sandbox, run_now):
    before = users_of_crm(sandbox)
    sandbox.oa.delete("user", a_user(sandbox))
    sandbox.oa.fault("error", path="pageNo=2")

    run = run_now(full)

    assert (run.state, run.counts["missing"], run.counts["deleted"]) == ("failed", 0, 0)
    assert users_of_crm(sandbox) == before


def test_an_incremental_run_sees_no_deletes(full, sandbox, run_now, by):
    sync = services.change_sync(full, by=by, mode="incremental")
    before = users_of_crm(sandbox)
    sandbox.oa.delete("user", a_user(sandbox))

    run = run_now(sync)

    assert (run.mode, run.state, run.counts["missing"]) == ("incremental", "succeeded", 0)
    assert users_of_crm(sandbox) == before


def test_a_dry_run_shows_what_would_be_deleted(full, sandbox, run_now):
    before = users_of_crm(sandbox)
    sandbox.oa.delete("user", a_user(sandbox))

    run = run_now(full, dry=True)

    assert (run.state, run.balanced, run.counts["missing"], run.counts["not_sent"]) == ("succeeded", True, 1, 1)
    assert users_of_crm(sandbox) == before


def test_a_record_that_is_gone_on_both_sides_only_loses_its_link(full, sandbox, run_now):
    gone = a_user(sandbox)
    link = Link.objects.get(a_key=gone)
    sandbox.oa.delete("user", gone)
    sandbox.crm.delete("users", link.b_key)

    run = run_now(full)

    assert (run.state, run.balanced, run.counts["missing"], run.counts["unchanged"]) == ("succeeded", True, 1, 80)
    link.refresh_from_db()
    assert link.ended_at is not None


def test_a_refused_delete_is_a_reject_that_a_replay_tries_again(full, sandbox, run_now, by):
    gone = a_user(sandbox)
    sandbox.oa.delete("user", gone)
    sandbox.crm.fault("status", status=422, method="DELETE")

    run = run_now(full)

    assert (run.state, run.balanced, run.counts["refused"]) == ("with_rejects", True, 1)
    assert run_now(full).counts["refused"] == 1, "it is not sent again by itself"
    assert gone in users_of_crm(sandbox)

    sandbox.clear_faults()
    services.replay_rejects(OpenRow.objects.open(), by=by)
    replay = finish(Run.objects.latest("pk"))

    assert (replay.balanced, replay.counts["deleted"]) == (True, 1)
    assert gone not in users_of_crm(sandbox)
    assert not OpenRow.objects.open().exists()


@pytest.mark.parametrize("turns", ["in one turn", "a part a turn"])
def test_links_are_looked_through_part_by_part_and_bucket_by_bucket(full, sandbox, run_now, monkeypatch, turns):
    ends = Work.turn_is_over
    if turns == "a part a turn":
        monkeypatch.setattr(Work, "turn_is_over", lambda work: (work.run.state == "closing" and not work.partition.read_done) or ends(work))
    monkeypatch.setattr(roster, "BUCKET_KEYS", 30)
    monkeypatch.setattr(deletes, "LINKS_AT_ONCE", 7)
    before = users_of_crm(sandbox)
    gone = {user["userId"] for user in sandbox.records("oa", "user")[10:22]}
    for key in gone:
        sandbox.oa.delete("user", key)

    run = run_now(full)

    assert (run.state, run.balanced, run.counts["missing"], run.counts["deleted"]) == ("succeeded", True, 12, 12)
    assert before - users_of_crm(sandbox) == gone
    assert not list(Path(settings.MEDIA_ROOT).glob(f"runs/{run.pk}/*")), "rosters live as long as their run"


@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_worker_killed_while_it_deletes_is_taken_over(full, sandbox, by, point):
    before = users_of_crm(sandbox)
    gone = {user["userId"] for user in sandbox.records("oa", "user")[10:20]}
    for key in gone:
        sandbox.oa.delete("user", key)
    run = services.start_run(full, by=by)
    partition = run.partitions.get()
    while run.state != "closing":
        carrying.carry_partition(partition.pk)
        run.refresh_from_db()

    assert carry_until_killed(partition, point, at=1)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert (run.state, run.balanced) == ("succeeded", True)
    assert run.counts["deleted"] == 10
    assert before - users_of_crm(sandbox) == gone
    assert not Link.objects.filter(a_key__in=gone, ended_at=None).exists()


def the_replay():
    services.start_waiting_replays()
    return finish(Run.objects.live().get())


def test_what_is_gone_is_told_by_the_rosters_of_gathered_pages_too(full, sandbox, run_now, monkeypatch):
    monkeypatch.setattr(reading, "FIRST_ROWS", 20)
    monkeypatch.setattr(reading, "PAGE_ROWS", 20)
    monkeypatch.setattr(gathering, "SECONDS", 60.0)
    gone = a_user(sandbox)
    sandbox.oa.delete("user", gone)

    run = run_now(full)

    assert PageRow.objects.filter(partition__run=run, read__gt=50).exists(), "they were gathered"
    assert (run.balanced, run.counts["deleted"], run.counts["unchanged"]) == (True, 1, 79)
    assert gone not in users_of_crm(sandbox)


def test_a_replayed_delete_whose_run_fails_is_not_forgotten(full, sandbox, run_now, by):
    sync, gone = services.change_sync(full, by=by, mode="incremental"), a_user(sandbox)
    sandbox.oa.delete("user", gone)
    sandbox.crm.fault("status", status=422, method="DELETE")
    run_now(sync, full=True)
    services.replay_rejects(OpenRow.objects.open(), by=by)
    replay = Run.objects.latest("pk")
    sandbox.crm.fault("status", status=403, path="/crm")
    assert finish(replay).state == "failed"

    sandbox.clear_faults()
    run = run_now(sync)

    assert (run.balanced, run.counts["deleted"]) == (True, 1), "the open row has kept it"
    assert gone not in users_of_crm(sandbox)
    assert not OpenRow.objects.open().exists()


def test_a_refused_delete_whose_link_has_ended_is_closed(full, sandbox, run_now, by):
    gone = a_user(sandbox)
    sandbox.oa.delete("user", gone)
    sandbox.crm.fault("status", status=422, method="DELETE")
    run_now(full)
    Link.objects.filter(a_key=gone).update(ended_at=timezone.now())
    services.replay_rejects(OpenRow.objects.open(), by=by)

    assert finish(Run.objects.latest("pk")).balanced
    assert not OpenRow.objects.open().exists()


def test_what_is_refused_while_others_refer_to_it_is_deleted_once_these_are(full, sandbox, run_now):
    """Of one sync: the target refuses the first of three, until the others are gone."""
    gone = [user["userId"] for user in sandbox.records("oa", "user")[:3]]
    for key in gone:
        sandbox.oa.delete("user", key)
    sandbox.crm.fault("status", status=422, method="DELETE", times=1)
    run = run_now(full)
    assert (run.counts["deleted"], run.counts["refused"]) == (2, 1)

    replay = the_replay()

    assert (replay.trigger, replay.balanced, replay.counts["deleted"]) == ("replay", True, 1)
    assert users_of_crm(sandbox).isdisjoint(gone)
    assert not OpenRow.objects.open().exists()


def test_children_go_before_their_parents_though_these_are_tried_first(company, run_now, by):
    """Of two syncs: the one over contacts runs after the one over accounts, whose customers the ERP keeps while a person refers to them."""
    people = "CREATE TABLE people (no INTEGER PRIMARY KEY, crm_id TEXT UNIQUE, name TEXT, customer_no INTEGER REFERENCES customers (no))"
    company.run("ERP", "DROP TABLE people")
    company.run("ERP", people)
    follow = {"deletes": "delete", "most_deletes_percent": None}
    accounts = services.change_sync(company.sync("accounts", "customers"), by=by, **follow)
    contacts = company.sync("contacts", "people", "customer_no", "account_id", entity="accounts")
    contacts = services.change_sync(contacts, by=by, after=[accounts], **follow)
    company.accounts(1, 2, 3)
    company.contacts(c1=1, c2=2, c3=3)
    for sync in (accounts, contacts):
        run_now(sync)
    company.run("CRM", "DELETE FROM accounts WHERE id <> 2")
    company.run("CRM", "DELETE FROM contacts WHERE id <> 2")

    assert run_now(accounts).counts["refused"] == 2
    assert run_now(contacts).counts["deleted"] == 2
    replay = the_replay()

    assert (replay.sync, replay.balanced, replay.counts["deleted"]) == (accounts, True, 2)
    assert [name for (name,) in company.run("ERP", "SELECT name FROM customers ORDER BY no")] == ["Old", "Account 2"]
    assert not OpenRow.objects.open().exists()


def test_a_delete_that_is_refused_again_and_again_is_left_to_a_person(full, sandbox, run_now, monkeypatch):
    monkeypatch.setattr("integration_hub.syncs.waiting.DELETE_TRIES", 2)
    refused, *others = [user["userId"] for user in sandbox.records("oa", "user")[:4]]
    key = Link.objects.get(a_key=refused).b_key
    sandbox.oa.delete("user", refused)
    sandbox.crm.fault("status", status=422, method="DELETE", path=f"/{key}")
    run_now(full)

    for other in others:
        sandbox.oa.delete("user", other)
        assert run_now(full).counts["deleted"] == 1
        services.start_waiting_replays()
        for run in Run.objects.live():
            finish(run)

    assert Run.objects.filter(trigger="replay").count() == 1
    assert OpenRow.objects.open().get().tries == 2
