"""Calls of custom integrations: sends a method's request as in its document, and reads the answer."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from worker.sandbox.runbooks.values import REFERENCE, RunValues, Unresolved
from worker.sandbox.simulated_halo import SimulatedHalo

VERBS = {0: "GET", 1: "POST", 2: "PUT", 3: "DELETE", 4: "PATCH"}
INHERIT = -1
CALL_SECONDS = 30.0


class IntegrationCalls:
    """Sends the requests of methods over one session."""

    def __init__(self, halo: SimulatedHalo, session: aiohttp.ClientSession) -> None:
        self._halo = halo
        self._session = session

    async def call(self, identifier: Any, values: RunValues) -> bool:
        """Call a method. Return whether the answer is a success; the answer and the output variables are then in `values`. Raises `Unresolved`."""
        method = self._halo.store.get("customintegrationmethod", identifier) if isinstance(identifier, int) else None
        integration = self._halo.store.get("customintegration", method.get("integration_id") or 0) if method is not None else None
        if method is None or integration is None:
            raise Unresolved(f"method {identifier}")
        url, headers = address(integration, method, values), headers_of(method, values)
        body = values.fill(method["requestbody"]) if method.get("requestbody") and method.get("method") else None
        if body is not None and body.lstrip()[:1] in {"{", "["}:
            headers.setdefault("Content-Type", "application/json")
        verb, data = VERBS.get(method.get("method") or 0, "GET"), None if body is None else body.encode()
        try:
            headers |= await self._authorization(integration, method)
            async with self._session.request(verb, url, data=data, headers=headers, allow_redirects=False, skip_auto_headers=("Content-Type",)) as answer:
                values.response = json_or_text(await answer.read())
                good = 200 <= answer.status < 300  # noqa: PLR2004  the name of the way: Successful Response (200 - 299)
        except (aiohttp.ClientError, TimeoutError):
            values.response, good = None, False
        if good:
            values.map(method.get("output_variables"))
        return good

    async def _authorization(self, integration: Mapping[str, Any], method: Mapping[str, Any]) -> dict[str, str]:
        own = method.get("authorizationtype")
        kind = integration.get("authorizationtype") if own in (None, INHERIT) else own
        secret, prefix = str(integration.get("new_client_secret") or ""), str(integration.get("headerprefix") or "")
        match kind:
            case 1 | 2:
                return {str(integration.get("headername") or "Authorization"): f"{prefix or ('Bearer' if kind == 2 else '')} {secret}".strip()}  # noqa: PLR2004
            case 3:
                pair = f"{integration.get('username') or ''}:{integration.get('new_password') or ''}"
                return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
            case 4:
                return {"Authorization": f"Bearer {await self._token(integration)}"}
            case _:
                return {}

    async def _token(self, integration: Mapping[str, Any]) -> str:
        fields = {"grant_type": "client_credentials", "client_id": integration.get("client_id"), "client_secret": integration.get("new_client_secret")}
        fields |= {"scope": integration.get("scope")} if integration.get("scope") else {}
        async with self._session.post(str(integration.get("tokenurl")), data={name: str(value or "") for name, value in fields.items()}) as answer:
            found = json_or_text(await answer.read())
        return str(found.get("access_token") or "") if isinstance(found, Mapping) else ""


def address(integration: Mapping[str, Any], method: Mapping[str, Any], values: RunValues) -> URL:
    """Return base, path and parameters. A value in the path is one segment."""
    path, _, query = str(method.get("path") or "").partition("?")
    parameters = {str(row["key"]): str(row.get("value") or "") for row in method.get("uri_params") or ()}
    for name in [name for name in parameters if f"{{{name}}}" in path]:
        path = path.replace(f"{{{name}}}", parameters.pop(name))
    path = path.replace("{", "<<").replace("}", ">>")  # a segment that no parameter fills is a variable of the run
    filled = REFERENCE.sub(lambda found: quote(values.fill(found[0]), safe=""), path)
    more = urlencode({name: values.fill(text) for name, text in parameters.items()})
    whole = "&".join(filter(None, [values.fill(query), more]))
    base = str(integration.get("resourcebaseurl") or "").rstrip("/")
    return URL(f"{base}/{filled.lstrip('/')}" + (f"?{whole}" if whole else ""), encoded=True)


def headers_of(method: Mapping[str, Any], values: RunValues) -> dict[str, str]:
    return {str(row["key"]): values.fill(str(row.get("value") or "")) for row in method.get("headers") or ()}


def json_or_text(body: bytes) -> Any:
    """Return the JSON of an answer, otherwise its text."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
