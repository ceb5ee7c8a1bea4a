"""The page of a sync's drift: how far both sides have drifted apart, where, and whether it is getting better."""

import pytest
from django.urls import reverse

from integration_hub.syncs import plans, services
from integration_hub.syncs.models import Run
from tests.syncs.conftest import finish
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drift(few, users_sync, run_now, by):
    """Change so many names in the target and reconcile; answers with the run."""
    run_now(users_sync)

    def drifted(count):
        ids = {user["employee_id"]: user["id"] for user in few.records("crm", "users")}
        for user in few.records("oa", "user")[10 : 10 + count]:
            few.crm.change("users", ids[user["userId"]], full_name=f"Other {count}")
        return finish(services.start_run(users_sync, by=by, reconcile=True))

    return drifted


def test_a_sync_that_was_never_compared_says_so_and_is_compared_by_a_click(enter, few, users_sync, run_now):
    client = enter("operator")
    assert "OA and CRM have not been compared field by field yet." in shown(client, "syncs:drift", users_sync.pk)
    assert "have not been compared" in shown(client, "syncs:detail", users_sync.pk)

    press(client, "syncs:run", users_sync.pk, reconcile="1")

    run = Run.objects.get()
    assert run.reconciles
    assert "is comparing both sides now" in shown(client, "syncs:drift", users_sync.pk)
    finish(run)
    assert "Reconcile: Succeeded" in shown(client, "runs:detail", run.pk)


def test_figures_fields_trend_and_records_lead_to_the_plan(enter, drift, users_sync, by):
    client = enter("operator")
    drift(3)
    run = drift(5)

    page = shown(client, "syncs:drift", users_sync.pk)
    assert "5 records of CRM are not as OA has them." in page
    assert "2 more than the time before" in page
    assert "full_name 5 3" in page
    assert reverse("runs:plan", args=[run.pk]) in client.get(reverse("syncs:drift", args=[users_sync.pk])).content.decode()
    assert page.count("Other 5") == 5
    assert "No change of this plan fits." in shown(client, "syncs:drift", users_sync.pk, field="full_name", key="nobody")
    assert "5 records of CRM are not as OA has them." in shown(client, "syncs:detail", users_sync.pk)
    assert "5 records of CRM are not as OA has them." in shown(client, "runs:detail", run.pk)

    finish(plans.apply_plan(plans.approve_plan(run, by=by, reason="Seen"), by=by))
    assert "Mended" in shown(client, "syncs:drift", users_sync.pk)


def test_the_page_has_no_button_for_who_may_not_run(enter, drift, users_sync):
    drift(1)

    assert 'name="reconcile"' not in enter("viewer").get(reverse("syncs:drift", args=[users_sync.pk])).content.decode()


def test_a_target_that_cannot_be_compared_is_told_and_offers_nothing(enter, few, users_sync):
    target = users_sync.target
    target.schema["capabilities"] |= {"lookup_by_key": False}
    target.save()
    client = enter("operator")

    assert "cannot reconcile" in shown(client, "syncs:drift", users_sync.pk)
    assert "cannot reconcile" in press(client, "syncs:run", users_sync.pk, reconcile="1").content.decode()
    assert not Run.objects.exists()


def test_the_schedule_is_set_in_the_form_with_its_problems_by_their_field(enter, users_sync):
    client = enter("integrator")
    values = {"name": users_sync.name, "mapping": users_sync.mapping_id, "mode": "incremental", "schedule": "hand", "time_zone": "Asia/Shanghai"}

    wrong = press(client, "syncs:edit", users_sync.pk, **values, reconcile="crontab", reconcile_crontab="0 3 * *")
    assert "reconcile_crontab" in wrong.context["form"].errors
    press(client, "syncs:edit", users_sync.pk, **values, reconcile="crontab", reconcile_crontab="0 3 * * 0")

    users_sync.refresh_from_db()
    assert (users_sync.reconcile_crontab, users_sync.reconcile_interval_seconds) == ("0 3 * * 0", None)
    assert users_sync.reconcile_due_at is not None
    assert "by crontab 0 3 * * 0 (Asia/Shanghai)" in shown(client, "syncs:detail", users_sync.pk)
    press(client, "syncs:edit", users_sync.pk, **values, reconcile="interval", reconcile_interval_seconds_0="1", reconcile_interval_seconds_1="86400")
    users_sync.refresh_from_db()
    assert (users_sync.reconcile_crontab, users_sync.reconcile_interval_seconds) == ("", 86_400)
