"""The only concurrency of a pipeline: the next page is made ready while this one is used."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

from django.db import connections

T = TypeVar("T")

_END = object()


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(pages: Iterable[T], depth: int = 1) -> Generator[T]:
    """The same pages in the same order, made on one thread up to `depth` before they are asked for.

    An exception of the maker is raised where the page would have come. Closing this generator stops the maker at its next page, closes its
    generator on its own thread, and waits for it; so nothing goes on behind the caller's back. Whoever takes pages from it therefore closes it, also
    where it ends by an error of its own: what an error's frames still hold would be closed by the garbage collector, on any thread, in the middle of
    any transaction that this one's maker may be waiting for.
    """
    ready: queue.SimpleQueue[object] = queue.SimpleQueue()
    room = threading.Semaphore(depth)  # taken before a page is begun, so that no more of them are in memory
    stopped = threading.Event()

    def make() -> None:
        try:
            made = iter(pages)
            is_end = False
            while not is_end and room.acquire() and not stopped.is_set():
                page = next(made, _END)
                is_end = page is _END
                ready.put(page)
                del page  # else it would be in memory until the next one is made, however long ago it was used
        except BaseException as error:  # handed on to the caller, whatever it is (Polars' PanicException is no Exception)
            ready.put(_Failed(error))
        finally:
            try:
                close = getattr(pages, "close", None)
                if close is not None:
                    close()
            finally:
                connections.close_all()

    maker = threading.Thread(target=contextvars.copy_context().run, args=(make,), name="ahead", daemon=True)  # with the ids of its log lines
    maker.start()
    try:
        while (page := ready.get()) is not _END:
            if isinstance(page, _Failed):
                try:
                    raise page.error
                finally:
                    del page  # else error and frame hold each other, and the threads of the steps before live until both are collected
            room.release()
            yield page  # type: ignore[misc]
            del page
    finally:
        stopped.set()
        room.release()
        maker.join()
        while not ready.empty():  # an error that nobody asked for holds the frames of the steps before, and these their threads
            ready.get()
