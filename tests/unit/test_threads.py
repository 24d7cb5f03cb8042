"""Large bodies are read, counted, packed and written in a thread, so that the event loop takes turns; small ones stay in the loop."""

from __future__ import annotations

import asyncio
import gzip
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from tests.tools.headers import opened
from tests.tools.turns import counted_turns
from tests.unit.flows.routes import Arrived, Impatient, Ledger, ScriptedHalo, answered, publisher
from worker.config.automation import Runbook, Step
from worker.config.control_steps import Branch
from worker.core.bodies import LARGE
from worker.core.clock import SystemClock
from worker.core.exchange import Request
from worker.core.message import Delivery, Message
from worker.core.outcome import Continue, DeadClass, Outcome, Refused
from worker.flows.consuming.memory import Memory, Receipts, with_memory
from worker.flows.local.broker import EventRecorder, LocalBroker
from worker.flows.running.elements import ElementList
from worker.flows.running.run_message import Run
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.starting import Starter
from worker.flows.writes.publisher import PublisherFlow
from worker.halo.forms import encode_form
from worker.halo.slot import build_http_call
from worker.metrics import Metrics
from worker.web.bodies import read_deliveries

TEXT = "漢字かな" * (LARGE // 8)  # twice as many bytes as are worked on in the loop
GZIPPED = gzip.compress(b'{"payload":{"a":"' + b"x" * 4 * LARGE + b'"}}')
SMALL = b'{"payload":{"a":1}}'


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was done in a thread."""
    done: list[Any] = []
    to_thread = asyncio.to_thread

    async def spied(work: Callable[..., Any], *given: Any) -> Any:
        done.append(work)
        return await to_thread(work, *given)

    monkeypatch.setattr(asyncio, "to_thread", spied)
    return done


def published(message: Message) -> tuple[Delivery, Any]:
    delivery = Arrived(message)
    flow = PublisherFlow(publisher(), ScriptedHalo([answered({"id": 7})]), Ledger(), InProcess(), Impatient())
    return delivery, lambda: flow.handle(delivery, opened(delivery))


def started(message: Message) -> tuple[Delivery, Any]:
    delivery = Arrived(message)
    flow = Starter(Runbook("rb", "a", {}), SystemClock())
    return delivery, lambda: flow.handle(delivery, opened(delivery))


def taken(message: Message) -> tuple[Delivery, Any]:
    """The step of a run with this text as a variable."""
    run = Run("r1", "rb", step="a", visit=1, request={}, variables={"text": message.body.decode("gb18030")}, started="x")
    delivery = Arrived(replace(run.message(), message_id="m1"), queue="halo.run.rb")
    steps = {"a": Step("a", action=None, go=(Branch(None, "b"),)), "b": Step("b", action=None)}
    flow = RunbookFlow(Runbook("rb", "a", steps), None, Ledger(), InProcess(), Impatient(), broker=LocalBroker(EventRecorder()))  # type: ignore[arg-type]
    return delivery, lambda: flow.handle(delivery, opened(delivery))


async def settled(made: tuple[Delivery, Any]) -> Outcome:
    delivery, run = made
    return await with_memory(Memory(Receipts(Ledger()), Metrics()), delivery, run)


def message(body: bytes, content_type: str = "application/json", content_encoding: str = "") -> Message:
    return Message(body, message_id="m1", content_type=content_type, content_encoding=content_encoding)


CHARSET = message(f'{{"payload":{{"a":"{TEXT}"}}}}'.encode("gb18030"), "application/json; charset=gb18030")
LARGE_ONES = {"another charset": CHARSET, "gzip": message(GZIPPED, content_encoding="gzip"), "no JSON": message(b"[" * 2 * LARGE)}
SMALL_ONES = {"plain": message(SMALL), "gzip": message(gzip.compress(SMALL), content_encoding="gzip"), "no JSON": message(b"[")}


@every("kind", LARGE_ONES)
@every("flow", [published, started])
async def test_a_large_body_is_counted_and_read_in_a_thread(kind: str, flow: Any, in_threads: list[Any]):
    in_threads.clear()
    outcome = await settled(flow(LARGE_ONES[kind]))
    assert len(in_threads) == 2
    assert (isinstance(outcome, Refused) and outcome.dead_class is DeadClass.DECODE) == (kind == "no JSON")


@every("kind", SMALL_ONES)
@every("flow", [published, started])
async def test_a_small_body_stays_in_the_loop(kind: str, flow: Any, in_threads: list[Any]):
    in_threads.clear()
    await settled(flow(SMALL_ONES[kind]))
    assert in_threads == []


async def test_a_large_run_is_read_in_a_thread_and_a_small_one_in_the_loop(in_threads: list[Any]):
    assert isinstance(await settled(taken(message(TEXT.encode("gb18030")))), Continue)
    assert len(in_threads) == 2
    assert isinstance(await settled(taken(message(b"x"))), Continue)
    assert len(in_threads) == 2


async def test_a_run_that_carries_much_in_little_is_unpacked_in_a_thread(in_threads: list[Any]):
    caller = Run("r1", "rb", step="a", visit=1, request={}, variables={"text": "x" * 8 * LARGE}, started="x")
    delivery = Arrived(replace(Run("r1", "rb", step="b", visit=2, request={}, callers=(caller.waiting(),)).message(), message_id="m1"), queue="halo.run.rb")
    assert len(delivery.message.body) < LARGE
    flow = RunbookFlow(
        Runbook("rb", "b", {"b": Step("b", action=None, end="done")}), None, Ledger(), InProcess(), Impatient(), broker=LocalBroker(EventRecorder())
    )  # type: ignore[arg-type]
    assert isinstance(await flow.handle(delivery, opened(delivery)), Continue)
    assert len(in_threads) == 1


async def test_large_elements_of_an_iteration_and_the_run_that_waits_are_packed_in_a_thread(in_threads: list[Any]):
    items = [b64encode(os.urandom(LARGE)).decode() for _ in range(2)]
    assert await ElementList.paced(items) == ElementList.of(items)
    assert len(in_threads) == 1
    run = Run("r1", "rb", step="a", visit=1, request={}, variables={"text": items[0]}, started="x")
    assert (await run.at_rest()).packed == run.waiting().packed
    assert len(in_threads) == 2
    await replace(run, variables={"text": "x"}).at_rest()
    await ElementList.paced([1, 2])
    assert len(in_threads) == 2


async def test_a_large_call_of_the_public_port_is_read_in_a_thread(in_threads: list[Any]):
    large = b'{"a":"%b"}' % (b"x" * 2 * LARGE)
    assert await read_deliveries(large, {}, signed=True) == [{"a": "x" * 2 * LARGE}]
    assert await read_deliveries(gzip.compress(large), {"Content-Encoding": "gzip"}, signed=True) == [{"a": "x" * 2 * LARGE}]
    assert len(in_threads) == 2
    assert await read_deliveries(b'{"a":1}', {}, signed=True) == [{"a": 1}]
    assert len(in_threads) == 2


async def test_whole_floats_of_a_large_payload_are_written_in_a_thread(in_threads: list[Any]):
    call = await build_http_call(Request("POST", "/Asset", body=[1.0] * LARGE), "https://halo.example/api", "token", None)
    assert call.data == b"[" + b",".join([b"1"] * LARGE) + b"]"
    assert len(in_threads) == 1
    assert (await build_http_call(Request("POST", "/Asset", body=[1.0]), "https://halo.example/api", "token", None)).data == b"[1]"
    assert len(in_threads) == 1


async def test_a_large_form_is_made_in_a_thread(in_threads: list[Any]):
    content = os.urandom(2 * LARGE)
    data, _ = await encode_form({"file": {"data_base64": b64encode(content).decode()}})
    assert content in data
    assert len(in_threads) == 1
    await encode_form({"file": {"data_base64": "eA=="}})
    assert len(in_threads) == 1


async def test_the_loop_takes_turns_while_a_large_body_is_read():
    halves = message(b'{"payload":{"a":"' + rb"\ud800" * (LARGE // 2) + b'"}}')
    _, run = published(halves)
    async with counted_turns() as turns:
        await run()
        assert turns() > 2
