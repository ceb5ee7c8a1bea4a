"""Runs the whole hub on one machine: web server, workers, scheduler, embedded broker and the demo's sandbox, under one supervisor.

`manage.py start`, and with the demo `make run`. Nothing else is needed: no server, no container, no root. All that is kept lies in the data folder.
It reads the settings but loads none of Django's apps: the supervisor does no work of its own and stays small.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TextIO

from django.conf import settings

from integration_hub.core import broker
from integration_hub.core.supervisor import Kept, Program

FIRST_SANDBOX_PORT = 8900
COLOURS = {"setup": 37, "broker": 35, "sandbox": 33, "web": 32, "quick": 36, "bulk": 34, "scheduler": 95}
CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "integration_hub")
WORKER = (*CELERY, "worker", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.LOGGING["root"]["level"])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="manage.py start", description="Run the whole hub on this machine until Ctrl-C.")
    parser.add_argument("--demo", action="store_true", help="run the sandbox too and install the demo that works on it")
    demo = parser.parse_args(arguments).demo
    with _only_one(settings.DATA_DIR / "running"):
        if not _is_free(settings.LISTEN, settings.PORT):
            sys.exit(f"Port {settings.PORT} is taken. Choose another one: make run PORT={settings.PORT + 1}")
        hub = Hub(demo=demo)
        try:
            asyncio.run(hub.run())
        finally:
            hub.clean_up()
    if hub.failed:
        sys.exit(1)


class Hub:
    """The programs of one machine and the order in which they come and go."""

    def __init__(self, *, demo: bool) -> None:
        self.environ = {
            **os.environ,
            "LOG_FORMAT": os.environ.get("LOG_FORMAT", "console"),
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(settings.DATA_DIR),
        }
        self.environ["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser"  # on one's own machine, or in a container
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        if self.coloured:
            self.environ["FORCE_COLOR"] = "1"
        self.failed = False
        self.notices: list[str] = []  # what setup has to say to a person
        self._stop = asyncio.Event()
        self._socket_folder: Path | None = None
        self._demo_url = self._plan_sandbox() if demo else ""
        self.broker = self._plan_broker() if "BROKER_URL" not in os.environ else None
        self.programs = self._plan()
        self._all: list[Kept] = []

    # --- what runs ----------------------------------------------------------------------------------------------------

    def _plan_sandbox(self) -> str:
        """Its address, or "" where this checkout has no sandbox. The demo's systems point there, so it stays the same from start to start."""
        if not (settings.BASE_DIR / "sandbox" / "__main__.py").exists():
            self.show("sandbox", "is not part of this installation, the demo is left out")
            return ""
        port = _sandbox_port(settings.DATA_DIR / "sandbox.port")
        self.environ["SANDBOX_URL"] = f"http://127.0.0.1:{port}"
        networks = [os.environ.get("ALLOWED_NETWORKS", ""), "127.0.0.0/8"]  # the sandbox is on this machine; elsewhere loopback stays refused
        self.environ["ALLOWED_NETWORKS"] = ",".join(filter(None, networks))
        return self.environ["SANDBOX_URL"]

    def _plan_broker(self) -> Program:
        try:
            server = broker.find_server()
        except broker.NoBroker as error:
            sys.exit(str(error))
        told = settings.DATA_DIR / "broker.url"  # for other commands on this data folder
        if told.exists():  # the last start was killed; nothing runs on this data folder, for we hold its lock
            shutil.rmtree(Path(told.read_text().partition("://")[2]).parent, ignore_errors=True)
        self._socket_folder = broker.private_folder()
        path = self._socket_folder / "broker.sock"
        self.environ["BROKER_URL"] = broker.url(path)
        told.write_text(broker.url(path))
        folder = settings.DATA_DIR / "broker"
        command = broker.command(server, path=path, folder=folder)
        return Program("broker", command, early_death=lambda: broker.set_aside(folder))

    def _plan(self) -> list[Program]:
        """In the order in which they are stopped. The sweep is among the quick work, so a long page of bulk work never holds it up."""
        web = [sys.executable, "-m", "gunicorn", "-c", "python:integration_hub.gunicorn", "integration_hub.wsgi"]
        beat = [*CELERY, "beat", "--loglevel", "WARNING", "--schedule", str(settings.DATA_DIR / "beat-schedule")]
        programs = [
            Program("web", web, stop_seconds=15),
            Program("scheduler", beat),
            Program("quick", [*WORKER, "-n", "quick@%h", "-Q", "interactive,events", "-c", "2"], stop_seconds=20),
            Program("bulk", [*WORKER, "-n", "bulk@%h", "-Q", "bulk", "-c", "2"], stop_seconds=20),
        ]
        if self._demo_url:
            port, data = self._demo_url.rpartition(":")[2], str(settings.DATA_DIR / "sandbox")
            programs.append(Program("sandbox", [sys.executable, "-m", "sandbox", "--port", port, "--data", data]))
        return [*programs, *([self.broker] if self.broker else [])]

    # --- how it runs --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start all in turn, and wait to be stopped. A second Ctrl-C stops without waiting for the work at hand."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        working = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done() or not self.failed:
            await stopping
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await self._stop_all()

    async def _start(self) -> None:
        before = [program for program in self.programs if program.name in ("broker", "sandbox")]
        for program in before:
            self._keep(program)
        if not await self._set_up():
            self.failed = True
            return
        for program in reversed([program for program in self.programs if program not in before]):
            self._keep(program)
        await self._wait_until_ready()

    async def _set_up(self) -> bool:
        demo = ["--demo", self._demo_url] if self._demo_url else []
        step = Kept(Program("setup", [sys.executable, "manage.py", "setup", *demo]), environ=self.environ, show=self._show_setup)
        self._all.insert(0, step)
        code = await step.run_once()
        self._all.remove(step)
        return code == 0

    async def _wait_until_ready(self) -> None:
        url = f"http://{_reachable(settings.LISTEN)}:{settings.PORT}/readyz"
        began, said = time.monotonic(), False
        while (parts := await asyncio.to_thread(_parts, url)) is None or any(told != "ok" for told in parts.values()):
            if time.monotonic() - began > 60 and not said:
                said = True
                waiting = "; ".join(f"{name}: {told}" for name, told in (parts or {"web": "It does not answer."}).items() if told != "ok")
                self.show("start", f"still waiting. {waiting}")
            await asyncio.sleep(0.2)
        lines = [f"Integration Hub is ready: {settings.PUBLIC_URL}", *self.notices, f"All it keeps is in {settings.DATA_DIR}. Ctrl-C stops it."]
        self._write("\n" + "".join(f"  {line}\n" for line in lines) + "\n")

    def _keep(self, program: Program) -> None:
        kept = Kept(program, environ=self.environ, show=self.show)
        self._all.append(kept)
        kept.start()

    async def _stop_all(self) -> None:
        """Web first, so that nothing new comes in; the workers finish what they have in hand; the broker last."""
        order = {program.name: place for place, program in enumerate(self.programs)}
        together = {"bulk": "quick"}  # the workers need not wait for one another
        for _place, kept in itertools.groupby(
            sorted(self._all, key=lambda one: order.get(one.program.name, -1)), key=lambda one: together.get(one.program.name, one.program.name)
        ):
            await asyncio.gather(*(one.stop() for one in kept))
        self._write("Integration Hub has stopped.\n")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            for kept in self._all:
                kept.kill()
        else:
            self._write("\nStopping; once more Ctrl-C to stop at once.\n")
            self._stop.set()

    def clean_up(self) -> None:
        for kept in self._all:
            kept.kill()
        (settings.DATA_DIR / "broker.url").unlink(missing_ok=True)
        if self._socket_folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_setup(self, name: str, line: str) -> None:
        if line.startswith(("Sign in as", "The demo was")):
            self.notices.append(line)
        else:
            self.show(name, line)

    def show(self, name: str, line: str) -> None:
        head = f"{name:<9} |"
        self._write(f"\033[{COLOURS.get(name, 37)}m{head}\033[0m {line}\n" if self.coloured else f"{head} {line}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (BrokenPipeError, OSError):
            pass  # nobody reads any more; the hub goes on


class _only_one:  # noqa: N801 reads as a sentence in a with statement
    """Holds the lock of the data folder for as long as the block lasts. Refuses while another hub holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: TextIO

    def __enter__(self) -> None:
        self.file = open(self.path, "a+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.seek(0)
            sys.exit(f"Integration Hub already runs on {self.path.parent} ({self.file.read().strip()}). Stop that one, or choose another DATA_DIR.")
        self.file.truncate(0)
        self.file.write(f"process {os.getpid()}, {settings.PUBLIC_URL}")
        self.file.flush()

    def __exit__(self, *exc: object) -> None:
        self.file.truncate(0)
        self.file.close()


def _sandbox_port(path: Path) -> int:
    """SANDBOX_PORT, or the one of the last start, or the first that is free. One sentence ends the start when it is taken."""
    wanted = os.environ.get("SANDBOX_PORT") or (path.read_text().strip() if path.exists() else "")
    if not wanted:
        wanted = str(next(port for port in range(FIRST_SANDBOX_PORT, FIRST_SANDBOX_PORT + 1000) if _is_free("127.0.0.1", port)))
    if not wanted.isdigit() or not 1 <= int(wanted) <= 65535:
        sys.exit(f"SANDBOX_PORT must be a number from 1 to 65535, not {wanted!r}.")
    if not _is_free("127.0.0.1", int(wanted)):
        sys.exit(f"Port {wanted} of the demo's sandbox is taken. Free it, or choose another one with SANDBOX_PORT.")
    path.write_text(wanted)
    return int(wanted)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


def _parts(url: str) -> dict[str, str] | None:
    """What /readyz says, or None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 our own web server
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return dict(json.load(error)) if error.code == 503 else None
    except (OSError, ValueError):
        return None
