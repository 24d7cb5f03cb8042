"""Garbage collection leaves out what stays, and still finds every cycle in the end."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest

from worker.garbage import WHOLE_EVERY, ShortPauses, look_everywhere, shorten_pauses


class Kept:
    """In a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def pauses():
    now = [0.0]
    gc.collect()
    callback = ShortPauses(SimpleNamespace(monotonic=lambda: now[0]))
    gc.callbacks.append(callback)
    try:
        yield now
    finally:
        gc.callbacks.remove(callback)
        gc.freeze()  # as it was: see tests/conftest.py


@pytest.fixture
def thresholds():
    before, callbacks = gc.get_threshold(), list(gc.callbacks)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks[:] = callbacks
        gc.freeze()


@pytest.mark.usefixtures("thresholds")
def test_what_some_messages_in_flight_hold_is_not_looked_at_and_full_collections_stay_as_frequent():
    shorten_pauses()
    young, middle, old = gc.get_threshold()
    assert young > 1500
    assert young * middle * old == 700 * 10 * 10


def test_what_survived_a_full_collection_is_not_looked_at_again(pauses):
    stays = [Kept() for _ in range(1000)]
    gc.collect()
    assert len(gc.get_objects()) < len(stays)


def test_a_cycle_that_never_survived_a_full_collection_is_freed_by_the_next(pauses):
    gone = weakref.ref(Kept())
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("asked", [False, True], ids=["after its time", "when asked"])
def test_a_cycle_that_survived_one_is_freed_once_everything_is_looked_at(pauses, asked):
    kept = Kept()
    gone = weakref.ref(kept)
    gc.collect()
    del kept
    gc.collect()
    assert gone() is not None, "it is left out"
    if asked:
        look_everywhere()
    else:
        pauses[0] = WHOLE_EVERY
    gc.collect()
    assert gone() is None


def test_collections_of_the_younger_generations_leave_everything_as_it_is(pauses):
    frozen = gc.get_freeze_count()
    gc.collect(1)
    assert gc.get_freeze_count() == frozen
