"""The `id_token` of a token answer: a JWT that says for which agent the application acts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson


def id_token(agent: Mapping[str, Any], client_id: str, now: datetime, seconds: int, key: bytes) -> str:
    """A JWT with the agent's id, name and e-mail address, signed with `key` (HS256). `seconds`: until it expires."""
    issued = int(now.timestamp())
    claims = {
        "sub": str(agent["id"]),
        "name": agent.get("name"),
        "email": agent.get("email"),
        "aud": client_id,
        "iat": issued,
        "exp": issued + seconds,
    }
    signed = f"{_encoded(orjson.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_encoded(orjson.dumps(claims))}"
    return f"{signed}.{_encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
