"""What syncs tell on the overview and in the palette."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integration_hub.core.overview import problems, running
from integration_hub.core.palette import find
from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow, PageRow, Run, Sync
from tests.syncs.conftest import ended

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_overview_tells_of_failed_late_and_waiting_syncs(users_sync, run_now, viewer, by):
    run_now(users_sync)
    tell = problems["syncs"]

    assert [problem.cause for problem in tell(viewer)] == [f"{OpenRow.objects.open().count()} records of {users_sync.name} did not arrive"]
    services.change_sync(users_sync, by=by, objective_seconds=60)
    Sync.objects.update(last_success_at=timezone.now() - timedelta(hours=1))
    assert f"{users_sync.name} is late" in [problem.cause for problem in tell(viewer)]
    run = ended(users_sync, "failed", error={"template": "OA does not answer.", "values": {}})
    causes = {problem.cause: problem for problem in tell(viewer)}
    assert causes[f"{users_sync.name} failed"].act.href == run.get_absolute_url()
    assert f"{users_sync.name} is late" not in causes


def test_books_that_do_not_balance_are_red_wherever_their_sync_is_told_of(users_sync, run_now, viewer, person, client):
    run_now(users_sync)
    run = ended(users_sync, "succeeded", balanced=False)
    client.force_login(person("operator"))

    (problem,) = [problem for problem in problems["syncs"](viewer) if problem.state == "bad"]
    page = client.get(users_sync.get_absolute_url())

    assert (problem.cause, problem.act.href) == (f"The books of {users_sync.name} do not balance", run.get_absolute_url())
    assert list(Sync.objects.failing()) == [users_sync]
    assert (page.context["verdict"].state, page.context["verdict"].word) == ("bad", "Books do not balance")
    assert page.context["verdict"].next[0].href == run.get_absolute_url()
    assert page.context["bars"].bars[-1].state == "bad"
    assert "Books do not balance" in page.context["bars"].bars[-1].title
    assert ("bad", "Books do not balance 1") in page.context["legend"]
    assert not [words for _state, words in page.context["legend"] if words.startswith("Succeeded")]


@pytest.mark.parametrize("of", [{"keys": ["U000001"], "trigger": "replay"}, {"keys_only": True}, {"dry": True}])
def test_books_that_do_not_balance_are_told_of_whatever_run_it_was(users_sync, run_now, viewer, client, person, of):
    run_now(users_sync, full=True)
    run = ended(users_sync, "succeeded", balanced=False, **of)
    old = ended(users_sync, "succeeded", balanced=False, hours=24 * 8, **of)
    client.force_login(person("operator"))

    found = {problem.cause: problem.act.href for problem in problems["syncs"](viewer) if problem.state == "bad"}

    assert found == {f"The books of run {run.pk} of {users_sync.name} do not balance": run.get_absolute_url()}
    assert str(old.pk) not in found
    following = client.get(run.get_absolute_url()).context["verdict"].next
    assert following == ["tell whoever looks after the hub. The log of the workers has the details; a full run compares all records again."]


def test_rejects_are_told_beside_more_withheld_changes_than_are_counted(full, sandbox, run_now, viewer, monkeypatch):
    monkeypatch.setattr("integration_hub.syncs.freshness.CAP", 20)
    monkeypatch.setattr("integration_hub.syncs.overview.CAP", 20)
    users = sandbox.records("oa", "user")
    for user in users[:40]:
        sandbox.oa.delete("user", user["userId"])
    for user in users[40:43]:
        sandbox.oa.change("user", user["userId"], email=None)

    assert run_now(full).counts["withheld"] == 40

    assert [problem.cause for problem in problems["syncs"](viewer)] == [f"3 records of {full.name} did not arrive"]
    assert [problem.holds for problem in problems["decisions"](viewer)] == ["40 records"]


def test_a_run_that_nobody_takes_is_a_problem(users_sync, viewer, by):
    run = services.start_run(users_sync, by=by)
    run.partitions.update(sent_at=timezone.now() - timedelta(minutes=5))

    causes = [problem.cause for problem in problems["syncs"](viewer)]

    assert causes == ["No worker is running", f"Run {run.pk} stands still"]


def test_a_run_that_goes_on_tells_how_long_it_will_take(users_sync, viewer, by):
    run = services.start_run(users_sync, by=by)
    Run.objects.update(state="writing", expected_count=300, started_at=timezone.now() - timedelta(seconds=10))
    (partition,) = run.partitions.all()
    PageRow.objects.create(partition=partition, number=0, read=100)
    run.partitions.update(read_count=100)

    (shown,) = running["syncs"](viewer)

    assert (shown.share, shown.rate) == (pytest.approx(100 / 3), "10/s")
    assert shown.left_seconds == pytest.approx(20, rel=0.2)


def test_the_palette_finds_syncs_by_name_and_runs_by_number(users_sync, run_now, viewer):
    run = run_now(users_sync)

    assert users_sync.get_absolute_url() in [hit.href for hit in find(viewer, "users of")]
    assert run.get_absolute_url() in [hit.href for hit in find(viewer, f"{run.pk:,}")]
