"""Checks the addresses of other APIs in a route file, their hosts and the files of their TLS."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from yarl import URL

from worker.config.config_node import ConfigNode
from worker.config.definition import mistake
from worker.config.hosts import NO_NAME, host_entry, is_allowed, is_host, is_numeric_host, local

TWICE = re.compile(r"https?://https?:", re.IGNORECASE)


def token_address(value: str) -> str:
    """Return the address like `api_address`; it may have a query, as OAuth2 allows."""
    return api_address(value, query=True)


def api_address(value: str, *, query: bool = False) -> str:
    """Return the address without its last slash. It is http or https, without credentials, without fragment, and without query unless `query`."""
    try:
        url = URL(value.strip())
        host, port = url.raw_host, url.port
    except ValueError:
        url, host, port = URL(), None, None
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise mistake("must be an address such as https://api.example.com/v1")
    if TWICE.match(value.strip()):
        raise mistake("begins with a scheme twice: write `https://` once")
    if not is_host(host):
        raise mistake(NO_NAME)
    if url.user is not None or url.password is not None:
        raise mistake("must not hold a user name or password; write credentials under `auth`")
    if (url.query_string and not query) or url.fragment:
        raise mistake(f"must not hold a {'' if query else 'query (`?…`) or '}fragment (`#…`)")
    if is_numeric_host(host):
        raise mistake("has an ambiguous host: write all four numbers of an address, such as 127.0.0.1")
    return str(url) if url.query_string else str(url).rstrip("/")


def host_text(value: str) -> str:
    """One entry of `allow_hosts`."""
    try:
        host_entry(value)
    except ValueError as error:
        raise mistake(str(error)) from None
    return value


ApiAddress = Annotated[str, AfterValidator(api_address), WithJsonSchema({"type": "string", "examples": ["https://api.openai.com/v1"]})]
TokenUrl = Annotated[str, AfterValidator(token_address), WithJsonSchema({"type": "string", "examples": ["https://login.example.com/oauth/token"]})]
Host = Annotated[str, AfterValidator(host_text), WithJsonSchema({"type": "string", "examples": ["intranet.example", "10.0.0.5:8080"]})]


def check_address(address: str, holder: ConfigNode, member: str, hosts: tuple[tuple[str, int | None], ...]) -> None:
    """An internal address in a file needs `allow_hosts`; the caller checks what a name resolves to."""
    url = URL(address)
    host = url.raw_host or ""
    if local(host) and not is_allowed(host, url.port, hosts):
        node = holder.child(member) if member in holder else holder
        node.add_error(f"`{member}` leads to `{host}`, which is not on the public internet: add it to `allow_hosts` if you trust it")
