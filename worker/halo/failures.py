"""Turns errors of aiohttp and the operating system into a sentence that says why no answer came, without credentials, headers or bodies."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import aiohttp
from yarl import URL


class AddressRefused(OSError):
    """A connection that is not allowed. The text is the end of a sentence about the host and says why."""


class Interrupted(aiohttp.ClientError):
    """The connection ended between the start of the request and its answer."""


NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)

SENTENCES: tuple[tuple[type[Exception], Callable[[Any, str], str]], ...] = (  # the first match counts: special errors come before general ones
    (aiohttp.ClientProxyConnectionError, lambda error, _: f"the proxy cannot be reached: {_os_reason(error.os_error)}"),
    (aiohttp.ClientHttpProxyError, lambda error, host: f"the proxy refused the connection to {host} with status {error.status}"),
    (aiohttp.ClientConnectorDNSError, lambda _, host: f"{host} cannot be reached: the name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, lambda error, host: f"the certificate of {host} is not trusted: {_certificate_reason(error)}"),
    (aiohttp.ClientConnectorSSLError, lambda _, host: f"no TLS connection to {host}: is https right for this address?"),
    (aiohttp.ClientConnectorError, lambda error, host: f"{host} cannot be reached: {_os_reason(error.os_error)}"),
    (aiohttp.ConnectionTimeoutError, lambda _, host: f"{host} cannot be reached: no connection in time"),
    (aiohttp.InvalidURL, lambda _, __: "the address is not a valid URL"),
    (TimeoutError, lambda _, host: f"{host} did not answer in time"),
    (Interrupted, lambda _, host: f"{host} closed the connection without an answer"),
    (aiohttp.ClientResponseError, lambda _, host: f"{host} answered something that is not HTTP"),
)


def describe(error: Exception, url: URL) -> str:
    """A sentence that names the host and the cause."""
    host = f"{url.host}:{url.port}"
    for kind, sentence in SENTENCES:
        if isinstance(error, kind):
            return sentence(error, host)
    return f"the connection to {host} failed"


def is_refused(error: Exception) -> bool:
    """Whether the worker's own guard refused the connection."""
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefused)


def _os_reason(error: OSError) -> str:
    if isinstance(error, AddressRefused):
        return str(error)
    return os.strerror(error.errno).lower() if error.errno else "none of its addresses answers"


def _certificate_reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    return str(getattr(error.certificate_error, "verify_message", "") or "it does not belong to this host")
