"""Logs in to an API by one of its methods, and gets the token that all methods of the integration share."""

from __future__ import annotations

from math import inf

from worker.config.automation import Integration
from worker.config.integration_parts import Login
from worker.config.run_values import Values
from worker.config.variables import VariablePath
from worker.core.errors import CallRefused, EvaluatorUnavailable, ExpressionError
from worker.core.exchange import Exchange, RequestResult
from worker.core.header_names import header_problem
from worker.core.ports import Evaluator
from worker.halo.grants import IssuedToken, NoToken, TokenErrorKind, life_of
from worker.halo.transport import Send
from worker.integrations.authorization import fixed_authorization
from worker.integrations.request_builder import build_call
from worker.integrations.responses import to_exchange
from worker.metrics import Metrics

MAX_TOKEN = 16 * 1024  # characters: a longer header is refused by most servers
TROUBLE = {
    RequestResult.REJECTED: TokenErrorKind.REFUSED,
    RequestResult.AUTH: TokenErrorKind.REFUSED,
    RequestResult.DONE_UNREAD: TokenErrorKind.UNUSABLE,
}


class LoginSource:
    """Implements `worker.halo.token_source.TokenSource`. Its reasons and its logs hold no part of the answer."""

    def __init__(self, integration: Integration, login: Login, send: Send, evaluator: Evaluator, metrics: Metrics) -> None:
        """`send`: sends to the integration's own address."""
        self._integration = integration
        self._login = login
        self._send = send
        self._evaluator = evaluator
        self._metrics = metrics

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return (self._integration.auth.password,)

    def forget_session(self) -> None:
        """Do nothing: a login always uses the credentials themselves."""

    async def obtain(self) -> IssuedToken | NoToken:
        result = await self._obtain()
        self._metrics.tokens.labels(self._integration.name, result.kind.value if isinstance(result, NoToken) else "ok").inc()
        return result

    async def _obtain(self) -> IssuedToken | NoToken:
        method = self._integration.methods[self._login.method]
        try:
            call = await build_call(self._integration, method, Values(), self._evaluator)
        except (CallRefused, ExpressionError) as error:
            return NoToken(f"no token: {error}", TokenErrorKind.UNUSABLE)
        except EvaluatorUnavailable as error:
            return NoToken(f"no token: {error}", TokenErrorKind.UNREACHABLE)
        call = fixed_authorization(self._integration.auth).added_to(call)
        exchange = to_exchange(call.url.authority, await self._send(call))
        if not exchange.ok:
            return NoToken(f"no token: the login {method.full_name} failed: {exchange.reason}", TROUBLE.get(exchange.result, TokenErrorKind.UNREACHABLE))
        return self._granted(exchange, method.full_name)

    def _granted(self, exchange: Exchange, name: str) -> IssuedToken | NoToken:
        token = text_at(self._login.token, exchange)
        if not token:
            return NoToken(f"no token: the answer of the login {name} holds none at {self._login.token}", TokenErrorKind.UNUSABLE)
        if len(token) > MAX_TOKEN or not token.isascii() or header_problem(self._login.header, token):
            return NoToken(f"no token: the answer of the login {name} holds a token that no header can carry", TokenErrorKind.UNUSABLE)
        life = self._login.expires_in.find(exchange.documents.get(self._login.expires_in.root)).value
        return IssuedToken(token, life_of(life) or inf)


def text_at(path: VariablePath, exchange: Exchange) -> str:
    """Return a text or a whole number of the answer; empty for anything else."""
    value = path.find(exchange.documents.get(path.root)).value
    return str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
