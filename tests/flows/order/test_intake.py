"""The intake moves many messages at once: whenever its worker dies, each message is applied once, and those of a key in their order."""

from __future__ import annotations

from random import Random

import pytest

from tests.flows.order.intake_world import World, in_turns

MESSAGES = 120
LIVES = (20, 1500)  # turns of the event loop
SHORT = (40, 200)


async def apply_all(world: World, keys: int, lives: tuple[int, int] = LIVES) -> dict[int, list[int]]:
    sent = await world.send(MESSAGES, keys)
    for _ in range(400):
        await world.live(world.random.randrange(*lives))
        if await world.depths() == (0, 0):
            return sent
    raise AssertionError(f"messages are left: {await world.depths()}")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("keys", [2, 40])
async def test_every_message_of_a_key_is_applied_once_and_in_order_whenever_workers_die(seed, keys):
    world = World(Random(seed))
    assert await apply_all(world, keys) == world.applied


@pytest.mark.parametrize("seed", range(4))
async def test_every_message_in_turns_is_applied_once_whenever_workers_die(seed):
    world = World(Random(seed))
    world.route = in_turns(world.route)
    sent = await apply_all(world, 5)
    assert {key: sorted(steps) for key, steps in world.applied.items()} == sent


@pytest.mark.parametrize("seed", [0, 7, 13])
@pytest.mark.parametrize("change", [in_turns, lambda route: route])
async def test_a_copy_that_ran_before_its_original_was_acknowledged_is_not_followed_by_another(seed, change):
    """Workers that die while a message in front of those that were moved before waits for its own copy."""
    world = World(Random(seed))
    world.route = change(world.route)
    sent = await apply_all(world, 40, SHORT)
    assert {key: sorted(steps) for key, steps in world.applied.items()} == sent


@pytest.mark.long
@pytest.mark.parametrize("keys", [1, 2, 5, 40])
async def test_many_more_lives(keys):
    for seed in range(100, 130):
        world = World(Random(seed))
        assert await apply_all(world, keys) == world.applied, seed


async def test_copies_of_different_keys_are_under_way_together_and_those_of_one_key_are_not():
    several, one = World(Random(1)), World(Random(1))
    await apply_all(several, 40)
    await apply_all(one, 1)
    assert max(several.most) > 8
    assert max(one.most) == 1
