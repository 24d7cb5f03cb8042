"""Makes names of route files from the names in Halo: plain characters, unique, and the same at each translation."""

from __future__ import annotations

import re
from collections.abc import Collection

MAX_LENGTH = 80
OTHER = re.compile(r"[^a-z0-9]+")


def slug(name: str, fallback: str) -> str:
    """Return letters, digits and `-`: `Ask ChatGPT!` becomes `ask-chatgpt`."""
    return OTHER.sub("-", name.lower()).strip("-")[:MAX_LENGTH].strip("-") or fallback


def unique(name: str, taken: Collection[str]) -> str:
    """Return the name, if necessary with a number after it."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def setting(*parts: str) -> str:
    """Return the name of an environment variable: `ACME_CLIENT_SECRET`."""
    made = "_".join(filter(None, (OTHER.sub("_", part.lower()).strip("_").upper() for part in parts)))
    made = made if made[:1].isalpha() else f"HALO_{made}"
    return f"HALO_{made}" if made.startswith("WORKER_") else made
