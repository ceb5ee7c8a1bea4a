"""Brings the data folder and the database to where this version needs them. Running it again changes nothing that somebody did since."""

from __future__ import annotations

import secrets
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils.translation import gettext_noop

from integration_hub.core.installation import mark_storage, unshared
from integration_hub.core.registry import recorders
from integration_hub.core.release import missing_migrations


class Command(BaseCommand):
    """Progress goes to stderr; stdout has what somebody must read, such as the first password."""

    help = gettext_noop("Migrate the database, collect the static files, create the first administrator, and install the demo with --demo.")
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--take-storage", action="store_true", help="make the folder of STORAGE_URL the hub's, whatever it was before")
        parser.add_argument("--demo", metavar="URL", help="install the demo, whose systems answer under URL")

    def handle(self, *args: Any, demo: str | None, take_storage: bool, **options: Any) -> None:
        if missing := missing_migrations():
            self._tell(f"bringing the database up to date ({len(missing)} migrations)")
            call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
        if why := unshared():  # neither web server nor workers would start
            raise ImproperlyConfigured(why)
        mark_storage(anew=take_storage)
        self._tell("collecting static files")
        call_command("collectstatic", verbosity=0, interactive=False, skip_checks=True)
        self._create_first_administrator()
        if demo and "demo" in get_commands():
            self._install_demo(demo)

    def _create_first_administrator(self) -> None:
        """Only where there is nobody yet. The password is random and told this once."""
        people = get_user_model().objects
        if not people.exists():
            password = secrets.token_urlsafe(12)
            with transaction.atomic():
                admin = people.create_superuser("admin", "", password, role="administrator")
                recorders["command"]("person.created", admin, changes={"role": ["", admin.role]})
            self.stdout.write(f"Sign in as admin with the password {password} (it is shown only now).")

    def _install_demo(self, url: str) -> None:
        self._tell("installing the demo")
        if _answers(url, seconds=30):
            call_command("demo", "install", "--url", url)
        else:
            self.stdout.write(f"The demo was not installed: its systems do not answer at {url}. The next start tries again.")

    def _tell(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 colours of self.stderr mean an error


def _answers(url: str, *, seconds: float) -> bool:
    """Whether anything answers HTTP at `url` within some seconds, with whatever status."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 the address of our own sandbox
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False
