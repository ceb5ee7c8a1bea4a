"""The files of deploy/: units that systemd accepts, the same programs as services and as containers, nothing named that does not exist."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from integration_hub.core.health import QUEUES

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "deploy" / "systemd"
CURRENT = "/opt/integration-hub/current"


def commands_of_units() -> set[str]:
    """What the target starts, without the path of Python, and with how many tasks at once the unit says."""
    wanted = re.findall(r"integration-hub-\S+\.service", (UNITS / "integration-hub.target").read_text())
    return {command(*re.fullmatch(r"([^@]+)@?(.*)\.service", name).groups()) for name in wanted}


def command(name: str, instance: str) -> str:
    template = UNITS / f"{name}@.service"
    text = (template if instance else UNITS / f"{name}.service").read_text()
    [start] = re.findall(rf"^ExecStart={CURRENT}/\.venv/bin/(.+)$", text, re.MULTILINE)
    environment = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    return re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], start.replace("%i", instance).replace("%%", "%"))


def commands_of_containers() -> set[str]:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    own = [service for service in services.values() if service["image"] == "integration-hub"]
    return {service["command"] for service in own if "command" in service} - {"python scripts/install.py setup"}


def test_services_and_containers_run_the_same_programs_with_workers_for_each_queue():
    units = commands_of_units()
    default = " ".join(yaml.safe_load(re.search(r"^CMD (.+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)[1]))

    assert units == commands_of_containers() | {default}
    assert sorted(re.findall(r"-Q (\S+)", " ".join(units))) == sorted(QUEUES)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path):
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace(f"{CURRENT}/.venv/bin/python", sys.executable).replace(CURRENT, str(ROOT)))

    said = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True, timeout=60)

    assert said.stderr == ""
    assert said.returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_what_the_page_says_to_leave_a_service_out_keeps_it_from_starting():
    """A drop-in of the target could not: dependencies are never reset (systemd.unit, on drop-in files)."""
    for text in ((ROOT / "docs" / "deploy.md").read_text(), (UNITS / "integration-hub.target").read_text()):
        [condition] = re.findall(r"Condition\w+=[^\s`]+", text)
        said = subprocess.run(["systemd-analyze", "condition", condition], capture_output=True, text=True, timeout=60)
        assert "Conditions failed." in said.stdout + said.stderr

    assert "empty Wants=" not in (UNITS / "integration-hub.target").read_text()


def test_the_page_links_to_what_is_there_and_sets_what_the_hub_reads():
    page = (ROOT / "docs" / "deploy.md").read_text()
    known = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())

    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (ROOT / "docs" / link).exists(), link
    assert set(re.findall(r"\b([A-Z_]{4,})=", page)) - {"RELEASE", "CONCURRENCY"} <= known
    assert set(compose["x-hub"]["environment"]) <= known


def test_no_command_of_the_page_shows_a_password():
    """To other users, and to the log of the machine, in which sudo writes each command."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()

    shown = [line for line in lines if "PASSWORD" in line]
    assert [re.sub("=.*", "", line) for line in shown] == ["DATABASE_URL", "BROKER_URL"]  # lines of the settings file


def test_the_page_installs_the_release_that_it_comes_with():
    page = (ROOT / "docs" / "deploy.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert re.findall(r"^RELEASE=(.+)$", page, re.MULTILINE) == [project["version"]]


def test_a_backup_can_be_made_in_the_containers():
    """With programs of the database's version, which those of Debian are as long as the image is built on this release of it."""
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    page = (ROOT / "docs" / "deploy.md").read_text()
    of_debian = {"bookworm": "15", "trixie": "17"}[re.search(r"^FROM python:\S+-slim-(\w+)$", image, re.MULTILINE)[1]]

    assert re.search(r"^RUN apt-get update && apt-get install .*\bpostgresql-client\b", image, re.MULTILINE)
    assert services["database"]["image"] == f"postgres:{of_debian}"
    assert f"--uid {re.search(r'user of the image, number ([0-9]+)', page)[1]} " in image
    assert set(re.findall(r" ([a-z]+) python manage.py (?:backup|restore) ", page)) == {"web"}
    [stopped] = re.findall(r"^# .*compose.yaml stop (.+)$", page, re.MULTILINE)
    assert set(stopped.split()) == {name for name, service in services.items() if service["image"] == "integration-hub"} - {"setup"}
