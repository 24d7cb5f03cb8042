"""Compiled parts of integrations: logins, pages and customers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from worker.config.variables import VariablePath

ClientAuth = Literal["client_secret_post", "client_secret_basic", "private_key_jwt", "tls_client_auth"]
"""How an application authenticates at a token endpoint; the names of RFC 7591."""


@dataclass(frozen=True, slots=True)
class Login:
    """A method of the integration that returns a token. `token`, `expires_in` (seconds): paths in the answer; `header`, `prefix`: how the token is sent."""

    method: str
    token: VariablePath
    expires_in: VariablePath
    header: str = "Authorization"
    prefix: str = "Bearer "
    source: str = field(default="", repr=False)
    """The route file's text of the method, with its secrets: two logins are equal only if this is equal too."""


@dataclass(frozen=True, slots=True)
class PagingRule:
    """How the worker requests the further pages of a list: exactly one of `link` (the header `Link`), `next`, `page` and `cursor`.

    `next`: the path of the next page's address in an answer; `page`: the query parameter that counts from `first`; `cursor`: the query parameter that takes the
    value at `value` of an answer. `items`: the list in each answer; `most`: maximum pages of one call.
    """

    items: VariablePath
    most: int = 100
    link: bool = False
    next: VariablePath | None = None
    page: str = ""
    first: int = 1
    cursor: str = ""
    value: VariablePath | None = None
