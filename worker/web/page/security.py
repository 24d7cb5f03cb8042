"""Protects the status page from other sites' pages: checks the Host header and the origin of a form, and sets the headers of each answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address

from aiohttp import web
from yarl import URL

from worker.web.serving import Handler, answer

PROBE_PATHS = frozenset({"/livez", "/readyz", "/readyz/public", "/metrics"})
"""Addresses for probes and Prometheus, which reach the port under any name. Their answers hold nothing that a page could act with."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends `Origin: null` with a form, and the worker checks the origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
UNKNOWN_HOST = "the status page does not answer under this host name: use localhost or an IP address, or add the name to WORKER_ADMIN_HOSTS"
CROSS_SITE = "the form came from another site; nothing was done"


def security_middleware(hosts: Collection[str]) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Return a middleware. `hosts`: valid names in addition to localhost and IP addresses."""
    known = frozenset(hosts)

    @web.middleware
    async def defend(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBE_PATHS:
            return await handler(request)
        if not is_known_host(request.headers.get("Host", ""), known):
            return answer(421, {"error": UNKNOWN_HOST}, **underscored(HEADERS))
        if request.method not in {"GET", "HEAD"} and is_cross_site(request):
            return answer(403, {"error": CROSS_SITE}, **underscored(HEADERS))
        response = await handler(request)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return defend


def underscored(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()} | {"Cache_Control": "no-store"}


def is_known_host(host: str, known: Collection[str]) -> bool:
    """Whether a host is known. Another site can let its own name resolve to this address; its pages then have the same origin. Such a name is unknown."""
    try:
        name = (URL(f"http://{host}").host or "").rstrip(".").lower() if not set(host) & set("/@?#\\") else ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in known:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_cross_site(request: web.Request) -> bool:
    """Whether a page of another site sent the request. Only browsers send `Sec-Fetch-Site` and `Origin`; `Origin` has to name this host and port."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    scheme, _, place = origin.partition("://")
    return scheme not in {"http", "https"} or place.lower() != request.headers.get("Host", "").lower()
