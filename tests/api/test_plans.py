"""Plans through the API: looked at, approved, applied, and undone."""

import pytest

from integration_hub.accounts.actor import Actor
from integration_hub.syncs.models import Link, PlanApproval, Run
from tests.api.test_syncs import JSON, V1
from tests.syncs.conftest import by, crm, few, finish, full, oa, run_now, sandbox, sandbox_server, users_sync
from tests.syncs.equal import assert_equal

__all__ = ["by", "crm", "few", "full", "oa", "run_now", "sandbox", "sandbox_server", "users_sync"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def approver(api, person):
    return api(Actor.of(person("approver")))


def test_a_plan_is_looked_at_approved_and_applied(few, users_sync, run_now, api, approver, operator):
    plan = run_now(users_sync, dry=True)
    address = f"{V1}/runs/{plan.pk}"

    told = approver.get(f"{address}/plan/").json()
    assert (told["changes"], told["refusal"], told["approval"], told["applied_by"]) == (80, "", None, None)
    assert {"name": "email", "updates": 0, "creates": 75} in told["changed_fields"]
    assert approver.get(f"{address}/changes/?operation=update&field=employee_id").json()["items"][0]["operation"] == "update"
    assert approver.post(f"{address}/apply/").status_code == 409
    assert api(operator).post(f"{address}/approve/", {"reason": "Mine"}, content_type=JSON).status_code == 403
    refused = approver.post(f"{address}/approve/", {"reason": "Checked", "rule": "after.nothing = 1"}, content_type=JSON)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "#/rule")
    approved = approver.post(f"{address}/approve/", {"reason": "Checked"}, content_type=JSON).json()
    assert (approved["approval"]["approved_count"], approved["approval"]["reason"]) == (80, "Checked")

    run = approver.post(f"{address}/apply/")

    assert (run.status_code, run.json()["applies_plan_of"]) == (201, plan.pk)
    finish(Run.objects.get(pk=run.json()["id"]))
    assert_equal(few)
    assert approver.get(f"{address}/plan/").json()["applied_by"] == run.json()["id"]
    assert approver.post(f"{address}/apply/").status_code == 409


def test_an_exception_that_the_plan_does_not_have_is_refused_at_its_place(few, users_sync, run_now, approver):
    plan = run_now(users_sync, dry=True)

    refused = approver.post(f"{V1}/runs/{plan.pk}/approve/", {"reason": "Checked", "except_keys": ["U9"]}, content_type=JSON)

    assert (refused.status_code, refused.json()["errors"][0]["pointer"].startswith("#/except_keys")) == (400, True)
    assert "U9" in refused.json()["errors"][0]["detail"]
    assert not PlanApproval.objects.exists()


def test_a_dry_run_says_what_would_be_withheld_one_by_one_and_in_the_list(full, sandbox, run_now, approver):
    for user in sandbox.records("oa", "user")[:20]:
        sandbox.oa.delete("user", user["userId"])
    run = run_now(full, dry=True)

    told = approver.get(f"{V1}/runs/{run.pk}/").json()["would_withhold"]

    (beyond,) = told
    assert {name: beyond[name] for name in ("operation", "count", "most", "percent", "links")} == {
        "operation": "delete", "count": 20, "most": None, "percent": 20, "links": 80,
    }  # fmt: skip
    assert beyond["sentence"].startswith("Deletes would wait for a decision: there are 20, ")
    assert [row["would_withhold"] for row in approver.get(f"{V1}/runs/").json()["items"]] == [told, []]


@pytest.mark.parametrize(
    ("act", "body", "unknown"),
    [
        ("approve", {"reason": "Checked", "except_key": ["U000001"]}, "except_key"),
        ("undo", {"key": ["U000001"]}, "key"),
    ],
)
def test_a_mistyped_name_approves_or_undoes_no_more_than_was_meant(few, users_sync, run_now, api, administrator, act, body, unknown):
    run = run_now(users_sync, dry=act == "approve")

    refused = api(administrator).post(f"{V1}/runs/{run.pk}/{act}/", body, content_type=JSON)

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, f"#/{unknown}")
    assert not PlanApproval.objects.exists()
    assert Run.objects.get() == run
    users_sync.refresh_from_db()
    assert users_sync.paused_at is None


