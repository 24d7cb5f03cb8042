"""Which of several addresses is tried next."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.tools.ports import free_ports
from worker.app.attachments import Attachments
from worker.broker.open import open_broker
from worker.broker.rotation import Rotation
from worker.core.errors import BrokerUnreachable
from worker.core.health import Health
from worker.metrics import Metrics
from worker.settings import Settings

NODES = ("amqp://a", "amqp://b", "amqp://c")
MANY = ",".join(NODES)


@pytest.mark.parametrize(("begin", "order"), [(0.0, "abc"), (0.4, "bca"), (0.99, "cab"), (1.0, "abc")])
def test_a_round_takes_each_address_once_and_begins_anywhere(begin, order):
    assert "".join(address[-1] for address in Rotation(begin).round(NODES)) == order


def test_replicas_begin_with_different_addresses():
    assert {next(Rotation().round(NODES)) for _ in range(100)} == set(NODES)


def test_the_next_round_begins_behind_the_address_that_was_taken():
    rotation = Rotation(0.0)
    assert next(rotation.round(NODES)) == "amqp://a"
    assert rotation.place == "a:5672"
    assert list(rotation.round(NODES)) == ["amqp://b", "amqp://c", "amqp://a"]


def test_addresses_that_a_file_says_anew_are_all_tried():
    rotation = Rotation(0.0)
    next(rotation.round(NODES))
    assert sorted(rotation.round(("amqp://d", "amqp://e"))) == ["amqp://d", "amqp://e"]


async def test_of_several_addresses_each_is_told_with_what_stands_in_its_way():
    places = [f"127.0.0.1:{port}" for port in free_ports(3)]
    url = ",".join(f"amqp://user:hunter2secret@{place}/" for place in places)
    with pytest.raises(BrokerUnreachable) as told:
        async with open_broker(url, name="test"):
            pass
    for place in places:
        assert f"RabbitMQ at {place} cannot be used: the connection is refused" in str(told.value)
    assert "hunter2secret" not in str(told.value)


async def test_an_address_that_does_not_answer_does_not_hide_the_next_one(amqp_url):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"{amqp_url.rpartition('@')[0]}@127.0.0.1:{nobody.getsockname()[1]}/{amqp_url.rpartition('/')[2]},{amqp_url}"
        async with open_broker(url, name="test", rotation=Rotation(0.0)) as broker:
            assert not await broker.queue_depth("none")


def attachments(url: str) -> Attachments:
    made = Attachments(Settings(amqp_url=url), None, None, Health(), Metrics())
    made._known = url.count(",") + 1
    made._pause = 1000.0
    return made


async def waits(attaching: Attachments) -> bool:
    """Whether it makes us wait before the next attempt."""
    waiting = asyncio.create_task(attaching.wait(asyncio.Event()))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    waiting.cancel()
    return not done


async def test_after_a_loss_the_next_node_is_tried_at_once_and_only_a_whole_round_of_losses_is_paused_for():
    attaching = attachments(MANY)
    found = []
    for _ in range(6):
        attaching.count_loss()
        found.append(await waits(attaching))
    assert found == [False, False, True] * 2


async def test_an_attachment_that_served_begins_a_new_round_with_its_loss():
    attaching = attachments(MANY)
    attaching.count_loss()
    attaching.count_loss()
    attaching.reset_backoff()
    attaching.count_loss()
    assert not await waits(attaching)


async def test_a_round_without_any_node_is_paused_for():
    assert await waits(attachments(MANY))


async def test_with_one_address_each_loss_is_paused_for():
    attaching = attachments(NODES[0])
    attaching.count_loss()
    assert await waits(attaching)
