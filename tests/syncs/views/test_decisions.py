"""The pages and the API of decisions, over a run that withheld most of its deletes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from integration_hub.approvals.models import Decision
from integration_hub.syncs import services
from integration_hub.syncs.models import Link, OpenRow, Run
from tests.syncs.conftest import finish
from tests.syncs.views.conftest import press, shown

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def decision(few, users_sync, run_now, by):
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    run_now(sync)
    for user in few.records("oa", "user")[:40]:
        few.oa.delete("user", user["userId"])
    run_now(sync)
    return Decision.objects.open().get()


def test_the_page_says_what_is_withheld_and_why(decision, enter):
    client = enter("approver")

    page = shown(client, "decisions:detail", decision.pk)

    assert "Delete 40 records in CRM?" in page
    assert "The run would delete more records than the sync may without asking. 40 of 80 linked records, 50 %." in page
    assert "full_name:" in page
    assert "20 more records are not shown here." in page
    assert "Accept and raise the limit" not in page, "an approver may not change the sync"


def test_its_examples_are_read_together(decision, enter):
    client = enter("approver")

    with CaptureQueriesContext(connection) as asked:
        shown(client, "decisions:detail", decision.pk)

    assert len([query for query in asked if "syncs_outcomefile" in query["sql"]]) == 1, "twenty records of one change set"


def test_it_is_told_on_the_overview_and_on_the_pages_of_sync_and_run(decision, enter):
    client = enter("operator")
    run = Run.objects.latest("pk")

    assert "Delete 40 records in CRM?" in shown(client, "admin:index")
    assert "Delete 40 records in CRM?" in shown(client, "syncs:detail", run.sync_id)
    assert "Awaiting decision 1" in shown(client, "syncs:detail", run.sync_id), "told apart from those with rejects in the legend"
    page = shown(client, "runs:detail", run.pk)
    assert "40 changes wait for a decision; the rest went through." in page
    assert "The books balance" in page
    assert "Delete 40 records in CRM?" in shown(client, "decisions:list")
    export = client.get(reverse("decisions:export"))
    assert "Delete 40 records in CRM?" in b"".join(export.streaming_content).decode()


def test_a_run_that_left_records_too_does_not_say_that_the_rest_went_through(decision, enter, few, run_now):
    few.crm.refuses("users", because="No room")
    few.oa.add("user")
    run = run_now(Run.objects.latest("pk").sync)

    page = shown(enter("operator"), "runs:detail", run.pk)

    assert "40 changes wait for a decision, and 1 record did not arrive." in page
    assert "clear by cause what did not arrive" in page


def test_what_was_refused_is_told_beside_what_waits(decision, enter, few, run_now):
    client = enter("operator")
    press(client, "decisions:answer", decision.pk, answer="refuse", reason="They come back")
    few.oa.fault("empty", path="user")

    page = shown(client, "runs:detail", run_now(Run.objects.latest("pk").sync).pk)

    assert "40 changes wait for a decision." in page
    assert "40 changes were left out, for somebody has refused them." in page


def test_a_run_that_only_waits_does_not_speak_of_the_rest(decision, enter, few, run_now):
    few.oa.fault("empty", path="user")
    run = run_now(Run.objects.latest("pk").sync)

    assert "80 changes wait for a decision. Next:" in shown(enter("operator"), "runs:detail", run.pk)


def test_withheld_records_are_decided_about_and_neither_mended_nor_replayed(decision, enter):
    client = enter("operator")
    row = OpenRow.objects.open().first()

    page = shown(client, "rejects:list")
    assert "Next: decide: accept and they are written, refuse and they stay as they are." in page
    assert "when they are replayed" not in page
    assert "when it was deleted" not in page
    assert "Mend values" not in shown(client, "rejects:detail", row.pk)


def test_an_approver_accepts_with_a_reason(decision, enter):
    client = enter("approver")

    assert "Say why" in press(client, "decisions:answer", decision.pk, answer="accept").content.decode()
    press(client, "decisions:answer", decision.pk, answer="accept", reason="Agreed with sales")

    run = finish(Run.objects.latest("pk"))
    assert (run.state, run.counts["deleted"]) == ("succeeded", 40)
    page = shown(client, "decisions:detail", decision.pk)
    assert "Agreed with sales" in page
    assert "Accepted" in page
    assert "was deleted in CRM." in shown(client, "runs:change", run.pk, run.change_sets.get().pk, 0)


def test_who_looked_before_a_later_run_brought_it_up_to_date_looks_again(decision, enter, few, run_now, api, administrator):
    client = enter("approver")
    assert 'name="seen" value="40"' in client.get(decision.get_absolute_url()).content.decode()
    for user in few.records("oa", "user")[:30]:
        few.oa.delete("user", user["userId"])
    run_now(Run.objects.latest("pk").sync)

    page = press(client, "decisions:answer", decision.pk, answer="accept", reason="Agreed for forty", seen="40").content.decode()
    answer = api(administrator).post(
        f"/api/v1/decisions/{decision.pk}/decide/", {"answer": "accept", "reason": "Agreed", "count": 40}, content_type="application/json"
    )

    assert "Records that wait for this: 70 by now, 40 when you looked." in page
    assert (answer.status_code, "70 by now" in answer.json()["detail"]) == (409, True)
    assert Decision.objects.open().get().count == 70
    press(client, "decisions:answer", decision.pk, answer="accept", reason="Agreed for seventy", seen="70")
    assert finish(Run.objects.latest("pk")).counts["deleted"] == 70


def test_the_limits_stay_those_that_held_the_changes_back(decision, enter):
    client = enter("administrator")

    press(client, "decisions:answer", decision.pk, answer="raise", reason="It shrinks")

    assert Run.objects.latest("pk").sync.most_deletes_percent == 50
    assert "Deletes without asking, % 20" in shown(client, "decisions:detail", decision.pk)


def test_what_was_refused_before_is_found_behind_the_number_of_a_later_run(decision, enter, run_now):
    client = enter("operator")
    press(client, "decisions:answer", decision.pk, answer="refuse", reason="They come back")

    run = run_now(Run.objects.latest("pk").sync)

    behind = f"{reverse('runs:changes', args=[run.pk])}?result=withheld"
    assert f'href="{behind}"' in client.get(run.get_absolute_url()).content.decode()
    assert "full_name:" in shown(client, "runs:changes", run.pk, result="withheld")


def test_a_viewer_looks_and_does_not_decide(decision, enter):
    client = enter("viewer")

    assert "Delete 40 records in CRM?" in shown(client, "decisions:detail", decision.pk)
    assert press(client, "decisions:answer", decision.pk, answer="refuse", reason="No").status_code == 403
    assert Decision.objects.open().exists()


def test_the_api_lists_and_decides(decision, api, by, administrator):
    client = api(administrator)

    (told,) = client.get("/api/v1/decisions/?state=open").json()["items"]
    assert (told["question"], told["count"], told["answers"]) == ("Delete 40 records in CRM?", 40, ["accept", "refuse", "raise"])
    place = f"/api/v1/decisions/{decision.pk}/decide/"
    assert client.post(place, {"answer": "perhaps", "reason": "?"}, content_type="application/json").status_code == 400
    answer = client.post(place, {"answer": "refuse", "reason": "The source was wrong"}, content_type="application/json")

    assert (answer.status_code, answer.json()["state"]) == (200, "refused")
    assert client.post(place, {"answer": "accept", "reason": "Yes"}, content_type="application/json").status_code == 409


def test_the_books_of_a_dry_run_tell_what_would_be_deleted_and_what_only_loses_its_link(few, users_sync, run_now, by, enter):
    sync = services.change_sync(users_sync, by=by, mode="full", deletes="delete")
    run_now(sync)
    gone, gone_twice = (user["userId"] for user in few.records("oa", "user")[:2])
    few.oa.delete("user", gone)
    few.oa.delete("user", gone_twice)
    few.crm.delete("users", Link.objects.get(a_key=gone_twice).b_key)
    client = enter("viewer")

    dry = run_now(sync, dry=True)

    page = shown(client, "runs:detail", dry.pk)
    assert "78 produced 2 missing 0 to create 0 to update 1 to delete 1 links to end 0 to link 78 unchanged" in page
    assert gone_twice in shown(client, "runs:changes", dry.pk, operation="unlink")
    run = run_now(sync)
    assert "78 produced 2 missing 0 created 0 updated 1 deleted 79 unchanged" in shown(client, "runs:detail", run.pk)
