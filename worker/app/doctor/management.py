"""Checks that need RabbitMQ's management API: the nodes of the cluster, the members of queues, and policies that change what the worker declares."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from yarl import URL

from worker.app.doctor.check import Check, Subject
from worker.app.doctor.halo import document
from worker.config.routes import Client, Grant
from worker.core.broker_addresses import virtual_host
from worker.core.topology import is_own
from worker.halo.transport import Answer, Call, Failure, Send, open_transport
from worker.settings import Settings

WITHIN = 30.0  # seconds for an answer
MEMBERS = 3
COLUMNS = "name,type,members,online,policy,effective_policy_definition"
HARMFUL = (
    "message-ttl",
    "expires",
    "max-length",
    "max-length-bytes",
    "overflow",
    "delivery-limit",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "max-age",
)
"""Keys of a policy that drop messages, or send them elsewhere than the worker's own arguments say."""


async def management_checks(settings: Settings, queues: Collection[str]) -> AsyncIterator[Check]:
    """Yield the checks of the management API. `queues`: names that the routes use. Without WORKER_MANAGEMENT_URL: only a hint."""
    about, tried = Subject("broker"), "ask the management API"
    if settings.management_url is None:
        yield about.unknown(
            "cluster",
            tried,
            "nodes, members and policies are not checked",
            "set WORKER_MANAGEMENT_URL to the management API, with a user who has the tag monitoring",
        )
        return
    url = URL(settings.management_url.get_secret_value())
    plain = url.with_user(None)
    login = b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
    vhost = quote(virtual_host(settings.amqp_url.get_secret_value()), safe="")
    async with open_transport(Client("management", str(plain).rstrip("/"), Grant("client_credentials", ""))) as send:
        nodes = await asked(send, plain, "/api/nodes", login)
        if isinstance(nodes, str):
            yield about.failed("cluster", f"GET {plain.origin()}/api/nodes", nodes, "correct WORKER_MANAGEMENT_URL; its user needs the tag monitoring")
            return
        yield cluster(nodes, about)
        found = await asked(send, plain, f"/api/queues/{vhost}", login, {"columns": COLUMNS})
        if isinstance(found, str):
            yield about.failed("policies", "list the queues", found, "give the user of WORKER_MANAGEMENT_URL any permission in the virtual host")
            return
        ours = [queue for queue in found if queue.get("name") in queues or is_own(str(queue.get("name")))]
        yield policies(ours, about)
        yield members(ours, len(nodes), about)


async def asked(send: Send, base: URL, path: str, login: str, query: dict[str, str] | None = None) -> list[dict[str, Any]] | str:
    """Return the rows, or a text that says why there are none."""
    url = URL(str(base).rstrip("/") + path, encoded=True).update_query(query or {})
    answer: Answer | Failure = await send(Call("GET", url, {"Authorization": f"Basic {login}"}, timeout=WITHIN))
    if isinstance(answer, Failure):
        return answer.reason
    rows = document(answer)
    if answer.status != HTTPStatus.OK or not isinstance(rows, list):
        return f"status {answer.status}" if answer.status != HTTPStatus.OK else "the answer is no list: this is not RabbitMQ's management API"
    return [row for row in rows if isinstance(row, dict)]


def cluster(nodes: list[dict[str, Any]], about: Subject) -> Check:
    """Check that every node runs and has no alarm."""
    tried = "list the nodes of the cluster"
    down = [str(node.get("name")) for node in nodes if not node.get("running")]
    alarmed = [str(node.get("name")) for node in nodes if node.get("mem_alarm") or node.get("disk_free_alarm")]
    if down:
        return about.failed("cluster", tried, f"not running: {', '.join(down)}", "start the node, or remove it with `rabbitmqctl forget_cluster_node`")
    if alarmed:
        return about.failed("cluster", tried, f"an alarm stops publishing: {', '.join(alarmed)}", "free memory or disk on the node")
    if len(nodes) < MEMBERS:
        return about.warning("cluster", tried, f"{len(nodes)} of {MEMBERS} nodes", "use three nodes: with fewer, a lost disk loses messages")
    return about.good("cluster", tried, f"{len(nodes)} nodes run")


def policies(queues: list[dict[str, Any]], about: Subject) -> Check:
    """Check that no policy drops or redirects messages of the worker."""
    tried = f"look for policies on {len(queues)} queues"
    told = []
    for queue in queues:
        definition = queue.get("effective_policy_definition")
        if keys := [key for key in HARMFUL if isinstance(definition, dict) and key in definition]:
            told.append(f"{queue['name']}: {', '.join(keys)} of policy {queue.get('policy') or '(operator)'}")
    if told:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""  # noqa: PLR2004 - enough to find the policy
        return about.failed(
            "policies", tried, "; ".join(told[:5]) + more, "let the policy's pattern leave out the worker's queues (halo.* and those of routes)"
        )
    return about.good("policies", tried, "none drops or redirects messages")


def members(queues: list[dict[str, Any]], nodes: int, about: Subject) -> Check:
    """Check that queues are replicated over the nodes, and that their members are online."""
    wanted = min(MEMBERS, nodes)
    tried = f"compare the members of queues with {wanted}"
    replicated = [queue for queue in queues if isinstance(queue.get("members"), list)]
    away = [str(queue["name"]) for queue in replicated if len(queue.get("online") or []) < len(queue["members"])]
    few = [str(queue["name"]) for queue in replicated if len(queue["members"]) < wanted]
    if away:
        return about.failed("members", tried, f"members are not online: {', '.join(away[:5])}", "start their nodes, then see `rabbitmq-queues quorum_status`")
    if few:
        return about.warning(
            "members", tried, f"{len(few)} queues have fewer: {', '.join(few[:5])}", 'run `rabbitmq-queues grow NODE all --vhost-pattern ".*"`'
        )
    return about.good("members", tried, f"{len(replicated)} queues have theirs online")
