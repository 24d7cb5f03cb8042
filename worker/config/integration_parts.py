"""Compiled parts of integrations: logins, pages and customers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from worker.config.variables import VariablePath

ClientAuth = Literal["client_secret_post", "client_secret_basic", "private_key_jwt", "tls_client_auth"]
"""How an application proves itself to a token endpoint; the names of RFC 7591."""


@dataclass(frozen=True, slots=True)
class Login:
    """A method of the integration that gives a token. `token`, `expires_in` (seconds): where its answer holds them; `header`, `prefix`: how the token is sent."""

    method: str
    token: VariablePath
    expires_in: VariablePath
    header: str = "Authorization"
    prefix: str = "Bearer "
    source: str = field(default="", repr=False)
    """What the route file says of the method, with its secrets: two logins are one where this is the same too."""


@dataclass(frozen=True, slots=True)
class Pages:
    """How the further pages of a list are asked for: exactly one of `link` (the header `Link`), `next`, `page` and `cursor`.

    `next`: where an answer holds the address of the next page; `page`: the query parameter that counts from `first`; `cursor`: the query parameter that takes what
    an answer holds at `value`. `items`: the list in each answer; `most`: pages of one call.
    """

    items: VariablePath
    most: int = 100
    link: bool = False
    next: VariablePath | None = None
    page: str = ""
    first: int = 1
    cursor: str = ""
    value: VariablePath | None = None
