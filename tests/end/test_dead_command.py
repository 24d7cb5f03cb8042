"""The `dead` commands as people and programs run them, beside a real RabbitMQ: what they show, what they put back, and what they refuse."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.every import every
from tests.tools.job import OtherSystem, client, publisher, subscriber
from tests.tools.process import write_routes
from worker.core.clock import SystemClock
from worker.core.message import Message
from worker.core.topology import Topology, browsable_queue, work_topology
from worker.flows.dead.letter import DeadQueue
from worker.flows.dead.operations import exclusive_access
from worker.flows.dead.queue_scan import open_scan

SECRET = "planted-secret-of-the-test"


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
    dead = Topology(queues=(browsable_queue("halo.dead.tickets"), browsable_queue("halo.unrouted", **{"x-max-length": 100_000, "x-overflow": "drop-head"})))
    await other.broker.declare(work_topology("assets", [0.05, 0.1]) + work_topology("looked", [0.05, 0.1]) + dead)
    return Post(tmp_path, other, amqp_url)


async def test_letters_are_listed_oldest_first_with_counts_and_nothing_changes(post):
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


async def test_25_scans_lose_nothing_and_keep_the_order(post):
    ids = [f"m{number:02}" for number in range(30)]
    for each in ids:
        await post.bury(each)
    assert {(await post.run("list", "erp", "--json")).code for _ in range(3)} == {0}
    for _ in range(22):
        async with open_scan(post.other.broker, SystemClock(), "assets.dead") as scan:
            assert [delivery.message.message_id async for delivery in scan.deliveries()] == ids
    assert (await post.json("list", "erp"))["total"] == 30
    assert await post.ids("assets.dead") == ids


async def test_a_list_can_be_cut_short_and_narrowed_and_the_ids_it_shows_name_their_letters(post):
    for message_id in ("aaaaaaaaaa-1", "aaaaaaaaaa-2", "b"):
        await post.bury(message_id)
    await post.bury("d", "transform")
    short = await post.run("list", "erp", "--limit", "1", "--where", 'class = "rejected" and age > 60')
    assert [line.split()[0] for line in short.out.splitlines()] == ["id", "aaaaaaaaaa-1", "erp:", "the"]
    assert "erp: 3 letters (3 rejected)" in short.out
    assert (await post.json("list", "erp", "b"))["letters"][0]["id"] == "b"
    failing = await post.run("list", "erp", "--where", "$number(body.payload.inventory_number) > 1")
    assert failing.code == 0
    assert "--where could not be evaluated for 4 letters" in failing.err


async def test_a_letter_is_shown_in_full_with_secrets_masked(post):
    await post.bury(
        "m1", body={"payload": {"name": "Ada", "password": SECRET, "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}}}, **{"x-api-key": SECRET}
    )
    shown = await post.run("show", "erp", "m1")
    assert shown.code == 0
    for text in ("Name must be unique", "c-m1", '"Ada"', '"h": 1', '"password": "***"', '"x-api-key": "***"', "original-exchange"):
        assert text in shown.out
    assert SECRET not in shown.out
    [letter] = await post.json("show", "erp", "m")
    assert (letter["body"]["payload"]["password"], letter["headers"]["x-api-key"], letter["correlation_id"]) == ("***", "***", "c-m1")
    assert SECRET in (await post.run("show", "erp", "m1", "--reveal")).out
    assert await post.other.depth("assets.dead") == 1


async def test_a_body_that_is_no_json_and_texts_that_move_the_cursor_do_no_harm(post):
    await post.other.broker.publish(
        Message(b"\xff\x1b[2Jhello", {"dead-class": "decode", "dead-reason": "not \x1b[31mJSON"}, message_id="m1"), routing_key="assets.dead"
    )
    for ended in (await post.run("show", "erp", "m1"), await post.run("list", "erp")):
        assert ended.code == 0
        assert "\x1b" not in ended.out


async def test_a_replay_puts_letters_back_in_their_order_as_they_first_came_and_counts(post):
    for number in range(5):
        await post.bury(f"m{number}", **{"order-id": number, "halo-attempts": 2, "replays": 1})
    ended = await post.run("replay", "erp", "m3", "m1", "m4", "--yes")
    assert (ended.code, ended.out, ended.err) == (0, "erp: 3 letters replayed\n", ""), ended.err
    letters = await post.other.drain("assets")
    assert [letter.message.message_id for letter in letters] == ["m1", "m3", "m4"]
    headers = {name: value for name, value in letters[0].headers.items() if name not in {"x-delivery-count", "halo-mac", "halo-replay"}}
    assert headers == {"order-id": 1, "replays": 2, "original-exchange": "erp", "original-routing-key": "asset.new"}
    assert letters[0].message.correlation_id == "c-m1"
    assert letters[0].body == {"payload": {"inventory_number": "m1"}}
    assert await post.ids("assets.dead") == ["m0", "m2"]


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(post):
    await post.bury("m1")
    await post.bury("d1", "in_doubt")
    ended = await post.run("replay", "erp", "--all", "--dry-run")
    assert ended.code == 0
    assert "would replay 2 letters of erp (1 rejected, 1 in_doubt); 1 of them left, since in doubt" in ended.out
    told = await post.json("discard", "erp", "--all", "--dry-run")
    assert [(letter["id"], letter["plan"]) for letter in told["letters"]] == [("m1", "discard"), ("d1", "discard")]
    assert await post.ids("assets.dead") == ["m1", "d1"]


async def test_what_is_discarded_is_gone_and_the_others_stay(post):
    for number in range(4):
        await post.bury(f"m{number}", "rejected" if number % 2 else "transform")
    ended = await post.run("discard", "erp", "--where", 'class = "rejected"', "--yes")
    assert (ended.code, ended.out) == (0, "erp: 2 letters discarded\n")
    assert await post.ids("assets.dead") == ["m0", "m2"]
    assert await post.other.depth("assets") == 0


async def test_letters_in_doubt_need_a_verdict_and_named_letters_are_replayed_together_or_not_at_all(post):
    await post.bury("m1")
    await post.bury("d1", "in_doubt")
    named = await post.run("replay", "erp", "m1", "d1", "--yes")
    assert (named.code, named.out) == (2, "")
    assert "nothing was changed: 1 letter in doubt: say `--as not-sent`" in named.err
    only = await post.run("replay", "erp", "--where", 'class = "in_doubt"', "--yes")
    assert only.code == 2
    assert await post.other.depth("assets") == 0
    some = await post.run("replay", "erp", "--all", "--yes")
    assert some.code == 1
    assert "erp: 1 letter replayed" in some.out
    assert "erp: 1 letter left: in doubt" in some.out
    assert await post.ids("assets") == ["m1"]
    assert await post.ids("assets.dead") == ["d1"]


async def test_each_verdict_has_its_effect_and_look_needs_a_find(post):
    for queue in ("assets.dead", "looked.dead"):
        for name in ("d1", "d2", "d3"):
            await post.bury(name, "in_doubt", queue=queue, **{"halo-doubtful": True})
    fresh = await post.run("replay", "erp", "d1", "--as", "not-sent", "--yes")
    assert (fresh.code, fresh.out) == (0, "erp: 1 letter replayed\n")
    [letter] = await post.other.drain("assets")
    assert "halo-doubtful" not in letter.headers
    done = await post.run("replay", "erp", "d2", "--as", "sent", "--yes")
    assert (done.code, done.out) == (0, "erp: 1 letter taken as done\n")
    assert "letter.taken_as_done" in done.err
    blind = await post.run("replay", "erp", "d3", "--as", "look", "--yes")
    assert blind.code == 2
    assert "the route erp has no `find`" in blind.err
    assert await post.ids("assets.dead") == ["d3"]
    looked = await post.run("replay", "looking", "--all", "--as", "look", "--yes")
    assert looked.code == 0
    assert [letter.headers["halo-doubtful"] for letter in await post.other.drain("looked")] == [True] * 3


async def test_records_are_published_with_the_current_route_and_those_that_fail_again_stay(post):
    await post.other.declare("events", exchange="halo")
    parked = {"dead-class": "transform", "dead-reason": "no", "dead-route": "tickets", "change": "created"}
    for number in (1, 2):
        message = Message(orjson.dumps({"id": number}), parked | {"record": str(number)}, message_id=f"r{number}")
        await post.other.broker.publish(message, routing_key="halo.dead.tickets")
    write_routes(post.folder, routes(subscribers={"tickets": subscriber(transform={"n": "{{ id = 2 ? $number('x') : id }}"})}))
    ended = await post.run("replay", "tickets", "--all", "--yes")
    assert ended.code == 1
    assert "tickets: 1 letter replayed" in ended.out
    assert "tickets: 1 letter left: " in ended.out
    event = await post.other.take("events")
    assert (event.body, event.change, event.message.message_id) == ({"n": 1}, "created", "r1")
    assert await post.ids("halo.dead.tickets") == ["r2"]


async def test_unrouted_events_go_through_their_exchange_once_a_queue_is_bound(post):
    headers = {"original-exchange": "late", "original-routing-key": "tickets.created", "dead-route": "tickets", "dedupe-key": "k"}
    await post.other.broker.publish(Message(b"{}", headers, message_id="e1"), routing_key="halo.unrouted")
    nobody = await post.run("replay", "unrouted", "e1", "--yes")
    assert nobody.code == 1
    assert "unrouted: 1 letter left: " in nobody.out
    await post.other.declare("late.events", exchange="late", routing_key="tickets.#")
    assert (await post.run("replay", "unrouted", "e1", "--yes")).code == 0
    event = await post.other.take("late.events")
    assert (event.exchange, event.routing_key, event.message.message_id, event.key) == ("late", "tickets.created", "e1", "k")
    assert "original-exchange" not in event.headers


async def test_webhook_deliveries_are_replayed_with_the_current_route(post):
    await post.other.declare("hooked", exchange="halo", routing_key="webhooks.#")
    await post.other.declare("halo.dead.hook")
    hook = {"client": "main", "auth": {"type": "basic", "username": "u", "password": SECRET}, "when": "{{ object_id < 3 }}", "publish": {"exchange": "halo"}}
    write_routes(post.folder, routes(webhooks={"hook": hook}))
    for number in (1, 2, 3):
        message = Message(orjson.dumps({"id": f"d{number}", "object_id": number}), {"dead-class": "transform", "dead-reason": "no"}, message_id=f"h{number}")
        await post.other.broker.publish(message, routing_key="halo.dead.hook")
    ended = await post.run("replay", "hook", "--all", "--yes")
    assert (ended.code, ended.out) == (0, "hook: 2 letters replayed\nhook: 1 letter left out by the route's `when`\n")
    assert [letter.body["object_id"] for letter in await post.other.drain("hooked")] == [1, 2]
    assert await post.other.depth("halo.dead.hook") == 0


@every(
    ("arguments", "code", "told"),
    [
        (("list", "erpp"), 2, "there is no route 'erpp'; did you mean erp?"),
        (("list", "zzzz"), 2, "there are erp, looking, tickets, unrouted"),
        (("show", "erp", "x"), 1, "no letter has an id that begins with 'x'"),
        (("replay", "erp", "m", "--yes"), 1, "2 ids begin with 'm': m1, m2"),
        (("replay", "erp", "m1"), 2, "standard input is not a terminal, so the command cannot ask: add --yes"),
        (("discard", "erp", "--yes"), 2, "name letters by their ids, or say --where, or --all"),
        (("discard", "erp", "m1", "--all", "--yes"), 2, "either name letters or say --all"),
        (("replay", "erp", "", "--yes"), 2, "an id cannot be empty"),
        (("list", "erp", "--where", "class ="), 2, "--where"),
    ],
)
async def test_a_usage_error_is_one_line_and_changes_nothing(post, arguments, code, told):
    await post.bury("m1")
    await post.bury("m2")
    ended = await post.run(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert await post.ids("assets.dead") == ["m1", "m2"]


async def test_a_broker_that_is_away_or_keeps_nothing_is_said_in_one_line(post):
    away = await post.run("list", "erp", amqp_url="amqp://guest:guest@127.0.0.1:1/")
    assert (away.code, away.out, len(away.err.splitlines())) == (1, "", 1)
    embedded = await post.run("list", "erp", amqp_url="memory://")
    assert (embedded.code, embedded.out) == (2, "")
    assert "memory:// exists within one process and holds no letters" in embedded.err


async def test_a_queue_that_does_not_exist_yet_holds_no_letters(post):
    write_routes(post.folder, routes(publishers={"new": publisher(queue="new")}))
    ended = await post.run("list", "new")
    assert (ended.code, ended.out) == (0, "new: no letters\n")
    assert (await post.run("replay", "new", "--all", "--yes")).out == "new: no letters\n"


async def test_letters_of_a_removed_route_are_listed_and_discarded_by_the_name_of_their_queue(post):
    await post.bury("m1")
    assert (await post.run("list", "assets.dead")).out.splitlines()[-1] == "erp: 1 letter (1 rejected)", "a queue of a route stands for that route"
    write_routes(post.folder, routes(publishers={"new": publisher(queue="new")}))
    listed = await post.run("list", "assets.dead")
    assert (listed.code, listed.out.splitlines()[-1]) == (0, "assets.dead: 1 letter (1 rejected)")
    replayed = await post.run("replay", "assets.dead", "--all", "--yes")
    assert (replayed.code, replayed.out) == (2, "")
    assert "no route in the route files has the dead queue 'assets.dead'" in replayed.err
    missing = await post.run("list", "assetss.dead")
    assert (missing.code, missing.out) == (1, "")
    assert "there is no queue 'assetss.dead'" in missing.err
    assert (await post.run("discard", "assets.dead", "m1", "--yes")).code == 0
    assert await post.ids("assets.dead") == []


async def test_the_second_of_two_commands_reports_the_first(post):
    await post.bury("m1")
    async with exclusive_access(post.other.broker, SystemClock(), [DeadQueue("erp", "publisher", "assets.dead", "assets")]):
        looking, changing = await asyncio.gather(post.run("list", "erp"), post.run("replay", "erp", "m1", "--yes"))
    assert (looking.code, changing.code, changing.out) == (0, 1, "")
    assert "another `dead` command holds letters of this route" in looking.err
    assert "another `dead` command is working on the letters of this route" in changing.err
    assert await post.ids("assets.dead") == ["m1"]


LARGE = b'{"payload": "' + b"x" * 3_000_000 + b'"}'
LIMITED = {"max_message": "1MiB"}


async def too_large(post: Post) -> None:
    """One letter that is larger than what is read, as the broker buries it for a worker, and a small one of the worker's."""
    async with post.other.broker.channel(prefetch=1) as channel:
        came: asyncio.Queue[Any] = asyncio.Queue()
        await channel.consume("assets", came.put_nowait, keep=lambda _: False)
        await post.other.broker.publish(Message(LARGE, message_id="large"), routing_key="assets")
        await (await came.get()).reject()
        await post.other.settles("assets.dead", 1)
    await post.bury("small")


