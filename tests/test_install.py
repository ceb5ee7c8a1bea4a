"""scripts/install.py, in a fresh copy of the checkout, as a plain user and with the packages of requirements.txt alone."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.services import go_without

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("start")]  # packages are fetched and unpacked


class Copy:
    """The files of the checkout in a folder of its own, that belongs to a plain user."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
        for name in filter(None, tracked.stdout.decode().split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        if self.user:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, pwd.getpwnam("nobody").pw_uid, self.user["group"])

    def find_python(self) -> str:
        """One that this user may run. Ours is an environment, and what it was made from may lie in a folder of root's."""
        names = ["python3", *(f"python3.{minor}" for minor in range(sys.version_info.minor, 10, -1))]
        found = [shutil.which(name, path=folder) for folder in os.get_exec_path() for name in names]
        asked = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11) or sys.prefix != sys.base_prefix)"
        for python in filter(None, found):
            with contextlib.suppress(PermissionError):
                if self.run(python, "-c", asked).returncode == 0:
                    return python
        return go_without("A plain user cannot run any Python of 3.11 or newer with venv here.")

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.startswith("PIP_")}
        inherited |= {"HOME": str(self.folder), "PIP_NO_COMPILE": "1"}  # byte code is made when it is needed, which here is seldom
        return subprocess.run(command, cwd=self.folder, env={**inherited, **environ}, capture_output=True, text=True, **self.user)

    def install(self, *parts: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.find_python(), "scripts/install.py", *parts, **environ)


def test_where_services_are_required_no_python_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HUB_REQUIRE_SERVICES", "1")

    with pytest.raises(pytest.fail.Exception, match="cannot run any Python"):
        Copy.find_python(Copy.__new__(Copy))


@pytest.fixture
def copy():
    folder = Path(tempfile.mkdtemp(prefix="hub-install-"))  # not in tmp_path, whose parents only their owner may enter
    try:
        yield Copy(folder)
    finally:
        shutil.rmtree(folder)


def test_a_fresh_checkout_is_installed_by_a_plain_user_and_again_without_a_change(copy):
    first = copy.install(PUBLIC_URL="https://hub.example.com", BEHIND_PROXY="true")

    assert first.returncode == 0, first.stdout + first.stderr
    assert "Installed what requirements.txt names\n" in first.stdout
    assert "Wrote PUBLIC_URL, BEHIND_PROXY, SECRET_KEY, CREDENTIAL_KEYS into .env\n" in first.stdout
    assert "Sign in as admin with the password " in first.stdout
    assert "System check identified no issues" in first.stdout
    assert ".venv/bin/python manage.py start\n" in first.stdout
    assert (copy.folder / ".env").stat().st_mode & 0o777 == 0o600
    assert (copy.folder / "data" / "hub.sqlite3").exists()
    kept = (copy.folder / ".env").read_text()

    again = copy.install(PUBLIC_URL="https://elsewhere.example.com", SECRET_KEY="another secret, also of many random characters 0123456789")

    assert again.returncode == 0, again.stdout + again.stderr
    assert "Installed what" not in again.stdout
    assert "Sign in as" not in again.stdout
    assert (copy.folder / ".env").read_text() == kept


def test_the_settings_file_gets_what_it_lacks_and_keeps_the_rest(copy):
    (copy.folder / ".env").write_text("SECRET_KEY=mine")
    (copy.folder / ".env").chmod(0o666)

    ended = copy.install("secrets", DATABASE_URL="postgres://hub:p$ss@db/hub", SECRET_KEY="another")

    lines = (copy.folder / ".env").read_text().splitlines()
    assert lines[:2] == ["SECRET_KEY=mine", "DATABASE_URL='postgres://hub:p$ss@db/hub'"]
    assert [line.partition("=")[0] for line in lines[2:]] == ["CREDENTIAL_KEYS"]
    assert ended.stdout == "Wrote DATABASE_URL, CREDENTIAL_KEYS into .env\n"


@pytest.mark.parametrize(
    ("parts", "environ", "sentence"),
    [
        (["secrets"], {"BROKER_URL": "redis://:it's@host"}, "BROKER_URL holds a quotation mark or a line break, which .env cannot hold.\n"),
        (["secret"], {}, "There is no part secret; there are environment, secrets, setup.\n"),
    ],
    ids=["a value that cannot be kept", "an unknown part"],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(copy, parts, environ, sentence):
    ended = copy.install(*parts, **environ)

    assert (ended.returncode, ended.stderr) == (1, sentence)
    assert not (copy.folder / ".env").exists() or (copy.folder / ".env").read_text() == ""


def test_a_settings_file_that_cannot_be_made_is_named_by_where_it_really_lies(copy):
    (copy.folder / ".env").symlink_to("/etc/there-is-no-hub/env")

    ended = copy.install("secrets")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "/etc/there-is-no-hub/env cannot be read and written by this user: No such file or directory. Nothing was changed.\n"


def test_a_settings_file_that_lacks_nothing_need_not_be_written_to(copy):
    """Such as one that belongs to root."""
    (copy.folder / ".env").write_text("SECRET_KEY=mine\nCREDENTIAL_KEYS=k1:mine\n")
    (copy.folder / ".env").chmod(0o444)

    ended = copy.install("secrets")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
