"""`python -m worker` is `halo-worker`."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line. It handles SIGTERM from the first moment: process 1 of a container does not even receive a signal without a handler."""
    signal.signal(signal.SIGTERM, _end)
    from worker.cli.main import main as command_line

    command_line()


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)  # at once, like the signal itself: an exception can be lost during an import


if __name__ == "__main__":
    main()
