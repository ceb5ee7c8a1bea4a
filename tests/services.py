"""Servers and programs that some tests need: where they are, whether they answer, and what happens when they do not.

`@pytest.mark.service("postgresql")` skips a test with the reason where the server is missing; with HUB_REQUIRE_SERVICES=1 (CI) it fails instead.
Another address, or path, is given by the variable that the tables name.
"""

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from functools import cache
from glob import glob
from typing import NoReturn
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Service:
    variable: str
    default: str


SERVICES = {
    "postgresql": Service("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/hub"),
    "mariadb": Service("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/hub"),
    "redis": Service("TEST_REDIS_URL", "redis://127.0.0.1:6379/15"),
    "rabbitmq": Service("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}
PROGRAMS = {
    "chromium": Service("TEST_CHROMIUM", "chromium"),
    "postgres": Service("TEST_POSTGRES", "postgres"),
    "redis-server": Service("TEST_REDIS_SERVER", "redis-server"),
    "rabbitmq-server": Service("TEST_RABBITMQ_SERVER", "rabbitmq-server"),
}
# Where distributions put programs that are not for everyone, before PATH: there rabbitmq-server is a wrapper that changes the user.
FOLDERS = [*sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True), "/usr/lib/rabbitmq/bin"]


def address(name: str) -> str:
    """Where the service is: an address, or for a program its path, "" where it has none."""
    service = PROGRAMS.get(name) or SERVICES[name]
    found = os.environ.get(service.variable, service.default)
    return (shutil.which(found, path=os.pathsep.join([*FOLDERS, os.environ["PATH"]])) or "") if name in PROGRAMS else found


@cache
def missing(name: str) -> str:
    """Why the service cannot be used, or "" when it can."""
    if name in PROGRAMS:
        return "" if address(name) else f"The program {PROGRAMS[name].default} is not installed; {PROGRAMS[name].variable} names another place."
    place = urlsplit(address(name))
    try:
        socket.create_connection((place.hostname, place.port), timeout=2).close()
    except OSError as error:
        return f"No {name} answers at {place.hostname}:{place.port} ({error.strerror or error}); {SERVICES[name].variable} names another one."
    return ""


def require(name: str) -> str:
    """The service's address. Without it the test is skipped, or fails where services are required."""
    if why := missing(name):
        go_without(why)
    return address(name)


def go_without(why: str) -> NoReturn:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("HUB_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{why} It is required here (HUB_REQUIRE_SERVICES).", pytrace=False)
    pytest.skip(why)


if __name__ == "__main__":  # for scripts/test.sh: prints the address, or fails with the reason
    if reason := missing(sys.argv[1]):
        sys.exit(reason)
    sys.stdout.write(address(sys.argv[1]))
