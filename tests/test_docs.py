"""docs/faults.md names a test for every fault that must be survived, and none that does not exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()
ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
LINES = {*range(1, 20), *range(23, 35), *range(48, 55)}


def names_in(file):
    path = ROOT / file
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)} if path.exists() else set()


def test_every_test_that_the_faults_name_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    there = {file: names_in(file) for file, _name in named}

    assert len(named) > len(LINES)
    assert [f"{file}::{name}" for file, name in named if name not in there[file]] == []


def test_no_fault_is_left_out_and_one_without_a_test_says_why():
    rows = dict(ROW.findall(PAGE))

    assert {int(number) for number in rows} >= LINES
    assert [number for number, row in rows.items() if "`tests/" not in row and "No test:" not in row] == []
