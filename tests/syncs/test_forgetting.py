"""What is old is forgotten, and a history deleted, whole or not at all: a process that is killed in the middle leaves nothing that hangs in the air."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.utils import timezone

from integration_hub.accounts.models import Mail
from integration_hub.core.models import Heartbeat, IdempotencyKey, Message
from integration_hub.core.services import sweep
from integration_hub.syncs import services
from integration_hub.syncs.models import Link, Run
from integration_hub.systems.models import HealthCheck
from tests.forked import forked
from tests.syncs import dying_work
from tests.syncs.killing import was_killed

pytestmark = pytest.mark.django_db(transaction=True)


def killed_at(number, *, pair=0):
    """Whether a process that forgets was killed behind its DELETE of this number; false where it made fewer."""
    return was_killed(forked(dying_work.forget, pair, number))


def rows():
    return {model._meta.label: model.objects.count() for model in apps.get_models() if model._meta.app_label in ("syncs", "audit")}


def aged(model, field, days, **values):
    """One row of long ago and one of now."""
    old, young = (model.objects.create(**{name: of(n) if callable(of) else of for name, of in values.items()}) for n in (1, 2))
    model.objects.filter(pk=old.pk).update(**{field: timezone.now() - timedelta(days=days)})
    return model, old.pk, young.pk


def test_a_sweep_that_is_killed_while_it_forgets_is_finished_by_the_next(oa, person):
    kept = [
        aged(HealthCheck, "at", 9, system=oa, ok=True),
        aged(Mail, "written_at", 9, person=person("operator"), about=str, subject={}, lines=[], sent_at=timezone.now()),
        aged(Message, "handled_at", 9, type="run.failed", subject="runs/1"),
        aged(IdempotencyKey, "created_at", 9, owner="1", key=str, method="POST", path="/", body_hash=""),
        aged(Heartbeat, "seen_at", 9, name=str, kind="worker", host="h", version="1", seen_at=timezone.now()),
    ]
    for number in (1, 2):
        assert killed_at(number)
    assert any(model.objects.filter(pk=old).exists() for model, old, __ in kept)

    sweep()

    assert [(model.objects.filter(pk=old).exists(), model.objects.filter(pk=young).exists()) for model, old, young in kept] == [(False, True)] * 5


def test_a_history_whose_deletion_is_killed_half_way_is_still_whole_and_can_be_deleted_again(few, users_sync, run_now, by):
    run_now(users_sync)
    run_now(users_sync, full=True)
    pair = users_sync.pair
    services.delete_sync(users_sync, by=by)
    before = rows()

    for number in (1, 4, 8):
        assert killed_at(number, pair=pair.pk)
        assert rows() == before
    services.delete_pair(pair, by=by)

    assert not Run.objects.exists()
    assert not Link.objects.exists()
    assert {label for label, count in rows().items() if count} == {"audit.Entry"}
