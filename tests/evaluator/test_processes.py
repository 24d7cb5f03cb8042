"""The processes of an evaluator: what ends them, what that costs the questions in their hands, and that none is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from tests.evaluator.conftest import LIMITS, PATIENT, opened
from tests.tools.waiting import SOON, until
from worker.core.errors import EvaluatorUnavailable, ExpressionFailed
from worker.core.evaluation import Question
from worker.core.health import Health
from worker.evaluator import process as process_module
from worker.evaluator.evaluators import PART, open_evaluator
from worker.evaluator.frames import FrameKind, frame
from worker.evaluator.limits import Limits
from worker.metrics import Metrics

ENDLESS = "($f := function($n){ $f($n + 1) }; $f(1))"
UNSTOPPABLE = "$distinct($)"
TEXTS = [str(number) for number in range(40_000)]
PANIC = Question(("$parseInteger(s, '1;o')",), {"s": "\U0001f600"}, {})
GREEDY = Question((f"$replace(s, 'a', '{'x' * 2000}')",), {"s": "a" * 200_000}, {})
FINE = Question(("n + 1",), {"n": 1}, {})


def children() -> dict[int, str]:
    """Our own, with their states."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if (int(parent) == os.getpid() and "evaluator" in command(stat.parent)) or (state == "Z" and int(parent) == os.getpid()):
            found[int(name.split()[0])] = state
    return found


def command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_text()
    except OSError:
        return ""


async def eventually(holds, within=SOON):
    async def held():
        return holds()

    await until(held, within)


def count(metric, *labels):
    return metric.labels(*labels)._value.get()


@pytest.mark.parametrize(
    ("limits", "question", "cause", "said"),
    [
        (LIMITS, Question((UNSTOPPABLE,), TEXTS, {}), "time", "it took longer than allowed (D1012)"),
        (PATIENT, GREEDY, "memory", "it took more memory than allowed (128 MiB)"),
        (PATIENT, PANIC, "failed", "the expression engine failed on it (exit code 1)"),
    ],
    ids=["time", "memory", "panic"],
)
async def test_what_ends_a_process_is_told_in_a_sentence_of_its_own_and_counted(limits, question, cause, said):
    async with opened(limits) as evaluator:
        with pytest.raises(ExpressionFailed) as failed:
            await evaluator.answer(question)
        assert str(failed.value) == said
        assert count(evaluator.metrics.expressions_stopped, cause) == 1
        assert count(evaluator.metrics.evaluator_restarts, cause) >= 1
        assert await evaluator.answer(FINE) == [2]


async def test_the_expression_that_ended_the_process_is_named_among_several():
    async with opened(PATIENT) as evaluator:
        with pytest.raises(ExpressionFailed) as failed:
            await evaluator.answer(Question(("s", "$uppercase(s)", *PANIC.expressions, "s & 'x'"), PANIC.context, {}))
        assert failed.value.index == 2


async def test_an_expression_that_the_engine_itself_stops_is_counted_as_well(evaluator):
    with pytest.raises(ExpressionFailed, match="longer than allowed"):
        await evaluator.answer(Question((ENDLESS,), {}, {}))
    assert count(evaluator.metrics.expressions_stopped, "time") == 1


async def test_what_needs_more_than_the_quick_lane_gives_is_answered_on_the_slow_one():
    busy = Question(("$sum($map([1..n], function($i){ $i * $i }))",), {"n": 90_000}, {})
    async with open_evaluator(Limits()) as evaluator:
        assert await evaluator.answer(busy) == [sum(number * number for number in range(1, 90_001))]
        assert evaluator._slow_from


async def test_those_in_the_same_batch_as_what_ends_the_process_get_their_answers(evaluator):
    await evaluator.answer(FINE)
    fine = [Question(("n + 1",), {"n": number}, {}) for number in range(20)]
    questions = [*fine[:10], PANIC, *fine[10:], GREEDY]
    results = await asyncio.gather(*map(evaluator.answer, questions), return_exceptions=True)
    assert results[:10] + results[11:-1] == [[number + 1] for number in range(20)]
    assert all(isinstance(result, ExpressionFailed) for result in (results[10], results[-1]))


