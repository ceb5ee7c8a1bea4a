"""Polars must never have been used in a process that forks afterwards: its threads' locks would be held in the child for good."""

import subprocess
import sys

import pytest

CODE = """
import os, signal, django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import integration_hub.celery
integration_hub.celery.app.loader.import_default_modules()
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
signal.alarm(20)
import polars as pl
frame = pl.DataFrame({"a": range(100_000)}).with_columns((pl.col("a") % 7).alias("b")).group_by("b").agg(pl.col("a").sum()).sort("b")
assert frame.height == 7
"""


@pytest.mark.skipif(sys.platform == "win32", reason="workers fork")
def test_a_child_of_a_set_up_worker_can_use_it():
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)

    assert ended.stderr == ""
    assert ended.returncode == 0
