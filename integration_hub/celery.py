"""Celery carries the work and remembers nothing: every message names one row, and the row decides (see core/dispatch.py)."""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack
from typing import Any

from celery import Celery, signals

from integration_hub.core import logs
from integration_hub.entry import plain_refusal, require_broker, require_storage

with plain_refusal():
    from django.conf import settings

    settings.INSTALLED_APPS  # noqa: B018 reads the settings now, Celery would only later and with a traceback

app = Celery("integration_hub", task_cls="integration_hub.core.takeup:Checked")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()  # also for threads other than this one: the web server answers in many
app.autodiscover_tasks()

_task_contexts: dict[str, ExitStack] = {}


@signals.celeryd_init.connect
@signals.beat_init.connect
def _refuse_without_broker(**kwargs: Any) -> None:
    with plain_refusal():
        require_broker()


@signals.worker_init.connect
def _refuse_foreign_storage(**kwargs: Any) -> None:
    with plain_refusal():
        require_storage()


@signals.celeryd_init.connect
def _outlive_redis(**kwargs: Any) -> None:
    """kombu hands back, or acknowledges, a message that was in hand when Redis went away, through the channel that is closed by then. This raised
    AttributeError, of which the worker died; told as the lost connection it is, the worker goes on. The sweep sends again what was lost.
    """
    if not settings.BROKER_URL.startswith("redis"):
        return
    from kombu.transport.redis import Channel
    from redis.exceptions import ConnectionError

    get_pool = Channel._get_pool

    def get_pool_of_open_channel(channel: Any, asynchronous: bool = False) -> Any:
        if channel.connection is None or channel.connection.client is None:
            raise ConnectionError("The channel was closed with its connection.")
        return get_pool(channel, asynchronous=asynchronous)

    Channel._get_pool = get_pool_of_open_channel  # type: ignore[method-assign]


@signals.setup_logging.connect
def _logging_is_set_up(**kwargs: Any) -> None:
    """Django has done it; a receiver here keeps Celery from doing it again in its own way."""


@signals.worker_init.connect
def _make_ready_for_batches(**kwargs: Any) -> None:
    """A page of records is thousands of objects that come and go together: looking through them for cycles after each seven hundred cost an eighth
    of a run. And threads take turns more often than each 5 ms, lest requests wait while another step of the pipeline computes.

    It comes before the children are forked, who then share what is frozen here.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.001)


@signals.before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **kwargs: Any) -> None:
    """The work that a click causes carries the id of that request into the logs of the workers."""
    if "request" in logs.current():
        headers["hub_request"] = logs.current()["request"]


@signals.task_prerun.connect
def _enter_context(task_id: str, task: Any, **kwargs: Any) -> None:
    request = getattr(task.request, "hub_request", None) or (task.request.headers or {}).get("hub_request")
    stack = _task_contexts[task_id] = ExitStack()
    stack.enter_context(logs.context(**({"request": request} if request else {}), task=task.name.rpartition(".")[2]))


@signals.task_postrun.connect
def _leave_context(task_id: str, **kwargs: Any) -> None:
    if stack := _task_contexts.pop(task_id, None):
        stack.close()
