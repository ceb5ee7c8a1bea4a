"""One record on its way from source to target."""

import html
import re
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from django.urls import reverse

from integration_hub.syncs import changesets, services
from integration_hub.syncs.models import ChangeSet, OpenRow, Run, Slot
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


def test_the_pages_of_a_change_and_of_a_reject_lead_to_the_trace_of_their_record_whatever_its_key_is(enter, few, users_sync, run_now):
    client = enter("operator")
    odd = [few.oa.add("user", userId=key, name="Odd", email=email)["userId"] for key, email in (("A&B #1+2", "odd@hailan.example"), ("C&D #1+2", ""))]
    run_now(users_sync)
    changed = next(pk for pk in ChangeSet.objects.values_list("pk", flat=True))
    row = changesets.frame_of(ChangeSet.objects.get(pk=changed)).filter(pl.col("source_key") == odd[0])["row"].item()
    rejected = OpenRow.objects.get(key=odd[1])
    pages = [reverse("runs:change", args=[Run.objects.get().pk, changed, row]), reverse("rejects:detail", args=[rejected.pk])]

    for page, key in zip(pages, odd, strict=True):
        (traced,) = re.findall(rf'href="({reverse("syncs:trace", args=[users_sync.pk])}[^"]+)"', client.get(page).content.decode())
        assert parse_qs(urlsplit(html.unescape(traced)).query) == {"key": [key]}
