"""The progress of an iteration inside a run's message: what travels is position and rest, and what is read back is what was written."""

from __future__ import annotations

import asyncio
import zlib
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.tools.turns import counted_turns
from tests.unit.flows.routes import Arrived, Ledger
from worker.config.automation import Step
from worker.core.compressed_content import compressed_content_memory
from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, encode
from worker.flows.consuming.memory import FREE, MEBIBYTE, Memory, Receipts, with_memory
from worker.flows.running.compression import compress, decompress
from worker.flows.running.elements import CHUNK_ELEMENTS, ElementList
from worker.flows.running.endings import iterating_run, message_to_caller, waiting_caller
from worker.flows.running.iteration import Iteration, RunFailure, lane_items, merge_lanes
from worker.flows.running.run_message import ChildResult, Run, run_queue
from worker.metrics import Metrics

VALUES = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
LISTS = st.lists(VALUES, max_size=3 * CHUNK_ELEMENTS)


@given(LISTS, st.integers(0, 3 * CHUNK_ELEMENTS))
def test_every_element_is_found_also_when_the_part_before_it_is_gone(items, done):
    elements = ElementList.of(items).since(done)
    assert [elements.at(position) for position in range(done, len(items))] == items[done:]


async def test_a_long_list_lets_other_work_go_on_while_it_is_packed():
    items = list(range(CHUNK_ELEMENTS * 100))
    async with counted_turns() as turns:
        assert await ElementList.paced(items) == ElementList.of(items)
        assert turns() > 1
    [first, second] = await lane_items(items, 2)
    assert (first, second) == (ElementList.of(items[::2]), ElementList.of(items[1::2]))


@pytest.mark.parametrize("position", [-1, 2, CHUNK_ELEMENTS, 10**9])
def test_an_element_that_is_not_there_is_refused(position):
    with pytest.raises(Undecodable):
        ElementList.of([1, 2]).at(position)


@given(LISTS, st.integers(1, 7))
def test_lanes_have_each_element_once_and_results_come_together_in_the_order_of_the_list(items, lanes):
    lanes = max(1, min(lanes, len(items)))
    parts = {}
    for lane, mine in enumerate(asyncio.run(lane_items(items, lanes))):
        iteration = Iteration(mine, lane=lane, lanes=lanes, origin="r", results={"All": []})
        while not iteration.over:
            iteration = iteration.advanced({"All": iteration.element()}, RunFailure("failed", "no") if iteration.element() is None else None)
        parts[lane] = {"count": mine.count, "results": iteration.results, "failures": iteration.failures}
    together = merge_lanes(parts, Iteration(ElementList(), results={"All": []}))
    assert together.results["All"] == items
    assert [failure["index"] for failure in together.failures] == [index for index, item in enumerate(items) if item is None]
    assert together.over


def test_the_message_of_an_element_does_not_grow_from_element_to_element():
    run = Run("r", "rb", step="each", request={"items": ["x" * 100] * 1000}, variables={"A": "y" * 10_000})
    iteration = Iteration(ElementList.of(["x" * 100] * 1000), results={}, failures=())
    sizes = []
    while not iteration.over:
        at = replace(run, each=iteration)
        element = Run("r", "rb", step="book", variables={"Item": iteration.element()}, callers=(waiting_caller(at, Step("each")),))
        sizes.append(len(element.message().body))
        iteration = iteration.advanced({})
    assert max(sizes) <= sizes[0] + 10


def test_an_element_keeps_apart_what_it_sets_and_removes():
    above = replace(Run("r", "rb", step="each", variables={"A": "a", "B": [1], "C": 1}, plain=("A",), request={"q": 1}), each=Iteration(ElementList.of([7])))
    element = Run("r", "rb", step="book", variables={"Item": 7}, plain=("Item",), callers=(waiting_caller(above, Step("each")),))
    values = element.values()
    assert values.variables == {"A": "a", "B": [1], "C": 1, "Item": 7}
    assert values.plain == {"A", "Item"}
    assert values.request == {"q": 1}
    changed = replace(values, variables={"A": "z", "B": values.variables["B"], "Item": 8}, plain=frozenset())
    following = Run.read(element.next("more", changed).message().body)
    assert following.variables == {"A": "z", "Item": 8}
    assert following.removed == ("C",)
    assert following.values().variables == {"A": "z", "B": [1], "Item": 8}
    back = Run.read(message_to_caller(following, ChildResult(replace(following, callers=()))).message.body)
    assert back.values().variables == {"A": "a", "B": [1], "C": 1}
    assert (back.step, back.visit) == ("each", following.visit + 1)


