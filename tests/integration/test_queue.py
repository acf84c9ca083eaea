"""Messages on a real broker."""

from uuid import uuid4

import pytest

from app.queue import Publisher, host_queue, make_celery


@pytest.fixture
def publisher(broker_url: str) -> Publisher:
    return Publisher(make_celery(broker_url))


@pytest.fixture
def host() -> str:
    return uuid4().hex


def test_a_host_is_woken_until_enough_messages_wait_there(publisher: Publisher, host: str) -> None:
    for asked, expected in ((["a"], 1), (["b", "c", "d", "e"], 3), (["f"], 3)):
        publisher.wake_host(host, asked, most=3)
        assert publisher._waiting(host_queue(host)) == expected


def test_without_items_nothing_is_sent(publisher: Publisher, host: str) -> None:
    publisher.wake_host(host, [], most=3)
    assert publisher._waiting(host_queue(host)) == 0
