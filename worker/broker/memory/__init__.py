"""The embedded broker, `memory://`: RabbitMQ's behaviour in one process, not durable."""

from worker.broker.memory.attachment import MemoryBroker, attach
from worker.broker.memory.server import MemoryServer

__all__ = ["MemoryBroker", "MemoryServer", "attach"]
