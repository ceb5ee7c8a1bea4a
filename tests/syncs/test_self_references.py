"""An entity that refers to itself: whoever comes before the record he refers to gets it in the same run, also where records refer to one another."""

import pytest

from integration_hub.syncs import pipeline, services, waiting
from integration_hub.syncs.models import OpenRow, Run
from tests.syncs.conftest import finish
from tests.syncs.killing import SOME_POINTS, carry_until_killed, let_the_lease_run_out
from tests.syncs.linked import company
from tests.syncs.test_links import finish_replays, left

__all__ = ["company"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def employees_sync(company):
    return company.sync("employees", "staff", "boss_no", "manager_id", entity="employees")


CHAINS = {
    "manager first": [(1, None), (2, 1)],
    "manager last": [(1, 2), (2, None)],
    "four generations, upside down": [(1, 2), (2, 3), (3, 4), (4, None)],
    "a tree": [(1, 9), (2, 9), (3, 1), (4, 2), (5, 4), (9, None)],
}


@pytest.mark.parametrize("path", ["at once", "compared first"])
@pytest.mark.parametrize("rows", CHAINS.values(), ids=CHAINS)
def test_whoever_refers_to_a_later_record_of_the_same_entity_arrives_in_the_same_run(company, employees_sync, run_now, by, rows, path):
    services.change_sync(employees_sync, by=by, compare_first=path == "compared first")
    company.employees(*rows)

    run = run_now(employees_sync)

    assert company.bosses() == {str(pk): manager and str(manager) for pk, manager in rows}
    assert left() == {}
    assert run.balanced
    assert run.counts["created"] == len(rows)


def test_a_run_over_named_records_is_followed_by_the_replays_of_what_it_releases(company, employees_sync, run_now):
    company.employees(*CHAINS["four generations, upside down"])

    assert run_now(employees_sync, keys=["1", "2", "3", "4"]).balanced
    for __ in range(3):
        finish_replays()

    assert company.bosses() == {"1": "2", "2": "3", "3": "4", "4": None}


def test_the_second_pass_goes_on_over_as_many_turns_as_it_takes(company, employees_sync, run_now, monkeypatch):
    write, turns = pipeline.write, []

    def until_the_turn_is_over(work, lease):
        write(work, lease)
        work.ends_at = 0.0
        turns.append(work.run.pk)

    monkeypatch.setattr(pipeline, "write", until_the_turn_is_over)
    company.employees(*CHAINS["four generations, upside down"])

    run = run_now(employees_sync)

    assert company.bosses() == {"1": "2", "2": "3", "3": "4", "4": None}
    assert len(turns) >= 3
    assert run.balanced


CIRCLES = {
    "himself": [(1, 1)],
    "himself, with others below": [(3, 2), (2, 1), (1, 1), (4, 1)],
    "two": [(1, 2), (2, 1)],
    "three, with others below, and one beside": [(1, 2), (2, 3), (3, 1), (4, 1), (5, 4), (6, None)],
    "two circles": [(1, 2), (2, 1), (3, 3), (4, 3)],
}


@pytest.mark.parametrize("path", ["at once", "compared first"])
@pytest.mark.parametrize("rows", CIRCLES.values(), ids=CIRCLES)
def test_those_who_wait_for_one_another_are_created_without_the_reference_and_then_get_it(company, employees_sync, run_now, by, rows, path):
    services.change_sync(employees_sync, by=by, compare_first=path == "compared first")
    company.employees(*rows)

    run = run_now(employees_sync)

    assert company.bosses() == {str(pk): manager and str(manager) for pk, manager in rows}
    assert (run.state, run.balanced, run.counts["created"]) == ("succeeded", True, len(rows))
    assert left() == {}
    again = run_now(employees_sync)
    assert (again.counts["created"], again.counts["updated"], again.counts["parked"]) == (0, 0, 0)


def test_a_circle_that_nobody_could_write_before_is_by_the_next_run(company, employees_sync, run_now, monkeypatch):
    company.employees((1, 2), (2, 1))
    with monkeypatch.context() as before:
        before.setattr(waiting, "in_circle", lambda work: frozenset())
        assert run_now(employees_sync).counts["parked"] == 2

    run = run_now(employees_sync)

    assert company.bosses() == {"1": "2", "2": "1"}
    assert (run.balanced, left()) == (True, {})


def test_what_waits_for_one_that_never_comes_is_no_circle(company, employees_sync, run_now):
    company.employees((1, 2), (2, 77), (3, 1))

    run = run_now(employees_sync)

    assert company.bosses() == {}
    assert left() == {
        key: ("parked", f"Waits for employees {of} of CRM, which has no record in ERP yet.") for key, of in (("1", 2), ("2", 77), ("3", 1))
    }
    assert run.balanced


def test_a_circle_whose_reference_must_not_be_empty_waits_and_says_why(company, run_now):
    sync = company.sync("employees", "staff", "boss_no", "manager_id", entity="employees", required=True)
    company.employees((1, 2), (2, 1), (3, 1))

    run = run_now(sync)

    reason = (
        "Waits for employees {} of CRM, which waits for this record in turn, and neither can be created first: boss_no must not be empty. "
        "Let it be empty in the mapping, where ERP takes that, or change the reference in CRM."
    )
    assert company.bosses() == {}
    assert left() == {
        "1": ("parked", reason.format(2)),
        "2": ("parked", reason.format(1)),
        "3": ("parked", "Waits for employees 1 of CRM, which has no record in ERP yet."),
    }
    assert run.balanced

    version = sync.mapping.versions.get()
    version.definition["fields"][2]["required"] = False
    sync.mapping.versions.update(definition=version.definition)
    assert run_now(sync).balanced
    assert (company.bosses(), left()) == ({"1": "2", "2": "1", "3": "1"}, {})


def test_one_of_a_circle_that_the_target_refuses_leaves_the_other_waiting_for_it(company, employees_sync, run_now):
    company.run("ERP", "CREATE TRIGGER no_two BEFORE INSERT ON staff WHEN NEW.crm_id = '2' BEGIN SELECT RAISE(ABORT, 'not him'); END")
    company.employees((1, 2), (2, 1))

    run = run_now(employees_sync)

    assert company.bosses() == {"1": None}
    assert left()["1"] == ("parked", "Is in ERP without boss_no, which is filled once employees 2 of CRM has a record there.")
    assert left()["2"][0] == "refused"
    assert run.balanced

    company.run("ERP", "DROP TRIGGER no_two")
    services.replay_rejects(OpenRow.objects.filter(key="2"), by=company.by)
    for __ in range(3):
        for going in Run.objects.live():
            finish(going)
        finish_replays()
    assert company.bosses() == {"1": "2", "2": "1"}
    assert left() == {}


def test_what_was_refused_for_good_stays_so_though_its_reference_has_no_link_either(company, run_now):
    sync = company.sync("employees", "staff", "boss_no", "manager_id", entity="employees", missing="null")
    company.run("ERP", "CREATE TRIGGER no_one BEFORE INSERT ON staff WHEN NEW.crm_id = '1' BEGIN SELECT RAISE(ABORT, 'not him'); END")
    company.employees((1, 77), (2, 1))

    for __ in range(2):
        run = run_now(sync)

        assert (run.counts["refused"], run.balanced) == (1, True)
        assert [state for state, __ in left().values()] == ["refused"]


def test_a_dry_run_of_a_circle_parks_nothing_and_balances(company, employees_sync, run_now):
    company.employees((1, 2), (2, 1), (3, None))

    run = run_now(employees_sync, dry=True)

    assert (run.counts["parked"], run.counts["not_sent"], run.balanced) == (2, 1, True)
    assert left() == {}


@pytest.mark.parametrize("path", ["at once", "compared first"])
@pytest.mark.parametrize("rows", [*CHAINS.values(), *CIRCLES.values()], ids=[*CHAINS, *CIRCLES])
def test_where_null_is_the_answer_references_within_a_run_are_filled_by_it(company, run_now, by, rows, path):
    sync = company.sync("employees", "staff", "boss_no", "manager_id", entity="employees", missing="null")
    services.change_sync(sync, by=by, compare_first=path == "compared first")
    company.employees(*rows, (50, 77))

    run = run_now(sync)

    assert company.bosses() == {**{str(pk): manager and str(manager) for pk, manager in rows}, "50": None}
    assert (run.state, run.balanced, run.counts["created"], run.counts["parked"]) == ("succeeded", True, len(rows) + 1, 0)
    assert left() == {}
    again = run_now(sync)
    assert (again.counts["updated"], again.balanced, left()) == (0, True, {})


# --- workers that die -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["park", "null"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("point", [point for point in SOME_POINTS if point != "after send"])
def test_a_worker_killed_between_creating_a_circle_and_filling_it_leaves_no_reference_empty(company, by, point, at, missing):
    sync = company.sync("employees", "staff", "boss_no", "manager_id", entity="employees", missing=missing)
    company.employees((1, 2), (2, 1), (3, 1))
    run = services.start_run(sync, by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=at)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert run.balanced
    finish_replays()
    assert company.bosses() == {"1": "2", "2": "1", "3": "1"}
    assert left() == {}


@pytest.mark.parametrize("at", [1, *(pytest.param(number, marks=pytest.mark.faults) for number in (2, 3))])
@pytest.mark.parametrize("point", [point for point in SOME_POINTS if point != "after send"])
def test_a_worker_killed_between_parking_and_releasing_leaves_nothing_waiting(company, employees_sync, by, point, at):
    company.employees(*CHAINS["four generations, upside down"])
    run = services.start_run(employees_sync, by=by)
    partition = run.partitions.get()

    assert carry_until_killed(partition, point, at=at)
    let_the_lease_run_out(partition)
    run = finish(run)

    assert run.balanced
    finish_replays()
    assert company.bosses() == {"1": "2", "2": "3", "3": "4", "4": None}
    assert len(company.run("ERP", "SELECT * FROM staff WHERE crm_id <> 'old'")) == 4
    assert left() == {}
