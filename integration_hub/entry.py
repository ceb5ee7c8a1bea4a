"""The doors through which a process comes in: manage.py, the web server, the workers and the scheduler."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "integration_hub.settings")
# Read by Polars when it is loaded. Its frames are pages here, and the steps of a run and the children of a worker go beside each other already: more
# threads and more pools of memory took a sixth more memory, and gained nothing. What a page has left free goes back to the system after a fiftieth of
# a second: after half of one, as Polars has it, a worker held the memory of several pages that were long gone.
os.environ.setdefault("POLARS_MAX_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
os.environ["_RJEM_MALLOC_CONF"] = "narenas:1,dirty_decay_ms:20"  # whatever stands there: Polars leaves its own to processes that are started later
# The same for the C library, which looks once, when the second thread asks: a pool for each thread kept what its own step of a run had needed most, a
# twentieth of a worker's memory.
with suppress(AttributeError):  # other C libraries have no such pools
    ctypes.CDLL(None).mallopt(M_ARENA_MAX := -8, 1)


@contextmanager
def plain_refusal(code: int = 2) -> Iterator[None]:
    """A wrong or missing setting, or a database that is away or not set up, ends the process with the one sentence that names it, not with a
    traceback."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError, ProgrammingError

    try:
        yield
    except ImproperlyConfigured as error:
        why = str(error)
    except (OperationalError, ProgrammingError) as error:
        why = database_refusal(error)
        if not why:
            raise
    else:
        return
    print(why, file=sys.stderr)  # noqa: T201 the settings, and with them the logs, are what is missing
    raise SystemExit(code)


def database_refusal(error: Exception) -> str:
    """What is wrong with the database, as one sentence, after this error of a statement; "" where the statement itself was wrong."""
    from django.db import DatabaseError, OperationalError, connection

    from integration_hub.core import release

    why = ""
    try:
        why = release.misfit()
    except DatabaseError as other:  # not even that can be asked
        error = other
    if not why and not isinstance(error, OperationalError):
        return ""
    used = connection.settings_dict
    place = f" at {used['HOST']}:{used['PORT'] or 5432}" if used["HOST"] else ""
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"{why} It said: {said}." if why else f"DATABASE_URL: the database {used['NAME']}{place} cannot be used: {said}."


def require_broker() -> None:
    """For what cannot work without: web server, workers, scheduler. Raises ImproperlyConfigured where no broker is set and none is embedded."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    if "BROKER_URL" not in os.environ and not os.path.exists(settings.BROKER_URL.removeprefix("redis+socket://")):
        raise ImproperlyConfigured(
            "BROKER_URL is not set. Set it to the address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0, or use manage.py start."
        )


def require_storage() -> None:
    """For web server and workers: raises ImproperlyConfigured where this machine does not see the hub's files. Needs Django's apps.

    A database that is away, or was not set up yet, stops nobody here: workers ask again before each task (core/takeup.py).
    """
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError, connection

    from integration_hub.core import installation

    try:
        why = installation.misfit()
    except DatabaseError:
        return
    finally:
        connection.close()  # a worker forks after this
    if why:
        raise ImproperlyConfigured(why)
