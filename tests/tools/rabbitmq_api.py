"""The management API of a RabbitMQ, for what AMQP cannot do."""

from __future__ import annotations

import json
import time
import urllib.request
from base64 import b64encode
from dataclasses import dataclass


@dataclass(frozen=True)
class Api:
    """JSON over HTTP at `base`, as one user."""

    base: str
    user: str
    password: str

    def call(self, method: str, path: str, body: object = None) -> object:
        request = urllib.request.Request(self.base + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    def wait(self, seconds: float = 90) -> None:
        """Until it answers, which is the last thing of a broker to come up. Raises `TimeoutError`."""
        until = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", "/api/overview")
            except OSError:
                if time.monotonic() > until:
                    raise TimeoutError(f"RabbitMQ did not come up within {seconds:.0f} s") from None
                time.sleep(0.1)
            else:
                return
