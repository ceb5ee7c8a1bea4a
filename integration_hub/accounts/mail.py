"""E-mails to those who ask for them, or are asked for something, each in its reader's language.

A mail is a row written with what it tells of, once for each person, and sent by a worker after the commit. While the mail server is away it is
tried again, ever more rarely, and the overview says so to administrators.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from email.utils import format_datetime
from smtplib import SMTPException, SMTPResponseException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connectors.base import Text
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.models import Mail, User
from integration_hub.core import dispatch, texts
from integration_hub.core.overview import Problem
from integration_hub.core.parts import Act

log = logging.getLogger(__name__)

SENDING = timedelta(minutes=2)  # nobody else sends it meanwhile; longer than a mail server may take
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)
KEPT = timedelta(days=3)  # sent or not: older news helps nobody
AT_ONCE = 200


def write_to(people: Iterable[User], about: str, subject: Text, *lines: Text, path: str = "") -> int:
    """Write every one of `people` who has an address a mail of its own; how many were written. `path` is the page to look at.

    `about` names what it tells of, such as run.failed/12: nobody gets two mails about it. Call it in the transaction that makes it so.
    """
    from integration_hub.accounts import tasks

    count = 0
    for person in people:
        if not person.email or not person.is_active:
            continue
        said = {"subject": texts.stored(subject), "lines": [texts.stored(line) for line in lines], "path": path}
        mail, is_new = Mail.objects.get_or_create(
            person=person, about=about, defaults={**said, "next_try_at": Now()}
        )  # by the clock that tells what is due
        if is_new:
            count += 1
            dispatch.send(tasks.send_mail, mail.pk, queue="interactive")
    return count


def send(mail_id: int) -> None:
    """Send one mail, unless somebody is doing so or has done it."""
    if not Mail.objects.due().filter(pk=mail_id).update(next_try_at=Now() + SENDING, tries=F("tries") + 1):
        return
    mail = Mail.objects.select_related("person").get(pk=mail_id)
    if not mail.person.email or not mail.person.is_active:  # no longer
        mail.delete()
        return
    try:
        _message(mail).send()
    except (OSError, SMTPException) as error:
        wait = min(FIRST_WAIT * 2 ** (mail.tries - 1), LONGEST_WAIT)
        Mail.objects.filter(pk=mail_id).update(next_try_at=timezone.now() + wait, error=_reason(error))
        log.warning("mail not sent, tried again later", extra={"mail": mail_id, "error": type(error).__name__, "tries": mail.tries})
    else:
        Mail.objects.filter(pk=mail_id).update(sent_at=Now(), next_try_at=None, error="")


def _message(mail: Mail) -> EmailMessage:
    """Dated when it was written and named for good: a mail that arrives late tells of its time, and one that is sent twice is known to be the same."""
    address = settings.PUBLIC_URL + mail.path if mail.path else ""
    headers = {
        "Date": format_datetime(timezone.localtime(mail.written_at)),
        "Message-ID": f"<{mail.written_at:%Y%m%d%H%M%S%f}.{mail.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>",
    }
    with translation.override(mail.person.language or settings.LANGUAGE_CODE):
        subject = texts.render(mail.subject).replace("\n", " ")
        lines = [texts.render(line) for line in mail.lines]
        why = _("You get mails about what is assigned to you, and those that you ask for in your profile: {address}")
        why = why.format(address=settings.PUBLIC_URL + reverse("accounts:profile"))
    return EmailMessage(subject, "\n\n".join([*lines, *filter(None, [address]), f"-- \n{why}"]) + "\n", to=[mail.person.email], headers=headers)


def _reason(error: Exception) -> str:
    """What the mail server, or the way there, said. No password is ever among it."""
    if isinstance(error, SMTPResponseException):
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
        return f"{error.smtp_code} {said}"[:200]
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def sweep() -> None:
    """Send again what is due, and forget what is old."""
    from integration_hub.accounts import tasks

    for mail_id in Mail.objects.due().order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        dispatch.send(tasks.send_mail, mail_id, queue="interactive")
    old = list(Mail.objects.filter(written_at__lt=Now() - KEPT).order_by("pk").values_list("pk", "sent_at")[:AT_ONCE])
    if given_up := [mail_id for mail_id, sent_at in old if sent_at is None]:
        log.error("mails given up", extra={"mails": given_up})
    Mail.objects.filter(pk__in=[mail_id for mail_id, _sent_at in old]).delete()


def send_now(*, by: Actor) -> int:
    """Try at once what would be tried later; how many mails that are."""
    from integration_hub.accounts import tasks

    by.require("accounts.change")
    with transaction.atomic():
        waiting = list(Mail.objects.failing().order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
        Mail.objects.failing().filter(pk__in=waiting).update(next_try_at=timezone.now())
        for mail_id in waiting:
            dispatch.send(tasks.send_mail, mail_id, queue="interactive")
    return len(waiting)


def problems(by: Any) -> list[Problem]:
    """For the overview of those who look after people: mails that do not get out."""
    failing = Mail.objects.failing()
    oldest = failing.order_by("written_at").first() if by.allows("accounts.change") else None
    if oldest is None:
        return []
    count = failing.count()
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    detail = _("The mail server {server} said: {reason}. Correct EMAIL_URL where that is wrong. They are tried again for three days.")
    return [
        Problem(
            "bad",
            ngettext("{n} e-mail cannot be sent", "{n} e-mails cannot be sent", count).format(n=count),
            detail.format(server=server, reason=oldest.error.rstrip(".")),
            oldest.written_at,
            Act(_("Try now"), post=reverse("accounts:send_mails")),
        )
    ]
