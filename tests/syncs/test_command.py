"""`manage.py sync`: the words for people, the JSON for programs, the exit codes for both."""

import io
import json
import threading

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from integration_hub.core.models import Heartbeat
from integration_hub.syncs import plans
from integration_hub.syncs.management.commands import sync as command
from integration_hub.syncs.models import Run
from integration_hub.syncs.services import cancel_run, change_sync, pause_sync, start_run
from integration_hub.systems.models import System
from tests.syncs.conftest import finish

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "Users of OA → Users of CRM"


@pytest.fixture
def manage(monkeypatch):
    monkeypatch.setattr(command, "POLL", 0.02)

    def run(*words):
        out = io.StringIO()
        try:
            call_command("sync", *words, stdout=out)
        except SystemExit as end:
            return end.code, out.getvalue()
        except CommandError as error:
            return error.returncode, str(error)
        return 0, out.getvalue()

    return run


@pytest.fixture
def worker():
    """Carries what is started, beside the command."""
    stop = threading.Event()

    def work():
        while not stop.wait(0.02):
            for run in Run.objects.live():
                finish(run)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_a_run_is_waited_for_and_its_rejects_are_in_the_exit_code(users_sync, sandbox, manage, worker):
    code, said = manage("run", NAME, "--wait")

    assert code == 3
    assert "Run 1 of Users of OA → Users of CRM" in said.replace(str(Run.objects.get().pk), "1", 1)
    assert "240 read" in said
    assert "rejected" in said
    assert Run.objects.get().trigger == "command"
    assert "(command line)" in Run.objects.get().actor_name

    sandbox.oa.has(user=3)
    code, said = manage("run", NAME, "--wait", "--dry-run", "--full", "--json")
    assert (code, json.loads(said)["state"], json.loads(said)["dry"]) == (0, "succeeded", True)


def test_records_that_were_read_twice_are_counted_too(users_sync, sandbox, manage, worker):
    sandbox.oa.has(user=3, dirty=False)
    sandbox.oa.fault("duplicate", times=1, path="pageNo=")

    assert "4 read, 1 duplicate, " in manage("run", NAME, "--wait", "--dry-run")[1]


def test_a_dry_run_says_what_would_be_withheld(full, sandbox, manage, worker):
    for user in sandbox.records("oa", "user")[:20]:
        sandbox.oa.delete("user", user["userId"])

    assert "Deletes would wait for a decision: there are 20, " in manage("run", NAME, "--wait", "--dry-run")[1]
    (beyond,) = json.loads(manage("run", NAME, "--wait", "--dry-run", "--json")[1])["would_withhold"]
    assert (beyond["operation"], beyond["count"], beyond["percent"]) == ("delete", 20, 20)


def test_the_keys_alone_are_read(full, by, sandbox, manage, worker):
    assert manage("run", NAME, "--keys-only") == (1, "Every run of this sync reads everything, and so sees what is gone.")
    change_sync(full, by=by, mode="incremental")
    sandbox.oa.delete("user", sandbox.records("oa", "user")[0]["userId"])

    code, said = manage("run", NAME, "--keys-only", "--wait", "--json")

    assert (code, json.loads(said)["keys_only"], json.loads(said)["counts"]["deleted"]) == (0, True, 1)


def test_a_failed_run_says_why(users_sync, sandbox, manage, worker):
    sandbox.oa.fault("login_page", times=100)

    code, said = manage("run", NAME, "--wait")

    assert code == 1
    assert "Failed" in said
    assert "OA answered" in said


def test_without_a_worker_it_says_so_and_the_run_stays(users_sync, manage):
    code, said = manage("run", NAME, "--wait", "--patience=0.1")

    assert code == 1
    assert "No worker is running" in said
    assert Run.objects.get().is_live


