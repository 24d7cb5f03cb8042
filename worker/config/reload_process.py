"""The process that reads route files. The worker and the process exchange pickles: one question by standard input, one answer by standard output."""

from __future__ import annotations

import os
import pickle
import sys

from worker.config.reload_protocol import ReloadRequest, load_changes

BEHIND = 10  # the `nice` value: the running routes have priority over the new ones


def main() -> None:
    os.nice(BEHIND)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps printed text out of the answer
        asked = pickle.load(sys.stdin.buffer)  # noqa: S301  the worker started this process and wrote it
        if isinstance(asked, ReloadRequest):
            pickle.dump(load_changes(asked), out, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
