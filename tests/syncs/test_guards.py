"""What a run would do beyond what its sync may without asking waits for a person; the rest goes through, and nothing is emptied by an empty answer."""

import pytest

from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.syncs.models import Link, OpenRow, Run
from tests.syncs.conftest import finish
from tests.syncs.test_deletes import full, users_of_crm  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def lose(sandbox, share):
    """Delete this share of the OA's users; returns those that are gone."""
    users = [user["userId"] for user in sandbox.records("oa", "user")]
    gone = set(users[: round(len(users) * share)])
    for key in gone:
        sandbox.oa.delete("user", key)
    return gone


def withheld(run):
    return (run.state, run.balanced, run.counts["withheld"], run.counts["deleted"])


def the_run_of(decision):
    decision.refresh_from_db()
    return finish(Run.objects.get(pk=decision.about["applied_by"]))


def test_a_source_that_loses_most_of_its_records_deletes_nothing_until_somebody_accepts(full, sandbox, run_now, by):  # noqa: F811
    before = users_of_crm(sandbox)
    gone = lose(sandbox, 0.6)
    sandbox.oa.change("user", sandbox.records("oa", "user")[0]["userId"], name="Renamed Meanwhile")

    run = run_now(full)

    assert withheld(run) == ("awaiting_decision", True, 48, 0)
    assert run.counts["updated"] == 1, "the rest goes through"
    assert users_of_crm(sandbox) == before
    (decision,) = Decision.objects.open()
    assert (decision.part, decision.count) == ("delete", 48)

    approvals.decide(decision, "accept", by=by, reason="The branch office was closed")
    applied = the_run_of(decision)

    assert (applied.state, applied.balanced, applied.counts["deleted"]) == ("succeeded", True, 48)
    assert before - users_of_crm(sandbox) == gone
    assert not Link.objects.filter(a_key__in=gone, ended_at=None).exists()
    assert not OpenRow.objects.open().exists()
    assert not Decision.objects.open().exists()
