"""Who is written to when a sync fails."""

import pytest

from integration_hub.accounts.models import Mail
from integration_hub.core import outbox
from tests.syncs.conftest import ended

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


def test_a_scheduled_reconcile_run_that_fails_is_told_for_nobody_watches_it(users_sync, person):
    person("operator", mail_failed_runs=True)
    for _ in range(2):
        run = ended(users_sync, "failed", dry=True, mode="reconcile")
        outbox.tell(outbox.emit("run.failed", f"runs/{run.pk}", sync=users_sync.pk).pk)

    assert "was to reconcile" in Mail.objects.get().lines[0]["template"]
