"""A plan's page: what it would change, and the way from there to its being written."""

import pytest
from django.urls import reverse

from integration_hub.mappings.models import MappingVersion
from integration_hub.syncs import plans
from integration_hub.syncs.models import Link, Run
from tests.syncs.conftest import USERS_TO_USERS, finish
from tests.syncs.equal import assert_equal
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def plan(few, users_sync, run_now):
    return run_now(users_sync, dry=True)


def test_a_dry_run_leads_to_its_plan(enter, plan):
    client = enter("viewer")

    assert reverse("runs:plan", args=[plan.pk]) in client.get(plan.get_absolute_url()).content.decode()
    page = shown(client, "runs:plan", plan.pk)

    assert "Awaits approval" in page
    assert "76 records would be written to CRM. Of 4 records only the link would change." in page
    assert "Fields most changed" in page


def test_changes_are_narrowed_by_operation_field_and_key(enter, few, plan):
    client, key = enter("viewer"), few.records("oa", "user")[-1]["userId"]

    page = shown(client, "runs:plan", plan.pk, key=key)
    assert page.count("planned") == 1
    assert key in page
    assert "No change of this plan fits." in shown(client, "runs:plan", plan.pk, operation="update", key=key)
    updates = shown(client, "runs:plan", plan.pk, operation="update", field=plans.fields_of(plan)[0].name)
    assert "No change of this plan fits." not in updates


def test_only_kinds_of_changes_that_it_has_are_offered(enter, plan):
    client = enter("approver")

    for name in ("runs:plan", "runs:approve"):
        page = client.get(reverse(name, args=[plan.pk])).content.decode()
        assert [kind for kind in plans.OPERATIONS if f'value="{kind}"' in page] == ["create", "update", "adopt"]
    page = client.get(reverse("runs:plan", args=[plan.pk])).content.decode()
    assert [kind for kind in plans.OPERATIONS if f"?operation={kind}" in page] == ["create", "update", "adopt"]


def test_it_is_counted_approved_and_applied(enter, few, plan):
    client = enter("administrator")

    counted = press(client, "runs:approve", plan.pk, operations=["create"], count="1").content.decode()
    assert "75 of 80 fit." in counted
    press(client, "runs:approve", plan.pk, reason="All seen")
    assert "80 of 80 changes are approved and can be applied." in shown(client, "runs:plan", plan.pk)
    press(client, "runs:apply", plan.pk)
    run = finish(Run.objects.get(applies__plan=plan))

    assert "Applied" in shown(client, "runs:plan", plan.pk)
    assert f"of run {plan.pk}" in shown(client, "runs:detail", run.pk)
    assert_equal(few)


def test_a_rule_that_cannot_be_read_is_told_at_its_field(enter, plan):
    answer = press(enter("approver"), "runs:approve", plan.pk, rule="before.nothing = 1", reason="?").content.decode()

    assert "before.nothing" in answer
    assert not hasattr(Run.objects.get(pk=plan.pk), "approval")


def test_an_exception_that_the_plan_does_not_have_is_told_at_its_field(enter, plan):
    answer = press(enter("approver"), "runs:approve", plan.pk, except_keys="U9", reason="Not this one").content.decode()

    assert "This plan has no change of a record with the key U9." in answer
    assert not hasattr(Run.objects.get(pk=plan.pk), "approval")


def test_approving_otherwise_starts_with_what_was_approved(enter, few, plan):
    client, (one, two) = enter("approver"), (user["userId"] for user in few.records("oa", "user")[-2:])
    press(client, "runs:approve", plan.pk, operations=["create"], rule="after.email is not null", except_keys=f"{one}\n{two}", reason="All but two")

    form = client.get(reverse("runs:approve", args=[plan.pk])).context["form"]

    assert {name: form[name].value() for name in form.fields} == {
        "operations": ["create"], "rule": "after.email is not null", "except_keys": f"{one}\n{two}", "reason": None,
    }  # fmt: skip


def test_a_record_is_found_by_the_whole_of_a_long_key(enter, few, users_sync, run_now):
    fields = [field for field in USERS_TO_USERS["fields"] if field["target"] != "employee_id"]  # which is short
    MappingVersion.objects.update(definition={**USERS_TO_USERS, "fields": fields, "match": [["email"]]})
    alike = "U" * 480
    for end in ("1", "2"):
        few.oa.add("user", bare=True, **{**few.records("oa", "user")[0], "userId": alike + end, "email": f"long{end}@example.com"})
    plan = run_now(users_sync, dry=True)

    page = shown(enter("viewer"), "runs:plan", plan.pk, key=alike + "2")

    assert page.count("planned") == 1
    assert "long2@example.com" in page


