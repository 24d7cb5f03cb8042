"""The `dead` commands as people and programs run them, beside a real RabbitMQ: what they show, what they put back, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.job import OtherSystem, client, publisher, subscriber
from tests.tools.process import write_routes
from worker.core.message import Message
from worker.core.topology import Topology, browsed, work_topology

SECRET = "planted-secret"


@dataclass
class Post:
    """A route with dead letters, and the commands over it."""

    folder: Path
    other: OtherSystem
    url: str

    async def run(self, *arguments: str, **settings: object) -> Ended:
        return await run_command(self.folder, "dead", *arguments, **({"routes": self.folder / "routes", "amqp_url": self.url} | settings))

    async def json(self, *arguments: str) -> Any:
        ended = await self.run(*arguments, "--json")
        assert ended.out, ended.err
        return orjson.loads(ended.out)

    async def bury(self, message_id: str, dead_class: str = "rejected", body: Any = None, queue: str = "assets.dead", **headers: Any) -> None:
        """A letter as the worker writes it."""
        why = {"dead-class": dead_class, "dead-reason": "Name must be unique", "dead-status": 400, "dead-attempts": 3, "dead-route": "erp"}
        where = {"original-exchange": "erp", "original-routing-key": "asset.new", "dead-at": "2026-03-01T12:00:00+00:00"}
        document = orjson.dumps({"payload": {"inventory_number": message_id}} if body is None else body)
        message = Message(document, why | where | headers, message_id=message_id, correlation_id=f"c-{message_id}")
        await self.other.broker.publish(message, routing_key=queue)

    async def ids(self, queue: str) -> list[str]:
        """The messages of a queue in order; it is emptied."""
        return [letter.message.message_id for letter in await self.other.drain(queue)]


def routes(halo: Any = None, **more: Any) -> dict[str, Any]:
    auth = {"type": "client_credentials", "client_id": "id", "client_secret": SECRET}
    main = client(halo) if halo is not None else {"url": "http://127.0.0.1:1", "auth": auth}
    looking = publisher(queue="looked", find={"query": {"search": "x"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}})
    return {"clients": {"main": main}, "publishers": {"erp": publisher(), "looking": looking}, "subscribers": {"tickets": subscriber()}} | more


@pytest.fixture
async def post(tmp_path, other, amqp_url):
    write_routes(tmp_path, routes())
    dead = Topology(queues=(browsed("halo.dead.tickets"), browsed("halo.unrouted", **{"x-max-length": 100_000, "x-overflow": "drop-head"})))
    await other.broker.declare(work_topology("assets", [0.05, 0.1]) + work_topology("looked", [0.05, 0.1]) + dead)
    return Post(tmp_path, other, amqp_url)


async def test_letters_are_listed_oldest_first_with_counts_and_looking_changes_nothing(post):
    for number in range(3):
        await post.bury(f"m{number}", replays=number)
    await post.bury("d1", "in_doubt")
    before = await post.run("list", "erp")
    assert (before.code, before.err) == (0, "")
    lines = before.out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["m0", "m1", "m2", "d1"]
    assert lines[-1] == "erp: 4 letters (3 rejected, 1 in_doubt); 2 of them replayed before"
    told = await post.json("list", "erp")
    assert [(letter["id"], letter["class"], letter["replays"]) for letter in told["letters"]] == [
        ("m0", "rejected", 0), ("m1", "rejected", 1), ("m2", "rejected", 2), ("d1", "in_doubt", 0),
    ]  # fmt: skip
    assert await post.ids("assets.dead") == ["m0", "m1", "m2", "d1"]


async def test_a_replay_puts_letters_back_in_their_order_as_they_first_came_and_counts(post):
    for number in range(5):
        await post.bury(f"m{number}", **{"order-id": number, "halo-attempts": 2, "replays": 1})
    ended = await post.run("replay", "erp", "m3", "m1", "m4", "--yes")
    assert (ended.code, ended.out, ended.err) == (0, "erp: 3 letters replayed\n", ""), ended.err
    letters = await post.other.drain("assets")
    assert [letter.message.message_id for letter in letters] == ["m1", "m3", "m4"]
    assert letters[0].headers == {
        "order-id": 1, "replays": 2, "original-exchange": "erp", "original-routing-key": "asset.new", "x-delivery-count": 0,
    } or letters[0].headers == {"order-id": 1, "replays": 2, "original-exchange": "erp", "original-routing-key": "asset.new"}  # fmt: skip
    assert letters[0].message.correlation_id == "c-m1"
    assert letters[0].body == {"payload": {"inventory_number": "m1"}}
    assert await post.ids("assets.dead") == ["m0", "m2"]
