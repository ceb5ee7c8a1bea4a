from __future__ import annotations

import re
from argparse import ArgumentParser
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from integration_hub.audit.sealing import Head
from integration_hub.audit.verifying import Broken, Whole, verify

BROKEN, WRONG = 1, 2
HEAD = re.compile(r"(\d{1,18}):([0-9a-fA-F]{64})")


class Command(BaseCommand):
    """Exit codes: 0 the log is as it was sealed, 1 it is not, 2 wrong usage."""

    help = "Find out whether the audit log is as it was sealed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        action = actions.add_parser("verify", help=_("Find out whether the audit log is as it was sealed, and name the first entry that is not."))
        action.add_argument(
            "--head", metavar="PLACE:DIGEST", help=_("Where the seals ended once, as the hub's log, the manifest of a backup or this command says.")
        )

    def handle(self, *args: Any, head: str | None, **options: Any) -> None:
        anchor = _read(head) if head is not None else None
        try:
            whole = verify(anchor=anchor)
        except Broken as broken:
            raise CommandError(str(broken), returncode=BROKEN) from None
        self.stdout.write(f"{_entries(whole.head.place)} sealed and as written.{' The head that was kept is in the chain.' if anchor else ''}")
        if whole.unsealed_count:
            self.stdout.write(_unsealed(whole))
        self.stdout.write(f"Head: {whole.head}")


def _read(head: str) -> Head:
    found = HEAD.fullmatch(head.strip())
    if found is None:
        raise CommandError(f"“{head}” is no head of the chain: PLACE:DIGEST, a number and 64 hexadecimal digits.", returncode=WRONG)
    return Head(int(found[1]), found[2].lower())


def _unsealed(whole: Whole) -> str:
    since = whole.unsealed_since
    told = f", the oldest since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if since else ""
    return f"{_entries(whole.unsealed_count)} not sealed yet{told}; a running hub does so within seconds."


def _entries(count: int) -> str:
    return f"{count} entry is" if count == 1 else f"{count} entries are"
