"""Changed route files are taken over while messages move: nothing is lost or doubled, and what did not change goes on."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from tests.flows.public.conftest import Stranger
from tests.tools.job import publisher, routes, subscriber
from tests.tools.process import write_routes
from tests.tools.waiting import soon
from worker.app.reloading import Reloader, signature_of
from worker.config.loader import load_routes
from worker.config.valid_routes import ValidRoutes
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError
from worker.sandbox.simulated_halo import SimulatedHalo

SECRET = "planted-secret-of-the-test"


def shaped(tag: str) -> dict[str, object]:
    return {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12, "key_field": tag}}


def erp(tag: str) -> dict[str, object]:
    return publisher(transform=shaped(tag))


def made_in(halo: SimulatedHalo) -> list[str]:
    return [post.body[0]["inventory_number"] for post in halo.journal.executed("POST", "/Asset")]


async def taken(job, running, defined) -> None:
    directory = write_routes(job.folder, defined)
    await running.service.apply_routes(load_routes(directory, {}, job.folder / "secrets"))


@pytest.mark.parametrize("more", [{}, {"order_by": "{{ serial }}"}], ids=["plain", "ordered"])
async def test_reloads_under_load_lose_nothing_and_double_nothing(job, halos, more):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": erp("0") | more}))
    count = 60

    async def send() -> None:
        for number in range(count):
            await job.other.send({"serial": f"SN-{number}"})

    sending = asyncio.create_task(send())
    for turn in range(1, 6):
        await taken(job, running, routes(halo, publishers={"erp": erp(str(turn)) | more}))
    await sending
    await running.settled("erp", "done", count)
    assert Counter(made_in(halo)) == Counter(f"SN-{number}" for number in range(count))
    await job.other.send({"serial": "last"})
    await running.settled("erp", "done", count + 1)
    assert halo.journal.executed("POST", "/Asset")[-1].body[0]["key_field"] == "5"


async def test_a_route_that_did_not_change_keeps_its_consumer(job, halos):
    halo = await halos()
    both = {"erp": erp("0"), "cmdb": publisher(queue="computers", transform=shaped("0"))}
    running = await job.start(routes(halo, publishers=both))
    before = list(running.service._live.supervisor.flows)
    await taken(job, running, routes(halo, publishers=both | {"erp": erp("1")}))
    after = running.service._live.supervisor.flows
    kept = {flow.route for flow in before if flow in after}
    assert ("cmdb" in kept, "erp" in kept) == (True, False)
    await job.other.send({"serial": "SN-1"}, "computers")
    await running.settled("cmdb", "done")


async def test_routes_come_and_go(job, halos, operator):
    halo = await halos(tickets=2)
    running = await job.start(routes(halo, publishers={"erp": erp("0")}))
    more = routes(halo, publishers={"erp": erp("0"), "cmdb": publisher(queue="computers", transform=shaped("0"))})
    await taken(job, running, more)
    await running.ready()
    await job.other.send({"serial": "SN-1"}, "computers")
    await running.settled("cmdb", "done")
    await taken(job, running, routes(halo, publishers={"erp": erp("0")}))
    assert "publisher cmdb" not in running.service.health.parts
    await running.ready()
    await job.other.send({"serial": "SN-2"}, "computers")
    await operator.route_is("erp", state="running")
    assert await operator.route("cmdb") == {}
    assert await job.other.depth("computers") == 1


async def test_another_client_begins_all_routes_again_and_loses_nothing(job, halos):
    halo, other = await halos(), await halos()
    running = await job.start(routes(halo, publishers={"erp": erp("0")}))
    await job.other.send({"serial": "SN-1"})
    await running.settled("erp", "done")
    await taken(job, running, routes(other, publishers={"erp": erp("0")}, subscribers={"tickets": subscriber()}))
    await running.until(lambda: "subscriber tickets" in running.service.health.parts)
    await running.ready()
    await job.other.send({"serial": "SN-2"})
    await running.settled("erp", "done", 2)
    assert made_in(other) == ["SN-2"]


async def test_a_changed_webhook_is_served_at_its_port_at_once(memory_job, halos):
    halo = await halos()
    auth = {"type": "signature", "header": "Token", "secret": SECRET}
    hook = {"client": "main", "auth": auth, "publish": {"exchange": "halo", "routing_key": "hooks"}}
    running = await memory_job.start(routes(halo) | {"webhooks": {"hook": hook}}, public_port=0)
    stranger = Stranger(running.service.public_port)
    assert (await stranger.signed("/webhooks/second", {"object_id": 1}, "another-secret-of-the-test")).status == 401
    second = hook | {"auth": auth | {"secret": "another-secret-of-the-test"}}
    await taken(memory_job, running, routes(halo) | {"webhooks": {"hook": hook, "second": second}})
    await running.ready()
    assert (await stranger.signed("/webhooks/second", {"object_id": 1}, "another-secret-of-the-test")).status == 202
    assert (await stranger.signed("/webhooks/hook", {"object_id": 2}, SECRET)).status == 202


async def test_a_webhook_and_a_transform_take_the_content_that_their_secret_files_have_now(memory_job, halos):
    halo = await halos()
    (memory_job.folder / "secrets").mkdir(exist_ok=True)
    hook_secret, tag = memory_job.folder / "secrets" / "hook", memory_job.folder / "secrets" / "tag"
    auth = {"type": "signature", "header": "Token", "secret": "${file:hook}"}
    hook = {"client": "main", "auth": auth, "publish": {"exchange": "halo", "routing_key": "hooks"}}
    tagged = routes(halo, publishers={"erp": erp("${file:tag}")}) | {"webhooks": {"hook": hook}}
    hook_secret.write_text(SECRET)
    tag.write_text("first-key")
    directory = write_routes(memory_job.folder, tagged)
    loaded = load_routes(directory, {}, memory_job.folder / "secrets")
    assert "first-key" not in str(loaded.sources), "sources travel between processes"
    running = await memory_job.start(tagged, public_port=0)
    stranger = Stranger(running.service.public_port)
    hook_secret.write_text("another-secret-of-the-test")
    tag.write_text("x")
    await taken(memory_job, running, tagged)
    await running.ready()
    assert (await stranger.signed("/webhooks/hook", {"object_id": 1}, SECRET)).status == 401
    assert (await stranger.signed("/webhooks/hook", {"object_id": 2}, "another-secret-of-the-test")).status == 202
    await memory_job.other.send({"serial": "SN-1"})
    await running.settled("erp", "done")
    assert halo.journal.executed("POST", "/Asset")[-1].body[0]["key_field"] == "x"


async def test_files_with_the_same_content_change_nothing(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": erp("0")}))
    before = list(running.service._live.supervisor.flows)
    await taken(memory_job, running, routes(halo, publishers={"erp": erp("0")}))
    assert running.service._live.supervisor.flows == before


class Stage:
    """A reloader over a folder; `loads` says what reading yields, and `taken` and `refused` what became of it."""

    def __init__(self, folder, monkeypatch, *, watches=True):
        monkeypatch.setattr("worker.app.reloading.LOOK_EVERY", 0.01)
        monkeypatch.setattr("worker.app.reloading.SETTLED", 0.01)
        self.folder, self.taken, self.refused, self.broken = folder, asyncio.Queue(), asyncio.Queue(), False
        self.reloader = Reloader(folder, self.load, self.take, self.refused.put_nowait, SystemClock(), asyncio.Event(), watches)

    async def load(self):
        if self.broken:
            raise ConfigError([])
        return ValidRoutes(routes="routes")

    async def take(self, found, _):
        self.taken.put_nowait(found)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.reloader.run())
        while self.reloader._seen != signature_of(self.folder):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def folder(tmp_path):
    """As Kubernetes mounts a ConfigMap: links to files of a hidden folder that is itself a link."""
    made = tmp_path / "routes"
    made.mkdir()
    for version in ("..1", "..2"):
        (made / version).mkdir()
        (made / version / "a.yaml").write_text(version)
    (made / "..data").symlink_to("..1")
    (made / "a.yaml").symlink_to("..data/a.yaml")
    return made


async def test_a_changed_config_map_is_noticed(folder, monkeypatch):
    async with Stage(folder, monkeypatch) as stage:
        (folder / "..next").symlink_to("..2")
        (folder / "..next").rename(folder / "..data")
        await soon(stage.taken.get())


async def test_a_new_file_is_noticed(folder, monkeypatch):
    async with Stage(folder, monkeypatch) as stage:
        (folder / "b.yaml").write_text("b")
        await soon(stage.taken.get())


async def test_mistakes_are_refused_and_told_and_a_mended_file_is_taken(folder, monkeypatch):
    async with Stage(folder, monkeypatch) as stage:
        stage.broken = True
        with capture_logs():
            (folder / "b.yaml").write_text("b")
            await soon(stage.refused.get())
        assert stage.taken.empty()
        stage.broken = False
        (folder / "b.yaml").write_text("mended")
        await soon(stage.taken.get())


async def test_without_watching_only_a_signal_reloads(folder, monkeypatch):
    stage = Stage(folder, monkeypatch, watches=False)
    running = asyncio.create_task(stage.reloader.run())
    (folder / "b.yaml").write_text("b")
    stage.reloader.asked.set()
    await soon(stage.taken.get())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert stage.taken.empty()
