"""What aiormq raises is told as errors of our own, also what it raises without any name."""

from __future__ import annotations

import asyncio

import pytest
from aiormq.base import FutureStore
from aiormq.connection import FrameReceiver
from aiormq.exceptions import AMQPConnectionError, ChannelClosed, ChannelInvalidStateError, ConnectionClosed

from tests.tools.waiting import SOON
from worker.broker.rabbitmq.failures import explain, publishing, translate_errors
from worker.core.errors import ChannelLost


class Broken:
    """A socket that ends as it is told."""

    def __init__(self, end: Exception) -> None:
        self.end = end

    def at_eof(self) -> bool:
        return False

    async def readexactly(self, _: int) -> bytes:
        raise self.end


async def waiting_when_all_is_rejected(reason: Exception | None) -> None:
    """As somebody who waits for a confirm when the connection ends."""
    store = FutureStore(loop=asyncio.get_running_loop())
    confirm = store.create_future()
    await store.reject_all(reason)
    await confirm


@pytest.mark.parametrize("reason", [None, ConnectionClosed(320, "forced"), ChannelClosed(404, "gone"), ConnectionResetError("reset")])
async def test_whoever_waits_when_a_connection_ends_learns_that_it_is_lost_with_a_reason_or_without(reason):
    with (
        pytest.raises(ChannelLost, match=r"the channel was lost while publishing to queue 'assets'; the message may be stored: ."),
        publishing("", "assets", 2),
    ):
        await waiting_when_all_is_rejected(reason)
    with pytest.raises(ChannelLost, match=r"no channel can be opened: ."), translate_errors("no channel can be opened"):
        await waiting_when_all_is_rejected(reason)


async def test_a_lost_connection_is_told_in_words_and_not_as_an_exception_of_python():
    for end, told in (
        (ConnectionResetError(104, "Connection reset by peer"), "the connection broke (Connection reset by peer)"),
        (OSError(113, "No route to host"), "the connection broke (No route to host)"),
        (asyncio.IncompleteReadError(b"", 1), "the broker, or a proxy before it, closed the connection without a reason"),
    ):
        reader = FrameReceiver(Broken(end))
        with pytest.raises(AMQPConnectionError) as lost:
            await reader.get_frame()
        assert explain(lost.value) == told
        assert explain(end) == told


@pytest.mark.parametrize("mistake", [TypeError("ours"), ExceptionGroup("ours", [ValueError()])])
async def test_a_mistake_of_our_own_stays_what_it_is(mistake):
    with pytest.raises(type(mistake), match="ours"), translate_errors("no channel can be opened"):
        raise mistake


@pytest.mark.parametrize("answer", ["yes", ChannelClosed(404, "gone")])
async def test_whoever_is_cancelled_at_the_moment_when_the_answer_comes_stops_all_the_same(answer):
    """The library waits by `asyncio.wait_for`, which forgets such a cancellation before Python 3.12."""
    coming: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    went_on: list[object] = []

    async def asking() -> None:
        try:
            with translate_errors("nothing can be consumed"):
                went_on.append(await asyncio.wait_for(coming, SOON) and None)
        except ChannelLost as lost:
            went_on.append(lost)
        went_on.append("after the answer")

    task = asyncio.create_task(asking())
    await asyncio.sleep(0)
    coming.set_result(answer) if isinstance(answer, str) else coming.set_exception(answer)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "after the answer" not in went_on


async def test_a_step_of_the_cleaning_up_of_a_task_that_is_cancelled_goes_through():
    done: list[str] = []

    async def asking() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with translate_errors("nothing can be unlocked"):
                await asyncio.sleep(0)
            done.append("unlocked")

    task = asyncio.create_task(asking())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["unlocked"]


def test_a_closed_channel_is_told_without_the_object_of_the_library():
    assert explain(ChannelInvalidStateError("<Channel: '2' at 0x7f8c> closed")) == "the channel is closed"
