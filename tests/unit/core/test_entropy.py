"""Chance comes from one port, which can be seeded."""

from __future__ import annotations

import asyncio

from worker.core.entropy import SeededEntropy, entropy, new_id, secret, uniform


def choices() -> tuple[str, float, bytes]:
    return new_id(), uniform(0.0, 5.0), secret(8)


def test_the_same_seed_makes_the_same_choices_and_another_seed_others():
    def seeded(seed: int) -> tuple[str, float, bytes]:
        with entropy(SeededEntropy(seed)):
            return choices()

    assert seeded(7) == seeded(7)
    assert all(one != other for one, other in zip(seeded(7), seeded(8), strict=True))


def test_without_a_seed_no_two_choices_are_the_same():
    assert len({new_id() for _ in range(1000)}) == 1000
    assert secret(32) != secret(32)
    assert 1.0 <= uniform(1.0, 2.0) <= 2.0


async def test_a_task_that_begins_under_a_seed_keeps_it():
    with entropy(SeededEntropy(7)):
        expected = new_id()
    with entropy(SeededEntropy(7)):
        task = asyncio.create_task(asyncio.to_thread(new_id))
    assert await task == expected
    assert new_id() != expected
