"""Where change sets lie: a folder whose files are on the disk before the row that names them is committed."""

import os
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible


@deconstructible(path="integration_hub.core.storage.DurableFileStorage")
class DurableFileStorage(FileSystemStorage):
    """Files are never overwritten, and are synced to the disk, folder entry included, before `save` returns."""

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        name = super()._save(name, content)
        path = Path(self.path(name))
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return name
