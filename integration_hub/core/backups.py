"""A backup: one archive with the database, the files that it names, and a manifest; and putting it back.

The archive is a ZIP file:

    manifest.json   versions, migrations, counts, the head of the audit log, and how a keyring proves that it is the one of then; never a key
    checksums       SHA-256 of every other member, as `sha256sum --check` reads it
    database        what core/dumps.py makes of the database
    files/…         the files of the storage that the rows name

The database comes first: a file is on the disk before the commit that names it and is never changed, and none is removed while the lease of the
backup is held (core/storage.py), so that whatever the dump names is there when the files are copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from integration_hub import __version__
from integration_hub.core import dumps, installation, leases, release
from integration_hub.core.crypto import keyring
from integration_hub.core.dumps import CannotDump, Moment
from integration_hub.core.leases import Lease, LeaseLost
from integration_hub.core.models import Backup, Heartbeat, Installation
from integration_hub.core.registry import manifest_parts, recorders, restored, stored_files

FORMAT = 1
BLOCK = 1 << 20
IN_EVERY_HUB = ("core", "audit")  # apps whose rows tell of the installation, and are no reason not to restore into it


class CannotBackUp(Exception):
    """No backup was made; says why and what to do."""


class CannotRestore(Exception):
    """The backup was not put back; says why and what to do. Unless it says otherwise nothing was changed."""


@dataclass(frozen=True)
class Made:
    """A backup that was made: where, its bytes, how many files, and the files that rows name but the storage does not have."""

    path: Path
    size: int
    file_count: int
    missing: list[str]


# --- making one -------------------------------------------------------------------------------------------------------


def make_backup(path: Path) -> Made:
    """Write a backup to `path` while the hub works. It has its name only once it is whole. Raises CannotBackUp."""
    if path.exists():
        raise CannotBackUp(f"{path} exists already. Choose another name, or remove it.")
    if why := release.misfit() or installation.misfit():
        raise CannotBackUp(why)
    row = Backup.objects.create(file=str(path))
    try:
        with cast(Lease, leases.take(row)) as lease, tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder:
            whole = Path(folder) / "archive"
            with dumps.dumped(Path(folder) / "database") as moment, _new_archive(whole) as archive:
                file_count, missing = _fill(archive, Path(folder) / "database", moment)
            _sync(whole)
            with transaction.atomic():
                lease.fence(size=whole.stat().st_size, ended_at=timezone.now())  # what was removed after it was lost may be missing
                recorders["command"]("hub.backed_up", row, changes=_told(path, whole))
                os.link(whole, path)
            _sync(path.parent)
    except LeaseLost:
        raise CannotBackUp("The backup was interrupted for so long that files may have been removed meanwhile. Make it again.") from None
    except FileExistsError:
        raise CannotBackUp(f"{path} exists already. Choose another name, or remove it.") from None
    except OSError as error:
        if error.filename and Path(error.filename).is_relative_to(default_storage.path("")):
            raise CannotBackUp(f"{error.filename} could not be read: {error.strerror}. Make the backup as the user that the hub runs as.") from None
        raise CannotBackUp(f"{path} could not be written: {error.strerror or error}.") from None
    except CannotDump as error:
        raise CannotBackUp(str(error)) from None
    finally:
        Backup.objects.filter(pk=row.pk, ended_at=None).delete()
    return Made(path, path.stat().st_size, file_count, missing)


def _told(path: Path, archive: Path) -> dict[str, Any]:
    """What the audit log keeps of a backup."""
    return {"file": [None, str(path)], "size": [None, archive.stat().st_size]}


def _fill(archive: zipfile.ZipFile, database: Path, moment: Moment) -> tuple[int, list[str]]:
    """Returns how many files of the storage it holds, and which are missing there."""
    sums = [_add(archive, "database", database)]
    missing = []
    for name in _files_named(moment):
        try:
            sums.append(_add(archive, f"files/{name}", Path(default_storage.path(name))))
        except FileNotFoundError:
            missing.append(name)
    archive.writestr("checksums", "".join(f"{digest}  {member}\n" for digest, member in sums))
    archive.writestr("manifest.json", json.dumps(_manifest(moment, missing), indent=1))
    return len(sums) - 1, missing


def _manifest(moment: Moment, missing: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": __version__,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "database": dumps.kind(),
        "migrations": sorted(f"{app}.{name}" for app, name in moment.ask("SELECT app, name FROM django_migrations")),
        "counts": {label: count for label, table in _tables().items() for (count,) in moment.ask(f"SELECT COUNT(*) FROM {table}")},  # noqa: S608
        "missing_files": missing,
        "keys": keyring().proofs(),
        **{name: tell(moment) for name, tell in manifest_parts.items()},
    }


def _tables() -> dict[str, str]:
    """Label of each model → its quoted table."""
    return {model._meta.label_lower: connection.ops.quote_name(model._meta.db_table) for model in apps.get_models()}


def _files_named(moment: Moment) -> Iterator[str]:
    for model, field in stored_files.values():
        column, table = connection.ops.quote_name(field), connection.ops.quote_name(model._meta.db_table)
        yield from (name for (name,) in moment.ask(f"SELECT {column} FROM {table} WHERE {column} <> ''"))  # noqa: S608


def _new_archive(path: Path) -> zipfile.ZipFile:
    """Readable by its owner alone: it holds the records of all systems."""
    path.touch(mode=0o600)
    return zipfile.ZipFile(path, "w")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[str, str]:
    """Returns (SHA-256, name). The files of the storage are compressed already, and so is a dump of PostgreSQL."""
    digest = hashlib.sha256()
    member = zipfile.ZipInfo(name, timezone.now().timetuple()[:6])
    member.compress_type = zipfile.ZIP_DEFLATED if name == "database" and dumps.kind() == "sqlite" else zipfile.ZIP_STORED
    with open(path, "rb") as source, archive.open(member, "w", force_zip64=True) as target:
        while block := source.read(BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest(), name


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- putting one back -------------------------------------------------------------------------------------------------


def restore_backup(path: Path, *, replace: bool) -> dict[str, Any]:
    """Put a backup back and return its manifest. All is checked before anything is changed. Raises CannotRestore.

    Files come first, which harms nobody; then the database in one transaction. From then until the marks of `restored` are set the storage says
    that a restore is going on, and nobody works.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _checked(archive)
            _refuse_in_use(replace=replace)
            _put_back(archive, path, manifest)
    except FileNotFoundError:
        raise CannotRestore(f"There is no file {path}.") from None
    except OSError as error:
        raise CannotRestore(f"{path} could not be put back: {error.strerror or error}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise CannotRestore(f"{path} is damaged, or no backup of Integration Hub ({error}).") from None
    return manifest


def _checked(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest of an archive that can be put back here."""
    manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    known = {f"{app}.{name}" for app, name in release.known_migrations()}
    if manifest["format"] > FORMAT or (newer := sorted(set(manifest["migrations"]) - known)):
        what = f"{newer[-1]} is not known here" if manifest["format"] <= FORMAT else f"its format is {manifest['format']}"
        raise CannotRestore(f"The backup is of the newer release {manifest['version']} ({what}). Bring this machine to that release first.")
    if manifest["database"] != dumps.kind():
        raise CannotRestore(
            f"The backup is of {manifest['database']}, and DATABASE_URL names {dumps.kind()}: a database goes back into one of its kind."
        )
    if lacking := keyring().lacks(manifest["keys"]):
        raise CannotRestore(
            f"CREDENTIAL_KEYS does not hold the key {lacking[0]} with which the backup's credentials are encrypted. Set it to that of then."
        )
    for digest, member in _sums(archive):
        with archive.open(member) as file:
            if _digest(file) != digest:
                raise ValueError(f"the checksum of {member} is wrong")
    return manifest


def _sums(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    for line in archive.read("checksums").decode().splitlines():
        digest, __, member = line.partition("  ")
        yield digest, member


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _refuse_in_use(*, replace: bool) -> None:
    there = connection.introspection.table_names()
    is_set_up = Heartbeat._meta.db_table in there
    if is_set_up and (alive := Heartbeat.objects.alive().order_by("name").values_list("name", flat=True).first()):
        raise CannotRestore(f"The hub is running, or was within the last 20 seconds ({alive}). Stop it everywhere first.")
    if not replace and (held := _held(there)):
        raise CannotRestore(f"The database is not empty, it holds {held}. Say --replace to give that up for the backup.")


def _held(there: list[str]) -> str:
    """What the database, with these tables, holds beside what `manage.py setup` puts there; "" where that is all. All of it goes when a backup is put
    back, so tables of another program in the same database are told first."""
    own = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | {MigrationRecorder.Migration._meta.db_table}
    foreign = sorted(set(there) - own)
    told = [f"tables that this release of the hub does not have ({', '.join(foreign[:3])})"] if foreign else []
    for model in apps.get_models():
        if not model.__module__.startswith("integration_hub.") or model._meta.app_label in IN_EVERY_HUB or model._meta.db_table not in there:
            continue
        least = 1 if model._meta.label == "accounts.User" else 0  # the first administrator
        count = model._base_manager.count()
        if count > least:
            told.append(f"{count} {model._meta.verbose_name_plural if count > 1 else model._meta.verbose_name}")
    return ", ".join(told[:3])


def _put_back(archive: zipfile.ZipFile, path: Path, manifest: dict[str, Any]) -> None:
    for digest, member in _sums(archive):
        if member != "database":
            _put_file(archive, member, digest)
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="restore-") as folder:
        database = Path(folder) / "database"
        with archive.open("database") as source, open(database, "wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
        with installation.being_restored():
            try:
                dumps.load(database)
            except CannotDump as error:
                raise CannotRestore(str(error)) from None
    call_command("migrate", verbosity=0, interactive=False, skip_checks=True)  # the backup may be of an older release
    ContentType.objects.clear_cache()
    with transaction.atomic():
        for mark in restored.values():
            mark()
        hub, __ = Installation.objects.get_or_create(pk=1)
        recorders["command"]("hub.restored", hub, changes=_told(path, path) | {"made_at": [None, manifest["made_at"]]})
    installation.mark_storage(anew=True)


def _put_file(archive: zipfile.ZipFile, member: str, digest: str) -> None:
    name = member.removeprefix("files/")
    try:
        if default_storage.exists(name):
            with default_storage.open(name) as there:
                if _digest(there) == digest:
                    return
            default_storage.delete(name)
        with archive.open(member) as source:
            default_storage.save(name, File(source))
    except SuspiciousFileOperation:
        raise ValueError(f"{name} lies outside the storage") from None
    except OSError as error:
        raise CannotRestore(f"{default_storage.path(name)} could not be written: {error.strerror or error}.") from None


def forget_processes() -> None:
    """What was alive when the backup was made is not any more."""
    Heartbeat.objects.all().delete()
    Backup.objects.filter(ended_at=None).delete()
