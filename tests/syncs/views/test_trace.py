"""One record on its way from source to target."""

import pytest

from integration_hub.syncs import services
from integration_hub.syncs.models import OpenRow, Run, Slot
from tests.syncs.views.conftest import shown

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_trace_follows_a_record_through_all_steps_and_writes_nothing(enter, sandbox, users_sync, run_now):
    client, key = enter("operator"), sandbox.oa.add("user", name="New", email="NEW@hailan.example")["userId"]
    before = sandbox.crm.applied()

    page = shown(client, "syncs:trace", users_sync.pk, key=key)

    assert "would be created in CRM" in page
    assert "looked for by employee_id; email" in page
    assert "none yet; found by match key: usr_000003 email" in shown(client, "syncs:trace", users_sync.pk, key="U000003")
    assert "Lower case →" in page
    assert not Slot.objects.exists()
    assert sandbox.crm.applied() == before
    assert Run.objects.count() == 0
    run_now(users_sync)
    assert "nothing would be written" in shown(client, "syncs:trace", users_sync.pk, key=key)
    assert "OA has no record with the key nobody." in shown(client, "syncs:trace", users_sync.pk, key="nobody")


def test_a_trace_says_what_the_filter_and_the_mapping_leave_out(enter, users_sync, run_now, by):
    client = enter("operator")
    run_now(users_sync)
    rejected = OpenRow.objects.filter(state="rejected").first()

    assert "E-mail must not be empty." in shown(client, "syncs:trace", users_sync.pk, key=rejected.key)
    services.change_sync(users_sync, by=by, filter="name = 'nobody at all'")
    assert "is left out by the filter." in shown(client, "syncs:trace", users_sync.pk, key="U000001")