def test_a_run_comes_back_as_it_went_out_with_everything_that_it_carries():
    inner = replace(
        Run("r.1.0", "rb", step="inner", visit=4, variables={"X": 2**70}),
        each=Iteration(ElementList.of([1, 2]), 1, 0, 2, "r", 1, {"F": [None]}, [{"index": 0}]),
    )
    child = Run(
        "c", "child", step="ask", depth=1, callers=(waiting_caller(inner, Step("inner")), waiting_caller(Run("r.1.0", "rb", step="more"), Step("more")))
    )
    assert Run.read(child.message().body) == child
    assert child.root == "r"
    assert iterating_run(inner).id == "r"


@pytest.mark.parametrize(
    "text",
    ["", "no base64!", b64encode(b"no zlib").decode(), compress([1])[:-8], b64encode(zlib.compress(b"[" + b" " * (MAX_BYTES + 1) + b"]")).decode()],
    ids=["empty", "base64", "zlib", "cut", "bomb"],
)
def test_what_cannot_be_unpacked_is_refused(text):
    with pytest.raises(Undecodable):
        decompress(text)


async def test_what_a_small_message_of_a_run_carries_packed_waits_for_the_memory_that_it_takes_unpacked():
    request = {"items": [1, 2], "pad": [[] for _ in range(400_000)]}
    run = Run("r", "rb", step="each", request=request, each=Iteration(ElementList.of([1, 2])))
    element = Run("r", "rb", step="book", variables={"Item": 1}, callers=(waiting_caller(run, Step("each")),))
    assert len(element.message().body) < FREE
    then = Run.read(element.message().body)
    memory, at_once, most = Memory(Receipts(Ledger()), Metrics(), in_flight=64 * MEBIBYTE), 0, 0

    async def step():
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(50):
            await asyncio.sleep(0)
        at_once -= 1

    for each in (element, then):
        delivery = Arrived(each.message(), queue=run_queue("rb"))
        assert compressed_content_memory(delivery) > 40_000_000
        assert compressed_content_memory(replace(delivery, queue="erp.assets")) == 0, "a sender's own member of this name says nothing"
    await asyncio.gather(*(with_memory(memory, delivery, step) for _ in range(8)))
    assert most == 1


def test_an_element_that_is_large_counts_with_the_list_that_it_is_in():
    run = Run("r", "rb", step="each", each=Iteration(ElementList.of([1, [[] for _ in range(400_000)]])))
    assert compressed_content_memory(Arrived(run.message(), queue=run_queue("rb"))) > 40_000_000
    small = Run("r", "rb", step="each", request={"a": "b"}, each=Iteration(ElementList.of([1, 2])))
    assert compressed_content_memory(Arrived(small.message(), queue=run_queue("rb"))) == 0


def test_what_is_unpacked_is_kept_for_the_next_step_unless_it_takes_much_memory():
    light, heavy = compress(["x" * 1000] * 1000), compress([[] for _ in range(400_000)])
    assert decompress(light) is decompress(light)
    assert decompress(heavy) is not decompress(heavy)
    assert len(heavy) < 10_000


@every(
    "change",
    [
        {"callers": [7]},
        {"callers": {}},
        {"callers": [{"id": "x"}]},
        {"each": []},
        {"each": {"count": -1}},
        {"each": {"chunks": [1], "count": 1, "dropped": 0, "position": 0, "lane": 0, "lanes": 0, "origin": "", "visit": 0, "results": {}, "failures": []}},
        {"packed": "x"},
        {"packed": compress(7)},
        {"returned": []},
        {"returned": {"failure": {"nonsense": 1}}},
        {"removed": [1]},
        {"steps": -1},
        {"depth": "1"},
        {"catches": 1},
        {"weighs": "1"},
        {"weighs": -1},
    ],
)
def test_a_forged_run_is_refused_as_undecodable(change):
    with pytest.raises(Undecodable):
        Run.read(encode({"v": 1} | Run("r", "rb").document() | change))
