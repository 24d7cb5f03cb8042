"""Authenticates the application at a token endpoint: with a secret in the body or the header, a signed assertion, or its TLS certificate."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote_plus

from yarl import URL

from worker.config.routes import Grant
from worker.core.entropy import new_id

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = 300  # seconds


class ProofUnavailable(Exception):
    """The private key cannot sign; the text says why, and never quotes the key."""


def prove_client(grant: Grant, address: URL, now: float) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and fields of a token request to `address`. `now`: seconds since 1970. Raises `ProofUnavailable`."""
    match grant.client_auth:
        case "client_secret_basic":  # RFC 6749, section 2.3.1: both are encoded as form fields first
            text = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret or '')}"
            return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}, {}
        case "private_key_jwt":
            return {}, {"client_id": grant.client_id, "client_assertion_type": ASSERTION, "client_assertion": assertion(grant, address, now)}
        case "tls_client_auth":
            return {}, {"client_id": grant.client_id}
        case "client_secret_post":
            fields = {"client_id": grant.client_id} if grant.client_id else {}
            return {}, fields | ({"client_secret": grant.client_secret} if grant.client_secret is not None else {})


def assertion(grant: Grant, address: URL, now: float) -> str:
    """A JSON web token according to RFC 7523, section 3, with a new id each time. Raises `ProofUnavailable`."""
    import jwt

    claims = {
        "iss": grant.client_id,
        "sub": grant.client_id,
        "aud": grant.assertion_audience or str(address.with_query(None)),
        "jti": new_id(),
        "iat": int(now),
        "exp": int(now) + ASSERTION_LIFE,
    }
    try:
        return jwt.encode(claims, grant.private_key or "", grant.algorithm, {"kid": grant.key_id} if grant.key_id else None)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ProofUnavailable(f"`private_key` cannot sign with {grant.algorithm}") from None
