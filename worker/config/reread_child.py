"""The process that reads route files: one question by standard input, one answer by standard output, as pickles between the worker and itself."""

from __future__ import annotations

import os
import pickle
import sys

from worker.config.rereading import Asked, answer

BEHIND = 10  # of `nice`: what runs goes before what will


def main() -> None:
    os.nice(BEHIND)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints does not get into the answer
        asked = pickle.load(sys.stdin.buffer)  # noqa: S301  the worker started this process and wrote it
        if isinstance(asked, Asked):
            pickle.dump(answer(asked), out, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
