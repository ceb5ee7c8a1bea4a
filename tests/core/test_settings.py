"""A wrong or missing setting stops the start with one sentence that names it, whichever door it comes in by."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "integration_hub" / "settings.py"
POSTGRES = "postgres://hub:secret@db.example.com:5432/hub"
PRODUCTION = {
    "SECRET_KEY": "a-secret-of-many-random-characters-0123456789-ABCDEFGHIJ",
    "CREDENTIAL_KEYS": "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
    "DATABASE_URL": POSTGRES,
    "BROKER_URL": "redis://broker.example.com:6379/0",
    "PUBLIC_URL": "https://hub.example.com",
}

WRONG = [
    ("DEBUG", "perhaps", "DEBUG must be true or false, not 'perhaps'."),
    ("HTTPS", "ja", "HTTPS must be true or false, not 'ja'."),
    ("BEHIND_PROXY", "2", "BEHIND_PROXY must be true or false, not '2'."),
    ("LISTEN", "everywhere", "LISTEN must be an IP address such as 127.0.0.1 or 0.0.0.0, not 'everywhere'."),
    ("PORT", "http", "PORT must be a number from 1 to 65535, not 'http'."),
    ("PORT", "70000", "PORT must be a number from 1 to 65535, not '70000'."),
    ("DATA_DIR", "/proc/hub", "DATA_DIR is /proc/hub, a folder that cannot be written to: No such file or directory."),
    ("DATA_DIR", "", f"DATA_DIR is empty. Set it to a folder, or leave it out for {ROOT / 'data'}."),
    ("SECRET_KEY", "short", "SECRET_KEY is too short or too plain: it needs 50 random characters or more."),
    ("SECRET_KEY", "x" * 60, "SECRET_KEY is too short or too plain: it needs 50 random characters or more."),
    ("DATABASE_URL", "nonsense", "DATABASE_URL is not an address such as postgres://user:password@host:5432/hub."),
    ("DATABASE_URL", "oracle9i://x", "DATABASE_URL must name a PostgreSQL or SQLite database."),
    ("DATABASE_URL", "mysql://root@db/hub", "DATABASE_URL must name a PostgreSQL or SQLite database."),
    ("DATABASE_URL", "postgres://hub@db", "DATABASE_URL names no database; it must be one that several processes can open."),
    ("DATABASE_URL", "sqlite://:memory:", "DATABASE_URL names no database; it must be one that several processes can open."),
    ("STORAGE_URL", "s3://bucket", "STORAGE_URL must be a folder such as file:///var/lib/integration-hub/storage."),
    ("STORAGE_URL", "file://", "STORAGE_URL must be a folder such as file:///var/lib/integration-hub/storage."),
    ("STORAGE_URL", "file://storage", "STORAGE_URL must be a folder such as file:///var/lib/integration-hub/storage."),
    (
        "BROKER_URL",
        "redis://host:notaport/0",
        "BROKER_URL must be an address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0 or amqp://user:password@host:5672//.",
    ),
    (
        "BROKER_URL",
        "localhost:6379",
        "BROKER_URL must be an address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0 or amqp://user:password@host:5672//.",
    ),
    (
        "BROKER_URL",
        "redisfoo://h",
        "BROKER_URL must be an address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0 or amqp://user:password@host:5672//.",
    ),
    (
        "BROKER_URL",
        "memory://",
        "BROKER_URL must be an address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0 or amqp://user:password@host:5672//.",
    ),
    ("ALLOWED_NETWORKS", "10.0.0.1/8", "ALLOWED_NETWORKS is not a list of networks such as 10.0.0.0/8,192.168.1.0/24: 10.0.0.1/8 has host bits set."),
    ("PUBLIC_URL", "hub.example.com", "PUBLIC_URL must be an address such as https://hub.example.com, without a path, not 'hub.example.com'."),
    ("PUBLIC_URL", "https://h/x", "PUBLIC_URL must be an address such as https://hub.example.com, without a path, not 'https://h/x'."),
    ("PUBLIC_URL", "http://[bad", "PUBLIC_URL must be an address such as https://hub.example.com, without a path, not 'http://[bad'."),
    ("PUBLIC_URL", "http://h:x", "PUBLIC_URL must be an address such as https://hub.example.com, without a path, not 'http://h:x'."),
    ("CSRF_TRUSTED_ORIGINS", "hub", "CSRF_TRUSTED_ORIGINS must be a list of addresses such as https://hub.example.com, not 'hub'."),
    ("EMAIL_URL", "pigeon://x", "EMAIL_URL must be the address of a mail server, such as smtp+tls://user:password@mail.example.com:587."),
    ("TIME_ZONE", "Mars/Olympus", "TIME_ZONE must be the name of a time zone such as Europe/Berlin or Asia/Shanghai, not 'Mars/Olympus'."),
    ("LOG_FORMAT", "xml", "LOG_FORMAT must be one of json, console, not 'xml'."),
    ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'."),
]


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Reads settings.py anew under the given environment alone."""

    def run(**environ):
        for name in {*re.findall(r'"([A-Z_]{4,})"', SETTINGS.read_text()), *environ} & set(os.environ):
            monkeypatch.delenv(name)
        for name, value in {"DATA_DIR": str(tmp_path), **environ}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(SETTINGS))

    return run


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG, ids=[f"{name}={value[:20]}" for name, value, _ in WRONG])
def test_a_wrong_setting_is_refused_with_one_sentence_that_names_it(read, name, value, sentence):
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(**{**PRODUCTION, name: value})

    assert str(refusal.value) == sentence


