"""Compiles a subscriber of a route file to the route that the flows run."""

from __future__ import annotations

from worker.config.children import compile_includes
from worker.config.compiled import Template
from worker.config.config_node import ConfigNode
from worker.config.definition import build, compile_members
from worker.config.examples import compile_examples
from worker.config.expressions import compile_template
from worker.config.node_values import transform
from worker.config.reading import check_start, list_reading, report_reading
from worker.config.references import References
from worker.config.required import compile_required
from worker.config.routes import Subscriber
from worker.config.subscribers import Publish, SubscriberDefinition
from worker.core.route_names import name_for

EVERY = 60.0  # seconds


def for_each_client(definition: SubscriberDefinition) -> list[SubscriberDefinition]:
    """The definition once for each of its clients."""
    clients = [definition.client] if isinstance(definition.client, str) else definition.client
    return [definition.model_copy(update={"client": client}) for client in clients]


def compile_subscriber(definition: SubscriberDefinition, node: ConfigNode, references: References) -> Subscriber | None:
    """Compile a subscriber; None if its operation is unknown. The definition has one client, even if the file lists several."""
    client = str(definition.client)
    compiled = compile_members(SubscriberDefinition, node) | {
        "transform": transform(node.child("transform"), definition.missing),
        "required": compile_required(node.child("required"), node.child("transform")),
    }
    publish = node.child("publish")
    routing_key = compile_members(Publish, publish)["routing_key"]
    check_alternatives(definition, node)
    catalogue = references.catalogue_of(client)
    reading = report_reading(definition, node, catalogue) if definition.report is not None else list_reading(definition, node, catalogue)
    if reading is None:
        return None
    operation = reading["operation"]
    check_start(definition, reading["changes"], node)
    nameless = definition.report is not None and definition.entity is None and routing_key is None
    return build(
        Subscriber,
        definition,
        compiled,
        name=name_for(node.name, client) if isinstance(node.child("client").value, list) else node.name,
        every=None if definition.cron else definition.every or EVERY,
        exchange=definition.publish.exchange,
        routing_key=route_named(node.name) if nameless else routing_key,
        queue=definition.queue or definition.publish.queue,
        queue_binding=f"{node.name}.*" if nameless else binding_pattern(operation.resource, publish.child("routing_key")),
        ignore=frozenset(definition.ignore or ()),
        include=compile_includes(definition.include, node.child("include"), catalogue, definition.allow_unknown),
        examples=compile_examples(definition.examples, node.child("examples")),
        **reading,
    )


def route_named(name: str) -> Template:
    """Return the routing key of a report whose rows have no entity: the name of the route replaces the entity."""
    return compile_template(f"{name}.{{{{ $change }}}}")


def check_alternatives(definition: SubscriberDefinition, node: ConfigNode) -> None:
    """Add errors for members that exclude each other."""
    if definition.every is not None and definition.cron is not None:
        node.child("cron").add_key_error("both `every` and `cron` are given: write one of them")
    if definition.queue is not None and definition.publish.queue is not None:
        node.child("queue").add_key_error("both `queue` and `publish.queue` are given: write one of them")


def binding_pattern(resource: str, routing_key: ConfigNode) -> str:
    """The binding of the route's own queue: it matches every value of the routing key."""
    if not isinstance(routing_key.value, str):
        return f"{resource}.*"
    before, brace, _ = routing_key.value.partition("{{")
    literal = routing_key.fill(before)
    return literal.rpartition(".")[0] + ".#" if brace and "." in literal else "#" if brace else literal
