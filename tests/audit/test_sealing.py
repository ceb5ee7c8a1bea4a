"""The seal of the audit log: what is altered in it is named, and what is cut off is told by a head that was kept elsewhere."""

import datetime as dt
import hashlib
import json
import logging
import threading
import tracemalloc
import zipfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.utils import timezone

from integration_hub.audit import sealing, services, verifying
from integration_hub.audit.models import Entry, Seal, Sealing
from integration_hub.core import logs
from integration_hub.core import services as core
from integration_hub.core.backups import make_backup, restore_backup
from integration_hub.core.models import Installation
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def written(hub):
    """A function that writes so many entries, as whatever happens in the hub does, and returns them: written(3)."""
    subject = Installation(pk=1)

    def write(count, **more):
        return [services.record("sync.changed", subject, by=hub, changes={"name": ["é", n]}, **more) for n in range(count)]

    return write


@pytest.fixture
def entries(written):
    """Six sealed entries."""
    made = written(6)
    core.sweep()
    return made


@pytest.fixture
def verify(capsys):
    """A function that runs `manage.py audit verify` and returns what it says: verify("--head", head)."""

    def run(*arguments):
        call_command("audit", "verify", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def fault(verify):
    """A function that runs it where it must fail, and returns the one sentence."""

    def run(*arguments):
        with pytest.raises(CommandError) as failed:
            verify(*arguments)
        assert failed.value.returncode == 1
        return str(failed.value)

    return run


def place_of(entry):
    return Seal.objects.get(entry_id=entry.pk).place


def head_told(said):
    return said.rsplit("Head: ", 1)[1].strip()


def cut(count):
    """The last entries and their seals are gone."""
    gone = list(Seal.objects.order_by("-place")[:count].values_list("entry_id", flat=True))
    Seal.objects.filter(entry_id__in=gone).delete()
    Entry.objects.filter(pk__in=gone).delete()


# --- sealing ----------------------------------------------------------------------------------------------------------


def test_what_was_committed_is_sealed_by_the_next_sweep_and_found_as_it_was(entries, written, verify):
    assert verify().splitlines()[0] == "6 entries are sealed and as written."

    late = written(1)[0]
    said = verify()

    assert f"1 entry is not sealed yet, the oldest since {late.at:%Y-%m-%d %H:%M:%S} UTC" in said
    core.sweep()
    assert verify().startswith("7 entries are sealed and as written.\nHead: 7:")


def test_an_empty_log_is_whole(verify):
    assert head_told(verify("--head", f"0:{'0' * 64}")) == f"0:{'0' * 64}"


def test_the_canonical_form_is_the_one_that_earlier_releases_sealed_by():
    moment = dt.datetime(2026, 1, 2, 4, 4, 5, 60, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    values = dict.fromkeys(sealing.FIELDS, "") | {"id": 7, "at": moment, "actor_id": None, "changes": {"b": ["é", 1.0], "a": True}}
    canonical = (
        '{"actor_id":null,"actor_kind":"","actor_name":"","at":"2026-01-02T03:04:05.000060Z","changes":{"a":true,"b":["\\u00e9",1.0]},'
        '"event":"","id":7,"note":"","subject_id":"","subject_name":"","subject_type":""}'
    )

    content = sealing.content_of(values)
    head = sealing.follow(sealing.START, 7, content)

    assert content == hashlib.sha256(canonical.encode()).hexdigest()
    assert head == (1, hashlib.sha256(f'{{"before":"{"0" * 64}","content":"{content}","entry":7,"place":1}}'.encode()).hexdigest())


def test_every_field_of_an_entry_is_sealed():
    assert set(sealing.FIELDS) == {field.attname for field in Entry._meta.concrete_fields}


def test_entries_of_before_the_upgrade_are_sealed_in_small_steps(written, verify, monkeypatch):
    monkeypatch.setattr(sealing, "AT_ONCE", 2)
    monkeypatch.setattr(sealing, "SECONDS", 0)
    written(5)

    counts = []
    for _sweep in range(4):
        core.sweep()
        counts.append(Seal.objects.count())

    assert counts == [2, 4, 5, 5]
    assert verify().startswith("5 entries are sealed and as written.")


@pytest.mark.parametrize("late", [1_000, 2])
def test_an_entry_that_commits_late_with_a_lower_number_is_sealed_later(late, entries, verify, monkeypatch):
    monkeypatch.setattr(sealing, "LATE", late)  # with 2 it lies further back than every sweep looks
    monkeypatch.setattr(sealing, "LOOKED_THROUGH", 4)
    Sealing.objects.update(looked_up_to=entries[0].pk - 5)
    Seal.objects.all().delete()
    Entry.objects.filter(pk=entries[1].pk).delete()
    core.sweep()

    entries[1].save(force_insert=True)
    for _sweep in range(6):
        core.sweep()

    assert place_of(entries[1]) == 6 > place_of(entries[5])
    assert verify().startswith("6 entries are sealed and as written.")


def test_an_entry_within_a_transaction_keeps_no_sweep_waiting_nor_waits_for_one(written, verify):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, so none commits after one that began later.")
    recorded, swept = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            (entry,) = written(1)
            recorded.set()
            assert swept.wait(10)
        return entry

    def others():
        assert recorded.wait(10)
        made = written(2)
        core.sweep()
        swept.set()
        return made

    entry, (one, two) = at_once(slow, others)
    core.sweep()

    assert [place_of(entry), place_of(one), place_of(two)] == [3, 1, 2]
    assert entry.pk < one.pk
    assert verify().startswith("3 entries are sealed and as written.")


def test_two_sweeps_at_once_do_not_fork_the_chain(written, verify, monkeypatch):
    both = threading.Barrier(2)
    head = sealing.head

    def head_read_by_both():
        seen = head()
        both.wait(10)
        return seen

    written(3)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "head", head_read_by_both)
        counts = at_once(*[lambda: sealing._seal(Entry.objects.unsealed())] * 2)

    assert sorted(counts) == [0, 3]
    assert verify().startswith("3 entries are sealed and as written.")


# --- what was altered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"at": timezone.now() - dt.timedelta(days=1)},
        {"event": "sync.paused"},
        {"actor_name": "somebody else"},
        {"actor_id": 12345},
        {"subject_id": "99"},
        {"changes": {"name": ["é", "2"]}},
        {"note": " "},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_edited_entry_is_named(change, entries, fault):
    Entry.objects.filter(pk__in=[entries[2].pk, entries[4].pk]).update(**change)

    assert fault() == f"Entry {entries[2].pk} was changed after it was sealed at place 3 of the chain."


def test_an_entry_that_cannot_even_be_read_is_named(entries, fault):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL does not take it.")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET at = 'long ago', note = CAST(x'ff' AS TEXT) WHERE id = %s", [entries[3].pk])

    assert fault() == f"Entry {entries[3].pk} was changed after it was sealed at place 4 of the chain."