def test_changes_are_asked_for_by_every_result_they_can_have(full, sandbox, run_now, api, viewer):
    users = sandbox.records("oa", "user")
    for user in users[:20]:
        sandbox.oa.delete("user", user["userId"])
    sandbox.crm.delete("users", Link.objects.get(a_key=users[0]["userId"]).b_key)
    client, run = api(viewer), run_now(full)

    def keys(result):
        return [change["source_key"] for change in client.get(f"{V1}/runs/{run.pk}/changes/", {"result": result}).json()["items"]]

    assert (len(keys("withheld")), keys("unlinked"), keys("kept")) == (19, [users[0]["userId"]], [])


def test_a_run_that_wrote_is_no_plan(few, users_sync, run_now, approver):
    assert approver.get(f"{V1}/runs/{run_now(users_sync).pk}/plan/").status_code == 409


def test_a_run_is_undone(few, users_sync, run_now, api, operator, approver):
    before, run = few.records("crm", "users"), run_now(users_sync)
    client = api(operator)

    planned = client.post(f"{V1}/runs/{run.pk}/undo/", {}, content_type=JSON)
    assert (planned.status_code, planned.json()["undoes"]) == (201, {"runs": [run.pk], "keys": None})
    plan = finish(Run.objects.get(pk=planned.json()["id"]))
    approver.post(f"{V1}/runs/{plan.pk}/approve/", {"reason": "Wrong mapping"}, content_type=JSON)
    applied = client.post(f"{V1}/runs/{plan.pk}/apply/")
    finish(Run.objects.get(pk=applied.json()["id"]))

    assert {user["id"] for user in few.records("crm", "users")} == {user["id"] for user in before}
    assert client.post(f"{V1}/runs/{plan.pk}/undo/", {}, content_type=JSON).status_code == 409


@pytest.mark.parametrize("launch", ["apply a plan", "undo a run", "undo a version"])
def test_what_is_launched_twice_under_one_key_is_launched_once(few, users_sync, run_now, api, operator, approver, launch):
    run, client = run_now(users_sync, dry=launch == "apply a plan"), api(operator)
    if launch == "apply a plan":
        approver.post(f"{V1}/runs/{run.pk}/approve/", {"reason": "Checked"}, content_type=JSON)
    address, body = {
        "apply a plan": (f"{V1}/runs/{run.pk}/apply/", {}),
        "undo a run": (f"{V1}/runs/{run.pk}/undo/", {}),
        "undo a version": (f"{V1}/syncs/{users_sync.pk}/undo/", {"version": 1, "since": "2020-01-01T00:00:00Z"}),
    }[launch]

    first, again = (client.post(address, body, content_type=JSON, headers={"Idempotency-Key": "k1"}) for _ in range(2))

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert Run.objects.count() == 2


def test_a_version_is_undone(few, users_sync, run_now, api, operator):
    run, client, address = run_now(users_sync), api(operator), f"{V1}/syncs/{users_sync.pk}/undo/"

    planned = client.post(address, {"version": 1, "since": "2020-01-01T00:00:00Z"}, content_type=JSON)

    assert planned.json()["undoes"]["runs"] == [run.pk]
    assert client.post(address, {"version": 9, "since": "2020-01-01T00:00:00Z"}, content_type=JSON).status_code == 400
    assert client.post(address, {"version": 1, "since": "2099-01-01T00:00:00Z"}, content_type=JSON).status_code == 409


def test_the_story_of_a_record(few, users_sync, run_now, api, operator):
    run, key = run_now(users_sync), few.records("oa", "user")[20]["userId"]
    client, address = api(operator), f"{V1}/syncs/{users_sync.pk}/story/"

    told = client.get(address, {"key": key}).json()

    assert [(each["run"], each["mapping_version"], each["change"]["operation"]) for each in told["changes"]] == [(run.pk, 1, "create")]
    assert (told["links"][0]["a_key"], told["links"][0]["ended_at"], told["next"]) == (key, None, "")
    assert client.get(address).status_code == 400
