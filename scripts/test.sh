#!/bin/sh
# All tests on SQLite; then, on PostgreSQL, those that use the database. Called by `make test`.
set -eu
python=.venv/bin/python
export COVERAGE_FILE=.coverage

echo "tests on SQLite"
$python -m pytest -n 2 -q --ignore tests/browser --cov --cov-report=

# In a process of their own: the browser's driver keeps an event loop going in the thread of the tests.
echo "tests in the browser"
$python -m pytest -n 2 -q tests/browser --cov --cov-append --cov-report=

if url=$($python -m tests.services postgresql); then
  echo "tests that use the database, on PostgreSQL"
  DATABASE_URL="${url}_$$" $python -m pytest -n 2 -q --ignore tests/browser --only-database
elif [ "${HUB_REQUIRE_SERVICES:-}" = 1 ]; then
  exit 1
else
  echo "PostgreSQL is left out."
fi
$python -m coverage report --skip-covered --skip-empty --sort=cover