def test_a_deleted_entry_is_named(entries, fault):
    Entry.objects.filter(pk__in=[entries[1].pk, entries[5].pk]).delete()

    assert fault() == f"Entry {entries[1].pk} is gone: it was sealed at place 2 of the chain, and deleted or given another number since."


def test_an_entry_moved_to_another_number_is_named(entries, fault):
    Entry.objects.filter(pk=entries[3].pk).update(id=entries[5].pk + 100)

    assert f"Entry {entries[3].pk} is gone" in fault()


def test_two_entries_that_changed_places_are_named_by_the_first(entries, fault):
    first, second = (Entry.objects.filter(pk=entry.pk).values().get() for entry in (entries[1], entries[4]))
    Entry.objects.filter(pk=first["id"]).update(**second | {"id": first["id"]})
    Entry.objects.filter(pk=second["id"]).update(**first | {"id": second["id"]})

    assert fault() == f"Entry {entries[1].pk} was changed after it was sealed at place 2 of the chain."


def test_a_seal_that_is_gone_is_named_with_its_place(entries, fault):
    Seal.objects.filter(entry_id=entries[2].pk).delete()

    assert fault() == f"The seal at place 3 of the chain is missing; the one before was of entry {entries[1].pk}."


def test_a_chain_whose_beginning_is_gone_is_no_chain(entries, fault):
    Seal.objects.filter(place=1).delete()

    assert fault().startswith("The seal at place 1 of the chain is missing")


@pytest.mark.parametrize("change", [{"content": "0" * 64}, {"digest": "0" * 64}, {"entry_id": 10**9}], ids=lambda change: next(iter(change)))
def test_an_edited_seal_is_named(change, entries, fault):
    Seal.objects.filter(entry_id=entries[2].pk).update(**change)

    number = change.get("entry_id", entries[2].pk)
    assert fault() == f"The seal of entry {number}, at place 3 of the chain, does not follow from the one before: one was changed."


def test_an_edited_entry_whose_own_seal_was_made_anew_breaks_the_chain_behind_it(entries, fault):
    Entry.objects.filter(pk=entries[2].pk).update(note="never mind")
    content = sealing.content_of(Entry.objects.values(*sealing.FIELDS).get(pk=entries[2].pk))
    before = Seal.objects.get(place=2)
    end = sealing.follow(sealing.Head(2, before.digest), entries[2].pk, content)
    Seal.objects.filter(place=3).update(content=content, digest=end.digest)

    assert f"The seal of entry {entries[3].pk}, at place 4 of the chain, does not follow" in fault()


