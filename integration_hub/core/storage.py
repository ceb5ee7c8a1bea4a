"""Where files lie: change sets durably, static files under hashed names.

A file is on the disk before the commit that names it, and is never changed. So a backup takes the database first and then the files; it is whole
as long as nothing is removed meanwhile, which is why files are removed here alone.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.deconstruct import deconstructible
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


@deconstructible(path="integration_hub.core.storage.DurableFileStorage")
class DurableFileStorage(FileSystemStorage):
    """Files are never overwritten, and are synced to the disk, with the entries of all folders above them, before `save` returns."""

    def _save(self, name: str, content: File) -> str:
        name = super()._save(name, content)  # type: ignore[misc]
        path, top = Path(self.path(name)), Path(self.location)
        for target in (path, *(folder for folder in path.parents if folder.is_relative_to(top))):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return name


def remove(names: Iterable[str]) -> None:
    """Remove files that no row names any more, unless a backup is being made, which may have read the rows before: then the sweep comes for them.

    Asked only now, after the rows are gone: a backup that begins later does not name these files.
    """
    from integration_hub.core.models import Backup

    if not Backup.objects.going().exists():
        for name in names:
            default_storage.delete(name)


class StaticStorage(CompressedManifestStaticFilesStorage):
    """Static files under names with a hash, compressed beforehand; with gzip alone, since brotli takes 17 s at the first start instead of one."""

    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(**{**options, "use_brotli": False, "extensions": (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")})