def test_a_worker_that_is_busy_is_waited_for(users_sync, manage, monkeypatch):
    from django.utils import timezone

    Heartbeat.objects.create(name="w", kind="worker", host="h", queues=["bulk"], version="1", seen_at=timezone.now())
    monkeypatch.setattr(command.time, "sleep", lambda seconds: finish(Run.objects.get()))

    assert manage("run", NAME, "--wait", "--patience=0")[0] == 3


def test_a_busy_pair_is_a_sentence(users_sync, manage, by):
    run = start_run(users_sync, by=by)

    code, said = manage("run", NAME)

    assert code == 1
    assert said == f"Run {run.pk} of {NAME} is still going on this pair. Wait for it, or cancel it."


@pytest.mark.parametrize("words", [("run", "Nothing"), ("status", "999"), ("cancel", "999"), ("run", NAME, "--keys", "")])
def test_wrong_usage(users_sync, manage, words):
    assert manage(*words)[0] == 2


@pytest.mark.parametrize("stands", [{"read_only": True}, {"state": "maintenance"}], ids=["read-only", "maintenance"])
def test_what_stands_in_the_way_of_a_run_is_no_wrong_usage(users_sync, manage, stands):
    System.objects.filter(name="CRM").update(**stands)

    code, said = manage("run", NAME)

    assert (code, "CRM" in said) == (1, True)


def test_status_and_cancel(users_sync, manage, by):
    run = start_run(users_sync, by=by)

    assert manage("status", str(run.pk))[0] == 0
    assert manage("cancel", str(run.pk))[0] == 0
    finish(run)

    code, said = manage("status", str(run.pk), "--json")
    assert (code, json.loads(said)["state"]) == (1, "cancelled")
    assert manage("cancel", str(run.pk))[0] == 1


def test_the_list_tells_how_syncs_stand(users_sync, manage, run_now, by):
    run_now(users_sync)

    code, said = manage("list")
    assert code == 0
    assert said.startswith(f"{NAME}  Fresh, not complete")
    assert "open" in said
    pause_sync(users_sync, by=by)
    assert json.loads(manage("list", "--json")[1])[0]["standing"] == "paused"


