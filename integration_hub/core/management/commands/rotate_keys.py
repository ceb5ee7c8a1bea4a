from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import gettext_noop

from integration_hub.core.crypto import CannotDecrypt, keyring
from integration_hub.core.fields import Sealed, encrypted_fields
from integration_hub.core.registry import recorders


class Command(BaseCommand):
    """Re-encrypts every credential with the first key of CREDENTIAL_KEYS, after which the other keys may be removed from it."""

    help = gettext_noop("Re-encrypt every credential with the first key of CREDENTIAL_KEYS; afterwards the older keys may be removed.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only count what is still encrypted with older keys.")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        with transaction.atomic():
            old_count, failed_count = self._renew(check=check)
            if old_count > failed_count and not check:
                recorders["command"]("hub.keys_rotated", changes={"credentials": ["", old_count - failed_count]}, note=keyring().first)
        if failed_count:
            raise CommandError(f"{failed_count} of {old_count} credentials could not be decrypted; keep the older keys until they are entered again.")
        verb = "are still encrypted with older keys" if check else f"are now encrypted with the key {keyring().first}"
        self.stdout.write(f"{old_count} credentials {verb}.")

    def _renew(self, *, check: bool) -> tuple[int, int]:
        """How many are encrypted with older keys, and how many of them cannot be decrypted; the others now are with the first, but not on a `check`."""
        old_count = failed_count = 0
        for field in encrypted_fields():
            for pk, sealed in field.model._base_manager.values_list("pk", field.attname).iterator():
                if sealed is None or keyring().is_current(sealed.ciphertext):
                    continue
                old_count += 1
                if check:
                    continue
                try:
                    renewed = Sealed.of(sealed.reveal())
                except CannotDecrypt as error:
                    failed_count += 1
                    self.stderr.write(f"{field.model._meta.label} {pk}: {error}")
                    continue
                # Only where nobody has stored a newer value meanwhile: that one is encrypted with the first key already.
                same = field.model._base_manager.filter(pk=pk, **{f"{field.name}__sealed_as": sealed.ciphertext})
                same.update(**{field.name: renewed})
        return old_count, failed_count
