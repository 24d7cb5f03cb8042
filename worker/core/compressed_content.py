"""The compressed content of a run's message. The message itself states how much memory the decompressed content takes."""

from __future__ import annotations

import re
from typing import Final

from worker.core.json_codec import MAX_BYTES, MAX_VALUES, estimate_memory
from worker.core.message import Delivery
from worker.core.topology import RUNS

STATED_WEIGHT: Final = re.compile(rb'"weighs":(\d{1,12})')
"""The member beside each compressed text; a run that an older worker wrote has none."""
MAX_WEIGHT: Final = estimate_memory(MAX_BYTES, MAX_VALUES)
LIGHT: Final = 1024 * 1024  # bytes: about the memory of a small body's values, and a small body does not wait for memory either


def compressed_content_memory(delivery: Delivery) -> int:
    """Bytes of memory for the compressed content of a run's message; 0 for at most `LIGHT` bytes, and for a message of any other queue."""
    body = delivery.message.body
    if not delivery.queue.startswith(RUNS) or b'"weighs"' not in body:
        return 0
    said = min(MAX_WEIGHT, sum(map(int, STATED_WEIGHT.findall(body))))
    return said if said > LIGHT else 0
