"""`python -m docs.generator` writes the reference pages; with `--check` it names the pages that differ and exits with 1.

Both name the log events that have no sentence in `log_events.toml`, and the sentences there that have no event.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generator.log_events import without_meaning
from docs.generator.pages import stale, write

REFERENCE = Path(__file__).parents[1] / "reference"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m docs.generator [--check]\n")
        return 2
    missing, left_over = without_meaning()
    sys.stderr.writelines(f"docs/generator/log_events.toml: no sentence for {event}\n" for event in sorted(missing))
    sys.stderr.writelines(f"docs/generator/log_events.toml: no code logs {event}\n" for event in sorted(left_over))
    if not arguments:
        sys.stdout.writelines(f"{path}: written\n" for path in write(REFERENCE))
        return 0
    old = stale(REFERENCE)
    sys.stderr.writelines(f"{path}: differs from the code; run `make reference`\n" for path in old)
    return 1 if old or missing or left_over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
