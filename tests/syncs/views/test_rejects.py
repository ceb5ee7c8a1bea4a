"""Rejects by cause, replayed, dismissed and exported."""

import csv
import io

import pytest
from django.urls import reverse

from integration_hub.audit.models import Entry
from integration_hub.syncs.forecast import forecast
from integration_hub.syncs.models import OpenRow, Run, Sync
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


def test_rejects_are_grouped_by_cause_with_a_forecast(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    rejected = OpenRow.objects.open().filter(state="rejected", field="email", step="required")

    page = shown(client, "rejects:list")

    assert "E-mail must not be empty." in page
    assert f"Replay all {rejected.count()}" in page
    assert f"0 of {rejected.count()} would pass as they were kept" in page
    assert "No rejects" in shown(client, "rejects:list", state="parked")
    assert "E-mail must not be empty." in shown(client, "rejects:list", field="email", sync=users_sync.pk, run=rejected.first().run_id)


def test_a_group_is_dismissed_with_a_reason_and_found_again_among_the_closed(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    cause = OpenRow.objects.open().filter(state="rejected").first().cause
    group = OpenRow.objects.filter(cause=cause)

    press(client, "rejects:dismiss", sync=users_sync.pk, cause=cause)
    assert group.open().exists()
    press(client, "rejects:dismiss", sync=users_sync.pk, cause=cause, reason="leavers")

    assert not group.open().exists()
    assert "leavers" in shown(client, "rejects:list", state="closed")
    assert "Nothing of this cause is open any more." in shown(client, "rejects:cause", users_sync.pk, cause)


def test_a_run_whose_rejects_were_all_dismissed_says_so_and_leads_to_them(enter, users_sync, run_now):
    client, run = enter("operator"), run_now(users_sync)
    closed = f"{reverse('rejects:list')}?run={run.pk}&amp;state=closed"
    rows = OpenRow.objects.open().filter(run=run)
    assert "clear them by cause" in shown(client, "runs:detail", run.pk)

    press(client, "rejects:dismiss", ids=[row.pk for row in rows[1:]], reason="leavers")
    assert "clear them by cause" in shown(client, "runs:detail", run.pk)
    press(client, "rejects:dismiss", ids=rows.get().pk, reason="a leaver")

    page = client.get(run.get_absolute_url()).content.decode()
    assert f'nothing needs you now, for <a href="{closed}">all of them were dismissed</a>.' in page
    assert "clear them by cause" not in page
    assert "leavers" in shown(client, "rejects:list", run=run.pk, state="closed")

    again = run_now(users_sync, full=True)

    assert (again.state, again.counts["rejected"]) == ("with_rejects", run.counts["rejected"])
    assert "all of them were dismissed" in shown(client, "runs:detail", again.pk), "which it has met again and has not opened"
    assert "leavers" in shown(client, "rejects:list", run=again.pk, state="closed")
    assert "met by a later run since" in shown(client, "runs:detail", run.pk)


def test_some_are_replayed_and_the_run_that_does_it_is_started(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    rows = list(OpenRow.objects.open().filter(state="rejected")[:2])

    answer = press(client, "rejects:replay", ids=[row.pk for row in rows])

    assert "2 records are replayed now." in answer.content.decode()
    run = Run.objects.get(trigger="replay")
    assert sorted(run.keys) == sorted(row.key for row in rows)


@pytest.mark.parametrize(("act", "event", "told"), [("replay", "rejects.replayed", "{n}"), ("dismiss", "rejects.dismissed", "{n}: leavers")])
def test_the_audit_log_says_of_each_sync_how_many_of_its_own_were_chosen(enter, users_sync, run_now, act, event, told):
    client = enter("operator")
    run_now(users_sync)
    other = Sync.objects.get(pk=users_sync.pk)
    other.pk, other.name = None, "Another"
    other.save()
    rows = list(OpenRow.objects.open().filter(state="rejected")[:3])
    OpenRow.objects.filter(pk=rows[0].pk).update(sync=other)

    press(client, f"rejects:{act}", ids=[row.pk for row in rows], reason="leavers")

    notes = dict(Entry.objects.filter(event=event).values_list("subject_id", "note"))
    assert notes == {str(users_sync.pk): told.format(n=2), str(other.pk): told.format(n=1)}


def test_the_export_runs_nothing_in_a_spreadsheet(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    OpenRow.objects.open().update(value="=cmd|' /C calc'!A0")

    answer = client.get(reverse("rejects:export"))
    body = b"".join(answer.streaming_content).decode()

    assert answer["Content-Type"].startswith("text/csv")
    assert "'=cmd|" in body
    assert body.count("\n") == OpenRow.objects.open().count() + 1


def test_closed_rejects_are_exported_with_how_they_ended(enter, users_sync, run_now):
    client = enter("operator")
    run_now(users_sync)
    row = OpenRow.objects.open().first()
    press(client, "rejects:dismiss", ids=row.pk, reason="a leaver")

    link = f"{reverse('rejects:export')}?state=closed"
    page = client.get(reverse("rejects:list"), {"state": "closed"}).content.decode()
    lines = list(csv.DictReader(io.StringIO(b"".join(client.get(link).streaming_content).decode().removeprefix("\ufeff"))))

    assert link in page
    assert [(line["Key"], line["How"], line["Closed by"], line["Why"]) for line in lines] == [(row.key, "Dismissed", "operator", "a leaver")]


def test_a_value_that_could_not_be_read_stays_so_in_the_forecast(users_sync, run_now):
    run_now(users_sync)
    row = OpenRow.objects.filter(state="refused").first() or OpenRow.objects.first()
    OpenRow.objects.filter(pk=row.pk).update(
        state="rejected", step="read", field="name", value="\\ud800", reason={"template": "Not text.", "values": {}}
    )
    row = OpenRow.objects.select_related("sync__mapping").get(pk=row.pk)

    told = forecast([row])

    assert (told.passing, told.tried) == (0, 1)
