"""Builds the request of a route: evaluates its parameters, and lays the result of the input transformer over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.config.compiled import RequestParameters
from worker.config.routes import Subscriber
from worker.core.errors import ExpressionError
from worker.core.ports import Evaluator


async def evaluated_request(parameters: RequestParameters, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> dict[str, dict[str, Any]]:
    """{"path": {…}, "query": {…}} for this context. Raises `ExpressionError`."""
    return {
        "path": {name: await template.evaluate(context, bindings, evaluator) for name, template in parameters.path.items()},
        "query": {name: await template.evaluate(context, bindings, evaluator) for name, template in parameters.query.items()},
    }


async def subscriber_request(route: Subscriber, evaluator: Evaluator) -> dict[str, dict[str, Any]]:
    """The request parameters of a poll. Raises `ExpressionError`, also when the input transformer yields another shape."""
    bindings = {"route": route.name, "client": route.client}
    request = await evaluated_request(route.request, {}, bindings, evaluator)
    if route.input_transform is None:
        return request
    return merge_request(request, await route.input_transform.evaluate(request, bindings, evaluator), "input_transform")


def merge_request(request: Mapping[str, Mapping[str, Any]], over: Any, source: str) -> dict[str, dict[str, Any]]:
    """`request` with the path and query members of `over` on top."""
    if not isinstance(over, dict) or not over.keys() <= {"path", "query"}:
        raise ExpressionError(f"{source} must yield an object with path and query, nothing else")
    result = {part: dict(members) for part, members in request.items()}
    for part, members in over.items():
        if not isinstance(members, dict):
            raise ExpressionError(f"{source}: {part} must be an object")
        result[part] |= members
    return result
