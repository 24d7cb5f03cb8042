"""`python -m worker` is `halo-worker`."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line. SIGTERM counts from the first moment: to process 1 of a container one without a handler is not even delivered."""
    signal.signal(signal.SIGTERM, _end)
    from worker.cli.main import main as command_line

    command_line()


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)  # at once, as the signal itself would: an exception can be lost in the midst of an import


if __name__ == "__main__":
    main()
