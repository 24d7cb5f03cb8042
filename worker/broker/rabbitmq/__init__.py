"""RabbitMQ 3.10 to 4.x behind the broker port, over plain aio-pika connections."""

from worker.broker.rabbitmq.attachment import connect

__all__ = ["connect"]
