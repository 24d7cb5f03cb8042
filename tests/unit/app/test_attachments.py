"""When the worker pauses before it tries to attach to the broker again."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.ports import free_ports
from worker.app import attachments
from worker.app.attachments import LONGEST_PAUSE, Attachments
from worker.core.errors import BrokerUnreachable
from worker.core.health import Health
from worker.metrics import Metrics
from worker.settings import load_settings


@pytest.fixture
def pauses(monkeypatch):
    """Those that were made, at their longest: each is shortened by chance."""
    made = []

    async def race(*waits, **limits):
        for wait in waits:
            wait.close()
        made.append(limits["timeout"])

    monkeypatch.setattr(attachments, "race", race)
    monkeypatch.setattr(attachments, "uniform", lambda _, most: most)
    return made


def attaching(nodes):
    """To so many nodes, none of which is there."""
    url = ",".join(f"amqp://guest:guest@127.0.0.1:{port}/" for port in free_ports(nodes))
    health = Health()
    health.expect("broker")
    return Attachments(load_settings({"WORKER_AMQP_URL": url}), None, None, health, Metrics())


async def round_of(attaching):
    """No node takes us."""
    with pytest.raises(BrokerUnreachable):
        async with attaching.open():
            pass
    await attaching.wait(asyncio.Event())


async def test_after_a_loss_the_other_nodes_are_tried_at_once_and_after_a_round_of_losses_there_is_a_pause(pauses):
    three = attaching(3)
    await round_of(three)
    pauses.clear()
    for _ in range(2):
        three.count_loss()
        await three.wait(asyncio.Event())
    assert pauses == []
    three.count_loss()
    await three.wait(asyncio.Event())
    assert pauses == [2.0]


@pytest.mark.parametrize("nodes", [1, 3])
async def test_while_no_node_is_there_each_round_is_followed_by_a_longer_pause_also_after_a_loss(pauses, nodes):
    gone = attaching(nodes)
    gone.count_loss()
    for _ in range(7):
        await round_of(gone)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE]
