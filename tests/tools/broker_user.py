"""A user of the broker with few rights, and what it may do: each attempt is a connection of its own, since the broker closes the channel of what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aiormq
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, PublishError

from tests.tools.rabbitmq import RabbitMQ, vhost_of
from worker.app.permissions import Account

PASSWORD = "a-password-of-the-tests"
Action = Callable[[AbstractChannel], Awaitable[Any]]


@dataclass(frozen=True)
class BrokerUser:
    url: str

    async def may(self, action: Action) -> bool:
        """Whether the broker lets it; what it refuses for another reason than a permission is raised."""
        connection = await aiormq.connect(self.url)
        try:
            await action(await connection.channel(publisher_confirms=True, on_return_raises=True))
        except ChannelAccessRefused:
            return False
        except PublishError:  # the permission was looked at first: only no queue took it
            return True
        finally:
            await connection.close()
        return True

    async def may_publish(self, routing_key: str, exchange: str = "") -> bool:
        return await self.may(lambda channel: channel.basic_publish(b"{}", exchange=exchange, routing_key=routing_key, mandatory=True))

    async def may_take(self, queue: str) -> bool:
        """Takes nothing: purging is refused and allowed by the same permission, and done only where it is expected to be refused."""
        return await self.may(lambda channel: channel.queue_purge(queue))

    async def may_look_into(self, queue: str) -> bool:
        """What is looked at goes back."""
        return await self.may(lambda channel: channel.basic_get(queue))

    async def may_delete(self, queue: str) -> bool:
        return await self.may(lambda channel: channel.queue_delete(queue))

    async def may_declare(self, queue: str, **arguments: Any) -> bool:
        return await self.may(lambda channel: channel.queue_declare(queue, durable=True, arguments=arguments))

    async def may_bind(self, queue: str, exchange: str, routing_key: str = "#") -> bool:
        return await self.may(lambda channel: channel.queue_bind(queue, exchange, routing_key))

    async def may_delete_exchange(self, exchange: str) -> bool:
        return await self.may(lambda channel: channel.exchange_delete(exchange))


@contextmanager
def broker_user(rabbitmq: RabbitMQ, url: str, account: Account) -> Iterator[BrokerUser]:
    """The account as a user of this virtual host, with these permissions and no others."""
    vhost = vhost_of(url)
    name = f"{vhost}-{account.user}"
    rabbitmq.api.call("PUT", f"/api/users/{quote(name, safe='')}", {"password": PASSWORD, "tags": account.tag})
    grant = {"configure": account.configure, "write": account.write, "read": account.read}
    rabbitmq.api.call("PUT", f"/api/permissions/{quote(vhost, safe='')}/{quote(name, safe='')}", grant)
    parts = urlsplit(url)
    try:
        yield BrokerUser(urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{PASSWORD}@{parts.hostname}:{parts.port}")))
    finally:
        rabbitmq.api.call("DELETE", f"/api/users/{quote(name, safe='')}")
