"""Fetches the OpenAPI file that a Halo serves; it needs no token."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from yarl import URL

from worker.catalogue.tenant import MAX_BYTES, SWAGGER_PATH
from worker.config.routes import Client, Grant
from worker.core.errors import WorkerError
from worker.halo.transport import Call, Failure, open_transport

TIMEOUT = 60.0  # seconds for one part of the answer, and for the whole answer


class NotFetched(WorkerError):
    """The file could not be fetched; the text says why."""


def openapi_address(url: URL) -> URL:
    """The address of the file: `url` itself if it names a file, else the file of the Halo at `url`."""
    if url.path.lower().endswith(".json"):
        return url
    base = url.path.rstrip("/").removesuffix("/api")
    return url.with_path(base + SWAGGER_PATH)


async def fetch_openapi(url: URL, client: Client | None = None) -> bytes:
    """The content of the file. `client`: use its proxy and certificates. Raises `NotFetched`; `ConfigError` if these cannot be used."""
    address = openapi_address(url)
    place = str(address.with_query(None))
    plain = replace(client, headers={}) if client else Client("catalogue", str(url), Grant("client_credentials", ""))  # headers may hold secrets
    async with open_transport(plain, answer_limit=MAX_BYTES) as send:
        answer = await send(Call("GET", address, timeout=TIMEOUT))
    if isinstance(answer, Failure):
        raise NotFetched(f"{place}: {answer.reason}")
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        raise NotFetched(f"{place} redirects to {answer.target}: give that address")
    if answer.status != HTTPStatus.OK or answer.is_page:
        what = "a web page" if answer.is_page else f"status {answer.status}"
        raise NotFetched(f"{place} answered with {what}: the file of a Halo is at {SWAGGER_PATH} of its address")
    if answer.body is None:
        raise NotFetched(f"{place}: {answer.problem}")
    return answer.body
