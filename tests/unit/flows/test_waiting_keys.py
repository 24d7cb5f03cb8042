"""The keys of messages that wait: equal ones stay equal, and none takes more memory than a short text."""

from __future__ import annotations

import gzip

import orjson
import pytest

from tests.tools.evaluating import InProcess
from tests.tools.headers import opened
from tests.unit.flows.routes import Arrived, Given, Impatient, publisher
from worker.core.message import Message
from worker.flows.ordered.messages import keys_of

LARGEST = 4 * 1024 * 1024
MUCH = 1024 * 1024  # characters


async def keys(value):
    delivery = Arrived(Message(gzip.compress(orjson.dumps({"key": value})), content_encoding="gzip"))
    key = Given(lambda message: message["key"])
    return await keys_of(publisher(order_by=key, fair_by=key), delivery, opened(delivery), InProcess(), Impatient(), LARGEST)


@pytest.mark.parametrize("value", ["k" * MUCH, "k" * MUCH + "\U0001f600", ["k" * MUCH], {"k": "k" * MUCH}])
async def test_a_long_key_out_of_a_small_compressed_body_takes_little_memory_and_is_one_with_its_equals(value):
    long, equal = await keys(value), await keys(value)
    assert long == equal
    assert long.order is not None
    assert max(len(long.order), len(long.customer)) <= 1000
    assert long.order == long.customer


async def test_long_keys_that_differ_at_their_end_are_different():
    assert (await keys("k" * MUCH + "1")).order != (await keys("k" * MUCH + "2")).order


async def test_a_usual_key_is_kept_as_it_is():
    assert (await keys("customer 12")).customer == "customer 12"
