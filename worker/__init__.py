"""halo-worker: a message-driven sync worker between HaloITSM and RabbitMQ."""

__version__ = "0.1.0"
