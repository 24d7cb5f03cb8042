"""Requests as Halo receives them."""

from worker.core.exchange import Fate


async def test_a_get_brings_the_decoded_body_and_halos_clock(halo, connect, get):
    client = await connect()
    exchange = await get(client, page_size="100")
    assert (exchange.fate, exchange.status, exchange.body) == (Fate.DONE, 200, {"id": 1})
    assert exchange.date is not None
    assert exchange.duration > 0
