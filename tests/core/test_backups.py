"""What an archive holds, and what keeps one from being put back."""

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now

from integration_hub.audit.models import Entry
from integration_hub.core import backups, dumps, health, installation, storage
from integration_hub.core.backups import CannotBackUp, CannotRestore, make_backup, restore_backup
from integration_hub.core.models import Backup, Heartbeat
from integration_hub.systems.models import System

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(tmp_path, make_system):
    """The backup of a hub with one system, whose credentials are encrypted."""
    make_system("CRM")
    path = tmp_path / "hub.zip"
    make_backup(path)
    return path


@pytest.fixture
def changed(file, tmp_path):
    """A function that makes an archive with another member in place of one: changed("manifest.json", lambda was: …)."""

    def make(member, change):
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, change(old.read(name)) if name == member else old.read(name))
        return path

    return make


def refusal(path, *, replace=True):
    with pytest.raises(CannotRestore) as refused:
        restore_backup(path, replace=replace)
    assert System.objects.filter(name="CRM").exists()  # nothing was changed
    assert installation.misfit() == ""
    return str(refused.value)


def test_a_backup_is_put_back_in_place_of_what_there_is(file, make_system):
    System.objects.all().delete()
    make_system("ERP")

    call_command("restore", str(file), "--replace")

    assert [system.name for system in System.objects.all()] == ["CRM"]
    assert installation.misfit() == ""


def test_making_and_putting_back_are_in_the_audit_log_with_who_file_and_size(file):
    size = file.stat().st_size

    (made,) = Entry.objects.filter(event="hub.backed_up")
    assert made.actor_name.endswith("(command line)")
    assert made.changes == {"file": [None, str(file)], "size": [None, size]}

    restore_backup(file, replace=True)

    (put_back,) = Entry.objects.filter(event="hub.restored")
    assert put_back.actor_name == made.actor_name
    assert put_back.changes == made.changes | {"made_at": put_back.changes["made_at"]}
    assert not Entry.objects.filter(event="hub.backed_up").exists(), "the backup is older than what tells of it"


def test_it_goes_by_itself_into_a_database_that_was_only_set_up(file, person):
    System.objects.all().delete()
    person("administrator")

    call_command("restore", str(file))

    assert System.objects.get().name == "CRM"


def test_it_goes_into_a_new_data_folder_that_nobody_has_set_up(file, tmp_path):
    if connection.vendor != "sqlite":
        pytest.skip("Of PostgreSQL the database is not in the data folder.")
    own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "STORAGE_URL")} | {"DATA_DIR": str(tmp_path / "new")}

    subprocess.run([sys.executable, ROOT / "manage.py", "restore", file], env=own, check=True, capture_output=True)

    with closing(sqlite3.connect(tmp_path / "new" / "hub.sqlite3")) as database:
        assert database.execute("SELECT name FROM systems_system").fetchall() == [("CRM",)]
        (mark,) = database.execute("SELECT key FROM core_installation").fetchone()
    assert (tmp_path / "new" / "storage" / "installation").read_text().replace("-", "") == mark


def test_it_is_readable_by_its_owner_alone_and_holds_no_key(file, settings):
    key = settings.CREDENTIAL_KEYS.partition(":")[2]

    with zipfile.ZipFile(file) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.encode() not in everything
    assert settings.SECRET_KEY.encode() not in everything
    assert (manifest["counts"]["systems.system"], list(manifest["keys"])) == (1, ["k1"])
    assert [path.name for path in file.parent.iterdir()] == ["hub.zip"]


def test_other_keys_are_refused_with_one_sentence(file, settings):
    sentence = "CREDENTIAL_KEYS does not hold the key k1 with which the backup's credentials are encrypted. Set it to that of then."

    settings.CREDENTIAL_KEYS = f"k2:{'y' * 40}"
    assert refusal(file) == sentence

    settings.CREDENTIAL_KEYS = f"k1:{'y' * 40}"
    assert refusal(file) == sentence


def test_more_keys_than_then_do_no_harm(file, settings):
    settings.CREDENTIAL_KEYS = f"k2:{'y' * 40},{settings.CREDENTIAL_KEYS}"

    restore_backup(file, replace=True)

    assert System.objects.get().name == "CRM"


def test_a_database_that_holds_something_is_not_replaced_unasked(file):
    assert refusal(file, replace=False) == "The database is not empty, it holds 1 system. Say --replace to give that up for the backup."


def test_tables_of_another_program_are_not_replaced_unasked(file, tmp_path):
    """Also where the hub was never set up: DATABASE_URL may name the database of something else."""
    if connection.vendor == "sqlite":
        own = os.environ | {"DATA_DIR": str(tmp_path / "new"), "DATABASE_URL": f"sqlite:///{tmp_path / 'erp.sqlite3'}"}
        with closing(sqlite3.connect(tmp_path / "erp.sqlite3")) as erp:
            erp.execute("CREATE TABLE invoices (number integer)")

        ended = subprocess.run([sys.executable, ROOT / "manage.py", "restore", file], env=own, check=False, capture_output=True, text=True)

        with closing(sqlite3.connect(tmp_path / "erp.sqlite3")) as erp:
            assert erp.execute("SELECT name FROM sqlite_master").fetchall() == [("invoices",)]
        said = ended.stderr.strip()
    else:
        System.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE invoices (number integer)")
        try:
            with pytest.raises(CannotRestore) as refused:
                restore_backup(file, replace=False)
            assert "invoices" in connection.introspection.table_names()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS invoices")
        said = str(refused.value)

    assert said.endswith(
        "The database is not empty, it holds tables that this release of the hub does not have (invoices). "
        "Say --replace to give that up for the backup."
    )


