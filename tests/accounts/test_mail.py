"""E-mails are rows that a worker sends: once each, in their reader's language, and again while the mail server is away."""

import socket
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from connectors.base import Text
from integration_hub.accounts import mail
from integration_hub.accounts.actor import Forbidden
from integration_hub.accounts.models import Mail, User

pytestmark = pytest.mark.django_db


def write(people=None, about="run.failed/12"):
    reason = Text("{error}", {"error": {"template": "{system} does not answer.", "values": {"system": "OA"}}})
    return mail.write_to(people or User.objects.all(), about, Text("{name} failed", {"name": "Users"}), reason, path="/runs/12/")


def deliver():
    for mail_id in Mail.objects.due().values_list("pk", flat=True):
        mail.send(mail_id)


def later(**time):
    Mail.objects.filter(next_try_at__isnull=False).update(next_try_at=timezone.now() - timedelta(seconds=1))
    Mail.objects.update(written_at=timezone.now() - timedelta(**time))


@pytest.fixture
def mail_server_is_away(settings):
    """The mail server is a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.EMAIL_HOST, settings.EMAIL_PORT = probe.getsockname()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def comes_back(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def test_each_reader_gets_one_in_their_own_language(person, mailoutbox):
    person("operator", language="zh-hans")
    person("viewer")

    assert write() == 2
    deliver()

    chinese, english = mailoutbox
    assert (chinese.to, chinese.subject) == (["operator@example.com"], "Users 失败")
    assert (english.to, english.subject) == (["viewer@example.com"], "Users failed")
    assert english.body.splitlines()[:3] == ["OA does not answer.", "", "http://localhost:8000/runs/12/"]
    assert "http://localhost:8000/settings/profile/" in english.body
    assert english.content_subtype == "plain"


def test_nobody_is_told_the_same_thing_twice(person, mailoutbox):
    person("operator")

    assert (write(), write(), write(about="run.failed/13")) == (1, 0, 1)
    deliver()
    deliver()

    assert len(mailoutbox) == 2


def test_who_has_no_address_or_was_switched_off_gets_none(person, mailoutbox):
    User.objects.filter(pk=person("viewer").pk).update(email="")
    User.objects.filter(pk=person("auditor").pk).update(is_active=False)
    leaving = person("operator")

    assert write() == 1
    User.objects.filter(pk=leaving.pk).update(is_active=False)
    deliver()

    assert mailoutbox == []
    assert not Mail.objects.exists()


def test_a_mail_server_that_is_away_is_told_and_tried_again(person, mailoutbox, settings, administrator, operator, mail_server_is_away):
    write(User.objects.filter(pk=operator.user_id))
    deliver()

    (problem,) = mail.problems(administrator)
    assert problem.cause == "1 e-mail cannot be sent"
    assert f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT} said: Connection refused. Correct EMAIL_URL" in problem.detail
    assert mail.problems(operator) == []

    comes_back(settings)
    deliver()
    assert mailoutbox == []  # not yet: it waits a while
    later(minutes=5)
    deliver()
    assert len(mailoutbox) == 1
    assert mail.problems(administrator) == []


def test_it_waits_longer_after_each_try(person, mail_server_is_away):
    person("operator")
    write()

    waits = []
    for _try in range(8):
        deliver()
        waits.append(round((Mail.objects.get().next_try_at - timezone.now()).total_seconds()))
        later(minutes=1)

    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800]


def test_a_mail_that_comes_late_bears_the_time_it_was_written(person, mailoutbox, settings, mail_server_is_away):
    person("operator")
    write()
    deliver()
    comes_back(settings)
    later(hours=7)
    deliver()

    headers = mailoutbox[0].message()
    written_at = Mail.objects.get().written_at
    assert headers["Date"] == written_at.strftime("%a, %d %b %Y %H:%M:%S +0000")
    assert headers["Message-ID"] == f"<{written_at:%Y%m%d%H%M%S%f}.{Mail.objects.get().pk}@localhost>"


def test_an_administrator_has_them_tried_at_once(person, mailoutbox, settings, client, mail_server_is_away):
    somebody = person("administrator")
    write()
    deliver()
    comes_back(settings)
    client.force_login(somebody, backend="django.contrib.auth.backends.ModelBackend")

    said = client.post(reverse("accounts:send_mails"), follow=True).content.decode()
    deliver()

    assert "1 e-mail is tried again now." in said
    assert len(mailoutbox) == 1


def test_nobody_else_has_them_tried(operator):
    with pytest.raises(Forbidden):
        mail.send_now(by=operator)


def test_after_three_days_a_mail_is_forgotten_and_one_that_never_got_out_is_logged(person, caplog, mail_server_is_away):
    person("operator")
    write()
    deliver()
    later(days=2)
    mail.sweep()
    assert Mail.objects.exists()

    later(days=4)
    mail.sweep()

    assert not Mail.objects.exists()
    assert "mails given up" in caplog.text


def test_the_sweep_hands_on_what_is_due(person, monkeypatch):
    from integration_hub.accounts import tasks

    person("operator")
    write()
    handed = []
    monkeypatch.setattr(mail.dispatch, "send", lambda task, row_id, queue: handed.append((task, row_id, queue)))

    mail.sweep()

    assert handed == [(tasks.send_mail, Mail.objects.get().pk, "interactive")]


def test_who_asks_for_mails_gives_an_address(client, person):
    me = person("operator")
    User.objects.filter(pk=me.pk).update(email="")
    client.force_login(me, backend="django.contrib.auth.backends.ModelBackend")

    said = client.post(reverse("accounts:profile"), {"email": "", "mail_failed_runs": "on"}).content.decode()

    assert "Enter the address that these e-mails go to." in said
    me.refresh_from_db()
    assert not me.mail_failed_runs
