"""One page, whatever shape Halo gives it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.tools.every import every
from tests.unit.changes.test_records import JSON
from worker.catalogue.operation import Listing
from worker.changes.pages import Page, PageFailed, PageReader, rows_of
from worker.core.exchange import Exchange, Request, RequestResult

ROW = {"id": 1}


@every(
    ("body", "rows", "count"),
    [
        ([ROW], [ROW], None),
        ([], [], None),
        ([ROW, None, 3], [ROW], None),
        ({"record_count": 5, "tickets": [ROW]}, [ROW], 5),
        ({"tickets": [ROW]}, [ROW], None),
        ({"results": [ROW]}, [ROW], None),
        ({"record_count": 1, "faults": [ROW]}, [ROW], 1),
        ({"record_count": 0}, [], 0),
        ({"record_count": 3}, [], 3),
        ({"record_count": True, "tickets": [ROW]}, [ROW], None),
        ({"record_count": "5", "tickets": [ROW]}, [ROW], None),
        ({"record_count": -1, "tickets": [ROW]}, [ROW], None),
        ({"record_count": 2, "columns": [], "faults": [ROW]}, [ROW], 2),
    ],
)
def test_rows_and_count_are_found_in_every_shape(body: Any, rows: list[Any], count: int | None):
    assert rows_of(body, Listing("tickets")) == (rows, count)


@pytest.mark.parametrize("body", [None, "x", 3, {}, {"id": 1}, {"tickets": None}, {"record_count": 2, "a": [ROW], "b": [ROW]}])
def test_what_is_no_list_is_said_to_be_none(body: Any):
    assert rows_of(body, Listing("tickets")) is None


@given(JSON)
def test_no_answer_makes_reading_a_page_fail(body: Any):
    found = rows_of(body, Listing("tickets"))
    assert found is None or all(isinstance(row, dict) for row in found[0])


class Answering:
    """A Halo with one answer."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    async def send(self, request: Request, **_: Any) -> Exchange:
        return self.exchange


async def page_of(exchange: Exchange, listing: Listing | None) -> Page | PageFailed:
    return await PageReader(Answering(exchange), Request("GET", "/Tickets"), listing, lambda *_: None).read(1)  # type: ignore[arg-type]


async def test_an_answer_that_is_no_list_is_a_failed_page_that_says_so():
    page = await page_of(Exchange(RequestResult.DONE, 200, body={"id": 1}), Listing("tickets"))
    assert isinstance(page, PageFailed)
    assert page.exchange.result is RequestResult.DONE_UNREAD
    assert "not a list" in page.exchange.reason


async def test_a_record_that_is_gone_is_an_empty_list_and_a_list_that_is_gone_is_a_failure():
    gone = Exchange(RequestResult.REJECTED, 404)
    assert await page_of(gone, None) == Page([], 0, None)
    assert isinstance(await page_of(gone, Listing("tickets")), PageFailed)


async def test_one_record_by_id_is_a_list_of_one():
    assert await page_of(Exchange(RequestResult.DONE, 200, body=ROW), None) == Page([ROW], None, None)
