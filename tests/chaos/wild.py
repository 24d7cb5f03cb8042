"""Messages at random from a seed: headers of all types of AMQP, every name of ours among them, and bodies of every kind."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pamqp.encode

from worker.core.header_fields import DEATH, MAC, ORDER, SENDER, STATE

SPY = "spy"
"""A queue that no exchange leads to: what comes into it was published with rights that the sender does not have."""
OURS = [each.header for each in STATE + ORDER + DEATH] + [MAC, SENDER, "halo-order-marker", "halo-anything", "dead-anything", "original-anything"]
BROKERS = ["x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset", "x-first-death-queue", "x-last-death-reason", "x-opt-anything", "x-delay"]
TARGETS = [
    SPY,
    "plain",
    "plain.dead",
    "lanes.order",
    "halo.retry.1s",
    "halo.retry.due",
    "halo.claims",
    "halo.state.tickets",
    "halo.run.rb",
    "halo.echoes",
    "halo.keys",
    "halo.unrouted",
]
ROUTES = ("plain", "once", "lanes", "raw", "gone", "foreign", "go")
DEEPEST = 3
HOSTILE = 0.002  # one of so many bodies is made to cost the expressions of a route much


@dataclass(frozen=True)
class Raw:
    """A value of a type of AMQP that the library does not write."""

    kind: bytes
    payload: bytes


@contextmanager
def every_type() -> Iterator[None]:
    """Lets the library write `Raw` values."""
    original = pamqp.encode.encode_table_value

    def encode(value: Any) -> bytes:
        return value.kind + value.payload if isinstance(value, Raw) else original(value)

    pamqp.encode.encode_table_value = encode
    try:
        yield
    finally:
        pamqp.encode.encode_table_value = original


@dataclass(frozen=True)
class Wild:
    """One message, for one route."""

    route: str
    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


class Wilderness:
    """The same seed, the same messages."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def message(self, route: str | None = None) -> Wild:
        dice = self._dice
        route = route or dice.choice(ROUTES)
        return Wild(route, self.body(route), self.headers(), self.properties())

    def properties(self) -> dict[str, Any]:
        dice, made = self._dice, {}
        made["message_id"] = dice.choice(["", "1", "2", "3", self.text(), f"id-{dice.getrandbits(64)}"])[:60]
        if dice.random() < 0.3:
            made["correlation_id"] = self.text()[:60]
        if dice.random() < 0.1:
            made["reply_to"] = self.text()[:60]
        if dice.random() < 0.2:
            made["content_type"] = dice.choice(["", "application/json", "text/plain; charset=latin-1", "\x1b[31m", self.text()[:60]])
        if dice.random() < 0.1:
            made["message_type"] = self.text()[:60]
        if dice.random() < 0.1:
            made["timestamp"] = datetime.fromtimestamp(dice.randrange(0, 2**32), UTC)
        if dice.random() < 0.1:
            made["priority"] = dice.randrange(0, 256)
        return made

    def headers(self) -> dict[str, Any]:
        dice, made = self._dice, {}
        for _ in range(dice.choice([0, 1, 3, 8, 20])):
            made[dice.choice(OURS + BROKERS) if dice.random() < 0.7 else self.text()[:40] or "h"] = self.likely() if dice.random() < 0.5 else self.value()
        for name in ("CC", "BCC"):
            if dice.random() < 0.5:
                made[name] = [*dice.sample(TARGETS, dice.randrange(0, 5)), SPY]
        if dice.random() < 0.02:
            made |= {f"h{number}": "x" * 1000 for number in range(dice.choice([60, 110, 118, 124]))}
        return made

    def likely(self) -> Any:
        """What we write ourselves under one of these names."""
        dice = self._dice
        death = {
            "queue": dice.choice(TARGETS),
            "reason": dice.choice(["delivery_limit", "expired", "rejected"]),
            "count": 1,
            "exchange": "",
            "routing-keys": ["plain"],
        }
        return dice.choice(
            [True, False, 0, 1, 7, 19, 99, 2**31, 2**62, "", "rejected", "in_doubt", "erp", "asset.new", "0" * 32, "m1", [death], "2026-03-01T12:00:00+00:00"]
        )

    def value(self, depth: int = 0) -> Any:
        """Any value that RabbitMQ lets through: a float that is not finite costs the sender its connection."""
        dice = self._dice
        raw = dice.randbytes(dice.randrange(0, 30))
        moment = struct.pack(">Q", dice.choice([0, 1, 2**32, 2**40, 2**62, 2**64 - 1]))
        small = [(b"b", b"\x80"), (b"s", b"\x80\x00"), (b"l", b"\x80" + bytes(7)), (b"D", b"\xff\x80\x00\x00\x00"), (b"V", b"")]
        kinds: list[Callable[[], Any]] = [
            lambda: dice.choice([True, False, None]),
            lambda: dice.choice([0, -1, 1, 127, 2**15, -(2**31), 2**31, 2**53 + 1, -(2**63), 2**63 - 1]),
            lambda: Decimal(dice.randrange(-(10**6), 10**6)).scaleb(-dice.randrange(0, 9)),
            lambda: Raw(b"d", struct.pack(">d", dice.choice([0.1, -1e308, 5e-324]))),
            lambda: Raw(b"f", struct.pack(">f", 0.5)),
            lambda: Raw(b"T", moment),
            lambda: Raw(*dice.choice(small)),
            lambda: Raw(dice.choice([b"S", b"x"]), struct.pack(">I", len(raw)) + raw),
            self.text,
            lambda: [self.value(depth + 1) for _ in range(dice.randrange(0, 4))],
            lambda: {self.text()[:20] or "k": self.value(depth + 1) for _ in range(dice.randrange(0, 4))},
        ]
        return dice.choice(kinds[:-2] if depth > DEEPEST else kinds)()

    def text(self) -> str:
        dice = self._dice
        return dice.choice([
            "", "a", "x" * 300, "\x1b[2J\x07", "\u202e", "naïve", "\U0001f600", "{{ x }}", "<<Name>>", "' or 1=1", "../../etc", "\x00", "\r\nX: y", "halo.claims",
            "".join(chr(dice.randrange(32, 0x3000)) for _ in range(dice.randrange(1, 40))),
        ])  # fmt: skip

    def body(self, route: str) -> bytes:
        dice = self._dice
        if dice.random() < HOSTILE:
            return orjson.dumps({"id": 1, "name": "x", "tags": [f"t{number}" for number in range(60_000)]})
        kind = dice.randrange(20)
        if kind < 11:
            return orjson.dumps(self.fitting(route))
        return dice.choice([
            b"", b"null", b"[]", b"{}", b"{", b"nul", b"\xef\xbb\xbf{}", b"\xff\xfe", b'"\\ud800"', b"1e999", b"-0", b"[1e400]", b'{"id": 123456789012345678901234567890}',
            b"[" * 100 + b"]" * 100, b"[" * 5000, b'{"a":' * 60 + b"1" + b"}" * 60, b"{}," * 3000, b"[" + b"{}," * 30_000 + b"{}]", dice.randbytes(dice.randrange(1, 300)),
            orjson.dumps(self.fitting(dice.choice(ROUTES))), b'{"payload": [' + b"{}," * 50 + b"{}]}", orjson.dumps({"payload": {"id": 5, "x": self.text()}}), b"x" * 200_000,
        ])  # fmt: skip

    def fitting(self, route: str) -> Any:
        """Something like what the route is for; ids of records that are there, so that the simulated Halo does not grow."""
        dice = self._dice
        record = {"id": dice.randrange(1, 50), "inventory_number": self.text()[:30]}
        match route:
            case "raw":
                return {"payload": dice.choice([record, [record, record], {"id": "x"}]), "query": dice.choice([{}, {"returnall": True}, {"nonsense": 1}])}
            case "gone":
                return {"path": {"id": dice.choice([10**6, "x", -1, {"a": 1}])}}
            case "go":
                return {"name": self.text(), "number": dice.choice([1, 2.5, None, "7", 2**60])}
            case _:
                return {"id": dice.choice([1, 2, 3, "4", 5.0, None]), "name": self.text(), "tags": [self.text() for _ in range(dice.randrange(0, 5))]}
