from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext_noop

from integration_hub.core.backups import CannotRestore, restore_backup


class Command(BaseCommand):
    """Puts back what `manage.py backup` wrote. Everything is checked before anything is changed."""

    help = gettext_noop("Put a backup back, while the hub is stopped. The next run of each sync reads everything and looks before it creates.")
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--replace", action="store_true", help="give up what the database holds now")

    def handle(self, *args: Any, file: Path, replace: bool, **options: Any) -> None:
        try:
            manifest = restore_backup(file.absolute(), replace=replace)
        except CannotRestore as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"The backup of {manifest['made_at']} is back, with {manifest['counts'].get('syncs.sync', 0)} syncs. Start the hub.")