def test_the_bar_of_a_terminal_shows_how_far_it_is(users_sync, manage, worker, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(command.sys, "stderr", terminal)

    assert manage("run", NAME, "--wait")[0] == 3

    drawn = terminal.getvalue().split("\r\033[K")
    assert drawn[-1] == "", "the line is cleared at the end"
    assert any("Queued" in line or "Writing" in line for line in drawn)


def test_a_plan_is_applied_from_the_command_line(few, users_sync, manage, worker):
    __, told = manage("run", NAME, "--dry-run", "--wait", "--json")
    plan = json.loads(told)["id"]

    code, said = manage("apply", str(plan), "--reason", "Checked", "--only", "create", "--wait")

    assert (code, "75 created" in said) == (0, True)
    assert manage("apply", str(plan), "--reason", "Again")[0] == 1


def test_a_plan_that_somebody_has_approved_is_applied_as_it_was(few, users_sync, manage, run_now, worker, by):
    plan, skipped = run_now(users_sync, dry=True), few.records("oa", "user")[30]["userId"]
    number = str(plan.pk)
    assert manage("apply", number) == (1, f"Plan {number} is not approved yet; --reason approves it.")
    assert manage("apply", number, "--except", skipped) == (2, "To approve only some changes, say why with --reason.")
    code, said = manage("apply", number, "--reason", "Checked", "--except", skipped, "U9")
    assert (code, "no change of a record with the key U9." in said) == (2, True)
    plans.approve_plan(plan, by=by, reason="Checked", except_keys=[skipped])

    code, said = manage("apply", number, "--wait")

    assert (code, "74 created" in said) == (0, True)
    assert skipped not in {user["employee_id"] for user in few.records("crm", "users")}


def test_a_plan_whose_run_came_to_nothing_is_applied_again_as_it_was_approved(few, users_sync, manage, run_now, by):
    plan = run_now(users_sync, dry=True)
    __, told = manage("apply", str(plan.pk), "--reason", "Checked", "--json")
    first = Run.objects.get(pk=json.loads(told)["id"])
    cancel_run(first, by=by)
    finish(first)

    refused = manage("apply", str(plan.pk), "--reason", "Again")
    code, told = manage("apply", str(plan.pk), "--json")

    assert refused == (1, f"Run {first.pk} has begun to write this plan as it was approved. Apply it again as it is, or make a new one.")
    assert (code, finish(Run.objects.get(pk=json.loads(told)["id"])).counts["created"]) == (0, 75)


def test_a_plan_that_cannot_be_applied_says_why(few, users_sync, manage, run_now):
    run, plan = run_now(users_sync), run_now(users_sync, dry=True, full=True)

    assert manage("apply", str(run.pk), "--reason", "Checked") == (
        1,
        f"Run {run.pk} is no plan: only a dry run that went through and would write something is one.",
    )
    assert manage("apply", str(plan.pk), "--reason", "Checked")[0] == 1
    assert manage("apply", "9999", "--reason", "Checked")[0] == 2


def test_a_run_is_undone_from_the_command_line(few, users_sync, manage, run_now, worker):
    before, run = {user["id"] for user in few.records("crm", "users")}, run_now(users_sync)

    code, told = manage("undo", str(run.pk), "--wait", "--json")
    assert code == 0
    assert manage("apply", str(json.loads(told)["id"]), "--reason", "Wrong mapping", "--wait")[0] == 0

    assert {user["id"] for user in few.records("crm", "users")} == before
    assert manage("undo", str(run.pk), "--keys", "nobody", "--wait")[0] == 0


def test_all_runs_by_a_version_since_a_time_are_undone_from_the_command_line(few, users_sync, manage, run_now, worker):
    before = {user["id"] for user in few.records("crm", "users")}
    early = run_now(users_sync)
    run = run_now(users_sync, full=True)
    few.oa.add("user", name="New Person", email="new@example.com")
    last = run_now(users_sync)
    since = early.made_at.isoformat()

    code, told = manage("undo", NAME, "--version", "1", "--since", since, "--wait", "--json")
    plan = json.loads(told)

    assert (code, plan["undoes"]) == (0, {"runs": [early.pk, last.pk], "keys": None}), f"run {run.pk} has written nothing"
    assert manage("apply", str(plan["id"]), "--reason", "Wrong mapping", "--wait")[0] == 0
    assert {user["id"] for user in few.records("crm", "users")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Nobody's", "--version", "1", "--since", "2026-11-22"), "There is no sync called Nobody's; `sync list` shows them."),
        ((NAME, "--version", "7", "--since", "2026-11-22"), "The mapping Users has no version 7."),
        ((NAME, "--version", "1", "--since", "noon"), "“noon” is no time, such as 2026-11-22T08:00 or 2026-11-22T08:00:00+01:00."),
        ((NAME, "--version", "1"), "Give the name of a sync with both --version and --since, and without --keys."),
        ((NAME,), f"“{NAME}” is no number of a run. A sync is named with --version and --since."),
    ],
)
def test_an_undoing_that_cannot_be_planned_says_why(users_sync, manage, words, said):
    assert manage("undo", *words) == (2, said)


def test_where_no_run_by_a_version_has_written_there_is_nothing_to_undo(users_sync, manage):
    said = f"No run of {NAME} by this version has written anything since then."

    assert manage("undo", NAME, "--version", "1", "--since", "2999-01-01") == (1, said)


def test_both_sides_are_compared_and_what_differs_is_applied(users_sync, few, manage, worker):
    manage("run", NAME, "--wait")
    few.crm.delete("users", few.records("crm", "users")[-1]["id"])

    code, said = manage("run", NAME, "--reconcile", "--wait")
    plan = Run.objects.get(mode="reconcile")
    assert code == 0
    assert "(reconcile)" in said
    assert "1 not sent" in said
    code, said = manage("apply", str(plan.pk), "--reason", "They are needed", "--wait")

    assert code == 0
    assert "1 created" in said
