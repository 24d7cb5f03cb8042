"""Reads deliveries as they arrive and reports them. It keeps the bodies that a consumer wants, and drops other bodies frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from aiormq.abc import AbstractChannel as Methods
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import InvalidFrameError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.core.message import OURS, Announced, DroppedBody, Keep, new_digest

OnDelivered = Callable[[DeliveredMessage, DroppedBody | None], None]
"""`DroppedBody`: the body was not kept."""


class Content:
    """Replaces aiormq's reading of deliveries on one channel, which collects every body and starts a task for each delivery.

    The header before a body has its size, so that a body of any size can be skipped with the memory of one frame.
    """

    def __init__(self, methods: Methods) -> None:
        self._methods: Any = methods  # aiormq has no public hook for a body's size before it reads the body
        vars(methods).update(_read_content=self._read, _on_deliver_frame=self._deliver)
        self._loop = asyncio.get_running_loop()
        self._on_delivered: dict[str, OnDelivered] = {}
        self._keeps: dict[str, Keep] = {}
        self._keep_got: Keep = OURS
        self._dropped: dict[int, DroppedBody] = {}

    def consuming(self, tag: str, on_delivered: OnDelivered, keep: Keep) -> None:
        """Set the function for the deliveries of the consumer with this tag, and the bodies that it keeps."""
        self._on_delivered[tag], self._keeps[tag] = on_delivered, keep

    @contextmanager
    def getting(self, keep: Keep) -> Iterator[None]:
        """Set whether to keep the body of the one message that the block gets."""
        self._keep_got, before = keep, self._keep_got
        try:
            yield
        finally:
            self._keep_got = before

    def dropped_body_of(self, delivered: DeliveredMessage) -> DroppedBody | None:
        """The size and digest of a dropped body, None for a kept one. Ask once for each delivery."""
        return self._dropped.pop(delivered.delivery_tag or 0, None)

    async def _deliver(self, frame: Basic.Deliver) -> None:
        header = await self._methods._get_frame()  # noqa: SLF001 - as said
        if not isinstance(header, ContentHeader):
            raise InvalidFrameError(f"{type(header).__name__} came in place of a header")
        delivered = await self._read(frame, header)
        on_delivered = self._on_delivered.get(frame.consumer_tag or "")
        if on_delivered is not None and frame.consumer_tag in self._methods.consumers:  # not cancelled meanwhile
            # later: an error in it would end the reader, which then waits for an answer that only it can read
            self._loop.call_soon(on_delivered, delivered, self.dropped_body_of(delivered))

    async def _read(self, frame: Basic.Deliver | Basic.Return | Basic.GetOk, header: ContentHeader) -> DeliveredMessage:
        size = header.body_size or 0
        if not size or self._is_kept(frame, header, size):
            return DeliveredMessage(frame, header, await self._whole(size), self._methods)
        dropped_body = await self._passed_over(size)
        if not isinstance(frame, Basic.Return):
            self._dropped[frame.delivery_tag or 0] = dropped_body
        return DeliveredMessage(frame, header, b"", self._methods)

    def _is_kept(self, frame: Basic.Deliver | Basic.Return | Basic.GetOk, header: ContentHeader, size: int) -> bool:
        if isinstance(frame, Basic.Return):
            return False  # a message of ours that no queue took: only its id is needed
        keep = self._keeps.get(frame.consumer_tag or "", OURS) if isinstance(frame, Basic.Deliver) else self._keep_got
        return keep(Announced(size, header.properties.message_id or "", bool(frame.redelivered)))

    async def _whole(self, size: int) -> bytes:
        if not size:
            return b""
        first = await self._frame()
        if len(first) >= size:
            return first
        with BytesIO() as body:  # returns its content without a copy
            body.write(first)
            while body.tell() < size:
                body.write(await self._frame())
            return body.getvalue()

    async def _passed_over(self, size: int) -> DroppedBody:
        digest, left = new_digest(), size
        while left > 0:
            part = await self._frame()
            digest.update(part)
            left -= len(part)
        return DroppedBody(size, digest.digest())

    async def _frame(self) -> bytes:
        frame = await self._methods._get_frame()  # noqa: SLF001 - as said
        if not isinstance(frame, ContentBody):
            raise InvalidFrameError(f"{type(frame).__name__} came in the middle of a body")
        return frame.value
