"""README lists every environment variable that the hub reads, and none that it does not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
READS = re.compile(r"""(?:env\.\w+|_switch|_number|_one_of|_secret|environ\.get)\(\s*"([A-Z][A-Z_]+)\"""")
# Not settings of the hub: what the terminal and the supervisor tell their programs.
FOREIGN = {"FORCE_COLOR", "NO_COLOR", "DJANGO_SETTINGS_MODULE"}


def test_the_settings_table_names_every_variable_that_is_read_and_no_other():
    sources = [path for path in (ROOT / "integration_hub").rglob("*.py") if "migrations" not in path.parts]
    read = {name for path in sources for name in READS.findall(path.read_text())} - FOREIGN

    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert read == listed


def test_every_command_of_make_that_is_written_about_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    written = "".join((ROOT / page).read_text() for page in ("README.md", "CONTRIBUTING.md"))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", written, re.MULTILINE))

    assert named <= targets
