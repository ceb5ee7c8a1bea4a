"""Who is written to when a sync fails, when it waits for a decision, and when rejects are assigned."""

import pytest
from django.utils import translation

from integration_hub.accounts import mail
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Mail
from integration_hub.approvals import services as approvals
from integration_hub.approvals.models import Decision
from integration_hub.core import outbox
from integration_hub.core.models import Message
from integration_hub.syncs import resolving, services
from integration_hub.syncs.models import OpenRow, Run
from tests.syncs.conftest import ended, finish

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_streak_of_failures_is_told_once_to_those_who_ask(users_sync, person):
    person("operator", mail_failed_runs=True, language="zh-hans")
    person("viewer")
    error = {"template": "{system} does not answer.", "values": {"system": "OA"}}

    def fail(**more):
        run = ended(users_sync, "failed", error=error, **more)
        outbox.tell(outbox.emit("run.failed", f"runs/{run.pk}", sync=users_sync.pk).pk)
        return run

    first = fail()
    fail()
    fail(dry=True)
    fail(dry=True, mode="reconcile", trigger="hand")
    mail = Mail.objects.get()
    assert (mail.person.username, mail.path) == ("operator", first.get_absolute_url())
    ended(users_sync, "succeeded")
    fail()
    assert Mail.objects.count() == 2


def all_is_told():
    for message in Message.objects.filter(handled_at=None).order_by("pk"):
        outbox.tell(message.pk)


def delivered(mailoutbox):
    """Every mail that was written is sent; who got which, by subject."""
    for mail_id in Mail.objects.due().values_list("pk", flat=True):
        mail.send(mail_id)
    return {message.to[0].partition("@")[0]: message for message in mailoutbox}


@pytest.fixture
def waits(full, sandbox, run_now):
    """A sync that would delete thirty of eighty records and asks."""
    for user in sandbox.records("oa", "user")[:30]:
        sandbox.oa.delete("user", user["userId"])
    assert run_now(full).state == "awaiting_decision"
    return full


def test_a_decision_that_opens_is_told_to_those_who_ask_and_may_decide_in_their_language(person, waits, mailoutbox):
    for role, more in (("approver", {"language": "zh-hans"}), ("operator", {}), ("viewer", {})):
        person(role, mail_decisions=True, **more)
    person("administrator")

    all_is_told()

    told = delivered(mailoutbox)
    assert set(told) == {"approver", "operator"}, "the viewer may not decide, and the administrator has not asked"
    assert told["operator"].subject == "Users of OA → Users of CRM waits for a decision"
    assert "Delete 30 records in CRM?" in told["operator"].body
    assert "30 of 80 linked records, 37.5 %." in told["operator"].body
    assert Decision.objects.get().get_absolute_url() in told["operator"].body
    with translation.override("zh-hans"):
        assert Decision.objects.get().sentence in told["approver"].body


def test_a_decision_that_is_brought_up_to_date_is_not_told_again_but_one_that_opens_anew_is(person, waits, sandbox, run_now, by):
    person("operator", mail_decisions=True)
    all_is_told()
    sandbox.oa.delete("user", sandbox.records("oa", "user")[0]["userId"])

    assert run_now(waits).state == "awaiting_decision"
    all_is_told()
    assert (Decision.objects.get().count, Mail.objects.count()) == (31, 1)

    approvals.decide(Decision.objects.get(), "accept", by=by, reason="Go on")
    run = Run.objects.latest("pk")
    services.cancel_run(run, by=by)
    finish(run)
    all_is_told()
    asked = Decision.objects.order_by("pk").values_list("pk", flat=True)
    assert [each.about for each in Mail.objects.order_by("pk")] == [f"decision.asked/{pk}" for pk in asked]
    assert len(asked) == 2


def test_whom_rejects_are_assigned_to_is_told_with_the_note(person, users_sync, run_now, mailoutbox):
    run_now(users_sync)
    rows, operator, approver = OpenRow.objects.open(), person("operator"), person("approver")
    count = rows.count()

    resolving.assign_rejects(rows, to=approver, by=Actor.of(operator), note="Ask the branch in Lyon")
    resolving.assign_rejects(rows, to=operator, by=Actor.of(operator), note="Mine")
    resolving.assign_rejects(rows, to=None, by=Actor.of(operator))

    told = delivered(mailoutbox)
    assert set(told) == {"approver"}, "nobody is written to about what they do themselves"
    assert told["approver"].subject == "operator assigns rejects to you"
    assert f"Rejects that operator assigns to you: {count}." in told["approver"].body
    assert "What is asked: Ask the branch in Lyon" in told["approver"].body
    assert "/rejects/?assigned=me" in told["approver"].body


def test_a_scheduled_reconcile_run_that_fails_is_told_for_nobody_watches_it(users_sync, person):
    person("operator", mail_failed_runs=True)
    for _ in range(2):
        run = ended(users_sync, "failed", dry=True, mode="reconcile")
        outbox.tell(outbox.emit("run.failed", f"runs/{run.pk}", sync=users_sync.pk).pk)

    assert "was to reconcile" in Mail.objects.get().lines[0]["template"]
