"""Finds what built pages load from other hosts: `python -m docs.generator.site build/site` names each and exits with 1."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "audio": "src", "video": "src", "embed": "src", "object": "data"}
OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*|@import\s+)['\"]?((?:[a-z]+:)?//[^'\")\s]+)", re.IGNORECASE)
NOT_LOADED = frozenset(("canonical", "alternate", "next", "prev", "author", "license"))


class Loads(HTMLParser):
    """The addresses that a page loads: not those that its links only lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if not (tag == "link" and given.get("rel", "") in NOT_LOADED):
            self.addresses.append(given.get(LOADS.get(tag, ""), ""))
        self.addresses += STYLE.findall(given.get("style", ""))


def loaded_from_outside(path: Path) -> list[str]:
    """The addresses on other hosts that one file of the site loads."""
    text = path.read_text("utf-8")
    if path.suffix == ".css":
        return STYLE.findall(text)
    page = Loads()
    page.feed(text)
    return [address for address in (*page.addresses, *STYLE.findall(text)) if OUTSIDE.match(address)]


def faults(site: Path) -> Iterator[str]:
    pages = sorted(path for path in site.rglob("*") if path.suffix in {".html", ".css"})
    if not pages:
        yield f"{site}: holds no pages"
    for path in pages:
        yield from (f"{path}: loads {address}" for address in loaded_from_outside(path))


def main(site: Path) -> int:
    found = list(faults(site))
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