async def test_a_process_that_is_killed_from_outside_costs_nobody_an_answer(evaluator):
    await evaluator.answer(FINE)
    asked = [asyncio.create_task(evaluator.answer(Question(("n + 1",), {"n": number}, {}))) for number in range(50)]
    await asyncio.sleep(0)
    os.kill(evaluator.quick._process.pid, signal.SIGKILL)
    assert await asyncio.gather(*asked) == [[number + 1] for number in range(50)]
    await eventually(lambda: count(evaluator.metrics.evaluator_restarts, "killed") == 1)


async def test_a_question_is_not_asked_for_ever_where_processes_end_for_no_known_reason(evaluator, monkeypatch):
    await evaluator.answer(FINE)
    monkeypatch.setattr("worker.evaluator.question.PendingQuestion.frames", lambda asked, process: [frame(FrameKind.DEFINE, 7, b"no jsonata (")])
    with pytest.raises(EvaluatorUnavailable, match="again and again"):
        await evaluator.answer(FINE)
    monkeypatch.undo()
    assert await evaluator.answer(FINE) == [2]


@pytest.mark.parametrize("number", [0, 77], ids=["no question", "another question"])
async def test_an_answer_to_no_question_in_flight_takes_no_answer_from_the_one_that_is(evaluator, number):
    await evaluator.answer(FINE)
    process = evaluator.quick._process
    if number:
        os.kill(process.pid, signal.SIGSTOP)  # its question stays in flight
    asked = asyncio.create_task(evaluator.answer(FINE))
    if number:
        await eventually(lambda: len(evaluator.quick._in_flight) == 1)
    else:
        await asked
    with pytest.raises(RuntimeError, match="another question"):
        process.data_received(frame(FrameKind.VALUES, number))
    process.disconnect()  # as the event loop does when a protocol raises
    os.kill(process.pid, signal.SIGCONT)
    async with asyncio.timeout(SOON):
        assert await asked == [2]
        assert await evaluator.answer(FINE) == [2]


