#!/bin/sh
# Brings the lock files up to what the .in files ask for, for every platform, with all hashes. What is pinned stays, but with UPGRADE=1.
set -eu
.venv/bin/python -m pip install --quiet uv
for name in requirements requirements-dev benchmarks/dlt; do
  .venv/bin/uv pip compile --quiet ${UPGRADE:+--upgrade} --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    "$name.in" --output-file "$name.txt"
done
