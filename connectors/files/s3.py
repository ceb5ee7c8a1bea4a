"""S3 and what speaks like it. Requests go to addresses that the host allows and nowhere else; credentials are those of the settings and no others.

A file is replaced by a request that names the version it replaces, or that there is none, so that of two writers one is refused and begins anew. (AWS,
MinIO and most others know such conditions; one that does not must be written to by one sync only.) The server calls a version by its ETag.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any, TypeVar

import aiobotocore.config
import aiobotocore.session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from connectors.base import BadAnswer, ConnectorError, Host, SettingsError, SystemBusy, SystemDown, _
from connectors.files.local import changed
from connectors.files.places import Found, Overtaken, Writer
from connectors.files.remote import OpenedRemotely, RemotePlace
from connectors.files.settings import S3, Connection
from connectors.rest.dialling import Guard, trusting

T = TypeVar("T")
GONE = ("404", "NoSuchKey", "NotFound")
OVERTAKEN = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
BUSY = ("SlowDown", "503", "ServiceUnavailable", "RequestLimitExceeded", "TooManyRequests", "429")


class S3Place(RemotePlace):
    def __init__(self, host: Host, connection: Connection, settings: S3) -> None:
        super().__init__(host, connection)
        self._settings = settings
        self._guard = Guard(host)
        self._stack = contextlib.AsyncExitStack()
        self._opened: Any = None

    async def _client(self) -> Any:
        if self._opened is None:
            way = self._settings
            tls = trusting(way.ca_pem, self.system) if way.ca_pem else None
            config = aiobotocore.config.AioConfig(
                connector_args={"resolver": self._guard, "socket_factory": self._guard.open_socket, **({"ssl_context": tls} if tls else {})},
                connect_timeout=self.connection.connect_seconds,
                read_timeout=self.connection.total_seconds,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path" if way.path_style else "virtual"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            )
            made = _session().create_client(
                "s3",
                endpoint_url=way.endpoint,
                region_name=way.region,
                aws_access_key_id=way.access_key,
                aws_secret_access_key=way.secret_key,
                config=config,
            )
            self._opened = await self._stack.enter_async_context(made)
        return self._opened

    async def disconnect(self) -> None:
        await self._stack.aclose()

    # --- requests ---

    def _ask(self, operation: str, **values: Any) -> Any:
        """One request. Raises ClientError for what the caller may know better, else ConnectorError."""

        async def asked() -> Any:
            answer = await getattr(await self._client(), operation)(Bucket=self._settings.bucket, **values)
            if operation == "get_object":
                async with answer["Body"] as body:
                    return await body.read()
            return answer

        with self.request():
            return self.run(self._understood(asked))

    async def _understood(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await work()
        except ClientError as error:
            code = _code(error)
            if code in GONE or code in OVERTAKEN:
                raise
            raise self._meant(code, error.response.get("Error", {}).get("Message", "") or code, error.response) from None
        except HTTPClientError as error:
            if (refusal := _refusal(error)) is not None:
                raise refusal from None
            raise self._down(error) from None
        except (BotoCoreError, OSError, asyncio.IncompleteReadError) as error:
            raise self._down(error) from None

    def _down(self, error: BaseException) -> SystemDown:
        return SystemDown(_("{system} does not answer: {reason}"), system=self.system, reason=str(error)[:300])

    def _meant(self, code: str, reason: str, response: Any) -> ConnectorError:
        names: dict[str, Any] = {"system": self.system, "reason": reason.rstrip(".")[:300]}
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            return SettingsError(_("{system} has no bucket {bucket}."), system=self.system, bucket=self._settings.bucket)
        if code in BUSY:
            return SystemBusy(_("{system} is busy: {reason}"), retry_after=2.0, **names)
        if status >= 500 and code != "NotImplemented":
            return SystemDown(_("{system} does not answer: {reason}"), **names)
        if status >= 400:
            return SettingsError(_("{system} refuses what it is asked: {reason}"), **names)
        return BadAnswer(_("{system} gave an answer that is not understood: {reason}"), **names)

    def _key(self, path: str) -> str:
        key = PurePosixPath(self._settings.folder.strip("/"), path)
        return str(key) if key.parts else ""

    # --- what is there ---

    def identity(self) -> dict[str, str]:
        self._ask("list_objects_v2", Prefix=self._prefix("."), MaxKeys=1)
        return {"server": f"{self._settings.endpoint}, bucket", "who": self._settings.bucket}

    def _prefix(self, folder: str) -> str:
        key = self._key(folder)
        return f"{key}/" if key else ""

    def listed(self, folder: str) -> list[Found]:
        prefix, found = self._prefix(folder), []
        more: dict[str, str] = {}
        while True:
            answer = self._ask("list_objects_v2", Prefix=prefix, Delimiter="/", **more)
            for entry in answer.get("Contents", ()):
                name = entry["Key"].removeprefix(prefix)
                if name and not name.startswith("."):
                    found.append(Found(entry["LastModified"], str(PurePosixPath(folder, name)), entry["Size"], entry["ETag"]))
            if not answer.get("IsTruncated"):
                return found
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def find(self, path: str) -> Found | None:
        try:
            head = self._ask("head_object", Key=self._key(path))
        except ClientError:
            return None
        return Found(head["LastModified"], path, head["ContentLength"], head["ETag"])

    @contextlib.contextmanager
    def open(self, found: Found) -> Iterator[OpenedRemotely]:
        def fetch(start: int, length: int) -> bytes:
            try:
                data: bytes = self._ask("get_object", Key=self._key(found.path), Range=f"bytes={start}-{start + length - 1}", IfMatch=found.version)
            except ClientError:
                raise changed(found.path, self.system) from None
            if len(data) != length:
                raise BadAnswer(
                    _("{system} answered with {got} bytes of {path} instead of {asked}."),
                    system=self.system,
                    got=len(data),
                    asked=length,
                    path=found.path,
                )
            return data

        yield OpenedRemotely(found.path, found.size, fetch)

    # --- writing ---

    def put(self, path: str, write: Writer, *, over: Found | None = None) -> None:
        with tempfile.TemporaryFile() as file:
            write(file)
            file.seek(0)
            condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.version}
            try:
                self._ask("put_object", Key=self._key(path), Body=file, **condition)
            except ClientError:
                raise Overtaken from None

    def remove(self, path: str) -> None:
        with contextlib.suppress(ClientError):
            self._ask("delete_object", Key=self._key(path))

    @contextlib.contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        yield  # the condition of each request keeps writers apart


@cache
def _session() -> aiobotocore.session.AioSession:
    """One for the process: what it knows of S3 is a megabyte of JSON, read once."""
    return aiobotocore.session.get_session()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: BaseException) -> ConnectorError | None:
    """What the guard said, inside what the client made of it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ConnectorError):
            return inner
        told = getattr(inner, "kwargs", {}).get("error") if isinstance(inner, BotoCoreError) else None
        inner = told if isinstance(told, BaseException) else inner.__cause__ or inner.__context__
    return None
