"""The port for randomness and ids: with a seeded source a worker repeats all its choices."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from uuid import UUID, uuid4


class Entropy(Protocol):
    """A source of randomness."""

    def new_id(self) -> str:
        """A unique id: 32 hexadecimal digits."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number between the two, not fit for secrets."""
        ...

    def secret(self, size: int) -> bytes:
        """Bytes that no one can guess."""
        ...


class SystemEntropy:
    """The operating system's randomness."""

    def new_id(self) -> str:
        return uuid4().hex

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 - spreads load and retries, keeps no secret

    def secret(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class SeededEntropy:
    """Repeats itself for one seed. For tests and simulations: its secrets can be guessed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - see above

    def new_id(self) -> str:
        return UUID(int=self._random.getrandbits(128), version=4).hex

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def secret(self, size: int) -> bytes:
        return self._random.randbytes(size)


_source: ContextVar[Entropy] = ContextVar("entropy", default=SystemEntropy())  # noqa: B039 - it holds no state


@contextmanager
def entropy(source: Entropy) -> Iterator[None]:
    """Use `source` in this block and in the tasks that begin in it."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def new_id() -> str:
    return _source.get().new_id()


def uniform(low: float, high: float) -> float:
    return _source.get().uniform(low, high)


def secret(size: int) -> bytes:
    return _source.get().secret(size)
