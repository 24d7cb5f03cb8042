"""Read the raw body of a call within limits of size and time, and split it into deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from worker.core.bodies import compression_of, decompressed, is_utf8, read_json
from worker.core.errors import Oversized, Undecodable
from worker.threads import in_thread_if_large

BODY_LIMIT = 1024 * 1024
BATCH_LIMIT = 1000
BODY_SECONDS = 10.0
GRACE_SECONDS = 3.0
MIN_BYTES_PER_SECOND = 150_000  # bytes per second: a body of the largest size arrives within 10 seconds
RETRY_AFTER = "5"
CONTINUE = "100-continue"


class HttpRefusal(Exception):
    """Answer the call with this status and sentence. `close`: close its connection afterwards."""

    def __init__(self, status: int, sentence: str, *, close: bool = False, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.close = close
        self.headers = headers


class BodyReader:
    """Reads the body of one call within `BODY_SECONDS`. `paced`: after `GRACE_SECONDS` it must arrive at `MIN_BYTES_PER_SECOND`."""

    def __init__(self, request: web.Request, *, paced: bool) -> None:
        self._request = request
        self._paced = paced
        self._limit: asyncio.Timeout | None = None
        self._evicted = False

    def evict(self) -> None:
        """End `read` now, to make room for another call."""
        self._evicted = True
        self._move_deadline(0.0)

    async def read(self) -> bytes:
        """Return the body. Raises `HttpRefusal` if it is too large, too slow, cut off or evicted."""
        if (self._request.content_length or 0) > BODY_LIMIT:
            raise too_large()
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(started + self._seconds(0)) as self._limit:
                return await self._chunks(started)
        except TimeoutError:
            if self._evicted:
                raise HttpRefusal(503, "too many calls at once; send it again later", close=True, Retry_After=RETRY_AFTER) from None
            raise HttpRefusal(408, f"the body did not come in time: one of {BODY_LIMIT:,} bytes has {BODY_SECONDS:g} seconds", close=True) from None
        except (web.RequestPayloadError, ConnectionError):
            raise HttpRefusal(400, "the body was cut", close=True) from None
        finally:
            self._limit = None

    async def _chunks(self, started: float) -> bytes:
        if self._request.headers.get("Expect", "").lower() == CONTINUE:
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0
        body = bytearray()
        while chunk := await self._request.content.readany():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise too_large()
            self._move_deadline(started + self._seconds(len(body)))
        return bytes(body)

    def _seconds(self, size: int) -> float:
        """Return the seconds that the body may take after `size` bytes have arrived."""
        return min(BODY_SECONDS, GRACE_SECONDS + size / MIN_BYTES_PER_SECOND) if self._paced else BODY_SECONDS

    def _move_deadline(self, when: float) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0 if self._evicted else when)


def too_large() -> HttpRefusal:
    return HttpRefusal(413, f"the body is larger than {BODY_LIMIT:,} bytes", close=True)


async def on_expect(request: web.Request) -> None:
    """Leave `Expect: 100-continue` unanswered until the headers are checked."""
    if request.headers.get("Expect", "").lower() != CONTINUE:
        raise web.HTTPExpectationFailed


async def read_deliveries(body: bytes, headers: Mapping[str, str], *, signed: bool) -> list[dict[str, Any]]:
    """Return `deliveries_of`; read a body in a thread if it is large, or may be after decompressing."""
    size = BODY_LIMIT if headers.get("Content-Encoding") else len(body)
    return await in_thread_if_large(size, partial(deliveries_of, body, headers, signed=signed))


def deliveries_of(body: bytes, headers: Mapping[str, str], *, signed: bool) -> list[dict[str, Any]]:
    """Return the deliveries: one object, or an array of objects. Raises `HttpRefusal` with the reason.

    `signed`: the signature covers only the bytes. Repeated under another charset they would be another delivery, so UTF-8 is read as UTF-8.
    """
    content_type, encoding = headers.get("Content-Type", ""), headers.get("Content-Encoding", "")
    try:
        if signed and is_utf8(decompressed(body, compression_of(encoding), BODY_LIMIT)):
            content_type, encoding = "", compression_of(encoding)
        value = read_json(body, content_type, encoding, BODY_LIMIT)
    except Oversized as error:
        raise HttpRefusal(413, str(error)) from None
    except Undecodable as error:
        raise HttpRefusal(400, str(error)) from None
    deliveries = value if isinstance(value, list) else [value]
    if not deliveries or not all(isinstance(delivery, dict) for delivery in deliveries):
        raise HttpRefusal(400, "the body must be a JSON object or an array of objects")
    if len(deliveries) > BATCH_LIMIT:
        raise HttpRefusal(413, f"the array has {len(deliveries):,} objects; at most {BATCH_LIMIT:,} are taken at once")
    return deliveries
