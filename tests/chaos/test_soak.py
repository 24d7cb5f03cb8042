"""The worker's memory stays where it is over many messages and reconnects, and a leak would be seen."""

from __future__ import annotations

import pytest

from tests.chaos.soak import SMALL, Soaked, soak

LEAK = """
import asyncio, sys
class Finder:  # patches the worker's decoding as soon as it is imported: each message leaves something behind
    def find_spec(self, name, path=None, target=None):
        if name == "worker.flows.writes.publisher":
            import worker.core.bodies as module
            read, kept = module.read_message, []
            module.read_message = lambda *given, **more: (kept.append(bytearray(8192)), read(*given, **more))[1]
        return None
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.long
async def test_memory_is_flat_over_thousands_of_messages_and_some_reconnects(rabbitmq, tmp_path):
    soaked = await soak(rabbitmq, tmp_path, 4000, 6, lambda _: None)
    assert soaked.flat, str(soaked)
    assert soaked.reconnects == 6


@pytest.mark.long
async def test_a_worker_that_keeps_something_of_each_message_is_found_out(rabbitmq, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(LEAK)
    soaked = await soak(rabbitmq, tmp_path, 2000, 0, lambda _: None, variables={"PYTHONPATH": str(tmp_path)})
    assert not soaked.flat, str(soaked)
    assert soaked.slope > 1000


@pytest.mark.parametrize(("leaked", "flat"), [(0, True), (SMALL // 2, True), (2 * SMALL, False)])
def test_growth_over_all_is_what_counts_and_one_sample_may_be_anything(leaked, flat):
    resident = [(number * 1000, 70_000_000 + leaked * number // 100 + (5_000_000 if number % 17 == 0 else 0)) for number in range(101)]
    soaked = Soaked(100_000, 0, 100.0, resident)
    assert soaked.flat is flat
    assert "reconnects: resident" in str(soaked)
