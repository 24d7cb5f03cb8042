"""Stopping: signals, the period of grace, and the end without one."""

import asyncio
import os
import signal
import sys

import pytest
from structlog.testing import capture_logs

from tests.tools.waiting import SOON, soon
from worker.shutdown import run_until, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event_and_says_so(number):
    with capture_logs() as logs:
        async with stop_on_signals() as stop:
            os.kill(os.getpid(), number)
            await soon(stop.wait())
    assert logs == [{"event": "worker.stopping", "log_level": "info", "signal": number.name}]


async def test_after_the_block_signals_are_handled_as_before():
    before = signal.getsignal(signal.SIGTERM)
    async with stop_on_signals():
        pass
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


async def test_a_second_signal_ends_the_process_at_once_whatever_it_is_doing():
    program = (
        "import asyncio\n"
        "from worker.shutdown import stop_on_signals\n"
        "async def main():\n"
        "    async with stop_on_signals() as stop:\n"
        "        print('up', flush=True)\n"
        "        await stop.wait()\n"
        "        print('stopping', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(SOON):
        assert await process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        while await process.stdout.readline() != b"stopping\n":
            pass
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        assert await process.wait() == 1
    assert b"worker.killed" in rest


async def test_work_that_ends_by_itself_ends_the_run():
    stop = asyncio.Event()

    async def main():
        await stop.wait()

    run = asyncio.create_task(run_until(stop, 60, main))
    await asyncio.sleep(0)
    stop.set()
    assert await run is True


async def test_work_that_does_not_end_is_cancelled_when_the_grace_is_over():
    stop, cancelled = asyncio.Event(), asyncio.Event()
    stop.set()

    async def main():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with capture_logs() as logs:
        assert await run_until(stop, 0.01, main) is False
    assert cancelled.is_set()
    assert logs[0]["event"] == "worker.cut_off"


async def test_without_a_stop_nothing_is_cut_off():
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)

    assert await run_until(asyncio.Event(), 0, main) is True


@pytest.mark.parametrize("error", [TimeoutError("of its own"), ValueError("x")])
async def test_what_the_work_raises_comes_through(error):
    async def main():
        raise error

    with pytest.raises(type(error), match=str(error)):
        await run_until(asyncio.Event(), 1, main)


async def test_a_cancelled_run_cancels_the_work_and_leaves_no_task_behind():
    before = asyncio.all_tasks()
    started = asyncio.Event()

    async def main():
        started.set()
        await asyncio.Event().wait()

    run = asyncio.create_task(run_until(asyncio.Event(), 1, main))
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
