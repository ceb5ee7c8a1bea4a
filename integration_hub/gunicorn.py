"""How gunicorn serves the console: `gunicorn -c python:integration_hub.gunicorn integration_hub.wsgi`.

Threads, since pages wait for the database and for systems. Never preloaded: Polars must not run in a process that forks afterwards.
"""

import os
from typing import Any

from integration_hub.core.tied import tie
from integration_hub.entry import plain_refusal, require_broker

with plain_refusal():
    from integration_hub.settings import LISTEN, LOGGING, PORT

    require_broker()

bind = f"[{LISTEN}]:{PORT}" if ":" in LISTEN else f"{LISTEN}:{PORT}"
worker_class = "gthread"
workers = 1
threads = 8
timeout = 60
graceful_timeout = 10
preload_app = False
logconfig_dict = LOGGING
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 its files are unlinked at once


def post_fork(server: Any, worker: Any) -> None:
    tie(server.pid)
