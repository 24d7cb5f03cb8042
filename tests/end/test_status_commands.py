"""`halo-worker status`, `pause` and `resume` beside real workers, and what still works while a route file is broken."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import orjson

from tests.tools.commands import Ended, run_command
from tests.tools.job import client, publisher, routes, subscriber
from tests.tools.process import write_routes
from tests.tools.waiting import until

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12}}
BROKEN = "publishers:\n  bad: {client: main, queue: bad, entity: Nonsense}\n"


def break_routes(folder: Path) -> None:
    """A second file with a mistake."""
    (folder / "routes" / "broken.yaml").write_text(BROKEN)


async def shown(stage, **settings: Any) -> dict[str, Any]:
    ended = await run_command(stage.folder, "status", "--json", amqp_url=stage.amqp_url, **settings)
    assert ended.out, ended.err
    told: dict[str, Any] = orjson.loads(ended.out)
    return told | {"code": ended.code}


async def command(stage, *arguments: str) -> Ended:
    return await run_command(stage.folder, *arguments, amqp_url=stage.amqp_url)


async def test_an_operator_looks_pauses_resumes_and_finds_it_everywhere(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}), name="one")

    async def running() -> bool:
        found = await shown(stage)
        return found["code"] == 0 and [route["state"] for route in found["routes"]] == ["running"]

    await until(running)
    paused = await command(stage, "pause", "erp", "--reason", "the ERP moves")
    assert (paused.code, "until `halo-worker resume erp`" in paused.out) == (0, True), paused.err
    assert (await command(stage, "pause", "erp")).out.startswith("erp: nothing to do, it is paused since")
    line = await worker.logged("route.paused", route="erp")
    assert line["reason"] == "the ERP moves"
    assert await worker.metric("paused", route="erp") == 1
    await worker.ready()
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    found = await shown(stage, routes=elsewhere)
    assert [(route["name"], route["state"]) for route in found["routes"]] == [("erp", "paused")], "from where there are no route files"
    table = await command(stage, "status")
    assert "the ERP moves" in table.out
    assert "one " in table.out
    resumed = await command(stage, "resume", "erp")
    assert resumed.out == "erp: resumed on all replicas\n"
    await worker.logged("route.resumed", route="erp")
    unknown = await command(stage, "pause", "epr")
    assert (unknown.code, "did you mean erp" in unknown.err) == (2, True), unknown.err


async def test_status_of_a_worker_that_is_down_shows_what_waits_and_ends_with_1(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await worker.stop()
    await other.send({"serial": "SN-1"})
    await other.send({"x": 1}, "assets.dead")

    async def down() -> bool:
        return not (await shown(stage))["replicas"]

    await until(down)
    found = await shown(stage)
    assert found["code"] == 1
    assert [(route["name"], route["state"], route["backlog"], route["dead"]) for route in found["routes"]] == [("erp", "down", 1, 1)]


async def test_operators_commands_work_beside_a_broken_route_file(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}, subscribers={"tickets": {"client": "main", "entity": "Tickets"}}))
    break_routes(stage.folder)
    for arguments in (
        ("dead", "list", "erp"),
        ("dead", "list", "unrouted"),
        ("cursor", "show", "tickets"),
        ("pause", "erp"),
        ("resume", "erp"),
    ):
        ended = await command(stage, *arguments)
        assert ended.code == 0, (arguments, ended.err)
    assert {route["name"] for route in (await shown(stage))["routes"]} == {"tickets", "erp"}
    listed = await command(stage, "dead", "list", "erp")
    assert "broken.yaml: 1 mistake; what it concerns is left out" in listed.err
    itself = await command(stage, "dead", "list", "bad")
    assert (itself.code, "Nonsense" in itself.err) == (2, True), itself.err
    await worker.stop()


async def test_a_broken_file_refuses_the_start_or_stops_only_itself_where_that_is_asked_for(stage, halos, other):
    halo = await halos()
    defined = routes(halo, publishers={"erp": publisher(transform=SHAPED)})
    worker = await stage.start(defined)
    await worker.stop()
    break_routes(stage.folder)
    refused = await run_command(stage.folder, "run", amqp_url=stage.amqp_url, admin_port=0)
    assert (refused.code, "Nonsense" in refused.err) == (2, True)
    skipping = await stage.start(ready=True, name="skipping", on_broken_routes="skip")
    line = await skipping.logged("routes.broken")
    assert "Nonsense" in line["problem"]
    assert await skipping.metric("route_problems") == 1
    await other.send({"serial": "SN-1"})
    await skipping.logged("message.done", route="erp")

    async def told() -> bool:
        return any(
            "Nonsense" in problem and problem.endswith("(its file is not run, and neither is what refers to it)")
            for problem in (await shown(stage))["problems"]
        )

    await until(told)


async def test_a_running_worker_takes_changed_files_over_at_sighup_and_refuses_a_mistake(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}), reload="signal")
    more = {"erp": publisher(transform=SHAPED), "cmdb": publisher(queue="computers", transform=SHAPED)}
    write_routes(stage.folder, routes(halo, publishers=more))
    worker.signal(signal.SIGHUP)
    await worker.logged("routes.taken_over", publishers=2)
    await worker.ready()
    await other.send({"serial": "SN-1"}, "computers")
    await worker.logged("message.done", route="cmdb", entity="Asset")
    break_routes(stage.folder)
    worker.signal(signal.SIGHUP)
    refused = await worker.logged("routes.refused")
    assert "Nonsense" in refused["problem"]
    assert await worker.metric("route_problems") == 1

    async def told() -> bool:
        return any(problem.endswith("(the change is not taken over: the routes run on as they were)") for problem in (await shown(stage))["problems"])

    await until(told)
    await other.send({"serial": "SN-2"}, "computers")
    await other.settles("computers")
    (stage.folder / "routes" / "broken.yaml").unlink()
    worker.signal(signal.SIGHUP)

    async def mended() -> bool:
        return await worker.metric("route_problems") == 0

    await until(mended)
    assert await worker.stop() == 0


async def test_commands_take_one_client_of_a_subscriber_and_pause_takes_all_of_them(stage, halos):
    defined = routes(await halos(), subscribers={"feed": subscriber(client=["main", "second"])})
    defined["clients"]["second"] = client(await halos())
    await stage.start(defined, name="one")
    paused = await command(stage, "pause", "feed")
    assert [line.partition(":")[0] for line in paused.out.splitlines()] == ["feed@main", "feed@second"], paused.err
    resumed = await command(stage, "resume", "feed@second")
    assert resumed.out == "feed@second: resumed on all replicas\n"
    found = {route["name"]: route["state"] for route in (await shown(stage))["routes"]}
    assert found["feed@main"] == "paused"
    one = await command(stage, "cursor", "show", "feed@second", "--json")
    assert orjson.loads(one.out)["subscriber"] == "feed@second"
    both = await command(stage, "cursor", "show", "feed")
    assert (both.code, "did you mean feed@main or feed@second?" in both.err) == (2, True)
    letters = await command(stage, "dead", "list", "feed@main")
    assert letters.code == 0, letters.err
