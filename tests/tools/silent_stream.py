"""A node of a cluster that keeps back what its streams hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from worker.core.ports import Broker, Channel


class Silent:
    """An attachment whose first `consumers` hand out nothing, as those of a replica of a stream that has stopped."""

    def __init__(self, broker: Broker, consumers: int = 1) -> None:
        self._broker = broker
        self._silent = iter([True] * consumers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @asynccontextmanager
    async def channel(self, **options: Any) -> AsyncIterator[Channel]:
        async with self._broker.channel(**options) as channel:
            consume, silent = channel.consume, next(self._silent, False)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(channel, "consume", lambda queue, take, **how: consume(queue, (lambda _: None) if silent else take, **how))
                yield channel
