"""One system over HTTP: connections, permits, deadline, time-outs, limits on answers, and the verdict on each of them.

There is one event loop a client; `run` drives it from whichever thread calls, one call at a time. Connections stay open between calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote_plus, urlencode, urljoin, urlsplit

import aiohttp
from yarl import URL

from connectors.base import AddressRefused, BadAnswer, ConnectorError, Host, Stopped, SystemBusy, SystemDown, _
from connectors.rest.answers import Answer
from connectors.rest.dialling import Guard, open_session
from connectors.rest.failures import MaybeDone, NotSent, TooLarge, failed
from connectors.rest.settings import RestSettings
from connectors.rest.templates import as_text
from connectors.rest.verdicts import PATIENCE_SECONDS, Verdicts

Returned = TypeVar("Returned")
PERMIT_BLOCK = 4096  # a host grants at most what a second is worth; where there is no limit, it is asked once a second


@dataclass(slots=True)
class Call:
    """A request before credentials are added: `place` is method and path for messages, without query."""

    method: str
    url: URL
    place: str
    headers: dict[str, str]
    body: bytes | None = None
    is_quick: bool = False  # its answer is short: it comes as a whole or not at all


class Credentials:
    """Adds what proves who we are. The simplest: nothing. (Others: connectors.rest.auth.)"""

    renewable = False
    in_query = ""  # the query parameter that carries a secret

    async def ready(self, client: Client) -> None:
        """Called before a request is signed; may fetch a token."""

    async def renew(self, client: Client, used: str) -> bool:
        """The system refused the token in use; True if there is a newer one now."""
        return False

    @property
    def token(self) -> str:
        return ""

    def sign(self, call: Call) -> tuple[URL, dict[str, str]]:
        return call.url, call.headers


class Client(Verdicts):
    def __init__(self, settings: RestSettings, host: Host, credentials: Credentials) -> None:
        super().__init__(settings, host)
        self.credentials = credentials
        self.origin = _origin(settings.base_url)
        self._guard = Guard(host)
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[asyncio.Task[Any], float] = {}  # those that ask, and when their time is up
        self._late: set[asyncio.Task[Any]] = set()
        way = settings.connection
        self._patient = aiohttp.ClientTimeout(total=way.total_seconds, sock_connect=way.connect_seconds, sock_read=way.read_seconds)
        self._quick = aiohttp.ClientTimeout(total=None, sock_connect=way.connect_seconds)  # its time is watched here: a clock each costs a twentieth
        self._quick_seconds = min(way.total_seconds, way.connect_seconds + way.read_seconds)
        self._permits, self._permits_until, self._block = 0, 0.0, 1
        self._permit_lock: asyncio.Lock | None = None
        self._hub = ThreadPoolExecutor(max_workers=1, thread_name_prefix="host")  # one thread for what may wait for the hub's database
        self._cleared: set[str] = set()  # hosts behind a proxy that may be asked for
        self.last_seconds = 0.0  # how long the last request took
        self.cut = False  # the deadline passed while requests were going

    # --- driving the loop ---

    def run(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Carry out the work on this client's loop and return what it returns."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            task = self._loop.create_task(self._watched(work))
            try:
                return self._loop.run_until_complete(task)
            except BaseException:
                if not task.done():  # the thread was interrupted: nothing may stay behind on the loop
                    task.cancel()
                    with contextlib.suppress(BaseException):
                        self._loop.run_until_complete(task)
                raise

    async def _watched(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        for _turn in range(3):  # connections that the server closed meanwhile are noticed before one of them is taken
            await asyncio.sleep(0)
        self.cut = False
        watch = asyncio.get_running_loop().create_task(self._watch_time())
        try:
            return await work
        finally:
            watch.cancel()

    async def _watch_time(self) -> None:
        """Cut what is still going at the deadline, which moves as the lease is renewed, and each quick request whose time is up."""
        while True:
            now = time.monotonic()
            left = self.host.deadline() - now
            if left <= 0:
                self.cut = True
                for task in self._tasks:
                    task.cancel()
                return
            for task in [task for task, ends in self._tasks.items() if ends <= now and task not in self._late]:
                self._late.add(task)
                task.cancel()
            await asyncio.sleep(min(left, 1.0, self._quick_seconds / 10))

    def close(self) -> None:
        with self._lock:
            if self._loop is None:
                return
            self._loop.run_until_complete(self._loop.run_in_executor(None, self._hub.shutdown))  # a token call may still need this loop
            if self._session is not None:
                self._loop.run_until_complete(self._session.close())
                self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._loop, self._session = None, None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._permit_lock = asyncio.Lock()
            self._session = open_session(self.settings.connection, self._guard, system=self.host.system)
        return self._session

    # --- making calls ---

    def call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Call:
        """A request to a path behind the system's address; a full address is taken as it is, if it leads to the same origin."""
        address = path if "://" in path else self.settings.base_url + ("" if not path or path[0] in "/?" else "/") + path
        address = self._checked_origin(address)
        shared = self.settings.connection.query
        if query or shared:
            pairs = [(n, as_text(v)) for n, v in {**shared, **(query or {})}.items()]
            address += ("&" if "?" in address else "?") + urlencode(pairs)
        url = URL(address, encoded=True)
        merged = {**self.settings.connection.headers, **(headers or {})}
        if body is not None:
            merged.setdefault("Content-Type", "application/json")
        return Call(method, url, f"{method} {url.path}", merged, body)

    def follow(self, link: str, before: URL, headers: Mapping[str, str]) -> Call:
        """The call to a next page's address, which may be relative to the one before."""
        url = URL(self._checked_origin(urljoin(str(before), link)), encoded=True)
        if self.credentials.in_query:  # some systems repeat our secret in the address they give
            url = URL(_without(str(url), self.credentials.in_query), encoded=True)
        return Call("GET", url, f"GET {url.path}", dict(headers))

    def _checked_origin(self, address: str) -> str:
        origin = _origin(address)
        if origin != self.origin and origin not in {_origin(o) for o in self.settings.connection.allowed_origins}:
            raise AddressRefused(
                _("{system} points to {origin}, which is not its own address. If that is right, add it under Connection, Other origins."),
                system=self.host.system,
                origin=origin,
            )
        return address

    async def ask(self, call: Call, *, accept: tuple[int, ...] = (), may_miss: bool = False) -> Answer:
        """Send a request that changes nothing, trying again where that helps. Raises ConnectorError, but not for a status to `accept`."""
        tries = self.settings.connection.tries
        before: ConnectorError | None = None
        for number in range(1, tries + 1):
            try:
                answer = await self.send(call)
                if answer.status not in accept and not self._misses(answer, may_miss):
                    self.judge(answer)
                return answer
            except NotSent as error:
                cause: ConnectorError = error.cause
            except MaybeDone as error:
                cause = error.cause
            except (SystemBusy, BadAnswer, SystemDown) as error:
                cause = error
            if before is not None and isinstance(cause, SystemDown) and not isinstance(cause, SystemBusy) and cause.retry_after is not None:
                raise before  # the circuit has opened meanwhile: what opened it says more
            pause, before = self._pause(cause, number), cause
            if number == tries or pause is None:
                raise cause
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def _misses(self, answer: Answer, may_miss: bool) -> bool:
        return may_miss and self.missing(answer, ())

    async def ask_or_miss(self, call: Call, missing: tuple[int, ...]) -> Answer | None:
        """As `ask`, but None where the system says that there is no such record."""
        answer = await self.ask(call, accept=missing, may_miss=True)
        if self.missing(answer, missing):
            return None
        self.judge(answer)
        return answer

    @staticmethod
    def pause_before(number: int) -> float:
        """Seconds before try `number` + 1, with jitter."""
        return random.uniform(0.5, 1.0) * min(0.1 * float(4 ** (number - 1)), PATIENCE_SECONDS)  # noqa: S311

    def _pause(self, cause: ConnectorError, number: int) -> float | None:
        """Seconds before the next try; None where another try is the caller's business or useless."""
        if isinstance(cause, SystemBusy):
            wait = cause.retry_after
            return wait if wait is not None and wait <= PATIENCE_SECONDS else None
        if isinstance(cause, BadAnswer | SystemDown) and not isinstance(cause, TooLarge):
            return self.pause_before(number)
        return None

    async def send(self, call: Call) -> Answer:
        """Send a request once (twice, if its token had expired) and return whatever came back. Raises NotSent or MaybeDone."""
        await self._ready()
        used = self.credentials.token
        answer = await self.exchange(call)
        if self.credentials.renewable and self._token_refused(answer):
            try:
                renewed = await self.credentials.renew(self, used)
            except ConnectorError as error:
                raise NotSent(error) from error
            if renewed:
                answer = await self.exchange(call)
        return answer

    async def _ready(self) -> None:
        """Everything that may forbid or delay a request, before a byte of it is sent."""
        try:
            now = time.monotonic()
            if self._closed_until > now:
                if self._closed_until - now > PATIENCE_SECONDS:
                    raise self._asked_to_wait(self._closed_until - now)
                await asyncio.sleep(self._closed_until - now)
            self.session()
            if self._permits <= 0 or now > self._permits_until:
                await self._draw_permits()
            self._permits -= 1
            if self.credentials.renewable:
                await self.credentials.ready(self)
            self._check_deadline()
            self.host.before_request()
        except ConnectorError as error:
            raise NotSent(error) from error

    def _check_deadline(self) -> None:
        if self.cut or time.monotonic() >= self.host.deadline():
            raise Stopped(_("The time to work on {system} is over; the next worker goes on."), system=self.host.system)

    async def beside(self, act: Callable[..., Returned], *arguments: Any) -> Returned:
        """Run something of the host that may wait, on the one thread kept for that, while requests go on."""
        return await asyncio.get_running_loop().run_in_executor(self._hub, contextvars.copy_context().run, act, *arguments)

    async def _clear_behind_proxy(self, host: str) -> None:
        """A proxy opens the connection for us, so the guard looks at what we would ask it for; a name only it knows is its own to judge."""
        if host not in self._cleared:
            with contextlib.suppress(OSError):
                await self._guard.resolve(host)
            self._cleared.add(host)

    async def _draw_permits(self) -> None:
        assert self._permit_lock is not None  # noqa: S101
        async with self._permit_lock:
            while self._permits <= 0 or time.monotonic() > self._permits_until:
                granted, wait = await self.beside(self.host.permit, self._block)
                if granted:
                    hurried = time.monotonic() < self._permits_until
                    self._block = min(self._block * 2, PERMIT_BLOCK) if hurried else max(self._block // 2, 1)
                    self._permits, self._permits_until = granted, time.monotonic() + 1.0
                    return
                if wait > PATIENCE_SECONDS:
                    raise SystemBusy(_("The limit of requests to {system} is used up for now."), system=self.host.system, retry_after=wait)
                await asyncio.sleep(max(wait, 0.01))
                self._check_deadline()

    async def exchange(self, call: Call, *, signed: bool = True) -> Answer:
        """One request and its answer on the wire."""
        started = time.monotonic()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._tasks[task] = started + self._quick_seconds if call.is_quick else float("inf")
        alive = False
        try:
            url, headers = self.credentials.sign(call) if signed else (call.url, call.headers)
            if self.settings.connection.proxy:
                await self._clear_behind_proxy(url.host or "")
            seconds = self._quick if call.is_quick else self._patient
            async with self.session().request(call.method, url, data=call.body, headers=headers, allow_redirects=False, timeout=seconds) as response:
                alive = response.status < 500
                body = await self._body(response, call)
                if response.status < 400:
                    self._waits = 0
                return Answer(response.status, response.headers, body, system=self.host.system, place=call.place)
        except BadAnswer as error:
            raise MaybeDone(error) from error
        except ConnectorError as error:  # the guard refused the address
            alive = True
            raise NotSent(error) from error
        except asyncio.CancelledError:
            if task in self._late:
                task.uncancel()
                raise self._failed(TimeoutError(), call) from None
            if not self.cut:
                alive = True  # we were the ones to stop
                raise
            task.uncancel()
            raise MaybeDone(
                Stopped(_("The time to work on {system} was over before it answered {place}."), system=self.host.system, place=call.place)
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._failed(error, call) from None
        finally:
            del self._tasks[task]
            self._late.discard(task)
            self.last_seconds = time.monotonic() - started
            self.host.after_request(ok=alive, seconds=self.last_seconds)

    def _failed(self, error: Exception, call: Call) -> NotSent | MaybeDone:
        connecting = self.settings.connection.connect_seconds
        return failed(error, system=self.host.system, place=call.place, host=call.url.host or "", connect_seconds=connecting)

    async def _body(self, response: aiohttp.ClientResponse, call: Call) -> bytes:
        limit = self.answers.max_bytes
        length = response.content_length
        if length is not None and length <= limit and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                response.close()
                raise TooLarge(
                    _("{system} answered {place} with more than {limit} bytes. Ask for smaller pages, or raise the limit under Answers."),
                    system=self.host.system,
                    place=call.place,
                    limit=limit,
                )
            chunks.append(chunk)
        return b"".join(chunks)


async def together(lanes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run these at once; the first that fails ends the others, and nothing stays behind."""
    tasks = [asyncio.ensure_future(lane) for lane in lanes]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _origin(address: str) -> str:
    parts = urlsplit(address)
    default = {"http": 80, "https": 443}.get(parts.scheme.lower())
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{parts.port or default}"


def _without(address: str, parameter: str) -> str:
    """The address without this query parameter."""
    path, _mark, query = address.partition("?")
    kept = [pair for pair in query.split("&") if pair and unquote_plus(pair.split("=")[0]) != parameter]
    return f"{path}?{'&'.join(kept)}" if kept else path
