import json
import logging
import sys
import threading

import pytest
from celery import current_app

from integration_hub.core import logs
from integration_hub.core.tasks import sweep


@pytest.fixture
def write():
    """A function that logs a line and gives it as the formatter writes it: write("text", run=7)."""

    def line(message, *args, formatter=None, exc_info=None, **extra):
        record = logging.getLogger("hub.test").makeRecord("hub.test", logging.INFO, __file__, 1, message, args, exc_info, extra=extra)
        logs.ContextFilter().filter(record)
        return (formatter or logs.Json()).format(record)

    return line


def test_a_line_is_json_with_the_ids_of_the_blocks_around_it(write):
    with logs.context(run=7), logs.context(partition=12):
        inside = json.loads(write("page %s read", 3, rows=100))
    outside = json.loads(write("done"))

    assert inside["message"] == "page 3 read"
    assert {name: inside[name] for name in ("level", "logger", "run", "partition", "rows")} == {
        "level": "INFO",
        "logger": "hub.test",
        "run": 7,
        "partition": 12,
        "rows": 100,
    }
    assert inside["at"].endswith("Z")
    assert "run" not in outside


def test_another_thread_has_its_own_context(write):
    lines = []
    with logs.context(run=7):
        other = threading.Thread(target=lambda: lines.append(json.loads(write("elsewhere"))))
        other.start()
        other.join()

    assert "run" not in lines[0]


def test_people_read_time_message_and_the_rest(write):
    with logs.context(run=7):
        line = write("page read", formatter=logs.Console(), rows=100)

    assert line[8:] == " page read  rows=100  run=7"


SECRETS = [
    ("Authorization: Bearer eyJhbGciOi.x.y", "eyJhbGciOi"),
    ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
    ('{"password": "hunter22"}', "hunter22"),
    ("client_secret=abc123&grant_type=x", "abc123"),
    ("GET /v1?api_key=abc123&page=2", "abc123"),
    ("X-API-Key: abc123", "abc123"),
    ("access_token=abc123", "abc123"),
    ("postgres://hub:hunter22@db:5432/hub", "hunter22"),
    ("Cookie: sessionid=abc123", "abc123"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=[text[:25] for text, _ in SECRETS])
@pytest.mark.parametrize("formatter", [logs.Json(), logs.Console()], ids=["json", "console"])
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(write, text, secret, formatter):
    try:
        raise ValueError(text)
    except ValueError:
        lines = [
            write(text, formatter=formatter),
            write("x", formatter=formatter, detail=text),
            write("x", formatter=formatter, exc_info=sys.exc_info()),
        ]

    for line in lines:
        assert secret not in line
        assert logs.MASK in line
        if isinstance(formatter, logs.Json):
            json.loads(line)


@pytest.mark.parametrize("text", ["23 tokens left", "the password was changed", "page_token given", "key: 12", "secretary: Ann", "basic check done"])
def test_what_is_no_secret_is_left(text):
    assert logs.mask(text) == text


@pytest.mark.parametrize(("sent", "kept"), [("abc-123", True), ("x" * 65, False), ("a b", False), ("", False), ("<script>", False)])
def test_a_request_has_an_id_and_keeps_a_sane_one(client, sent, kept):
    answered = client.get("/healthz", headers={"X-Request-ID": sent})["X-Request-ID"]

    assert (answered == sent) is kept
    assert answered


def test_the_access_log_tells_what_was_asked_and_how_long_it_took(client, caplog, db):
    with caplog.at_level(logging.INFO, logger="hub.access"):
        client.get("/login/", headers={"X-Request-ID": "abc"})

    record = caplog.records[-1]
    assert record.getMessage() == "GET /login/ 200"
    assert record.ms > 0


def test_tasks_sent_from_any_thread_of_the_web_find_our_app():
    apps = []
    other = threading.Thread(target=lambda: apps.append(sweep.app.main))
    other.start()
    other.join()

    assert apps == ["integration_hub"]
    assert current_app.main == "integration_hub"
