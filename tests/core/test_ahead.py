import gc
import threading

import pytest

from integration_hub.core.ahead import ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_nothing_goes_on_after_an_error():
    def steps(pages):
        for page in pages:
            if page == 3:
                raise ValueError(page)
            yield page

    gc.disable()
    try:
        with pytest.raises(ValueError, match="3") as caught:
            list(ahead(steps(ahead(iter(range(100))))))
        del caught
        assert threads() == []
    finally:
        gc.enable()


def test_what_was_made_and_never_asked_for_holds_nothing():
    reached = threading.Event()

    def fails(pages):
        yield next(pages)
        try:
            raise ValueError
        finally:
            reached.set()

    gc.disable()
    try:
        pages = ahead(fails(ahead(iter(range(100)))))
        next(pages)
        assert reached.wait(10)
        pages.close()
        del pages
        assert threads() == []
    finally:
        gc.enable()