@pytest.mark.parametrize("name", ["SECRET_KEY", "CREDENTIAL_KEYS"])
def test_with_a_database_server_each_secret_must_be_set(read, name):
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is not set"):
        read(**{key: value for key, value in PRODUCTION.items() if key != name})


def test_a_wrong_database_is_named_before_the_secrets_it_would_need(read):
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL is not an address"):
        read(DATABASE_URL="nonsense")


def test_on_one_machine_nothing_has_to_be_set_and_the_secrets_are_made_once(read, tmp_path):
    first = read()
    again = read()

    assert first["SECRET_KEY"] == again["SECRET_KEY"]
    assert first["CREDENTIAL_KEYS"] == again["CREDENTIAL_KEYS"]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert first["DEBUG"] is False
    assert first["ALLOWED_NETWORKS"] == []


def test_the_public_address_is_an_allowed_host_and_origin(read):
    settings = read(**PRODUCTION)

    assert "hub.example.com" in settings["ALLOWED_HOSTS"]
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://hub.example.com"]
    assert settings["SESSION_COOKIE_SECURE"] is True


DOORS = [
    ["manage.py", "migrate"],
    ["manage.py", "start"],
    ["-m", "gunicorn", "-c", "python:integration_hub.gunicorn", "integration_hub.wsgi"],
    ["-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "integration_hub.wsgi"],
    ["-m", "celery", "-A", "integration_hub", "worker"],
    ["-m", "celery", "-A", "integration_hub", "beat"],
]


@pytest.mark.parametrize("door", DOORS, ids=[" ".join(door[:5]) for door in DOORS])
def test_every_door_refuses_without_a_traceback(door, tmp_path):
    ended = subprocess.run(
        [sys.executable, *door], cwd=ROOT, env={"DATA_DIR": str(tmp_path), "TIME_ZONE": "Mars"}, capture_output=True, text=True, timeout=30
    )

    assert ended.returncode != 0
    assert "TIME_ZONE must be the name of a time zone" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_cannot_be_used_is_one_sentence(tmp_path):
    missing = tmp_path / "nowhere" / "hub.sqlite3"
    for url, sentence in (
        (f"sqlite:///{missing}", f"DATABASE_URL: the database {missing} cannot be used: unable to open database file.\n"),
        ("//hub:s3cret@127.0.0.1:5432/hub", "DATABASE_URL is not an address such as postgres://user:password@host:5432/hub.\n"),
        ("postgres://hub:s3cret@127.0.0.1:1/hub", "DATABASE_URL: the database hub at 127.0.0.1:1 cannot be used: connection failed: "),
    ):
        ended = subprocess.run(
            [sys.executable, "manage.py", "setup"],
            cwd=ROOT,
            env={**PRODUCTION, "DATA_DIR": str(tmp_path), "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=30,
        )

        assert ended.returncode == 2
        assert ended.stderr.startswith(sentence)
        assert ended.stderr.count("\n") == 1
        assert "s3cret" not in ended.stderr


@pytest.mark.parametrize("database", ["away", "missing", "not set up"])
@pytest.mark.parametrize(
    "command",
    ["migrate", "sync list", "config export", "demo install --url http://127.0.0.1:1", "backup", "rotate_keys"],
    ids=lambda line: line.split()[0],
)
def test_no_command_answers_a_database_that_cannot_be_used_with_a_traceback(command, database, tmp_path):
    url, sentence = {
        "away": ("postgres://hub:s3cret@127.0.0.1:1/hub", "DATABASE_URL: the database hub at 127.0.0.1:1 cannot be used: connection failed: "),
        "missing": (
            f"sqlite:///{tmp_path}/nowhere/hub",
            f"DATABASE_URL: the database {tmp_path}/nowhere/hub cannot be used: unable to open database ",
        ),
        "not set up": (f"sqlite:///{tmp_path}/hub", "The database lacks "),
    }[database]
    if (database, command) == ("not set up", "migrate"):
        pytest.skip("this is what sets it up")
    environ = {**PRODUCTION, "DATA_DIR": str(tmp_path), "DATABASE_URL": url, "PATH": os.environ["PATH"]}

    ended = subprocess.run(
        [sys.executable, "manage.py", *command.split()], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "s3cret" not in ended.stderr


@pytest.mark.parametrize("door", [DOORS[2], DOORS[4], DOORS[5]], ids=["web", "worker", "scheduler"])
def test_what_needs_a_broker_refuses_without_one(door, tmp_path):
    ended = subprocess.run([sys.executable, *door], cwd=ROOT, env={"DATA_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=30)

    assert ended.returncode != 0
    assert "BROKER_URL is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_deployment_check_is_clean_under_production_settings(tmp_path):
    ended = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**PRODUCTION, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.stderr == ""
    assert "no issues" in ended.stdout
    assert ended.returncode == 0


def test_settings_that_may_not_be_read_stop_the_start(read, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(Path, "exists", lambda path: True)

    with pytest.raises(ImproperlyConfigured, match=r"^\S+/\.env may not be read by this user\.$"):
        read()
