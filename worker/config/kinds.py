"""The kinds of definitions: the sections of a route file in their order of compilation, each after the kinds that it refers to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.config.clients import ClientDefinition, compile_client
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.integrations import IntegrationDefinition, compile_integration
from worker.config.publishers import PublisherDefinition, compile_publisher
from worker.config.references import References
from worker.config.runbooks import RunbookDefinition, compile_runbook
from worker.config.subscriber_compiler import compile_subscriber, for_each_client
from worker.config.subscribers import SubscriberDefinition
from worker.config.webhooks import WebhookDefinition, compile_webhook


@dataclass(frozen=True, slots=True)
class DefinitionKind:
    """`compile` makes the frozen object of a definition; None after an error that leaves nothing to check. `about`: for the JSON Schema.

    `each`: returns the definitions that one definition of a route file stands for.
    """

    model: type[Definition]
    compile: Callable[[Any, ConfigNode, References], Any]
    about: str
    each: Callable[[Any], Sequence[Any]] = lambda definition: [definition]


KINDS: Mapping[str, DefinitionKind] = {
    "clients": DefinitionKind(ClientDefinition, compile_client, "The Halo tenants that the routes call, by name."),
    "subscribers": DefinitionKind(
        SubscriberDefinition, compile_subscriber, "Routes that read from Halo and publish changes to RabbitMQ, by name.", for_each_client
    ),
    "publishers": DefinitionKind(PublisherDefinition, compile_publisher, "Routes that take messages from queues and send them to Halo, by name."),
    "integrations": DefinitionKind(IntegrationDefinition, compile_integration, "Other APIs, with their authorization and methods, by name."),
    "runbooks": DefinitionKind(RunbookDefinition, compile_runbook, "Flow charts of methods and Halo API actions, by name."),
    "webhooks": DefinitionKind(WebhookDefinition, compile_webhook, "Addresses that receive Halo's deliveries, by name."),
}