async def test_letters_that_are_too_large_to_be_read_are_listed_shown_and_chosen_without_their_bodies(post):
    await too_large(post)
    told = await post.run("list", "erp", **LIMITED)
    assert "erp: 2 letters (1 decode, 1 rejected)" in told.out
    assert "the message has 3,000,015 bytes, more than the worker read: raise WORKER_MAX_MESSAGE before it is replayed" in " ".join(told.out.split())
    assert "(3,000,015 bytes, not read: raise WORKER_MAX_MESSAGE)" in (await post.run("show", "erp", "large", **LIMITED)).out
    assert "1 letter (1 decode)" in (await post.run("list", "erp", "--where", 'class = "decode"', **LIMITED)).out
    blind = await post.run("list", "erp", "--where", "$exists(body.payload)", **LIMITED)
    assert "erp: 1 letter (1 rejected)" in blind.out
    assert "a body is larger than the limit: raise WORKER_MAX_MESSAGE to 3,000,015 bytes or more" in blind.err
    assert await post.ids("assets.dead") == ["large", "small"]


async def test_a_letter_that_is_too_large_is_replayed_whole_once_the_limit_allows_it(post):
    await too_large(post)
    refused = await post.run("replay", "erp", "large", "--yes", **LIMITED)
    assert refused.code != 0
    assert "its body has 3,000,015 bytes, more than the limit: raise WORKER_MAX_MESSAGE, for this command and for the worker" in refused.err
    left = await post.run("replay", "erp", "--all", "--yes", **LIMITED)
    assert (left.code, "1 letter replayed" in left.out, "1 letter left: its body has" in left.out) == (1, True, True)
    done = await post.run("replay", "erp", "large", "--yes", max_message="4MiB")
    assert (done.code, done.out) == (0, "erp: 1 letter replayed\n")
    assert [letter.message.body for letter in (await post.other.drain("assets"))[1:]] == [LARGE]


async def test_a_letter_that_is_too_large_is_discarded_unread(post):
    await too_large(post)
    done = await post.run("discard", "erp", "large", "--yes", **LIMITED)
    assert (done.code, done.out) == (0, "erp: 1 letter discarded\n")
    assert await post.ids("assets.dead") == ["small"]