def test_what_else_the_database_holds_in_another_schema_is_neither_in_the_backup_nor_in_its_way(tmp_path, make_system):
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL has schemas.")
    make_system("CRM")
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA monitoring")
        cursor.execute("CREATE TABLE monitoring.samples AS SELECT 7 AS load")
    try:
        make_backup(tmp_path / "hub.zip")
        restore_backup(tmp_path / "hub.zip", replace=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT load FROM monitoring.samples")
            assert cursor.fetchall() == [(7,)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA monitoring CASCADE")

    assert System.objects.get().name == "CRM"
    make_system("ERP")  # whose number the sequences know


def test_a_file_of_the_storage_that_cannot_be_read_is_named(tmp_path, make_system, monkeypatch):
    make_system("CRM")
    default_storage.save("runs/1/changes.parquet/x", ContentFile(b""))  # a folder, which root may not read as a file either
    monkeypatch.setattr(backups, "_files_named", lambda moment: iter(["runs/1/changes.parquet"]))

    with pytest.raises(CannotBackUp) as refused:
        make_backup(tmp_path / "hub.zip")

    place = default_storage.path("runs/1/changes.parquet")
    assert str(refused.value) == f"{place} could not be read: Is a directory. Make the backup as the user that the hub runs as."
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_the_database_is_told_and_nothing_stays(tmp_path, make_system, monkeypatch):
    """As SQLite itself says it: the page that a file has no room for."""
    if connection.vendor != "sqlite":
        pytest.skip("pg_dump says in its own words what it cannot do.")
    make_system("CRM")
    connect = sqlite3.connect

    def of_few_pages(path, *args, **kwargs):
        opened = connect(path, *args, **kwargs)
        if tmp_path in Path(path).parents:
            opened.execute("PRAGMA max_page_count=10")
        return opened

    monkeypatch.setattr(dumps.sqlite3, "connect", of_few_pages)

    with pytest.raises(CannotBackUp, match=r"^The database could not be copied to .*: database or disk is full[.]$"):
        make_backup(tmp_path / "hub.zip")

    assert list(tmp_path.iterdir()) == []
    assert not Backup.objects.exists()


def test_a_running_hub_is_refused(file):
    Heartbeat.objects.create(name="bulk@one", kind="worker", host=socket.gethostname(), queues=["bulk"], version="1", seen_at=Now())

    assert refusal(file) == "The hub is running, or was within the last 20 seconds (bulk@one). Stop it everywhere first."


@pytest.mark.parametrize("kept", [0.5, 0.99, 0])
def test_a_file_that_was_cut_is_refused(file, kept):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])

    assert "is damaged, or no backup of Integration Hub" in refusal(file)


@pytest.mark.parametrize("place", [100, 0.2, 0.5, 0.8])
def test_a_disk_that_changed_a_byte_is_noticed(file, place):
    whole = bytearray(file.read_bytes())
    whole[place if place > 1 else int(len(whole) * place)] ^= 0xFF
    file.write_bytes(whole)

    assert "is damaged, or no backup of Integration Hub" in refusal(file)


def test_a_file_in_which_something_was_changed_is_refused(changed):
    assert "the checksum of database is wrong" in refusal(changed("database", lambda was: was[:-10] + b"0123456789"))


def test_a_file_that_is_not_there_is_named(tmp_path, file):
    assert refusal(tmp_path / "none.zip") == f"There is no file {tmp_path / 'none.zip'}."


def test_a_backup_of_a_newer_release_is_refused(changed):
    def newer(was):
        manifest = json.loads(was)
        return json.dumps(manifest | {"version": "9.0", "migrations": [*manifest["migrations"], "syncs.9999_later"]})

    assert refusal(changed("manifest.json", newer)) == (
        "The backup is of the newer release 9.0 (syncs.9999_later is not known here). Bring this machine to that release first."
    )


def test_a_backup_of_another_kind_of_database_is_refused(changed):
    other = changed("manifest.json", lambda was: json.dumps(json.loads(was) | {"database": "oracle"}))

    assert refusal(other) == f"The backup is of oracle, and DATABASE_URL names {connection.vendor}: a database goes back into one of its kind."


def test_a_database_that_cannot_be_replaced_stays_as_it_was(file, monkeypatch):
    def fails(path):
        raise dumps.CannotDump("The database could not be replaced: disk full.")

    monkeypatch.setattr(dumps, "load", fails)

    assert refusal(file) == "The database could not be replaced: disk full."


def test_a_restore_that_did_not_come_to_its_end_lets_nobody_work(file, monkeypatch):
    def dies(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dumps, "load", dies)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(file, replace=True)

    told = "A backup was being put back, which did not come to its end. Run manage.py restore with its file and --replace again."
    assert installation.misfit() == health.parts()["storage"] == told

    restore_backup(file, replace=True)
    assert installation.misfit() == ""


def test_an_existing_file_is_not_overwritten(file):
    with pytest.raises(CannotBackUp, match="exists already"):
        make_backup(file)
    assert Entry.objects.filter(event="hub.backed_up").count() == 1
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(file))


def test_no_file_is_removed_while_a_backup_is_made(tmp_path, make_system, monkeypatch):
    make_system("CRM")
    default_storage.save("runs/1/kept.parquet", ContentFile(b"x"))
    seen = []
    original = dumps.dumped

    def watched(path):
        storage.remove(["runs/1/kept.parquet"])
        seen.append(default_storage.exists("runs/1/kept.parquet"))
        return original(path)

    monkeypatch.setattr(dumps, "dumped", watched)
    make_backup(tmp_path / "hub.zip")
    storage.remove(["runs/1/kept.parquet"])

    assert seen == [True]
    assert not default_storage.exists("runs/1/kept.parquet")
    assert Backup.objects.get().size == (tmp_path / "hub.zip").stat().st_size
