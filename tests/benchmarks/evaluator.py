"""What the isolation of expressions costs: the worker's CPU for a message, in processes of their own and in its own, in one run."""

from __future__ import annotations

import asyncio
import statistics
import time

import orjson

from tests.tools.evaluating import InProcess
from worker.config.expressions import compile_condition, compile_template
from worker.core.ports import Evaluator
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits

MESSAGES = 4000
ROUNDS = 5
MOST = 50.0  # microseconds more for a message, with 8 at once
WHEN = compile_condition("status != 'draft' and $exists(customer.halo_id)")
TRANSFORM = compile_template(
    {
        "payload": {
            "inventory_number": "{{ $uppercase(serial) }}",
            "client_id": "{{ customer.halo_id }}",
            "notes": "{{ notes }}",
            "key_field": "{{ $substringBefore(name, ' ') & '-' & serial }}",
            "users": "{{ $join(tags, ', ') }}",
            "warranty": "{{ $exists(warranty) ? warranty.until : null }}",
        }
    }
)
BODY = {
    "serial": "sn-4711",
    "name": "Laptop 14",
    "status": "active",
    "customer": {"halo_id": 12, "name": "Acme"},
    "notes": "n" * 1000,
    "tags": ["a", "b", "c"],
    "warranty": {"until": "2027-01-01"},
}


async def message(evaluator: Evaluator, body: bytes) -> bytes:
    document = orjson.loads(body)
    assert await WHEN.holds(document, {}, evaluator)
    return orjson.dumps(await TRANSFORM.evaluate(document, {}, evaluator))


async def cpu(evaluator: Evaluator, at_once: int) -> float:
    """Microseconds of this process for a message."""
    body = orjson.dumps(BODY)

    async def handle(count: int) -> None:
        for _ in range(count):
            await message(evaluator, body)

    began = time.process_time()
    await asyncio.gather(*(handle(MESSAGES // at_once) for _ in range(at_once)))
    return (time.process_time() - began) / MESSAGES * 1e6


async def measured() -> bool:
    good = True
    async with open_evaluator(Limits()) as isolated:
        assert await message(isolated, orjson.dumps(BODY)) == await message(InProcess(), orjson.dumps(BODY))
        for at_once in (1, 8):
            pairs = [(await cpu(isolated, at_once), await cpu(InProcess(), at_once)) for _ in range(ROUNDS)]
            theirs, ours = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
            more = statistics.median(isolated_cpu - own for isolated_cpu, own in pairs)
            good &= at_once == 1 or more <= MOST
            limit = f" (at most {MOST:.0f})" if at_once > 1 else ""
            print(
                f"expressions, {at_once} at once: {theirs:.1f} us isolated, {ours:.1f} us in process = {theirs / ours:.1f}; {more:.1f} us more{limit}",
                flush=True,
            )
    return good


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(measured()) else 1)
