"""The pages and the API of decisions, over a run that withheld most of its deletes."""

import pytest
from django.urls import reverse

from integration_hub.approvals.models import Decision
from integration_hub.syncs import services
from integration_hub.syncs.models import Run
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


def test_it_is_told_on_the_overview_and_on_the_pages_of_sync_and_run(decision, enter):
    client = enter("operator")
    run = Run.objects.latest("pk")

    assert "Delete 40 records in CRM?" in shown(client, "admin:index")
    assert "Delete 40 records in CRM?" in shown(client, "syncs:detail", run.sync_id)
    page = shown(client, "runs:detail", run.pk)
    assert "40 changes wait for a decision; the rest went through." in page
    assert "The books balance" in page
    assert "Delete 40 records in CRM?" in shown(client, "decisions:list")
    export = client.get(reverse("decisions:export"))
    assert "Delete 40 records in CRM?" in b"".join(export.streaming_content).decode()


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
