"""Where files lie: change sets durably, static files under hashed names."""

import os
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
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


class StaticStorage(CompressedManifestStaticFilesStorage):
    """Static files under names with a hash, compressed beforehand; with gzip alone, since brotli takes 17 s at the first start instead of one."""

    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(**{**options, "use_brotli": False, "extensions": (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")})
