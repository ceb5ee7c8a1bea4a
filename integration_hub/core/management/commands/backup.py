from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext_noop

from integration_hub.core.backups import CannotBackUp, make_backup


class Command(BaseCommand):
    """Writes one archive from which `manage.py restore` makes the hub again. The hub may be running."""

    help = gettext_noop("Write database and files into one archive, also while the hub is running; the keys are not in it.")
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", type=Path, help="where to; without it, a name with the time in the data folder")

    def handle(self, *args: Any, file: Path | None, **options: Any) -> None:
        if file is None:
            folder = settings.DATA_DIR / "backups"
            folder.mkdir(mode=0o700, exist_ok=True)
            file = folder / f"hub-{timezone.now():%Y%m%dT%H%M%SZ}.zip"
        try:
            made = make_backup(file.absolute())
        except CannotBackUp as error:
            raise CommandError(str(error)) from None
        for name in made.missing:
            self.stderr.write(f"The file {name} is missing in the storage, and so in the backup.")
        self.stdout.write(f"{made.path} holds the database and {made.file_count} files, {made.size / 1e6:.1f} MB. Keep CREDENTIAL_KEYS elsewhere.")