async def test_a_process_that_stands_still_is_replaced_and_its_question_answered(evaluator, monkeypatch):
    monkeypatch.setattr("worker.evaluator.lane.STUCK_AFTER", 0.5)
    await evaluator.answer(FINE)
    os.kill(evaluator.quick._process.pid, signal.SIGSTOP)
    assert await evaluator.answer(FINE) == [2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_that_ask_the_worker_to_end_leave_its_processes_at_work(evaluator, number):
    await evaluator.answer(FINE)
    os.kill(evaluator.quick._process.pid, number)
    assert await evaluator.answer(FINE) == [2]
    assert not count(evaluator.metrics.evaluator_restarts, "failed")


async def test_none_is_left_when_the_evaluator_is_closed_not_even_dead():
    async with open_evaluator(Limits(seconds=0.1), Metrics(), Health()) as evaluator:
        await asyncio.gather(*map(evaluator.answer, (FINE, PANIC, GREEDY)), return_exceptions=True)
        late = asyncio.create_task(evaluator.answer(Question((UNSTOPPABLE,), TEXTS, {})))
        await asyncio.sleep(0)
        assert children()
    late.cancel()
    assert children() == {}


async def test_its_environment_holds_no_secret(evaluator, monkeypatch):
    monkeypatch.setenv("WORKER_AMQP_URL", "amqp://user:planted@host/")
    async with open_evaluator(Limits()) as other:
        await other.answer(FINE)
        environment = Path(f"/proc/{other.quick._process.pid}/environ").read_bytes()  # noqa: ASYNC240  no disk is behind it
    assert b"planted" not in environment
    assert b"PYTHONPATH" in environment


PARENT = textwrap.dedent("""
    import asyncio, sys
    from worker.core.evaluation import Question
    from worker.evaluator.evaluators import open_evaluator
    from worker.evaluator.limits import Limits

    async def main():
        async with open_evaluator(Limits(seconds=1.0)) as evaluator:
            await evaluator.answer(Question(("1 + 1",), None, {}))
            asyncio.get_running_loop().create_task(evaluator.answer(Question(("$distinct($)",), [str(n) for n in range(200_000)], {})))
            while evaluator.slow._process is None or evaluator.slow._process.progress[0] != 2:
                await asyncio.sleep(0.01)
            print(evaluator.quick._process.pid, evaluator.slow._process.pid, flush=True)
            await asyncio.sleep(600)

    asyncio.run(main())
""")


async def test_they_end_when_the_worker_is_killed_in_the_midst_of_an_endless_evaluation():
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    pids = list(map(int, (await parent.stdout.readline()).split()))
    assert len(pids) == 2
    assert all(map(is_there, pids))
    parent.kill()
    await parent.wait()
    await eventually(lambda: not any(map(is_there, pids)), within=60)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def test_one_that_cannot_be_started_is_no_fault_of_a_question_and_is_told_in_readiness(monkeypatch):
    health = Health()
    monkeypatch.setattr(process_module, "MODULE", "worker.evaluator.nothing")
    async with open_evaluator(Limits(), Metrics(), health) as evaluator:
        with pytest.raises(EvaluatorUnavailable, match="ended before it was ready"):
            await evaluator.answer(FINE)
        assert not health.ready
        assert "ended before it was ready" in health.parts[PART].detail
        monkeypatch.undo()
        monkeypatch.setattr("worker.evaluator.evaluators.RETRY_AFTER", 0.0)
        assert await evaluator.answer(FINE) == [2]
        assert health.ready


async def test_readiness_comes_back_without_a_question_once_a_process_can_be_started(monkeypatch):
    health = Health()
    monkeypatch.setattr("worker.evaluator.evaluators.RESTORED_AFTER", 0.01)
    monkeypatch.setattr(process_module, "MODULE", "worker.evaluator.nothing")
    async with open_evaluator(Limits(), Metrics(), health):
        await eventually(lambda: "ended before it was ready" in health.parts[PART].detail)
        monkeypatch.setattr(process_module, "MODULE", "worker.evaluator.child")
        await eventually(lambda: health.ready)


async def test_a_machine_that_gives_no_process_makes_the_evaluator_unavailable_and_is_not_asked_again_at_once(monkeypatch):
    tried = []

    async def none(*_, **__):
        tried.append("a process")
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("worker.evaluator.evaluators.RETRY_AFTER", 3600.0)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", none)
    async with open_evaluator(Limits()) as evaluator:
        for _ in range(3):
            with pytest.raises(EvaluatorUnavailable, match="cannot be started: Resource temporarily unavailable"):
                await evaluator.answer(FINE)
        assert len(tried) <= 2, "each lane tries once"


async def test_a_question_that_nobody_waits_for_any_more_is_not_asked(evaluator):
    await evaluator.answer(FINE)
    first = asyncio.create_task(evaluator.answer(Question((ENDLESS,), {}, {})))
    second = asyncio.create_task(evaluator.answer(PANIC))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(ExpressionFailed):
        await first
    assert not count(evaluator.metrics.evaluator_restarts, "failed")


async def test_what_the_worker_holds_of_a_process_is_given_back_also_when_nobody_waits_for_its_end():
    process = await process_module.start_process(Limits())
    connection = process._transport
    reaping = asyncio.create_task(process.reap())
    await asyncio.sleep(0)
    reaping.cancel()
    await asyncio.wait([reaping])
    assert reaping.cancelled()
    assert connection.is_closing()
    await process._process.wait()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(process._stderr)
