"""Checks that an address with credentials can be split in one way only: no part of a password may pass for a host, a path or a query."""

from __future__ import annotations

import re

FORM = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
NEVER = re.compile(r"[\s\x00-\x1f\x7f]")
ENCODE = """python3 -c 'from urllib.parse import quote; print(quote(input(), safe=""))'"""
NOT_ENCODED = (
    "its user name or password is not percent-encoded: write special characters by their codes, such as %40 for @, %2F for /, %3A for :, %23 for #, %25 for %; "
    f"`{ENCODE}` reads one line and prints it encoded"
)


def is_encoded(text: str) -> bool:
    """Whether all special characters of the credentials are percent-encoded. A text without the form of an address counts as encoded."""
    parts = FORM.fullmatch(text)
    if parts is None:
        return True
    authority, rest = parts["authority"], parts["rest"]
    in_one_way = authority.count("@") <= 1 and "@" not in rest and "#" not in rest
    return in_one_way and BARE_PERCENT.search(text) is None and NEVER.search(text) is None
