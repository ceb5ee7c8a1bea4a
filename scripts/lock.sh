#!/bin/sh
# Writes both lock files anew, for every platform, with the hashes of every wheel and source archive. Called by `make lock`.
set -eu
.venv/bin/python -m pip install --quiet uv
for name in requirements requirements-dev; do
  .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$name.in" --output-file "$name.txt"
done
