"""The sandbox for tests: `with running() as sandbox:` starts one in a process of its own on a free port and ends it with the block.

>>> with running() as sandbox:
...     sandbox.crm.has(contacts=3)
...     sandbox.erp.refuses("customers", field="NAME", value="Acme", because="VAT number")
...     sandbox.fault("oa", "rate_limit", times=2, retry_after=1)
...     sandbox.records("crm", "users")
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent


class ControlRefused(Exception):
    """The control interface could not do what was ordered."""


class SystemControl:
    """One of the six systems, seen from the control interface."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self._sandbox = sandbox
        self.name = name
        self.url = f"{sandbox.url}/{name}"

    def _order(self, what: str, **order: Any) -> Any:
        return self._sandbox.control(what, system=self.name, **order)

    def has(self, *, dirty: bool = False, **counts: int) -> None:
        """Exactly so many demo records of each entity named (`production_orders` for production-orders); good ones unless `dirty`."""
        for entity, count in counts.items():
            self._order("has", entity=entity if self.name != "mrp" else entity.replace("_", "-"), count=count, dirty=dirty)

    def records(self, entity: str) -> list[Record]:
        return self._order("records", entity=entity)

    def add(self, entity: str, *, bare: bool = False, **values: Any) -> Record:
        return self._order("add", entity=entity, record=values, bare=bare)

    def change(self, entity: str, key: str | int, **values: Any) -> Record:
        return self._order("change", entity=entity, key=key, values=values)

    def delete(self, entity: str, key: str | int) -> None:
        self._order("delete", entity=entity, key=key)

    def fault(self, kind: str, **order: Any) -> None:
        self._order("fault", kind=kind, **order)

    def refuses(self, entity: str, *, because: str, field: str = "", value: Any = None, times: int | None = None) -> None:
        self._order("refuse", entity=entity, field=field, value=value, because=because, times=times)

    def expire_tokens(self, *, refresh: bool = False) -> None:
        self._order("expire_tokens", refresh=refresh)

    def set(self, **settings: int) -> None:
        self._order("set", **settings)

    def applied(self) -> dict[str, int]:
        """What took effect through the system's own interface, such as {"users.create": 3}."""
        return self._sandbox.requests()["applied"][self.name]

    def log(self) -> list[Record]:
        """The last requests in their order: method, path, what, status, fault."""
        return self._sandbox.requests(log=True, system=self.name)["log"]


class Sandbox:
    """A running sandbox, and what can be ordered of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.crm, self.oa, self.erp, self.mrp, self.helpdesk, self.marketing = (
            SystemControl(self, name) for name in ("crm", "oa", "erp", "mrp", "helpdesk", "marketing")
        )

    def control(self, what: str, **order: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/_control/{what}", json.dumps(order).encode(), {"content-type": "application/json"})  # noqa: S310  our own
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefused(json.load(error)["error"]) from None

    def system(self, name: str) -> SystemControl:
        return SystemControl(self, name)

    def records(self, system: str, entity: str) -> list[Record]:
        return self.control("records", system=system, entity=entity)

    def fault(self, system: str, kind: str, **order: Any) -> None:
        self.control("fault", system=system, kind=kind, **order)

    def clear_faults(self) -> None:
        self.control("clear_faults")

    def reset(self) -> None:
        self.control("reset")

    def latency(self, ms: float) -> None:
        self.control("set", latency_ms=ms)

    def live(self, steps: int = 1) -> list[str]:
        """Let life do so many steps now; says what happened."""
        return self.control("life", steps=steps)["did"]

    def pause_life(self) -> None:
        self.control("life", paused=True)

    def requests(self, **order: Any) -> dict[str, Any]:
        return self.control("requests", **order)

    def forget(self) -> None:
        self.control("forget")


class RunningSandbox(Sandbox):
    """A sandbox in a child process. It ends with this process too, however that ends: it reads a pipe that we hold."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._start("0")

    def _start(self, port: str) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", port, "--quiet", "--until-input-ends", *self._arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline() if self.process.stdout else ""  # the socket is open by then; a request waits until it is served
        if "http://" not in line:
            self.stop()
            raise RuntimeError(f"The sandbox did not start; it said: {line!r}")
        super().__init__(line.split(": ", 1)[1].strip().rstrip("/"))
        self.control("state")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stop(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def start_again(self) -> None:
        """After `stop` or `kill`: on the same port, with the same arguments."""
        self._start(str(self.port))


@contextlib.contextmanager
def running(*, data: Path | None = None, seed: int = 1, scale: int = 1, life: bool = False) -> Iterator[RunningSandbox]:
    """A sandbox in a process of its own, its life paused unless asked for."""
    arguments = ["--seed", str(seed), "--scale", str(scale)]
    arguments += ["--data", str(data)] if data else []
    arguments += [] if life else ["--quiet-life"]
    sandbox = RunningSandbox(*arguments)
    try:
        yield sandbox
    finally:
        if sandbox.process.poll() is None:
            sandbox.stop()
