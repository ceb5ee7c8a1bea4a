#!/bin/sh
# All tests on SQLite with a broker in memory; then those that use the database on PostgreSQL with RabbitMQ; then those that go over the broker with
# Redis. Called by `make test`.
set -eu
python=.venv/bin/python
unset PYTHONDONTWRITEBYTECODE # hundreds of processes import the same modules: to compile them anew takes each a second

service() { # its address, or nothing where it is missing and may be
  $python -m tests.services "$1" || [ "${HUB_REQUIRE_SERVICES:-}" != 1 ]
}

echo "tests on SQLite"
$python -m pytest -n 3 --dist worksteal -q --ignore tests/browser

# In a process of their own: the browser's driver keeps an event loop going in the thread of the tests.
echo "tests in the browser"
$python -m pytest -n 2 --dist worksteal -q tests/browser

postgresql=$(service postgresql)
rabbitmq=$(service rabbitmq)
redis=$(service redis)
if [ -n "$postgresql" ]; then
  export DATABASE_URL="${postgresql}_$$"
  echo "tests that use the database, on PostgreSQL${rabbitmq:+ with RabbitMQ}"
  BROKER_URL="${rabbitmq:-memory://}" $python -m pytest -n 3 --dist worksteal -q --ignore tests/browser --only-database
  if [ -n "$redis" ]; then
    echo "tests that go over the broker, on PostgreSQL with Redis"
    BROKER_URL="$redis" $python -m pytest -q -m broker
  fi
fi
