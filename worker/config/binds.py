"""Bindings of a route's queue to exchanges, for publishers and for the starts of runbooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.value_types import ExchangeName
from worker.core.topology import STANDARD_EXCHANGES, AmqpExchange, ExchangeType, Source


class Bind(Definition):
    """One binding of the route's queue."""

    exchange: ExchangeName = Field(description="An exchange; the worker takes one that exists as it is, and declares an absent one.")
    routing_key: Annotated[str, Field(max_length=255)] = Field(default="#", description="Which messages; in a topic exchange `*` is one word, `#` any number.")
    type: ExchangeType | None = Field(default=None, description="The type with which the worker declares an absent exchange; default: topic.")


def compile_bind(definition: Bind, node: ConfigNode) -> Source:
    kind = definition.type or STANDARD_EXCHANGES.get(definition.exchange) or "topic"
    if kind == "direct" and {"*", "#"} & set(definition.routing_key.split(".")):
        node.add_error(
            f"a direct exchange compares whole routing keys, so `{definition.routing_key}` matches no message: write `routing_key` without wildcards"
        )
    return Source(AmqpExchange(definition.exchange, kind), definition.routing_key)
