"""Messages as careless and hostile senders write them, from a seed."""

from __future__ import annotations

import random
from typing import Any

import orjson

TEXTS = (
    "", " ", "0", "007", "12", "3.0", "null", "true", "a b", "a,b", "a/b", "..", "%2e%2e", "?x=1&y=2", "#", "+", "grüße", "雪", "🖨", "\u202e", "\x00", "\x7f", "\n", "<b>x</b>",
    '"quoted"', "{{ serial }}", "${HOME}", "<<Name>>", "2025-12-31", "31/12/2025", "ACME", "x" * 300,
)  # fmt: skip
NUMBERS = (0, 1, -1, 7, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 0.1, 1.0, 3.5, -0.0, 1e21, 1e-7)
NAMES = ("serial", "customer", "id", "tags", "why", "severity", "lines", "path", "query", "payload", "extra")


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if kind < 0.4:
        return (
            rng.choice(TEXTS)
            if rng.random() < 0.8
            else "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(160, 0xD7FF)))) for _ in range(rng.randrange(20)))
        )
    if kind < 0.65:
        return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randrange(10**6)
    if kind < 0.75 or depth > 2:
        return rng.choice((None, True, False))
    if kind < 0.87:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(NAMES): random_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def random_message(rng: random.Random) -> bytes:
    """Mostly an object with members that routes look for; now and then something else, or no JSON."""
    kind = rng.random()
    if kind < 0.04:
        return rng.choice((b"", b"{", b"\xff", b"{'a': 1}", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[1, 2"))
    if kind < 0.1:
        return orjson.dumps(random_value(rng))
    document = {name: random_value(rng) for name in NAMES if rng.random() < 0.5}
    if rng.random() < 0.7:
        document |= {"serial": f"SN-{rng.randrange(100)}", "id": rng.choice((rng.randrange(1, 99), f"A{rng.randrange(9)}", 5.0)), "severity": rng.randrange(6)}
    if rng.random() < 0.5:
        document["payload"] = rng.choice(
            ({"inventory_number": f"SN-{rng.randrange(100)}", "note": random_value(rng)}, [{"id": rng.randrange(1, 30)}, {"name": "x"}], {})
        )
        document = {name: document[name] for name in ("payload",)} | ({"query": {"returnall": rng.choice((True, "a b", None))}} if rng.random() < 0.3 else {})
    return orjson.dumps(document)
