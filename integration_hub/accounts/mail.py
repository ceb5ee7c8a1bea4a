"""E-mails to those who ask for them, each in its reader's language."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils import translation

from connectors.base import Text
from integration_hub.accounts.models import User
from integration_hub.core import texts

log = logging.getLogger(__name__)


def send_to(people: Iterable[User], subject: Text, *lines: Text, path: str = "") -> int:
    """Send every one of `people` who has an address a mail of its own; how many were sent. `path` is the page to look at.

    A mail server that is away is logged, not raised: what the mail tells is on the pages anyhow. Never call it inside a transaction.
    """
    sent = 0
    connection = get_connection()
    for person in people:
        if not person.email or not person.is_active:
            continue
        with translation.override(person.language or settings.LANGUAGE_CODE):
            said = [texts.render(line) for line in lines]
            address = [settings.PUBLIC_URL.rstrip("/") + path] if path else []
            mail = EmailMessage(texts.render(subject).replace("\n", " "), "\n\n".join([*said, *address]), to=[person.email], connection=connection)
        try:
            sent += mail.send()
        except (OSError, SMTPException) as error:
            log.warning("mail not sent", extra={"user": person.pk, "error": type(error).__name__})
    return sent