@pytest.mark.parametrize("size", [2, 500])
def test_an_entry_that_is_sealed_twice_is_named_with_both_places(size, entries, fault, monkeypatch):
    monkeypatch.setattr(verifying, "AT_ONCE", size)
    (once,) = Seal._meta.constraints
    monkeypatch.setattr(Seal._meta, "constraints", [])  # for SQLite, which makes the table anew
    with connection.schema_editor() as editor:
        editor.remove_constraint(Seal, once)
    try:
        again, head = Seal.objects.get(place=2), sealing.head()
        end = sealing.follow(head, again.entry_id, again.content)
        Seal.objects.create(place=7, entry_id=again.entry_id, content=again.content, digest=end.digest)

        assert fault() == f"Entry {again.entry_id} is sealed twice, at places 2 and 7."
    finally:
        Seal.objects.all().delete()
        monkeypatch.setattr(Seal._meta, "constraints", [once])
        with connection.schema_editor() as editor:
            editor.add_constraint(Seal, once)


# --- the head, kept elsewhere -----------------------------------------------------------------------------------------


def test_a_tail_that_was_cut_is_told_by_a_head_that_was_kept_and_by_nothing_else(entries, verify, fault):
    kept = head_told(verify())

    cut(2)

    assert verify().startswith("4 entries are sealed and as written.")
    assert fault("--head", kept) == "The end of the log was cut: the chain ends at place 4, and its head was once at place 6."


def test_a_tail_that_was_cut_is_told_also_once_the_chain_has_grown_again(entries, written, verify, fault):
    kept = head_told(verify())
    cut(2)

    written(4)
    core.sweep()

    rewritten = "The log was rewritten at or before place 6 of the chain: its seal there is another than the head that was kept."
    assert verify().startswith("8 entries are sealed and as written.")
    assert fault("--head", kept) == rewritten


def test_a_head_that_was_kept_is_found_in_the_longer_chain(entries, written, verify):
    kept = head_told(verify())
    written(2)
    core.sweep()

    assert verify("--head", kept).startswith("8 entries are sealed and as written. The head that was kept is in the chain.")
    assert verify("--head", kept.upper()).startswith("8 entries")


@pytest.mark.parametrize("given", ["", "6", "6:abc", f"-1:{'0' * 64}", f"x:{'0' * 64}", f"{'9' * 30}:{'0' * 64}"])
def test_what_is_no_head_is_wrong_usage(given, verify):
    with pytest.raises(CommandError, match="is no head of the chain") as refused:
        verify(f"--head={given}")
    assert refused.value.returncode == 2


def test_the_hub_logs_the_head_once_an_hour_while_it_moves(entries, written, verify, caplog):
    first = Sealing.objects.get().told_head
    assert first == head_told(verify())
    written(1)

    with caplog.at_level(logging.INFO):
        core.sweep()
        assert not caplog.records
        Sealing.objects.update(told_at=F("told_at") - dt.timedelta(hours=1))
        core.sweep()
        core.sweep()
        Sealing.objects.update(told_at=F("told_at") - dt.timedelta(hours=1))
        core.sweep()

    (line,) = [json.loads(logs.Json().format(record)) for record in caplog.records]
    assert (line["level"], line["message"], line["head"]) == ("INFO", "audit log sealed", head_told(verify()))


def test_a_backup_carries_the_head_of_the_chain_in_it(entries, written, verify, fault, tmp_path):
    make_backup(tmp_path / "hub.zip")
    with zipfile.ZipFile(tmp_path / "hub.zip") as archive:
        kept = json.loads(archive.read("manifest.json"))["audit_head"]
    written(2)
    core.sweep()
    later = head_told(verify())

    assert kept.startswith("6:")
    assert verify("--head", kept).startswith("9 entries are sealed and as written.")  # the backup itself is one of them

    restore_backup(tmp_path / "hub.zip", replace=True)
    core.sweep()

    assert verify("--head", kept).startswith("7 entries are sealed and as written.")
    assert "The end of the log was cut" in fault("--head", later)


# --- size and upgrade -------------------------------------------------------------------------------------------------


def test_a_log_of_any_length_is_verified_in_the_same_memory(written, verify, monkeypatch):
    monkeypatch.setattr(verifying, "AT_ONCE", 100)
    monkeypatch.setattr(sealing, "SECONDS", 60)

    def peak(more):
        Entry.objects.bulk_create(Entry(event="run.started", note="x" * 200) for _n in range(more))
        core.sweep()
        verify()  # so that what is kept for good is there
        tracemalloc.start()
        said = verify()
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, said

    few, __ = peak(300)
    many, said = peak(4_700)

    assert said.startswith("5000 entries are sealed and as written.")
    assert many < few * 1.3


def test_the_migration_goes_back_and_forth_and_the_log_is_sealed_anew(entries, verify):
    try:
        MigrationExecutor(connection).migrate([("audit", "0002_entry_audit_but_launches")])
        assert "audit_seal" not in connection.introspection.table_names()
        assert Entry.objects.count() == 6
    finally:
        MigrationExecutor(connection).migrate([("audit", "0003_seals")])
    core.sweep()

    assert verify().startswith("6 entries are sealed and as written.")