def test_nothing_is_applied_that_is_not_approved(enter, plan):
    answer = press(enter("operator"), "runs:apply", plan.pk).content.decode()

    assert "This plan is not approved yet." in answer


def test_a_run_that_wrote_has_no_plan(enter, few, users_sync, run_now):
    assert enter("viewer").get(reverse("runs:plan", args=[run_now(users_sync).pk])).status_code == 404


def test_a_run_is_undone_from_its_page(enter, few, users_sync, run_now):
    before, run = few.records("crm", "users"), run_now(users_sync)
    client = enter("administrator")
    assert reverse("runs:undo", args=[run.pk]) in client.get(run.get_absolute_url()).content.decode()

    press(client, "runs:undo", run.pk)
    plan = finish(Run.objects.get(undoes__isnull=False))
    page = shown(client, "runs:plan", plan.pk)
    assert "76 records of CRM would be as they were before." in page
    assert "Undoes" in shown(client, "runs:detail", plan.pk)
    press(client, "runs:approve", plan.pk, reason="Wrong mapping")
    press(client, "runs:apply", plan.pk)
    applied = finish(Run.objects.get(applies__plan=plan))

    assert f"Undoes run {run.pk}" in shown(client, "runs:detail", applied.pk)
    names = {user["id"]: user["full_name"] for user in few.records("crm", "users")}
    assert names == {user["id"]: user["full_name"] for user in before}


def test_what_cannot_be_undone_comes_first(enter, few, users_sync, run_now):
    run = run_now(users_sync)
    target = users_sync.target
    target.schema["capabilities"]["delete"] = False
    target.save()
    client = enter("operator")

    press(client, "runs:undo", run.pk)
    plan = finish(Run.objects.get(undoes__isnull=False))
    page = shown(client, "runs:plan", plan.pk)

    assert "1 record of CRM would be as it was before." in page
    assert page.index("CRM cannot delete Users") < page.index("Record by record")
    assert "75 cannot be undone" in shown(client, "runs:detail", plan.pk)


def test_links_that_would_only_end_are_counted_and_found(enter, full, few, run_now):
    gone = few.records("oa", "user")[7]["userId"]
    few.oa.delete("user", gone)
    few.crm.delete("users", Link.objects.get(a_key=gone).b_key)
    plan, client = run_now(full, dry=True), enter("approver")

    assert "Links to end 1" in shown(client, "runs:plan", plan.pk)
    page = shown(client, "runs:plan", plan.pk, operation="unlink")
    assert gone in page
    assert "only the link ends" in page


def test_what_would_be_deleted_is_shown_as_it_is(enter, full, few, run_now):
    gone = few.records("oa", "user")[7]
    few.oa.delete("user", gone["userId"])
    plan, client = run_now(full, dry=True), enter("approver")

    page = shown(client, "runs:plan", plan.pk, operation="delete")
    assert gone["name"] in page
    assert "not sent" not in page
    assert "not sent" not in shown(client, "runs:change", plan.pk, plan.change_sets.get(deletes=1).pk, 0)


def test_of_deleted_records_that_are_created_again_it_is_told_what_is_lost(enter, full, few, run_now):
    few.oa.delete("user", few.records("oa", "user")[7]["userId"])
    run, client = run_now(full), enter("operator")

    press(client, "runs:undo", run.pk)
    plan = finish(Run.objects.get(undoes__isnull=False))

    told = "1 record that was deleted is created again, as a new one and with the fields of the mapping alone: what else CRM held of it is lost."
    assert told in shown(client, "runs:plan", plan.pk)


def test_a_version_is_undone_from_the_page_of_its_sync(enter, few, users_sync, run_now):
    run_now(users_sync)
    version, client = users_sync.mapping.latest, enter("integrator")

    press(client, "syncs:undo", users_sync.pk, version=version.pk, since="2020-01-01T00:00")
    plan = finish(Run.objects.get(undoes__isnull=False))

    assert plan.counts["not_sent"] == 76
    refused = press(client, "syncs:undo", users_sync.pk, version=version.pk, since="2099-01-01T00:00").content.decode()
    assert "has written anything since then" in refused


def test_the_list_is_exported_as_it_is_narrowed(enter, plan):
    name = plans.fields_of(plan)[0].name

    answer = enter("viewer").get(reverse("runs:changes_export", args=[plan.pk]), {"operation": "update", "field": name})

    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert name in lines[1]
